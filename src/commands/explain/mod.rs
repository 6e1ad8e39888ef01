//! `poolbudget explain`: why a pod has its size, or why it waits; what a workload gets.
//!
//! In: one list of each kind of a namespace. Out: words. The lists become the operator's own world, and the operator's
//! own code decides over it; this module only puts the decision into words.

mod pod;
mod reclaim;
mod share;
mod sight;
mod target;
#[cfg(test)]
mod tests;
mod words;
mod workload;

use anyhow::{anyhow, bail};
use clap::Args;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, PartialObjectMeta};

use super::client::{ClusterArgs, Connection};
use super::output::OutputArgs;
use super::render::{self, ColorArgs};
use super::status::leader::{Leader, OperatorArgs};
use super::trouble;
use crate::api::{BudgetKey, WorkloadKind, names};
use crate::cluster::workload::WorkloadKey;
use crate::controller::observe::Observed;
use crate::controller::snapshot::snapshot;
use crate::page::detail::PodRow;
use sight::Sight;
use target::Target;
pub(super) use target::workload as kind_named;
use words::{Explanation, State};

#[derive(Args, Debug)]
pub(super) struct ExplainArgs {
    /// What to explain: NAME, pod/NAME, deployment/NAME, or kind and name as two words
    #[arg(required = true, num_args = 1..=2, value_name = "POD|WORKLOAD")]
    target: Vec<String>,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    color: ColorArgs,
    #[command(flatten)]
    cluster: ClusterArgs,
    #[command(flatten)]
    operator: OperatorArgs,
}

pub(super) async fn explain(args: ExplainArgs) -> anyhow::Result<()> {
    let target: Target = args.target.join("/").parse()?;
    let connection = args.cluster.connect().await?;
    let namespace = connection.namespace.clone();
    let seen = snapshot(&connection.client, &namespace).await;
    let observed =
        seen.map_err(|failed| trouble::told(&failed.to_string(), &failed.resource, &failed.source))?;
    let sight = Sight { observed, namespace, now: Timestamp::now() };
    let mut told = match find(&sight, &target)? {
        Some(told) => told,
        None => vec![not_labelled(&connection, &target).await?],
    };
    if let Some(why) = not_running(&args.operator.leader(&connection.client).await, sight.is_unanswered()) {
        told.iter_mut().for_each(|told| told.first_point("operator", why));
    }
    if args.output.is_asked_for() {
        return args.output.put(&told);
    }
    let paint = args.color.paint(&std::io::stdout());
    let texts: Vec<String> = told.iter().map(|told| told.render(paint)).collect();
    Ok(render::put(&texts.join("\n"))?)
}

/// What is said of each pod of a budget in short, for the page.
///
/// # Errors
/// With why nothing is said: the budget is gone, or cannot be read.
pub fn pods(observed: Observed, key: &BudgetKey, now: Timestamp) -> Result<Vec<PodRow>, String> {
    let sight = Sight { observed, namespace: key.namespace.clone(), now };
    let look = sight.look(&key.name)?;
    let all = 0..look.view.scene.pods.len();
    Ok(all.filter_map(|index| pod::row(&sight, &look, index)).collect())
}

/// Says that no operator acts on what is explained, if that is known.
fn not_running(leader: &Leader, unanswered: bool) -> Option<&str> {
    match leader {
        Leader::Nobody(why) => Some(why),
        // The operator may be installed in another namespace.
        Leader::Never(why) if unanswered => Some(why),
        Leader::Leads | Leader::Never(_) | Leader::Unknown(_) => None,
    }
}

/// Explains what was observed under this name; none if nothing was. A pod without the label is not observed.
fn find(sight: &Sight, target: &Target) -> anyhow::Result<Option<Vec<Explanation>>> {
    let pod = |name: &str| sight.pod(name).map(|record| vec![pod::explain(sight, &record)]);
    match target {
        Target::Pod(name) => Ok(pod(name)),
        Target::Workload(kind, name) => {
            let record = sight.workload(&WorkloadKey::new(*kind, name));
            let Some(record) = record else { bail!(unknown(sight, *kind, name)) };
            Ok(Some(workload::explain(sight, &record)))
        }
        Target::Named(name) => {
            let pods = pod(name);
            let workloads = sight.workloads_named(name);
            match (pods, workloads.as_slice()) {
                (Some(told), []) => Ok(Some(told)),
                (None, [only]) => Ok(Some(workload::explain(sight, only))),
                (None, []) => Ok(None),
                (pod, several) => {
                    let pod = pod.map(|_| format!("Pod/{name}"));
                    let all: Vec<String> =
                        pod.into_iter().chain(several.iter().map(|record| record.key.to_string())).collect();
                    Err(anyhow!("{name} is the name of {}: write which one you mean", all.join(" and ")))
                }
            }
        }
    }
}

fn unknown(sight: &Sight, kind: WorkloadKind, name: &str) -> String {
    let kind = kind.to_string();
    let plural = kind.to_lowercase() + "s";
    format!("namespace {0} has no {kind} {name}; see kubectl get {plural} -n {0}", sight.namespace)
}

/// Explains a pod that exists without the label; none otherwise.
async fn not_labelled(connection: &Connection, target: &Target) -> anyhow::Result<Explanation> {
    let (Target::Pod(name) | Target::Named(name) | Target::Workload(_, name)) = target;
    let namespace = &connection.namespace;
    let api: Api<PartialObjectMeta<Pod>> = Api::namespaced(connection.client.clone(), namespace);
    match api.get_metadata_opt(name).await {
        Ok(Some(_)) => {
            let summary = format!(
                "it has no label {}, so no budget limits it; label its workload: poolbudget explain WORKLOAD says how",
                names::BUDGET
            );
            Ok(Explanation::new("Pod", name, namespace, State::NotGoverned, summary))
        }
        Ok(None) => {
            let what = if matches!(target, Target::Pod(_)) { "pod" } else { "pod or workload" };
            Err(anyhow!("namespace {namespace} has no {what} {name}; see kubectl get pods -n {namespace}"))
        }
        Err(error) => {
            Err(trouble::told(&format!("cannot read pod {name} of namespace {namespace}"), "pods", &error))
        }
    }
}
