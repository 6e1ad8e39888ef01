//! Workloads whose label names a budget that does not exist.
//!
//! In: what was observed of a namespace. Out: a sentence for each such workload, with the budget that was probably
//! meant.

use std::collections::BTreeMap;

use crate::api::WorkloadKind;
use crate::api::keys::near;
use crate::cluster::world::World;

/// How many are named.
const NAMED: usize = 10;

/// The sentences, by workload.
pub(super) fn strays(world: &World, namespace: &str) -> Vec<String> {
    let mut budgets: Vec<&str> = world.budgets.iter().filter_map(|b| b.metadata.name.as_deref()).collect();
    budgets.sort_unstable();
    let named =
        world.workloads.iter().filter(|record| record.owner.is_none() && record.namespace == namespace);
    let named = named.filter_map(|record| {
        let budget = record.template.budget.as_ref().or(record.label.as_ref())?;
        Some((record.key.to_string(), budget.clone()))
    });
    let loose = world.pods.iter().filter(|pod| pod.maker().kind == WorkloadKind::Pod);
    let loose = loose.map(|pod| (format!("Pod/{}", pod.name), pod.budget().to_owned()));
    let is_there =
        |budget: &str| budgets.contains(&budget) || world.budgets.unreadable(namespace, budget).is_some();
    let strays: BTreeMap<String, String> =
        named.chain(loose).filter(|(_, budget)| !is_there(budget)).collect();
    let mut told: Vec<String> = strays
        .iter()
        .take(NAMED)
        .map(|(workload, budget)| {
            let hint = match (near(budget, budgets.iter().copied()), budgets.as_slice()) {
                (Some(meant), _) => format!("did you mean {meant}?"),
                (None, []) => "there is none at all".to_owned(),
                (None, all) => format!("there are: {}", all.join(", ")),
            };
            format!(
                "{workload} has the label of budget {budget}, which does not exist in namespace {namespace}: its new pods wait at \
                 the gate; {hint}"
            )
        })
        .collect();
    if strays.len() > NAMED {
        told.push(format!("and {} more workloads name budgets that do not exist", strays.len() - NAMED));
    }
    told
}

#[cfg(test)]
mod tests {
    use kube::runtime::watcher::Event;
    use serde_json::{Value, json};

    use super::*;
    use crate::api::DbConnectionBudget;
    use crate::cluster::guarded::Guarded;
    use crate::cluster::workload::{DeploymentView, ReplicaSetView};
    use crate::controller::observe::{Observed, Watched};

    fn see<K: Watched>(observed: &Observed, object: Value) {
        let object: Guarded<K> = serde_json::from_value(object).expect("an object");
        observed.take(Event::Apply(object), 0);
    }

    fn deployment(observed: &Observed, name: &str, own: &Value, template: &Value) {
        see::<DeploymentView>(
            observed,
            json!({"metadata": {"name": name, "namespace": "shop", "labels": own},
            "spec": {"template": {"metadata": {"labels": template}, "spec": {"containers": [{"name": "a"}]}}}}),
        );
    }

    fn label(budget: &str) -> Value {
        json!({"poolbudget.dev/budget": budget})
    }

    #[test]
    fn a_label_of_a_budget_that_is_not_there_is_told_with_the_nearest_one() {
        let observed = Observed::default();
        for (name, own, template) in [
            ("api", label("man"), label("man")),
            ("web", json!({}), label("reports")),
            ("half", label("mian"), json!({})),
            ("fine", label("main"), label("main")),
            ("free", json!({}), json!({})),
        ] {
            deployment(&observed, name, &own, &template);
        }
        // An old revision belongs to its workload.
        see::<ReplicaSetView>(
            &observed,
            json!({"metadata": {"name": "fine-1", "namespace": "shop", "ownerReferences":
            [{"apiVersion": "apps/v1", "kind": "Deployment", "name": "fine", "uid": "f", "controller": true}]},
            "spec": {"replicas": 0, "template": {"metadata": {"labels": label("man")}}}}),
        );
        let none = strays(&observed.world(), "shop");
        assert!(
            none.iter().all(|told| told.ends_with("; there is none at all")) && none.len() == 4,
            "{none:?}"
        );
        see::<DbConnectionBudget>(
            &observed,
            json!({"metadata": {"name": "main", "namespace": "shop"},
            "spec": {"limit": {"connections": 5}}}),
        );
        let sentence = |workload: &str, budget: &str, hint: &str| {
            format!(
                "Deployment/{workload} has the label of budget {budget}, which does not exist in namespace shop: its new pods \
                 wait at the gate; {hint}"
            )
        };
        let expected = [
            sentence("api", "man", "did you mean main?"),
            sentence("half", "mian", "did you mean main?"),
            sentence("web", "reports", "there are: main"),
        ];
        assert_eq!(strays(&observed.world(), "shop"), expected);
    }

    #[test]
    fn of_very_many_some_are_named() {
        let observed = Observed::default();
        (0..12).for_each(|n| deployment(&observed, &format!("w{n:02}"), &json!({}), &label("man")));
        let told = strays(&observed.world(), "shop");
        assert_eq!(
            (told.len(), told[10].as_str()),
            (11, "and 2 more workloads name budgets that do not exist")
        );
    }
}
