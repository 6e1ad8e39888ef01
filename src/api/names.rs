//! Every label, annotation, gate and finalizer name, and the one env name that is the same for all apps. The others are in
//! `profile::table`.

/// The API group of the resource and the prefix of every name.
pub const GROUP: &str = "poolbudget.dev";

/// Label: the budget that governs a workload or pod. The one opt-in.
pub const BUDGET: &str = "poolbudget.dev/budget";

/// Label: joins several workloads into one: Jobs (set it in the pod template), or pods without an owner.
pub const WORKLOAD: &str = "poolbudget.dev/workload";

/// Labels by which pods without a controller of a known kind are grouped; the first one that a pod has counts.
pub const GROUP_LABELS: [&str; 3] = [WORKLOAD, "app.kubernetes.io/name", "app"];

/// Scheduling gate that holds a pod until its grant.
pub const GATE: &str = "poolbudget.dev/connections";

/// App annotation: processes with a pool of their own in a container (default: what its command says, or else 1), or
/// `app=4,migrate=1`.
pub const PROCESSES: &str = "poolbudget.dev/processes";
/// App annotation: engines (pools) in each process (default 1).
pub const ENGINES: &str = "poolbudget.dev/engines";
/// App annotation: the containers that open connections, comma-separated (default: `profile::stated::Stated::taken`).
pub const CONTAINER: &str = "poolbudget.dev/container";
/// App annotation: which env names the app reads (default `SQLAlchemy`).
pub const PROFILE: &str = "poolbudget.dev/profile";
/// App annotation: custom name of the env variable for `pool_size`.
pub const POOL_SIZE_ENV: &str = "poolbudget.dev/pool-size-env";
/// App annotation: custom name of the env variable for `max_overflow`.
pub const MAX_OVERFLOW_ENV: &str = "poolbudget.dev/max-overflow-env";
/// App annotation: connections of one process, for profiles without a variable that states it.
pub const CONNECTIONS_PER_PROCESS: &str = "poolbudget.dev/connections-per-process";
/// App annotation: connections that one process opens beside its pools, whatever the size of those.
pub const EXTRA: &str = "poolbudget.dev/extra-connections";
/// App annotation: seconds that a checkout waits for a connection; set together with the size if the profile can.
pub const POOL_TIMEOUT: &str = "poolbudget.dev/pool-timeout";
/// App annotation: seconds after which a connection is reopened; set together with the size if the profile can.
pub const POOL_RECYCLE: &str = "poolbudget.dev/pool-recycle";
/// App annotation: whether a connection is tested before use; set together with the size if the profile can.
pub const POOL_PRE_PING: &str = "poolbudget.dev/pool-pre-ping";
/// App annotation: where a pod answers how it uses its pools, as in `:8000/debug/db-pool`.
pub const POOL_STATUS: &str = "poolbudget.dev/pool-status";

/// The app annotations that are passed on unchanged, together with the size.
pub const COMPANIONS: [&str; 3] = [POOL_TIMEOUT, POOL_RECYCLE, POOL_PRE_PING];

/// All app annotations, in the order in which they are explained.
pub const APP_ANNOTATIONS: [&str; 12] = [
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
    POOL_STATUS,
];

/// All annotations that are read to learn about an app.
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

/// Annotation on a pod that waited before its budget was created: the uid of the budget that took it over. Only the
/// write matters: it makes every grant fail that an earlier budget of the same name may still have in flight.
pub const TAKEN_OVER_BY: &str = "poolbudget.dev/taken-over-by";

/// Annotation on a budget: the uids of quarantine entries to drop, comma-separated, because a user knows that nothing
/// of them runs any more. No two entries ever have the same uid, so it takes effect once.
pub const FORGET: &str = "poolbudget.dev/forget";
/// The field manager of that annotation.
pub const FORGET_MANAGER: &str = "poolbudget-forget";

/// Annotation on a pod: the literal values that admission replaced, as JSON.
pub const REPLACED_ENV: &str = "poolbudget.dev/replaced-env";

/// Who may write one of our names on a pod after its creation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnPods {
    /// An annotation that the operator writes and later trusts: only the operator.
    Operator,
    /// An annotation by which the pod is counted: nobody, it stays as it was at creation.
    Birth,
    /// A label that says whose the pod is: nobody either.
    Whose,
    /// Anybody, because nothing trusts it on a pod, for this reason.
    Free(&'static str),
}

/// Every label and annotation above, and what admission does with it on a pod. Add new ones here too; the guard is
/// built from this.
pub const ON_PODS: [(&str, OnPods); 20] = [
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
    (POOL_STATUS, OnPods::Birth),
    (POOL_SIZE, OnPods::Operator),
    (MAX_OVERFLOW, OnPods::Operator),
    (CONNECTIONS, OnPods::Operator),
    (TAKEN_OVER_BY, OnPods::Operator),
    (REPLACED_ENV, OnPods::Birth),
    (FORGET, OnPods::Free("it is read from budgets")),
];

/// The names with this rule.
pub fn on_pods(who: OnPods) -> impl Iterator<Item = &'static str> {
    ON_PODS.into_iter().filter(move |(_, known)| *known == who).map(|(name, _)| name)
}

/// The variable from which libpq, and drivers that follow it, take the `application_name` of their connections.
pub const APP_NAME_ENV: &str = "PGAPPNAME";

/// The annotation of kubectl that says which container of a pod is meant when none is named.
pub const DEFAULT_CONTAINER: &str = "kubectl.kubernetes.io/default-container";

/// The annotation that a kubelet sets on the mirror pod of a pod that it runs from a file.
pub const MIRROR_POD: &str = "kubernetes.io/config.mirror";

/// The Secret of the webhook's certificate.
pub const WEBHOOK_SECRET: &str = "poolbudget-webhook";

/// The profile of a template that names none.
pub const DEFAULT_PROFILE: &str = "SQLAlchemy";

/// The most processes (or engines) that an annotation may state.
pub const MAX_PROCESSES: u32 = 1000;

/// The most containers of a pod that may open connections.
pub const MAX_CONTAINERS: usize = 4;

/// The most containers of a pod, init containers included. This and the next two limits keep what a policy has to look
/// at small enough for the API server to look at all of it.
pub const MAX_ALL_CONTAINERS: usize = 100;

/// The most env entries of a pod, in all of its containers.
pub const MAX_ENV: usize = 1000;

/// How many more a pod may have than its template: those that the gate adds, and whoever else changes it.
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
        // Reads the source text, not a list: a constant missing from every list would be missed here too.
        let stated: Vec<&str> =
            source.split('"').skip(1).step_by(2).filter(|text| text.starts_with(&prefix)).collect();
        assert!(stated.len() > 10, "{stated:?}");
        for name in stated {
            let known = ON_PODS.iter().filter(|(known, _)| *known == name).count();
            assert_eq!(known, 1, "say in ON_PODS who may write {name} on a pod");
        }
        // The gate is not an annotation, but has the same name as one.
        assert_eq!(GATE, CONNECTIONS);
    }
}
