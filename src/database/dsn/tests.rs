use super::*;

/// What a DSN says, in one line: user, password, servers, database, TLS.
fn told(text: &str) -> String {
    match Dsn::read(text.as_bytes()) {
        Ok(dsn) => {
            let password = dsn.password().unwrap_or("-");
            let tls = if dsn.has_tls() { "tls" } else { "plain" };
            format!("{} {password} {} {} {tls}", dsn.user(), dsn.server(), dsn.database())
        }
        Err(doubt) => format!("{:?}: {doubt}", doubt.class),
    }
}

/// The password of every DSN of these tests.
const PASSWORD: &str = "s3cr3t";

#[test]
fn a_dsn_is_read_as_the_library_of_the_application_reads_it() {
    let long = format!("postgres://app:s3cr3t@db/shop?application_name={}", "x".repeat(4000));
    for (text, expected) in [
        ("postgres://app:s3cr3t@db/shop", "app s3cr3t db:5432 shop tls"),
        ("postgresql://app:s3cr3t@db.shop.svc:6432/shop", "app s3cr3t db.shop.svc:6432 shop tls"),
        (" \n postgres://app:s3cr3t@db/shop\r\n\n", "app s3cr3t db:5432 shop tls"),
        ("POSTGRES://app:s3cr3t@db/shop", "app s3cr3t db:5432 shop tls"),
        ("postgresql+psycopg2://app:s3cr3t@db/shop", "app s3cr3t db:5432 shop tls"),
        ("postgresql+asyncpg://app:s3cr3t@db/shop?ssl=disable", "app s3cr3t db:5432 shop plain"),
        ("postgresql+asyncpg://app:s3cr3t@db/shop?ssl=require", "app s3cr3t db:5432 shop tls"),
        ("postgres+psycopg://app:s3cr3t@db/shop?sslmode=disable", "app s3cr3t db:5432 shop plain"),
        ("jdbc:postgresql://db:5433/shop?user=app&password=s3cr3t", "app s3cr3t db:5433 shop tls"),
        (
            "jdbc:postgresql://db/shop?user=app&password=s3cr3t&ssl=true&sslmode=disable",
            "app s3cr3t db:5432 shop plain",
        ),
        (
            "jdbc:postgresql://db/shop?user=app&password=s3cr3t&sslmode=disable&ssl=true",
            "app s3cr3t db:5432 shop plain",
        ),
        ("postgres://app:s3cr3t@db", "app s3cr3t db:5432 app tls"),
        ("postgres://app:s3cr3t@db/", "app s3cr3t db:5432 app tls"),
        ("postgres://app:s3cr3t@db:/shop", "app s3cr3t db:5432 shop tls"),
        ("postgres://app@db/shop", "app - db:5432 shop tls"),
        ("postgres://app:@db/shop", "app - db:5432 shop tls"),
        (
            "postgres://postgres.abcd:s3cr3t@pooler.example.com:6543/postgres",
            "postgres.abcd s3cr3t pooler.example.com:6543 postgres tls",
        ),
        ("postgres://a%40b:s3%63r3t@db/sh%20op", "a@b s3cr3t db:5432 sh op tls"),
        ("postgres://app:%E2%82%AC%2F%25@db/shop", "app €/% db:5432 shop tls"),
        ("postgres://app:a@b:c#d+e@db/shop", "app a@b:c#d+e db:5432 shop tls"),
        ("postgres://app:s3cr3t@[2001:db8::1]:5433/shop", "app s3cr3t [2001:db8::1]:5433 shop tls"),
        ("postgres://app:s3cr3t@[::1]/shop", "app s3cr3t [::1]:5432 shop tls"),
        ("postgres://app:s3cr3t@a:1,b,[::1]:3/shop", "app s3cr3t a:1,b:5432,[::1]:3 shop tls"),
        ("postgres:///shop?host=db&port=6432&user=app&password=s3cr3t", "app s3cr3t db:6432 shop tls"),
        ("postgres://?host=a,b&port=1,2&user=app&dbname=shop", "app - a:1,b:2 shop tls"),
        (
            "postgres://app:s3cr3t@db/shop?pgbouncer=true&connection_limit=1&schema=x",
            "app s3cr3t db:5432 shop tls",
        ),
        (
            "postgres://app:s3cr3t@db/shop?sslmode=require&channel_binding=require&sslrootcert=/x&options=-c%20a%3Db&&x",
            "app s3cr3t db:5432 shop tls",
        ),
        ("postgres://app:s3cr3t@db/shop?application_name=%zz", "app s3cr3t db:5432 shop tls"),
        ("postgres://app:s3cr3t@db/shop?sslmode=prefer", "app s3cr3t db:5432 shop tls"),
        ("postgres://app:s3cr3t@db/shop?sslmode=allow", "app s3cr3t db:5432 shop tls"),
        ("postgres://app:s3cr3t@db/shop?sslmode=verify-ca", "app s3cr3t db:5432 shop tls"),
        ("postgres://app:s3cr3t@db/shop?sslmode=no-verify", "app s3cr3t db:5432 shop tls"),
        (long.as_str(), "app s3cr3t db:5432 shop tls"),
        ("host=db user=app password=s3cr3t dbname=shop", "app s3cr3t db:5432 shop tls"),
        ("host = db\nport = 6432\nuser = app\nsslmode = disable\n", "app - db:6432 app plain"),
        (r"host=db user='a b' password='it\'s \\ s3cr3t' dbname=''", r"a b it's \ s3cr3t db:5432 a b tls"),
        (r"user=app password=a\ b://c host=db", "app a b://c db:5432 app tls"),
        ("host=a,b,c port=5433 user=app", "app - a:5433,b:5433,c:5433 app tls"),
        ("host=::1 user=app target_session_attrs=any", "app - [::1]:5432 app tls"),
        ("hostaddr=10.0.0.7 user=app", "app - 10.0.0.7:5432 app tls"),
        ("hostaddr=10.0.0.7 host=db user=app", "app - db:5432 app tls"),
        ("host=a user=x user=app", "app - a:5432 app tls"),
    ] {
        assert_eq!(told(text), expected, "{text}");
    }
}

#[test]
fn what_is_no_dsn_is_refused_with_what_to_do() {
    let scheme = "the connection string is for no PostgreSQL: it begins like a URL, but not with postgres:// \
                  or postgresql://";
    let form = "this is no connection string: write postgres://user:password@host/database, or host=… user=… \
                password=…";
    let escape = "the connection string has a % that is not followed by two hexadecimal digits of UTF-8 text: \
                  write %25 for the character itself";
    let at = "the connection string has an @ after its host: in a password, write %40 for an @, %2F for a \
              slash and %3F for a question mark";
    let port = "the port in the connection string is no number from 1 to 65535; in a password, write %2F for a \
                slash and %3A for a colon";
    let user = "the connection string names no user: write postgres://user:password@host/database; in a \
                password, write %2F for a slash and %3F for a question mark";
    let name =
        "the host in the connection string is no name and no address; an IPv6 address stands in brackets";
    let socket = "the connection string names a Unix socket, which poolbudget cannot reach from its own pod: \
                  name a host";
    let control =
        "the connection string has a control character, such as a line break, in it: write it on one line";
    let quote = "the connection string has a quote or a backslash without its end";
    for (text, sentence) in [
        ("", "the connection string is empty"),
        (" \n\t", "the connection string is empty"),
        ("mysql://app:s3cr3t@db/shop", scheme),
        ("https://app:s3cr3t@db/shop", scheme),
        ("postgresql+://app:s3cr3t@db/shop", scheme),
        ("postgresql+psy-copg://app:s3cr3t@db/shop", scheme),
        ("jdbc:mysql://app:s3cr3t@db/shop", scheme),
        ("s3cr3t", form),
        ("s3cr3t://", scheme),
        ("app:s3cr3t@db/shop", form),
        ("host=db user=app password=my s3cr3t", form),
        ("=s3cr3t", form),
        ("Server=db;User Id=app;Password=s3cr3t", user),
        ("host=db user=app password='s3cr3t", quote),
        (r"host=db user=app password=s3cr3t\", quote),
        ("postgres://app:s3cr3t%@db/shop", escape),
        ("postgres://app:s3cr3t%4@db/shop", escape),
        ("postgres://app:s3cr3t%zz@db/shop", escape),
        ("postgres://app:s3cr3t%ff@db/shop", escape),
        ("postgres://app:s3cr3t%00@db/shop", control),
        ("postgres://app%0a:s3cr3t@db/shop", control),
        ("postgres://app:s3cr3t@db/shop\nFOO=bar", control),
        ("postgres://db/shop", user),
        ("postgres://app:12/s3cr3t@db/shop", user),
        ("postgres://app:12?s3cr3t@db/shop", user),
        ("host=db password=s3cr3t", user),
        ("postgres://app:s3cr3t/x@db/shop", user),
        ("postgres://app:p@ss/s3cr3t@db/shop", at),
        ("postgres://app:p@ss?s3cr3t@db/shop", at),
        ("postgres://app:s3cr3t@db:x/shop", port),
        ("postgres://app:s3cr3t@db:0/shop", port),
        ("postgres://app:s3cr3t@db:65536/shop", port),
        ("postgres://app:s3cr3t@db:-1/shop", port),
        ("host=db port=s3cr3t user=app", port),
        ("postgres://app:s3cr3t@/shop", "the connection string names no host"),
        ("postgres://app:s3cr3t@a,,b/shop", "the connection string names no host"),
        ("user=app password=s3cr3t", "the connection string names no host"),
        ("postgres://app:s3cr3t@%2Fvar%2Frun/shop", socket),
        ("postgres://app:s3cr3t@/shop?host=/var/run/postgresql", socket),
        ("host=/tmp user=app password=s3cr3t", socket),
        ("host=@abstract user=app password=s3cr3t", socket),
        ("postgres://app:s3cr3t@::1/shop", name),
        ("postgres://app:s3cr3t@[::1/shop", name),
        ("postgres://app:s3cr3t@[::1]x/shop", name),
        ("postgres://app:s3cr3t@[fe80::1%25eth0]/shop", name),
        ("postgres://app:s3cr3t@d b/shop", name),
        ("postgres://app:s3cr3t@$(DB_HOST)/shop", name),
        ("postgres://app:s3cr3t@a,b,c,d/shop", "the connection string names more than 3 hosts"),
        (
            "host=a,b,c port=1,2 user=app password=s3cr3t",
            "the connection string has another number of ports than of hosts",
        ),
    ] {
        assert_eq!(told(text), format!("SecretInvalid: {sentence}"), "{text}");
    }
    let long = format!("postgres://app:s3cr3t@db/{}", "x".repeat(4096));
    assert_eq!(told(&long), "SecretInvalid: the connection string has more than 4096 bytes");
    let host = format!("postgres://app:s3cr3t@{}/shop", "x".repeat(254));
    assert_eq!(told(&host), format!("SecretInvalid: {name}"));
    let doubt = Dsn::read(b"postgres://app:\xff@db/shop").expect_err("no text");
    assert_eq!(doubt.to_string(), "the connection string is no UTF-8 text");
}

#[test]
fn its_debug_shows_where_and_who_but_no_password() {
    let dsn = Dsn::read(b"postgres://app:s3cr3t@db/shop?sslmode=disable").expect("a DSN");
    let shown = format!("{dsn:?}");
    assert_eq!(shown, "Dsn { server: \"db:5432\", user: \"app\", database: \"shop\", .. }");
    assert_eq!(dsn.password(), Some(PASSWORD));
    assert!(!format!("{dsn:#?}").contains(PASSWORD));
}

#[test]
fn the_console_of_pgbouncer_is_the_database_of_that_name() {
    let is_console = |text: &str| Dsn::read(text.as_bytes()).expect("a DSN").is_console();
    assert!(is_console("postgres://stats@pooler:6432/pgbouncer"));
    assert!(is_console("host=pooler user=pgbouncer"));
    assert!(!is_console("postgres://stats@pooler:6432/shop?pgbouncer=true"));
}

mod whatever_it_is {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// A password of letters that occur nowhere else is in no error, whatever stands around it.
        #[test]
        fn no_error_and_no_debug_has_the_password(
            before in "(postgres://|postgresql\\+x://|host=db user=app |jdbc:postgresql://|)[a-z@:/ '\\\\%=]{0,12}",
            after in "[a-z0-9@:/ '\\\\%=?&,\\[\\]]{0,30}",
        ) {
            let text = format!("{before}:QXJZQXJZ{after}");
            match Dsn::read(text.as_bytes()) {
                Err(doubt) => {
                    let shown = format!("{doubt:?}");
                    prop_assert!(!shown.contains("QXJZ"));
                }
                Ok(dsn) if dsn.password().is_some_and(|password| password.contains("QXJZ")) => {
                    let shown = format!("{dsn:?}");
                    prop_assert!(!shown.contains("QXJZ"));
                }
                // It stood where a user, host or database stands.
                Ok(_) => {}
            }
        }

        #[test]
        fn bytes_of_any_kind_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Dsn::read(&bytes);
        }
    }
}
