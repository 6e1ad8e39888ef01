//! `poolbudget grant-secret`: lets the operator read one Secret, or no longer.
//!
//! In: the name of a Secret. Out: a Role that gives `get` on this Secret alone, and a RoleBinding to the operator's
//! ServiceAccount; or both as YAML; or both removed. What has their names and is not ours stays as it is. Forbidden
//! here: what stands in the Secret. Only its metadata is asked for, to say whether it exists.

mod objects;
mod stored;

use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use k8s_openapi::api::core::v1::{Pod, Secret};
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::Client;
use kube::api::{Api, ListParams};

use super::client::{ClusterArgs, Connection};
use super::dashboard::REPLICAS;
use super::render;
use crate::api::dns;
use objects::Grant;
use stored::Stored;

pub(super) const ABOUT: &str = "Let the operator read one Secret, for a budget that reads its limit from a database.

By default the operator may read no Secret of yours. This command makes a Role with the verb get on this Secret alone, and \
a RoleBinding to the operator's ServiceAccount, in the namespace of the Secret. You need the right to make both, and get \
on the Secret: RBAC lets nobody grant a right that they do not have.";

/// How long to wait for the list of the operator's pods, which is not needed.
const PATIENCE: Duration = Duration::from_secs(5);
/// The ServiceAccount of the chart.
const ACCOUNT: &str = "poolbudget";

#[derive(Args, Debug)]
pub(super) struct GrantSecretArgs {
    /// Name of the Secret
    #[arg(value_name = "NAME")]
    secret: String,
    /// Print the Role and the RoleBinding as YAML, and change nothing
    #[arg(long, visible_alias = "dry-run", conflicts_with = "revoke")]
    print: bool,
    /// Take the right back: remove the Role and the RoleBinding
    #[arg(long)]
    revoke: bool,
    #[command(flatten)]
    cluster: ClusterArgs,
    /// Namespace of the operator
    #[arg(long, value_name = "NAME", default_value = "poolbudget-system")]
    operator_namespace: String,
    /// ServiceAccount of the operator [default: that of its pods if you may list them, else poolbudget]
    #[arg(long, value_name = "NAME")]
    service_account: Option<String>,
}

pub(super) async fn grant_secret(args: GrantSecretArgs) -> anyhow::Result<()> {
    args.check()?;
    let connection = args.cluster.connect().await?;
    let told = args.carry_out(connection).await?;
    render::put(&told).context("cannot print what was done")
}

impl GrantSecretArgs {
    /// Checks each name before it becomes part of a request.
    fn check(&self) -> anyhow::Result<()> {
        must_be("Secret", &self.secret, dns::is_subdomain)?;
        must_be("namespace", &self.operator_namespace, dns::is_label)?;
        self.service_account.iter().try_for_each(|name| must_be("ServiceAccount", name, dns::is_subdomain))
    }

    /// Does what is asked for. Gives back what to print.
    async fn carry_out(&self, Connection { client, namespace }: Connection) -> anyhow::Result<String> {
        must_be("namespace", &namespace, dns::is_label)?;
        if self.revoke {
            return revoke(&client, &Grant::new(&self.secret, &namespace, &self.operator_namespace, ACCOUNT))
                .await;
        }
        let (account, note) = self.account(&client).await;
        let grant = Grant::new(&self.secret, &namespace, &self.operator_namespace, &account);
        let told = if self.print { grant.yaml()? } else { give(&client, &grant).await? };
        Ok(match note {
            Some(note) if self.print => format!("# {note}\n{told}"),
            Some(note) => format!("{told}note: {note}\n"),
            None => told,
        })
    }

    /// The operator's ServiceAccount, and a note if it may be another one.
    async fn account(&self, client: &Client) -> (String, Option<String>) {
        if let Some(name) = &self.service_account {
            return (name.clone(), None);
        }
        let namespace = &self.operator_namespace;
        let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
        let params = ListParams::default().labels(REPLICAS).limit(1);
        let Ok(Ok(listed)) = tokio::time::timeout(PATIENCE, pods.list(&params)).await else {
            // Most users may not list them, and the chart knows no other name.
            return (ACCOUNT.to_owned(), None);
        };
        let first = listed.items.into_iter().next();
        let Some(pod) = first else {
            let note = format!(
                "namespace {namespace} has no pod of the operator; if it is installed in another namespace, pass that as \
                 --operator-namespace"
            );
            return (ACCOUNT.to_owned(), Some(note));
        };
        let named = pod.spec.and_then(|spec| spec.service_account_name);
        (named.unwrap_or_else(|| ACCOUNT.to_owned()), None)
    }
}

fn must_be(what: &str, name: &str, is_name: fn(&str) -> bool) -> anyhow::Result<()> {
    if !is_name(name) {
        bail!(
            "{name:?} cannot be the name of a {what}: use lower-case letters and digits, with hyphens between them"
        );
    }
    Ok(())
}

/// Makes what is missing of the two objects.
async fn give(client: &Client, grant: &Grant) -> anyhow::Result<String> {
    let roles = Api::namespaced(client.clone(), &grant.namespace);
    let bindings = Api::namespaced(client.clone(), &grant.namespace);
    let (wanted_role, wanted_binding) = (grant.role(), grant.binding());
    // Both are looked at before either is written.
    let role = Stored::look(&roles, grant, wanted_role).await?;
    let binding = Stored::look(&bindings, grant, wanted_binding).await?;
    let was_there = role.is_as_wanted() && binding.is_as_wanted();
    role.write(&roles, grant, &grant.kubectl_create()).await?;
    binding.write(&bindings, grant, &[grant.kubectl_create_binding()]).await?;
    let Grant { name, namespace, account, account_namespace, secret } = grant;
    let already = if was_there { "already " } else { "" };
    let missing = match is_missing(client, grant).await {
        true => format!("note: there is no Secret {secret} in namespace {namespace} yet\n"),
        false => String::new(),
    };
    Ok(format!(
        "ServiceAccount {account_namespace}/{account} may {already}get Secret {namespace}/{secret}, by Role and RoleBinding \
         {name}; the same with kubectl:\n{}{missing}",
        lines(&grant.kubectl_create())
    ))
}

/// Removes what is there of the two objects: first the one by which the other has an effect.
async fn revoke(client: &Client, grant: &Grant) -> anyhow::Result<String> {
    let roles: Api<Role> = Api::namespaced(client.clone(), &grant.namespace);
    let bindings: Api<RoleBinding> = Api::namespaced(client.clone(), &grant.namespace);
    let binding = stored::ours(&bindings, grant).await?;
    let role = stored::ours(&roles, grant).await?;
    let Grant { name, namespace, secret, .. } = grant;
    if binding.is_none() && role.is_none() {
        return Ok(format!(
            "nothing to take back: namespace {namespace} has no Role or RoleBinding {name}\n"
        ));
    }
    stored::remove(&bindings, grant, binding).await?;
    stored::remove(&roles, grant, role).await?;
    Ok(format!(
        "the operator may no longer get Secret {namespace}/{secret}: removed Role and RoleBinding {name}; the same with \
         kubectl:\n{}",
        lines(&[grant.kubectl_delete()])
    ))
}

/// Whether it is known that the Secret does not exist.
async fn is_missing(client: &Client, grant: &Grant) -> bool {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), &grant.namespace);
    matches!(secrets.get_metadata_opt(&grant.secret).await, Ok(None))
}

/// Command lines, indented.
fn lines(commands: &[String]) -> String {
    commands.iter().map(|command| format!("  {command}\n")).collect()
}

#[cfg(test)]
mod tests;
