//! Certificates, authorities and revocation lists that change under a running broker.

use std::fs;
use std::sync::Arc;

use rustls::ClientConfig;

use crate::harness::raw::{CONNACK, Connect, NOT_AUTHORIZED, RawClient};
use crate::harness::{
    ADMIN, Authority, Broker, Place, Process, Site, Stream, bastionmq, clients, place, scratch,
};

const POLICY: &str = r##"
[[role]]
name = "device"
rules = [{ allow = ["publish", "subscribe"], topics = ["devices/${username}/#"] }]
[[assign]]
everyone = true
roles = ["device"]
"##;

/// Where the lists are: a folder or a file, below the directory of the broker.
const FOLDER: (&str, &str) = ("crl", "crl/fleet.crl");
const FILE: (&str, &str) = ("fleet.crl", "fleet.crl");

/// Asks clients for certificates of `authority`, of which it has taken back none so far.
fn serve(authority: &Authority, lists: (&str, &str), settings: &str) -> Place {
    let directory = scratch();
    let at = directory.path();
    place::copy(&["server.crt", "server.key", "passwd"], at);
    fs::create_dir(at.join("crl")).unwrap();
    fs::write(at.join(lists.1), authority.list(&[], 30)).unwrap();
    fs::write(at.join("clients.crt"), authority.pem()).unwrap();
    fs::write(at.join("policy.toml"), POLICY).unwrap();
    let config = format!(
        "[[listener]]\nurl = \"mqtts://127.0.0.1:0\"\ntls_cert = \"server.crt\"\n\
         tls_key = \"server.key\"\nclient_auth = \"optional\"\nclient_ca = \"clients.crt\"\n\
         client_crl = \"{}\"\n{settings}\n[admin]\naddress = \"127.0.0.1:0\"\n\
         [auth]\npassword_file = \"passwd\"\n[acl]\npolicy_file = \"policy.toml\"\n",
        lists.0
    );
    fs::write(at.join("bastionmq.toml"), config).unwrap();
    Place::serve(directory)
}

/// A client that shows its certificate, if it is let in.
fn enter(place: &Place, config: &Arc<ClientConfig>, client_id: &str) -> Option<RawClient> {
    let mut client = RawClient::tls(place.broker.tls_port(), Arc::clone(config));
    client.try_send(&Connect::new(5, client_id).encode()).ok()?;
    let answer = client.read_or_end()?;
    assert_eq!((answer.first, answer.reason()), (CONNACK, 0), "{answer:?}");
    Some(client)
}

fn in_force(place: &Place) -> bool {
    place.metric("bastionmq_reload_in_force{what=\"certificates\"}") > 0.5
}

#[test]
fn u04_a_certificate_that_is_taken_back_ends_its_session_and_keeps_its_bearer_out() {
    for lists in [FOLDER, FILE] {
        let authority = Authority::new();
        let place = serve(&authority, lists, "");
        let [lost, kept] = [1, 2].map(|serial| authority.client("device", serial));
        let mut ends = enter(&place, &lost, "lost").expect("it is believed");
        let mut stays = enter(&place, &kept, "kept").expect("it is believed");
        place.replace(lists.1, authority.list(&[1], 30));
        ends.expect_disconnect(NOT_AUTHORIZED);
        assert!(enter(&place, &lost, "lost").is_none());
        place.log("is revoked");
        stays.expect_silence();
        assert!(enter(&place, &kept, "again").is_some());
        let revoked = place.metric("bastionmq_sessions_revoked_total{why=\"certificate\"}");
        assert!((revoked - 1.0).abs() < 0.5, "{revoked}");
    }
}

#[test]
fn u04_a_list_that_is_broken_changes_nothing_and_shows_until_it_is_mended() {
    let authority = Authority::new();
    let stranger = Authority::new();
    let sound = authority.list(&[1], 30);
    for (broken, said) in [
        ("", "holds no revocation list"),
        (&sound[..sound.len() / 2], "is not sound PEM"),
        (&stranger.list(&[], 30), "has not signed it"),
    ] {
        let place = serve(&authority, FOLDER, "");
        let [lost, kept] = [1, 2].map(|serial| authority.client("device", serial));
        place.replace("crl/fleet.crl", &sound);
        place.reloaded("certificates");
        let mut inside = enter(&place, &kept, "kept").expect("it is believed");
        place.replace("crl/fleet.crl", broken);
        let line = place.log("not reloaded");
        assert!(line.contains("fleet.crl") && line.contains(said), "{line}");
        assert!(!in_force(&place));
        inside.expect_silence();
        assert!(enter(&place, &lost, "lost").is_none(), "the list of before is in force");
        place.replace("crl/fleet.crl", authority.list(&[1, 2], 30));
        inside.expect_disconnect(NOT_AUTHORIZED);
        place.reloaded_times("certificates", 2);
        assert!(in_force(&place));
    }
}

/// Who is inside is judged as who comes is: a list that has run out says nothing of anybody.
#[test]
fn u04_a_list_that_has_run_out_ends_all_sessions_unless_that_is_allowed() {
    let authority = Authority::new();
    let [lost, kept] = [1, 2].map(|serial| authority.client("device", serial));
    for (settings, is_allowed) in [("", false), ("client_crl_expired = \"allow\"", true)] {
        let place = serve(&authority, FOLDER, settings);
        let mut ends = enter(&place, &lost, "lost").expect("it is believed");
        let mut inside = enter(&place, &kept, "kept").expect("it is believed");
        place.replace("crl/fleet.crl", authority.list(&[1], -1));
        place.log("ran out on");
        ends.expect_disconnect(NOT_AUTHORIZED);
        match is_allowed {
            true => inside.expect_silence(),
            false => inside.expect_disconnect(NOT_AUTHORIZED),
        }
        assert_eq!(enter(&place, &kept, "again").is_some(), is_allowed);
        assert!(enter(&place, &lost, "lost").is_none());
    }
}

#[test]
fn u04_an_authority_that_is_added_lets_its_clients_in_and_ends_nobody() {
    let (first, second) = (Authority::new(), Authority::named("another fleet"));
    let place = serve(&first, FOLDER, "client_crl_unknown = \"allow\"");
    let [of_first, of_second] = [&first, &second].map(|authority| authority.client("device", 1));
    let mut inside = enter(&place, &of_first, "first").expect("it is believed");
    assert!(enter(&place, &of_second, "second").is_none());
    place.replace("clients.crt", format!("{}{}", first.pem(), second.pem()));
    place.reloaded("certificates");
    inside.expect_silence();
    let mut other = enter(&place, &of_second, "second").expect("it is believed");
    // Half a bundle is none.
    place.replace("clients.crt", format!("{}{}", second.pem(), &first.pem()[..200]));
    place.log("not reloaded");
    inside.expect_silence();
    other.expect_silence();
}

/// Who reads its lists every hour must not lose what waits for devices whose certificates last a day.
#[test]
fn a_session_outlives_a_certificate_that_has_expired_but_none_that_is_taken_back() {
    let authority = Authority::new();
    let place = serve(&authority, FOLDER, "");
    let enter = |serial, seconds, clean| {
        let config = authority.client_for("device", serial, seconds);
        let mut client = RawClient::tls(place.broker.tls_port(), config);
        client.send(&Connect::new(5, "device").keep_session(clean, 3_600).encode());
        let answer = client.expect(CONNACK);
        assert_eq!(answer.reason(), 0);
        (client, answer.body[0] == 1)
    };
    for (reloads, taken_back, is_kept) in [(1, 9, true), (2, 1, false)] {
        let (mut client, _) = enter(1, 3, true);
        client.expect_disconnect(NOT_AUTHORIZED);
        place.replace("crl/fleet.crl", authority.list(&[taken_back], 30));
        place.reloaded_times("certificates", reloads);
        let (_, is_resumed) = enter(2, 3_600, false);
        assert_eq!(is_resumed, is_kept);
    }
}

/// Another certificate of the server, of the authority that clients know.
fn renewed() -> [String; 2] {
    let directory = scratch();
    place::copy(&["ca.crt", "ca.key"], directory.path());
    let mut command = bastionmq();
    command.args(["certs", "server", "--dir", ".", "--name", "localhost"]);
    let output = command.current_dir(directory.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    ["server.crt", "server.key"]
        .map(|name| fs::read_to_string(directory.path().join(name)).unwrap())
}

#[test]
fn u04_new_connections_see_a_renewed_certificate_and_old_ones_go_on() {
    let place = Place::of_site();
    let enter = |client_id: &str| {
        let mut client = RawClient::tls(place.broker.tls_port(), Site::shared().tls());
        client.send(&Connect::new(5, client_id).login(ADMIN).encode());
        assert_eq!(client.expect(CONNACK).reason(), 0);
        let shown = client.server_certificate().expect("it shows one").to_vec();
        (client, shown)
    };
    let (mut old, before) = enter("old");
    let [certificate, key] = renewed();
    // One of the two alone does not fit the other: nothing changes, for nobody.
    place.replace("server.key", key);
    let line = place.log("not reloaded");
    assert!(line.contains("server.key") && line.contains("server.crt"), "{line}");
    assert!(!in_force(&place));
    assert_eq!(enter("between").1, before);
    place.replace("server.crt", certificate);
    place.reloaded("certificates");
    assert!(in_force(&place));
    let (_, after) = enter("new");
    assert_ne!(after, before);
    old.expect_silence();
}

/// As docs/security.md tells it.
#[test]
fn u04_the_life_of_a_device_from_its_certificate_to_its_end() {
    let home = scratch();
    let at = home.path().to_owned();
    let mut quickstart = bastionmq();
    quickstart.args(["quickstart", "--listen", "mqtts://127.0.0.1:0", "--admin", "127.0.0.1:0"]);
    let broker = Broker::start(quickstart, home);
    let certs = |arguments: &[&str]| {
        let mut command = bastionmq();
        command.arg("certs").args(arguments).args(["--dir", "bastionmq-data/certs"]);
        let output = command.current_dir(&at).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    let tool = |program: &str, more: &[&str]| {
        let mut command = clients::mosquitto(program);
        command.args(["-h", "localhost", "-p", &broker.tls_port().to_string(), "-V", "5", "-d"]);
        command.args(["--cafile", "bastionmq-data/certs/ca.crt"]);
        command.args(["--cert", "bastionmq-data/certs/sensor-7.crt"]);
        command.args(["--key", "bastionmq-data/certs/sensor-7.key"]);
        command.args(["-t", "devices/sensor-7/up", "-q", "1"]).args(more);
        Process::spawn(program, command.current_dir(&at))
    };
    certs(&["issue", "sensor-7"]);
    let subscriber = tool("mosquitto_sub", &[]);
    subscriber.wait_for_text(Stream::Out, "received SUBACK");
    assert!(tool("mosquitto_pub", &["-m", "21"]).wait().success());
    subscriber.wait_for(Stream::Out, |line| (line == "21").then_some(()));
    certs(&["revoke", "bastionmq-data/certs/sensor-7.crt"]);
    subscriber.wait_for_text(Stream::Out, "Received DISCONNECT (135)");
    assert!(!tool("mosquitto_pub", &["-m", "22"]).wait().success());
}
