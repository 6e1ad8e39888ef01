use super::*;
use crate::cluster::env::{EnvVar, FieldRef, ValueFrom};

fn map(pairs: &[(&str, &str)]) -> Map {
    Some(pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect())
}

fn app(env: &[(&str, Option<&str>)]) -> Vec<Container> {
    let env = env
        .iter()
        .map(|(name, value)| EnvVar { name: (*name).into(), value: value.map(Into::into), value_from: None })
        .collect();
    vec![Container { name: "app".into(), env, ..Container::default() }]
}

fn own(env: &[(&str, Option<&str>)]) -> u64 {
    AppFacts::read(&None, &None, &[], &app(env)).own.get()
}

#[test]
fn an_app_that_says_nothing_may_open_five_plus_ten() {
    assert_eq!(own(&[]), 15);
}

#[test]
fn literals_are_added_and_the_last_of_a_name_wins() {
    assert_eq!(
        own(&[("DB_POOL_SIZE", Some("9")), ("DB_POOL_SIZE", Some("2")), ("DB_MAX_OVERFLOW", Some("1"))]),
        3
    );
}

#[test]
fn zero_and_negative_literals_are_unlimited() {
    assert_eq!(own(&[("DB_POOL_SIZE", Some("0"))]), u64::MAX);
    assert_eq!(own(&[("DB_MAX_OVERFLOW", Some("-1"))]), u64::MAX);
}

#[test]
fn what_is_no_number_counts_as_the_default() {
    assert_eq!(own(&[("DB_POOL_SIZE", Some("abc")), ("DB_MAX_OVERFLOW", None)]), 15);
}

#[test]
fn processes_and_engines_multiply() {
    let facts =
        AppFacts::read(&None, &map(&[(names::PROCESSES, "4"), (names::ENGINES, "2")]), &[], &app(&[]));
    assert_eq!(facts.instances, Ok(Instances::of(4, 2)));
    assert_eq!(facts.own.get(), 120);
}

#[test]
fn a_count_that_is_no_number_from_1_to_1000_is_refused_with_a_sentence() {
    for bad in ["0", "-1", "1001", "four", "", "+2", "2.0", "99999999999"] {
        let facts = AppFacts::read(&None, &map(&[(names::PROCESSES, bad)]), &[], &app(&[]));
        let why = facts.instances.expect_err(bad);
        assert!(why.contains("must be a whole number from 1 to 1000"), "{why}");
    }
}

#[test]
fn who_needs_more_than_one_connection_is_named() {
    let cases = [
        (&[][..], None),
        (&[(names::EXTRA, "1")], Some("poolbudget.dev/extra-connections")),
        (&[(names::EXTRA, "2"), (names::ENGINES, "3")], Some("poolbudget.dev/extra-connections")),
        (&[(names::PROFILE, "Keycloak")], Some("profile Keycloak")),
        (&[(names::PROFILE, "PostgREST")], Some("profile PostgREST")),
        (
            &[(names::PROFILE, "PostgREST"), (names::EXTRA, "1")],
            Some("profile PostgREST with poolbudget.dev/extra-connections"),
        ),
    ];
    for (notes, expected) in cases {
        let facts = AppFacts::read(&None, &map(notes), &[], &app(&[]));
        assert_eq!(facts.needed_by().as_deref(), expected, "{notes:?}");
    }
}

#[test]
fn own_names_are_read_from_the_named_container() {
    let mut containers = app(&[("POOL", Some("99"))]);
    containers.push(Container {
        name: "web".into(),
        env: vec![
            EnvVar { name: "POOL".into(), value: Some("3".into()), value_from: None },
            EnvVar { name: "EXTRA".into(), value: Some("4".into()), value_from: None },
        ],
        ..Container::default()
    });
    let notes =
        map(&[(names::CONTAINER, "web"), (names::POOL_SIZE_ENV, "POOL"), (names::MAX_OVERFLOW_ENV, "EXTRA")]);
    assert_eq!(AppFacts::read(&None, &notes, &[], &containers).own.get(), 7);
}

#[test]
fn whatever_is_written_as_containers_is_read_at_once_and_counts_as_any_number() {
    let distinct = (0..40_000).map(|n| n.to_string()).collect::<Vec<_>>().join(",");
    let crowd: Vec<Container> =
        (0..1_000).map(|n| Container { name: format!("c{n}"), ..Container::default() }).collect();
    for (list, processes) in
        [(",".repeat(250_000), "1"), (distinct.clone(), "1"), (distinct, "app=1,".repeat(40_000).as_str())]
    {
        for containers in [&app(&[])[..], &crowd] {
            let began = std::time::Instant::now();
            let notes = map(&[(names::CONTAINER, &list), (names::PROCESSES, processes)]);
            let facts = AppFacts::read(&None, &notes, &[], containers);
            assert!(facts.instances.is_err() || list.starts_with(','));
            assert!(facts.own.get() >= 15);
            assert!(began.elapsed() < std::time::Duration::from_secs(20), "{:?}", began.elapsed());
        }
    }
}

#[test]
fn late_bound_is_an_app_whose_container_reads_both_sizes_from_the_grant() {
    let reads = |annotation: &str| {
        let field_path = format!("metadata.annotations['{annotation}']");
        Some(ValueFrom { field_ref: Some(FieldRef { field_path }) })
    };
    let mut containers =
        app(&[("DB_POOL_SIZE", Some("5")), ("DB_POOL_SIZE", None), ("DB_MAX_OVERFLOW", None)]);
    containers[0].env[1].value_from = reads(names::POOL_SIZE);
    assert!(!AppFacts::read(&None, &None, &[], &containers).late_bound);
    containers[0].env[2].value_from = reads(names::MAX_OVERFLOW);
    assert!(AppFacts::read(&None, &None, &[], &containers).late_bound);
    containers[0].env.push(EnvVar { name: "DB_POOL_SIZE".into(), value: Some("9".into()), value_from: None });
    assert!(!AppFacts::read(&None, &None, &[], &containers).late_bound);
}

#[test]
fn a_proxy_before_the_app_is_passed_over() {
    let mut containers = app(&[("DB_POOL_SIZE", Some("20")), ("DB_MAX_OVERFLOW", Some("10"))]);
    containers.insert(0, container("istio-proxy", None));
    let facts = of(&[], &[], &containers);
    assert_eq!((facts.own.get(), facts.unbound.as_deref()), (30, Some("app")));
}

#[test]
fn a_container_that_may_have_a_pool_as_well_is_counted_and_makes_the_pod_one_that_cannot_be_granted() {
    let reads = |annotation: &str| {
        let field_path = format!("metadata.annotations['{annotation}']");
        Some(ValueFrom { field_ref: Some(FieldRef { field_path }) })
    };
    let mut containers = app(&[("DB_POOL_SIZE", None), ("DB_MAX_OVERFLOW", None)]);
    containers[0].env[0].value_from = reads(names::POOL_SIZE);
    containers[0].env[1].value_from = reads(names::MAX_OVERFLOW);
    let granted = [(names::POOL_SIZE, "2"), (names::MAX_OVERFLOW, "1")];
    assert!(of(&granted, &[], &containers).late_bound);
    for other in ["worker", "istio-proxy"] {
        let mut containers = containers.clone();
        containers.extend(app(&[("DB_POOL_SIZE", Some("20")), ("DB_MAX_OVERFLOW", Some("10"))]));
        containers[1].name = other.into();
        let facts = of(&granted, &[], &containers);
        assert_eq!((facts.own.get(), facts.late_bound, facts.unbound), (33, false, None));
        let why = facts.taken.expect("a sentence");
        assert!(
            why.starts_with(&format!(
                "{other} sets DB_POOL_SIZE or DB_MAX_OVERFLOW, but only app is counted"
            )),
            "{why}"
        );
        let named = [&granted[..], &[(names::CONTAINER, "app")]].concat();
        let facts = of(&named, &[], &containers);
        assert_eq!((facts.own.get(), facts.late_bound, facts.taken), (3, true, None));
    }
    // It was bound as the app before and no longer counts as it: both read the grant, and the count is of one.
    containers.insert(0, Container { name: "unknown".into(), ..containers[0].clone() });
    let facts = of(&granted, &[], &containers);
    assert_eq!((facts.own.get(), facts.late_bound), (6, false));
}

#[test]
fn what_the_gate_replaced_is_what_the_env_states() {
    let stated = |notes: &[(&str, &str)], env: &[(&str, Option<&str>)]| {
        let split = AppFacts::read(&None, &map(notes), &[], &app(env)).stated;
        split.map(|split| (split.pool_size.get(), split.max_overflow.get()))
    };
    assert_eq!(stated(&[], &[("DB_POOL_SIZE", Some("3")), ("DB_MAX_OVERFLOW", Some("0"))]), Some((3, 0)));
    assert_eq!(stated(&[], &[]), Some((5, 10)));
    assert_eq!(stated(&[], &[("DB_MAX_OVERFLOW", Some("-1"))]), None);
    assert_eq!(stated(&[], &[("DB_POOL_SIZE", Some("$(N)"))]), None);
    let mut containers = app(&[("DB_POOL_SIZE", None), ("DB_MAX_OVERFLOW", Some("7"))]);
    let field_path = format!("metadata.annotations['{}']", names::POOL_SIZE);
    containers[0].env[0].value_from = Some(ValueFrom { field_ref: Some(FieldRef { field_path }) });
    let notes = map(&[(names::POOL_SIZE, "1"), (names::REPLACED_ENV, r#"{"DB_POOL_SIZE":"4","OTHER":"9"}"#)]);
    let split = AppFacts::read(&None, &notes, &[], &containers).stated.expect("sizes");
    assert_eq!((split.pool_size.get(), split.max_overflow.get()), (4, 7));
}

#[test]
fn what_a_pod_states_goes_by_its_profile_and_by_the_most_of_its_containers() {
    let stated = |notes: &[(&str, &str)], env: &[(&str, Option<&str>)]| {
        let mut other = app(env);
        other[0].name = "other".into();
        let split = of(notes, &[], &[app(&[]).remove(0), other.remove(0)]).stated;
        split.map(|split| (split.pool_size.get(), split.max_overflow.get()))
    };
    let profile = |name| [(names::PROFILE, name), (names::CONTAINER, "app,other")];
    assert_eq!(stated(&profile("n8n"), &[("DB_POSTGRESDB_POOL_SIZE", Some("7"))]), Some((7, 0)));
    assert_eq!(stated(&profile("PostgREST"), &[]), Some((10, 1)));
    assert_eq!(
        stated(&profile("MLflow"), &[("MLFLOW_SQLALCHEMYSTORE_MAX_OVERFLOW", Some("0"))]),
        Some((5, 10))
    );
    assert_eq!(stated(&profile("Grafana"), &[]), None);
    assert_eq!(stated(&profile("Superset"), &[]), Some((15, 0)));
}

#[test]
fn a_count_that_is_refused_multiplies_the_bill_all_the_same() {
    let own =
        |count: &str| AppFacts::read(&None, &map(&[(names::PROCESSES, count)]), &[], &app(&[])).own.get();
    assert_eq!([own("2000"), own(" 4 "), own("+2")], [30_000, 60, 30]);
    for unreadable in ["", "0", "-1", "four", "4.0", "1e3", "99999999999"] {
        assert_eq!(own(unreadable), u64::MAX, "{unreadable:?}");
    }
}

#[test]
fn where_the_named_container_is_missing_any_may_be_the_app() {
    let mut containers = app(&[("DB_POOL_SIZE", Some("1")), ("DB_MAX_OVERFLOW", Some("0"))]);
    containers.extend(app(&[("DB_POOL_SIZE", Some("40"))]));
    let facts = AppFacts::read(&None, &map(&[(names::CONTAINER, "web")]), &[], &containers);
    assert_eq!((facts.own.get(), facts.late_bound), (50, false));
}

#[test]
fn a_long_text_is_quoted_in_part() {
    let facts = AppFacts::read(&None, &map(&[(names::PROCESSES, &"9\u{1}".repeat(100_000))]), &[], &app(&[]));
    let why = facts.instances.expect_err("no count");
    assert!(why.len() < 400 && why.contains('…'), "{why}");
}

fn of(notes: &[(&str, &str)], init: &[Container], regular: &[Container]) -> AppFacts {
    AppFacts::read(&None, &map(notes), init, regular)
}

#[test]
fn an_unknown_profile_and_one_without_a_bound_are_refused_not_ignored() {
    for (name, why) in [("Hikari", "must be one of"), ("NullPool", "CONNECTION LIMIT")] {
        let facts = of(&[(names::PROFILE, name)], &[], &app(&[]));
        assert_eq!(facts.own, Connections::MAX);
        assert!(facts.instances.expect_err("refused").contains(why), "{name}");
    }
}

#[test]
fn a_product_is_read_by_its_own_variables_and_by_what_they_mean_to_it() {
    let own = |profile: &str, env: &[(&str, Option<&str>)]| {
        of(&[(names::PROFILE, profile)], &[], &app(env)).own.get()
    };
    let (size, overflow) = ("MLFLOW_SQLALCHEMYSTORE_POOL_SIZE", "MLFLOW_SQLALCHEMYSTORE_MAX_OVERFLOW");
    assert_eq!(own("MLflow", &[(size, Some("1")), (overflow, Some("0"))]), 11);
    assert_eq!(own("MLflow", &[(size, Some("0")), (overflow, Some("2"))]), 7);
    assert_eq!(own("MLflow", &[(size, Some("-1"))]), u64::MAX);
    assert_eq!(own("MLflow", &[("DB_POOL_SIZE", Some("50"))]), 15);
    assert_eq!(own("n8n", &[]), 2);
    assert_eq!(own("n8n", &[("DB_POSTGRESDB_POOL_SIZE", Some("0"))]), 10);
    assert_eq!(own("Grafana", &[]), u64::MAX);
    assert_eq!(own("Grafana", &[("GF_DATABASE_MAX_OPEN_CONN", Some("4"))]), 4);
    assert_eq!(own("PostgREST", &[("PGRST_DB_POOL", Some("4"))]), 5);
    assert_eq!(own("Rails", &[("RAILS_MAX_THREADS", Some("-1"))]), u64::MAX);
}

#[test]
fn what_a_profile_makes_of_one_engine_multiplies() {
    let facts = |profile: &str| {
        let notes = [(names::PROFILE, profile), (names::PROCESSES, "2"), (names::ENGINES, "3")];
        of(&notes, &[], &app(&[]))
    };
    let seen = ["SQLAlchemy", "Airflow", "Temporal"].map(|profile| {
        let facts = facts(profile);
        (facts.processes, facts.engines, facts.instances.unwrap().get(), facts.own.get())
    });
    assert_eq!(seen, [(2, 3, 6, 90), (2, 6, 12, 180), (2, 6, 12, 180)]);
}

#[test]
fn what_a_process_opens_beside_its_pools_is_part_of_each_size_and_of_the_bill() {
    let facts = |profile: &str, engines: &str, extra: &str| {
        let notes = [
            (names::PROFILE, profile),
            (names::PROCESSES, "2"),
            (names::ENGINES, engines),
            (names::EXTRA, extra),
        ];
        let facts = of(&notes, &[], &app(&[]));
        (facts.least().get(), facts.beside, facts.own.get())
    };
    assert_eq!(facts("SQLAlchemy", "1", "2"), (3, Some(2), 34));
    // Three among two engines count as two with each.
    assert_eq!(facts("SQLAlchemy", "2", "3"), (3, Some(2), 66));
    assert_eq!(facts("PostgREST", "1", "3"), (5, Some(4), 28), "on top of what the profile knows");
    assert_eq!(facts("Keycloak", "1", "1"), (5, Some(1), 202));
    assert_eq!(facts("Superset", "1", "1"), (16, Some(1), 32));
    for refused in ["0", "-1", "x", "", "1001"] {
        let facts = of(&[(names::EXTRA, refused)], &[], &app(&[]));
        let why = facts.instances.expect_err(refused);
        assert!(why.starts_with("poolbudget.dev/extra-connections must be a whole number"), "{why}");
    }
    assert_eq!(of(&[(names::EXTRA, "x")], &[], &app(&[])).own, Connections::MAX);
}

#[test]
fn a_lower_bound_of_a_pool_is_no_bound_of_it() {
    let env = [("KC_DB_POOL_MAX_SIZE", Some("7")), ("KC_DB_POOL_MIN_SIZE", Some("0"))];
    assert_eq!(of(&[(names::PROFILE, "Keycloak")], &[], &app(&env)).own.get(), 7);
}

#[test]
fn an_older_name_counts_where_the_new_one_is_not_set_and_it_allows_more() {
    let (new, old) = ("AIRFLOW__DATABASE__SQL_ALCHEMY_POOL_SIZE", "AIRFLOW__CORE__SQL_ALCHEMY_POOL_SIZE");
    let facts = |env: &[(&str, Option<&str>)]| of(&[(names::PROFILE, "Airflow")], &[], &app(env));
    let own = |env: &[(&str, Option<&str>)]| facts(env).own.get();
    // Two engines, each with 10 on top.
    assert_eq!(own(&[(old, Some("40"))]), 100);
    assert_eq!(own(&[(old, Some("1"))]), 30, "a version that does not read it takes its default");
    assert_eq!(own(&[(old, Some("40")), (new, Some("2"))]), 24, "the new one wins");
    assert_eq!(own(&[(old, Some("0"))]), u64::MAX);
    let split = facts(&[(old, Some("40"))]).stated.expect("sizes");
    assert_eq!((split.pool_size.get(), split.max_overflow.get()), (40, 10));
}

#[test]
fn what_wins_over_the_variables_is_told_and_the_pod_may_open_anything() {
    use super::super::env::{Mount, Words};
    let facts = |profile: &str, change: &dyn Fn(&mut Container)| {
        let mut containers = app(&[("SQL_MAX_CONNS", Some("3"))]);
        change(&mut containers[0]);
        let facts = of(&[(names::PROFILE, profile)], &[], &containers);
        (facts.overruled, facts.own)
    };
    let mount =
        |path: &'static str| move |c: &mut Container| c.volume_mounts.push(Mount { mount_path: path.into() });
    let word = |word: &'static str| {
        move |c: &mut Container| c.args = Words { list: vec!["start".into(), word.into()], cut: false }
    };
    let variable = |name: &'static str, value: &'static str| {
        move |c: &mut Container| {
            c.env.push(EnvVar { name: name.into(), value: Some(value.into()), value_from: None });
        }
    };
    for wins in [
        facts("Temporal", &mount("/etc/temporal/config/config_template.yaml")),
        facts("Temporal", &mount("/etc/temporal/config/")),
        facts("Temporal", &variable("TEMPORAL_SERVER_CONFIG_FILE_PATH", "/c.yaml")),
        facts("Keycloak", &word("--db-pool-max-size=50")),
        facts("Keycloak", &word("--db-pool-max-size")),
        facts("HikariCP", &word("java -jar a.jar '--spring.datasource.hikari.maximumPoolSize=50'")),
        facts("HikariCP", &variable("JAVA_TOOL_OPTIONS", "-Dspring.datasource.hikari.maximum-pool-size=9")),
    ] {
        assert!(wins.0.as_ref().is_some_and(|why| why.contains("wins over")), "{wins:?}");
        assert_eq!(wins.1, Connections::MAX);
    }
    for not in [
        facts("Temporal", &mount("/etc/temporal/config/dynamicconfig")),
        facts("Temporal", &mount("/etc/temporal/configuration")),
        facts("Temporal", &variable("TEMPORAL_SERVER_CONFIG_FILE_PATH", "")),
        facts("Keycloak", &word("--db-pool-max-size-of-another=5")),
        facts("Single", &word("--db-pool-max-size=50")),
    ] {
        assert_eq!(not.0, None);
    }
}

#[test]
fn another_spelling_of_a_bound_counts_where_it_says_more() {
    let env = [
        ("SPRING_DATASOURCE_HIKARI_MAXIMUMPOOLSIZE", Some("5")),
        ("SPRING_DATASOURCE_HIKARI_MAXIMUM_POOL_SIZE", Some("30")),
    ];
    assert_eq!(of(&[(names::PROFILE, "HikariCP")], &[], &app(&env)).own.get(), 30);
}

#[test]
fn a_bound_without_the_switch_that_it_needs_is_none() {
    let bound = ("LITELLM_PGBOUNCER_MAX_DB_CONNECTIONS", Some("5"));
    let own = |env: &[(&str, Option<&str>)]| of(&[(names::PROFILE, "LiteLLM")], &[], &app(env)).own.get();
    assert_eq!(own(&[bound]), u64::MAX);
    assert_eq!(own(&[bound, ("LITELLM_PGBOUNCER_ENABLED", Some("true"))]), 5);
    let percentage = ("GOTRUE_DB_CONN_PERCENTAGE", Some("80"));
    let bound = ("GOTRUE_DB_MAX_POOL_SIZE", Some("5"));
    let own = |env: &[(&str, Option<&str>)]| of(&[(names::PROFILE, "GoTrue")], &[], &app(env)).own.get();
    assert_eq!([own(&[bound]), own(&[bound, percentage])], [5, u64::MAX]);
}

#[test]
fn what_no_variable_governs_has_the_size_that_it_states_and_reads_no_grant() {
    let facts = |notes: &[(&str, &str)]| of(notes, &[], &app(&[]));
    let superset = facts(&[(names::PROFILE, "Superset"), (names::PROCESSES, "4")]);
    assert_eq!((superset.least().get(), superset.own.get(), superset.is_counted()), (15, 60, true));
    let prisma = facts(&[(names::PROFILE, "Prisma"), (names::CONNECTIONS_PER_PROCESS, "7")]);
    assert_eq!((prisma.fixed, prisma.own.get()), (Some(Connections::new(7)), 7));
    let unknown = facts(&[(names::PROFILE, "Prisma")]);
    assert_eq!((unknown.fixed, unknown.own), (None, Connections::MAX));
    assert!(unknown.instances.expect_err("no size").contains("must say how many"));
}

fn container(name: &str, restart: Option<&str>) -> Container {
    Container { name: name.into(), restart_policy: restart.map(Into::into), ..Container::default() }
}

#[test]
fn a_pod_has_the_processes_of_its_largest_moment() {
    let init = [container("first", None), container("proxy", Some("Always")), container("migrate", None)];
    let regular = [container("app", None), container("other", None)];
    let processes = |containers: &str, processes: &str| {
        let notes = [(names::CONTAINER, containers), (names::PROCESSES, processes)];
        of(&notes, &init, &regular).instances.unwrap().get()
    };
    assert_eq!(processes("app", "4"), 4);
    assert_eq!(processes("migrate,app", "4"), 4, "one number is of those that stay");
    assert_eq!(processes("migrate,app", "app=2,migrate=5"), 5, "the largest init container");
    assert_eq!(processes("app,other", "2"), 4, "containers run together");
    assert_eq!(processes("proxy,app", "app=2,proxy=3"), 5, "a sidecar stays");
    assert_eq!(processes("proxy,migrate,app", "proxy=2,migrate=6,app=3"), 8, "the sidecar started before");
    assert_eq!(processes("first,proxy", "first=6,proxy=2"), 6, "the sidecar starts later");
    assert_eq!(processes("app,other", "other=3"), 4, "without a number it is one");
}

#[test]
fn what_each_container_may_open_adds_up_as_its_processes_do() {
    let sized = |name: &str, size: &str| {
        let mut container = app(&[("DB_POOL_SIZE", Some(size)), ("DB_MAX_OVERFLOW", Some("0"))]).remove(0);
        container.name = name.into();
        container
    };
    let own = |init: &str, app: &str, other: &str| {
        let notes = [(names::CONTAINER, "migrate,app,other"), (names::PROCESSES, "2")];
        let regular = [sized("app", app), sized("other", other)];
        of(&notes, &[sized("migrate", init)], &regular).own.get()
    };
    assert_eq!(own("3", "4", "5"), 18);
    assert_eq!(own("30", "4", "5"), 30);
    assert_eq!(own("0", "4", "5"), u64::MAX);
}
