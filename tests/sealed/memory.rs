//! A broker that holds verify-only keys cannot read what it verifies: a marked payload is nowhere in its
//! memory, on its wire, in its files or its log.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;

use bastionmq::envelope::{Key, KeyMaterial};
use rustix::process::Pid;

use crate::harness::raw::{Connect, PUBACK, PUBLISH, RawClient, publish_with};
use crate::harness::{ADMIN, DEVICE1, Stream};
use crate::plant::{Plant, TOPIC, key, seal, sealer, send};

/// Put together when it is needed, so that the programs themselves do not hold it.
fn mark(kind: &str) -> Vec<u8> {
    format!("{kind}-payload-{}", "canary-".repeat(4)).into_bytes()
}

/// A relay to the broker that keeps every byte of both directions.
struct Wire {
    port: u16,
    seen: Arc<Mutex<Vec<u8>>>,
}

impl Wire {
    fn tap(broker: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let seen: Arc<Mutex<Vec<u8>>> = Arc::default();
        let kept = Arc::clone(&seen);
        thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                let far = TcpStream::connect(("127.0.0.1", broker)).expect("the broker listens");
                let (near_again, far_again) =
                    (near.try_clone().expect("a socket"), far.try_clone().expect("a socket"));
                relay(near, far, Arc::clone(&kept));
                relay(far_again, near_again, Arc::clone(&kept));
            }
        });
        Self { port, seen }
    }

    fn holds(&self, mark: &[u8]) -> bool {
        contains(&self.seen.lock().expect("no panic"), mark)
    }
}

fn relay(mut from: TcpStream, mut to: TcpStream, kept: Arc<Mutex<Vec<u8>>>) {
    thread::spawn(move || {
        let mut buffer = [0; 4_096];
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            kept.lock().expect("no panic").extend_from_slice(&buffer[..count]);
            if to.write_all(&buffer[..count]).is_err() {
                break;
            }
        }
        // The other end may be gone.
        let _ = to.shutdown(Shutdown::Write);
    });
}

/// By the search of the standard library, which is quick where the tests themselves are not. A mark is
/// ASCII, so it stays whatever stands around it.
fn contains(bytes: &[u8], mark: &[u8]) -> bool {
    String::from_utf8_lossy(bytes).contains(std::str::from_utf8(mark).expect("ASCII"))
}

/// Whether any memory of the process that can be read holds `mark`.
fn memory_holds(pid: Pid, mark: &[u8]) -> bool {
    let process = Path::new("/proc").join(pid.as_raw_nonzero().to_string());
    let maps = fs::read_to_string(process.join("maps")).expect("the maps of a child");
    let memory = File::open(process.join("mem")).expect("the memory of a child");
    let mut searched = 0;
    let mut found = false;
    for line in maps.lines() {
        let mut fields = line.split_whitespace();
        let (range, rights) = (fields.next().expect("a range"), fields.next().expect("rights"));
        let (start, end) = range.split_once('-').expect("a range");
        let address = |text| u64::from_str_radix(text, 16).expect("an address");
        let (mut at, end) = (address(start), address(end));
        if !rights.starts_with('r') {
            continue;
        }
        // With an overlap, so that no mark is split.
        let mut buffer = vec![0; 1 << 20];
        while at < end {
            let length = buffer.len().min(usize::try_from(end - at).expect("64 bits"));
            // Some of the kernel's own pages cannot be read.
            let Ok(count @ 1..) = memory.read_at(&mut buffer[..length], at) else { break };
            searched += count;
            found |= contains(&buffer[..count], mark);
            let step = if count > mark.len() { count - mark.len() } else { count };
            at += if at + count as u64 >= end { end - at } else { step as u64 };
        }
    }
    assert!(searched > 1 << 20, "only {searched} bytes could be read");
    found
}

fn files_hold(directory: &Path, mark: &[u8]) -> bool {
    fs::read_dir(directory).expect("a directory").any(|entry| {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files_hold(&path, mark)
        } else {
            contains(&fs::read(path).expect("a file"), mark)
        }
    })
}

#[test]
fn a_marked_payload_is_nowhere_to_be_read_and_one_that_was_not_sealed_is_found() {
    let whole = key(1, "plant/#");
    let material = KeyMaterial::VerifyOnly(whole.verify_key());
    let plant = Plant::with_keys([Key { material, ..whole }]);
    let wire = Wire::tap(plant.broker.plain_port());
    let connected =
        |login, id: &str| RawClient::connected(wire.port, &Connect::new(5, id).login(login));
    let (secret, open) = (mark("sealed"), mark("plain"));
    let mut reader = connected(ADMIN, "reader");
    assert_eq!(reader.subscribe(5, "#", 0), 0);
    let mut device = connected(DEVICE1, "device");
    let mut sealer = sealer();
    for id in 1..=100 {
        // Retained, so that it stays.
        let sealed = seal(&mut sealer, &secret);
        device.send(&publish_with(5, PUBLISH | 1 << 1 | 1, TOPIC, Some(id), &[], &sealed));
        assert_eq!(device.expect(PUBACK).acknowledged(), (id, 0));
        assert_eq!(reader.expect(PUBLISH).publish(5).payload, sealed);
        // Refused: even then it is not read.
        assert_eq!(send(&mut device, TOPIC, 1_000 + id, &sealed), 0x99);
    }
    device.send(&publish_with(5, PUBLISH | 1 << 1 | 1, "office/1", Some(200), &[], &open));
    device.expect(PUBACK);
    assert_eq!(reader.expect(PUBLISH).publish(5).payload, open);

    let pid = plant.broker.process().id();
    assert!(memory_holds(pid, &open), "the search finds what is there");
    assert!(!memory_holds(pid, &secret), "the broker has read it");
    assert!(wire.holds(&open) && !wire.holds(&secret));
    fs::write(plant.file("control"), &open).expect("written");
    assert!(files_hold(plant.files(), &open) && !files_hold(plant.files(), &secret));
    let log = plant.broker.process().lines(Stream::Err).join("\n");
    assert!(log.contains("payload refused"));
    assert!(!contains(log.as_bytes(), &secret));
}
