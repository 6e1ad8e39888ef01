//! Which connections a server has open.
//!
//! In: the answer to one question. Out: groups of clients, the largest first. Forbidden here: asking, whose they are.

use super::super::{Activity, GROUPS, Group};
use super::limits::Bound;
use super::table::{Row, Table};
use super::text;

/// The question. It counts what takes part in the limit that binds: all client backends, or only those of the role or to
/// the database. Our own is none of them.
///
/// A role without `pg_monitor` sees neither the kind nor the state of other roles' backends. There a client is what has
/// a database and a role, which is true of a parallel worker too while its query runs.
pub(super) fn question(bound: Bound) -> String {
    let whose = match bound {
        Bound::Server => "",
        Bound::Role => " AND a.usename OPERATOR(pg_catalog.=) session_user",
        Bound::Database => " AND a.datname OPERATOR(pg_catalog.=) pg_catalog.current_database()",
    };
    format!(
        "SELECT a.application_name AS application, a.usename AS role, pg_catalog.host(a.client_addr) AS address, \
         pg_catalog.count(*) AS open, \
         pg_catalog.count(*) FILTER (WHERE a.state OPERATOR(pg_catalog.<>) 'idle'::pg_catalog.text) AS busy, \
         pg_catalog.count(*) FILTER (WHERE a.state OPERATOR(pg_catalog.<>) 'disabled'::pg_catalog.text) AS shown, \
         pg_catalog.sum(pg_catalog.count(*)) OVER () AS total \
         FROM pg_catalog.pg_stat_activity a \
         WHERE a.pid OPERATOR(pg_catalog.<>) pg_catalog.pg_backend_pid() \
         AND (a.backend_type OPERATOR(pg_catalog.=) 'client backend'::pg_catalog.text \
         OR (a.backend_type IS NULL AND a.datid IS NOT NULL AND a.usesysid IS NOT NULL)){whose} \
         GROUP BY 1, 2, 3 ORDER BY 4 DESC, 1, 2, 3 LIMIT {GROUPS}"
    )
}

/// Reads the answer; nothing if it is not understood.
pub(super) fn activity(answer: &Table) -> Option<Activity> {
    let groups: Vec<Group> = answer.rows().take(GROUPS).map(group).collect::<Option<_>>()?;
    let shown = groups.iter().fold(0_u32, |sum, group| sum.saturating_add(group.open));
    let total = match answer.rows().next() {
        Some(row) => row.count("total")?,
        None => 0,
    };
    Some(Activity { groups, others: total.saturating_sub(shown) })
}

fn group(row: Row<'_>) -> Option<Group> {
    let open = row.count("open").filter(|open| *open > 0)?;
    let busy = row.count("busy")?.min(open);
    let is_shown = row.count("shown")? >= open;
    Some(Group {
        application: text::name(row.cell("application")?.unwrap_or_default()),
        user: text::name(row.cell("role")?.unwrap_or_default()),
        address: row.cell("address")?.and_then(|address| address.parse().ok()),
        open,
        busy: is_shown.then_some(busy),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: &str = "application|role|address|open|busy|shown|total";

    fn of(rows: &str) -> Option<Activity> {
        activity(&Table::written(&format!("{COLUMNS}\n{rows}")))
    }

    #[test]
    fn groups_are_read_with_what_is_left_over() {
        let activity = of("api|app|10.0.0.1|5|2|5|9\n|app|NULL|3|1|1|9").expect("an activity");
        let api = Group {
            application: "api".to_owned(),
            user: "app".to_owned(),
            address: "10.0.0.1".parse().ok(),
            open: 5,
            busy: Some(2),
        };
        // The state of two of the three is hidden: nobody knows how many are busy.
        let hidden = Group { user: "app".to_owned(), open: 3, ..Group::default() };
        assert_eq!(activity, Activity { groups: vec![api, hidden], others: 1 });
    }

    #[test]
    fn a_server_without_clients_has_an_activity_of_nobody() {
        assert_eq!(activity(&Table::written(COLUMNS)), Some(Activity::default()));
    }

    #[test]
    fn an_answer_that_is_not_understood_is_no_activity() {
        for row in [
            "api|app|10.0.0.1|0|0|0|0",
            "api|app|10.0.0.1|-1|0|0|0",
            "api|app|10.0.0.1|NULL|0|0|0",
            "api|app|10.0.0.1|x|0|0|0",
            "api|app|10.0.0.1|1|x|0|0",
            "api|app|10.0.0.1|1|0|NULL|0",
            "api|app|10.0.0.1|1|0|1|NULL",
            "api|app|10.0.0.1|4294967296|0|1|1",
            "api|app|10.0.0.1|1",
            "api",
        ] {
            assert_eq!(of(row), None, "{row}");
        }
        assert_eq!(activity(&Table::written("open|busy\n1|0")), None);
    }

    #[test]
    fn names_and_numbers_of_a_group_have_bounds() {
        let long = "x".repeat(100);
        let activity = of(&format!("{long}|a\u{200b}pp|nonsense|5|9|5|2")).expect("an activity");
        let group = Group {
            application: "x".repeat(63),
            user: "app".to_owned(),
            address: None,
            open: 5,
            busy: Some(5),
        };
        assert_eq!(activity, Activity { groups: vec![group], others: 0 });
        let many = "a|b|::1|4294967295|0|4294967295|4294967295\n".repeat(GROUPS + 10);
        let activity = of(many.trim_end()).expect("an activity");
        assert_eq!((activity.groups.len(), activity.others), (GROUPS, 0));
    }

    #[test]
    fn only_those_count_that_take_part_in_the_limit_that_binds() {
        assert!(!question(Bound::Server).contains("session_user"));
        assert!(question(Bound::Role).contains("a.usename OPERATOR(pg_catalog.=) session_user"));
        let database = "a.datname OPERATOR(pg_catalog.=) pg_catalog.current_database()";
        assert!(question(Bound::Database).contains(database));
    }
}
