//! What is read from objects of each kind.

use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use crate::budget::rollout::IntOrPercent::{Int, Percent};
use crate::cluster::pod::PodView;

fn record<V: WorkloadView>(mut object: Value) -> WorkloadRecord {
    object["metadata"]["name"] = json!("w");
    object["metadata"]["namespace"] = json!("shop");
    serde_json::from_value::<V>(object).expect("an object").record().expect("a record")
}

fn pod(name: &str, labels: &Value) -> PodRecord {
    let mut labels = labels.clone();
    labels[names::BUDGET] = json!("main");
    let pod = json!({"metadata": {"name": name, "namespace": "shop", "uid": "u", "labels": labels}});
    PodRecord::read(&serde_json::from_value::<PodView>(pod).expect("a pod")).expect("a labelled pod")
}

fn controlled_by(api_version: &str, kind: &str) -> Value {
    json!([{"apiVersion": api_version, "kind": kind, "name": "o", "uid": "u", "controller": true}])
}

#[test]
fn a_stateful_set_is_ordered_and_replaces_one_pod_at_a_time_unless_it_says_otherwise() {
    let strategy = |spec: Value| record::<StatefulSetView>(json!({"spec": spec})).strategy;
    let one = Strategy::StatefulSet { max_unavailable: Some(Int(1)), ordered: true };
    assert_eq!(strategy(json!({})), one);
    let rolling = json!({"podManagementPolicy": "Parallel",
        "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "40%"}}});
    let parallel = Strategy::StatefulSet { max_unavailable: Some(Percent(40)), ordered: false };
    assert_eq!(strategy(rolling), parallel);
    let on_delete = Strategy::StatefulSet { max_unavailable: None, ordered: true };
    assert_eq!(strategy(json!({"updateStrategy": {"type": "OnDelete"}})), on_delete);
}

#[test]
fn a_pod_below_the_partition_and_one_that_nobody_replaces_are_not_old() {
    let newest = |kind: &str, name: &str| {
        let set = json!({"spec": {"updateStrategy": {"type": kind, "rollingUpdate": {"partition": 2}}},
            "status": {"updateRevision": "w-2"}});
        record::<StatefulSetView>(set).is_newest(&pod(name, &json!({"controller-revision-hash": "w-1"})))
    };
    assert_eq!(["w-1", "w-2", "w-3"].map(|name| newest("RollingUpdate", name)), [true, false, false]);
    assert!(newest("OnDelete", "w-3"));
    let new = pod("w-3", &json!({"controller-revision-hash": "w-2"}));
    let set = json!({"status": {"updateRevision": "w-2"}});
    assert!(record::<StatefulSetView>(set).is_newest(&new));
}

#[test]
fn pods_beyond_the_replicas_of_a_stateful_set_are_sent_away() {
    let away = |spec: Value, name: &str| {
        record::<StatefulSetView>(json!({"spec": spec})).sends_away(&pod(name, &json!({})))
    };
    let two = json!({"replicas": 2});
    assert_eq!(["w-0", "w-1", "w-2"].map(|name| away(two.clone(), name)), [false, false, true]);
    let from_five = json!({"replicas": 2, "ordinals": {"start": 5}});
    assert_eq!(
        ["w-4", "w-5", "w-6", "w-7"].map(|name| away(from_five.clone(), name)),
        [true, false, false, true]
    );
    assert!(!away(two, "odd"));
}

#[test]
fn a_daemon_set_has_the_replicas_that_its_controller_counts() {
    let set = json!({
        "metadata": {"generation": 4, "annotations": {"deprecated.daemonset.template.generation": "3"}},
        "spec": {"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": 0}}},
        "status": {"observedGeneration": 4, "desiredNumberScheduled": 5, "currentNumberScheduled": 4,
            "numberMisscheduled": 1, "numberReady": 3},
    });
    let set = record::<DaemonSetView>(set);
    assert_eq!((set.replicas, set.pods, set.ready, set.observed), (5, 5, 3, true));
    assert_eq!(set.strategy, Strategy::DaemonSet { max_surge: Percent(25), max_unavailable: Int(0) });
    let generations = ["2", "3"].map(|n| set.is_newest(&pod("p", &json!({"pod-template-generation": n}))));
    assert_eq!(generations, [false, true]);
    let on_delete = record::<DaemonSetView>(json!({"spec": {"updateStrategy": {"type": "OnDelete"}}}));
    assert_eq!((on_delete.strategy, on_delete.newest), (Strategy::OnDelete, None));
}

/// After a rollback, pods of an older number are new again, and only their controller can tell.
#[test]
fn pods_of_a_daemon_set_that_is_rolled_out_are_all_of_its_newest_revision() {
    let first_is_newest = |observed: i64, updated: i64| {
        let set = record::<DaemonSetView>(json!({
            "metadata": {"generation": 4, "annotations": {"deprecated.daemonset.template.generation": "3"}},
            "status": {"observedGeneration": observed, "desiredNumberScheduled": 2, "updatedNumberScheduled": updated},
        }));
        set.is_newest(&pod("p", &json!({"pod-template-generation": "1"})))
    };
    assert_eq!(
        [(4, 1), (4, 2), (3, 2)].map(|(seen, updated)| first_is_newest(seen, updated)),
        [false, true, false]
    );
}

#[test]
fn a_job_wants_the_pods_that_are_still_to_come() {
    let job = |spec: Value, status: Value| {
        let job = record::<JobView>(json!({"spec": spec, "status": status}));
        (job.replicas, job.ceiling)
    };
    assert_eq!(job(json!({}), json!({})), (1, Some(1)));
    let six = json!({"parallelism": 4, "completions": 6});
    assert_eq!(job(six.clone(), json!({})), (4, Some(4)));
    assert_eq!(job(six.clone(), json!({"succeeded": 4})), (2, Some(4)));
    assert_eq!(job(json!({"parallelism": 4, "completions": 2}), json!({})), (2, Some(2)));
    // Without completions, the first pod that succeeds says that there is no more to do.
    let queue = json!({"parallelism": 4});
    assert_eq!(job(queue.clone(), json!({"active": 4})), (4, Some(4)));
    assert_eq!(job(queue, json!({"active": 3, "succeeded": 1})), (3, Some(4)));
    let mut suspended = six.clone();
    suspended["suspend"] = json!(true);
    assert_eq!(job(suspended, json!({})), (0, None));
    for end in ["Complete", "Failed", "FailureTarget", "SuccessCriteriaMet"] {
        let over = json!({"conditions": [{"type": end, "status": "True"}]});
        assert_eq!(job(six.clone(), over), (0, None), "{end}");
    }
    let false_end = json!({"conditions": [{"type": "Failed", "status": "False"}]});
    assert_eq!(job(six, false_end), (4, Some(4)));
}

#[test]
fn a_job_of_a_cron_job_is_one_of_its_runs_and_any_other_is_a_workload() {
    let owner = |owners: Value| record::<JobView>(json!({"metadata": {"ownerReferences": owners}})).owner;
    let report = Some(WorkloadKey::new(WorkloadKind::CronJob, "o"));
    assert_eq!(owner(controlled_by("batch/v1", "CronJob")), report);
    assert_eq!(owner(controlled_by("keda.sh/v1alpha1", "ScaledJob")), None);
    assert_eq!(owner(json!([])), None);
}

#[test]
fn what_stands_on_the_jobs_of_a_cron_job_counts_as_it_will_for_their_pods() {
    let of = |job: Value, template: Value| {
        let spec =
            json!({"spec": {"jobTemplate": {"metadata": job, "spec": {"template": {"metadata": template}}}}});
        let record = record::<CronJobView>(spec);
        (record.template.budget.clone(), record.template.processes)
    };
    let label = json!({"poolbudget.dev/budget": "main"});
    let four = json!({"poolbudget.dev/processes": "4"});
    let main = Some("main".to_owned());
    assert_eq!(of(json!({"labels": label}), json!({})), (main.clone(), 1));
    assert_eq!(of(json!({"labels": label, "annotations": four}), json!({})), (main.clone(), 4));
    assert_eq!(of(json!({"annotations": four}), json!({"labels": label})), (main.clone(), 4));
    // The Job's annotation is the newer one.
    let one = json!({"poolbudget.dev/processes": "1"});
    assert_eq!(of(json!({"annotations": four}), json!({"labels": label, "annotations": one})), (main, 4));
    assert_eq!(of(json!({"annotations": four}), json!({})), (None, 1));
}

#[test]
fn jobs_and_cron_jobs_whose_pods_bear_the_label_of_a_group_are_parts_of_it() {
    let owner = |label: &str, owners: Value| {
        let template = json!({"metadata": {"labels": {"poolbudget.dev/workload": label}}});
        let job = json!({"metadata": {"ownerReferences": owners}, "spec": {"template": template}});
        let cron = json!({"spec": {"jobTemplate": {"spec": {"template": template}}}});
        let (job, cron) = (record::<JobView>(job), record::<CronJobView>(cron));
        (job.workload().to_string(), cron.workload().to_string(), job.is_grouped(), cron.is_grouped())
    };
    let import = ("Job/import".to_owned(), "Job/import".to_owned(), true, true);
    assert_eq!(owner("import", json!([])), import);
    assert_eq!(owner("import", controlled_by("batch/v1", "CronJob")), import);
    assert_eq!(owner("", json!([])), ("Job/w".to_owned(), "CronJob/w".to_owned(), false, false));
}

#[test]
fn a_group_wants_what_its_jobs_want_and_room_for_one_run_of_each_of_its_cron_jobs() {
    let template = json!({"metadata": {"labels": {"poolbudget.dev/workload": "import"}}});
    let job = |owners: Value, more: Value| {
        let mut spec = more;
        spec["template"] = template.clone();
        Arc::new(record::<JobView>(json!({"metadata": {"ownerReferences": owners}, "spec": spec})))
    };
    let cron = json!({"spec": {"jobTemplate": {"spec": {"parallelism": 3, "template": template}}}});
    let cron = Arc::new(record::<CronJobView>(cron));
    let run = || job(controlled_by("batch/v1", "CronJob"), json!({"parallelism": 3}));
    let of = |parts: &[Arc<WorkloadRecord>]| {
        let group = WorkloadRecord::of_jobs(&WorkloadKey::new(WorkloadKind::Job, "import"), parts);
        group.map(|group| (group.replicas, group.ceiling))
    };
    let alone = || job(json!([]), json!({"parallelism": 2}));
    let suspended = job(json!([]), json!({"parallelism": 2, "suspend": true}));
    assert_eq!(of(&[]), None);
    assert_eq!(of(&[alone(), alone()]), Some((4, Some(4))));
    assert_eq!(of(&[Arc::clone(&cron)]), Some((0, Some(3))));
    assert_eq!(of(&[Arc::clone(&cron), run(), alone()]), Some((5, Some(5))));
    assert_eq!(of(&[Arc::clone(&cron), run(), run()]), Some((6, Some(3))));
    assert_eq!(of(&[suspended]), Some((0, None)));
}

#[test]
fn a_cron_job_keeps_room_for_one_run_and_says_when_that_is_no_bound() {
    let cron = |policy: Value, suspend: bool| {
        let job = json!({"spec": {"parallelism": 3, "completions": 9}});
        let spec = json!({"concurrencyPolicy": policy, "suspend": suspend, "jobTemplate": job});
        let cron = record::<CronJobView>(json!({"spec": spec}));
        (cron.replicas, cron.ceiling, cron.note.is_some())
    };
    assert_eq!(cron(json!("Allow"), false), (0, Some(3), true));
    assert_eq!(cron(json!("Forbid"), false), (0, Some(3), false));
    assert_eq!(cron(json!("Replace"), false), (0, Some(3), false));
    assert_eq!(cron(json!("Allow"), true), (0, None, false));
}

#[test]
fn a_rollout_needs_a_second_set_unless_it_is_a_canary_that_shifts_pods() {
    let rollout = |strategy: Value| {
        record::<RolloutView>(
            json!({"metadata": {"generation": 7}, "spec": {"replicas": 4, "strategy": strategy},
            "status": {"observedGeneration": "7"}}),
        )
    };
    let canary =
        rollout(json!({"canary": {"maxSurge": 1, "maxUnavailable": "10%", "steps": [{"setWeight": 20}]}}));
    assert_eq!((canary.replicas, canary.observed), (4, true));
    let numbers = Strategy::RollingUpdate { max_surge: Int(1), max_unavailable: Percent(10) };
    assert_eq!(canary.strategy, numbers);
    assert_eq!(rollout(json!({"canary": {}})).strategy, Strategy::default());
    let routed = json!({"canary": {"maxSurge": 1, "trafficRouting": {"nginx": {"stableIngress": "i"}}}});
    assert_eq!(rollout(routed).strategy, Strategy::Twice);
    let preview = json!({"blueGreen": {"activeService": "a", "previewReplicaCount": 1}});
    assert_eq!(rollout(preview).strategy, Strategy::Twice);
}

#[test]
fn a_replica_set_is_a_revision_of_a_deployment_or_rollout_and_otherwise_a_workload() {
    let set = |owners: Value, note: &str| {
        let set = record::<ReplicaSetView>(json!({
            "metadata": {"ownerReferences": owners, "annotations": {note: "8"}}, "spec": {"replicas": 2}}));
        (set.workload().to_string(), set.revision, set.replicas)
    };
    let deployment = set(controlled_by("apps/v1", "Deployment"), "deployment.kubernetes.io/revision");
    assert_eq!(deployment, ("Deployment/o".to_owned(), 8, 2));
    let rollout = set(controlled_by("argoproj.io/v1alpha1", "Rollout"), "rollout.argoproj.io/revision");
    assert_eq!(rollout, ("Rollout/o".to_owned(), 8, 2));
    let alone = set(controlled_by("apps.kruise.io/v1alpha1", "Rollout"), "none");
    assert_eq!(alone, ("ReplicaSet/w".to_owned(), 0, 2));
}
