//! Stores that are written anew: for room, for other keys, and from an earlier layout.

use std::time::Duration;

use super::disk::SimulatedDisk;
use super::model::{Desk, MASTER, Records, new_master_key, records_of};
use crate::clock::Now;
use crate::keys::MasterKey;
use crate::store::{Disk, OpenError, Opened};

fn store() -> (SimulatedDisk, Records) {
    let mut desk = Desk::open(SimulatedDisk::default(), 4).unwrap();
    desk.work(80);
    desk.close()
}

fn open(disk: &SimulatedDisk, master: &MasterKey) -> Opened<SimulatedDisk> {
    Opened::open(disk.clone(), master, Duration::ZERO).unwrap()
}

fn other_key() -> MasterKey {
    let directory = tempfile::tempdir().unwrap();
    new_master_key(directory.path())
}

#[test]
fn a_compact_store_has_the_same_records_and_hardly_anything_else() {
    let (disk, records) = store();
    let before = open(&disk, &MASTER).bytes();
    let after = open(&disk, &MASTER).compact().unwrap();
    assert!(after < before.1, "{after} of {} bytes", before.1);
    let mut opened = open(&disk, &MASTER);
    assert!(opened.is_closed_in_order());
    assert!(opened.damage().is_empty(), "{:?}", opened.damage());
    assert_eq!(opened.segments(), 1);
    assert_eq!(records_of(&mut opened), records);
}

#[test]
fn after_new_keys_neither_the_old_master_key_nor_an_old_data_key_opens_anything() {
    let (disk, records) = store();
    let old = open(&disk, &MASTER).data_keys();
    let master = other_key();
    open(&disk, &MASTER).rekey(&master, Now::read()).unwrap();
    let refused = Opened::open(disk.clone(), &MASTER, Duration::ZERO).err();
    assert!(matches!(refused, Some(OpenError::Keys(_))), "{refused:?}");
    let mut opened = open(&disk, &master);
    let keys = opened.data_keys();
    assert_eq!(keys.len(), 1);
    assert!(old.iter().all(|key| key.id != keys[0].id));
    assert_eq!(records_of(&mut opened), records);
}

#[test]
fn new_keys_and_a_power_loss_at_any_call_cost_nothing() {
    let (whole, records) = store();
    let master = other_key();
    let calls = {
        let disk = whole.copy();
        open(&disk, &MASTER).rekey(&master, Now::read()).unwrap();
        disk.calls()
    };
    for call in 1..=calls {
        let disk = whole.copy();
        disk.end_power_at(call);
        // A file that is left over may fail to be removed in the end, which does no harm.
        let _ = open(&disk, &MASTER).rekey(&master, Now::read());
        disk.start_again(call);
        let with_either = [&MASTER, &master].map(|key| {
            Opened::open(disk.clone(), key, Duration::ZERO).ok().map(|mut it| records_of(&mut it))
        });
        let found = with_either.into_iter().flatten().collect::<Vec<_>>();
        assert!(!found.is_empty(), "power ends at {call}");
        assert!(found.iter().all(|it| *it == records), "power ends at {call}");
    }
}

#[test]
fn a_store_of_an_earlier_layout_is_brought_to_the_present_one_at_its_start() {
    let (whole, records) = store();
    open(&whole, &MASTER).keys.write_as_version_1(&whole, &MASTER);
    assert_eq!(open(&whole, &MASTER).schema(), 1);
    let calls = {
        let disk = whole.copy();
        Desk::open(disk.clone(), 2).unwrap();
        disk.calls()
    };
    assert!(calls > 0);
    for call in 1..=calls + 1 {
        let disk = whole.copy();
        disk.end_power_at(call);
        let _ = Desk::open(disk.clone(), 2);
        disk.start_again(call);
        let mut opened = open(&disk, &MASTER);
        assert_eq!(records_of(&mut opened), records, "power ends at {call}");
        drop(opened);
        let (disk, _) = Desk::open(disk, 2).unwrap().close();
        let mut opened = open(&disk, &MASTER);
        assert_eq!(opened.schema(), 2);
        assert_eq!(records_of(&mut opened), records, "power ends at {call}");
    }
}

#[test]
fn a_store_of_a_later_layout_is_left_alone() {
    let (disk, _) = store();
    open(&disk, &MASTER).keys.write_as_version(9, &disk, &MASTER).unwrap();
    let (calls, names) = (disk.calls(), disk.list().unwrap());
    let refused = Opened::open(disk.clone(), &MASTER, Duration::ZERO).err().unwrap();
    assert!(matches!(refused, OpenError::Newer { found: 9 }), "{refused}");
    assert!(refused.to_string().contains("later BastionMQ"), "{refused}");
    assert_eq!((disk.calls(), disk.list().unwrap()), (calls, names));
}
