//! Names of a server of DNS on loopback, and servers there that accept or do not.

use testkit::dns::Dns;
use tokio::net::TcpListener;

use super::*;

const HOST: &str = "db.example.com";

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn upstream(dns: &Dns, port: u16, own: &[SocketAddr]) -> Upstream {
    let database = Database { host: HOST.to_owned(), port };
    Upstream::new(database, resolver(Some(dns.address())).expect("a resolver"), own.to_vec())
}

/// A listener at this address, and its port.
async fn listener(address: &str) -> (TcpListener, u16) {
    let listener = TcpListener::bind((ip(address), 0)).await.expect("a listener");
    let port = listener.local_addr().expect("its address").port();
    (listener, port)
}

#[tokio::test]
async fn the_addresses_of_a_name_are_tried_in_turn_until_one_accepts() {
    let dns = Dns::start().await.expect("DNS");
    let (_listener, port) = listener("127.0.0.9").await;
    dns.set(HOST, &["::1", "127.0.0.8", "127.0.0.9"].map(ip));
    let stream = upstream(&dns, port, &[]).connect().await.expect("a connection");
    assert_eq!(stream.peer_addr().expect("its peer"), SocketAddr::new(ip("127.0.0.9"), port));
    let socket = SockRef::from(&stream);
    assert!(socket.keepalive().expect("an option") && stream.nodelay().expect("an option"));
    assert_eq!(socket.tcp_keepalive_time().expect("an option"), KEEPALIVE_IDLE);
}

#[tokio::test]
async fn the_governor_never_connects_to_itself() {
    let dns = Dns::start().await.expect("DNS");
    let (own, port) = listener("127.0.0.1").await;
    dns.set(HOST, &["127.0.0.1", "0.0.0.0"].map(ip));
    let upstream = upstream(&dns, port, &[own.local_addr().expect("its address")]);
    assert!(matches!(upstream.connect().await, Err(Unreachable::Loop)));
}

#[tokio::test]
async fn a_refusal_and_an_unknown_name_are_told_apart() {
    let dns = Dns::start().await.expect("DNS");
    let (listener, port) = listener("127.0.0.9").await;
    drop(listener);
    let upstream = upstream(&dns, port, &[]);
    assert!(matches!(upstream.connect().await, Err(Unreachable::Unknown(_))));
    dns.set(HOST, &[ip("127.0.0.9")]);
    let Err(Unreachable::Refused(error)) = upstream.connect().await else { panic!("nobody listens") };
    assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
}

#[tokio::test]
async fn an_answer_is_kept_and_the_last_good_one_serves_while_dns_is_silent() {
    let dns = Dns::start().await.expect("DNS");
    dns.set(HOST, &[ip("127.0.0.9")]);
    let upstream = upstream(&dns, 5432, &[]);
    for _ in 0..100 {
        assert_eq!(upstream.addresses().await.expect("addresses"), [ip("127.0.0.9")]);
    }
    assert_eq!(dns.asked(), 1);
    dns.silence(true);
    // Longer than the answers of this server live.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert_eq!(upstream.addresses().await.expect("the last answer"), [ip("127.0.0.9")]);
    assert!(dns.asked() > 1);
    let asked = dns.asked();
    assert_eq!(upstream.addresses().await.expect("the last answer"), [ip("127.0.0.9")]);
    assert_eq!(dns.asked(), asked, "it is not asked again at once");
}

#[tokio::test]
async fn a_new_address_is_used_once_the_old_answer_has_lived_and_both_are_remembered() {
    let dns = Dns::start().await.expect("DNS");
    let upstream = upstream(&dns, 5432, &[]);
    for address in ["127.0.0.8", "127.0.0.9"] {
        dns.set(HOST, &[ip(address)]);
        assert_eq!(upstream.addresses().await.expect("addresses"), [ip(address)]);
        tokio::time::sleep(Duration::from_millis(1100)).await;
    }
    for (address, is_its) in [
        ("127.0.0.8:5432", true),
        ("127.0.0.9:5432", true),
        ("127.0.0.9:5433", false),
        ("127.0.0.7:5432", false),
    ] {
        assert_eq!(upstream.has(address.parse().expect("an address")), is_its, "{address}");
    }
}

#[test]
fn both_families_come_in_turn() {
    let addresses = ["10.0.0.1", "10.0.0.2", "10.0.0.3", "fd00::1"].map(ip);
    assert_eq!(in_turn(&addresses, false), ["10.0.0.1", "fd00::1", "10.0.0.2", "10.0.0.3"].map(ip));
    assert_eq!(in_turn(&addresses, true), ["fd00::1", "10.0.0.1", "10.0.0.2", "10.0.0.3"].map(ip));
}

#[tokio::test]
async fn a_short_name_is_looked_for_in_the_search_list_of_the_pod() {
    let dns = Dns::start().await.expect("DNS");
    dns.set("postgres.shop.svc.cluster.local", &[ip("127.0.0.9")]);
    let text = "nameserver 10.96.0.10\nsearch shop.svc.cluster.local svc.cluster.local\noptions ndots:5\n";
    let (mut config, options) =
        hickory_resolver::system_conf::parse_resolv_conf(text).expect("a resolv.conf");
    config.name_servers = vec![at(dns.address())];
    for host in ["postgres", "postgres.shop", "postgres.shop.svc.cluster.local"] {
        let database = Database { host: host.to_owned(), port: 5432 };
        let resolver = resolver_of(config.clone(), options.clone()).expect("a resolver");
        let found = Upstream::new(database, resolver, Vec::new()).addresses().await;
        assert_eq!(found.expect("addresses"), [ip("127.0.0.9")], "{host}");
    }
}

#[test]
fn the_hosts_file_is_not_read_and_search_and_ndots_are_those_of_the_pod() {
    let text =
        "nameserver 10.96.0.10\nsearch shop.svc.cluster.local svc.cluster.local\noptions ndots:5 timeout:9\n";
    let (config, options) = hickory_resolver::system_conf::parse_resolv_conf(text).expect("a resolv.conf");
    let options = settings(options);
    assert_eq!((config.search.len(), options.ndots, options.timeout), (2, 5, QUESTION));
    assert!(matches!(options.use_hosts_file, ResolveHosts::Never));
}
