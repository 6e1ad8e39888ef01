//! One namespace as it is now, for commands that look and do not lead.
//!
//! In: a client, a namespace. Out: the world that the watches would have built of it. Every watched kind is listed here
//! too, from one table (`kinds`). Forbidden here: waiting for news, deciding anything.

use futures::future::{BoxFuture, FutureExt, try_join_all};
use kube::api::{Api, ListParams};
use kube::core::NamespaceResourceScope;
use kube::runtime::watcher::Event;
use kube::{Client, Resource};

use super::follow;
use super::kinds::{self, PerKind, Served};
use super::lists::Pages;
use super::observe::{Observed, Watched};
use crate::api::BudgetKey;
use crate::cluster::guarded::Guarded;

/// A kind that could not be listed.
#[derive(Debug, thiserror::Error)]
#[error("cannot list {resource} in namespace {namespace}")]
pub struct SnapshotError {
    /// Plural and group, as RBAC names it.
    pub resource: String,
    /// Where.
    pub namespace: String,
    /// The answer.
    #[source]
    pub source: kube::Error,
}

/// Lists all that a decision about the budgets of a namespace depends on.
///
/// # Errors
/// When one of the kinds cannot be listed.
pub async fn snapshot(client: &Client, namespace: &str) -> Result<Observed, SnapshotError> {
    taken(client, namespace, None).await
}

/// Lists all that a decision about one budget depends on: of the pods of its namespace, its own.
///
/// # Errors
/// When one of the kinds cannot be listed.
pub async fn of_budget(client: &Client, key: &BudgetKey) -> Result<Observed, SnapshotError> {
    taken(client, &key.namespace, Some(&key.name)).await
}

async fn taken(client: &Client, namespace: &str, budget: Option<&str>) -> Result<Observed, SnapshotError> {
    let observed = Observed::default();
    let lister = Lister { client, namespace, observed: observed.clone() };
    let mut lists = Lists { lister: &lister, budget, all: Vec::new() };
    kinds::every(&mut lists);
    try_join_all(lists.all).await?;
    Ok(observed)
}

/// The list of each kind.
struct Lists<'a> {
    lister: &'a Lister<'a>,
    /// Labelled objects of this budget alone, where one is named.
    budget: Option<&'a str>,
    all: Vec<BoxFuture<'a, Result<(), SnapshotError>>>,
}

impl PerKind for Lists<'_> {
    fn visit<K: Watched + Resource<Scope = NamespaceResourceScope>>(&mut self, served: Served) {
        let all = ListParams::default();
        self.all.push(match served {
            Served::Always => self.lister.list::<K>(all).boxed(),
            Served::Labelled(label) => {
                let chosen = self.budget.map_or_else(|| label.to_owned(), |name| format!("{label}={name}"));
                self.lister.list::<K>(all.labels(&chosen)).boxed()
            }
            Served::Installed => self.lister.list_installed::<K>(all).boxed(),
        });
    }
}

struct Lister<'a> {
    client: &'a Client,
    namespace: &'a str,
    observed: Observed,
}

impl Lister<'_> {
    /// Lists an optional kind, if it is served. The list itself does not tell: a user who may not read all kinds also
    /// gets Forbidden for kinds that do not exist.
    async fn list_installed<K: Watched + Resource<Scope = NamespaceResourceScope>>(
        &self,
        params: ListParams,
    ) -> Result<(), SnapshotError> {
        match follow::serves::<K>(self.client).await {
            Ok(true) => self.list::<K>(params).await,
            Ok(false) => Ok(()),
            Err(source) => Err(self.failed::<K>(source)),
        }
    }

    async fn list<K: Watched + Resource<Scope = NamespaceResourceScope>>(
        &self,
        params: ListParams,
    ) -> Result<(), SnapshotError> {
        let api: Api<Guarded<K>> = Api::namespaced(self.client.clone(), self.namespace);
        let mut pages = Pages::of(params);
        while let Some(page) = pages.next(&api).await.map_err(|source| self.failed::<K>(source))? {
            for object in page {
                self.observed.take(Event::InitApply(object), 0);
            }
        }
        Ok(())
    }

    fn failed<K: Watched>(&self, source: kube::Error) -> SnapshotError {
        let (plural, group) = (K::plural(&()), K::group(&()));
        let resource = if group.is_empty() { plural.into_owned() } else { format!("{plural}.{group}") };
        SnapshotError { resource, namespace: self.namespace.to_owned(), source }
    }
}
