use super::super::Group;
use super::super::https::played::{Act, Played, answer, ok};
use super::*;

const REFERENCE: &str = "kjhgfdsapoiuytrewqzx";
const SECRET: &str = "sbp_0123456789abcdef0123456789abcdef01234567";

const POOLER: &str = include_str!("recorded/pooler.json");
const POOLER_SET: &str = include_str!("recorded/pooler-set.json");
const PGBOUNCER: &str = include_str!("recorded/pgbouncer.json");
const POSTGRES: &str = include_str!("recorded/postgres.json");
const POSTGRES_SET: &str = include_str!("recorded/postgres-set.json");
const ADDONS: &str = include_str!("recorded/addons.json");
const ADDONS_NONE: &str = include_str!("recorded/addons-none.json");
const ACTIVITY: &str = include_str!("recorded/activity.json");
const METRICS: &str = include_str!("recorded/metrics.txt");
const KEY: &str = "sb_secret_aaaaaaaabbbbcccc";

/// An API of which each question has its answer, and those that are not named are unknown.
async fn api(answers: Vec<(&'static str, Act)>) -> Played {
    Played::new(move |line| {
        let known = answers.iter().find(|(path, _)| line.contains(&format!("/{path} HTTP/")));
        known.map_or_else(|| answer("404 Not Found", "", "{}"), |(_, act)| act.clone())
    })
    .await
}

/// The API and all projects are played by one server.
fn at(played: &Played) -> Supabase {
    let projects = Projects::new(&format!("http://{}", played.address)).unwrap();
    Supabase { api: played.origin(), projects }
}

async fn asked(played: &Played, connection: Connection) -> Result<Reading, Doubt> {
    asked_within(PATIENCE, played, connection).await
}

async fn asked_within(patience: Duration, played: &Played, connection: Connection) -> Result<Reading, Doubt> {
    asked_with(patience, played, connection, None).await
}

async fn asked_with(
    patience: Duration,
    played: &Played,
    connection: Connection,
    key: Option<Result<&str, &Doubt>>,
) -> Result<Reading, Doubt> {
    let project = Project::new(REFERENCE, connection).unwrap();
    let read = read_within(&at(played), &project, Credentials { token: SECRET, key }, patience).await;
    let unseen = read.as_ref().ok().and_then(|read| read.activity.as_ref()?.as_ref().err());
    if let Some(doubt) = read.as_ref().err().or(unseen) {
        assert!(!format!("{doubt} {doubt:?}").contains(SECRET), "{doubt}");
        assert!(!format!("{doubt} {doubt:?}").contains(KEY), "{doubt}");
        assert!(!doubt.sentence.ends_with('.'), "{doubt}");
    }
    read
}

async fn limit(played: &Played, connection: Connection) -> Result<(u32, String), (Class, String)> {
    let read = asked(played, connection).await;
    read.map(|read| (read.allowed.connections, read.allowed.source))
        .map_err(|doubt| (doubt.class, doubt.sentence))
}

/// What was asked, below the project.
fn questions(played: &Played) -> Vec<String> {
    let prefix = format!("/v1/projects/{REFERENCE}/");
    played.paths().iter().map(|path| path.replacen(&prefix, "", 1)).collect()
}

fn from_api(connections: u32, what: &str) -> Result<(u32, String), (Class, String)> {
    Ok((connections, format!("{what} (Supabase Management API)")))
}

#[test]
fn a_reference_is_twenty_small_letters() {
    assert!(Project::new(REFERENCE, Connection::Session).is_ok());
    let wrong = [
        "",
        "kjhgfdsapoiuytrewqz",
        "kjhgfdsapoiuytrewqzxx",
        "KJHGFDSAPOIUYTREWQZX",
        "kjhgfdsapoiuytrewq/x",
        "../../../../v1/proje",
        "kjhgfdsapoiuytrewq1x",
        "kjhgfdsapoiuytrewq x",
        "kjhgfdsapoiuytrewqü",
        "kjhgfdsapoiuytrewqz\n",
    ];
    for reference in wrong {
        assert_eq!(Project::new(reference, Connection::Session), Err(NotAReference), "{reference}");
    }
}

#[tokio::test]
async fn a_pool_size_that_is_set_is_the_limit_in_session_mode_and_nothing_more_is_asked() {
    let played = api(vec![("pooler", ok(POOLER_SET))]).await;
    assert_eq!(limit(&played, Connection::Session).await, from_api(30, "pool size 30 of the pooler"));
    assert_eq!(questions(&played), ["GET config/database/pooler"]);
    assert_eq!(asked(&played, Connection::Session).await.unwrap().activity, None);
}

#[tokio::test]
async fn without_one_the_compute_size_says_it_by_the_table() {
    let played = api(vec![("pooler", ok(POOLER)), ("addons", ok(ADDONS_NONE))]).await;
    let source = "pool size 15 of Nano or Micro (Supabase's table of 2026-11-21; the API names no pool size of its own)";
    assert_eq!(limit(&played, Connection::Session).await, Ok((15, source.to_owned())));
    assert_eq!(questions(&played), ["GET config/database/pooler", "GET billing/addons"]);
}

#[tokio::test]
async fn clients_are_the_limit_in_transaction_mode_and_of_the_dedicated_pooler() {
    let played = api(vec![("pooler", ok(POOLER_SET)), ("pgbouncer", ok(PGBOUNCER))]).await;
    assert_eq!(
        limit(&played, Connection::Transaction).await,
        from_api(400, "max_client_conn 400 of the pooler")
    );
    assert_eq!(
        limit(&played, Connection::Dedicated).await,
        from_api(200, "max_client_conn 200 of the pooler")
    );
    assert_eq!(questions(&played), ["GET config/database/pooler", "GET config/database/pgbouncer"]);

    let unset = api(vec![("pooler", ok(POOLER)), ("pgbouncer", ok("{}")), ("addons", ok(ADDONS))]).await;
    for connection in [Connection::Transaction, Connection::Dedicated] {
        assert_eq!(limit(&unset, connection).await, from_api(400, "max_client_conn 400 of Small"));
    }
}

#[tokio::test]
async fn of_a_pool_with_a_number_and_one_without_the_smaller_counts() {
    let both = r#"[{"database_type":"PRIMARY","default_pool_size":SIZE},{"database_type":"PRIMARY","default_pool_size":null}]"#;
    for (size, expected) in [("9", 9), ("40", 15)] {
        let played = api(vec![("pooler", ok(&both.replace("SIZE", size))), ("addons", ok(ADDONS))]).await;
        assert_eq!(limit(&played, Connection::Session).await.map(|(number, _)| number), Ok(expected));
    }
}

/// A pooler with that pool size.
fn pool_of(size: u32) -> Act {
    ok(&format!(r#"[{{"database_type":"PRIMARY","default_pool_size":{size}}}]"#))
}

#[tokio::test]
async fn a_large_pool_is_compared_with_what_postgres_lets_in() {
    let forbidden = || answer("403 Forbidden", "", "{}");
    let cut = "max_connections 90 of Small − 3 for superusers, less than the pool size 200";
    let set = "max_connections 100 − 3 for superusers, less than the pool size 200";
    let pool = |size| format!("pool size {size} of the pooler");
    let unknown = r#"{"selected_addons":[{"type":"compute_instance","variant":{"id":"ci_96xlarge"}}]}"#;
    let cases = [
        ("every size lets it in", 57, forbidden(), forbidden(), from_api(57, &pool(57))),
        ("the compute size lets it in", 87, ok(POSTGRES), ok(ADDONS), from_api(87, &pool(87))),
        ("the compute size does not", 200, ok(POSTGRES), ok(ADDONS), from_api(87, cut)),
        ("max_connections was raised", 88, ok(POSTGRES_SET), ok(ADDONS), from_api(88, &pool(88))),
        ("raised, but not enough", 200, ok(POSTGRES_SET), ok(ADDONS), from_api(97, set)),
        ("whether it was raised is secret", 200, forbidden(), ok(ADDONS), from_api(87, cut)),
        ("all is secret", 200, forbidden(), forbidden(), from_api(200, &pool(200))),
        ("the size is not known", 200, ok(POSTGRES), ok(unknown), from_api(200, &pool(200))),
    ];
    for (what, size, postgres, addons, expected) in cases {
        let played = api(vec![("pooler", pool_of(size)), ("postgres", postgres), ("addons", addons)]).await;
        assert_eq!(limit(&played, Connection::Session).await, expected, "{what}");
    }
}

#[tokio::test]
async fn the_compute_size_is_asked_for_once() {
    let large = r#"{"selected_addons":[{"type":"compute_instance","variant":{"id":"ci_16xlarge"}}]}"#;
    let played = api(vec![("pooler", ok(POOLER)), ("postgres", ok(POSTGRES)), ("addons", ok(large))]).await;
    assert_eq!(limit(&played, Connection::Session).await.map(|(number, _)| number), Ok(128));
    let once = ["GET config/database/pooler", "GET billing/addons", "GET config/database/postgres"];
    assert_eq!(questions(&played), once);
}

#[tokio::test]
async fn a_comparison_that_fails_for_now_is_a_doubt_for_a_limit_must_not_rise_by_it() {
    let slow = || answer("503 Service Unavailable", "", "");
    for (postgres, addons) in [(slow(), ok(ADDONS)), (ok(POSTGRES), slow()), (ok("[]"), ok(ADDONS))] {
        let played = api(vec![("pooler", pool_of(200)), ("postgres", postgres), ("addons", addons)]).await;
        assert!(limit(&played, Connection::Session).await.is_err());
    }
}

#[tokio::test]
async fn a_direct_connection_has_what_superusers_leave_and_shows_who_is_connected() {
    let played =
        api(vec![("postgres", ok(POSTGRES_SET)), ("read-only", answer("201 Created", "", ACTIVITY))]).await;
    let read = asked(&played, Connection::Direct).await.unwrap();
    assert_eq!(read.allowed.connections, 97);
    assert_eq!(read.allowed.source, "max_connections 100 − 3 for superusers (Supabase Management API)");
    let activity = read.activity.unwrap().unwrap();
    assert_eq!(activity.groups.iter().map(|group| group.open).collect::<Vec<_>>(), [12, 6, 2]);
    let app = Group {
        application: "api".to_owned(),
        user: "app".to_owned(),
        address: Some([10, 1, 2, 3].into()),
        open: 6,
        busy: Some(0),
    };
    assert_eq!((activity.groups.get(1), activity.others), (Some(&app), 1));
    assert_eq!(questions(&played), ["GET config/database/postgres", "POST database/query/read-only"]);

    let unset = api(vec![("postgres", ok(POSTGRES)), ("addons", ok(ADDONS_NONE))]).await;
    let (number, source) = limit(&unset, Connection::Direct).await.unwrap();
    assert_eq!(number, 57);
    assert_eq!(
        source,
        "max_connections 60 of Nano or Micro − 3 for superusers (Supabase's table of 2026-11-21; the API names no \
         max_connections of its own)"
    );
}

#[tokio::test]
async fn activity_that_cannot_be_read_is_said_and_no_doubt_about_the_limit() {
    let faults = [
        (answer("403 Forbidden", "", "{}"), Class::Refused),
        (answer("404 Not Found", "", "{}"), Class::Refused),
        (answer("429 Too Many", "", "{}"), Class::Refused),
        (answer("500 Internal", "", "{}"), Class::Refused),
        (ok("{}"), Class::NotUnderstood),
        (ok(r#"[{"?column?":1}]"#), Class::NotUnderstood),
        (Act::Reset, Class::Unreachable),
        (Act::Hold(String::new()), Class::Unreachable),
        (Act::Repeat("HTTP/1.1 201 Created\r\n\r\n".to_owned(), "[".repeat(1 << 16)), Class::NotUnderstood),
    ];
    for (fault, class) in faults {
        let patience = if matches!(fault, Act::Hold(_)) { Duration::from_secs(2) } else { PATIENCE };
        let what = format!("{fault:.60?}");
        let played = api(vec![("postgres", ok(POSTGRES_SET)), ("read-only", fault)]).await;
        let read = asked_within(patience, &played, Connection::Direct).await.unwrap();
        let unseen = read.activity.map(|asked| asked.map_err(|doubt| doubt.class));
        assert_eq!((read.allowed.connections, unseen), (97, Some(Err(class))), "{what}");
    }
}

#[tokio::test]
async fn the_metrics_of_the_project_show_the_clients_of_a_pooler() {
    let played =
        api(vec![("pooler", ok(POOLER_SET)), ("pgbouncer", ok(PGBOUNCER)), ("metrics", ok(METRICS))]).await;
    let cases = [(Connection::Session, 13), (Connection::Transaction, 41), (Connection::Dedicated, 16)];
    for (connection, open) in cases {
        let read = asked_with(PATIENCE, &played, connection, Some(Ok(KEY))).await.unwrap();
        let activity = read.activity.unwrap().unwrap();
        assert_eq!(activity.groups.iter().map(|group| group.open).sum::<u32>(), open, "{connection}");
    }
    let request = played.requests().pop().unwrap();
    assert!(request.starts_with("GET /customer/v1/privileged/metrics HTTP/1.1\r\n"), "{request}");
    let basic = "authorization: Basic c2VydmljZV9yb2xlOnNiX3NlY3JldF9hYWFhYWFhYWJiYmJjY2Nj\r\n";
    assert!(request.contains(basic), "{request}");

    let asked_before = played.paths().len();
    assert_eq!(asked(&played, Connection::Session).await.unwrap().activity, None);
    assert_eq!(played.paths().len(), asked_before + 1, "without a key nobody asks");
}

#[tokio::test]
async fn metrics_that_cannot_be_read_are_said_and_the_limit_counts() {
    let faults = [
        (answer("401 Unauthorized", "", ""), Class::Refused, "refused the key"),
        (answer("403 Forbidden", "", ""), Class::Refused, "refused the key"),
        (answer("503 Unavailable", "", ""), Class::Refused, "answered 503"),
        (answer("302 Found", "Location: https://elsewhere.example/\r\n", ""), Class::Refused, "answered 302"),
        (ok(""), Class::NotUnderstood, "do not count the clients"),
        (ok("<html>"), Class::NotUnderstood, "do not count the clients"),
        (
            Act::Say("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n\u{0}\u{1}\u{2}".to_owned()),
            Class::NotUnderstood,
            "do not count",
        ),
        (Act::Reset, Class::Unreachable, "closed the connection"),
        (
            Act::Repeat("HTTP/1.1 200 OK\r\n\r\n".to_owned(), "a 1\n".repeat(1 << 14)),
            Class::NotUnderstood,
            "more than",
        ),
    ];
    for (fault, class, part) in faults {
        let played = api(vec![("pooler", ok(POOLER_SET)), ("metrics", fault)]).await;
        let read = asked_with(PATIENCE, &played, Connection::Session, Some(Ok(KEY))).await.unwrap();
        let doubt = read.activity.unwrap().unwrap_err();
        assert_eq!((read.allowed.connections, doubt.class), (30, class), "{doubt}");
        assert!(doubt.sentence.contains(part), "{doubt}");
    }
}

#[tokio::test]
async fn what_is_no_key_of_the_project_is_not_sent_and_a_missing_secret_is_said() {
    let played = api(vec![("pooler", ok(POOLER_SET)), ("metrics", ok(METRICS))]).await;
    for key in ["postgres://app:hunter2@db/shop", "sbp_0123456789", ""] {
        let read = asked_with(PATIENCE, &played, Connection::Session, Some(Ok(key))).await.unwrap();
        assert_eq!(read.activity.unwrap().unwrap_err().class, Class::SecretInvalid);
    }
    let forbidden = Doubt::new(Class::Forbidden, "poolbudget may not read Secret/key");
    let read = asked_with(PATIENCE, &played, Connection::Session, Some(Err(&forbidden))).await.unwrap();
    assert_eq!((read.allowed.connections, read.activity), (30, Some(Err(forbidden))));
    assert!(questions(&played).iter().all(|asked| asked == "GET config/database/pooler"));
}

#[test]
fn the_address_of_the_projects_has_to_be_one() {
    assert!(Projects::new("https://{ref}.supabase.co").is_ok());
    for wrong in ["", "{ref}", "http://{ref}.supabase.co", "https://{ref}.supabase.co/x", "ftp://{ref}"] {
        assert!(Projects::new(wrong).is_err(), "{wrong}");
    }
}

#[tokio::test]
async fn every_status_says_whose_turn_it_is() {
    let cases = [
        (
            "401 Unauthorized",
            "",
            Class::Refused,
            "permissions database_pooling_config_read and infra_add_ons_read",
        ),
        ("403 Forbidden", "", Class::Refused, "lacks the permission database_pooling_config_read"),
        ("404 Not Found", "", Class::Refused, "knows no project kjhgfdsapoiuytrewqzx"),
        ("429 Too Many Requests", "", Class::Refused, "asked too often"),
        ("500 Internal Server Error", "", Class::Unreachable, "an error of its own, 500"),
        ("503 Service Unavailable", "", Class::Unreachable, "an error of its own, 503"),
        ("544 Project paused", "", Class::Unreachable, "an error of its own, 544"),
        ("301 Moved", "Location: https://elsewhere.example/\r\n", Class::NotUnderstood, "a redirect, 301"),
        ("307 Moved", "Location: https://elsewhere.example/\r\n", Class::NotUnderstood, "a redirect, 307"),
        ("400 Bad Request", "", Class::NotUnderstood, "answered 400 to config/database/pooler"),
        ("201 Created", "", Class::NotUnderstood, "answered 201"),
        ("204 No Content", "", Class::NotUnderstood, "answered 204"),
    ];
    for (status, headers, class, part) in cases {
        let played = api(vec![("pooler", answer(status, headers, POOLER_SET))]).await;
        let (seen, sentence) = limit(&played, Connection::Session).await.unwrap_err();
        assert_eq!(seen, class, "{status}: {sentence}");
        assert!(sentence.contains(part) && !sentence.contains("elsewhere"), "{status}: {sentence}");
        assert_eq!(played.paths().len(), 1, "{status}");
    }
}

#[tokio::test]
async fn the_permission_that_is_missing_is_the_one_of_the_question() {
    let forbidden = || answer("403 Forbidden", "", "{}");
    let cases = [
        (Connection::Transaction, vec![("pooler", forbidden())], "database_pooling_config_read"),
        (Connection::Dedicated, vec![("pgbouncer", forbidden())], "database_read"),
        (Connection::Direct, vec![("postgres", forbidden())], "database_config_read"),
        (Connection::Session, vec![("pooler", ok(POOLER)), ("addons", forbidden())], "infra_add_ons_read"),
        (Connection::Direct, vec![("postgres", ok(POSTGRES)), ("addons", forbidden())], "infra_add_ons_read"),
    ];
    for (connection, answers, scope) in cases {
        let (class, sentence) = limit(&api(answers).await, connection).await.unwrap_err();
        assert_eq!(class, Class::Refused);
        assert!(sentence.contains(&format!("lacks the permission {scope},")), "{sentence}");
    }
}

#[tokio::test]
async fn a_pause_is_what_the_api_says_and_at_most_an_hour() {
    let cases = [
        ("429 Too Many", "", Some(60)),
        ("429 Too Many", "x-ratelimit-reset: 36\r\n", Some(36)),
        ("429 Too Many", "Retry-After: 5\r\nx-ratelimit-reset: 36\r\n", Some(5)),
        ("429 Too Many", "Retry-After: Fri, 27 Nov 2026 07:28:00 GMT\r\nx-ratelimit-reset: 36\r\n", Some(36)),
        ("429 Too Many", "Retry-After: 0\r\n", Some(1)),
        ("429 Too Many", "Retry-After: -5\r\n", Some(60)),
        ("429 Too Many", "Retry-After: soon\r\n", Some(60)),
        ("429 Too Many", "Retry-After: 1800000000\r\n", Some(3600)),
        ("429 Too Many", "Retry-After: 18446744073709551615\r\n", Some(3600)),
        ("429 Too Many", "Retry-After: 18446744073709551616\r\n", Some(60)),
        ("503 Unavailable", "Retry-After: 30\r\n", Some(30)),
        ("503 Unavailable", "", None),
        ("403 Forbidden", "Retry-After: 30\r\n", None),
    ];
    for (status, headers, seconds) in cases {
        let played = api(vec![("pooler", answer(status, headers, ""))]).await;
        let doubt = asked(&played, Connection::Session).await.unwrap_err();
        assert_eq!(doubt.pause, seconds.map(Duration::from_secs), "{status} {headers}");
    }
}

#[tokio::test]
async fn all_questions_together_have_the_time_and_the_bytes_of_one_reading() {
    let played = api(vec![("pooler", ok(POOLER)), ("addons", Act::Hold(String::new()))]).await;
    let began = std::time::Instant::now();
    let doubt = asked_within(Duration::from_secs(1), &played, Connection::Session).await.unwrap_err();
    assert!(began.elapsed() < Duration::from_secs(6), "{:?}", began.elapsed());
    assert_eq!(doubt.class, Class::Unreachable);
    assert!(doubt.sentence.contains("did not answer in time"), "{doubt}");

    let padding = " ".repeat(700 << 10);
    let pooler = ok(&format!("{POOLER}{padding}"));
    let one = api(vec![("pooler", pooler.clone()), ("addons", ok(ADDONS))]).await;
    assert!(limit(&one, Connection::Session).await.is_ok());
    let two = api(vec![("pooler", pooler), ("addons", ok(&format!("{ADDONS}{padding}")))]).await;
    let (class, sentence) = limit(&two, Connection::Session).await.unwrap_err();
    assert_eq!(class, Class::NotUnderstood);
    assert!(sentence.contains("more than 1048576 bytes in all"), "{sentence}");
}

#[tokio::test]
async fn the_line_end_of_a_token_from_a_file_does_not_matter() {
    let played = api(vec![("pooler", ok(POOLER_SET))]).await;
    let project = Project::new(REFERENCE, Connection::Session).unwrap();
    let with_end = format!("{SECRET}\n");
    assert!(read(&at(&played), &project, Credentials { token: &with_end, key: None }).await.is_ok());
    let doubt = read(&at(&played), &project, Credentials { token: " \n", key: None }).await.unwrap_err();
    assert_eq!(doubt.class, Class::SecretInvalid);
}
