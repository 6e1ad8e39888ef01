//! Every version of PostgreSQL that is tested: what it shows of its own limits to a role without rights.

use testkit::postgres::programs::{Programs, versions};
use testkit::postgres::server::Server;

/// Each major version, and its `reserved_connections`, which began with 16; empty where there is none.
const VERSIONS: [(u32, &str); 6] = [(13, ""), (14, ""), (15, ""), (16, "0"), (17, "0"), (18, "0")];

/// What `app` is shown, which is no superuser and a member of nothing.
async fn shown(server: &Server, statement: &str) -> String {
    let answer = server.sql(&format!("set role app; {statement}")).await.unwrap();
    answer.trim().to_owned()
}

async fn judge(major: u32, programs: &Programs, reserved: &str) {
    let server = Server::start_of(programs, 20).await.unwrap();
    assert_eq!(server.version().await.unwrap(), major);
    // One more than asked for, as the testkit starts them.
    assert_eq!(shown(&server, "show max_connections").await, "21", "{major}");
    assert_eq!(shown(&server, "show superuser_reserved_connections").await, "3", "{major}");
    let asked = "select current_setting('reserved_connections', true)";
    assert_eq!(shown(&server, asked).await, reserved, "{major}");
    assert_eq!(shown(&server, &format!("{asked} is null")).await, if major < 16 { "t" } else { "f" });
    let role = "select rolconnlimit from pg_roles where rolname = 'app'";
    let database = "select datconnlimit from pg_database where datname = 'app'";
    assert_eq!((shown(&server, role).await, shown(&server, database).await), ("-1".into(), "-1".into()));
    server.sql("alter role app connection limit 7").await.unwrap();
    server.sql("alter database app connection limit 5").await.unwrap();
    assert_eq!((shown(&server, role).await, shown(&server, database).await), ("7".into(), "5".into()));
}

#[tokio::test]
async fn every_version_shows_its_limits_to_a_role_without_rights() {
    let versions = versions().unwrap();
    assert_eq!(versions.keys().copied().collect::<Vec<_>>(), VERSIONS.map(|(major, _)| major));
    for (major, reserved) in VERSIONS {
        judge(major, &versions[&major], reserved).await;
    }
}
