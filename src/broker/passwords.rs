//! The passwords in force, and the checking of one.

use std::io;
use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use parking_lot::Mutex;

use super::hashing::{Busy, HashingPool};
use super::login::Patience;
use crate::auth::{self, PasswordFile, PasswordProof};
use crate::secret::Secret;

/// The password file of now, and the threads that check passwords against it.
#[derive(Debug)]
pub(super) struct Passwords {
    file: ArcSwap<PasswordFile>,
    /// Held by who replaces the file: each follows the one before it.
    change: Mutex<()>,
    hashing: HashingPool,
    /// Gives unknown users their costs. Of this process alone.
    decoy_key: Secret,
}

impl Passwords {
    /// Starts the threads.
    ///
    /// # Errors
    /// When the system gives no more threads.
    pub(super) fn start(
        file: PasswordFile,
        settings: &auth::Settings,
        decoy_key: Secret,
    ) -> io::Result<Self> {
        let hashing = HashingPool::start(settings.hashing_threads, settings.max_waiting_logins)?;
        let (file, change) = (ArcSwap::from_pointee(file), Mutex::new(()));
        Ok(Self { file, change, hashing, decoy_key })
    }

    /// Puts another file in force, for every login that is judged from now on.
    pub(super) fn replace(&self, mut file: PasswordFile) {
        let _change = self.change.lock();
        file.succeed(&self.file.load());
        self.file.store(Arc::new(file));
    }

    /// The file in force.
    pub(super) fn file(&self) -> Guard<Arc<PasswordFile>> {
        self.file.load()
    }

    /// The proof that `password` is that of `user`, where it is.
    ///
    /// # Errors
    /// [`Busy`] when there is no answer in time, or nobody to hear it.
    pub(super) async fn check(
        &self,
        user: &str,
        password: &Secret,
        patience: Patience<impl Future<Output = ()>>,
    ) -> Result<Option<PasswordProof>, Busy> {
        let Patience { deadline, departure } = patience;
        let file = self.file();
        let (verifier, proof) = (file.verifier(user, &self.decoy_key), file.proof(false));
        drop(file);
        let is_right = tokio::select! {
            right = self.hashing.verify(verifier, password.clone(), deadline) => right?,
            // Nobody waits for the answer: the next in the queue is served in its place.
            () = departure => return Err(Busy),
        };
        Ok(is_right.then_some(proof))
    }
}
