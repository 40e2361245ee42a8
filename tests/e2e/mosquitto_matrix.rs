//! `mosquitto_pub` of every version, QoS, retain and will, against `mosquitto_sub` of every version.

use std::collections::BTreeSet;
use std::io::Write;
use std::process::{Command, Stdio};
use std::thread;

use crate::harness::{ADMIN, Broker, Process, Site, Stream, clients};

const VERSIONS: [&str; 3] = ["31", "311", "5"];
const QOS: [&str; 3] = ["0", "1", "2"];
/// How many publishers run at once.
const AT_ONCE: usize = 12;

/// One way to publish.
#[derive(Clone, Copy, Debug)]
struct Case {
    version: &'static str,
    qos: &'static str,
    retain: bool,
    will: bool,
}

impl Case {
    fn all() -> Vec<Self> {
        let mut cases = Vec::new();
        for version in VERSIONS {
            for qos in QOS {
                for retain in [false, true] {
                    for will in [false, true] {
                        cases.push(Self { version, qos, retain, will });
                    }
                }
            }
        }
        cases
    }

    fn topic(&self, kind: &str) -> String {
        format!("matrix/{kind}/{}/{}/{}/{}", self.version, self.qos, self.retain, self.will)
    }

    /// The line that a subscriber prints: topic, QoS, retain flag, payload.
    fn line(&self, kind: &str, retained: bool) -> String {
        format!("{}|{}|{}|{kind}", self.topic(kind), self.qos, u8::from(retained))
    }
}

fn tool(program: &str, broker: &Broker, version: &str) -> Command {
    let mut command = clients::mosquitto(program);
    command.args(["-h", "localhost", "-p", &broker.tls_port().to_string(), "-V", version]);
    command.args(["-u", ADMIN.0, "-P", ADMIN.1]).arg("--cafile").arg(Site::shared().ca());
    command
}

/// A subscriber of `version` to the whole matrix, and to what tells it to end.
fn subscriber(broker: &Broker, version: &str) -> Process {
    let mut command = tool("mosquitto_sub", broker, version);
    command.args(["-d", "-q", "2", "-t", "matrix/#", "-t", "end", "-F", "%t|%q|%r|%p"]);
    let process = Process::spawn(&format!("mosquitto_sub -V {version}"), &mut command);
    process.wait_for_text(Stream::Out, "received SUBACK");
    process
}

/// The messages of the matrix that it has printed when the end has come.
fn received(subscriber: &Process) -> Vec<String> {
    subscriber.wait_for_text(Stream::Out, "end|");
    let lines = subscriber.lines(Stream::Out);
    lines.into_iter().filter(|line| line.starts_with("matrix/")).collect()
}

/// Publishes as `case` says. With a will it stays until the message has reached `witness`, and then
/// dies without a word.
fn publish(broker: &Broker, case: Case, witness: &Process) {
    let mut command = tool("mosquitto_pub", broker, case.version);
    command.args(["-q", case.qos, "-t", &case.topic("message")]);
    if case.retain {
        command.arg("-r");
    }
    let name = format!("mosquitto_pub {case:?}");
    if !case.will {
        command.args(["-m", "message"]);
        let status = Process::spawn(&name, &mut command).wait();
        assert!(status.success(), "{name}: {status}");
        return;
    }
    command.args(["--will-topic", &case.topic("will"), "--will-payload", "will"]);
    command.args(["--will-qos", case.qos]);
    if case.retain {
        command.arg("--will-retain");
    }
    let mut process = Process::spawn(&name, command.arg("-l").stdin(Stdio::piped()));
    process.stdin().expect("open").write_all(b"message\n").expect("it reads");
    witness.wait_for_text(Stream::Out, &case.line("message", false));
    process.kill();
}

fn in_parallel(cases: &[Case], run: impl Fn(Case) + Sync) {
    for group in cases.chunks(AT_ONCE) {
        thread::scope(|scope| {
            for case in group {
                scope.spawn(|| run(*case));
            }
        });
    }
}

fn tell_the_end(broker: &Broker) {
    let mut command = tool("mosquitto_pub", broker, "5");
    command.args(["-q", "2", "-t", "end", "-m", ""]);
    assert!(Process::spawn("mosquitto_pub", &mut command).wait().success());
}

#[test]
fn every_way_to_publish_reaches_every_version_of_subscriber() {
    let broker = Broker::secure();
    let subscribers = VERSIONS.map(|version| subscriber(&broker, version));
    let cases = Case::all();
    in_parallel(&cases, |case| publish(&broker, case, &subscribers[0]));

    let mut expected = BTreeSet::new();
    for case in &cases {
        expected.insert(case.line("message", false));
        if case.will {
            expected.insert(case.line("will", false));
        }
    }
    for line in &expected {
        for subscriber in &subscribers {
            subscriber.wait_for_text(Stream::Out, line);
        }
    }
    tell_the_end(&broker);
    for (subscriber, version) in subscribers.iter().zip(VERSIONS) {
        let lines = received(subscriber);
        let set = lines.iter().cloned().collect::<BTreeSet<_>>();
        assert_eq!(set, expected, "-V {version}");
        assert_eq!(lines.len(), expected.len(), "-V {version}: something came twice");
    }

    // Who comes later gets what was retained, with the flag, and nothing else.
    let retained = cases.iter().filter(|case| case.retain).flat_map(|case| {
        let kinds: &[&str] = if case.will { &["message", "will"] } else { &["message"] };
        kinds.iter().map(|kind| case.line(kind, true))
    });
    let retained = retained.collect::<BTreeSet<_>>();
    let late = VERSIONS.map(|version| subscriber(&broker, version));
    for line in &retained {
        for subscriber in &late {
            subscriber.wait_for_text(Stream::Out, line);
        }
    }
    tell_the_end(&broker);
    for (subscriber, version) in late.iter().zip(VERSIONS) {
        let lines = received(subscriber).into_iter().collect::<BTreeSet<_>>();
        assert_eq!(lines, retained, "-V {version}");
    }
}

#[test]
fn a_will_is_withdrawn_by_a_disconnect_in_every_version() {
    let broker = Broker::secure();
    let witness = subscriber(&broker, "5");
    for version in VERSIONS {
        let mut command = tool("mosquitto_pub", &broker, version);
        command.args(["--will-topic", "matrix/will", "--will-payload", "will"]);
        command.args(["-t", "matrix/message", "-m", version]);
        assert!(Process::spawn("mosquitto_pub", &mut command).wait().success());
    }
    tell_the_end(&broker);
    let expected = VERSIONS.map(|version| format!("matrix/message|0|0|{version}"));
    assert_eq!(received(&witness), expected);
}

#[test]
fn mosquitto_pub_says_why_it_is_refused() {
    let broker = Broker::secure();
    for (version, words) in [("5", "Bad user name or password"), ("311", "refused")] {
        let mut command = clients::mosquitto("mosquitto_pub");
        command.args(["-h", "localhost", "-p", &broker.tls_port().to_string(), "-V", version]);
        command.args(["-u", "admin", "-P", "wrong", "-t", "a", "-m", "b"]);
        command.arg("--cafile").arg(Site::shared().ca());
        let mut process = Process::spawn("mosquitto_pub", &mut command);
        assert!(!process.wait().success(), "-V {version}");
        let said = process.transcript();
        assert!(said.to_lowercase().contains(&words.to_lowercase()), "-V {version}: {said}");
    }
}
