//! The rules that hold for every object, however odd: no panic, an answer, and never too small a count.
//!
//! In: objects as JSON. Out: nothing, or a panic that names the broken rule. The fuzz targets run the same functions.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use k8s_openapi::jiff::Timestamp;
use kube::runtime::watcher::Event;
use poolbudget::api::BudgetKey;
use poolbudget::api::{DbConnectionBudget, DbConnectionBudgetStatus};
use poolbudget::budget::ledger::Hold;
use poolbudget::cluster::autoscaler::AutoscalerView;
use poolbudget::cluster::guarded::Guarded;
use poolbudget::cluster::pod::PodView;
use poolbudget::cluster::workload::{DeploymentView, JobView, ReplicaSetView};
use poolbudget::controller::context;
use poolbudget::controller::observe::{Observed, Watched};
use poolbudget::controller::reconcile::Reconciler;
use poolbudget::telemetry::metrics::Metrics;
use serde_json::Value;
use testkit::may_hold::{may_hold, waits};

use crate::gateway::Paper;
use crate::objects::{BUDGET, NAMESPACE};

/// Some time after everything in `objects` was made.
const NOW: i64 = 1_800_000_000;

/// What the status says where there is no number: a limit is a million at most.
const ANY: u64 = i64::MAX.unsigned_abs();

/// Objects of one namespace.
#[derive(Clone, Debug, Default)]
pub(crate) struct Given {
    pub(crate) budget: Value,
    pub(crate) pods: Vec<Value>,
    pub(crate) deployments: Vec<Value>,
    pub(crate) sets: Vec<Value>,
    pub(crate) scalers: Vec<Value>,
    pub(crate) jobs: Vec<Value>,
}

/// A list arrives as the watch of `K` brings it.
fn list<K: Watched>(observed: &Observed, objects: &[Value]) {
    observed.take::<Guarded<K>>(Event::Init, seconds());
    for object in objects {
        // Through text, as it comes over the wire.
        let read = serde_json::from_str(&object.to_string()).expect("one odd object stops no list");
        observed.take::<Guarded<K>>(Event::InitApply(read), seconds());
    }
    observed.take::<Guarded<K>>(Event::InitDone, seconds());
}

fn now() -> Timestamp {
    Timestamp::from_second(NOW).expect("a time")
}

fn seconds() -> u64 {
    NOW.unsigned_abs()
}

/// Whether an API server could send it as a pod of the budget: it has a name, a uid and the label. The parts that say that
/// nothing runs are objects, as it writes them; serde would also read them from lists of their fields.
fn is_stored(pod: &Value) -> bool {
    let items = |path: &str| pod.pointer(path).and_then(Value::as_array).into_iter().flatten();
    let states = items("/status/initContainerStatuses").chain(items("/status/containerStatuses"));
    let mut parts =
        states.flat_map(|report| [report, &report["state"]]).chain(items("/spec/schedulingGates"));
    if parts.any(Value::is_array)
        || ["/metadata", "/spec", "/status"].iter().any(|path| pod.pointer(path).is_some_and(Value::is_array))
    {
        return false;
    }
    let meta = &pod["metadata"];
    let texts = ["name", "uid", "namespace"].iter().all(|key| meta[key].is_string());
    texts && meta["namespace"] == NAMESPACE && meta["labels"]["poolbudget.dev/budget"] == BUDGET
}

/// A pod is counted by all that it may hold.
pub(crate) fn a_pod_counts_in_full(pod: &Value) {
    let observed = Observed::default();
    list::<PodView>(&observed, std::slice::from_ref(pod));
    if !is_stored(pod) {
        return;
    }
    let world = observed.world();
    let name = pod["metadata"]["name"].as_str().expect("a name");
    let record = world.pods.find(NAMESPACE, name).expect("a labelled pod is counted");
    let may_hold = may_hold(pod).min(ANY);
    let counted = if record.ended { Hold::Waiting } else { record.hold() };
    assert!(counted.bill().get() >= may_hold, "counted as {counted:?}, may hold {may_hold}: {pod:#}");
    if waits(pod) {
        assert!(record.fault().is_none_or(|why| why.len() < 1_000), "{:?}", record.fault());
    }
}

/// Looks at the budget twice, and judges what was written and said.
pub(crate) fn a_look_is_sound(given: &Given) {
    let paper = Paper::default();
    let stored: Vec<&Value> = given.pods.iter().filter(|pod| is_stored(pod)).collect();
    {
        let mut store = paper.store();
        store.budget = given.budget.clone();
        let named = stored
            .iter()
            .filter_map(|pod| Some((pod["metadata"]["name"].as_str()?.to_owned(), (*pod).clone())));
        store.pods = named.collect();
    }
    let observed = Observed::default();
    list::<DbConnectionBudget>(&observed, std::slice::from_ref(&given.budget));
    let pods: Vec<Value> = paper.store().pods.values().cloned().collect();
    list::<PodView>(&observed, &pods);
    list::<DeploymentView>(&observed, &given.deployments);
    list::<ReplicaSetView>(&observed, &given.sets);
    list::<AutoscalerView>(&observed, &given.scalers);
    list::<JobView>(&observed, &given.jobs);
    let parts = context::Context::new(paper.clone(), observed, Metrics::default(), now);
    let reconciler = Reconciler::new(parts);
    for _ in 0..2 {
        finished(reconciler.reconcile(BudgetKey::new(NAMESPACE, BUDGET)));
        judge(given, &paper);
    }
    assert!(!reconciler.context.metrics.render().is_empty());
}

/// Nothing is waited for on paper.
fn finished<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("waits for something"),
    }
}

fn judge(given: &Given, paper: &Paper) {
    let store = paper.store();
    for (about, note) in &store.said {
        assert!(!note.is_empty() && note.len() <= 1_024, "said of {about}: {note:?}");
    }
    for (pod, sizes) in &store.granted {
        assert!(sizes.pool_size >= 1 && sizes.max_overflow >= 0, "{pod} was granted {sizes:?}");
    }
    let held = store.pods.values().map(may_hold).fold(0, u64::saturating_add);
    let budget: Result<DbConnectionBudget, _> = serde_json::from_value(store.budget.clone());
    let unwritten = store.budget == given.budget;
    let Ok(budget) = budget else {
        assert!(store.granted.is_empty(), "a budget that cannot be read grants nothing");
        return;
    };
    if unwritten {
        assert!(store.granted.is_empty(), "nothing is granted that was not recorded");
        return;
    }
    let status = budget.status.unwrap_or_default();
    answers(&status);
    counts(given, &status, held, &store.granted.iter().map(|(pod, _)| pod.clone()).collect::<Vec<_>>());
}

/// A status that the API server takes, with every condition.
fn answers(status: &DbConnectionBudgetStatus) {
    let size = serde_json::to_string(status).expect("JSON").len();
    assert!(size < 200_000, "a status of {size} bytes");
    for condition in &status.conditions {
        assert!(!condition.message.is_empty() && condition.message.len() <= 32_768, "{condition:?}");
        assert!(condition.reason.chars().all(char::is_alphabetic), "{condition:?}");
    }
}

/// The status counts what is held, and what was granted fits.
fn counts(given: &Given, status: &DbConnectionBudgetStatus, held: u64, granted: &[String]) {
    let spec = &given.budget["spec"];
    let Some(limit) = spec["limit"]["connections"].as_u64() else { return };
    let usable = limit.saturating_sub(spec["reserved"].as_u64().unwrap_or(1));
    let committed = u64::try_from(status.committed).expect("no negative count");
    let left = u64::try_from(status.usable).expect("no negative count");
    if left > 0 {
        let counted = (usable - left).saturating_add(committed);
        assert!(held.min(ANY) <= counted, "{held} held, {counted} counted: {status:#?}");
    }
    let recorded: Vec<&str> = given.budget["status"]["ledger"]["grants"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|grant| grant["uid"].as_str())
        .collect();
    let fresh = granted.iter().any(|pod| !recorded.contains(&format!("uid-of-{pod}").as_str()));
    // Of a pod that is there and only called over, both tell.
    let is_there = |uid: &str| given.pods.iter().any(|pod| pod["metadata"]["uid"] == uid);
    let gone = status.ledger.quarantine.iter().filter(|entry| !is_there(&entry.uid));
    let gone: u64 = gone.map(|entry| entry.connections.unsigned_abs()).fold(0, u64::saturating_add);
    assert!(
        !fresh || held.saturating_add(gone) <= usable,
        "{held} held, {gone} not gone, {usable} usable: {status:#?}"
    );
}
