//! The passwords in force, and the checking of one.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use metrics::Counter;
use parking_lot::Mutex;

use super::credentials::VerifiedCredentials;
use super::hashing::{Busy, HashingPool};
use super::lockouts::{Attempt, Lockouts};
use super::login::Patience;
use super::replacements::{Replacement, Replacements};
use crate::auth::{
    self, DEFAULT_HASH_PARAMETERS, HashMemory, Judgement, PasswordFile, PasswordProof, Verifier,
    hash_in,
};
use crate::identity::Peer;
use crate::secret::Secret;

/// The password file of now, and the threads that check passwords against it.
#[derive(Debug)]
pub(super) struct Passwords {
    file: ArcSwap<PasswordFile>,
    /// Held while the file is replaced by one that is made of it.
    changing: Mutex<()>,
    hashing: HashingPool<Hashed>,
    credentials: VerifiedCredentials,
    decoy_key: Secret,
    replacements: Replacements,
    lockouts: Arc<Lockouts>,
    cache_hits: Counter,
}

/// What passwords are checked with.
pub(super) struct Means {
    pub(super) credentials: VerifiedCredentials,
    pub(super) lockouts: Arc<Lockouts>,
    pub(super) cache_hits: Counter,
}

/// What became of a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Checked {
    /// The proof of it.
    Right(PasswordProof),
    Wrong,
    /// Too many others were wrong while it waited.
    LockedOut,
}

/// What a hashing thread has found.
#[derive(Debug)]
enum Hashed {
    Right {
        /// Of a password whose hash is of an outdated kind.
        replacement: Option<String>,
    },
    Wrong,
    LockedOut,
}

impl Passwords {
    /// Starts the threads.
    ///
    /// # Errors
    /// When the system gives no more threads.
    pub(super) fn start(
        file: PasswordFile,
        settings: &auth::Settings,
        means: Means,
    ) -> io::Result<Self> {
        let Means { credentials, lockouts, cache_hits } = means;
        Ok(Self {
            file: ArcSwap::from_pointee(file),
            changing: Mutex::default(),
            hashing: HashingPool::start(settings.hashing_threads, settings.max_waiting_logins)?,
            decoy_key: credentials.decoy_key(),
            credentials,
            replacements: Replacements::new(settings.password_file.clone()),
            lockouts,
            cache_hits,
        })
    }

    /// Puts another file in force, for every login that is judged from now on. What was verified
    /// against lines that are no longer there is forgotten.
    pub(super) fn replace(&self, mut file: PasswordFile) {
        let _changing = self.changing.lock();
        file.succeed(&self.file());
        let file = Arc::new(file);
        let before = self.file.swap(Arc::clone(&file));
        self.credentials.forget_if(|user| {
            let line = |file: &PasswordFile| file.verifier(user, &self.decoy_key).line();
            line(&before) != line(&file)
        });
    }

    /// The file in force.
    pub(super) fn file(&self) -> Guard<Arc<PasswordFile>> {
        self.file.load()
    }

    /// Decides how unknown users look.
    pub(super) fn decoy_key(&self) -> &Secret {
        &self.decoy_key
    }

    /// Whether `password` is that of `user`. One that was verified lately is not hashed; every other
    /// one is, so that only who knows it is answered sooner.
    ///
    /// # Errors
    /// [`Busy`] when there is no answer in time, or nobody to hear it.
    pub(super) async fn check(
        &self,
        user: &Arc<str>,
        password: &Secret,
        peer: &Peer,
        patience: Patience<impl Future<Output = ()>>,
    ) -> Result<Checked, Busy> {
        let file = self.file();
        let (verifier, proof) = (file.verifier(user, &self.decoy_key), file.proof(false));
        drop(file);
        // As much for an unknown user.
        let line = verifier.line().unwrap_or_default();
        let mac = self.credentials.mac(user, password, &line);
        if self.credentials.holds(user, &mac) {
            self.cache_hits.increment(1);
            return Ok(Checked::Right(proof));
        }
        let attempt = Attempt::new(Some(Arc::clone(user)), peer);
        Ok(match self.hash(verifier, password, attempt, patience).await? {
            Hashed::Wrong => Checked::Wrong,
            Hashed::LockedOut => Checked::LockedOut,
            Hashed::Right { replacement } => {
                self.credentials.insert(user, mac);
                if let Some(phc) = replacement {
                    let mac = self.credentials.mac(user, password, &phc);
                    self.replacements.add(user, Replacement { line, phc, mac });
                }
                Checked::Right(proof)
            }
        })
    }

    async fn hash(
        &self,
        verifier: Verifier,
        password: &Secret,
        attempt: Attempt,
        patience: Patience<impl Future<Output = ()>>,
    ) -> Result<Hashed, Busy> {
        let Patience { deadline, departure } = patience;
        let (password, lockouts) = (password.clone(), Arc::clone(&self.lockouts));
        let check = move |memory: &mut HashMemory| match lockouts.judge(&attempt) {
            // Of many guesses that came at once, those behind the first few.
            Judgement::LockedOut(_) => Hashed::LockedOut,
            Judgement::Admit | Judgement::Delay(_) => hash(&verifier, &password, memory),
        };
        tokio::select! {
            hashed = self.hashing.check(check, deadline) => hashed,
            // Nobody waits for the answer: the next in the queue is served in its place.
            () = departure => Err(Busy),
        }
    }

    /// Whether [`write_replacements`](Self::write_replacements) has anything to do.
    pub(super) fn has_replacements(&self) -> bool {
        self.replacements.are_waiting()
    }

    /// Puts the hashes that replace outdated ones in force and into the file. Waits for the disk.
    ///
    /// In force first: whoever is told that the file has changed finds that it has not, for this
    /// broker. Where it cannot be written, the old ones are put back.
    pub(super) fn write_replacements(&self) {
        let replacements = self.replacements.take();
        if replacements.is_empty() {
            return;
        }
        self.change(replacements.iter().map(|(user, it)| (&**user, &*it.line, &*it.phc)));
        if self.replacements.write(&replacements) {
            self.remember(replacements);
        } else {
            self.change(replacements.iter().map(|(user, it)| (&**user, &*it.phc, &*it.line)));
        }
    }

    /// Replaces, in the file in force, hashes of users by others where they are still there.
    fn change<'a>(&self, changes: impl Iterator<Item = (&'a str, &'a str, &'a str)>) {
        let _changing = self.changing.lock();
        let mut file = PasswordFile::clone(&self.file());
        for (user, line, phc) in changes {
            // A line that is there, or was made here: it can be read.
            let _ = file.replace(user, line, phc);
        }
        self.file.store(Arc::new(file));
    }

    fn remember(&self, replacements: BTreeMap<Arc<str>, Replacement>) {
        for (user, replacement) in replacements {
            self.credentials.insert(&user, replacement.mac);
        }
    }

    /// Writes what was verified to its file. Waits for the disk.
    pub(super) fn save_credentials(&self) {
        self.credentials.save();
    }
}

fn hash(verifier: &Verifier, password: &Secret, memory: &mut HashMemory) -> Hashed {
    if !verifier.verify(password, memory) {
        return Hashed::Wrong;
    }
    let mut salt = [0; 16];
    let is_replaced = verifier.is_outdated() && getrandom::fill(&mut salt).is_ok();
    let replacement =
        is_replaced.then(|| hash_in(memory, password, DEFAULT_HASH_PARAMETERS, salt).ok());
    Hashed::Right { replacement: replacement.flatten() }
}
