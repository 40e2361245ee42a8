//! Listeners that come, change and go while the broker runs: as a whole, or not at all.

use std::fs::{self, Permissions};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, prlimit, setrlimit};

use crate::harness::raw::{self, CONNACK, Connect, RawClient, Will};
use crate::harness::websocket::{BINARY, WsClient};
use crate::harness::{ADMIN, Authority, DEVICE1, DEVICE2, Place, Site, Stream, bastionmq, scratch};

/// Administrative action.
const CLOSED: u8 = 0x98;

/// Adds a listener at the end of the configuration, without the URL's port being known.
fn add(place: &Place, listener: &str) {
    place.replace(
        "bastionmq.toml",
        format!("{}\n[[listener]]\n{listener}\n", place.text("bastionmq.toml")),
    );
}

/// The number of the port at which the listener of this scheme was opened by a reload.
fn opened(place: &Place, scheme: &str) -> u16 {
    let url = format!("listener {scheme}://127.0.0.1:");
    place.broker.process().wait_for(Stream::Err, |line| {
        let (port, said) = line.split_once(&url)?.1.split_once(": ")?;
        said.starts_with("open").then(|| port.parse().expect("a port"))
    })
}

fn enters(port: u16, client_id: &str) -> RawClient {
    RawClient::connected(port, &Connect::new(5, client_id).login(ADMIN))
}

/// Whether nobody listens there: the port can be had.
fn is_free(port: u16) -> bool {
    TcpListener::bind(("127.0.0.1", port)).is_ok()
}

/// The plain listener of the site, as it stands in its configuration.
const PLAIN: &str = "[[listener]]\nurl = \"mqtt://127.0.0.1:0\"\n";

#[test]
fn a_listener_that_is_added_lets_clients_in_and_disturbs_nobody() {
    let place = Place::of_site();
    let mut earlier = enters(place.broker.plain_port(), "earlier");
    add(&place, "url = \"ws://127.0.0.1:0\"");
    let port = opened(&place, "ws");
    let mut browser = WsClient::open(RawClient::plain(port));
    browser.send(BINARY, &Connect::new(5, "browser").login(DEVICE1).encode());
    assert_eq!(browser.read_packet()[3], 0);
    let socket = place.file("run/mqtt.sock");
    add(&place, &format!("url = \"unix://{}\"", socket.display()));
    place.log("mqtt.sock: open");
    let mut program = RawClient::unix(&socket).expect("a socket");
    program.send(&Connect::new(5, "program").encode());
    assert_eq!(program.expect(CONNACK).reason(), 0);
    earlier.expect_silence();
    place.replace("bastionmq.toml", place.text("bastionmq.toml").replace("unix://", "unix:///x"));
    let line = place.log("not reloaded");
    assert!(line.contains("there is no directory /x/"), "{line}");
    program.expect_silence();
}

#[test]
fn a_listener_that_is_removed_sends_its_clients_away_and_their_sessions_wait() {
    let place = Place::of_site();
    add(&place, "url = \"ws://127.0.0.1:0\"");
    let (port, other) = (place.broker.plain_port(), opened(&place, "ws"));
    let mut watcher = WsClient::open(RawClient::plain(other));
    watcher.send(BINARY, &Connect::new(5, "watcher").login(ADMIN).encode());
    watcher.read_packet();
    watcher.send(BINARY, &raw::subscribe(5, 1, "wills/#", 0));
    watcher.read_packet();
    let session = Connect::new(5, "device1").login(DEVICE1).keep_session(false, 600);
    let mut device = RawClient::connected(port, &session);
    assert_eq!(device.subscribe(5, "announcements/#", 1), 1);
    let will = Some(Will::new("wills/admin", b"gone"));
    let mut admin =
        RawClient::connected(port, &Connect { will, ..Connect::new(5, "a").login(ADMIN) });
    let mut old = RawClient::connected(port, &Connect::new(4, "old").login(DEVICE2));
    let stranger = &mut RawClient::plain(port);
    place.edit("bastionmq.toml", PLAIN, "");
    let line = place.log("closed, and the connections that came by it are ended");
    assert!(line.contains(&format!("mqtt://127.0.0.1:{port}")), "{line}");
    device.expect_disconnect(CLOSED);
    admin.expect_disconnect(CLOSED);
    // 3.1.1 has no words for it.
    old.expect_end();
    stranger.expect_end();
    assert!(is_free(port));
    let published = watcher.read_packet();
    assert!(published.ends_with(b"gone"), "{published:?}");
    // The session has waited, and gets what comes meanwhile.
    let mut again = WsClient::open(RawClient::plain(other));
    again.send(BINARY, &session.encode());
    assert_eq!(again.read_packet()[2], 1, "session present");
}

#[test]
fn clients_with_certificates_find_their_sessions_when_their_listener_is_gone() {
    let place = Place::of_site();
    let port = place.broker.tls_port();
    let session = Connect::new(5, "device1").keep_session(false, 600).encode();
    let enter = |port| {
        let mut client = RawClient::tls(port, Site::shared().tls_as("device1"));
        client.send(&session);
        client
    };
    let mut device = enter(port);
    assert_eq!(device.expect(CONNACK).reason(), 0);
    // The same listener, elsewhere: what stands at an earlier port goes.
    let config = place.text("bastionmq.toml");
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let other = taken.local_addr().expect("an address").port();
    drop(taken);
    place.replace(
        "bastionmq.toml",
        config.replace("mqtts://127.0.0.1:0", &format!("mqtts://127.0.0.1:{other}")),
    );
    device.expect_disconnect(CLOSED);
    assert_eq!(opened(&place, "mqtts"), other);
    let mut again = enter(other);
    let answer = again.expect(CONNACK);
    assert_eq!((answer.reason(), answer.body[0]), (0, 1), "its session has waited");
}

#[test]
fn a_port_that_is_taken_changes_nothing_until_it_is_free() {
    let place = Place::of_site();
    let mut device = enters(place.broker.plain_port(), "device");
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("an address").port();
    let before = place.text("bastionmq.toml");
    // A listener that opens, one that goes, and settings are in the same file.
    let changed = before.replace(PLAIN, "[[listener]]\nurl = \"ws://127.0.0.1:0\"\n");
    let changed = format!(
        "{changed}\n[[listener]]\nurl = \"mqtt://127.0.0.1:{port}\"\n[log]\nlevel = \"debug\"\n"
    );
    place.replace("bastionmq.toml", changed);
    let line = place.log("not reloaded");
    assert!(line.contains(&format!("mqtt://127.0.0.1:{port}: the port is taken")), "{line}");
    device.expect_silence();
    enters(place.broker.plain_port(), "next").expect_silence();
    assert!(place.metric("bastionmq_reload_in_force{what=\"config\"}") < 0.5);
    drop(taken);
    // It is tried again.
    device.expect_disconnect(CLOSED);
    assert_eq!(opened(&place, "mqtt"), port);
    enters(port, "device").expect_silence();
}

#[test]
fn a_listener_of_all_addresses_does_not_take_the_place_of_one_in_the_same_step() {
    let place = Place::of_site();
    let port = place.broker.plain_port();
    let mut device = enters(port, "device");
    let all =
        format!("[[listener]]\nurl = \"mqtt://0.0.0.0:{port}\"\nplaintext = \"i-understand\"\n");
    place.edit("bastionmq.toml", PLAIN, &all);
    let line = place.log("not reloaded");
    assert!(line.contains(&format!("mqtt://127.0.0.1:{port} has the port")), "{line}");
    device.expect_silence();
}

#[test]
fn a_certificate_that_does_not_load_changes_nothing() {
    let place = Place::of_site();
    let mut device = enters(place.broker.plain_port(), "device");
    fs::write(place.file("broken.crt"), "no certificate").expect("a file");
    let key = place.file("server.key");
    let changed = place.text("bastionmq.toml").replace(
        PLAIN,
        &format!(
            "[[listener]]\nurl = \"wss://127.0.0.1:0\"\ntls_cert = \"{}\"\ntls_key = \"{}\"\n",
            place.file("broken.crt").display(),
            key.display()
        ),
    );
    place.replace("bastionmq.toml", changed);
    let line = place.log("not reloaded");
    assert!(line.contains("wss://127.0.0.1:0") && line.contains("broken.crt"), "{line}");
    device.expect_silence();
    enters(place.broker.plain_port(), "next").expect_silence();
}

#[test]
fn the_certificate_of_a_listener_that_was_added_is_watched() {
    let place = Place::of_site();
    let names = ["server.crt", "server.key"].map(|name| place.file(name));
    let copies = ["other.crt", "other.key"].map(|name| place.file(name));
    for (name, copy) in names.iter().zip(&copies) {
        fs::copy(name, copy).expect("a copy");
        fs::set_permissions(copy, Permissions::from_mode(0o600)).expect("a mode");
    }
    let [certificate, key] = copies.each_ref().map(|path| path.display());
    add(
        &place,
        &format!("url = \"wss://127.0.0.1:0\"\ntls_cert = \"{certificate}\"\ntls_key = \"{key}\""),
    );
    let port = opened(&place, "wss");
    let shown = || {
        let mut client = RawClient::tls(port, Site::shared().tls());
        client.send(b"GET / HTTP/1.1\r\n\r\n");
        let _: Option<[u8; 1]> = client.read_bytes();
        client.server_certificate().map(<[u8]>::to_vec)
    };
    let before = shown().expect("a certificate");
    // Its files are known from the next look on.
    place.reloaded("certificates");
    let mut issue = bastionmq();
    issue.args(["certs", "server", "--dir", ".", "--name", "localhost", "--ip", "127.0.0.1"]);
    let own = scratch();
    for name in ["ca.crt", "ca.key"] {
        fs::copy(Site::shared().file(name), own.path().join(name)).expect("a copy");
    }
    assert!(issue.current_dir(own.path()).output().expect("it starts").status.success());
    place.replace("other.key", fs::read(own.path().join("server.key")).expect("a key"));
    place.replace("other.crt", fs::read(own.path().join("server.crt")).expect("a certificate"));
    place.reloaded_times("certificates", 2);
    assert_ne!(shown().expect("a certificate"), before);
}

#[test]
fn what_concerns_handshakes_changes_for_those_who_come() {
    let place = Place::of_site();
    add(&place, "url = \"ws://127.0.0.1:0\"");
    let port = opened(&place, "ws");
    let mut browser = WsClient::open(RawClient::plain(port));
    browser.send(BINARY, &Connect::new(5, "browser").login(ADMIN).encode());
    assert_eq!(browser.read_packet()[3], 0);
    let url = "url = \"ws://127.0.0.1:0\"\n";
    place.edit("bastionmq.toml", url, &format!("{url}websocket_path = \"/other\"\n"));
    place.log("changed, for connections from now on");
    let mut late = RawClient::plain(port);
    let request =
        format!("{}{}\r\n", crate::harness::websocket::REQUEST, crate::harness::websocket::MQTT);
    late.send(request.as_bytes());
    assert_eq!(late.read_vec(12).as_deref(), Some(&b"HTTP/1.1 404"[..]));
    browser.send(BINARY, &raw::packet(raw::PINGREQ, &[]));
    assert_eq!(browser.read_packet(), [raw::PINGRESP, 0]);
}

#[test]
fn whoever_came_by_what_does_not_hold_any_more_comes_again() {
    let place = Place::of_site();
    let (plain, tls) = (place.broker.plain_port(), place.broker.tls_port());
    let certified = || {
        let mut client = RawClient::tls(tls, Site::shared().tls_as("device1"));
        client.send(&Connect::new(5, "device1").encode());
        client
    };
    let mut device = certified();
    assert_eq!(device.expect(CONNACK).reason(), 0);
    let mut admin = enters(plain, "admin");
    // Only certificates with passwords, from now on.
    let both = "client_auth = \"optional\"\nauthenticators = [\"certificate+password\"]";
    place.edit("bastionmq.toml", "client_auth = \"optional\"", both);
    device.expect_disconnect(CLOSED);
    place.reloaded("config");
    assert_ne!(certified().expect(CONNACK).reason(), 0);
    admin.expect_silence();
    // The same port, and nobody goes on in plain text there.
    let secure = format!(
        "[[listener]]\nurl = \"mqtts://127.0.0.1:{plain}\"\ntls_cert = \"{}\"\ntls_key = \"{}\"\n",
        place.file("server.crt").display(),
        place.file("server.key").display()
    );
    place.edit("bastionmq.toml", PLAIN, &secure);
    admin.expect_disconnect(CLOSED);
    let mut again = RawClient::tls(plain, Site::shared().tls());
    again.send(&Connect::new(5, "admin").login(ADMIN).encode());
    assert_eq!(again.expect(CONNACK).reason(), 0);
}

#[test]
fn a_proxy_is_believed_from_when_the_file_says_so() {
    let place = Place::of_site();
    let port = place.broker.plain_port();
    let mut direct = enters(port, "direct");
    let proxied = format!("{PLAIN}proxy_protocol = true\nproxy_from = [\"127.0.0.1\"]\n");
    place.edit("bastionmq.toml", PLAIN, &proxied);
    direct.expect_disconnect(CLOSED);
    place.reloaded("config");
    RawClient::plain(port).send(&Connect::new(5, "direct").login(ADMIN).encode());
    let mut behind = RawClient::plain(port);
    behind.send(b"PROXY TCP4 192.0.2.7 192.0.2.1 1 1\r\n");
    behind.send(&Connect::new(5, "behind").login(ADMIN).encode());
    assert_eq!(behind.expect(CONNACK).reason(), 0);
}

#[test]
fn a_unix_socket_gets_another_mode_and_goes_on() {
    let place = Place::of_site();
    let socket = place.file("run/mqtt.sock");
    add(&place, &format!("url = \"unix://{}\"", socket.display()));
    place.log("mqtt.sock: open");
    let mut program = RawClient::unix(&socket).expect("a socket");
    program.send(&Connect::new(5, "program").encode());
    assert_eq!(program.expect(CONNACK).reason(), 0);
    let mode = || fs::metadata(&socket).expect("a socket").permissions().mode() & 0o777;
    assert_eq!(mode(), 0o600);
    let text = place.text("bastionmq.toml");
    // Where something else fails, its mode is what it was.
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("an address").port();
    let widened = format!("{text}unix_mode = \"0666\"\n");
    let url = format!("url = \"mqtt://127.0.0.1:{port}\"");
    place.replace("bastionmq.toml", format!("{widened}[[listener]]\n{url}\n"));
    place.log("not reloaded");
    assert_eq!(mode(), 0o600);
    place.replace("bastionmq.toml", widened);
    place.log("changed, for connections from now on");
    assert_eq!(mode(), 0o666);
    program.expect_silence();
    place.replace("bastionmq.toml", text.split("[[listener]]\nurl = \"unix").next().expect("text"));
    program.expect_disconnect(CLOSED);
    place.log("closed, and the connections");
    assert!(!socket.exists());
}

#[test]
fn without_file_descriptors_listeners_stay_as_they_are_until_there_are_some() {
    let place = Place::of_site();
    let mut device = enters(place.broker.plain_port(), "device");
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let limit = |current| {
        let limit = Rlimit { current: Some(current), maximum };
        prlimit(Some(place.broker.process().id()), Resource::Nofile, limit).expect("a limit");
    };
    limit(0);
    place.edit("bastionmq.toml", PLAIN, "[[listener]]\nurl = \"ws://127.0.0.1:0\"\n");
    let line = place.log("not reloaded");
    assert!(line.contains("Too many open files"), "{line}");
    device.expect_silence();
    limit(1_024);
    device.expect_disconnect(CLOSED);
    let mut browser = WsClient::open(RawClient::plain(opened(&place, "ws")));
    browser.send(BINARY, &Connect::new(5, "browser").login(ADMIN).encode());
    assert_eq!(browser.read_packet()[3], 0);
}

#[test]
fn a_thousand_connections_of_a_listener_that_is_removed_end_together() {
    const CONNECTIONS: usize = 1_000;
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).expect("more files");
    let place = Place::of_site();
    let port = place.broker.plain_port();
    let mut clients: Vec<_> = (0..CONNECTIONS).map(|id| enters(port, &format!("c{id}"))).collect();
    place.edit("bastionmq.toml", PLAIN, "");
    place.log("closed, and the connections that came by it are ended");
    let begin = Instant::now();
    for client in &mut clients {
        client.expect_disconnect(CLOSED);
    }
    // Within a second where nothing else runs; no farewell was waited for.
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
}

#[test]
fn certificates_are_judged_anew_where_a_listener_believes_others() {
    let (first, second) = (Authority::new(), Authority::named("another fleet"));
    let place = Place::of_site();
    let pem = |name: &str, authority: &Authority| {
        fs::write(place.file(name), authority.pem()).expect("a file");
        place.file(name).display().to_string()
    };
    let (of_first, of_second) = (pem("first.crt", &first), pem("second.crt", &second));
    let site = place.file("ca.crt").display().to_string();
    place.edit("bastionmq.toml", &site, &of_first);
    place.log("changed, for connections from now on");
    let mut device = RawClient::tls(place.broker.tls_port(), first.client("device1", 1));
    device.send(&Connect::new(5, "device1").encode());
    assert_eq!(device.expect(CONNACK).reason(), 0);
    let mut admin = RawClient::tls(place.broker.tls_port(), Site::shared().tls());
    admin.send(&Connect::new(5, "admin").login(ADMIN).encode());
    assert_eq!(admin.expect(CONNACK).reason(), 0);
    place.edit("bastionmq.toml", &of_first, &of_second);
    device.expect_disconnect(raw::NOT_AUTHORIZED);
    admin.expect_silence();
}
