//! What poolbudget reads of real servers: their limits, who is connected, and why one says nothing.

mod governed;
mod pooler;
pub(crate) mod server;

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use poolbudget::database::{Activity, Class, Doubt, Group, PATIENCE};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use testkit::postgres::programs::Programs;
use testkit::postgres::until::until;
use time::OffsetDateTime;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

use self::pooler::Pooler;
use self::server::{PASSWORD, Server, read, versions};

/// For what a server does soon.
const SOON: Duration = Duration::from_secs(30);

const WHOLE: &str = "max_connections 100 − 3 for superusers";

fn whole() -> Result<(u32, String), Doubt> {
    Ok((97, WHOLE.to_owned()))
}

fn doubt(class: Class, sentence: String) -> Doubt {
    Doubt::new(class, sentence)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_limit_is_read_as_it_is_changed() -> Result<()> {
    for programs in versions()? {
        let mut server = Server::start(&programs).await?;
        assert_eq!(server.allowed().await, whole());
        server.sql("alter role app connection limit 20").await?;
        let role = "connection limit 20 of role app (max_connections allows 97)";
        assert_eq!(server.allowed().await, Ok((20, role.to_owned())));
        server.sql("alter database app connection limit 10").await?;
        let database = "connection limit 10 of database app (max_connections allows 97)";
        assert_eq!(server.allowed().await, Ok((10, database.to_owned())));
        // No superuser is held to them.
        server.sql("alter role app superuser").await?;
        assert_eq!(server.allowed().await, whole());
        server.sql("alter role app nosuperuser connection limit -1").await?;
        server.sql("alter database app connection limit -1").await?;
        // Amazon RDS has this setting; elsewhere it is a name that stands for nothing.
        server.sql("alter role app set rds.rds_superuser_reserved_connections = 2").await?;
        let of_rds = format!("{WHOLE} − 2 for rds_superuser");
        assert_eq!(server.allowed().await, Ok((95, of_rds)));
        server.sql("alter role app reset all").await?;
        server.sql("alter system set max_connections = 60").await?;
        // A server has it only once it was started again.
        assert_eq!(server.allowed().await, whole());
        server.sql("alter system set superuser_reserved_connections = 7").await?;
        server.restart().await?;
        let set = "max_connections 60 − 7 for superusers";
        assert_eq!(server.allowed().await, Ok((53, set.to_owned())));
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_of_a_superuser_takes_one_of_the_connections_of_the_limit() -> Result<()> {
    for programs in versions()? {
        let mut server = Server::start(&programs).await?;
        server.sql(&format!("create role root superuser login password '{PASSWORD}'")).await?;
        server.sql("alter system set max_connections = 10").await?;
        server.restart().await?;
        assert_eq!(server.allowed().await?.0, 7);
        let _root = clients(&server, "root", "agent", 2, 0).await?;
        let mut app = Vec::new();
        // Whoever asked before may take a moment to leave.
        until(SOON, "five get in", async || {
            app = clients(&server, "app", "web", 5, 0).await?;
            Ok(())
        })
        .await?;
        assert_eq!(app.len(), 5);
        let refused = server.open("app", "web").await.err().context("a sixth gets in")?;
        let code = refused.downcast_ref::<tokio_postgres::Error>().and_then(|error| error.code().cloned());
        assert_eq!(code, Some(SqlState::TOO_MANY_CONNECTIONS), "{refused:#}");
    }
    Ok(())
}

/// What one role has open: so many idle, so many in a transaction.
async fn clients(server: &Server, role: &str, name: &str, idle: usize, busy: usize) -> Result<Vec<Client>> {
    let mut clients = Vec::new();
    for i in 0..idle + busy {
        let client = server.open(role, name).await?;
        client.batch_execute(if i < idle { "select 1" } else { "begin" }).await?;
        clients.push(client);
    }
    Ok(clients)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_without_rights_sees_who_has_how_many_connections() -> Result<()> {
    for programs in versions()? {
        let server = Server::start(&programs).await?;
        for role in ["shop", "monitor in role pg_monitor"] {
            server.sql(&format!("create role {role} login password '{PASSWORD}'")).await?;
        }
        let _shop = clients(&server, "shop", "web", 2, 3).await?;
        let _app = clients(&server, "app", "jobs", 1, 1).await?;
        let group = |name: &str, role: &str, open, sees: bool, busy| Group {
            application: name.to_owned(),
            user: role.to_owned(),
            address: sees.then_some([127, 0, 0, 1].into()),
            open,
            busy: Some(busy).filter(|_| sees),
        };
        let activity = async |role: &str| server.read_as(role, "app").await.map(|reading| reading.activity);
        // A role sees everything of its own connections.
        let expected = vec![group("web", "shop", 5, false, 0), group("jobs", "app", 2, true, 1)];
        assert_eq!(activity("app").await, Ok(Some(Ok(Activity { groups: expected, others: 0 }))));
        let expected = vec![group("web", "shop", 5, true, 3), group("jobs", "app", 2, true, 1)];
        assert_eq!(activity("monitor").await, Ok(Some(Ok(Activity { groups: expected, others: 0 }))));
        // Against the limit of a role count its own alone.
        server.sql("alter role app connection limit 20").await?;
        let own = vec![group("jobs", "app", 2, true, 1)];
        assert_eq!(activity("app").await, Ok(Some(Ok(Activity { groups: own, others: 0 }))));
        server.sql("alter role app connection limit -1").await?;
        server.sql("alter database postgres connection limit 5").await?;
        let elsewhere = server.read_as("app", "postgres").await.map(|reading| reading.activity);
        assert_eq!(elsewhere, Ok(Some(Ok(Activity::default()))));
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_while_a_server_is_read_is_a_doubt_that_passes() -> Result<()> {
    for programs in [Programs::default()] {
        let mut server = Server::start(&programs).await?;
        let text = server.text("app", "app");
        let (ended, mut end) = tokio::sync::oneshot::channel::<()>();
        let reads = tokio::spawn(async move {
            let (mut whole, mut doubts) = (0, Vec::new());
            while end.try_recv().is_err_and(|error| error == tokio::sync::oneshot::error::TryRecvError::Empty)
            {
                match read(&text, None).await {
                    Ok(reading) => {
                        assert_eq!(
                            (reading.allowed.connections, reading.allowed.source.as_str()),
                            (97, WHOLE)
                        );
                        whole += 1;
                    }
                    Err(doubt) => doubts.push(doubt),
                }
            }
            (whole, doubts)
        });
        for _ in 0..3 {
            server.restart().await?;
        }
        until(SOON, "it is read again", async || {
            ensure!(server.allowed().await == whole(), "not yet");
            Ok(())
        })
        .await?;
        drop(ended);
        let (whole, doubts) = reads.await?;
        assert!(whole > 0 && !doubts.is_empty(), "{whole} readings, {} doubts", doubts.len());
        assert!(doubts.iter().all(|doubt| doubt.class == Class::Unreachable), "{doubts:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_is_no_source_of_a_limit_until_it_is_promoted() -> Result<()> {
    for programs in [Programs::default()] {
        let server = Server::start(&programs).await?;
        let standby = server.standby().await?;
        let sentence = "the server is in recovery (a standby): name the primary";
        let in_recovery = || Err(doubt(Class::NotUnderstood, sentence.to_owned()));
        assert_eq!(standby.allowed().await, in_recovery());
        // A DSN may name both, in any order.
        let both = format!(
            "host=127.0.0.1,127.0.0.1 port={},{} user=app password={PASSWORD} sslmode=disable",
            standby.port, server.port
        );
        assert_eq!(read(&both, None).await.map(|reading| reading.allowed.connections), Ok(97));
        standby.sql("select pg_promote()").await?;
        assert_eq!(standby.allowed().await, whole());
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_is_refused_says_what_to_correct() -> Result<()> {
    for programs in [Programs::default()] {
        let server = Server::start(&programs).await?;
        let at = format!("127.0.0.1:{}", server.port);
        let refused = |sentence: &str| Err(doubt(Class::Refused, format!("{at} {sentence}")));
        let told = async |text: String| read(&text, None).await.map(|reading| reading.allowed.connections);
        let wrong = format!("postgres://app:{PASSWORD}x@{at}/app?sslmode=disable");
        let sentence = "refuses the password of user app: correct it in the Secret";
        assert_eq!(told(wrong).await, refused(sentence));
        let sentence = "refuses the password of user nobody: correct it in the Secret";
        assert_eq!(told(server.text("nobody", "app")).await, refused(sentence));
        let none = format!("postgres://app@{at}/app?sslmode=disable");
        assert_eq!(told(none).await, refused("asks for a password, and the connection string has none"));
        assert_eq!(
            told(server.text("app", "nothing")).await,
            refused("has no database nothing: correct the connection string")
        );
        server.sql("alter role app nologin").await?;
        let sentence = "does not let user app in (role \"app\" is not permitted to log in): check the role and \
                        pg_hba.conf";
        assert_eq!(told(server.text("app", "app")).await, refused(sentence));
        let without = format!("postgres://app:{PASSWORD}@{at}/app");
        let sentence = format!(
            "{at} offers no TLS: set sslmode=disable in the connection string if the network in between is trusted"
        );
        assert_eq!(told(without).await, Err(doubt(Class::Unreachable, sentence)));
    }
    Ok(())
}

/// A read is refused in words that begin like these.
async fn is_full(server: &Server, words: &str) {
    let doubt = server.allowed().await.expect_err("it is full");
    assert_eq!(doubt.class, Class::Refused);
    let begins = format!("127.0.0.1:{} is full and did not let poolbudget in ({words}", server.port);
    assert!(doubt.sentence.starts_with(&begins), "{doubt}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_a_free_connection_says_so() -> Result<()> {
    for programs in [Programs::default()] {
        let mut server = Server::start(&programs).await?;
        server.sql("alter role app connection limit 2").await?;
        let held = clients(&server, "app", "web", 2, 0).await?;
        is_full(&server, "too many connections for role \"app\"").await;
        drop(held);
        server.sql("alter role app connection limit -1").await?;
        server.sql("alter system set max_connections = 20").await?;
        server.restart().await?;
        let held = clients(&server, "app", "web", 17, 0).await?;
        is_full(&server, "remaining connection slots are reserved for").await;
        drop(held);
        until(SOON, "there is room again", async || {
            server.allowed().await.map(|_| ()).context("read the limit")
        })
        .await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_accepts_and_says_nothing_is_given_up() -> Result<()> {
    for programs in [Programs::default()] {
        let server = Server::start(&programs).await?;
        server.signal("-STOP")?;
        let begun = Instant::now();
        let told = server.allowed().await;
        let took = begun.elapsed();
        server.signal("-CONT")?;
        let sentence =
            format!("127.0.0.1:{} did not answer within 10 s: is it a PostgreSQL server?", server.port);
        assert_eq!(told, Err(doubt(Class::Unreachable, sentence)));
        assert!(took < PATIENCE + SOON, "{took:?}");
        until(SOON, "it is read again", async || {
            server.allowed().await.map(|_| ()).context("read the limit")
        })
        .await?;
    }
    Ok(())
}

/// An authority for certificates of servers.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(crate) fn new() -> Result<Self> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Ok(Self(CertifiedIssuer::self_signed(params, KeyPair::generate()?)?))
    }

    /// Its certificate.
    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for a name that is good until so many days from now, and its key.
    pub(crate) fn issue(&self, name: &str, days: i64) -> Result<(String, String)> {
        let mut params = CertificateParams::new(vec![name.to_owned()])?;
        // Some clients take a certificate with the name of its authority for one that signed itself.
        params.distinguished_name.push(DnType::CommonName, name);
        params.not_before = OffsetDateTime::now_utc() - time::Duration::days(30);
        params.not_after = OffsetDateTime::now_utc() + time::Duration::days(days);
        let key = KeyPair::generate()?;
        Ok((params.signed_by(&key, &self.0)?.pem(), key.serialize_pem()))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_is_read_by_the_name_that_its_certificate_has() -> Result<()> {
    let (authority, other) = (Authority::new()?, Authority::new()?);
    for programs in versions()? {
        let server = Server::start(&programs).await?;
        let (certificate, key) = authority.issue("localhost", 1)?;
        server.encrypt(&certificate, &key).await?;
        let port = server.port;
        let told = async |host: &str, ca: Option<String>| {
            let text = format!("postgres://app:{PASSWORD}@{host}:{port}/app?sslmode=require");
            read(&text, ca.as_deref()).await.map(|reading| reading.allowed.connections)
        };
        let trusted = || Some(authority.0.pem());
        assert_eq!(told("localhost", trusted()).await, Ok(97));
        let unreachable = |sentence: String| Err(doubt(Class::Unreachable, sentence));
        let sentence = format!(
            "the certificate of 127.0.0.1:{port} is for another name: connect by one of the names in it"
        );
        assert_eq!(told("127.0.0.1", trusted()).await, unreachable(sentence));
        for ca in [None, Some(other.0.pem())] {
            let sentence = format!(
                "the certificate of localhost:{port} is of an authority that is not trusted: name the authority's in \
                 caSecretRef"
            );
            assert_eq!(told("localhost", ca).await, unreachable(sentence));
        }
        let (certificate, key) = authority.issue("localhost", -1)?;
        server.encrypt(&certificate, &key).await?;
        let sentence = format!("the certificate of localhost:{port} has expired: renew it");
        until(SOON, "the server shows the certificate that has expired", async || {
            let told = told("localhost", trusted()).await;
            ensure!(told == unreachable(sentence.clone()), "{told:?}");
            Ok(())
        })
        .await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_console_of_pgbouncer_says_how_many_clients_it_lets_in() -> Result<()> {
    for programs in [Programs::default()] {
        let server = Server::start(&programs).await?;
        let sizes = "default_pool_size = 20\nmax_client_conn = 300\n";
        let pooler = Pooler::start(&server, &["shop"], &format!("pool_mode = session\n{sizes}")).await?;
        let console = async |pooler: &Pooler| {
            let reading = read(&pooler.text("observer", "pgbouncer"), None).await?;
            Ok::<_, Doubt>((reading.allowed.connections, reading.allowed.source, reading.activity))
        };
        let source = "PgBouncer's pool_size 20 for database shop, session mode".to_owned();
        assert_eq!(console(&pooler).await, Ok((20, source.clone(), Some(Ok(Activity::default())))));
        let mut held = Vec::new();
        for _ in 0..3 {
            let (client, connection) = tokio_postgres::connect(&pooler.text("app", "shop"), NoTls).await?;
            tokio::spawn(connection);
            held.push(client);
        }
        let app = Group { user: "app".to_owned(), open: 3, ..Group::default() };
        assert_eq!(
            console(&pooler).await,
            Ok((20, source, Some(Ok(Activity { groups: vec![app], others: 0 }))))
        );
        let of_users = format!("pool_mode = session\n{sizes}max_user_connections = 12\n");
        let pooler = Pooler::start(&server, &["shop"], &of_users).await?;
        let (connections, source, _) = console(&pooler).await?;
        assert_eq!((connections, source.as_str()), (12, "PgBouncer's max_user_connections 12, session mode"));
        let both = ["shop", "stock"];
        let pooler = Pooler::start(&server, &both, &format!("pool_mode = transaction\n{sizes}")).await?;
        let (connections, source, _) = console(&pooler).await?;
        assert_eq!(
            (connections, source.as_str()),
            (300, "PgBouncer's max_client_conn 300, transaction mode")
        );
        let pooler = Pooler::start(&server, &both, &format!("pool_mode = session\n{sizes}")).await?;
        assert_eq!(console(&pooler).await.map_err(|doubt| doubt.class), Err(Class::NotUnderstood));
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_of_the_server_is_none_behind_a_pooler_whatever_its_mode() -> Result<()> {
    for programs in [Programs::default()] {
        let server = Server::start(&programs).await?;
        for mode in ["session", "transaction", "statement"] {
            let settings = format!("pool_mode = {mode}\ndefault_pool_size = 1\nmax_client_conn = 3\n");
            let pooler = Pooler::start(&server, &["app"], &settings).await?;
            for _ in 0..3 {
                let read = read(&pooler.text("app", "app"), None).await;
                assert_eq!(read.map_err(|doubt| doubt.class), Err(Class::NotUnderstood), "{mode}");
            }
            // Nothing is left behind on the backend that all share.
            let (client, connection) = tokio_postgres::connect(&pooler.text("app", "app"), NoTls).await?;
            tokio::spawn(connection);
            let messages = client.simple_query("show statement_timeout").await?;
            let timeout = messages.iter().find_map(|message| match message {
                SimpleQueryMessage::Row(row) => row.get(0),
                _ => None,
            });
            assert_eq!(timeout, Some("0"), "{mode}");
        }
    }
    Ok(())
}
