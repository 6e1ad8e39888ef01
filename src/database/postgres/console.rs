//! What PgBouncer's console says: how many clients it lets in, and how many there are.
//!
//! In: the answers to `SHOW CONFIG`, `SHOW DATABASES`, `SHOW USERS` and `SHOW POOLS`. Out: the limit and the activity.
//! Columns are looked up by name, because each version has others. Forbidden here: asking.
//!
//! In session mode a client holds a connection of the pool, so the pool's size is the limit, and the pools of several
//! databases have several. In the other modes clients share the pool, and the limit is that of clients.
//!
//! Databases and users may have bounds of their own. Whoever looks at the console names neither the database nor the
//! user of the workloads: of several bounds the smallest counts, and the source says whose it is.

use std::collections::BTreeMap;
use std::iter::once;

use super::super::{Activity, Allowed, Class, Doubt, GROUPS, Group, MOST, believed};
use super::table::{Row, Table};
use super::text;

pub(super) const CONFIG: &str = "SHOW CONFIG";
pub(super) const DATABASES: &str = "SHOW DATABASES";
pub(super) const USERS: &str = "SHOW USERS";
pub(super) const POOLS: &str = "SHOW POOLS";

/// The console itself, which is listed among the databases.
const CONSOLE: &str = "pgbouncer";

/// Reads what it allows.
pub(super) fn allowed(config: &Table, databases: &Table, users: &Table) -> Result<Allowed, Doubt> {
    let clients = believed("PgBouncer's max_client_conn", setting(config, "max_client_conn")?)?;
    let usual = text_of(config, "pool_mode")?;
    let databases: Vec<Row<'_>> = databases.rows().filter(|row| row.text("name") != Some(CONSOLE)).collect();
    let users: Vec<Row<'_>> = users.rows().collect();
    let modes = databases.iter().map(|database| modes(database, &users, usual)).collect::<Option<Vec<_>>>();
    let modes =
        modes.ok_or_else(|| not_understood("PgBouncer has a pool_mode that poolbudget does not know"))?;
    let modes = modes.concat();
    let mode = modes.iter().find(|mode| **mode == Mode::Session).or_else(|| modes.first());
    let mode = mode.ok_or_else(|| not_understood("PgBouncer has no database: state limit.connections"))?;
    let mut bounds = of_clients(config, &databases, &users)?;
    match (mode, databases.as_slice()) {
        (Mode::Session, [only]) => bounds.extend(of_pool(config, only, &users)?),
        (Mode::Session, _) => {
            return Err(not_understood(
                "PgBouncer has several databases, one or more in session mode, where each has a limit of its own: \
                 state limit.connections",
            ));
        }
        (Mode::Transaction | Mode::Statement, _) => {}
    }
    let all = Bound { connections: clients, name: "max_client_conn", whose: String::new() };
    let smaller = |least: Bound, one: Bound| if one.connections < least.connections { one } else { least };
    let Bound { connections, name, whose } = bounds.into_iter().fold(all, smaller);
    let source = format!("PgBouncer's {name} {connections}{whose}, {}", mode.phrase());
    Ok(Allowed { connections, source })
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

/// A number that no client gets beyond.
struct Bound {
    connections: u32,
    name: &'static str,
    /// ` for user app`; empty if it is everybody's.
    whose: String,
}

/// The modes that pools of a database may have: its own, and those that users have before it.
fn modes(database: &Row<'_>, users: &[Row<'_>], usual: &str) -> Option<Vec<Mode>> {
    let own = |row: Row<'_>| row.text("pool_mode").filter(|mode| !mode.is_empty()).map(Mode::of);
    let of_database = own(*database).unwrap_or_else(|| Mode::of(usual));
    once(of_database).chain(pooled(database, users).filter_map(own)).collect()
}

/// The users whose pools a database has: one, if it forces one.
fn pooled<'a>(database: &Row<'a>, users: &[Row<'a>]) -> impl Iterator<Item = Row<'a>> {
    let forced = forced(database);
    users.iter().copied().filter(move |user| forced.is_none_or(|forced| user.text("name") == Some(forced)))
}

fn forced<'a>(database: &Row<'a>) -> Option<&'a str> {
    database.text("force_user").filter(|user| !user.is_empty())
}

/// What binds the connections of the pool, which in session mode are those of clients.
fn of_pool(config: &Table, database: &Row<'_>, users: &[Row<'_>]) -> Result<Vec<Bound>, Doubt> {
    let size = i64::from(database.count("pool_size").unwrap_or(0));
    let connections = believed("PgBouncer's pool_size", size)?;
    let mut bounds = vec![Bound { connections, name: "pool_size", whose: whose("database", database) }];
    let users: Vec<Row<'_>> = pooled(database, users).collect();
    bounds.extend(own(&users, "user", "pool_size", "pool_size")?);
    bounds.extend(own(&[*database], "database", "max_connections", "max_db_connections")?);
    let is_shown = users.iter().any(|user| user.text("max_user_connections").is_some());
    if forced(database).is_none() || !is_shown {
        bounds.extend(usual(config, "max_user_connections")?);
    }
    bounds.extend(own(&users, "user", "max_user_connections", "max_user_connections")?);
    Ok(bounds)
}

/// What binds clients in every mode, since 1.24.
fn of_clients(config: &Table, databases: &[Row<'_>], users: &[Row<'_>]) -> Result<Vec<Bound>, Doubt> {
    let mut bounds = own(databases, "database", "max_client_connections", "max_db_client_connections")?;
    bounds.extend(usual(config, "max_user_client_connections")?);
    bounds.extend(own(users, "user", "max_user_client_connections", "max_user_client_connections")?);
    Ok(bounds)
}

/// The bounds in a column, which are called otherwise in the configuration.
fn own(rows: &[Row<'_>], kind: &str, column: &'static str, name: &'static str) -> Result<Vec<Bound>, Doubt> {
    let mut bounds = Vec::new();
    for row in rows {
        if let Some(connections) = bound(name, row.text(column))? {
            bounds.push(Bound { connections, name, whose: whose(kind, row) });
        }
    }
    Ok(bounds)
}

/// The bound of users who have none of their own; those who are not listed yet have it too.
fn usual(config: &Table, name: &'static str) -> Result<Option<Bound>, Doubt> {
    let row = config.rows().find(|row| row.text("key") == Some(name));
    let connections = bound(name, row.and_then(|row| row.text("value")))?;
    Ok(connections.map(|connections| Bound { connections, name, whose: String::new() }))
}

/// A bound, if there is one: 0 is none, and versions that do not know it do not show it.
fn bound(name: &str, text: Option<&str>) -> Result<Option<u32>, Doubt> {
    let Some(text) = text.map(str::trim).filter(|text| !text.is_empty()) else { return Ok(None) };
    let number: i64 =
        text.parse().map_err(|_| not_understood(&format!("PgBouncer's {name} is no number")))?;
    let number = u32::try_from(number.clamp(0, MOST.into())).unwrap_or(MOST);
    Ok(Some(number).filter(|number| *number > 0))
}

fn whose(kind: &str, row: &Row<'_>) -> String {
    format!(" for {kind} {}", text::name(row.text("name").unwrap_or_default()))
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
    /// The users of 1.24. Before 1.23 there are no more than a name and a mode.
    const USER_COLUMNS: &str = "name|pool_size|reserve_pool_size|pool_mode|max_user_connections|current_connections|\
                                max_user_client_connections|current_client_connections";
    const CONSOLE_ROW: &str = "pgbouncer|NULL|6432|pgbouncer|pgbouncer|2|0|statement|0|0|0|0";

    fn old(mode: &str, size: &str, most: &str) -> String {
        format!("shop|db|5432|shop|NULL|{size}|0|{mode}|{most}|0|0|0")
    }

    fn new(mode: &str, clients: &str) -> String {
        format!("shop|db|5432|shop|NULL|20|0|0|3600|{mode}|NULL|0|0|{clients}|0|0|0")
    }

    fn of(config: &str, columns: &str, rows: &[String]) -> Result<(u32, String), String> {
        with_users(config, columns, rows, &[])
    }

    fn with_users(
        config: &str,
        columns: &str,
        rows: &[String],
        users: &[&str],
    ) -> Result<(u32, String), String> {
        let databases = Table::written(&format!("{columns}\n{}", rows.join("\n")));
        let users = Table::written(&format!("{USER_COLUMNS}\n{}", users.join("\n")));
        let read = allowed(&Table::written(config), &databases, &users);
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
            (old("session", "500", "0"), 100, "PgBouncer's max_client_conn 100, session mode"),
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
            (
                vec![new("NULL", "50")],
                50,
                "PgBouncer's max_db_client_connections 50 for database shop, transaction mode",
            ),
            (vec![new("NULL", "5000")], 1000, "PgBouncer's max_client_conn 1000, transaction mode"),
            (
                vec![new("NULL", "60"), new("NULL", "0"), new("NULL", "50").replace("shop", "stock")],
                50,
                "PgBouncer's max_db_client_connections 50 for database stock, transaction mode",
            ),
        ] {
            assert_eq!(of(NEW, NEW_COLUMNS, &rows), Ok((connections, source.to_owned())));
        }
    }

    #[test]
    fn a_user_with_fewer_clients_than_everybody_sets_the_limit() {
        let with = |usual: &str, users: &[&str]| {
            let config = format!("{NEW}\nmax_user_client_connections|{usual}|0|yes");
            with_users(&config, NEW_COLUMNS, &[new("NULL", "60"), new("statement", "0")], users)
        };
        let app = "app||||3|0|40|2";
        for (usual, users, connections, source) in [
            ("0", &[app, "observer||||0|0|0|1"][..], 40, "max_user_client_connections 40 for user app"),
            ("0", &["app||||3|0|70|2"], 60, "max_db_client_connections 60 for database shop"),
            // Users who are not listed yet have the usual bound.
            ("30", &[app], 30, "max_user_client_connections 30"),
            ("30", &["a\u{202e}pp||||0|0|7|2", app], 7, "max_user_client_connections 7 for user app"),
            ("-1", &["app||||0|0|-1|2"], 60, "max_db_client_connections 60 for database shop"),
            // What a pool may hold binds no clients who share it.
            ("0", &["app|5|||4|0|0|2"], 60, "max_db_client_connections 60 for database shop"),
        ] {
            let source = format!("PgBouncer's {source}, transaction mode");
            assert_eq!(with(usual, users), Ok((connections, source)), "{usual} {users:?}");
        }
        for (usual, users) in [("x", &[][..]), ("0", &["app||||0|0|many|2"])] {
            let sentence = "PgBouncer's max_user_client_connections is no number";
            assert_eq!(with(usual, users), Err(sentence.to_owned()), "{usual} {users:?}");
        }
    }

    #[test]
    fn in_session_mode_a_user_with_fewer_connections_to_the_server_sets_the_limit() {
        let with = |forced: &str, usual: &str, users: &[&str]| {
            let config = format!("{OLD}\nmax_user_connections|{usual}|yes");
            let row = old("NULL", "20", "0").replace("|shop|NULL|", &format!("|shop|{forced}|"));
            with_users(&config, OLD_COLUMNS, &[row], users)
        };
        let (app, batch) = ("app||||12|0|0|0", "batch||||6|0|0|0");
        let pool = "pool_size 20 for database shop";
        for (forced, usual, users, connections, source) in [
            ("NULL", "0", &[app, batch][..], 6, "max_user_connections 6 for user batch"),
            ("app", "0", &[app, batch], 12, "max_user_connections 12 for user app"),
            ("app", "4", &[app, batch], 12, "max_user_connections 12 for user app"),
            ("app", "4", &[batch], 4, "max_user_connections 4"),
            ("NULL", "4", &[app, batch], 4, "max_user_connections 4"),
            ("NULL", "0", &["app|        5|||12|0|0|0"], 5, "pool_size 5 for user app"),
            ("NULL", "0", &["app|       50|||0|0|0|0"], 20, pool),
            ("app", "0", &["app||||0|0|0|0", "batch|1|||1|0|0|0"], 20, pool),
            (
                "app",
                "0",
                &["app||||0|0|9|0", "batch||||0|0|8|0"],
                8,
                "max_user_client_connections 8 for user batch",
            ),
        ] {
            let source = format!("PgBouncer's {source}, session mode");
            assert_eq!(with(forced, usual, users), Ok((connections, source)), "{forced} {usual} {users:?}");
        }
    }

    #[test]
    fn a_bound_may_be_padded_absent_or_none() {
        for (text, number) in [
            (Some("        5"), Some(5)),
            (Some("99999999999"), Some(MOST)),
            (Some("0"), None),
            (Some("-1"), None),
            (Some(""), None),
            (None, None),
        ] {
            assert_eq!(bound("pool_size", text), Ok(number), "{text:?}");
        }
        assert_eq!(bound("pool_size", Some("5 kB")).map_err(|doubt| doubt.class), Err(Class::NotUnderstood));
    }

    #[test]
    fn a_user_in_session_mode_makes_the_pool_the_limit() {
        let with = |rows: &[String], users: &[&str]| with_users(NEW, NEW_COLUMNS, rows, users);
        let only = [new("NULL", "0")];
        let pool = "PgBouncer's pool_size 20 for database shop, session mode";
        assert_eq!(with(&only, &["app|||session|0|0|0|0"]), Ok((20, pool.to_owned())));
        let all = "PgBouncer's max_client_conn 1000, transaction mode";
        assert_eq!(with(&only, &["app|||transaction|0|0|0|0"]), Ok((1000, all.to_owned())));
        let of_app = [new("NULL", "0").replace("|NULL|20|", "|app|20|")];
        assert_eq!(with(&of_app, &["batch|||session|0|0|0|0"]), Ok((1000, all.to_owned())));
        let several = [new("NULL", "0"), new("NULL", "0")];
        let doubt = with(&several, &["app|||session|0|0|0|0"]).expect_err("several pools");
        assert!(doubt.starts_with("PgBouncer has several databases"), "{doubt}");
        let unknown = "PgBouncer has a pool_mode that poolbudget does not know";
        assert_eq!(with(&only, &["app|||fast|0|0|0|0"]), Err(unknown.to_owned()));
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
