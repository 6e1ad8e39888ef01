//! What the cluster has under the name of a grant, and how that changes.
//!
//! In: an object as it should be. Out: it is so; or an error that says who can do what about it. A write is for the
//! version that was looked at. Forbidden here: changing or removing an object without our label.

use std::fmt::Debug;

use anyhow::anyhow;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::api::{Api, DeleteParams, PostParams, Preconditions};
use kube::{Error, Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::lines;
use super::objects::{GROUP, Grant, MANAGED_BY};
use crate::commands::trouble;

/// One of the two objects.
pub(super) trait Part:
    Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + Serialize + DeserializeOwned
{
    /// Whether it grants what the other one grants.
    fn grants_as(&self, other: &Self) -> bool;
    /// Grants what the other one grants, under its own metadata.
    fn become_as(&mut self, other: Self);
}

impl Part for Role {
    fn grants_as(&self, other: &Self) -> bool {
        self.rules == other.rules
    }

    fn become_as(&mut self, other: Self) {
        self.rules = other.rules;
    }
}

impl Part for RoleBinding {
    fn grants_as(&self, other: &Self) -> bool {
        self.role_ref == other.role_ref && self.subjects == other.subjects
    }

    fn become_as(&mut self, other: Self) {
        self.role_ref = other.role_ref;
        self.subjects = other.subjects;
    }
}

/// How an object differs from what is wanted.
pub(super) enum Stored<K> {
    /// It does not exist; this one is to be made.
    Missing(K),
    /// It grants what is wanted, whoever made it.
    AsWanted,
    /// It is ours and grants something else; this one is to replace it.
    Outdated(K),
}

impl<K: Part> Stored<K> {
    /// Looks at an object. It is an error if it is somebody else's and grants something else.
    pub(super) async fn look(api: &Api<K>, grant: &Grant, wanted: K) -> anyhow::Result<Self> {
        let Some(mut found) = found(api, grant, &grant.kubectl_create()).await? else {
            return Ok(Self::Missing(wanted));
        };
        if found.grants_as(&wanted) {
            return Ok(Self::AsWanted);
        }
        if !is_ours(&found) {
            return Err(not_ours::<K>(grant, "and it grants something else"));
        }
        found.become_as(wanted);
        Ok(Self::Outdated(found))
    }

    pub(super) const fn is_as_wanted(&self) -> bool {
        matches!(self, Self::AsWanted)
    }

    /// Writes it as it is wanted. `instead` is what an administrator would do.
    pub(super) async fn write(self, api: &Api<K>, grant: &Grant, instead: &[String]) -> anyhow::Result<()> {
        let params = PostParams { field_manager: Some(MANAGED_BY.1.to_owned()), ..PostParams::default() };
        let written = match &self {
            Self::AsWanted => return Ok(()),
            Self::Missing(object) => api.create(&params, object).await,
            Self::Outdated(object) => api.replace(&grant.name, &params, object).await,
        };
        written.map(drop).map_err(|error| failed::<K>("write", grant, instead, &error))
    }
}

/// An object that is ours, to be removed; none if there is none.
pub(super) async fn ours<K: Part>(api: &Api<K>, grant: &Grant) -> anyhow::Result<Option<K>> {
    match found(api, grant, &[grant.kubectl_delete()]).await? {
        Some(found) if !is_ours(&found) => Err(not_ours::<K>(grant, "so it is not removed")),
        found => Ok(found),
    }
}

/// Removes the object that was looked at.
pub(super) async fn remove<K: Part>(api: &Api<K>, grant: &Grant, object: Option<K>) -> anyhow::Result<()> {
    let Some(object) = object else { return Ok(()) };
    let seen = Preconditions { uid: object.uid(), resource_version: object.resource_version() };
    let params = DeleteParams { preconditions: Some(seen), ..DeleteParams::default() };
    match api.delete(&grant.name, &params).await {
        Ok(_) => Ok(()),
        Err(Error::Api(status)) if status.is_not_found() => Ok(()),
        Err(error) => Err(failed::<K>("remove", grant, &[grant.kubectl_delete()], &error)),
    }
}

async fn found<K: Part>(api: &Api<K>, grant: &Grant, instead: &[String]) -> anyhow::Result<Option<K>> {
    api.get_opt(&grant.name).await.map_err(|error| failed::<K>("read", grant, instead, &error))
}

fn is_ours(object: &impl ResourceExt) -> bool {
    let (key, value) = MANAGED_BY;
    object.labels().get(key).is_some_and(|found| found == value)
}

fn not_ours<K: Part>(grant: &Grant, therefore: &str) -> anyhow::Error {
    let (kind, Grant { name, namespace, .. }) = (K::kind(&()), grant);
    let (key, value) = MANAGED_BY;
    anyhow!(
        "the {kind} {name} of namespace {namespace} was not made by this command (it has no label {key}={value}), \
         {therefore}; nothing was changed. See kubectl get {lower} {name} -n {namespace} -o yaml, and if nobody needs it: \
         kubectl delete {lower} {name} -n {namespace}",
        lower = kind.to_lowercase()
    )
}

/// Why a request failed, and what somebody can do about it.
fn failed<K: Part>(verb: &str, grant: &Grant, instead: &[String], error: &Error) -> anyhow::Error {
    let (kind, Grant { name, namespace, secret, .. }) = (K::kind(&()), grant);
    let what = format!("cannot {verb} the {kind} {name} of namespace {namespace}");
    match error {
        Error::Api(status) if status.code == 403 => anyhow!(
            "{what}: {}\nAn administrator can do it:\n{}To do it yourself you need get, create, update and delete on roles and \
             rolebindings in namespace {namespace}, and the right that you grant: RBAC asks for get on Secret {secret}, or for \
             the verbs escalate on roles and bind on roles",
            status.message,
            lines(instead)
        ),
        Error::Api(status) if status.code == 409 => {
            anyhow!("{what}: somebody else has changed it at the same time; run the command again")
        }
        Error::Api(status) if status.code == 422 => {
            anyhow!("{what}: {}; run the command with --revoke, and then again", status.message)
        }
        error => trouble::told(&what, &format!("{}.{GROUP}", K::plural(&())), error),
    }
}
