//! A disk in memory that loses what was not synced, tears it, and fails when it is told to.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};

use crate::store::Disk;

/// Bytes that are written whole or not at all.
const SECTOR: usize = 32;

/// Clones are the same disk.
#[derive(Clone, Default)]
pub(crate) struct SimulatedDisk(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    files: Vec<File>,
    names: BTreeMap<String, usize>,
    /// As they were when they were synced, and what has changed since, in order.
    synced_names: BTreeMap<String, usize>,
    name_changes: Vec<NameChange>,
    /// Calls that write, ever.
    calls: u64,
    /// Bytes that were read, ever.
    bytes_read: usize,
    /// The call at which the machine loses power.
    power_ends_at: Option<u64>,
    /// Calls that fail: those whose number is a multiple of it.
    fails_every: Option<(u64, io::ErrorKind)>,
    /// Whether nothing can be read.
    is_unreadable: bool,
    random: u64,
}

#[derive(Default)]
struct File {
    content: Vec<u8>,
    synced: usize,
}

enum NameChange {
    Add(String, usize),
    Remove(String),
}

impl SimulatedDisk {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock()
    }

    /// How many calls have written.
    pub(crate) fn calls(&self) -> u64 {
        self.state().calls
    }

    /// How many bytes were read.
    pub(crate) fn bytes_read(&self) -> usize {
        self.state().bytes_read
    }

    /// From this call on nothing works.
    pub(crate) fn end_power_at(&self, call: u64) {
        self.state().power_ends_at = Some(call);
    }

    pub(crate) fn fail_every(&self, calls: u64, kind: io::ErrorKind) {
        self.state().fails_every = Some((calls, kind));
    }

    pub(crate) fn work_again(&self) {
        self.state().fails_every = None;
    }

    /// From now on reading fails, or works.
    pub(crate) fn set_unreadable(&self, is_unreadable: bool) {
        self.state().is_unreadable = is_unreadable;
    }

    /// The machine starts again: what was synced is there, and some of the rest.
    pub(crate) fn start_again(&self, seed: u64) {
        let mut state = self.state();
        let State { files, names, synced_names, name_changes, power_ends_at, random, .. } =
            &mut *state;
        *power_ends_at = None;
        *random = seed;
        let mut random = || next_random(random);
        let kept = random() as usize % (name_changes.len() + 1);
        for change in name_changes.drain(..).take(kept) {
            match change {
                NameChange::Add(name, file) => drop(synced_names.insert(name, file)),
                NameChange::Remove(name) => drop(synced_names.remove(&name)),
            }
        }
        *names = synced_names.clone();
        for file in files {
            let unsynced = file.content.len() - file.synced;
            let kept = if unsynced == 0 { 0 } else { random() as usize % (unsynced + 1) };
            file.content.truncate(file.synced + kept);
            for sector in file.content[file.synced..].chunks_mut(SECTOR) {
                match random() % 4 {
                    0 => sector.fill(0),
                    1 => sector.iter_mut().for_each(|byte| *byte ^= random() as u8),
                    _ => {}
                }
            }
            file.synced = file.content.len();
        }
    }

    /// Changes the bytes of a file behind the back of whoever uses it.
    pub(crate) fn tamper(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.state();
        let file = state.names[name];
        change(&mut state.files[file].content);
    }

    /// The names of its files.
    pub(crate) fn names(&self) -> Vec<String> {
        self.state().names.keys().cloned().collect()
    }

    pub(crate) fn swap(&self, one: &str, other: &str) {
        let mut state = self.state();
        let (a, b) = (state.names[one], state.names[other]);
        state.files.swap(a, b);
    }

    pub(crate) fn forget(&self, name: &str) {
        self.state().names.remove(name);
    }

    /// A disk with the same content, and a fate of its own.
    pub(crate) fn copy(&self) -> Self {
        let state = self.state();
        let files = state.files.iter();
        let files = files.map(|it| File { content: it.content.clone(), synced: it.content.len() });
        Self(Arc::new(Mutex::new(State {
            files: files.collect(),
            names: state.names.clone(),
            synced_names: state.names.clone(),
            ..State::default()
        })))
    }
}

impl State {
    /// What comes of the next call that writes.
    fn call(&mut self) -> io::Result<()> {
        self.calls += 1;
        if self.power_ends_at.is_some_and(|at| self.calls >= at) {
            return Err(io::Error::other("no power"));
        }
        match self.fails_every {
            Some((every, kind)) if self.calls.is_multiple_of(every) => Err(kind.into()),
            _ => Ok(()),
        }
    }
}

impl Disk for SimulatedDisk {
    type File = usize;

    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.state().names.keys().cloned().collect())
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        let mut state = self.state();
        let file = *state.names.get(name).ok_or(io::ErrorKind::NotFound)?;
        let content = state.files[file].content.clone();
        state.bytes_read += content.len();
        Ok(content)
    }

    fn read_at(&self, name: &str, at: u64, length: usize) -> io::Result<Vec<u8>> {
        let mut state = self.state();
        if state.is_unreadable {
            return Err(io::Error::other("the disk does not give it"));
        }
        let file = *state.names.get(name).ok_or(io::ErrorKind::NotFound)?;
        let bytes = state.files[file].content.get(at as usize..).unwrap_or_default();
        let bytes = bytes[..length.min(bytes.len())].to_vec();
        state.bytes_read += bytes.len();
        Ok(bytes)
    }

    fn create(&self, name: &str) -> io::Result<usize> {
        let mut state = self.state();
        state.call()?;
        if state.names.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let file = state.files.len();
        state.files.push(File::default());
        state.names.insert(name.to_owned(), file);
        state.name_changes.push(NameChange::Add(name.to_owned(), file));
        Ok(file)
    }

    fn append(&self, file: &mut usize, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.state();
        let result = state.call();
        let is_dead = state.power_ends_at.is_some_and(|at| state.calls > at);
        let written = match &result {
            Ok(()) => bytes,
            Err(_) if is_dead => &[],
            // A part of it.
            Err(_) => &bytes[..next_random(&mut state.random) as usize % (bytes.len() + 1)],
        };
        state.files[*file].content.extend(written);
        result
    }

    fn sync(&self, file: &mut usize) -> io::Result<()> {
        let mut state = self.state();
        state.call()?;
        let file = &mut state.files[*file];
        file.synced = file.content.len();
        Ok(())
    }

    fn sync_names(&self) -> io::Result<()> {
        let mut state = self.state();
        state.call()?;
        state.synced_names = state.names.clone();
        state.name_changes.clear();
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.state();
        state.call()?;
        let file = state.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        state.names.insert(to.to_owned(), file);
        // One change, kept or lost as a whole: the old name only ever comes back with the old content.
        state.name_changes.push(NameChange::Add(to.to_owned(), file));
        state.synced_names.remove(from);
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.state();
        if !state.names.contains_key(name) {
            return Err(io::ErrorKind::NotFound.into());
        }
        state.call()?;
        state.names.remove(name);
        state.name_changes.push(NameChange::Remove(name.to_owned()));
        Ok(())
    }
}

/// A xorshift: the same from the same seed.
pub(crate) fn next_random(state: &mut u64) -> u64 {
    let mut x = (*state).max(1);
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    *state = x;
    x.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
}
