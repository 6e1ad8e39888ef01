//! The clients of Postgres, as Supabase's Management API lets one query read them.
//!
//! In: a body. Out: the [`Activity`], or none if it is not understood. Forbidden here: the wire, a doubt.

use std::net::IpAddr;

use serde::Deserialize;

use super::super::{Activity, GROUPS, Group, MOST};

/// The most bytes of a name: what Postgres itself keeps.
const NAME: usize = 63;

/// The request: a query that reads as many groups as are taken, and the sum of all.
///
/// Whoever may not see a session's details sees neither its kind nor its state. Sessions without a role are Postgres's
/// own, but for one worker, which is counted where the role lacks `pg_monitor`. The connection that asks is not counted:
/// it is gone when the answer is read.
pub fn query() -> String {
    let query = format!(
        "select coalesce(application_name, '') as application, usename::text as role, \
         pg_catalog.host(client_addr) as address, pg_catalog.count(*)::int as open, \
         case when pg_catalog.bool_and(state is not null and state <> 'disabled') \
         then (pg_catalog.count(*) filter (where state <> 'idle'))::int end as busy, \
         (pg_catalog.sum(pg_catalog.count(*)) over ())::int as total \
         from pg_catalog.pg_stat_activity \
         where usename is not null and coalesce(backend_type, 'client backend') = 'client backend' \
         and pid <> pg_catalog.pg_backend_pid() \
         group by 1, 2, 3 order by 4 desc limit {GROUPS}"
    );
    serde_json::json!({ "query": query }).to_string()
}

/// A row of the answer.
#[derive(Deserialize)]
struct Row {
    application: String,
    role: String,
    address: Option<String>,
    open: u32,
    busy: Option<u32>,
    total: u32,
}

/// The answer.
pub fn read(body: &[u8]) -> Option<Activity> {
    let mut rows: Vec<Row> = serde_json::from_slice(body).ok()?;
    if rows.len() > GROUPS || rows.iter().any(|row| row.open == 0 || row.open.max(row.total) > MOST) {
        return None;
    }
    rows.sort_by_key(|row| std::cmp::Reverse(row.open));
    let total = rows.iter().map(|row| row.total).max().unwrap_or(0);
    let named = rows.iter().fold(0_u32, |sum, row| sum.saturating_add(row.open));
    let groups = rows.into_iter().map(|row| Group {
        application: shortened(row.application),
        user: shortened(row.role),
        address: row.address.and_then(|address| address.parse::<IpAddr>().ok()),
        open: row.open,
        busy: row.busy.map(|busy| busy.min(row.open)),
    });
    Some(Activity { groups: groups.collect(), others: total.saturating_sub(named) })
}

/// A name that is no longer than Postgres keeps.
pub fn shortened(mut name: String) -> String {
    name.truncate(name.floor_char_boundary(NAME));
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(open: i64, more: &str) -> String {
        format!(
            r#"{{"application":"a","role":"r","address":null,"open":{open},"busy":null,"total":9{more}}}"#
        )
    }

    #[test]
    fn the_largest_groups_come_first_and_what_they_leave_is_counted() {
        let body = format!("[{},{}]", row(2, ""), row(5, ""));
        let activity = read(body.as_bytes()).unwrap();
        assert_eq!(activity.groups.iter().map(|group| group.open).collect::<Vec<_>>(), [5, 2]);
        assert_eq!(activity.others, 2);
        assert_eq!(read(b"[]"), Some(Activity::default()));
    }

    #[test]
    fn rows_of_another_shape_say_nothing() {
        let bodies = [
            String::new(),
            "{}".to_owned(),
            "null".to_owned(),
            "[null]".to_owned(),
            "[[]]".to_owned(),
            r#"[{"?column?":1}]"#.to_owned(),
            format!("[{}]", row(0, "")),
            format!("[{}]", row(-1, "")),
            format!("[{}]", row(1_000_001, "")),
            format!("[{}]", row(4_294_967_296, "")),
            format!("[{}]", row(1, r#","open":2"#)),
            format!("[{}", row(1, "")),
            format!("[{}]", vec![row(1, ""); GROUPS + 1].join(",")),
        ];
        for body in bodies {
            assert_eq!(read(body.as_bytes()), None, "{body:.90}");
        }
    }

    #[test]
    fn names_are_cut_at_a_character_and_what_is_no_address_is_none() {
        let name = "ü".repeat(40);
        let body = format!(
            r#"[{{"application":"{name}","role":"{name}","address":"10.0.0.1/32","open":1,"busy":7,"total":1}}]"#
        );
        let activity = read(body.as_bytes()).unwrap();
        let [group] = &activity.groups[..] else { panic!("{activity:?}") };
        assert_eq!((group.application.len(), group.user.len()), (62, 62));
        assert_eq!((group.address, group.open, group.busy), (None, 1, Some(1)));
    }

    #[test]
    fn the_request_is_one_query_with_a_bound() {
        let request: serde_json::Value = serde_json::from_str(&query()).unwrap();
        let query = request.get("query").and_then(serde_json::Value::as_str).unwrap();
        assert!(query.starts_with("select ") && query.ends_with("limit 500"), "{query}");
        assert!(!query.contains(';'));
    }
}
