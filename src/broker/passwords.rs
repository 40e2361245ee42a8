//! The passwords in force, and the checking of one.

use std::io;
use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};

use super::hashing::{Busy, HashingPool};
use super::login::Patience;
use crate::auth::{self, PasswordFile};
use crate::secret::Secret;

/// The password file of now, and the threads that check passwords against it.
#[derive(Debug)]
pub(super) struct Passwords {
    file: ArcSwap<PasswordFile>,
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
        Ok(Self { file: ArcSwap::from_pointee(file), hashing, decoy_key })
    }

    /// Puts another file in force, for every login that is judged from now on.
    pub(super) fn replace(&self, file: PasswordFile) {
        self.file.store(Arc::new(file));
    }

    /// The file in force.
    pub(super) fn file(&self) -> Guard<Arc<PasswordFile>> {
        self.file.load()
    }

    /// Whether `password` is that of `user`.
    ///
    /// # Errors
    /// [`Busy`] when there is no answer in time, or nobody to hear it.
    pub(super) async fn check(
        &self,
        user: &str,
        password: &Secret,
        patience: Patience<impl Future<Output = ()>>,
    ) -> Result<bool, Busy> {
        let Patience { deadline, departure } = patience;
        let verifier = self.file().verifier(user, &self.decoy_key);
        tokio::select! {
            right = self.hashing.verify(verifier, password.clone(), deadline) => right,
            // Nobody waits for the answer: the next in the queue is served in its place.
            () = departure => Err(Busy),
        }
    }
}
