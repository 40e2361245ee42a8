//! What is written down is there again, whatever happens to the process and to its files.

use std::fs;
use std::path::{Path, PathBuf};

use super::*;
use crate::keys::MasterKeySource;

fn master(directory: &Path) -> MasterKey {
    MasterKeySource::File(directory.join("master.key")).read_or_make().unwrap().0
}

fn key_of(directory: &Path) -> LogKey {
    let file = SecretFile::in_directory(&directory.join("state"), Purpose::ReplayWindows);
    LogKey::new(file.open(&master(directory)).unwrap().as_slice())
}

fn open(directory: &Path) -> (ReplayLog, Recovered) {
    ReplayLog::open(&directory.join("state"), &master(directory), |_| true).unwrap()
}

fn accepted(stream: u8, seq: u64) -> Accepted {
    let packet = Packet { seq, tag: [stream; 8], client: 7, id: 3, qos: 1 };
    let stream = StreamHash([stream; 16]);
    Accepted { stream, seq, time_ms: 100 + seq, fresh_until_ms: 900, packet: Some(packet) }
}

fn numbers(recovered: &Recovered, stream: u8) -> Vec<u64> {
    let state = recovered.streams.get(&StreamHash([stream; 16]));
    let mut numbers: Vec<_> = state.map(|state| state.numbers().collect()).unwrap_or_default();
    numbers.sort_unstable();
    numbers
}

/// The file that is appended to.
fn current(directory: &Path) -> PathBuf {
    let state = directory.join("state");
    let last = *super::numbers(&state).unwrap().last().unwrap();
    path_of(&state, last)
}

#[test]
fn what_was_accepted_is_known_after_a_crash_and_after_an_end() {
    let directory = tempfile::tempdir().unwrap();
    let (log, recovered) = open(directory.path());
    assert!(recovered.is_new && recovered.loss.is_none());
    log.append(&[accepted(1, 5), accepted(2, 1)]).unwrap();
    log.append(&[accepted(1, 3)]).unwrap();
    drop(log);
    for run in 0..3 {
        let (log, recovered) = open(directory.path());
        assert!(!recovered.is_new && recovered.loss.is_none(), "{run}: {:?}", recovered.loss);
        assert_eq!((numbers(&recovered, 1), numbers(&recovered, 2)), (vec![3, 5], vec![1]));
        let state = &recovered.streams[&StreamHash([1; 16])];
        assert_eq!((state.latest_ms, state.fresh_until_ms), (105, 900));
        let packets: Vec<_> = state.packets.iter().map(|packet| packet.seq).collect();
        assert_eq!(packets, [5, 3]);
        if run == 1 {
            log.close().unwrap();
        }
    }
}

#[test]
fn a_window_goes_as_far_back_as_it_does_in_memory() {
    let mut state = StreamState::default();
    for seq in [1, 2, 500, 1_024, 5_000, 5_063, 5_064, 5_000 - 900] {
        state.see(seq);
    }
    let numbers: Vec<_> = state.numbers().collect();
    assert_eq!(numbers, [5_064, 5_063, 5_000, 4_100]);
    let mut other = StreamState::default();
    [4_041, 4_040, 6_000].into_iter().for_each(|seq| other.see(seq));
    let (mut one, mut two) = (state.clone(), other.clone());
    one.join(&other);
    two.join(&state);
    assert_eq!(one, two, "in either order");
    assert_eq!(one.numbers().collect::<Vec<_>>(), [6_000, 5_064, 5_063, 5_000]);
}

#[test]
fn a_file_that_is_cut_off_anywhere_has_all_that_is_whole_and_is_no_loss() {
    let directory = tempfile::tempdir().unwrap();
    let (log, _) = open(directory.path());
    log.append(&[accepted(1, 1)]).unwrap();
    let whole = fs::metadata(current(directory.path())).unwrap().len();
    log.append(&[accepted(1, 2)]).unwrap();
    drop(log);
    let path = current(directory.path());
    let bytes = fs::read(&path).unwrap();
    let key = key_of(directory.path());
    let number = *super::numbers(&directory.path().join("state")).unwrap().last().unwrap();
    for end in usize::try_from(whole).unwrap()..bytes.len() {
        fs::write(&path, &bytes[..end]).unwrap();
        let recovered = reading::read(&directory.path().join("state"), &key, &[number]).unwrap();
        assert_eq!((numbers(&recovered, 1), recovered.loss), (vec![1], None), "{end}");
    }
}

#[test]
fn one_changed_bit_anywhere_is_a_loss() {
    let directory = tempfile::tempdir().unwrap();
    let (log, _) = open(directory.path());
    log.append(&[accepted(1, 1)]).unwrap();
    log.close().unwrap();
    drop(log);
    let state = directory.path().join("state");
    let key = key_of(directory.path());
    let number = *super::numbers(&state).unwrap().last().unwrap();
    let path = path_of(&state, number);
    let bytes = fs::read(&path).unwrap();
    for position in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[position] ^= 0x10;
        fs::write(&path, &changed).unwrap();
        let recovered = reading::read(&state, &key, &[number]).unwrap();
        assert!(matches!(recovered.loss, Some(Loss::Damaged(_))), "{position}");
    }
}

#[test]
fn a_machine_that_stopped_is_a_loss_unless_the_log_was_closed() {
    let directory = tempfile::tempdir().unwrap();
    let (log, _) = open(directory.path());
    let state = directory.path().join("state");
    let number = *super::numbers(&state).unwrap().last().unwrap();
    for (is_closed, loss) in [(false, Some(Loss::MachineStopped)), (true, None)] {
        let mut bytes = format::header(number, &[9; 16], log.key());
        bytes.extend(Frame::of_accepted(&[accepted(1, 1)], log.key()).bytes());
        if is_closed {
            bytes.extend(Frame::of_end(log.key()).bytes());
        }
        fs::write(path_of(&state, number), bytes).unwrap();
        let recovered = reading::read(&state, log.key(), &[number]).unwrap();
        assert_eq!((numbers(&recovered, 1), recovered.loss), (vec![1], loss));
    }
}

#[test]
fn what_is_forgotten_raises_the_floor_for_good() {
    let directory = tempfile::tempdir().unwrap();
    let (log, _) = open(directory.path());
    log.append(&[accepted(1, 1)]).unwrap();
    drop(log);
    let state = directory.path().join("state");
    for _ in 0..2 {
        let forgetting = ReplayLog::open(&state, &master(directory.path()), |_| false);
        let (_, recovered) = forgetting.unwrap();
        assert_eq!((recovered.streams.len(), recovered.floors.unknown_ms), (0, 101));
    }
}

#[test]
fn a_log_is_written_anew_and_loses_nothing_that_comes_meanwhile() {
    let directory = tempfile::tempdir().unwrap();
    let (log, _) = open(directory.path());
    log.append(&[accepted(1, 1)]).unwrap();
    log.begin_anew().unwrap();
    log.append(&[accepted(1, 2)]).unwrap();
    let mut known = StreamState::default();
    [1, 2].into_iter().for_each(|seq| known.note(&accepted(1, seq)));
    log.write_streams([(&StreamHash([1; 16]), &known)].into_iter()).unwrap();
    log.append(&[accepted(1, 3)]).unwrap();
    log.remove_earlier().unwrap();
    drop(log);
    assert_eq!(super::numbers(&directory.path().join("state")).unwrap().len(), 1);
    let (_, recovered) = open(directory.path());
    assert_eq!(numbers(&recovered, 1), [1, 2, 3]);
    assert_eq!(recovered.streams[&StreamHash([1; 16])].packets.len(), 3);
}

#[test]
fn a_directory_belongs_to_one_process_and_its_files_to_one_user() {
    use std::os::unix::fs::MetadataExt;
    let directory = tempfile::tempdir().unwrap();
    let (_log, _) = open(directory.path());
    let state = directory.path().join("state");
    let error = ReplayLog::open(&state, &master(directory.path()), |_| true).unwrap_err();
    assert!(matches!(error, ReplayLogError::InUse(_)), "{error}");
    let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o7777;
    assert_eq!(mode(&state), 0o700);
    for entry in fs::read_dir(&state).unwrap() {
        assert_eq!(mode(&entry.unwrap().path()), 0o600);
    }
}

#[test]
fn another_master_key_is_named_and_nothing_is_overwritten() {
    let directory = tempfile::tempdir().unwrap();
    drop(open(directory.path()));
    let state = directory.path().join("state");
    let key = fs::read(state.join("key")).unwrap();
    let other = tempfile::tempdir().unwrap();
    let error = ReplayLog::open(&state, &master(other.path()), |_| true).unwrap_err();
    assert!(error.to_string().contains("sealed under another master key"), "{error}");
    assert_eq!(fs::read(state.join("key")).unwrap(), key);
}
