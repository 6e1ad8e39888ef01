//! Lists as kernels of both byte orders write them, and the list of this machine.

use proptest::prelude::*;
use testkit::dns::Dns;
use tokio::net::{TcpListener, TcpStream};

use super::super::upstream::resolver;
use super::*;

const HEAD: &str =
    "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";
const REST: &str =
    " 00000000:00000000 00:00000000 00000000  1000        0 4711 1 0000000000000000 20 4 30 10 -1\n";

fn ends(local: &str, remote: &str) -> Ends {
    (local.parse().expect("an end"), remote.parse().expect("an end"))
}

fn line(local: &str, remote: &str, state: &str) -> String {
    format!("   0: {local} {remote} {state}{REST}")
}

#[test]
fn addresses_are_read_in_the_order_of_the_bytes_of_the_machine() {
    let little = line("0A01F40A:9C40", "0700000A:1538", "01");
    let big = line("0AF4010A:9C40", "0A000007:1538", "01");
    let expected = [ends("10.244.1.10:40000", "10.0.0.7:5432")];
    assert_eq!(established(&format!("{HEAD}{little}"), Order::Little), expected);
    assert_eq!(established(&format!("{HEAD}{big}"), Order::Big), expected);
}

#[test]
fn addresses_of_version_6_and_those_of_version_4_within_them_are_read() {
    let little = [
        line("000080FE00000000FF005450B6AD1DFE:9C40", "B80D0120000000000000000007000000:1538", "01"),
        line("0000000000000000FFFF00000A01F40A:9C41", "0000000000000000FFFF00000700000A:1538", "01"),
    ];
    let big = [
        line("FE80000000000000505400FFFE1DADB6:9C40", "20010DB8000000000000000000000007:1538", "01"),
        line("00000000000000000000FFFF0AF4010A:9C41", "00000000000000000000FFFF0A000007:1538", "01"),
    ];
    let expected = [
        ends("[fe80::5054:ff:fe1d:adb6]:40000", "[2001:db8::7]:5432"),
        ends("10.244.1.10:40001", "10.0.0.7:5432"),
    ];
    assert_eq!(established(&little.concat(), Order::Little), expected);
    assert_eq!(established(&big.concat(), Order::Big), expected);
}

#[test]
fn only_established_connections_count_and_what_is_no_line_is_passed_over() {
    let good = line("0100007F:9C40", "0100007F:1538", "01");
    let others =
        ["06", "0A", "08", "1", "001"].map(|state| line("0100007F:9C40", "0100007F:1538", state)).concat();
    let odd = [
        "",
        "0: 0100007F:9C40 0100007F",
        "0: 0100007F 0100007F 01",
        "0: 0100007:9C40 0100007F:1538 01",
        "0: 0100007F:9C4 0100007F:1538 01",
        "0: +100007F:9C40 0100007:1538 01",
        "0: x:y z:w 01",
        "0: é00007F:9C40 é:é 01",
    ];
    let text = format!("{HEAD}{others}{}\n{good}", odd.join("\n"));
    assert_eq!(established(&text, Order::Little).len(), 1);
}

proptest! {
    #[test]
    fn no_text_breaks_the_reader(text in "\\PC{0,200}", cut in 0..200usize) {
        let line = line("0A01F40A:9C40", "0700000A:1538", "01");
        let cut = line.get(..cut.min(line.len())).unwrap_or_default();
        let found = established(&format!("{text}\n{cut}"), Order::Little);
        prop_assert!(found.len() <= 1);
    }
}

#[tokio::test]
async fn a_connection_that_did_not_come_through_the_governor_is_counted_until_it_is_closed() {
    let dns = Dns::start().await.expect("DNS");
    dns.set("db.test", &["127.0.0.9".parse().expect("an address")]);
    let listener = TcpListener::bind("127.0.0.9:0").await.expect("a listener");
    let address = listener.local_addr().expect("its address");
    let database = format!("db.test:{}", address.port()).parse().expect("a database");
    let upstream = Upstream::new(database, resolver(Some(dns.address())).expect("a resolver"), Vec::new());
    let (upstreams, state) = ([Arc::new(upstream)], State::new(String::new(), false));
    let count = async || others("/proc/net".into(), &upstreams, &state).await.expect("the lists");
    let stranger = TcpStream::connect(address).await.expect("a connection");
    // Nobody has asked for the address yet.
    assert_eq!(count().await, 0);
    upstreams[0].addresses().await.expect("addresses");
    assert_eq!(count().await, 1);
    let own = upstreams[0].connect().await.expect("a connection");
    let ends = (own.local_addr().expect("an end"), own.peer_addr().expect("an end"));
    assert_eq!(count().await, 2);
    let _own = state.own.add(ends);
    assert_eq!(count().await, 1);
    drop(stranger);
    assert_eq!(count().await, 0);
}
