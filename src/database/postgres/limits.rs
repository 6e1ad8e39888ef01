//! How many connections a server lets the role of a DSN have.
//!
//! In: the answer to one question. Out: the smallest of the limits that bind, and which it is. Forbidden here: asking.

use std::fmt::Write as _;

use super::super::{Allowed, Class, Doubt, believed};
use super::table::{Row, Table};
use super::text;

/// The question. All names are qualified, because a database can have tables, functions and operators of the same names.
/// `reserved_connections` came with PostgreSQL 16. Amazon RDS has a setting of its own, for members of `rds_superuser`:
/// <https://aws.amazon.com/premiumsupport/knowledge-center/rds-postgresql-error-connection-slots/>
pub(super) const QUESTION: &str = "\
SELECT pg_catalog.current_setting('max_connections') AS max_connections, \
pg_catalog.current_setting('superuser_reserved_connections') AS superuser_reserved, \
pg_catalog.current_setting('reserved_connections', true) AS reserved, \
pg_catalog.current_setting('rds.rds_superuser_reserved_connections', true) AS rds_reserved, \
pg_catalog.pg_is_in_recovery() AS in_recovery, \
r.rolname AS role, r.rolconnlimit AS role_limit, r.rolsuper AS is_superuser, \
d.datname AS database, d.datconnlimit AS database_limit, \
pg_catalog.pg_backend_pid() AS pid \
FROM pg_catalog.pg_roles r, pg_catalog.pg_database d \
WHERE r.rolname OPERATOR(pg_catalog.=) session_user \
AND d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database()";

/// Whose limit binds, and so whose connections count against it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bound {
    /// The server's: all of them.
    Server,
    /// The role's: those of the role, in all databases.
    Role,
    /// The database's: those to the database, of all roles.
    Database,
}

/// What is allowed, and by whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Limits {
    pub(super) allowed: Allowed,
    pub(super) bound: Bound,
}

/// Reads the answer. `pid` is the backend that the login promised: if another one answered, a pooler lent it, and how
/// many clients that pooler takes is not known here. Every PostgreSQL promises one, so whoever promises none may be a
/// pooler too.
pub(super) fn limits(answer: &Table, pid: Option<i32>) -> Result<Limits, Doubt> {
    let row = answer.only_row().ok_or_else(|| not_understood("the server gave no answer of one row"))?;
    let limits = least(&row)?;
    let answered = number(&row, "pid")?;
    match pid.map(i64::from) {
        Some(pid) if pid == answered => Ok(limits),
        Some(_) => Err(not_understood(
            "a pooler answered for the server, and it has a limit of its own: name the console of PgBouncer, or \
             limit.supabase.project, or state limit.connections",
        )),
        None => Err(not_understood(
            "whoever answered did not say at the login which backend it is, as a PostgreSQL server does: it may be a \
             pooler, which has a limit of its own. Name the server itself, the console of PgBouncer, or \
             limit.supabase.project, or state limit.connections",
        )),
    }
}

/// The smallest of the limits.
fn least(row: &Row<'_>) -> Result<Limits, Doubt> {
    if is(row, "in_recovery")? {
        return Err(not_understood("the server is in recovery (a standby): name the primary"));
    }
    let server = server(row)?;
    // PostgreSQL holds no superuser to the limit of a role or a database.
    if is(row, "is_superuser")? {
        return Ok(Limits { allowed: server, bound: Bound::Server });
    }
    let connections = server.connections;
    let mut least = Limits { allowed: server, bound: Bound::Server };
    for (bound, kind, limit) in
        [(Bound::Role, "role", "role_limit"), (Bound::Database, "database", "database_limit")]
    {
        let Some(limit) = own(row, limit, kind)?.filter(|limit| *limit < least.allowed.connections) else {
            continue;
        };
        let name = text::name(row.text(kind).unwrap_or_default());
        let source =
            format!("connection limit {limit} of {kind} {name} (max_connections allows {connections})");
        least = Limits { allowed: Allowed { connections: limit, source }, bound };
    }
    Ok(least)
}

/// What the server itself allows.
fn server(row: &Row<'_>) -> Result<Allowed, Doubt> {
    let most = believed("max_connections", number(row, "max_connections")?)?;
    let superusers = reserved(row, "superuser_reserved", most)?;
    let mut left = i64::from(most) - i64::from(superusers);
    let mut source = format!("max_connections {most} − {superusers} for superusers");
    for (column, whose) in [("rds_reserved", "for rds_superuser"), ("reserved", "reserved")] {
        let kept = match row.cell(column) {
            Some(None) => continue,
            _ => reserved(row, column, most)?,
        };
        left -= i64::from(kept);
        if kept > 0 {
            let _ = write!(source, " − {kept} {whose}");
        }
    }
    let connections = believed("max_connections less what is reserved", left)?;
    Ok(Allowed { connections, source })
}

/// What a setting keeps for others.
fn reserved(row: &Row<'_>, column: &str, most: u32) -> Result<u32, Doubt> {
    let number = number(row, column)?;
    let number = u32::try_from(number).ok().filter(|number| *number <= most);
    number.ok_or_else(|| not_understood(&format!("{column} is no number from 0 to max_connections")))
}

/// The limit of the role or the database, if it has one.
fn own(row: &Row<'_>, column: &str, kind: &str) -> Result<Option<u32>, Doubt> {
    let wrong = || not_understood(&format!("the connection limit of the {kind} is no number of connections"));
    match number(row, column)? {
        -1 => Ok(None),
        limit @ 1.. => u32::try_from(limit).map(Some).map_err(|_| wrong()),
        _ => Err(wrong()),
    }
}

fn number(row: &Row<'_>, column: &str) -> Result<i64, Doubt> {
    let number = row.text(column).and_then(|text| text.parse().ok());
    number.ok_or_else(|| not_understood(&format!("the server's {column} is no number")))
}

fn is(row: &Row<'_>, column: &str) -> Result<bool, Doubt> {
    match row.text(column) {
        Some("t") => Ok(true),
        Some("f") => Ok(false),
        _ => Err(not_understood(&format!("the server's {column} is neither true nor false"))),
    }
}

fn not_understood(sentence: &str) -> Doubt {
    Doubt::new(Class::NotUnderstood, sentence)
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: &str = "max_connections|superuser_reserved|reserved|in_recovery|role|role_limit|is_superuser|\
                           database|database_limit";

    /// The answer of a backend that is the one which was promised.
    fn answered(columns: &str, rows: &str) -> Table {
        let rows = rows.lines().map(|row| format!("\n4711|NULL|{row}"));
        Table::written(&format!("pid|rds_reserved|{columns}{}", rows.collect::<String>()))
    }

    fn of(row: &str) -> Result<(u32, String, Bound), String> {
        let read = limits(&answered(COLUMNS, row), Some(4711));
        read.map(|l| (l.allowed.connections, l.allowed.source, l.bound)).map_err(|doubt| {
            assert_eq!(doubt.class, Class::NotUnderstood);
            doubt.sentence
        })
    }

    #[test]
    fn the_smallest_limit_binds_and_is_named() {
        let role = "connection limit 20 of role app (max_connections allows 97)";
        let database = "connection limit 40 of database shop (max_connections allows 97)";
        for (row, connections, source, bound) in [
            ("100|3|NULL|f|app|-1|f|shop|-1", 97, "max_connections 100 − 3 for superusers", Bound::Server),
            ("100|3|0|f|app|-1|f|shop|-1", 97, "max_connections 100 − 3 for superusers", Bound::Server),
            (
                "100|3|5|f|app|-1|f|shop|-1",
                92,
                "max_connections 100 − 3 for superusers − 5 reserved",
                Bound::Server,
            ),
            ("100|0|NULL|f|app|-1|f|shop|-1", 100, "max_connections 100 − 0 for superusers", Bound::Server),
            ("100|3|NULL|f|app|20|f|shop|-1", 20, role, Bound::Role),
            ("100|3|NULL|f|app|-1|f|shop|40", 40, database, Bound::Database),
            ("100|3|NULL|f|app|20|f|shop|40", 20, role, Bound::Role),
            (
                "100|3|NULL|f|app|40|f|shop|40",
                40,
                "connection limit 40 of role app (max_connections allows 97)",
                Bound::Role,
            ),
            ("100|3|NULL|f|app|97|f|shop|500", 97, "max_connections 100 − 3 for superusers", Bound::Server),
            (
                "100|3|NULL|f|app|2147483647|f|shop|-1",
                97,
                "max_connections 100 − 3 for superusers",
                Bound::Server,
            ),
            ("100|3|NULL|f|root|20|t|shop|40", 97, "max_connections 100 − 3 for superusers", Bound::Server),
            (
                "2|0|1|f|app|-1|f|shop|-1",
                1,
                "max_connections 2 − 0 for superusers − 1 reserved",
                Bound::Server,
            ),
            (
                "1000000|3|NULL|f|app|-1|f|shop|-1",
                999_997,
                "max_connections 1000000 − 3 for superusers",
                Bound::Server,
            ),
            (
                "100|3|NULL|f|a\u{202e}pp|1|f|shop|-1",
                1,
                "connection limit 1 of role app (max_connections allows 97)",
                Bound::Role,
            ),
        ] {
            assert_eq!(of(row), Ok((connections, source.to_owned(), bound)), "{row}");
        }
    }

    #[test]
    fn what_amazon_rds_keeps_for_its_superusers_is_subtracted() {
        let of = |rds: &str, reserved: &str| {
            let text = format!("{COLUMNS}|rds_reserved|pid\n100|3|{reserved}|f|app|-1|f|shop|-1|{rds}|1");
            let read = limits(&Table::written(&text), Some(1));
            read.map(|limits| (limits.allowed.connections, limits.allowed.source))
                .map_err(|doubt| doubt.sentence)
        };
        for (rds, reserved, connections, source) in [
            ("2", "NULL", 95, "max_connections 100 − 3 for superusers − 2 for rds_superuser"),
            ("2", "5", 90, "max_connections 100 − 3 for superusers − 2 for rds_superuser − 5 reserved"),
            ("0", "NULL", 97, "max_connections 100 − 3 for superusers"),
        ] {
            assert_eq!(of(rds, reserved), Ok((connections, source.to_owned())));
        }
        let range = "rds_reserved is no number from 0 to max_connections";
        let left = "max_connections less what is reserved is no number from 1 to 1000000";
        for (rds, sentence) in [
            ("-1", range),
            ("101", range),
            ("97", left),
            ("two", "the server's rds_reserved is no number"),
            ("", "the server's rds_reserved is no number"),
        ] {
            assert_eq!(of(rds, "NULL"), Err(sentence.to_owned()), "{rds}");
        }
        let unasked = Table::written(&format!("{COLUMNS}|pid\n100|3|NULL|f|app|-1|f|shop|-1|1"));
        let doubt = limits(&unasked, Some(1)).expect_err("a column is missing");
        assert_eq!(doubt.sentence, "the server's rds_reserved is no number");
    }

    #[test]
    fn a_standby_is_no_source_of_a_limit() {
        let sentence = "the server is in recovery (a standby): name the primary";
        assert_eq!(of("100|3|NULL|t|app|-1|f|shop|-1"), Err(sentence.to_owned()));
    }

    #[test]
    fn an_answer_that_is_no_limit_is_in_doubt() {
        let most = "max_connections is no number from 1 to 1000000";
        let left = "max_connections less what is reserved is no number from 1 to 1000000";
        let superusers = "superuser_reserved is no number from 0 to max_connections";
        let reserved = "reserved is no number from 0 to max_connections";
        let role = "the connection limit of the role is no number of connections";
        let database = "the connection limit of the database is no number of connections";
        let none = "the server gave no answer of one row";
        for (row, sentence) in [
            ("0|3|NULL|f|app|-1|f|shop|-1", most),
            ("-1|3|NULL|f|app|-1|f|shop|-1", most),
            ("1000001|3|NULL|f|app|-1|f|shop|-1", most),
            ("9223372036854775807|3|NULL|f|app|-1|f|shop|-1", most),
            ("9223372036854775808|3|NULL|f|app|-1|f|shop|-1", "the server's max_connections is no number"),
            ("|3|NULL|f|app|-1|f|shop|-1", "the server's max_connections is no number"),
            ("NULL|3|NULL|f|app|-1|f|shop|-1", "the server's max_connections is no number"),
            ("100.5|3|NULL|f|app|-1|f|shop|-1", "the server's max_connections is no number"),
            ("1e2|3|NULL|f|app|-1|f|shop|-1", "the server's max_connections is no number"),
            ("100 kB|3|NULL|f|app|-1|f|shop|-1", "the server's max_connections is no number"),
            ("٣|3|NULL|f|app|-1|f|shop|-1", "the server's max_connections is no number"),
            ("100|-3|NULL|f|app|-1|f|shop|-1", superusers),
            ("100|101|NULL|f|app|-1|f|shop|-1", superusers),
            ("100|NULL|NULL|f|app|-1|f|shop|-1", "the server's superuser_reserved is no number"),
            ("100|x|NULL|f|app|-1|f|shop|-1", "the server's superuser_reserved is no number"),
            ("100|100|NULL|f|app|-1|f|shop|-1", left),
            ("100|3|97|f|app|-1|f|shop|-1", left),
            ("100|3|100|f|app|-1|f|shop|-1", left),
            ("100|3|101|f|app|-1|f|shop|-1", reserved),
            ("100|3|-1|f|app|-1|f|shop|-1", reserved),
            ("100|3||f|app|-1|f|shop|-1", "the server's reserved is no number"),
            ("100|3|NULL|NULL|app|-1|f|shop|-1", "the server's in_recovery is neither true nor false"),
            ("100|3|NULL|no|app|-1|f|shop|-1", "the server's in_recovery is neither true nor false"),
            ("100|3|NULL|f|app|0|f|shop|-1", role),
            ("100|3|NULL|f|app|-2|f|shop|-1", role),
            ("100|3|NULL|f|app|4294967296|f|shop|-1", role),
            ("100|3|NULL|f|app|NULL|f|shop|-1", "the server's role_limit is no number"),
            ("100|3|NULL|f|app|many|f|shop|-1", "the server's role_limit is no number"),
            ("100|3|NULL|f|app|-1|NULL|shop|-1", "the server's is_superuser is neither true nor false"),
            ("100|3|NULL|f|app|-1|f|shop|0", database),
            ("100|3|NULL|f|app|-1|f|shop|-2", database),
            ("100|3|NULL|f|app|-1|f|shop|", "the server's database_limit is no number"),
            ("100|3|NULL|f|app|-1|f|shop", "the server's database_limit is no number"),
            ("100|3|NULL|f|app|-1|f|shop|-1\n100|3|NULL|f|app|-1|f|shop|-1", none),
        ] {
            assert_eq!(of(row), Err(sentence.to_owned()), "{row}");
        }
        for empty in ["", COLUMNS] {
            assert_eq!(
                limits(&Table::written(empty), None).map_err(|doubt| doubt.sentence),
                Err(none.to_owned())
            );
        }
    }

    #[test]
    fn a_backend_that_a_pooler_lent_is_told_by_its_number() {
        let read = |pid: &str, promised| {
            let text = format!("{COLUMNS}|rds_reserved|pid\n100|3|NULL|f|app|-1|f|shop|-1|NULL|{pid}");
            let read = limits(&Table::written(&text), promised).map(|limits| limits.allowed.connections);
            read.map_err(|doubt| {
                assert_eq!(doubt.class, Class::NotUnderstood);
                doubt.sentence
            })
        };
        assert_eq!(read("4711", Some(4711)), Ok(97));
        let lent = read("4712", Some(4711)).expect_err("a pooler");
        assert!(lent.contains("a pooler answered") && lent.contains("state limit.connections"), "{lent}");
        let silent = read("4711", None).expect_err("perhaps a pooler");
        assert!(
            silent.contains("it may be a pooler") && silent.contains("Name the server itself"),
            "{silent}"
        );
        assert_eq!(read("NULL", Some(4711)), Err("the server's pid is no number".to_owned()));
    }

    #[test]
    fn an_answer_without_a_column_is_in_doubt() {
        let columns: Vec<&str> = COLUMNS.split('|').collect();
        for missing in columns.iter().filter(|column| !["role", "database"].contains(column)) {
            let renamed = columns.iter().map(|column| if column == missing { "other" } else { column });
            let renamed = renamed.collect::<Vec<_>>().join("|");
            let answer = answered(&renamed, "100|3|NULL|f|app|-1|f|shop|-1");
            let sentence = limits(&answer, Some(4711)).expect_err("a doubt").sentence;
            assert!(sentence.contains(&format!("the server's {missing} is n")), "{missing}: {sentence}");
        }
    }
}
