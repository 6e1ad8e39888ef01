//! When a pod is over: what was seen to end, and what is only called over.
//!
//! In: a pod. Out: an [`End`]. A phase alone is no evidence: the garbage collector writes Failed on pods of lost nodes,
//! and what a kubelet started there may run on. A container that ended is no evidence either while its pod goes on: the
//! kubelet starts it again, and reports late. Both together are evidence. The sources are those of Kubernetes 1.33 and
//! 1.36.
//!
//! Ephemeral containers are ignored: none of them can be named as one that opens connections, so they add nothing to
//! the pod's connection count, and they end with their pod.

use super::env::Container;
use super::pod::{ContainerStatusView, PodView};

/// How far a pod has come to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It runs, or will.
    No,
    /// Its phase says that it is over, but nobody has seen all its containers end.
    Said,
    /// Nothing of it runs, and nothing will run again.
    Seen,
}

/// What a kubelet puts before its reason for rejecting a pod, whatever the reason (`kubelet.go: rejectPod`): no room
/// for its cpu, memory, devices or port, another node's affinity, a node that shuts down or lacks memory. The reason
/// alone is no evidence: pods that never started and pods that ran get `Evicted`, only pods that ran get `Preempting`.
const REJECTED: &str = "Pod was rejected: ";

/// The reason in the condition DisruptionTarget of a pod whose phase the garbage collector wrote, because its node is
/// gone (`gc_controller.go: gcOrphaned`). The collector does not touch pods that are already over.
const COLLECTED: &str = "DeletionByPodGC";

/// The reasons in the conditions Ready and ContainersReady of a pod whose phase its kubelet wrote
/// (`status/generate.go`). A kubelet writes a final phase only when none of the pod's containers can run any more
/// (`status_manager.go: mergePodStatus`).
const TOLD_BY_KUBELET: [&str; 2] = ["PodFailed", "PodCompleted"];

/// How far a pod has come to its end.
#[must_use]
pub fn end(pod: &PodView) -> End {
    let over = matches!(pod.status.phase.as_deref(), Some("Succeeded" | "Failed"));
    if pod.spec.node_name.is_none() {
        // Only a kubelet starts containers, and only of pods bound to its node; a pod that is being deleted is never
        // bound (`registry/core/pod/storage: setPodNodeAndMetadata`).
        let never = over || pod.metadata.deletion_timestamp.is_some();
        return if never { End::Seen } else { End::No };
    }
    if !over {
        return End::No;
    }
    let seen = is_rejected(pod) || (!is_collected(pod) && has_each_container_ended(pod));
    if seen { End::Seen } else { End::Said }
}

/// Whether its kubelet rejected it. Started containers leave a status, except when a kubelet restarts and rejects a pod
/// that it ran before; it has to end that pod first, too.
fn is_rejected(pod: &PodView) -> bool {
    let status = &pod.status;
    status.phase.as_deref() == Some("Failed")
        && status.start_time.is_some()
        && status.message.as_deref().is_some_and(|message| message.starts_with(REJECTED))
        && status.container_statuses.is_empty()
        && status.init_container_statuses.is_empty()
}

fn is_collected(pod: &PodView) -> bool {
    pod.status.conditions.iter().any(|c| c.reason.as_deref() == Some(COLLECTED))
}

/// Whether each container, by name, is reported to have ended: a missing status is no report.
fn has_each_container_ended(pod: &PodView) -> bool {
    let told = told_by_kubelet(pod);
    let init = pod.spec.init_containers.iter().all(|container| {
        let reports = || reports(container, &pod.status.init_container_statuses);
        // Init containers after a failed one have no status, or wait.
        (reports().next().is_some() || told) && reports().all(|report| has_ended(report, told))
    });
    let regular = pod.spec.containers.iter().all(|container| {
        let reports = || reports(container, &pod.status.container_statuses);
        reports().next().is_some() && reports().all(|report| has_ended(report, told))
    });
    init && regular && !pod.spec.containers.is_empty()
}

/// Whether the kubelet itself wrote the phase.
fn told_by_kubelet(pod: &PodView) -> bool {
    pod.status.conditions.iter().any(|c| {
        matches!(c.type_.as_str(), "Ready" | "ContainersReady")
            && c.reason.as_deref().is_some_and(|reason| TOLD_BY_KUBELET.contains(&reason))
    })
}

fn reports<'a>(
    container: &'a Container,
    reports: &'a [ContainerStatusView],
) -> impl Iterator<Item = &'a ContainerStatusView> {
    reports.iter().filter(|report| report.name == container.name)
}

/// Whether a container ended, or never ran: a pod whose init container fails, or that is deleted meanwhile, ends with
/// containers that still wait for their turn.
fn has_ended(report: &ContainerStatusView, told: bool) -> bool {
    let state = &report.state;
    let untouched = state.running.is_none() && report.runs() == 0;
    state.terminated.is_some() || (told && untouched)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn end_of(spec: &Value, status: &Value) -> End {
        let pod =
            json!({"metadata": {"name": "p", "namespace": "n", "uid": "u"}, "spec": spec, "status": status});
        end(&serde_json::from_value(pod).expect("a pod"))
    }

    fn bound(containers: &[&str], init: &[Value]) -> Value {
        let containers: Vec<Value> = containers.iter().map(|name| json!({"name": name})).collect();
        json!({"nodeName": "a", "containers": containers, "initContainers": init})
    }

    fn report(name: &str, state: &str) -> Value {
        json!({"name": name, "restartCount": 0, "state": {state: {"exitCode": 0}}})
    }

    fn signed(phase: &str) -> Value {
        json!([{"type": "Ready", "status": "False", "reason": if phase == "Failed" { "PodFailed" } else { "PodCompleted" }}])
    }

    #[test]
    fn a_pod_that_only_its_phase_calls_over_was_not_seen_to_end() {
        let one = bound(&["app"], &[]);
        for phase in ["Failed", "Succeeded"] {
            assert_eq!(end_of(&one, &json!({"phase": phase})), End::Said, "{phase}");
            assert_eq!(end_of(&one, &json!({"phase": phase, "containerStatuses": []})), End::Said, "{phase}");
            let running = json!({"phase": phase, "containerStatuses": [report("app", "running")]});
            assert_eq!(end_of(&one, &running), End::Said, "{phase}");
            let ended = json!({"phase": phase, "containerStatuses": [report("app", "terminated")]});
            assert_eq!(end_of(&one, &ended), End::Seen, "{phase}");
        }
    }

    #[test]
    fn each_container_has_to_be_told_of_by_its_name() {
        let two = bound(&["app", "proxy"], &[]);
        let status = |reports: &[Value]| json!({"phase": "Failed", "containerStatuses": reports});
        assert_eq!(end_of(&two, &status(&[report("proxy", "terminated")])), End::Said);
        let twice = [report("proxy", "terminated"), report("proxy", "terminated")];
        assert_eq!(end_of(&two, &status(&twice)), End::Said);
        let both = [report("proxy", "terminated"), report("app", "terminated")];
        assert_eq!(end_of(&two, &status(&both)), End::Seen);
        let contradicted = [both[0].clone(), both[1].clone(), report("app", "running")];
        assert_eq!(end_of(&two, &status(&contradicted)), End::Said);
    }

    #[test]
    fn a_container_that_ended_in_a_pod_that_goes_on_is_started_again() {
        let mut pod = json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}, "spec": bound(&["app"], &[]),
            "status": {"phase": "Running", "containerStatuses": [report("app", "terminated")]}});
        let read = |pod: &Value| end(&serde_json::from_value(pod.clone()).expect("a pod"));
        assert_eq!(read(&pod), End::No);
        pod["status"]["phase"] = json!("Failed");
        assert_eq!(read(&pod), End::Seen);
    }

    #[test]
    fn a_sidecar_and_an_init_container_that_started_have_to_end_as_well() {
        let init = [json!({"name": "migrate"}), json!({"name": "proxy", "restartPolicy": "Always"})];
        let spec = bound(&["app"], &init);
        let status = |init: &[Value]| json!({"phase": "Succeeded", "containerStatuses": [report("app", "terminated")], "initContainerStatuses": init});
        let runs = [report("migrate", "terminated"), report("proxy", "running")];
        assert_eq!(end_of(&spec, &status(&runs)), End::Said);
        let untold = [report("migrate", "terminated")];
        assert_eq!(end_of(&spec, &status(&untold)), End::Said);
        let over = [report("migrate", "terminated"), report("proxy", "terminated")];
        assert_eq!(end_of(&spec, &status(&over)), End::Seen);
    }

    #[test]
    fn what_never_had_its_turn_is_over_where_the_kubelet_itself_says_so() {
        let spec = bound(&["app"], &[json!({"name": "migrate"}), json!({"name": "second"})]);
        let status = |waits: &Value, conditions: &Value| {
            json!({"phase": "Failed", "conditions": conditions, "containerStatuses": [waits],
            "initContainerStatuses": [report("migrate", "terminated"), report("second", "waiting")]})
        };
        let waits = report("app", "waiting");
        assert_eq!(end_of(&spec, &status(&waits, &signed("Failed"))), End::Seen);
        assert_eq!(end_of(&spec, &status(&waits, &json!([]))), End::Said);
        let ran = json!({"name": "app", "restartCount": 1, "state": {"waiting": {}}, "lastState": {"terminated": {}}});
        assert_eq!(end_of(&spec, &status(&ran, &signed("Failed"))), End::Said);
    }

    #[test]
    fn what_the_garbage_collector_calls_failed_may_run_on() {
        let condition = json!([{"type": "DisruptionTarget", "status": "True", "reason": "DeletionByPodGC"}]);
        let status = json!({"phase": "Failed", "conditions": condition, "containerStatuses": [report("app", "terminated")]});
        assert_eq!(end_of(&bound(&["app"], &[]), &status), End::Said);
    }

    #[test]
    fn a_pod_that_its_kubelet_did_not_take_in_never_ran() {
        let one = bound(&["app"], &[]);
        let status = |reason: &str, message: &str| json!({"phase": "Failed", "reason": reason, "message": message, "startTime": "2026-01-01T00:00:00Z"});
        let reasons = [
            "OutOfcpu",
            "OutOfnvidia.com/gpu",
            "NodeAffinity",
            "NodePorts",
            "UnexpectedAdmissionError",
            "Evicted",
        ];
        for reason in reasons {
            assert_eq!(end_of(&one, &status(reason, "Pod was rejected: no room")), End::Seen, "{reason}");
        }
        for reason in ["Evicted", "Preempting", "NodeLost", "Terminated", "OutOfcpu"] {
            assert_eq!(end_of(&one, &status(reason, "The node was low on memory")), End::Said, "{reason}");
        }
        let mut ran = status("NodeAffinity", "Pod was rejected: labels");
        ran["containerStatuses"] = json!([report("app", "running")]);
        assert_eq!(end_of(&one, &ran), End::Said);
    }

    #[test]
    fn a_pod_that_was_never_bound_never_ran() {
        let spec = json!({"containers": [{"name": "app"}]});
        assert_eq!(end_of(&spec, &json!({"phase": "Failed"})), End::Seen);
        assert_eq!(end_of(&spec, &json!({"phase": "Pending"})), End::No);
        let deleted = json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}, "spec": spec});
        assert_eq!(end(&serde_json::from_value(deleted).expect("a pod")), End::Seen);
    }
}
