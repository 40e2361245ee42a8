//! Envelopes through a broker that runs, with the clients of Mosquitto.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};

use crate::desk::{Desk, complained, said};

const CONFIG: &str = "[[listener]]\nurl = \"mqtt://127.0.0.1:0\"\n[auth]\nallow_anonymous = true\n\
    [acl]\npolicy_file = \"policy.toml\"\n[keys]\nring_file = \"ring\"\n[admin]\naddress = \"off\"\n";

const POLICY: &str = "[[role]]\nname = \"open\"\n\
    rules = [{ allow = [\"publish\", \"subscribe\"], topics = [\"#\"] }]\n\
    [[assign]]\neveryone = true\nroles = [\"open\"]\n";

/// A broker that has said `ready`.
struct Broker {
    process: Child,
    port: String,
}

impl Broker {
    fn start(desk: &Desk) -> Self {
        desk.write("bastionmq.toml", CONFIG);
        desk.write("policy.toml", POLICY);
        let mut process = desk
            .command(&["serve", "--config", "bastionmq.toml"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut port = String::new();
        for line in BufReader::new(process.stdout.take().unwrap()).lines() {
            let line = line.unwrap();
            if let Some((_, found)) = line.rsplit_once("127.0.0.1:") {
                found.clone_into(&mut port);
            }
            if line == "ready" {
                return Self { process, port };
            }
        }
        panic!("never ready: {:?}", process.wait());
    }

    fn client(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.args(["-h", "127.0.0.1", "-p", &self.port, "-t", "plant/7"]);
        command
    }

    fn publish(&self, payload: &[u8], retain: &[&str]) {
        let mut client = self
            .client("mosquitto_pub")
            .arg("-s")
            .args(retain)
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        client.stdin.take().unwrap().write_all(payload).unwrap();
        assert!(client.wait().unwrap().success());
    }

    /// The next message, as `mosquitto_sub -C 1` prints it.
    fn receive(&self) -> Vec<u8> {
        let mut client = self.client("mosquitto_sub");
        let output = client.args(["-C", "1", "-N", "-W", "60"]).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        output.stdout
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        // Ended already where something went wrong.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn an_envelope_comes_through_as_it_was_sealed_and_opens_behind_the_broker() {
    let desk = Desk::with_key();
    let broker = Broker::start(&desk);
    let envelope = desk.sealed();
    // Retained, so that whoever subscribes afterwards gets it.
    broker.publish(&envelope, &["-r", "-q", "1"]);
    let received = broker.receive();
    assert!(received == envelope);
    assert_eq!(said(&desk.open(&["--sender", "sensor-7"], &received)), "hello");
    let binary = [0, 1, 0xff, b'\n', 0];
    let words = ["seal", "--ring", "ring", "--sender", "s", "--topic", "plant/7"];
    broker.publish(&desk.run_with(&words, &binary).stdout, &["-r", "-q", "2"]);
    assert_eq!(desk.open(&[], &broker.receive()).stdout, binary);
}

#[test]
fn a_broker_whose_ring_does_not_open_does_not_start() {
    let desk = Desk::with_key();
    desk.write("bastionmq.toml", CONFIG);
    desk.write("policy.toml", POLICY);
    said(&desk.run(&["check-config", "bastionmq.toml"]));
    desk.write("ring.master-key", "1".repeat(64));
    for words in [["check-config", "bastionmq.toml"], ["serve", "--config=bastionmq.toml"]] {
        let complaint = complained(&desk.run(&words));
        assert!(complaint.contains("another master key"), "{complaint}");
    }
}
