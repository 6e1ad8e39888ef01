//! The watches: lists that fail, streams that break, events that report errors, unreadable objects.

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use poolbudget::api::BudgetKey;
use poolbudget::api::WorkloadKind;
use poolbudget::cluster::workload::WorkloadKey;
use poolbudget::controller::dispatch::Requests;
use poolbudget::controller::follow::{Watches, watch_all};
use poolbudget::controller::observe::Observed;
use poolbudget::controller::refused::{Purpose, Refusals};
use poolbudget::telemetry::metrics::Metrics;
use serde_json::{Value, json};
use testkit::objects::{self, BUDGET_LABEL, Workload, budget_object, deployment, granted_pod, stored};
use tokio::sync::mpsc::UnboundedReceiver;

use super::wire::{Trouble, Wire, until};

/// The kinds whose lists are needed before anything is decided, as they appear in a path.
const KINDS: [&str; 9] = [
    "dbconnectionbudgets",
    "pods",
    "deployments",
    "replicasets",
    "statefulsets",
    "daemonsets",
    "/jobs",
    "cronjobs",
    "horizontalpodautoscalers",
];

const TROUBLES: [Trouble; 8] = [
    Trouble::Refused(403),
    // The resource is not installed.
    Trouble::Refused(404),
    Trouble::Refused(410),
    Trouble::Refused(429),
    Trouble::Refused(500),
    Trouble::Refused(503),
    Trouble::Broken,
    Trouble::Nonsense,
];

/// All watches, and what they have seen.
pub(crate) struct Watching {
    pub(crate) wire: Wire,
    pub(crate) observed: Observed,
    refusals: Refusals,
    metrics: Metrics,
    requested: UnboundedReceiver<BudgetKey>,
    watches: Watches,
}

impl Watching {
    pub(crate) fn start(prepare: impl FnOnce(&Wire)) -> Self {
        let (wire, client) = Wire::start();
        prepare(&wire);
        let (observed, refusals, metrics) = (Observed::default(), Refusals::default(), Metrics::default());
        let (requests, requested) = Requests::channel();
        let watches = watch_all(&client, &observed, &refusals, &requests, &metrics);
        Self { wire, observed, refusals, metrics, requested, watches }
    }

    pub(crate) async fn synced(prepare: impl FnOnce(&Wire)) -> Self {
        let mut watching = Self::start(prepare);
        watching.sync().await;
        watching
    }

    async fn sync(&mut self) {
        tokio::time::timeout(Duration::from_secs(60), self.watches.synced())
            .await
            .expect("all kinds are listed");
    }

    async fn sync_within(&mut self, seconds: u64) -> bool {
        tokio::time::timeout(Duration::from_secs(seconds), self.watches.synced()).await.is_ok()
    }

    pub(crate) fn sees(&self, pod: &str) -> bool {
        self.observed.world().pods.find("shop", pod).is_some()
    }

    pub(crate) fn counted(&self, class: &str) -> bool {
        let line = format!("poolbudget_api_errors_total{{class=\"{class}\"}} ");
        let rendered = self.metrics.render();
        let count = rendered.lines().find_map(|text| text.strip_prefix(&line));
        count.is_some_and(|count| count != "0")
    }

    /// Forgets earlier requests.
    fn drain(&mut self) {
        while self.requested.try_recv().is_ok() {}
    }

    async fn requests(&mut self, name: &str) {
        let requested = tokio::time::timeout(Duration::from_secs(60), self.requested.recv()).await;
        assert_eq!(requested.expect("a request"), Some(BudgetKey::new("shop", name)));
    }
}

fn running(pod: Workload, name: &str, version: u64) -> Value {
    let status = json!({"containerStatuses": [{"state": {"running": {}}}]});
    let pod = pod.pod_spec("nodeName", "node-0").status(status);
    stored(pod.json(), &format!("uid-{name}"), version)
}

pub(crate) fn pod(name: &str, version: u64) -> Value {
    running(objects::pod("shop", name).label(BUDGET_LABEL, "main"), name, version)
}

fn granted(name: &str, version: u64) -> Value {
    running(granted_pod("shop", name, "main", 1, 2), name, version)
}

pub(crate) fn budget(name: &str, mode: &str) -> Value {
    let spec = json!({"limit": {"connections": 15}, "mode": mode});
    stored(budget_object("shop", name, &spec), &format!("uid-{name}"), 5)
}

/// The error of a watch whose past is compacted.
pub(crate) fn expired() -> Value {
    json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 410, "reason": "Expired",
        "message": "too old resource version"})
}

#[tokio::test(start_paused = true)]
async fn nothing_is_decided_before_every_kind_was_listed_and_a_list_that_fails_is_tried_again() {
    let cases = KINDS.iter().flat_map(|kind| TROUBLES.map(|trouble| (*kind, trouble)));
    for ((kind, trouble), streams) in cases.flat_map(|case| [(case, false), (case, true)]) {
        let mut watching = Watching::start(|wire| {
            wire.state().streams = streams;
            wire.fail(kind, trouble);
        });
        assert!(!watching.sync_within(30).await, "{kind} {trouble:?} {streams}");
        assert!(watching.counted("watch"), "{kind} {trouble:?} {streams}");
        let tries = watching.wire.asked(kind);
        assert!((5..=15).contains(&tries), "{kind} {trouble:?} {streams}: {tries} tries in 30 s");
        watching.wire.heal();
        watching.sync().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_kind_that_is_not_installed_keeps_nothing_from_anything_and_is_followed_once_it_is() {
    let mut watching = Watching::start(|wire| {
        let rollout = json!({"metadata": {"name": "api", "namespace": "shop"}, "spec": {"replicas": 3}});
        wire.state().lists.insert("rollouts".into(), vec![stored(rollout, "uid-api", 7)]);
    });
    watching.sync().await;
    let api = WorkloadKey::new(WorkloadKind::Rollout, "api");
    let seen = |watching: &Watching| watching.observed.world().workloads.find("shop", &api).is_some();
    assert_eq!((watching.wire.asked("rollouts"), watching.counted("watch")), (0, false));
    watching.wire.state().installed = true;
    until("the Rollout is seen", || seen(&watching)).await;
    // If its kind is gone, an object is gone.
    watching.wire.state().installed = false;
    until("the Rollout is forgotten", || !seen(&watching)).await;
    watching.wire.state().installed = true;
    until("the Rollout is seen again", || seen(&watching)).await;
    assert!(!watching.counted("watch"));
}

#[tokio::test(start_paused = true)]
async fn while_it_is_not_known_whether_a_kind_is_installed_nothing_is_decided() {
    let mut watching = Watching::start(|wire| wire.fail("/argoproj.io/v1alpha1", Trouble::Refused(503)));
    assert!(!watching.sync_within(30).await);
    assert!(watching.counted("watch"));
    watching.wire.heal();
    watching.sync().await;
}

#[tokio::test(start_paused = true)]
async fn a_list_without_an_answer_keeps_the_others_from_nothing() {
    let mut watching = Watching::start(|wire| {
        wire.state().lists.insert("pods".into(), vec![pod("a", 3)]);
        wire.fail("replicasets", Trouble::Silence);
    });
    assert!(!watching.sync_within(30).await);
    assert!(watching.sees("a"));
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_cannot_be_started_is_tried_again_and_misses_nothing() {
    for trouble in TROUBLES {
        let watching = Watching::synced(|wire| wire.fail("watch=true", trouble)).await;
        until("errors are counted", || watching.counted("watch")).await;
        watching.wire.state().lists.insert("pods".into(), vec![pod("late", 60)]);
        watching.wire.heal();
        let watched = watching.wire.asked("pods?&watch=true");
        until("the watch begins", || watching.wire.asked("pods?&watch=true") > watched).await;
        // With the version of its list it resumes from there; the server sends what has happened since.
        tokio::time::sleep(Duration::from_secs(1)).await;
        watching.wire.tell("pods", "ADDED", &pod("late", 60));
        until("the pod is seen", || watching.sees("late")).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_breaks_is_taken_up_again() {
    let watching = Watching::synced(|_| {}).await;
    until("the watch begins", || watching.wire.asked("pods?&watch=true") == 1).await;
    watching.wire.break_off("pods");
    until("the watch begins again", || watching.wire.asked("pods?&watch=true") >= 2).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    watching.wire.tell("pods", "ADDED", &pod("a", 60));
    until("the pod is seen", || watching.sees("a")).await;
}

#[tokio::test(start_paused = true)]
async fn when_the_past_is_compacted_everything_is_listed_anew_and_what_vanished_is_noted() {
    let mut watching = Watching::synced(|wire| {
        // This one had no node when it was last seen, but may have got one since.
        let mut unbound = granted("unbound", 5);
        unbound["spec"]["nodeName"].take();
        wire.state().lists.insert("pods".into(), vec![granted("gone", 3), pod("stays", 4), unbound]);
    })
    .await;
    until("the watch begins", || watching.wire.asked("pods?&watch=true") == 1).await;
    watching.drain();
    watching.wire.state().lists.insert("pods".into(), vec![pod("stays", 4), pod("new", 70)]);
    watching.wire.tell("pods", "ERROR", &expired());
    until("the new pod is seen", || watching.sees("new")).await;
    until("the old one is not", || !watching.sees("gone")).await;
    assert!(watching.sees("stays"));
    watching.requests("main").await;
    let vanished = watching.observed.world().take_departures(&BudgetKey::new("shop", "main"));
    let mut vanished: Vec<&str> = vanished.iter().map(|gone| gone.pod.name.as_str()).collect();
    vanished.sort_unstable();
    assert_eq!(vanished, ["gone", "unbound"]);
}

#[tokio::test(start_paused = true)]
async fn a_new_list_with_another_pod_of_the_same_name_tells_that_the_first_one_has_vanished() {
    let with_uid = |version: u64, uid: &str| {
        let mut pod = granted("data-0", version);
        pod["metadata"]["uid"] = json!(uid);
        pod
    };
    let mut watching = Watching::synced(|wire| {
        wire.state().lists.insert("pods".into(), vec![with_uid(3, "first")]);
    })
    .await;
    until("the watch begins", || watching.wire.asked("pods?&watch=true") == 1).await;
    watching.drain();
    watching.wire.state().lists.insert("pods".into(), vec![with_uid(70, "second")]);
    watching.wire.tell("pods", "ERROR", &expired());
    watching.requests("main").await;
    let vanished = watching.observed.world().take_departures(&BudgetKey::new("shop", "main"));
    let vanished: Vec<&str> = vanished.iter().map(|gone| gone.pod.uid.as_str()).collect();
    assert_eq!(vanished, ["first"]);
}

#[tokio::test(start_paused = true)]
async fn a_budget_that_cannot_be_read_stops_neither_its_list_nor_its_watch() {
    let mut watching = Watching::synced(|wire| {
        let list = vec![budget("odd", "Auction"), budget("main", "Gate")];
        wire.state().lists.insert("dbconnectionbudgets".into(), list);
    })
    .await;
    {
        let world = watching.observed.world();
        assert!(world.budgets.find("shop", "main").is_some() && world.budgets.find("shop", "odd").is_none());
        let why = world.budgets.unreadable("shop", "odd").expect("a complaint").why.clone();
        assert!(why.starts_with("spec.mode: unknown variant `Auction`"), "{why}");
    }
    assert!(watching.counted("unreadable"));
    watching.requests("odd").await;
    watching.requests("main").await;
    watching.wire.tell("dbconnectionbudgets", "MODIFIED", &budget("odd", "Gate"));
    watching.requests("odd").await;
    assert!(watching.observed.world().budgets.find("shop", "odd").is_some());
}

#[tokio::test(start_paused = true)]
async fn times_that_no_calendar_has_stop_nothing() {
    let far = "9999-12-31T23:59:59Z";
    let mut odd = stored(deployment("shop", "api").pod_label(BUDGET_LABEL, "main").json(), "uid-api", 5);
    odd["spec"]["template"]["metadata"]["creationTimestamp"] = json!(far);
    odd["metadata"]["managedFields"] = json!([{"manager": "m", "time": far}]);
    let mut odd_pod = pod("a", 6);
    odd_pod["status"]["conditions"] =
        json!([{"type": "PodScheduled", "status": "True", "lastTransitionTime": far}]);
    let watching = Watching::synced(|wire| {
        wire.state().lists.insert("deployments".into(), vec![odd]);
        wire.state().lists.insert("pods".into(), vec![odd_pod]);
    })
    .await;
    assert!(watching.sees("a"));
    let api = WorkloadKey::new(WorkloadKind::Deployment, "api");
    assert!(watching.observed.world().workloads.find("shop", &api).is_some());
    assert!(!watching.counted("unreadable") && !watching.counted("watch"));
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_cannot_be_read_takes_all_that_is_usable_until_it_is_gone() {
    let mut odd = pod("odd", 6);
    odd["spec"] = json!({"containers": "none"});
    let watching = Watching::synced(|wire| {
        wire.state().lists.insert("pods".into(), vec![odd.clone()]);
    })
    .await;
    let held = || watching.observed.world().pods.find("shop", "odd").map(|pod| pod.hold().bill().get());
    assert_eq!(held(), Some(u64::MAX));
    until("the watch begins", || watching.wire.asked("pods?&watch=true") == 1).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    odd["metadata"]["resourceVersion"] = json!("90");
    watching.wire.tell("pods", "DELETED", &odd);
    until("it is gone", || held().is_none()).await;
}

#[tokio::test(start_paused = true)]
async fn disruption_budgets_that_cannot_be_watched_keep_nothing_waiting() {
    for trouble in TROUBLES {
        let mut watching = Watching::synced(|wire| wire.fail("poddisruptionbudgets", trouble)).await;
        until("errors are counted", || watching.counted("watch")).await;
        watching.wire.heal();
        let key = BudgetKey::new("shop", "main");
        watching.refusals.note(&key, Purpose::Reclaim, "calm".into(), Timestamp::now());
        let watched = "poddisruptionbudgets?&watch=true";
        until("the watch begins", || watching.wire.asked(watched) >= 1).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        let calm = json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1",
            "metadata": {"name": "calm", "namespace": "shop", "resourceVersion": "80"}});
        watching.wire.tell("poddisruptionbudgets", "MODIFIED", &calm);
        watching.requests("main").await;
    }
}
