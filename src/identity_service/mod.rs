//! A service of the operator's that knows who clients are, asked over HTTP: who logs in by what, from
//! where, and whether it may. Bounded in every way, and closed where it does not answer.
//!
//! A question waits for its turn, for its answer, and no longer than its client does; nobody else waits
//! for it. Clients that were let in lately are not asked about again. A service that fails again and
//! again is left alone for a while, during which nobody new is let in by it.

mod answer;
mod breaker;
mod cache;
mod pool;
mod question;
mod settings;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use arc_swap::{ArcSwap, ArcSwapOption};
use bytes::Bytes;
use parking_lot::Mutex;
use thiserror::Error;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{timeout, timeout_at};

pub use answer::{Admission, Answer, AnswerFault};
pub use question::{Again, Question};
pub use settings::Settings;

use self::breaker::{Breaker, Change, Outcome, Pass};
use self::cache::{Cache, CacheKey};
use self::pool::Pool;
use crate::http_client::{Access, Fault};
use crate::telemetry::{HttpAuthResult, Metrics};

/// The service, and all that is known of it.
#[derive(Debug)]
pub struct IdentityService {
    pool: ArcSwap<Pool>,
    timeout: ArcSwap<Duration>,
    /// For the questions under way; another one where there may be more or fewer.
    slots: ArcSwap<Slots>,
    waiting: AtomicU32,
    max_waiting: AtomicU32,
    breaker: Mutex<Breaker>,
    cache_key: CacheKey,
    cache: Mutex<Cache>,
    metrics: Arc<Metrics>,
    revalidation: ArcSwapOption<Revalidation>,
}

#[derive(Debug)]
struct Slots {
    most: u32,
    free: Arc<Semaphore>,
}

/// How clients that are inside are asked about again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Revalidation {
    /// After how long.
    pub after: Duration,
    /// How much longer a client may stay where there is no answer.
    pub max_stale: Duration,
    /// How long to wait after a failure.
    pub retry: Duration,
    /// Questions under way at once: a part of all, so that logins have the rest.
    pub most_at_once: usize,
}

/// Why a question has no answer. Nobody is let in without one.
#[derive(Debug, Error)]
pub enum Failure {
    /// Too many others wait, or its turn has not come in time.
    #[error("too many logins wait for the HTTP service")]
    Busy,
    /// It has failed too often lately to be asked now.
    #[error("the HTTP service is left alone for a while, after it has failed again and again")]
    LeftAlone,
    /// It has not answered in time.
    #[error("the HTTP service has not answered in time")]
    Timeout,
    /// It finds fault with the question (a status of 4xx): that says nothing of other questions.
    #[error("the HTTP service: {0}")]
    Refused(String),
    /// It cannot be asked, or does not answer as it should.
    #[error("the HTTP service: {0}")]
    Broken(String),
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Status { status, .. } if status.is_client_error() => {
                Self::Refused(fault.to_string())
            }
            fault => Self::Broken(fault.to_string()),
        }
    }
}

impl From<AnswerFault> for Failure {
    fn from(fault: AnswerFault) -> Self {
        Self::Broken(format!("its answer cannot be used: {fault}"))
    }
}

impl IdentityService {
    /// The service that is reached by `access`. Nothing is asked yet.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn new(access: Access, settings: &Settings, metrics: Arc<Metrics>) -> io::Result<Self> {
        let mut key = [0; 32];
        getrandom::fill(&mut key).map_err(io::Error::other)?;
        let seconds = |seconds: u32| Duration::from_secs(seconds.into());
        Ok(Self {
            pool: ArcSwap::from_pointee(Pool::new(access)),
            timeout: ArcSwap::from_pointee(settings.timeout()),
            slots: ArcSwap::from_pointee(Slots::new(settings.max_in_flight.get())),
            waiting: AtomicU32::new(0),
            max_waiting: settings.max_waiting_logins.get().into(),
            breaker: Mutex::new(Breaker::new(
                settings.breaker_failures,
                seconds(settings.breaker_seconds.get()),
            )),
            cache_key: CacheKey::new(key),
            cache: Mutex::new(Cache::new(
                seconds(settings.cache_seconds),
                settings.max_cached_answers,
            )),
            metrics,
            revalidation: ArcSwapOption::from_pointee(Revalidation::by(settings)),
        })
    }

    /// Whether it is asked nothing for a while, because it has failed again and again.
    #[must_use]
    pub fn is_left_alone(&self) -> bool {
        self.breaker.lock().is_open(Instant::now())
    }

    /// How clients that are inside are asked about again, where they are.
    #[must_use]
    pub fn revalidation(&self) -> Option<Revalidation> {
        self.revalidation.load().as_deref().copied()
    }

    /// Reaches the service by `access` from now on; what another way to it has said is forgotten.
    pub fn replace_access(&self, access: Access) {
        self.pool.store(Arc::new(Pool::new(access)));
        self.cache.lock().clear();
    }

    /// Goes by other numbers. Questions that are under way or wait go on by those that they have begun by.
    pub fn follow(&self, settings: &Settings) {
        let seconds = |seconds: u32| Duration::from_secs(seconds.into());
        self.timeout.store(Arc::new(settings.timeout()));
        let most = settings.max_in_flight.get();
        if self.slots.load().most != most {
            self.slots.store(Arc::new(Slots::new(most)));
        }
        self.revalidation.store(Revalidation::by(settings).map(Arc::new));
        self.max_waiting.store(settings.max_waiting_logins.get(), Ordering::Relaxed);
        let rest = seconds(settings.breaker_seconds.get());
        self.breaker.lock().follow(settings.breaker_failures, rest);
        self.cache.lock().follow(seconds(settings.cache_seconds), settings.max_cached_answers);
    }

    /// Asks the `question` of a login, whose turn has to come before `deadline`. Who does not wait any
    /// more drops the future.
    ///
    /// # Errors
    /// That there is no answer, and why.
    pub async fn ask(&self, question: Question<'_>, deadline: Instant) -> Result<Answer, Failure> {
        let user = question.username;
        let question = question.to_json();
        let mac = self.cache_key.mac(user, &question);
        if let Some(admission) = self.cache.lock().find(Instant::now(), &mac) {
            self.metrics.http_auth.increment(HttpAuthResult::Cached);
            return Ok(Answer::Allow(admission));
        }
        let pool = self.pool.load_full();
        let answer = self.ask_in_turn(&pool, question, user, deadline).await;
        self.metrics.http_auth.increment(HttpAuthResult::from(&answer));
        // What came by a way that has been replaced meanwhile is not remembered.
        if let Ok(Answer::Allow(admission)) = &answer
            && Arc::ptr_eq(&pool, &self.pool.load())
        {
            self.cache.lock().insert(Instant::now(), mac, admission);
        }
        answer
    }

    /// Asks a `question` about a client that is inside. It waits for its turn behind all logins that do.
    /// What was remembered of the user is forgotten: the answer may be another one.
    ///
    /// # Errors
    /// That there is no answer, and why.
    pub async fn ask_again(&self, question: Question<'_>) -> Result<Answer, Failure> {
        let user = question.username;
        let question = question.to_json();
        let pool = self.pool.load_full();
        let answer = match self.free_slots().acquire_owned().await {
            Ok(_slot) => self.ask_now(&pool, question, user).await,
            Err(_) => Err(Failure::Busy),
        };
        self.metrics.http_revalidations.increment(HttpAuthResult::from(&answer));
        if answer.is_ok() {
            let user = self.cache_key.user(user);
            self.cache.lock().forget(user);
        }
        answer
    }

    async fn ask_in_turn(
        &self,
        pool: &Pool,
        question: Bytes,
        user: &str,
        deadline: Instant,
    ) -> Result<Answer, Failure> {
        if self.breaker.lock().is_open(Instant::now()) {
            return Err(Failure::LeftAlone);
        }
        let _slot = self.slot(deadline).await?;
        self.ask_now(pool, question, user).await
    }

    /// Asks, in one of the slots.
    async fn ask_now(&self, pool: &Pool, question: Bytes, user: &str) -> Result<Answer, Failure> {
        let pass = self.breaker.lock().pass(Instant::now()).ok_or(Failure::LeftAlone)?;
        let mut trial = Trial { service: self, pass, outcome: Outcome::Abandoned };
        let started = Instant::now();
        let asked = timeout(**self.timeout.load(), pool.ask(question)).await;
        self.metrics.http_auth_seconds.record(started.elapsed());
        let answer = match asked {
            Ok(Ok(answer)) => Answer::read(&answer, user).map_err(Failure::from),
            Ok(Err(fault)) => Err(fault.into()),
            Err(_) => Err(Failure::Timeout),
        };
        trial.outcome = match &answer {
            Ok(_) | Err(Failure::Refused(_)) => Outcome::Answered,
            Err(_) => Outcome::Failed,
        };
        answer
    }

    /// Waits for its turn, first come, first served.
    async fn slot(&self, deadline: Instant) -> Result<OwnedSemaphorePermit, Failure> {
        let free = self.free_slots();
        if let Ok(slot) = Arc::clone(&free).try_acquire_owned() {
            return Ok(slot);
        }
        let waiting = Waiting::join(&self.waiting);
        if waiting.before >= self.max_waiting.load(Ordering::Relaxed) {
            return Err(Failure::Busy);
        }
        let slot = timeout_at(deadline.into(), free.acquire_owned()).await;
        slot.ok().and_then(Result::ok).ok_or(Failure::Busy)
    }

    fn free_slots(&self) -> Arc<Semaphore> {
        Arc::clone(&self.slots.load().free)
    }

    fn settle(&self, pass: Pass, outcome: Outcome) {
        let change = self.breaker.lock().settle(Instant::now(), pass, outcome);
        match change {
            Some(Change::Opened) => {
                self.metrics.http_auth_breaker_open.set(1.0);
                tracing::error!(
                    "the HTTP service has failed again and again: it is left alone for a while, and \
                     nobody is let in by it"
                );
            }
            Some(Change::Closed) => {
                self.metrics.http_auth_breaker_open.set(0.0);
                tracing::info!("the HTTP service answers again");
            }
            None => {}
        }
    }
}

impl Slots {
    fn new(most: u32) -> Self {
        let slots = usize::try_from(most).unwrap_or(usize::MAX);
        Self { most, free: Arc::new(Semaphore::new(slots.min(Semaphore::MAX_PERMITS))) }
    }
}

impl Revalidation {
    fn by(settings: &Settings) -> Option<Self> {
        let seconds = |seconds: u32| Duration::from_secs(seconds.into());
        let after = seconds(settings.revalidate_seconds);
        let slots = usize::try_from(settings.max_in_flight.get()).unwrap_or(usize::MAX);
        (!after.is_zero()).then(|| Self {
            after,
            max_stale: seconds(settings.max_stale_seconds),
            retry: seconds(settings.breaker_seconds.get()).min(after),
            most_at_once: (slots / 4).max(1),
        })
    }
}

/// A question that is under way; where it is dropped, nobody waits for its answer.
struct Trial<'a> {
    service: &'a IdentityService,
    pass: Pass,
    outcome: Outcome,
}

impl Drop for Trial<'_> {
    fn drop(&mut self) {
        self.service.settle(self.pass, self.outcome);
    }
}

/// A login that waits for its turn, counted for as long.
struct Waiting<'a> {
    count: &'a AtomicU32,
    /// How many waited already.
    before: u32,
}

impl<'a> Waiting<'a> {
    fn join(count: &'a AtomicU32) -> Self {
        Self { count, before: count.fetch_add(1, Ordering::AcqRel) }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Ordering::AcqRel);
    }
}

impl From<&Result<Answer, Failure>> for HttpAuthResult {
    fn from(answer: &Result<Answer, Failure>) -> Self {
        match answer {
            Ok(Answer::Allow(_)) => Self::Allowed,
            Ok(Answer::Deny) => Self::Denied,
            Ok(Answer::Ignore) => Self::Ignored,
            Err(Failure::Busy) => Self::Busy,
            Err(Failure::LeftAlone) => Self::LeftAlone,
            Err(Failure::Timeout) => Self::Timeout,
            Err(Failure::Refused(_) | Failure::Broken(_)) => Self::Failed,
        }
    }
}
