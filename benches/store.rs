//! What the store does a second on this machine: `cargo bench --bench store`. `STORE_DIR` names a
//! directory on the disk that is meant, `RECORDS` how many to write.

#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a benchmark says what it finds, and fails by panicking"
)]

use std::collections::VecDeque;
use std::env;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::task::{Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use bastionmq::keys::{MasterKey, MasterKeySource};
use bastionmq::store::{Batch, Directory, Key, Opened, Settings, Store, Table, Ticket};

const TABLE: Table = Table(200);
const VALUE: [u8; 200] = [b'x'; 200];
/// Records that are written before anybody waits for them.
const TOGETHER: u64 = 64;
/// Records that are there before the oldest is deleted, as by clients that acknowledge.
const QUEUED: u64 = 10_000;

fn main() {
    let records = env::var("RECORDS").ok().and_then(|text| text.parse().ok()).unwrap_or(200_000);
    let parent = env::var("STORE_DIR").unwrap_or_else(|_| "target".to_owned());
    fs::create_dir_all(&parent).expect("a directory");
    let directory = tempfile::tempdir_in(parent).expect("a directory");
    let source = MasterKeySource::File(directory.path().join("key"));
    let (master, _) = source.read_or_make().expect("a master key");

    let append = directory.path().join("append");
    run("appended", &append, &master, records, None);
    recover(&append, &master);
    run(
        "appended, and the oldest deleted",
        &directory.path().join("churn"),
        &master,
        records,
        Some(QUEUED),
    );
}

/// Writes `records`, waiting for each 64 of them; deletes all but the last `queued`.
fn run(what: &str, path: &Path, master: &MasterKey, records: u64, queued: Option<u64>) {
    let store = open(path, master).start(&Settings::default(), &Arc::default()).expect("a store");
    let mut keys = VecDeque::new();
    let started = Instant::now();
    for group in 0..records / TOGETHER {
        let mut last = None;
        for number in group * TOGETHER..(group + 1) * TOGETHER {
            let mut batch = Batch::default();
            let key = key(number);
            batch.put(TABLE, key, &VALUE);
            keys.push_back(key);
            if queued.is_some_and(|queued| keys.len() as u64 > queued) {
                batch.delete(TABLE, keys.pop_front().expect("the oldest"));
            }
            last = Some(store.append(batch));
        }
        last.into_iter().for_each(|ticket| wait(&store, ticket));
    }
    let took = started.elapsed().as_secs_f64();
    store.close();
    let (per_second, payload) = (records as f64 / took, (records * VALUE.len() as u64) as f64);
    let size = directory_size(path);
    println!(
        "{what}: {per_second:.0} a second, 64 for one sync; {:.2} bytes on disk per byte",
        size / payload
    );
}

fn recover(path: &Path, master: &MasterKey) {
    let started = Instant::now();
    let mut opened = open(path, master);
    let (mut found, read) = (0_u64, started.elapsed());
    opened.each_live(|record| found += record.value.len() as u64);
    let took = started.elapsed();
    let records = opened.records();
    println!(
        "read again: {records} records of {found} bytes in {}, with their values {}",
        ms(read),
        ms(took)
    );
}

fn open(path: &Path, master: &MasterKey) -> Opened<Directory> {
    let directory = Directory::lock(path).expect("a directory");
    Opened::open(directory, master, Duration::from_secs(1 << 30)).expect("a store")
}

fn key(number: u64) -> Key {
    let mut key = [0; 16];
    key[..8].copy_from_slice(&number.to_be_bytes());
    Key(key)
}

fn wait(store: &Store, ticket: Ticket) {
    store.wake_when_kept(ticket, Waker::from(Arc::new(Sleeper(thread::current()))));
    while !store.is_kept(ticket) {
        thread::park();
    }
}

struct Sleeper(Thread);

impl Wake for Sleeper {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn directory_size(path: &Path) -> f64 {
    let entries = fs::read_dir(path).expect("a directory");
    let sizes = entries.map(|entry| entry.expect("an entry").metadata().expect("there").len());
    sizes.sum::<u64>() as f64
}

fn ms(time: Duration) -> String {
    format!("{} ms", time.as_millis())
}
