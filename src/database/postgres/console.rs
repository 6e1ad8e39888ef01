//! What PgBouncer's console says: how many clients it lets in, and how many there are.
//!
//! In: the answers to `SHOW CONFIG`, `SHOW DATABASES` and `SHOW POOLS`. Out: the limit and the activity. Columns are
//! looked up by name, because each version has others. Forbidden here: asking.
//!
//! In session mode a client holds a connection of the pool, so the pool's size is the limit, and the pools of several
//! databases have several. In the other modes clients share the pool, and the limit is that of clients.

use std::collections::BTreeMap;

use super::super::{Activity, Allowed, Class, Doubt, GROUPS, Group, believed};
use super::table::{Row, Table};
use super::text;

pub(super) const CONFIG: &str = "SHOW CONFIG";
pub(super) const DATABASES: &str = "SHOW DATABASES";
pub(super) const POOLS: &str = "SHOW POOLS";

/// The console itself, which is listed among the databases.
const CONSOLE: &str = "pgbouncer";

/// Reads what it allows.
pub(super) fn allowed(config: &Table, databases: &Table) -> Result<Allowed, Doubt> {
    let clients = believed("PgBouncer's max_client_conn", setting(config, "max_client_conn")?)?;
    let usual = text_of(config, "pool_mode")?;
    let databases: Vec<Row<'_>> = databases.rows().filter(|row| row.text("name") != Some(CONSOLE)).collect();
    let mode =
        |row: &Row<'_>| Mode::of(row.text("pool_mode").filter(|mode| !mode.is_empty()).unwrap_or(usual));
    let modes = databases.iter().map(mode).collect::<Option<Vec<Mode>>>();
    let modes =
        modes.ok_or_else(|| not_understood("PgBouncer has a pool_mode that poolbudget does not know"))?;
    match (databases.as_slice(), modes.as_slice()) {
        ([], _) => Err(not_understood("PgBouncer has no database: state limit.connections")),
        ([only], [Mode::Session]) => session(only, clients),
        (_, modes) if modes.contains(&Mode::Session) => Err(not_understood(
            "PgBouncer has several databases, one or more in session mode, where each has a limit of its own: state \
             limit.connections",
        )),
        ([only], [mode]) => Ok(shared(Some(only), clients, mode.phrase())),
        (_, modes) => Ok(shared(None, clients, modes.first().map_or("", Mode::phrase))),
    }
}

/// Reads which clients there are, those who wait for a connection too. Nothing says which of them are busy.
pub(super) fn activity(pools: &Table) -> Option<Activity> {
    let mut clients: BTreeMap<String, u32> = BTreeMap::new();
    for row in pools.rows().filter(|row| row.text("database") != Some(CONSOLE)) {
        // Several processes of one PgBouncer may each list the same pool.
        let of_user = clients.entry(text::name(row.text("user")?)).or_default();
        *of_user = of_user.saturating_add(row.count("cl_active")?).saturating_add(row.count("cl_waiting")?);
    }
    let group = |(user, open)| Group { user, open, ..Group::default() };
    let mut groups: Vec<Group> = clients.into_iter().map(group).filter(|group| group.open > 0).collect();
    groups.sort_by_key(|group| std::cmp::Reverse(group.open));
    let others = groups.iter().skip(GROUPS).fold(0_u32, |sum, group| sum.saturating_add(group.open));
    groups.truncate(GROUPS);
    Some(Activity { groups, others })
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Session,
    Transaction,
    Statement,
}

impl Mode {
    fn of(text: &str) -> Option<Self> {
        match text {
            "session" => Some(Self::Session),
            "transaction" => Some(Self::Transaction),
            "statement" => Some(Self::Statement),
            _ => None,
        }
    }

    const fn phrase(&self) -> &'static str {
        match self {
            Self::Session => "session mode",
            Self::Transaction => "transaction mode",
            Self::Statement => "statement mode",
        }
    }
}

fn session(database: &Row<'_>, clients: u32) -> Result<Allowed, Doubt> {
    let size = i64::from(database.count("pool_size").unwrap_or(0));
    let size = believed("PgBouncer's pool_size", size)?;
    let mut least = (size, "pool_size");
    // 0 is no bound.
    let connections = database.count("max_connections").filter(|bound| *bound > 0);
    for (bound, name) in [(connections, "max_db_connections"), (Some(clients), "max_client_conn")] {
        if let Some(bound) = bound.filter(|bound| *bound < least.0) {
            least = (bound, name);
        }
    }
    let (connections, name) = least;
    let database = text::name(database.text("name").unwrap_or_default());
    let source = format!("PgBouncer's {name} {connections} for database {database}, session mode");
    Ok(Allowed { connections, source })
}

/// Since 1.24 a database may have a bound of its own on its clients.
fn shared(only: Option<&Row<'_>>, clients: u32, mode: &str) -> Allowed {
    let bound = only.and_then(|row| row.count("max_client_connections")).filter(|bound| *bound > 0);
    let (connections, name) = match bound.filter(|bound| *bound < clients) {
        Some(bound) => (bound, "max_db_client_connections"),
        None => (clients, "max_client_conn"),
    };
    Allowed { connections, source: format!("PgBouncer's {name} {connections}, {mode}") }
}

fn setting(config: &Table, key: &str) -> Result<i64, Doubt> {
    let number = text_of(config, key)?.parse();
    number.map_err(|_| not_understood(&format!("PgBouncer's {key} is no number")))
}

fn text_of<'a>(config: &'a Table, key: &str) -> Result<&'a str, Doubt> {
    let row = config.rows().find(|row| row.text("key") == Some(key));
    row.and_then(|row| row.text("value")).ok_or_else(|| {
        not_understood(&format!("PgBouncer's console shows no {key}: log in as one of its stats_users"))
    })
}

fn not_understood(sentence: &str) -> Doubt {
    Doubt::new(Class::NotUnderstood, sentence)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As 1.15 shows it: without defaults.
    const OLD: &str =
        "key|value|changeable\nmax_client_conn|100|yes\ndefault_pool_size|20|yes\npool_mode|session|yes";
    /// As 1.18 and newer do.
    const NEW: &str = "key|value|default|changeable\npool_mode|transaction|session|yes\n\
                       default_pool_size|20|20|yes\nmax_client_conn|1000|100|yes";
    /// The databases of 1.15, and of 1.24.
    const OLD_COLUMNS: &str = "name|host|port|database|force_user|pool_size|reserve_pool|pool_mode|max_connections|\
                               current_connections|paused|disabled";
    const NEW_COLUMNS: &str = "name|host|port|database|force_user|pool_size|min_pool_size|reserve_pool_size|server_lifetime|pool_mode|\
         load_balance_hosts|max_connections|current_connections|max_client_connections|current_client_connections|\
         paused|disabled";
    const CONSOLE_ROW: &str = "pgbouncer|NULL|6432|pgbouncer|pgbouncer|2|0|statement|0|0|0|0";

    fn old(mode: &str, size: &str, most: &str) -> String {
        format!("shop|db|5432|shop|NULL|{size}|0|{mode}|{most}|0|0|0")
    }

    fn new(mode: &str, clients: &str) -> String {
        format!("shop|db|5432|shop|NULL|20|0|0|3600|{mode}|NULL|0|0|{clients}|0|0|0")
    }

    fn of(config: &str, columns: &str, rows: &[String]) -> Result<(u32, String), String> {
        let databases = Table::written(&format!("{columns}\n{}", rows.join("\n")));
        let read = allowed(&Table::written(config), &databases);
        read.map(|allowed| (allowed.connections, allowed.source)).map_err(|doubt| {
            assert_eq!(doubt.class, Class::NotUnderstood);
            doubt.sentence
        })
    }

    #[test]
    fn in_session_mode_the_pool_of_the_only_database_is_the_limit() {
        for (row, connections, source) in [
            (old("NULL", "20", "0"), 20, "PgBouncer's pool_size 20 for database shop, session mode"),
            (old("", "20", "0"), 20, "PgBouncer's pool_size 20 for database shop, session mode"),
            (
                old("session", "20", "15"),
                15,
                "PgBouncer's max_db_connections 15 for database shop, session mode",
            ),
            (old("session", "20", "50"), 20, "PgBouncer's pool_size 20 for database shop, session mode"),
            (
                old("session", "500", "0"),
                100,
                "PgBouncer's max_client_conn 100 for database shop, session mode",
            ),
        ] {
            let rows = [CONSOLE_ROW.to_owned(), row];
            assert_eq!(of(OLD, OLD_COLUMNS, &rows), Ok((connections, source.to_owned())));
        }
        let override_of_new = of(NEW, NEW_COLUMNS, &[new("session", "0")]);
        let source = "PgBouncer's pool_size 20 for database shop, session mode";
        assert_eq!(override_of_new, Ok((20, source.to_owned())));
    }

    #[test]
    fn in_the_other_modes_the_clients_are_the_limit() {
        for (rows, connections, source) in [
            (vec![new("NULL", "0")], 1000, "PgBouncer's max_client_conn 1000, transaction mode"),
            (vec![new("statement", "0")], 1000, "PgBouncer's max_client_conn 1000, statement mode"),
            (vec![new("NULL", "50")], 50, "PgBouncer's max_db_client_connections 50, transaction mode"),
            (vec![new("NULL", "5000")], 1000, "PgBouncer's max_client_conn 1000, transaction mode"),
            (
                vec![new("NULL", "50"), new("NULL", "60")],
                1000,
                "PgBouncer's max_client_conn 1000, transaction mode",
            ),
        ] {
            assert_eq!(of(NEW, NEW_COLUMNS, &rows), Ok((connections, source.to_owned())));
        }
    }

    #[test]
    fn what_fixes_no_number_is_in_doubt() {
        let several = "PgBouncer has several databases, one or more in session mode, where each has a limit of its \
                       own: state limit.connections";
        let session = || old("NULL", "20", "0");
        assert_eq!(of(OLD, OLD_COLUMNS, &[session(), session()]), Err(several.to_owned()));
        let mixed = [session(), old("transaction", "20", "0")];
        assert_eq!(of(OLD, OLD_COLUMNS, &mixed), Err(several.to_owned()));
        let none = "PgBouncer has no database: state limit.connections";
        assert_eq!(of(OLD, OLD_COLUMNS, &[CONSOLE_ROW.to_owned()]), Err(none.to_owned()));
        let mode = "PgBouncer has a pool_mode that poolbudget does not know";
        assert_eq!(of(OLD, OLD_COLUMNS, &[old("fast", "20", "0")]), Err(mode.to_owned()));
        for size in ["0", "-1", "x", "NULL", "1000001"] {
            let size = of(OLD, OLD_COLUMNS, &[old("NULL", size, "0")]);
            assert_eq!(size, Err("PgBouncer's pool_size is no number from 1 to 1000000".to_owned()));
        }
        for clients in ["0", "-5", "1000001"] {
            let config = OLD.replace("|100|", &format!("|{clients}|"));
            let most = of(&config, OLD_COLUMNS, &[session()]);
            assert_eq!(most, Err("PgBouncer's max_client_conn is no number from 1 to 1000000".to_owned()));
        }
        let config = OLD.replace("|100|", "|many|");
        let most = of(&config, OLD_COLUMNS, &[session()]);
        assert_eq!(most, Err("PgBouncer's max_client_conn is no number".to_owned()));
        for key in ["max_client_conn", "pool_mode"] {
            let lacking = of(&OLD.replace(key, "other"), OLD_COLUMNS, &[session()]);
            let sentence = format!("PgBouncer's console shows no {key}: log in as one of its stats_users");
            assert_eq!(lacking, Err(sentence));
        }
    }

    #[test]
    fn clients_of_a_user_count_in_all_pools_and_while_they_wait() {
        let pools = "database|user|cl_active|cl_waiting|cl_active_cancel_req|sv_active|maxwait|pool_mode\n\
                     pgbouncer|stats|1|0|0|0|0|statement\n\
                     shop|idle|0|0|0|5|0|session\n\
                     shop|app|3|2|9|3|0|session\n\
                     shop|batch|7|0|0|7|0|session\n\
                     other|app|1|0|0|1|0|session";
        let group = |user: &str, open| Group { user: user.to_owned(), open, ..Group::default() };
        let expected = Activity { groups: vec![group("batch", 7), group("app", 6)], others: 0 };
        assert_eq!(activity(&Table::written(pools)), Some(expected));
        for wrong in ["shop|app|x|0|0", "shop|app|1|NULL|0", "shop|NULL|1|0|0", "shop|app"] {
            let pools = format!("database|user|cl_active|cl_waiting|sv_idle\n{wrong}");
            assert_eq!(activity(&Table::written(&pools)), None, "{wrong}");
        }
    }

    #[test]
    fn of_many_users_the_smallest_are_added_up() {
        let rows = (1..=GROUPS + 3).map(|i| format!("shop|u{i}|{i}|0")).collect::<Vec<_>>().join("\n");
        let activity = activity(&Table::written(&format!("database|user|cl_active|cl_waiting\n{rows}")));
        let activity = activity.expect("an activity");
        assert_eq!((activity.groups.len(), activity.others), (GROUPS, 1 + 2 + 3));
    }
}
