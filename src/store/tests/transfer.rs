//! Records that go from one store to another, in an archive or as lines of JSON.

use std::path::PathBuf;
use std::time::Duration;

use super::disk::SimulatedDisk;
use super::model::{Desk, MASTER, Records, new_master_key, records_of};
use crate::keys::MasterKey;
use crate::store::{ArchiveError, Disk, Opened, TransferError, import};

fn store() -> (SimulatedDisk, Records) {
    let mut desk = Desk::open(SimulatedDisk::default(), 4).unwrap();
    desk.work(60);
    desk.close()
}

fn open(disk: &SimulatedDisk, master: &MasterKey) -> Opened<SimulatedDisk> {
    Opened::open(disk.clone(), master, Duration::ZERO).unwrap()
}

fn import_with(disk: &SimulatedDisk, file: &[u8]) -> Result<u64, TransferError> {
    import(disk.clone(), PathBuf::from("new"), &MASTER, || Ok(MASTER.clone()), file)
}

#[test]
fn what_was_exported_is_imported_whatever_the_format() {
    let (disk, records) = store();
    let mut opened = open(&disk, &MASTER);
    let (mut archive, mut lines) = (Vec::new(), Vec::new());
    assert_eq!(opened.export(&MASTER, &mut archive).unwrap(), records.len() as u64);
    assert_eq!(opened.export_plain(&mut lines).unwrap(), records.len() as u64);
    for file in [archive, lines] {
        let new = SimulatedDisk::default();
        assert_eq!(import_with(&new, &file).unwrap(), records.len() as u64);
        let mut imported = open(&new, &MASTER);
        assert!(imported.is_closed_in_order());
        assert_eq!(records_of(&mut imported), records);
        let hash_keys = [&opened, &imported].map(|it| it.keys.hash_key().expose().to_vec());
        assert_eq!(hash_keys[0], hash_keys[1], "records would not be found by their names");
        assert!(matches!(import_with(&new, &file), Err(TransferError::NotEmpty(_))));
    }
}

#[test]
fn an_archive_opens_with_its_key_alone() {
    let (disk, _) = store();
    let directory = tempfile::tempdir().unwrap();
    let other = new_master_key(directory.path());
    let mut archive = Vec::new();
    open(&disk, &MASTER).export(&other, &mut archive).unwrap();
    let new = SimulatedDisk::default();
    let refused = import_with(&new, &archive);
    assert!(matches!(refused, Err(TransferError::Archive(ArchiveError::Key(_)))), "{refused:?}");
    assert_eq!(new.list().unwrap(), [""; 0]);
    import(new, PathBuf::new(), &MASTER, || Ok(other), archive.as_slice()).unwrap();
}

#[test]
fn a_file_that_is_not_whole_makes_no_store() {
    let (disk, _) = store();
    let mut opened = open(&disk, &MASTER);
    let (mut archive, mut lines) = (Vec::new(), Vec::new());
    opened.export(&MASTER, &mut archive).unwrap();
    opened.export_plain(&mut lines).unwrap();
    let without_one = lines.split_inclusive(|byte| *byte == b'\n').enumerate();
    let without_one = without_one.filter(|(number, _)| *number != 2);
    let without_one = without_one.flat_map(|(_, line)| line.to_vec()).collect::<Vec<_>>();
    let newer = [b"BMQARCH\x02", &archive[8..]].concat();
    for (what, file) in [
        ("an archive that is cut off", &archive[..archive.len() - 1]),
        ("lines that are cut off", &lines[..lines.len() - 20]),
        ("lines of which one is missing", &without_one),
        ("an archive of a later version", &newer),
        ("something else", b"something else that is long enough"),
        ("nothing", b""),
    ] {
        let new = SimulatedDisk::default();
        assert!(import_with(&new, file).is_err(), "{what}");
        assert_eq!(new.list().unwrap(), [""; 0], "{what}");
    }
}

#[test]
fn an_import_that_loses_power_at_any_call_leaves_all_or_no_store() {
    let (disk, records) = store();
    let mut archive = Vec::new();
    open(&disk, &MASTER).export(&MASTER, &mut archive).unwrap();
    let calls = {
        let disk = SimulatedDisk::default();
        import_with(&disk, &archive).unwrap();
        disk.calls()
    };
    for call in 1..=calls {
        let new = SimulatedDisk::default();
        new.end_power_at(call);
        assert!(import_with(&new, &archive).is_err());
        new.start_again(call);
        if let Ok(mut opened) = Opened::open(new, &MASTER, Duration::ZERO) {
            let found = records_of(&mut opened);
            assert!(found.is_empty() || found == records, "power ends at {call}");
        }
    }
}
