use super::*;
use crate::api::DbConnectionBudgetSpec;
use crate::cluster::pod::PodView;
use crate::database::Class;
use serde_json::{Value, json};

fn source(limit: &Value) -> Option<(String, Use)> {
    let spec: DbConnectionBudgetSpec = serde_json::from_value(json!({ "limit": limit })).expect("a spec");
    Source::of(&spec).map(|(source, used)| (source.to_string(), used))
}

#[test]
fn a_spec_says_where_its_limit_is_read_and_what_for() {
    let secret = json!({"name": "db", "key": "url"});
    let project = json!({"ref": "abcdefghijklmnopqrst", "tokenSecretRef": secret});
    let of_project = "Supabase project abcdefghijklmnopqrst, Session";
    for (limit, wanted) in [
        (json!({"connections": 15}), None),
        (json!({"postgres": {"maxConnections": 100}}), None),
        (json!({"supabase": {"plan": "Free", "connection": "Session"}}), None),
        (json!({"postgres": {"secretRef": secret}}), Some(("Secret/db:url", Use::Limit))),
        (json!({"supabase": {"project": project, "connection": "Session"}}), Some((of_project, Use::Limit))),
        (
            json!({"connections": 15, "verify": {"postgres": {"secretRef": secret}}}),
            Some(("Secret/db:url", Use::Comparison)),
        ),
        (
            json!({"connections": 15, "verify": {"supabase": {"project": project, "connection": "Session"}}}),
            Some((of_project, Use::Comparison)),
        ),
    ] {
        let wanted = wanted.map(|(name, used)| (name.to_owned(), used));
        assert_eq!(source(&limit), wanted, "{limit}");
    }
}

fn pod(name: &str, address: &str) -> Arc<PodRecord> {
    let object = json!({
        "metadata": {"name": name, "namespace": "shop", "uid": format!("uid of {name}"), "resourceVersion": "1",
            "labels": {"poolbudget.dev/budget": "main"}},
        "spec": {"nodeName": "node"}, "status": {"podIP": address},
    });
    let view: PodView = serde_json::from_value(object).expect("a pod");
    Arc::new(PodRecord::read(&view).expect("a record"))
}

fn group(application: &str, address: Option<&str>, open: u32) -> Group {
    let address = address.map(|address| address.parse().expect("an address"));
    Group { application: application.to_owned(), user: "app".to_owned(), address, open, busy: Some(1) }
}

fn reading(connections: u32, groups: &[Group], others: u32) -> Reading {
    let activity = Activity { groups: groups.to_vec(), others };
    let allowed = Allowed { connections, source: "max_connections".to_owned() };
    Reading { allowed, activity: Some(Ok(activity)) }
}

/// What is open after readings of these groups: all, of pods, of clients that are no pods.
fn open(pods: &[Arc<PodRecord>], groups: &[Group], others: u32) -> (u64, Vec<(String, u64)>, Vec<String>) {
    let open = told_apart(&Activity { groups: groups.to_vec(), others }, pods);
    let mut of_pods: Vec<(String, u64)> = open.pods.into_iter().collect();
    of_pods.sort();
    (open.all, of_pods, open.clients.into_iter().map(|client| client.application).collect())
}

#[test]
fn pods_are_told_apart_by_their_names_or_else_by_their_addresses() {
    let pods = [pod("api-1", "10.0.0.1"), pod("api-2", "10.0.0.2")];
    let groups = [
        group("api-1", Some("192.0.2.1"), 3),
        group("PostgreSQL JDBC Driver", Some("10.0.0.2"), 4),
        group("psql", Some("192.0.2.9"), 1),
        group("", None, 2),
    ];
    let (all, of_pods, clients) = open(&pods, &groups, 5);
    assert_eq!(all, 15);
    assert_eq!(of_pods, [("uid of api-1".to_owned(), 3), ("uid of api-2".to_owned(), 4)]);
    assert_eq!(clients, ["", "psql"]);
}

#[test]
fn what_two_pods_share_tells_none_of_them_apart() {
    let long = "a".repeat(70);
    let pods = [
        pod(&format!("{long}-1"), "10.0.0.1"),
        pod(&format!("{long}-2"), "10.0.0.1"),
        pod(&"b".repeat(70), "10.0.0.3"),
    ];
    let groups =
        [group(&long[..NAME], None, 3), group("x", Some("10.0.0.1"), 2), group(&"b".repeat(NAME), None, 1)];
    let (_, of_pods, clients) = open(&pods, &groups, 0);
    assert_eq!(of_pods, [(format!("uid of {}", "b".repeat(70)), 1)]);
    assert_eq!(clients.len(), 2);
}

#[test]
fn a_pod_counts_for_what_two_readings_in_a_row_agree_on() {
    let pods = [pod("api-1", "10.0.0.1")];
    let mut record = LimitRecord::new(Source::Postgres { secret: SecretKeyRef::default(), ca: None }, None);
    let mut counted = |seconds: i64, open: u32| {
        let answer = Ok(reading(97, &[group("api-1", None, open)], 0));
        let now = Timestamp::from_second(seconds).expect("a time");
        record.take(answer, &pods, now).get("uid of api-1").copied()
    };
    assert_eq!(counted(1000, 9), None, "it may be the moment of a restart");
    assert_eq!(counted(1015, 9), None, "which lasts");
    assert_eq!(counted(1120, 7), Some(7));
    assert_eq!(counted(1240, 2), Some(2));
}

#[test]
fn of_connections_in_the_name_of_a_pod_those_from_one_address_are_its_own() {
    let pods = [pod("api-0", "10.0.0.1")];
    let held = |groups: &[Group]| {
        let open = told_apart(&Activity { groups: groups.to_vec(), others: 0 }, &pods);
        open.held.get("uid of api-0").copied()
    };
    let [own, staging, gateway] = [Some("10.0.0.1"), Some("10.9.0.1"), Some("192.0.2.1")];
    assert_eq!(held(&[group("api-0", own, 3), group("api-0", staging, 8)]), Some(3));
    assert_eq!(held(&[group("api-0", gateway, 5), group("api-0", staging, 2)]), Some(5));
    assert_eq!(held(&[group("api-0", own, 3), group("", own, 2)]), Some(5), "its other connections");
    assert_eq!(held(&[group("api-0", None, 4)]), Some(4));
}

#[test]
fn a_lower_limit_is_one_reading_old_until_the_next_one() {
    let source = Source::Postgres { secret: SecretKeyRef::default(), ca: None };
    let status = LimitStatus {
        connections: 96,
        read_from: Some(source.to_string()),
        read_at: Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(Timestamp::UNIX_EPOCH)),
        ..LimitStatus::default()
    };
    let mut record = LimitRecord::new(source, Some(&status));
    let mut fell = |connections| {
        record.take(Ok(reading(connections, &[], 0)), &[], Timestamp::UNIX_EPOCH);
        record.fell_once()
    };
    assert_eq!([97, 40, 40, 41, 30].map(&mut fell), [false, true, false, false, true]);
}

#[test]
fn a_doubt_leaves_what_was_read_and_says_why() {
    let mut record = LimitRecord::new(Source::Postgres { secret: SecretKeyRef::default(), ca: None }, None);
    let number = |record: &LimitRecord| record.newest.as_ref().map(|(allowed, _)| allowed.connections);
    record.take(Ok(reading(97, &[], 0)), &[], Timestamp::UNIX_EPOCH);
    record.take(Err(Doubt::new(Class::Unreachable, "no answer")), &[], Timestamp::UNIX_EPOCH);
    assert_eq!((number(&record), record.doubt.is_some(), record.before.is_some()), (Some(97), true, false));
    record.take(Ok(reading(120, &[], 0)), &[], Timestamp::UNIX_EPOCH);
    let before = record.before.as_ref().map(|allowed| allowed.connections);
    assert_eq!((number(&record), record.doubt.is_some(), before), (Some(120), false, Some(97)));
}

#[test]
fn a_pod_that_was_told_apart_once_stays_so_while_it_exists() {
    let pods = [pod("api-1", "10.0.0.1")];
    let mut record = LimitRecord::new(Source::Postgres { secret: SecretKeyRef::default(), ca: None }, None);
    record.take(Ok(reading(97, &[group("api-1", None, 1)], 0)), &pods, Timestamp::UNIX_EPOCH);
    record.take(Ok(reading(97, &[], 0)), &pods, Timestamp::UNIX_EPOCH);
    assert_eq!(record.open.as_ref().map(|open| open.told.len()), Some(1));
    record.take(Ok(reading(97, &[], 0)), &[], Timestamp::UNIX_EPOCH);
    assert_eq!(record.open.as_ref().map(|open| open.told.len()), Some(0));
}
