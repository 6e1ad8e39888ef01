//! `poolbudget forget`: says that processes which are gone but still counted no longer run.
//!
//! In: a budget, and which entries of its quarantine to forget. Out: an annotation on the budget that names them. The
//! leader obeys it once and reports it in an event. Anybody who may patch the budget may do this. The entries are named
//! one by one, so nothing is forgotten that comes later.

use anyhow::{Context, bail};
use clap::Args;
use kube::api::{Api, Patch, PatchParams};
use serde_json::json;

use super::client::ClusterArgs;
use super::render;
use super::trouble;
use crate::api::{DbConnectionBudget, Quarantined, names};

/// Plural and group.
const RESOURCE: &str = "dbconnectionbudgets.poolbudget.dev";

#[derive(Args, Debug)]
pub(super) struct ForgetArgs {
    /// Name of the budget
    budget: String,
    #[command(flatten)]
    which: WhichArgs,
    #[command(flatten)]
    cluster: ClusterArgs,
}

#[derive(Args, Debug)]
#[group(required = true, multiple = true)]
struct WhichArgs {
    /// Release the connections counted for this pod; may be repeated
    #[arg(long, value_name = "NAME")]
    pod: Vec<String>,
    /// Release the connections counted for the pods of this node; may be repeated
    #[arg(long, value_name = "NAME")]
    node: Vec<String>,
    /// Release everything that is still counted
    #[arg(long)]
    all: bool,
}

impl WhichArgs {
    fn means(&self, entry: &Quarantined) -> bool {
        self.all
            || self.pod.contains(&entry.pod)
            || entry.node.as_ref().is_some_and(|node| self.node.contains(node))
    }
}

pub(super) async fn forget(args: ForgetArgs) -> anyhow::Result<()> {
    let connection = args.cluster.connect().await?;
    let api: Api<DbConnectionBudget> = Api::namespaced(connection.client, &connection.namespace);
    let what = format!("cannot read the budget {} of namespace {}", args.budget, connection.namespace);
    let found = api.get_opt(&args.budget).await.map_err(|error| trouble::told(&what, RESOURCE, &error))?;
    let Some(budget) = found else { bail!("{what}: it does not exist") };
    let kept = budget.status.map(|status| status.ledger.quarantine).unwrap_or_default();
    let meant = chosen(&kept, &args.which)?;
    let uids: Vec<&str> = meant.iter().map(|entry| entry.uid.as_str()).collect();
    let patch = json!({"metadata": {"annotations": {names::FORGET: uids.join(",")}}});
    let params = PatchParams { field_manager: Some(names::FORGET_MANAGER.into()), ..PatchParams::default() };
    api.patch_metadata(&args.budget, &params, &Patch::Merge(patch)).await.map_err(|error| {
        trouble::told(&format!("cannot annotate the budget {}", args.budget), RESOURCE, &error)
    })?;
    render::put(&told(&meant)).context("cannot print what was done")
}

/// The entries to forget.
fn chosen<'a>(kept: &'a [Quarantined], which: &WhichArgs) -> anyhow::Result<Vec<&'a Quarantined>> {
    let meant: Vec<&Quarantined> = kept.iter().filter(|entry| which.means(entry)).collect();
    if !meant.is_empty() {
        return Ok(meant);
    }
    let names: Vec<&str> = kept.iter().map(|entry| entry.pod.as_str()).collect();
    match names.as_slice() {
        [] => bail!("the quarantine is empty, so there is nothing to forget"),
        names => bail!("none of these is in quarantine; the quarantine holds: {}", names.join(", ")),
    }
}

fn told(meant: &[&Quarantined]) -> String {
    let line = |entry: &&Quarantined| {
        let node = entry.node.as_ref().map_or_else(String::new, |node| format!(" on node {node}"));
        format!("{}{node}: its {} connections no longer count\n", entry.pod, entry.connections)
    };
    meant.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use k8s_openapi::jiff::Timestamp;

    use crate::api::QuarantineCause;

    fn kept(pod: &str, node: Option<&str>) -> Quarantined {
        Quarantined {
            uid: format!("uid-of-{pod}"),
            pod: pod.into(),
            node: node.map(Into::into),
            cause: QuarantineCause::Vanished,
            connections: 3,
            seconds: 40,
            until: Time(Timestamp::UNIX_EPOCH),
        }
    }

    fn which(pod: &[&str], node: &[&str], all: bool) -> WhichArgs {
        let own = |names: &[&str]| names.iter().map(ToString::to_string).collect();
        WhichArgs { pod: own(pod), node: own(node), all }
    }

    #[test]
    fn what_is_meant_is_named_by_pod_by_node_or_all() {
        let there = [kept("a", Some("n1")), kept("b", Some("n1")), kept("c", None)];
        let meant = |which: &WhichArgs| {
            chosen(&there, which).map(|meant| meant.iter().map(|entry| entry.pod.clone()).collect::<String>())
        };
        assert_eq!(meant(&which(&["a"], &[], false)).expect("a"), "a");
        assert_eq!(meant(&which(&["c"], &["n1"], false)).expect("all three"), "abc");
        assert_eq!(meant(&which(&[], &[], true)).expect("all three"), "abc");
        let error = meant(&which(&["x"], &[], false)).expect_err("none").to_string();
        assert_eq!(error, "none of these is in quarantine; the quarantine holds: a, b, c");
    }

    #[test]
    fn what_was_done_is_told_by_pod() {
        let entry = kept("a", Some("n1"));
        assert_eq!(told(&[&entry]), "a on node n1: its 3 connections no longer count\n");
    }
}
