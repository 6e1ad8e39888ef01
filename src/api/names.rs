//! Every label, annotation, gate and finalizer name. The env names of apps stand in `profile::table`.

/// The API group of the resource and the prefix of every name.
pub const GROUP: &str = "poolbudget.dev";

/// Label: the budget that governs a workload or pod. The one opt-in.
pub const BUDGET: &str = "poolbudget.dev/budget";

/// Label: makes one workload of what would be several: of Jobs, in their pod template, and of pods that nobody made.
pub const WORKLOAD: &str = "poolbudget.dev/workload";

/// Labels by which pods that no controller of a known kind made are taken together, the first that a pod bears.
pub const GROUP_LABELS: [&str; 3] = [WORKLOAD, "app.kubernetes.io/name", "app"];

/// Scheduling gate that holds a pod until its grant.
pub const GATE: &str = "poolbudget.dev/connections";

/// App annotation: processes with a pool of their own in a container (default: what its command says, or else 1), or
/// `app=4,migrate=1`.
pub const PROCESSES: &str = "poolbudget.dev/processes";
/// App annotation: engines (pools) in each process (default 1).
pub const ENGINES: &str = "poolbudget.dev/engines";
/// App annotation: the containers that open connections, with commas between them (default: `profile::stated::Stated::taken`).
pub const CONTAINER: &str = "poolbudget.dev/container";
/// App annotation: which env names the app reads (default `SQLAlchemy`).
pub const PROFILE: &str = "poolbudget.dev/profile";
/// App annotation: own name of the env variable for `pool_size`.
pub const POOL_SIZE_ENV: &str = "poolbudget.dev/pool-size-env";
/// App annotation: own name of the env variable for `max_overflow`.
pub const MAX_OVERFLOW_ENV: &str = "poolbudget.dev/max-overflow-env";
/// App annotation: connections of one process, where the profile has no variable that could say it.
pub const CONNECTIONS_PER_PROCESS: &str = "poolbudget.dev/connections-per-process";
/// App annotation: connections that one process opens beside its pools, whatever size those have.
pub const EXTRA: &str = "poolbudget.dev/extra-connections";
/// App annotation: seconds that a checkout waits for a connection; set beside the size where the profile can.
pub const POOL_TIMEOUT: &str = "poolbudget.dev/pool-timeout";
/// App annotation: seconds after which a connection is opened afresh; set beside the size where the profile can.
pub const POOL_RECYCLE: &str = "poolbudget.dev/pool-recycle";
/// App annotation: whether a connection is tried before it is used; set beside the size where the profile can.
pub const POOL_PRE_PING: &str = "poolbudget.dev/pool-pre-ping";

/// The app annotations that are set as they are, beside the size.
pub const COMPANIONS: [&str; 3] = [POOL_TIMEOUT, POOL_RECYCLE, POOL_PRE_PING];

/// All app annotations, in the order in which they are explained.
pub const APP_ANNOTATIONS: [&str; 11] = [
    PROCESSES,
    ENGINES,
    CONTAINER,
    PROFILE,
    POOL_SIZE_ENV,
    MAX_OVERFLOW_ENV,
    CONNECTIONS_PER_PROCESS,
    EXTRA,
    POOL_TIMEOUT,
    POOL_RECYCLE,
    POOL_PRE_PING,
];

/// All annotations that an app is read from.
pub fn read_from() -> impl Iterator<Item = &'static str> {
    APP_ANNOTATIONS.into_iter().chain([DEFAULT_CONTAINER])
}

/// Grant annotation: `pool_size` of each instance; the container's env reads it.
pub const POOL_SIZE: &str = "poolbudget.dev/pool-size";
/// Grant annotation: `max_overflow` of each instance; the container's env reads it.
pub const MAX_OVERFLOW: &str = "poolbudget.dev/max-overflow";
/// Grant annotation: the whole pod's bill; the ledger reads this one.
pub const CONNECTIONS: &str = "poolbudget.dev/connections";

/// All grant annotations.
pub const GRANT_ANNOTATIONS: [&str; 3] = [POOL_SIZE, MAX_OVERFLOW, CONNECTIONS];

/// Annotation on a pod that waited before its budget was made: the uid of the budget that took it over. It says
/// nothing; being written, it makes every grant fail that an earlier budget of the same name may still have on its way.
pub const TAKEN_OVER_BY: &str = "poolbudget.dev/taken-over-by";

/// Annotation on a budget: the uids of entries of its quarantine that are to be dropped, with commas between them, because
/// somebody knows that nothing of them runs any more. No entry ever has the uid of another one, so it is obeyed once.
pub const FORGET: &str = "poolbudget.dev/forget";
/// The field manager of that annotation.
pub const FORGET_MANAGER: &str = "poolbudget-forget";

/// Annotation on a pod: the literal values that admission replaced, as JSON.
pub const REPLACED_ENV: &str = "poolbudget.dev/replaced-env";

/// Who may write a name of ours on a pod once the pod is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnPods {
    /// An annotation that the operator writes and later believes: nobody else.
    Operator,
    /// An annotation that the pod is counted by: nobody, it stays as the pod was born.
    Birth,
    /// A label that says whose the pod is: nobody either.
    Whose,
    /// Anybody, because nobody believes it on a pod, for this reason.
    Free(&'static str),
}

/// Every label and annotation above, and what admission makes of it on a pod. A new one belongs here too; the guard is made of
/// it.
pub const ON_PODS: [(&str, OnPods); 19] = [
    (BUDGET, OnPods::Whose),
    (WORKLOAD, OnPods::Whose),
    (PROCESSES, OnPods::Birth),
    (ENGINES, OnPods::Birth),
    (CONTAINER, OnPods::Birth),
    (PROFILE, OnPods::Birth),
    (POOL_SIZE_ENV, OnPods::Birth),
    (MAX_OVERFLOW_ENV, OnPods::Birth),
    (CONNECTIONS_PER_PROCESS, OnPods::Birth),
    (EXTRA, OnPods::Birth),
    (POOL_TIMEOUT, OnPods::Birth),
    (POOL_RECYCLE, OnPods::Birth),
    (POOL_PRE_PING, OnPods::Birth),
    (POOL_SIZE, OnPods::Operator),
    (MAX_OVERFLOW, OnPods::Operator),
    (CONNECTIONS, OnPods::Operator),
    (TAKEN_OVER_BY, OnPods::Operator),
    (REPLACED_ENV, OnPods::Birth),
    (FORGET, OnPods::Free("it is read from budgets")),
];

/// The names of which that is so.
pub fn on_pods(who: OnPods) -> impl Iterator<Item = &'static str> {
    ON_PODS.into_iter().filter(move |(_, known)| *known == who).map(|(name, _)| name)
}

/// The annotation of kubectl that says which container of a pod is meant when nobody names one.
pub const DEFAULT_CONTAINER: &str = "kubectl.kubernetes.io/default-container";

/// The annotation of Kubernetes on what a kubelet mirrors of a pod that it runs from a file.
pub const MIRROR_POD: &str = "kubernetes.io/config.mirror";

/// The Secret of the webhook's certificate.
pub const WEBHOOK_SECRET: &str = "poolbudget-webhook";

/// The profile of a template that names none.
pub const DEFAULT_PROFILE: &str = "SQLAlchemy";

/// The most processes (or engines) that an annotation may state.
pub const MAX_PROCESSES: u32 = 1000;

/// The most containers of a pod that may open connections.
pub const MAX_CONTAINERS: usize = 4;

/// The most containers of a pod, init containers included. It and the two that follow keep what a policy has to look at so
/// small that the API server looks at all of it.
pub const MAX_ALL_CONTAINERS: usize = 100;

/// The most env entries of a pod, in all of its containers.
pub const MAX_ENV: usize = 1000;

/// How many more a pod may have than its template: what the gate adds, and whoever else changes it.
pub const MAX_ENV_ADDED: usize = 100;

/// The most characters of what an annotation states about an app.
pub const MAX_STATED: usize = 512;

/// The most characters of the value of a label.
pub const MAX_LABEL: usize = 63;

/// The most seconds that an annotation may state.
pub const MAX_SECONDS: u32 = 86_400;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_every_name_it_is_said_who_may_write_it_on_a_pod() {
        let source = include_str!("names.rs").split("#[cfg(test)]").next().expect("the names");
        let prefix = format!("{GROUP}/");
        // Of the text, not of a list: a constant that is in no list would be forgotten here too.
        let stated: Vec<&str> =
            source.split('"').skip(1).step_by(2).filter(|text| text.starts_with(&prefix)).collect();
        assert!(stated.len() > 10, "{stated:?}");
        for name in stated {
            let known = ON_PODS.iter().filter(|(known, _)| *known == name).count();
            assert_eq!(known, 1, "say in ON_PODS who may write {name} on a pod");
        }
        // The gate is no annotation, but has the name of one.
        assert_eq!(GATE, CONNECTIONS);
    }
}
