//! Jobs that one label makes one workload: explained, and what of them counts.

use super::*;
use crate::budget::ledger::Unadopted;
use crate::cluster::workload::JobView;

/// Jobs of one group, each with one pod that also has the group's label.
fn with_jobs(mut shop: Shop, names: &[&str], more: &Value) -> Shop {
    for name in names {
        let labels = json!({"poolbudget.dev/budget": "main", "poolbudget.dev/workload": "import"});
        shop.see::<JobView>(json!({
            "metadata": {"name": name, "namespace": "shop", "uid": name},
            "spec": {"template": {"metadata": {"labels": labels}, "spec": {"containers": [container()]}}},
        }));
        let mut pod = json!({"metadata": {"labels": labels, "ownerReferences": [
            {"apiVersion": "batch/v1", "kind": "Job", "name": name, "uid": name, "controller": true}]}});
        merge(&mut pod, more);
        shop = shop.pod(&format!("{name}-x"), "none", &pod);
    }
    shop
}

#[test]
fn the_jobs_of_a_group_are_one_workload_with_one_share_and_one_entry() {
    let entry =
        json!({"workloads": [{"kind": "Job", "name": "import", "connectionsPerProcess": {"max": 2}}]});
    let shop = with_jobs(Shop::new(&entry, &json!({})), &["a-1", "b-2", "c-3"], &waiting());
    let whole = "3 replicas, 0 with a grant, 3 waiting; a pod of it gets 1 + 1 = 2 connections";
    for target in ["job/import", "job/b-2", "import", "b-2"] {
        shop.tells(target, "Job/import in namespace shop");
        shop.tells(target, whole);
    }
    shop.tells("a-1-x", "Job/import");
    let without = with_jobs(Shop::new(&json!({}), &json!({})), &["a-1", "b-2", "c-3"], &waiting());
    without.tells("job/import", "a pod of it gets 2 + 2 = 4 connections");
}

#[test]
fn a_job_that_bears_the_name_of_a_group_is_of_it() {
    let shop = with_jobs(Shop::new(&json!({}), &json!({})), &["a-1"], &waiting());
    let template = json!({"metadata": {"labels": {"poolbudget.dev/budget": "main"}}, "spec": {"containers": [container()]}});
    shop.see::<JobView>(json!({
        "metadata": {"name": "import", "namespace": "shop", "uid": "i"},
        "spec": {"parallelism": 2, "template": template},
    }));
    shop.tells("job/import", "3 replicas, 0 with a grant, 1 waiting");
}

#[test]
fn jobs_of_a_group_that_are_in_no_budget_or_in_another_one_do_not_count() {
    let shop = with_jobs(Shop::new(&json!({}), &json!({})), &["a-1"], &waiting());
    for (name, budget) in [("b-2", json!(null)), ("c-3", json!("other"))] {
        let mut labels = json!({"poolbudget.dev/workload": "import"});
        if !budget.is_null() {
            labels["poolbudget.dev/budget"] = budget;
        }
        shop.see::<JobView>(json!({
            "metadata": {"name": name, "namespace": "shop", "uid": name},
            "spec": {"parallelism": 5, "template": {"metadata": {"labels": labels}, "spec": {"containers": [container()]}}},
        }));
    }
    let look = shop.0.look("main").unwrap_or_else(|why| panic!("{why}"));
    let workloads = &look.view.scene.situation.workloads;
    assert_eq!(workloads.len(), 1);
    let only = workloads.first().expect("one");
    assert_eq!((only.demand.name.as_str(), only.demand.replicas.get()), ("Job/import", 1));
    assert_eq!(only.unadopted, Unadopted::default());
}

#[test]
fn a_group_whose_jobs_are_over_is_there_as_long_as_a_pod_of_it_is() {
    let over = |shop: &Shop| {
        let labels = json!({"poolbudget.dev/budget": "main", "poolbudget.dev/workload": "import"});
        shop.see::<JobView>(json!({
            "metadata": {"name": "a-1", "namespace": "shop", "uid": "a-1"},
            "spec": {"template": {"metadata": {"labels": labels}, "spec": {"containers": [container()]}}},
            "status": {"conditions": [{"type": "Failed", "status": "True"}]},
        }));
        let look = shop.0.look("main").unwrap_or_else(|why| panic!("{why}"));
        look.view.scene.situation.workloads.len()
    };
    assert_eq!(over(&with_jobs(Shop::new(&json!({}), &json!({})), &["a-1"], &granted(1, 0, 1))), 1);
    assert_eq!(over(&with_jobs(Shop::new(&json!({}), &json!({})), &[], &json!({}))), 0);
}
