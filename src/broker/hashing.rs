//! The threads that check passwords: hashing takes milliseconds of a core, and only the client
//! concerned may wait for it.
//!
//! First come, first served: clients give up one after the other, so whoever has waited longest has
//! the least time left. What nobody waits for any more (the client has gone, its deadline has
//! passed) is dropped without hashing; so however long the queue was, each hash that is computed
//! lets somebody in, and a fleet that comes back at once is worked off at full speed.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::num::NonZeroU32;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Instant;

use parking_lot::{Condvar, Mutex, MutexGuard};
use thiserror::Error;
use thread_priority::{
    NormalThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy,
    set_thread_priority_and_policy, thread_native_id,
};
use tokio::sync::oneshot;

use crate::auth::HashMemory;
use crate::clock::Now;

/// There is no answer in time: too many logins wait, or they wait for too long. The client should
/// be told that the server is busy (0x89), and come back later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("too many logins wait for their password to be checked")]
pub(super) struct Busy;

/// How far the first thread stands back (`nice`): it weighs a tenth of those who serve clients. Further
/// back it would hardly run on a busy machine, and logins would come to their deadlines.
const NICENESS: i32 = 10;

/// A fixed number of threads that check passwords, and a bounded queue in front of them. Dropping
/// it ends the threads, after the hash that each is computing; who still waits is told [`Busy`].
#[derive(Debug)]
pub(super) struct HashingPool<T> {
    queue: Arc<Queue<T>>,
    threads: Vec<JoinHandle<()>>,
}

impl<T: Send + 'static> HashingPool<T> {
    /// Starts `threads` threads, for which up to `max_waiting` logins may wait.
    ///
    /// # Errors
    /// When the system gives no more threads.
    pub(super) fn start(threads: NonZeroU32, max_waiting: NonZeroU32) -> io::Result<Self> {
        let max_waiting = usize::try_from(max_waiting.get()).unwrap_or(usize::MAX);
        let mut pool = Self { queue: Arc::new(Queue::new(max_waiting)), threads: Vec::new() };
        for number in 0..threads.get() {
            let queue = Arc::clone(&pool.queue);
            let thread =
                thread::Builder::new().name(format!("hashing-{number}")).spawn(move || {
                    match number {
                        0 => weigh_less(),
                        _ => take_what_is_spare(),
                    }
                    queue.work();
                })?;
            pool.threads.push(thread);
        }
        Ok(pool)
    }

    /// What `check` finds, run by one of the threads; answers by `deadline` at the latest. Dropping
    /// the future takes the login out of the queue.
    ///
    /// # Errors
    /// [`Busy`] at once when the queue is full, and at the deadline when there is no answer.
    pub(super) async fn check(
        &self,
        check: impl FnOnce(&mut HashMemory) -> T + Send + 'static,
        deadline: Instant,
    ) -> Result<T, Busy> {
        let (answer, answered) = oneshot::channel();
        self.queue.push(Login { check: Box::new(check), answer, deadline })?;
        match tokio::time::timeout_at(deadline.into(), answered).await {
            Ok(Ok(found)) => Ok(found),
            Ok(Err(_)) | Err(_) => Err(Busy),
        }
    }
}

impl<T> Drop for HashingPool<T> {
    fn drop(&mut self) {
        self.queue.close();
        for thread in self.threads.drain(..) {
            // It cannot have panicked, and there would be nobody left to tell.
            let _ = thread.join();
        }
    }
}

/// Lowers the priority of this thread alone, as Linux does it.
fn weigh_less() {
    if let Err(error) = rustix::process::setpriority_process(None, NICENESS) {
        tracing::debug!(%error, "a hashing thread keeps its priority");
    }
}

/// Lets this thread run where nobody else wants the processor (SCHED_IDLE). Who is inside does not wait
/// for it, as he does for up to a time slice, some milliseconds, of a thread that only weighs less.
fn take_what_is_spare() {
    let policy = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);
    if let Err(error) =
        set_thread_priority_and_policy(thread_native_id(), ThreadPriority::Min, policy)
    {
        tracing::debug!(%error, "a hashing thread weighs less instead");
        weigh_less();
    }
}

type Check<T> = dyn FnOnce(&mut HashMemory) -> T + Send;

/// One password to check, and who wants to know.
struct Login<T> {
    check: Box<Check<T>>,
    answer: oneshot::Sender<T>,
    deadline: Instant,
}

impl<T> Login<T> {
    fn is_awaited(&self, now: Instant) -> bool {
        now < self.deadline && !self.answer.is_closed()
    }

    fn answer(self, memory: &mut HashMemory) {
        // A bug in there must cost one login, not one of the threads. Without an answer the client
        // is told to come back.
        if let Ok(found) = catch_unwind(AssertUnwindSafe(|| (self.check)(memory))) {
            let _ = self.answer.send(found);
        }
    }
}

#[derive(Debug)]
struct Queue<T> {
    max_waiting: usize,
    state: Mutex<State<T>>,
    changed: Condvar,
}

struct State<T> {
    waiting: VecDeque<Login<T>>,
    closed: bool,
}

impl<T> Queue<T> {
    fn new(max_waiting: usize) -> Self {
        let state = Mutex::new(State { waiting: VecDeque::new(), closed: false });
        Self { max_waiting, state, changed: Condvar::new() }
    }

    fn push(&self, login: Login<T>) -> Result<(), Busy> {
        let mut state = self.state.lock();
        if state.waiting.len() >= self.max_waiting {
            // Whoever connects and leaves must not keep the places of those who stay.
            let now = Now::read().instant;
            state.waiting.retain(|login| login.is_awaited(now));
        }
        if state.waiting.len() >= self.max_waiting {
            return Err(Busy);
        }
        state.waiting.push_back(login);
        drop(state);
        self.changed.notify_one();
        Ok(())
    }

    fn work(&self) {
        let mut memory = HashMemory::default();
        while let Some(login) = self.pop(&mut memory) {
            if login.is_awaited(Now::read().instant) {
                login.answer(&mut memory);
            }
        }
    }

    /// The next login, or none once the pool is dropped. A thread that has to wait for it leaves
    /// nothing of the last password in its memory.
    fn pop(&self, memory: &mut HashMemory) -> Option<Login<T>> {
        let mut state = self.state.lock();
        if state.waiting.is_empty() {
            MutexGuard::unlocked(&mut state, || memory.wipe());
        }
        loop {
            if state.closed {
                return None;
            }
            if let Some(login) = state.waiting.pop_front() {
                return Some(login);
            }
            self.changed.wait(&mut state);
        }
    }

    fn close(&self) {
        let mut state = self.state.lock();
        state.closed = true;
        state.waiting.clear();
        drop(state);
        self.changed.notify_all();
    }
}

impl<T> fmt::Debug for State<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "State({} waiting)", self.waiting.len())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use futures::FutureExt;
    use futures::future::join_all;

    use super::*;
    use crate::auth::{HashParameters, PasswordFile, hash};
    use crate::secret::Secret;

    const FAR: Duration = Duration::from_secs(3_600);

    fn pool(threads: u32, max_waiting: u32) -> HashingPool<bool> {
        let positive = |value| NonZeroU32::new(value).unwrap();
        HashingPool::start(positive(threads), positive(max_waiting)).unwrap()
    }

    fn far() -> Instant {
        Now::read().instant + FAR
    }

    /// Keeps the one thread of `pool` occupied until the sender is dropped.
    fn occupy(
        pool: &HashingPool<bool>,
    ) -> (impl Future<Output = Result<bool, Busy>>, mpsc::Sender<()>) {
        let (release, released) = mpsc::channel::<()>();
        let (started, has_started) = mpsc::channel();
        let mut occupied = Box::pin(pool.check(
            move |_| {
                started.send(()).unwrap();
                released.recv().is_err()
            },
            far(),
        ));
        assert!(occupied.as_mut().now_or_never().is_none());
        has_started.recv().unwrap();
        (occupied, release)
    }

    #[tokio::test]
    async fn right_and_wrong_passwords_are_told_apart() {
        let parameters = HashParameters::new(8, 1, 1).unwrap();
        let mut file = PasswordFile::default();
        file.set("ann", &hash(&Secret::from("apple"), parameters, [7; 16]).unwrap()).unwrap();
        let pool = pool(2, 16);
        let verify = |user, password| {
            let verifier = file.verifier(user, &Secret::default());
            pool.check(move |memory| verifier.verify(&Secret::from(password), memory), far())
        };
        assert_eq!(verify("ann", "apple").await, Ok(true));
        assert_eq!(verify("ann", "pear").await, Ok(false));
        assert_eq!(verify("eve", "apple").await, Ok(false));
    }

    #[tokio::test]
    async fn a_full_queue_is_busy_at_once_and_free_again_later() {
        let pool = pool(1, 2);
        let (occupied, release) = occupy(&pool);
        let mut waiting =
            [pool.check(|_| true, far()).boxed(), pool.check(|_| true, far()).boxed()];
        for login in &mut waiting {
            assert_eq!(login.now_or_never(), None);
        }
        assert_eq!(pool.check(|_| true, far()).now_or_never(), Some(Err(Busy)));
        drop(release);
        assert_eq!(occupied.await, Ok(true));
        assert_eq!(join_all(waiting).await, [Ok(true), Ok(true)]);
        assert_eq!(pool.check(|_| true, far()).await, Ok(true));
    }

    #[tokio::test]
    async fn logins_are_served_first_come_first_served() {
        let pool = pool(1, 100);
        let (occupied, release) = occupy(&pool);
        let (served, order) = mpsc::channel();
        let logins = (0..100).map(|number| {
            let served = served.clone();
            pool.check(move |_| served.send(number).is_ok(), far())
        });
        let mut all = Box::pin(join_all(logins));
        assert!(all.as_mut().now_or_never().is_none());
        drop(release);
        assert_eq!(occupied.await, Ok(true));
        assert_eq!(all.await, vec![Ok(true); 100]);
        assert_eq!(order.try_iter().collect::<Vec<_>>(), (0..100).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn a_client_that_left_is_not_hashed_for_and_leaves_its_place() {
        let pool = pool(1, 1);
        let (occupied, release) = occupy(&pool);
        let (hashed, was_hashed) = mpsc::channel();
        for _ in 0..100 {
            let hashed = hashed.clone();
            let left = pool.check(move |_| hashed.send(()).is_ok(), far());
            assert_eq!(left.now_or_never(), None);
        }
        drop(hashed);
        let mut stays = pool.check(|_| true, far()).boxed();
        assert_eq!((&mut stays).now_or_never(), None);
        drop(release);
        assert_eq!(occupied.await, Ok(true));
        assert_eq!(stays.await, Ok(true));
        assert!(was_hashed.recv().is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_login_whose_deadline_passes_in_the_queue_is_busy_and_not_hashed() {
        let pool = pool(1, 10);
        let (occupied, release) = occupy(&pool);
        let (hashed, was_hashed) = mpsc::channel();
        // The clock of the runtime stands still, and jumps to this deadline.
        let soon = tokio::time::Instant::now() + Duration::from_secs(1);
        let late = pool.check(move |_| hashed.send(()).is_ok(), soon.into_std());
        assert_eq!(late.await, Err(Busy));
        drop((release, occupied));
        assert!(was_hashed.recv().is_err());
    }

    #[test]
    fn a_login_is_awaited_until_its_deadline_or_until_the_client_leaves() {
        let (answer, answered) = oneshot::channel();
        let deadline = far();
        let login = Login { check: Box::new(|_| true), answer, deadline };
        assert!(login.is_awaited(deadline - Duration::from_nanos(1)));
        assert!(!login.is_awaited(deadline));
        drop(answered);
        assert!(!login.is_awaited(deadline - FAR));
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn the_first_thread_weighs_less_the_others_take_what_is_spare_and_nobody_else_does() {
        use rustix::process::getpriority_process;
        use thread_priority::thread_schedule_policy;

        fn is_idle() -> bool {
            let idle = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);
            thread_schedule_policy().unwrap() == idle
        }
        let before = getpriority_process(None);
        let pool = HashingPool::<(bool, bool)>::start(
            NonZeroU32::new(2).unwrap(),
            NonZeroU32::new(10).unwrap(),
        )
        .unwrap();
        // Each waits for the other, so that neither thread is asked twice.
        let barrier = Arc::new(std::sync::Barrier::new(2));
        let asked = [Arc::clone(&barrier), barrier].map(|barrier| {
            pool.check(
                move |_| {
                    barrier.wait();
                    (getpriority_process(None) == Ok(NICENESS), is_idle())
                },
                far(),
            )
        });
        let mut found = join_all(asked).await;
        found.sort_by_key(|it| it.unwrap().1);
        assert_eq!(found[0], Ok((true, false)));
        assert!(found[1].unwrap().1);
        assert_eq!((getpriority_process(None), is_idle()), (before, false));
    }

    #[tokio::test]
    async fn a_panic_costs_one_login_and_no_thread() {
        let pool = pool(1, 10);
        assert_eq!(pool.check(|_| panic!("a bug"), far()).await, Err(Busy));
        assert_eq!(pool.check(|_| true, far()).await, Ok(true));
    }

    #[tokio::test]
    async fn dropping_the_pool_ends_its_threads() {
        let pool = pool(4, 10);
        assert_eq!(pool.check(|_| true, far()).await, Ok(true));
        let queue = Arc::downgrade(&pool.queue);
        drop(pool);
        assert_eq!(queue.strong_count(), 0);
    }

    #[tokio::test]
    async fn who_still_waits_when_the_pool_closes_is_told_busy() {
        let pool = pool(1, 10);
        let (occupied, release) = occupy(&pool);
        let mut waiting = pool.check(|_| true, far()).boxed();
        assert_eq!((&mut waiting).now_or_never(), None);
        pool.queue.close();
        assert_eq!(waiting.now_or_never(), Some(Err(Busy)));
        drop((occupied, release));
    }
}
