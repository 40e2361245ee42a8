//! Copies of a store that is written to meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

use super::model::{MASTER, METRICS};
use crate::store::{BackupError, Batch, Directory, Key, Opened, Settings, Store, Table, Ticket};

const TABLE: Table = Table(1);

fn key(number: u64) -> Key {
    Key((u128::from(number) << 64).to_be_bytes())
}

fn wait(store: &Store, ticket: Ticket) {
    struct Sleeper(Thread);
    impl Wake for Sleeper {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    store.wake_when_kept(ticket, Waker::from(Arc::new(Sleeper(thread::current()))));
    while !store.is_kept(ticket) {
        thread::park();
    }
}

#[test]
fn a_copy_has_all_that_was_kept_before_and_the_store_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let opened = Opened::open(Directory::lock(&path).unwrap(), &MASTER, Duration::ZERO).unwrap();
    let store = Arc::new(opened.start(&Settings::default(), &METRICS).unwrap());
    let (is_over, kept) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let writing = thread::spawn({
        let (store, is_over, kept) = (Arc::clone(&store), Arc::clone(&is_over), Arc::clone(&kept));
        move || {
            let mut number = 0;
            while !is_over.load(Ordering::Relaxed) {
                number += 1;
                // Two that belong together.
                let mut batch = Batch::default();
                batch.put(TABLE, key(number), &[7; 5_000]);
                batch.put(TABLE, key(number | 1 << 63), &[8; 5_000]);
                let ticket = store.append(batch);
                wait(&store, ticket);
                kept.store(number, Ordering::Release);
            }
            number
        }
    });
    for copy in 1..=5 {
        let before = kept.load(Ordering::Acquire);
        let target = directory.path().join(format!("copy-{copy}"));
        let copied = store.backup(&target).unwrap();
        assert!(copied.segments >= 1 || before == 0);
        let mut opened =
            Opened::open(Directory::lock(&target).unwrap(), &MASTER, Duration::ZERO).unwrap();
        assert!(opened.damage().iter().all(|it| !it.is_loss()), "{:?}", opened.damage());
        let (mut found, mut seconds) = (0, 0);
        opened.each_live(|record| match record.key.0[0] {
            0 => found += 1,
            _ => seconds += 1,
        });
        assert!(found >= before, "{found} of {before}");
        assert_eq!(found, seconds);
    }
    is_over.store(true, Ordering::Relaxed);
    let written = writing.join().unwrap();
    drop(store);
    let opened = Opened::open(Directory::lock(&path).unwrap(), &MASTER, Duration::ZERO).unwrap();
    assert_eq!(opened.records() as u64, 2 * written);
}

#[test]
fn a_copy_goes_to_a_directory_of_its_own() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let opened = Opened::open(Directory::lock(&path).unwrap(), &MASTER, Duration::ZERO).unwrap();
    let store = opened.start(&Settings::default(), &METRICS).unwrap();
    assert!(matches!(store.backup(&path), Err(BackupError::Directory(_))));
    let target = directory.path().join("copy");
    store.backup(&target).unwrap();
    assert!(matches!(store.backup(&target), Err(BackupError::NotEmpty(_))));
}
