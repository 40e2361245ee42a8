//! Syslog over TCP: each message with its length, to a daemon that goes away and comes back.

use std::io::{BufRead, BufReader, Read};
use std::net::{TcpListener, TcpStream};

use crate::harness::{PATIENCE, Stream};
use crate::logs::{come_and_go, logging, lost};

/// A connection to the daemon.
struct Told(BufReader<TcpStream>);

impl Told {
    fn accept(daemon: &TcpListener) -> Self {
        let (stream, _) = daemon.accept().unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self(BufReader::new(stream))
    }

    /// The next message.
    fn next(&mut self) -> String {
        let mut length = Vec::new();
        self.0.read_until(b' ', &mut length).unwrap();
        let length = String::from_utf8(length).unwrap().trim_end().parse().unwrap();
        let mut message = vec![0; length];
        self.0.read_exact(&mut message).unwrap();
        String::from_utf8(message).unwrap()
    }

    /// Messages up to the first one with `text`, which is the last of them.
    fn until(&mut self, text: &str) -> Vec<String> {
        let mut messages = vec![self.next()];
        while !messages.last().unwrap().contains(text) {
            messages.push(self.next());
        }
        messages
    }
}

#[test]
fn each_message_has_its_length_and_none_is_lost_while_the_daemon_is_away() {
    let daemon = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = daemon.local_addr().unwrap();
    let broker = logging(&format!("targets = [\"syslog\"]\nsyslog = \"tcp://{address}\""));
    let mut told = Told::accept(&daemon);
    let ready = told.until(": ready listeners=").pop().unwrap();
    assert!(ready.starts_with("<30>1 20") && ready.contains(" bastionmq "), "{ready}");
    come_and_go(&broker, "before");
    told.until("client_id=before");

    drop((told, daemon));
    for nth in 0..20 {
        come_and_go(&broker, &format!("away-{nth}-"));
    }
    let failed = broker.process().wait_for_text(Stream::Err, "the log target syslog fails");
    assert!(
        failed.contains(&format!("16384 at most, until it works again: {address}")),
        "{failed}"
    );
    let daemon = TcpListener::bind(address).unwrap();
    let mut told = Told::accept(&daemon);
    let waited = told.until("client_id=away-19-");
    for nth in 0..20 {
        let client = format!("client_id=away-{nth}-");
        assert!(waited.iter().any(|it| it.contains(&client)), "{client} in {waited:#?}");
    }
    broker.process().wait_for_text(Stream::Err, "syslog works again; lines lost meanwhile: 0");
    told.until("syslog works again");
    assert_eq!(lost(&broker, "syslog"), 0.0);
}

#[test]
fn a_daemon_that_stays_away_holds_up_neither_the_broker_nor_its_end() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut broker = logging(&format!("targets = [\"syslog\"]\nsyslog = \"tcp://{address}\""));
    broker.process().wait_for_text(Stream::Err, "the log target syslog fails");
    come_and_go(&broker, "served");
    broker.terminate();
    assert!(broker.wait().success());
}
