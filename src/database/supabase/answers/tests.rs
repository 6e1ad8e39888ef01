use super::*;

/// What was read: a number and where it is from, or the class of the doubt and a part of its sentence.
type Read = Result<(u32, &'static str), &'static str>;

fn told<T>(read: Result<T, Doubt>) -> Result<T, String> {
    read.map_err(|doubt| {
        assert_eq!(doubt.class, Class::NotUnderstood, "{doubt}");
        assert!(!doubt.sentence.ends_with('.') && doubt.sentence.len() < 300, "{doubt}");
        doubt.sentence
    })
}

/// Compares what was read with what should be; none is the default.
fn compare(body: &str, read: Result<Option<Stated>, Doubt>, expected: Result<Option<(u32, &str)>, &str>) {
    let short: String = body.chars().take(90).collect();
    match (told(read), expected) {
        (Ok(read), Ok(expected)) => {
            let read = read.map(|stated| (stated.connections(), stated.allowed().source));
            assert_eq!(read, expected.map(|(number, source)| (number, source.to_owned())), "{short}");
        }
        (Err(doubt), Err(part)) => assert!(doubt.contains(part), "{short}: {doubt}"),
        (read, expected) => panic!("{short}: {read:?}, expected {expected:?}"),
    }
}

/// A pooler's entry with this as its pool size.
fn entry(size: &str) -> String {
    format!(
        r#"{{"identifier":"x","database_type":"PRIMARY","default_pool_size":{size},"max_client_conn":200}}"#
    )
}

fn pool_size(body: &str) -> Result<Option<Stated>, Doubt> {
    pools(body.as_bytes(), Number::PoolSize).map(|pools| pools.set(Number::PoolSize))
}

const LIST: &str = "no whole JSON list";
const OBJECT: &str = "no whole JSON object";
const RANGE: &str = "default_pool_size is no number from 1 to 1000000";
const WHOLE: &str = "no whole number";

#[test]
fn the_recorded_answers_are_read() {
    let recorded = [
        (include_str!("../recorded/pooler.json"), None),
        (
            include_str!("../recorded/pooler-set.json"),
            Some((30, "pool size 30 of the pooler (Supabase Management API)")),
        ),
        (
            include_str!("../recorded/pooler-replica.json"),
            Some((40, "pool size 40 of the pooler (Supabase Management API)")),
        ),
    ];
    for (body, expected) in recorded {
        compare(body, pool_size(body), Ok(expected));
    }
    assert_eq!(pgbouncer(include_bytes!("../recorded/pgbouncer.json")), Ok(Some(200)));
    let (unset, set) =
        (include_str!("../recorded/postgres.json"), include_str!("../recorded/postgres-set.json"));
    compare(unset, postgres(unset.as_bytes()), Ok(None));
    compare(set, postgres(set.as_bytes()), Ok(Some((100, "max_connections 100 (Supabase Management API)"))));
}

#[test]
fn a_number_is_believed_only_if_it_is_one_whole_positive_number() {
    let numbers: [(&str, Read); 24] = [
        ("1", Ok((1, "pool size 1 of the pooler (Supabase Management API)"))),
        (" 15 ", Ok((15, "pool size 15 of the pooler (Supabase Management API)"))),
        ("1000000", Ok((1_000_000, "pool size 1000000 of the pooler (Supabase Management API)"))),
        ("1000001", Err(RANGE)),
        ("0", Err(RANGE)),
        ("-0", Err(WHOLE)),
        ("-15", Err(RANGE)),
        ("4294967311", Err(RANGE)),
        ("9223372036854775807", Err(RANGE)),
        ("9223372036854775808", Err(WHOLE)),
        ("-9223372036854775809", Err(WHOLE)),
        ("18446744073709551631", Err(WHOLE)),
        ("15.0", Err(WHOLE)),
        ("1.5e1", Err(WHOLE)),
        ("1e999", Err(WHOLE)),
        ("\"15\"", Err(WHOLE)),
        ("\"\"", Err(WHOLE)),
        ("true", Err(WHOLE)),
        ("[15]", Err(WHOLE)),
        ("{\"value\":15}", Err(WHOLE)),
        ("015", Err(LIST)),
        ("+15", Err(LIST)),
        ("0x0f", Err(LIST)),
        ("NaN", Err(LIST)),
    ];
    for (number, expected) in numbers {
        let body = format!("[{}]", entry(number));
        compare(&body, pool_size(&body), expected.map(Some));
    }
}

#[test]
fn a_body_of_another_shape_is_a_doubt_and_never_a_number() {
    let deep = format!("{}{}", "[".repeat(200_000), "]".repeat(200_000));
    let deep_member = format!(r#"[{{"database_type":"PRIMARY","x":{deep},"default_pool_size":15}}]"#);
    let deep_number = format!("[{}]", entry(&deep));
    let many = format!("[{}]", vec!["{}"; 100_000].join(","));
    let members = (0..MEMBERS).map(|i| format!(r#""m{i}":1"#)).collect::<Vec<_>>().join(",");
    let wide = format!(r#"[{{{members},"database_type":"PRIMARY"}}]"#);
    let twice = r#"[{"database_type":"PRIMARY","default_pool_size":15,"default_pool_size":90}]"#;
    let kinds = r#"[{"database_type":"READ_REPLICA","database_type":"PRIMARY","default_pool_size":15}]"#;
    let bodies: [(&str, Read); 33] = [
        ("", Err(LIST)),
        (" \n", Err(LIST)),
        ("null", Err(LIST)),
        ("15", Err(LIST)),
        ("\"PRIMARY\"", Err(LIST)),
        ("{}", Err(LIST)),
        (&entry("15"), Err(LIST)),
        (r#"{"message":"Unauthorized"}"#, Err(LIST)),
        ("[", Err(LIST)),
        (&entry("15")[..60], Err(LIST)),
        (&format!("[{}", entry("15")), Err(LIST)),
        (&format!("[{}]]", entry("15")), Err(LIST)),
        (&format!("[{}] trailing", entry("15")), Err(LIST)),
        (&format!("\u{feff}[{}]", entry("15")), Err(LIST)),
        ("<!DOCTYPE html><html>Sign in</html>", Err("answered with a page")),
        (" \n<html>", Err("answered with a page")),
        ("Bad Gateway", Err(LIST)),
        ("[]", Err("no entry for the database itself")),
        ("[null]", Err(OBJECT)),
        ("[15]", Err(OBJECT)),
        // What looks like the members of an entry in their order.
        (r#"[["PRIMARY",15,200]]"#, Err(OBJECT)),
        ("[{}]", Err("an entry has no database_type")),
        (r#"[{"database_type":null,"default_pool_size":15}]"#, Err("an entry has no database_type")),
        (r#"[{"database_type":1,"default_pool_size":15}]"#, Err("an entry has no database_type")),
        (r#"[{"database_type":"primary","default_pool_size":15}]"#, Err("no entry for the database itself")),
        (
            r#"[{"database_type":"READ_REPLICA","default_pool_size":15}]"#,
            Err("no entry for the database itself"),
        ),
        (r#"[{"database_type":"PRIMARY"}]"#, Err("default_pool_size is missing")),
        (r#"[{"database_type":"PRIMARY","defaultPoolSize":15}]"#, Err("default_pool_size is missing")),
        (twice, Err(OBJECT)),
        (kinds, Err(OBJECT)),
        (&many, Err("more than 256 entries")),
        (&wide, Err(OBJECT)),
        (&deep_number, Err(WHOLE)),
    ];
    for (body, expected) in bodies {
        compare(body, pool_size(body), expected.map(Some));
    }
    let fifteen = Ok(Some((15, "pool size 15 of the pooler (Supabase Management API)")));
    compare(&deep_member, pool_size(&deep_member), fifteen);
    let not_utf8 = [b"[", &[0xff, 0xfe][..], entry("15").as_bytes(), b"]"].concat();
    assert!(pools(&not_utf8, Number::PoolSize).is_err());
    let inside =
        [br#"[{"x":""#, &[0xff][..], br#"","database_type":"PRIMARY","default_pool_size":15}]"#].concat();
    assert!(pools(&inside, Number::PoolSize).is_err());
}

#[test]
fn what_is_not_asked_for_may_be_anything() {
    let odd = r#"[{"database_type":"PRIMARY","default_pool_size":15,"max_client_conn":"many","pool_mode":7,"new":{}}]"#;
    compare(odd, pool_size(odd), Ok(Some((15, "pool size 15 of the pooler (Supabase Management API)"))));
    let doubt = told(pools(odd.as_bytes(), Number::Clients)).unwrap_err();
    assert!(doubt.contains("max_client_conn as what is no whole number"), "{doubt}");
    let replica = r#"[{"database_type":"READ_REPLICA","default_pool_size":"x"},{"database_type":"PRIMARY","default_pool_size":9}]"#;
    compare(
        replica,
        pool_size(replica),
        Ok(Some((9, "pool size 9 of the pooler (Supabase Management API)"))),
    );
}

#[test]
fn of_pools_that_disagree_the_smallest_counts_and_a_default_among_them_is_kept_in_mind() {
    let of = |sizes: &[&str]| {
        let body = format!("[{}]", sizes.iter().map(|size| entry(size)).collect::<Vec<_>>().join(","));
        let pools = pools(body.as_bytes(), Number::PoolSize).unwrap();
        let set = pools.set(Number::PoolSize).map(Stated::allowed);
        (set.map(|set| (set.connections, set.source)), pools.has_default())
    };
    let agreed = "pool size 20 of the pooler (Supabase Management API)".to_owned();
    assert_eq!(of(&["20", "20"]), (Some((20, agreed.clone())), false));
    let least = |of| format!("pool size 10, the smallest of {of} pools (Supabase Management API)");
    assert_eq!(of(&["20", "10", "30"]), (Some((10, least(3))), false));
    assert_eq!(of(&["20", "null"]), (Some((20, agreed)), true));
    assert_eq!(of(&["null", "null"]), (None, true));
}

#[test]
fn the_dedicated_pooler_and_postgres_may_leave_their_number_out() {
    let bodies: [(&str, Result<Option<u32>, &str>); 12] = [
        ("{}", Ok(None)),
        (r#"{"max_client_conn":null,"max_connections":null}"#, Ok(None)),
        (r#"{"max_client_conn":90,"max_connections":90}"#, Ok(Some(90))),
        (r#"{"max_client_conn":0,"max_connections":0}"#, Err("no number from 1 to")),
        (r#"{"max_client_conn":"9","max_connections":"9"}"#, Err(WHOLE)),
        (r#"{"max_client_conn":9.5,"max_connections":9.5}"#, Err(WHOLE)),
        (r#"{"max_client_conn":1,"max_client_conn":1,"max_connections":1,"max_connections":1}"#, Err(OBJECT)),
        ("[]", Err(OBJECT)),
        ("[200]", Err(OBJECT)),
        ("null", Err(OBJECT)),
        ("{", Err(OBJECT)),
        ("<html>", Err("answered with a page")),
    ];
    for (body, expected) in bodies {
        let postgres = postgres(body.as_bytes()).map(|set| set.map(|stated| stated.connections()));
        for read in [pgbouncer(body.as_bytes()), postgres] {
            match (told(read), expected) {
                (Err(doubt), Err(part)) => assert!(doubt.contains(part), "{body}: {doubt}"),
                (read, expected) => assert_eq!(read, expected.map_err(ToOwned::to_owned), "{body}"),
            }
        }
    }
}

/// Add-ons with a compute size of that variant.
fn bought_as(variant: &str) -> String {
    format!(
        r#"{{"selected_addons":[{{"type":"compute_instance","variant":{variant}}}],"available_addons":[]}}"#
    )
}

#[test]
fn every_compute_size_of_the_table_is_known_by_its_id() {
    let ids = [
        ("ci_nano", Compute::Nano),
        ("ci_micro", Compute::Micro),
        ("ci_small", Compute::Small),
        ("ci_medium", Compute::Medium),
        ("ci_large", Compute::Large),
        ("ci_xlarge", Compute::Xl),
        ("ci_2xlarge", Compute::Xl2),
        ("ci_4xlarge", Compute::Xl4),
        ("ci_8xlarge", Compute::Xl8),
        ("ci_12xlarge", Compute::Xl12),
        ("ci_16xlarge", Compute::Xl16),
    ];
    assert_eq!(ids.map(|(_, compute)| compute), Compute::ALL);
    for (id, compute) in ids {
        let size = size(bought_as(&format!(r#"{{"id":"{id}"}}"#)).as_bytes()).unwrap();
        let numbers = compute.numbers();
        for (number, expected) in [
            (Number::PoolSize, numbers.pool_size),
            (Number::Clients, numbers.max_clients),
            (Number::Backends, numbers.max_connections),
        ] {
            let stated = size.number(number).unwrap();
            assert_eq!(u64::from(stated.connections()), expected.get(), "{id}");
            let source = stated.allowed().source;
            assert!(
                source.contains(&format!(" of {compute} (Supabase's table of {TABLE_DATE}; ")),
                "{source}"
            );
        }
    }
}

#[test]
fn a_project_that_bought_no_compute_size_has_the_one_that_is_included() {
    let none = include_bytes!("../recorded/addons-none.json");
    let ipv4 = br#"{"selected_addons":[{"type":"ipv4","variant":{"id":"ipv4_default"}},{"type":"pitr","variant":7}]}"#;
    for body in [&none[..], &ipv4[..]] {
        let stated = size(body).unwrap().number(Number::PoolSize).unwrap();
        let allowed = stated.allowed();
        assert_eq!(allowed.connections, 15);
        let source = format!(
            "pool size 15 of Nano or Micro (Supabase's table of {TABLE_DATE}; the API names no pool size of its own)"
        );
        assert_eq!(allowed.source, source);
    }
}

#[test]
fn what_the_api_says_of_a_compute_size_goes_before_the_table() {
    let small = size(include_bytes!("../recorded/addons.json")).unwrap();
    let source = |number| small.number(number).map(|stated| stated.allowed().source);
    assert_eq!(
        source(Number::Clients),
        Ok("max_client_conn 400 of Small (Supabase Management API)".to_owned())
    );
    assert_eq!(
        source(Number::Backends),
        Ok("max_connections 90 of Small (Supabase Management API)".to_owned())
    );
    let large =
        bought_as(r#"{"id":"ci_24xlarge","meta":{"connections_direct":750,"connections_pooler":18000}}"#);
    let large = size(large.as_bytes()).unwrap();
    assert_eq!(large.number(Number::Backends).map(|stated| stated.connections()), Ok(750));
    assert_eq!(large.number(Number::Clients).map(|stated| stated.connections()), Ok(18_000));
    let doubt = told(large.number(Number::PoolSize)).unwrap_err();
    assert_eq!(
        doubt,
        "the project runs on ci_24xlarge, of which Supabase names no pool size: state limit.connections"
    );
}

#[test]
fn a_description_that_cannot_be_believed_says_nothing() {
    let metas = [
        "null",
        "7",
        "[]",
        "{}",
        r#"{"connections_pooler":null}"#,
        r#"{"connections_pooler":"400"}"#,
        r#"{"connections_pooler":0}"#,
        r#"{"connections_pooler":-1}"#,
        r#"{"connections_pooler":1e3}"#,
        r#"{"connections_pooler":9999999}"#,
        r#"{"connections_pooler":1,"connections_pooler":2}"#,
    ];
    for meta in metas {
        let known = size(bought_as(&format!(r#"{{"id":"ci_large","meta":{meta}}}"#)).as_bytes()).unwrap();
        assert_eq!(known.number(Number::Clients).map(|stated| stated.connections()), Ok(800), "{meta}");
        let unknown =
            size(bought_as(&format!(r#"{{"id":"ci_96xlarge","meta":{meta}}}"#)).as_bytes()).unwrap();
        assert!(told(unknown.number(Number::Clients)).is_err(), "{meta}");
    }
}

#[test]
fn add_ons_of_another_shape_are_a_doubt() {
    let micro = r#"{"type":"compute_instance","variant":{"id":"ci_micro"}}"#;
    let two = format!(r#"{{"selected_addons":[{micro},{micro}]}}"#);
    let many = format!(r#"{{"selected_addons":[{}]}}"#, vec!["{}"; 100_000].join(","));
    let bodies = [
        ("", OBJECT),
        ("null", OBJECT),
        ("[]", OBJECT),
        ("{}", "selected_addons is no list"),
        (r#"{"selected_addons":null}"#, "selected_addons is no list"),
        (r#"{"selected_addons":{}}"#, "selected_addons is no list"),
        (r#"{"selected_addons":[],"selected_addons":[]}"#, OBJECT),
        (r#"{"selected_addons":[null]}"#, OBJECT),
        (r#"{"selected_addons":[{}]}"#, "an entry has no type"),
        (r#"{"selected_addons":[{"type":7}]}"#, "an entry has no type"),
        (r#"{"selected_addons":[{"type":"compute_instance"}]}"#, "the compute size has no id"),
        (r#"{"selected_addons":[{"type":"compute_instance","variant":"ci_micro"}]}"#, OBJECT),
        (r#"{"selected_addons":[{"type":"compute_instance","variant":{}}]}"#, "the compute size has no id"),
        (
            r#"{"selected_addons":[{"type":"compute_instance","variant":{"id":3}}]}"#,
            "the compute size has no id",
        ),
        (&two, "it has two compute sizes"),
        (&many, "more than 256 entries"),
        ("<html>", "answered with a page"),
    ];
    for (body, part) in bodies {
        let doubt = told(size(body.as_bytes())).unwrap_err();
        assert!(doubt.contains(part), "{body:.80}: {doubt}");
    }
}

#[test]
fn a_compute_size_of_a_strange_name_is_not_repeated() {
    let long = "x".repeat(NAME + 1);
    for id in ["<script>", "a b", "", "CI", "ci\\nmicro", &long] {
        let size = size(bought_as(&format!(r#"{{"id":"{id}"}}"#)).as_bytes()).unwrap();
        let doubt = told(size.number(Number::Clients)).unwrap_err();
        assert!(doubt.contains("runs on a compute size of a strange name, of which"), "{doubt}");
    }
}

#[test]
fn superusers_keep_three_and_something_is_left() {
    let of = |number: &str| {
        let body = format!(r#"{{"max_connections":{number}}}"#);
        postgres(body.as_bytes()).unwrap().unwrap().ordinary().map(Stated::allowed)
    };
    let allowed = of("100").unwrap();
    assert_eq!(allowed.connections, 97);
    assert_eq!(allowed.source, "max_connections 100 − 3 for superusers (Supabase Management API)");
    assert_eq!(of("4").map(|allowed| allowed.connections), Ok(1));
    for none in ["1", "3"] {
        let doubt = told(of(none)).unwrap_err();
        assert!(doubt.contains("of which 3 are for superusers, leaves none"), "{doubt}");
    }
}

#[test]
fn a_pool_larger_than_postgres_is_cut_to_it_and_both_are_named() {
    let pool = |size: &str| pool_size(&format!("[{}]", entry(size))).unwrap().unwrap();
    let postgres = || postgres(br#"{"max_connections":90}"#).unwrap().unwrap().ordinary().unwrap();
    let cut = postgres().or_smaller(pool("88")).allowed();
    assert_eq!(cut.connections, 87);
    assert_eq!(
        cut.source,
        "max_connections 90 − 3 for superusers, less than the pool size 88 (Supabase Management API)"
    );
    assert_eq!(postgres().or_smaller(pool("87")), pool("87"));
}
