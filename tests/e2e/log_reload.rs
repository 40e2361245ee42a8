//! The log goes elsewhere while the broker runs: with every line, and each of them once.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use rustix::process::Signal;

use crate::budgets::until;
use crate::harness::raw::{self, Connect, RawClient};
use crate::harness::{ADMIN, PATIENCE, Place, Stream};
use crate::logs::{lost, set_aside, text_of};

/// Has something logged: a client that comes and goes.
fn come_and_go(port: u16, client_id: &str) {
    RawClient::connected(port, &Connect::new(5, client_id).login(ADMIN))
        .send(&raw::packet(raw::DISCONNECT, &[]));
}

/// Has the log be as `settings` say: the configuration of the beginning and these.
fn log_as(place: &Place, before: &str, settings: &str) {
    place.replace("bastionmq.toml", format!("{before}\n[log]\n{settings}\n"));
}

/// How often `file` says that the configuration was taken up.
fn reloads(file: &Path) -> usize {
    let is_it = |line: &&str| line.contains("\"reloaded\"") && line.contains("\"config\"");
    text_of(file).lines().filter(is_it).count()
}

/// Ends what goes on beside a test, also where that fails.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Lines in `text` that say that the client `nth` has come.
fn greetings(text: &str, nth: usize) -> usize {
    let client = format!("\"client_id\":\"client-{nth}\"");
    text.lines().filter(|it| it.contains(&client) && it.contains("\"connected\"")).count()
}

#[test]
fn the_log_goes_elsewhere_without_losing_a_line_or_saying_one_twice() {
    let place = Place::of_site();
    let before = place.text("bastionmq.toml");
    let files = ["one.log", "two.log"].map(|name| place.file(name));
    let (port, is_over) = (place.broker.plain_port(), AtomicBool::new(false));
    let clients = thread::scope(|scope| {
        let over = Over(&is_over);
        let clients = scope.spawn(|| {
            let mut count = 0;
            while !is_over.load(Ordering::Relaxed) {
                come_and_go(port, &format!("client-{count}"));
                count += 1;
            }
            count
        });
        for round in 1..=3 {
            for file in &files {
                log_as(&place, &before, &format!("targets = [\"file\"]\nfile = {file:?}"));
                until("it goes to a file", || reloads(file) == round);
            }
        }
        log_as(&place, &before, "targets = [\"stderr\"]");
        place.reloaded("config");
        drop(over);
        clients.join().unwrap()
    });
    come_and_go(port, "the-last");
    place.log("\"the-last\"");
    let text = files.iter().map(|file| text_of(file)).collect::<String>();
    let text = text + &place.broker.process().lines(Stream::Err).join("\n");
    let strays: Vec<_> = (0..clients).filter(|nth| greetings(&text, *nth) != 1).collect();
    assert!(clients > 10 && strays.is_empty(), "{strays:?} of {clients}");
    for file in &files {
        assert!(text_of(file).contains("\"connected\""), "{}", file.display());
    }
    assert_eq!(lost(&place.broker, "file") + lost(&place.broker, "stderr"), 0.0);
}

#[test]
fn what_cannot_be_opened_is_named_changes_nothing_and_is_tried_again() {
    let place = Place::of_site();
    let before = place.text("bastionmq.toml");
    let (in_the_way, file) = (place.file("logs"), place.file("logs/it.log"));
    fs::write(&in_the_way, "no directory").unwrap();
    let settings = format!("level = \"debug\"\ntargets = [\"file\"]\nfile = {file:?}");
    log_as(&place, &before, &settings);
    let told = place.log("not reloaded");
    assert!(told.contains(file.to_str().unwrap()) && told.contains("`file` in [log]"), "{told}");
    come_and_go(place.broker.plain_port(), "here");
    place.log("\"here\"");
    fs::remove_file(&in_the_way).unwrap();
    until("it goes there", || reloads(&file) == 1);

    let socket = place.file("syslog");
    let settings = format!("targets = [\"syslog\"]\nsyslog = \"unix://{}\"", socket.display());
    log_as(&place, &before, &settings);
    until("it is told", || text_of(&file).contains("see `syslog` in [log]"));
    come_and_go(place.broker.plain_port(), "there");
    until("it goes on there", || text_of(&file).contains("\"there\""));
    let daemon = UnixDatagram::bind(&socket).unwrap();
    daemon.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut buffer = [0; 9_000];
    let length = daemon.recv(&mut buffer).unwrap();
    assert!(buffer[..length].starts_with(b"<30>bastionmq["), "{:?}", &buffer[..length]);
    // What goes wrong from now on is told where people look.
    drop(daemon);
    fs::remove_file(&socket).unwrap();
    until("it is told", || {
        come_and_go(place.broker.plain_port(), "lost");
        let lines = place.broker.process().lines(Stream::Err);
        lines.iter().any(|it| it.contains("bastionmq: the log target syslog fails"))
    });
}

#[test]
fn a_file_that_stays_keeps_to_other_rules_and_another_form() {
    let place = Place::of_site();
    let before = place.text("bastionmq.toml");
    let file = place.file("logs/it.log");
    let settings = format!("targets = [\"file\"]\nfile = {file:?}");
    log_as(&place, &before, &settings);
    until("it is in JSON", || reloads(&file) == 1);
    for day in 1..=3 {
        let aside = format!("logs/it.log.2026-11-0{day}T08-40-17.123Z.gz");
        fs::write(place.file(&aside), "").unwrap();
    }
    log_as(&place, &before, &format!("{settings}\nkeep_days = 0\nkeep_files = 1"));
    until("the newest is kept", || set_aside(&file).len() == 1);
    assert!(set_aside(&file)[0].ends_with("it.log.2026-11-03T08-40-17.123Z.gz"));
    log_as(&place, &before, &format!("{settings}\nformat = \"human\""));
    until("it is for people", || text_of(&file).contains(" reloaded what=config"));
    assert_eq!(reloads(&file), 2);
    // SIGHUP opens it anew, as before.
    fs::rename(&file, place.file("moved")).unwrap();
    place.broker.process().signal(Signal::HUP);
    until("the file is there again", || text_of(&file).contains("reloaded what=config"));
}
