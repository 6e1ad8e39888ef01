//! Limits that are read: a lower number counts at once, a higher one when it was read twice, a doubt changes nothing, and
//! what is open on the server is told apart.

use poolbudget::api::{BudgetKey, DbConnectionBudgetStatus};
use poolbudget::cluster::reading::Source;
use poolbudget::database::{Activity, Allowed, Class, Doubt, Group, Reading};
use serde_json::{Value, json};

use super::cluster::Cluster;
use super::server::{NAMESPACE, terminating};
use super::term::Term;

fn secret() -> Value {
    json!({"secretRef": {"name": "db", "key": "url"}})
}

/// Two pods of a budget with this limit, that its leader has seen once.
fn begun(limit: &Value) -> (Cluster, Term) {
    let mut cluster = Cluster::new(14, "Ceiling");
    cluster.server().edit_budget(|spec| {
        spec.limit = serde_json::from_value(limit.clone()).expect("a limit");
        let entry = json!([{"name": "api", "maxReplicas": 2}]);
        spec.workloads = serde_json::from_value(entry).expect("an entry");
    });
    cluster.scale("api", 2);
    let mut term = Term::begin(&cluster);
    cluster.turns(&mut term, 3);
    (cluster, term)
}

fn source(cluster: &Cluster) -> Source {
    let budget = cluster.server().budget.clone().expect("a budget");
    Source::of(&budget.spec).expect("a source").0
}

/// The leader takes in this answer, and has some time for what follows.
pub(super) fn answers(cluster: &mut Cluster, term: &mut Term, answer: Result<Reading, Doubt>) {
    let key = BudgetKey::new(NAMESPACE, "main");
    let now = (term.reconciler.context.clock)();
    let source = source(cluster);
    term.reconciler.context.observed.world().see_limit(&key, &source, answer, now);
    cluster.turns(term, 10);
}

fn allows(connections: u32) -> Result<Reading, Doubt> {
    let source = format!("max_connections {} − 3 for superusers", connections + 3);
    Ok(Reading { allowed: Allowed { connections, source }, activity: None })
}

fn doubt(class: Class) -> Result<Reading, Doubt> {
    Err(Doubt::new(class, "the server gave no answer"))
}

fn told(status: &DbConnectionBudgetStatus, kind: &str) -> (String, String, String) {
    let found = status.conditions.iter().find(|condition| condition.type_ == kind).expect("the condition");
    (found.status.clone(), found.reason.clone(), found.message.clone())
}

/// The limit in force, pods with a grant, pods that wait.
fn now(cluster: &Cluster) -> (Option<i64>, i32, i32) {
    let status = cluster.server().status();
    (status.limit.map(|limit| limit.connections), status.pods.granted, status.pods.waiting)
}

fn nobody_is_sent_away(cluster: &Cluster) {
    assert!(!cluster.server().pods.values().any(terminating), "{}", cluster.describe());
}

#[test]
fn nothing_is_granted_before_the_limit_was_read_and_then_everything_is() {
    let (mut cluster, mut term) = begun(&json!({ "postgres": secret() }));
    assert_eq!(now(&cluster), (None, 0, 2));
    let status = cluster.server().status();
    for kind in ["Accepted", "Ready"] {
        let (holds, reason, message) = told(&status, kind);
        assert_eq!((holds.as_str(), reason.as_str()), ("Unknown", "LimitNotRead"), "{kind}: {message}");
    }
    assert!(!status.conditions.iter().any(|one| one.type_ == "Stalled"), "it may end by itself");

    answers(&mut cluster, &mut term, doubt(Class::Forbidden));
    let (holds, reason, message) = told(&cluster.server().status(), "Accepted");
    assert_eq!((holds.as_str(), reason.as_str()), ("False", "LimitNotRead"), "only a human ends it");
    assert!(message.ends_with("the server gave no answer"), "{message}");

    answers(&mut cluster, &mut term, allows(14));
    assert_eq!(now(&cluster), (Some(13), 2, 0), "{}", cluster.describe());
    let status = cluster.server().status();
    let limit = status.limit.clone().expect("a limit");
    assert_eq!(limit.source, "max_connections 17 − 3 for superusers − 1 for poolbudget to read with");
    assert_eq!(limit.read_from.as_deref(), Some("Secret/db:url"));
    assert!(limit.read_at.is_some());
    let (holds, reason, _) = told(&status, "LimitConfirmed");
    assert_eq!((holds.as_str(), reason.as_str()), ("True", "Read"));
    assert_eq!(told(&status, "Ready").0, "True");
    cluster.server().acquit();
}

#[test]
fn the_metrics_say_when_the_limit_was_last_read_whatever_failed_since() {
    let (mut cluster, mut term) = begun(&json!({ "postgres": secret() }));
    let read_at = |term: &Term| {
        let text = term.reconciler.context.metrics.render();
        let line = text.lines().find(|line| line.starts_with("poolbudget_limit_read_timestamp_seconds{"))?;
        line.rsplit_once(' ')?.1.parse::<i64>().ok()
    };
    answers(&mut cluster, &mut term, doubt(Class::Unreachable));
    assert_eq!(read_at(&term), None, "nothing was read yet");
    let first = (term.reconciler.context.clock)().as_second();
    answers(&mut cluster, &mut term, allows(14));
    assert_eq!(read_at(&term), Some(first));
    answers(&mut cluster, &mut term, doubt(Class::Unreachable));
    assert_eq!(read_at(&term), Some(first), "the last one is in force");
    let second = (term.reconciler.context.clock)().as_second();
    assert!(second > first, "time passes");
    answers(&mut cluster, &mut term, allows(14));
    assert_eq!(read_at(&term), Some(second));
    cluster.server().acquit();
}

#[test]
fn a_lower_limit_counts_at_once_and_a_higher_one_when_it_was_read_twice() {
    let (mut cluster, mut term) = begun(&json!({ "postgres": secret() }));
    for (read, in_force) in
        [(14, 13), (40, 13), (40, 39), (20, 19), (60, 19), (50, 49), (50, 49), (14, 13), (40, 13), (14, 13)]
    {
        answers(&mut cluster, &mut term, allows(read));
        assert_eq!(now(&cluster).0, Some(in_force), "after {read}");
    }
    cluster.server().acquit();
}

#[test]
fn one_low_reading_ends_no_pod_and_a_second_one_brings_them_down_one_by_one() {
    let (mut cluster, mut term) = begun(&json!({ "postgres": secret() }));
    answers(&mut cluster, &mut term, allows(14));
    answers(&mut cluster, &mut term, allows(14));
    answers(&mut cluster, &mut term, allows(8));
    cluster.turns(&mut term, 60);
    assert_eq!(now(&cluster), (Some(7), 2, 0), "nothing new is granted beyond it");
    nobody_is_sent_away(&cluster);
    answers(&mut cluster, &mut term, allows(8));
    assert!(cluster.run(&mut term));
    cluster.turns(&mut term, 60);
    let status = cluster.server().status();
    assert!(status.committed <= 6, "{} of 6: {}", status.committed, cluster.describe());
    assert_eq!(now(&cluster), (Some(7), 2, 0), "both have come back, smaller");
    cluster.server().acquit();
}

#[test]
fn a_limit_of_which_nothing_is_left_is_remembered_and_rises_by_two_readings() {
    let (mut cluster, mut term) = begun(&json!({ "postgres": secret() }));
    answers(&mut cluster, &mut term, allows(97));
    answers(&mut cluster, &mut term, allows(1));
    let status = cluster.server().status();
    assert_eq!((now(&cluster).0, told(&status, "Accepted").1), (Some(0), "InvalidLimit".to_owned()));
    answers(&mut cluster, &mut term, allows(97));
    assert_eq!(now(&cluster).0, Some(0), "it was read once");
    answers(&mut cluster, &mut term, allows(97));
    assert_eq!(now(&cluster).0, Some(96));
    nobody_is_sent_away(&cluster);
}

#[test]
fn a_doubt_leaves_the_limit_as_it_was_and_says_so() {
    let (mut cluster, mut term) = begun(&json!({ "postgres": secret() }));
    answers(&mut cluster, &mut term, allows(14));
    for (class, wanted) in [
        (Class::Forbidden, "Forbidden"),
        (Class::SecretInvalid, "SecretInvalid"),
        (Class::Unreachable, "Unreachable"),
        (Class::Refused, "Refused"),
        (Class::NotUnderstood, "NotUnderstood"),
    ] {
        answers(&mut cluster, &mut term, doubt(class));
        let status = cluster.server().status();
        let (holds, reason, message) = told(&status, "LimitConfirmed");
        assert_eq!((holds.as_str(), reason.as_str()), ("Unknown", wanted));
        assert_eq!(message, "the server gave no answer; 13 stays in force, as last read");
        assert_eq!((now(&cluster), told(&status, "Ready").0), ((Some(13), 2, 0), "True".to_owned()));
    }
    nobody_is_sent_away(&cluster);
}

#[test]
fn a_new_leader_goes_on_with_the_limit_of_the_last_one_until_it_has_read_it() {
    let (mut cluster, mut term) = begun(&json!({ "postgres": secret() }));
    answers(&mut cluster, &mut term, allows(14));
    let before = cluster.server().status().limit;
    drop(term);
    let mut next = Term::begin(&cluster);
    cluster.turns(&mut next, 3);
    assert_eq!(cluster.server().status().limit, before);
    answers(&mut cluster, &mut next, doubt(Class::Unreachable));
    assert_eq!(now(&cluster), (Some(13), 2, 0));
    answers(&mut cluster, &mut next, allows(40));
    assert_eq!(now(&cluster).0, Some(13), "it has read it once");
    answers(&mut cluster, &mut next, allows(40));
    assert_eq!(now(&cluster).0, Some(39));
    nobody_is_sent_away(&cluster);
}

#[test]
fn a_limit_that_was_read_elsewhere_is_none() {
    let (mut cluster, mut term) = begun(&json!({ "postgres": secret() }));
    answers(&mut cluster, &mut term, allows(97));
    assert_eq!(now(&cluster).0, Some(96));
    cluster.server().edit_budget(|spec| {
        let other = json!({"postgres": {"secretRef": {"name": "other", "key": "url"}}});
        spec.limit = serde_json::from_value(other).expect("a limit");
    });
    cluster.turns(&mut term, 5);
    assert_eq!(now(&cluster), (None, 2, 0), "what is granted stays");
    nobody_is_sent_away(&cluster);
    answers(&mut cluster, &mut term, allows(14));
    assert_eq!(now(&cluster).0, Some(13));
}

#[test]
fn a_stated_limit_is_compared_and_stays_as_it_is_stated() {
    for (stated, read, wanted) in [
        (14, 14, ("True", "Confirmed", "True")),
        (14, 13, ("False", "StatedTooHigh", "False")),
        (14, 97, ("False", "StatedTooLow", "True")),
    ] {
        let limit = json!({"connections": stated, "verify": {"postgres": secret()}});
        let (mut cluster, mut term) = begun(&limit);
        assert_eq!(now(&cluster), (Some(13), 2, 0), "it waits for no reading");
        answers(&mut cluster, &mut term, allows(read));
        let status = cluster.server().status();
        let (holds, reason, message) = told(&status, "LimitConfirmed");
        let ready = told(&status, "Ready").0;
        assert_eq!((holds.as_str(), reason.as_str(), ready.as_str()), wanted, "{message}");
        assert!(message.contains(&format!("allows {read} ")), "{message}");
        assert!(reason == "Confirmed" || message.contains(&format!("states {stated}")), "{message}");
        assert_eq!(now(&cluster), (Some(13), 2, 0));
        nobody_is_sent_away(&cluster);
    }
}

/// Limits as they are stated, each with the connections that it means.
fn statements() -> Vec<(Value, u32)> {
    let supabase = |size: (&str, &str), connection: &str| {
        let mut stated = json!({ "connection": connection });
        stated[size.0] = json!(size.1);
        json!({ "supabase": stated })
    };
    vec![
        (json!({"connections": 15}), 15),
        (json!({"connections": 400}), 400),
        (json!({"postgres": {"maxConnections": 100}}), 97),
        (json!({"postgres": {"maxConnections": 60, "superuserReserved": 10}}), 50),
        (supabase(("plan", "Free"), "Session"), 15),
        (json!({"supabase": {"plan": "Pro", "connection": "Session", "poolSize": 30}}), 30),
        (supabase(("compute", "Small"), "Transaction"), 400),
        (supabase(("compute", "4XL"), "Session"), 32),
        (supabase(("compute", "XL"), "Direct"), 237),
        (supabase(("compute", "Micro"), "Dedicated"), 200),
    ]
}

#[test]
fn forty_wrong_statements_are_found_and_the_right_ones_are_confirmed() {
    let mut found = 0;
    for (stated, means) in statements() {
        let mut limit = stated.clone();
        limit["verify"] = json!({ "postgres": secret() });
        let (mut cluster, mut term) = begun(&limit);
        answers(&mut cluster, &mut term, allows(means));
        let (holds, _, message) = told(&cluster.server().status(), "LimitConfirmed");
        assert_eq!(holds, "True", "{stated}: {message}");
        for (read, reason) in [
            (means - 1, "StatedTooHigh"),
            (means / 2, "StatedTooHigh"),
            (means + 1, "StatedTooLow"),
            (means * 2, "StatedTooLow"),
        ] {
            answers(&mut cluster, &mut term, allows(read));
            let status = cluster.server().status();
            let (holds, why, message) = told(&status, "LimitConfirmed");
            assert_eq!(
                (holds.as_str(), why.as_str()),
                ("False", reason),
                "{stated} read as {read}: {message}"
            );
            let numbers = [format!("allows {read} "), format!("states {means}")];
            assert!(numbers.iter().all(|number| message.contains(number)), "{message}");
            assert_eq!(now(&cluster).0, Some(i64::from(means) - 1), "it stays as it is stated");
            found += 1;
        }
        nobody_is_sent_away(&cluster);
    }
    assert_eq!(found, 40);
}

fn pods(cluster: &Cluster) -> Vec<String> {
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    cluster.server().pods.values().map(|pod| text(&pod["metadata"]["name"])).collect()
}

pub(super) fn with_clients(connections: u32, clients: &[(&str, u32)]) -> Result<Reading, Doubt> {
    let group = |(application, open): &(&str, u32)| Group {
        application: (*application).to_owned(),
        user: "app".to_owned(),
        address: None,
        open: *open,
        busy: Some(0),
    };
    let activity = Some(Activity { groups: clients.iter().map(group).collect(), others: 0 });
    Ok(Reading { activity: activity.map(Ok), ..allows(connections).expect("a reading") })
}

#[test]
fn what_others_have_open_is_told_beside_what_is_reserved() {
    let (mut cluster, mut term) = begun(&json!({ "postgres": secret() }));
    answers(&mut cluster, &mut term, allows(14));
    let pods = pods(&cluster);
    // Two pods of 6: one is told apart, the other may hold 6 of what is not.
    answers(&mut cluster, &mut term, with_clients(14, &[(&pods[0], 6), ("psql", 7), ("pg_dump", 2)]));
    let status = cluster.server().status();
    let database = status.database.clone().expect("what is open");
    assert_eq!((database.open, database.pods, database.outside), (15, 6, 3));
    let (holds, reason, message) = told(&status, "OutsideClients");
    assert_eq!((holds.as_str(), reason.as_str()), ("True", "MoreThanReserved"));
    assert!(message.contains("set reserved to 3") && message.contains("psql of role app (7)"), "{message}");
    answers(&mut cluster, &mut term, with_clients(14, &[(&pods[0], 6), (&pods[1], 6), ("psql", 1)]));
    let status = cluster.server().status();
    assert_eq!(told(&status, "OutsideClients").1, "WithinReserved");
    nobody_is_sent_away(&cluster);
}

#[test]
fn what_the_server_counts_twice_beyond_a_grant_is_on_the_bill() {
    let (mut cluster, mut term) = begun(&json!({ "postgres": secret() }));
    answers(&mut cluster, &mut term, allows(14));
    let pods = pods(&cluster);
    let more = || with_clients(14, &[(&pods[0], 9), (&pods[1], 6)]);
    answers(&mut cluster, &mut term, more());
    assert_eq!(cluster.server().status().ledger.excess.len(), 0, "once is a moment");
    cluster.turns(&mut term, 60);
    answers(&mut cluster, &mut term, more());
    let status = cluster.server().status();
    assert_eq!((status.usable, status.ledger.excess.first().map(|excess| excess.connections)), (9, Some(3)));
    let (holds, reason, message) = told(&status, "EnvIgnored");
    assert_eq!((holds.as_str(), reason.as_str()), ("True", "MoreThanGranted"));
    assert!(
        message.contains(&pods[0]) && message.contains("granted 6") && message.contains('9'),
        "{message}"
    );
    nobody_is_sent_away(&cluster);
}
