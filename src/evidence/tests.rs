use super::*;

fn says(body: &str) -> Option<Reading> {
    read(body.as_bytes())
}

#[test]
fn what_is_no_pool_says_nothing() {
    for body in [
        "",
        " ",
        "{}",
        "[]",
        "null",
        "{\"status\":\"ok\"}",
        "{\"size\":5}",
        "{\"pool\":[1,2]}",
        "{\"pool\":{\"size\":\"x\"}}",
        "<html>404</html>",
        "up 1",
        "hikaricp_connections_max",
        "hikaricp_connections_max{pool=\"a\"",
        "{not json",
        "hikaricp_connections_pending 3",
    ] {
        assert_eq!(says(body), None, "{body}");
    }
    assert_eq!(read(&[0xff, 0xfe, 0x00]), None);
}

#[test]
fn numbers_that_make_no_sense_are_bounded() {
    let of = |value: &str| says(&format!("pgxpool_max_conns {value}")).and_then(|reading| reading.maximum);
    assert_eq!(of("5"), Some(Maximum::Of(5)));
    assert_eq!(of("4.2"), Some(Maximum::Of(5)));
    assert_eq!(of("-3"), Some(Maximum::Of(0)));
    assert_eq!(of("NaN"), Some(Maximum::Of(0)));
    for large in ["+Inf", "1e300", "18446744073709551616"] {
        assert_eq!(of(large), Some(Maximum::Of(MAX_CONNECTIONS)), "{large}");
    }
    let json = says("{\"size\":99999999999,\"checked_out\":18446744073709551615,\"max_connections\":-1}");
    assert_eq!(json.and_then(|reading| reading.open), Some(MAX_CONNECTIONS));
}

#[test]
fn pools_of_one_process_are_summed_and_labels_are_read_with_their_escapes() {
    let page = "\
db_client_connections_max{pool_name=\"a} \\\" state=\\\"used\\\"\",state=\"x\"} 5 1700000000\n\
db_client_connections_max{pool_name=\"b\"} 3\n\
db_client_connections_usage{pool_name=\"a\", state=\"used\"} 2 # {trace_id=\"1\"} 1\n\
db_client_connections_usage{pool_name=\"b\",state=\"used\"} 1\n\
db_client_connections_usage{state=\"idle\",pool_name=\"b\"} 1\n\
db_client_connections_usage{pool_name=\"state=\\\"used\\\"\",state=\"other\"} 100\n";
    let expected = Reading {
        covers: Covers::Process,
        maximum: Some(Maximum::Of(8)),
        least: None,
        open: Some(4),
        in_use: Some(3),
        waiting: None,
    };
    assert_eq!(says(page), Some(expected));
}

#[test]
fn of_two_libraries_that_describe_the_same_pools_the_one_with_the_larger_maximum_counts() {
    let page = "hikaricp_connections_max{pool=\"p\"} 5\nhikaricp_connections_active 2\nagroal_active_count 70\n\
                db_client_connections_max 9\n";
    assert_eq!(says(page).and_then(|reading| reading.maximum), Some(Maximum::Of(9)));
}

#[test]
fn a_pool_without_a_bound_is_read_as_one() {
    for body in [
        "go_sql_max_open_connections{db_name=\"shop\"} 0\ngo_sql_open_connections 7\n",
        "{\"pool_class\": \"NullPool\", \"size\": \"N/A\", \"checked_out\": \"N/A\"}",
        "{\"size\": 5, \"checked_out\": 1, \"max_overflow\": -1}",
    ] {
        assert_eq!(says(body).and_then(|reading| reading.maximum), Some(Maximum::Unbounded), "{body}");
    }
}

#[test]
fn every_family_belongs_to_one_role_of_its_stack() {
    for stack in STACKS {
        for family in stack.families {
            let same =
                stack.families.iter().filter(|other| other.name == family.name && other.only == family.only);
            assert_eq!(same.count(), 1, "{}: {}", stack.name, family.name);
        }
    }
}

/// The recorded answer of this name.
fn recorded(file: &str) -> Option<Reading> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/evidence").join(file);
    let body = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    read(&body)
}

/// What each recorded answer says: maximum, open, in use, waiting. `tests/evidence/README.md` has the true states.
#[test]
fn what_real_libraries_answer_is_understood() {
    let of = Maximum::Of;
    let (pool, process, pod) = (Covers::Pool, Covers::Process, Covers::Pod);
    let (half, full) = ((Some(of(5)), Some(3), Some(2)), (Some(of(5)), Some(5), Some(5)));
    let cases = [
        ("otel-old.txt", process, half, Some(0)),
        ("otel-old-full.txt", process, full, Some(1)),
        ("otel-old-python.txt", process, (None, Some(3), Some(2)), None),
        ("otel-old-python-full.txt", process, (None, Some(5), Some(5)), None),
        ("otel-new.txt", process, half, Some(0)),
        ("otel-new-full.txt", process, full, Some(1)),
        // This library lags: it counts an idle connection as used, and one that waits not at all.
        ("otel-new-node.txt", process, (Some(of(5)), Some(3), Some(3)), Some(0)),
        ("otel-new-node-full.txt", process, full, Some(0)),
        ("hikaricp.txt", process, half, Some(0)),
        ("hikaricp-full.txt", process, full, Some(1)),
        ("hikaricp-native.txt", process, half, Some(0)),
        ("hikaricp-native-full.txt", process, full, Some(1)),
        ("hikaricp-native-histogram.txt", process, half, Some(0)),
        ("agroal.txt", process, (None, Some(3), Some(2)), Some(0)),
        ("agroal-full.txt", process, (None, Some(5), Some(5)), Some(1)),
        ("agroal-cold.txt", process, (None, Some(0), Some(0)), Some(0)),
        ("agroal-openmetrics.txt", process, (None, Some(3), Some(2)), Some(0)),
        ("pg_pool.txt", process, half, Some(0)),
        ("pg_pool-full.txt", process, full, Some(1)),
        ("pgxpool.txt", process, half, None),
        ("pgxpool-full.txt", process, full, None),
        ("go_sql.txt", process, half, None),
        ("go_sql-full.txt", process, full, None),
        ("go_sql-lib_pq.txt", process, half, None),
        ("go_sql-unlimited.txt", process, (Some(Maximum::Unbounded), Some(3), Some(2)), None),
        ("pgbouncer.txt", pod, (None, Some(3), Some(2)), Some(0)),
        ("pgbouncer-full.txt", pod, (None, Some(5), Some(5)), Some(1)),
        ("ruby.txt", pod, half, Some(0)),
        ("ruby-full.txt", pod, full, Some(1)),
        ("ruby-two-workers.txt", pod, (Some(of(10)), Some(8), Some(7)), Some(1)),
        ("sqlalchemy-debug.json", pool, half, None),
        ("sqlalchemy-debug-full.json", pool, full, None),
        ("sqlalchemy-debug-cold.json", pool, (Some(of(5)), Some(0), Some(0)), None),
        ("sqlalchemy-health.json", pool, (None, Some(3), Some(2)), None),
        ("sqlalchemy-health-cold.json", pool, (None, Some(0), Some(0)), None),
        ("sqlalchemy-flat.json", pool, (None, Some(3), Some(2)), None),
        ("sqlalchemy-short.json", pool, (None, Some(3), Some(2)), None),
        ("sqlalchemy-class.json", pool, (None, Some(3), Some(2)), None),
        ("sqlalchemy-status.json", pool, (None, Some(3), Some(2)), None),
        ("sqlalchemy-status-full.json", pool, (None, Some(5), Some(5)), None),
        ("sqlalchemy-nullpool.json", pool, (Some(Maximum::Unbounded), None, None), None),
        ("psycopg_pool.json", pool, half, Some(0)),
        ("psycopg_pool-full.json", pool, full, Some(1)),
        ("node-postgres.json", pool, half, Some(0)),
        ("node-postgres-full.json", pool, full, Some(1)),
        ("go_sql.json", pool, half, None),
        ("go_sql-full.json", pool, full, None),
    ];
    for (file, covers, numbers, waiting) in cases {
        let reading = recorded(file).unwrap_or_else(|| panic!("{file} says nothing"));
        let said = (reading.maximum, reading.open, reading.in_use);
        assert_eq!((reading.covers, said, reading.waiting), (covers, numbers, waiting), "{file}");
    }
}

#[test]
fn a_library_that_says_nothing_yet_or_nonsense_makes_no_pod_count_for_more() {
    assert_eq!(recorded("otel-old-python-cold.txt"), None);
    // In this one, a pool has −1 connections in use.
    let two = recorded("otel-new-node-two-pools.txt").expect("a reading");
    assert_eq!((two.maximum, two.open.is_some_and(|open| open <= 8)), (Some(Maximum::Of(8)), true));
    let cold = recorded("pg_pool-cold.txt").expect("a reading");
    assert_eq!((cold.maximum, cold.in_use), (Some(Maximum::Of(5)), None));
}

#[test]
fn the_page_about_evidence_has_a_row_for_each_library_with_all_its_families() {
    let page = include_str!("../../docs/evidence.md");
    for stack in STACKS {
        let start = format!("| {} |", stack.name);
        let row =
            page.lines().find(|line| line.starts_with(&start)).unwrap_or_else(|| panic!("no row {start}"));
        for family in stack.families {
            assert!(row.contains(&format!("`{}`", family.name)), "{}: {}", stack.name, family.name);
        }
    }
}
