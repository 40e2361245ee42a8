//! A target that may fail: what it does not take is lost and counted, and it is tried again.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use super::queue::{Queue, WAITING_LINES};
use crate::telemetry::LogTarget;

/// How long a target that has failed is left alone.
const PAUSE: Duration = Duration::from_secs(1);
/// How long at first, and at most, where lines wait for it.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));

/// Where lines go one by one. Called by a thread of its own; may wait, but not for ever.
pub(super) trait Sink: Send + 'static {
    /// Takes one line, or one message, whole or not at all.
    fn put(&mut self, line: &[u8]) -> io::Result<()>;

    /// Makes sure that there is somebody who takes lines.
    fn open(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// Whether lines stay in the queue while it fails, rather than being lost one by one.
    fn is_waited_for(&self) -> bool {
        false
    }
}

/// Says on standard error what is wrong with a target, where the log itself does not go there.
#[derive(Clone, Debug, Default)]
pub(super) struct Complaints {
    stderr: Option<Queue>,
    /// Whether standard error has all lines anyway.
    is_told_all: Arc<AtomicBool>,
}

/// A target, as the thread that writes to it sees it.
pub(super) struct Guarded<S> {
    target: LogTarget,
    sink: S,
    failing: Option<Failing>,
    complaints: Complaints,
    /// Nobody sends there: it is over once nobody can.
    is_ending: Receiver<Infallible>,
    /// Lines that the target has lost, in the queue as well.
    lost: &'static AtomicU64,
}

struct Failing {
    /// Lines that were lost before.
    lost_before: u64,
    pause: Duration,
    retry_at: Instant,
}

impl Complaints {
    pub(super) fn on(stderr: Queue) -> Self {
        Self { stderr: Some(stderr), is_told_all: Arc::default() }
    }

    /// Whether standard error has all lines of the log anyway, and so these.
    pub(super) fn follow(&self, is_told_all: bool) {
        self.is_told_all.store(is_told_all, Ordering::Relaxed);
    }

    pub(super) fn say(&self, text: &str) {
        tracing::error!("{text}");
        self.say_on_stderr(text);
    }

    fn take_back(&self, text: &str) {
        tracing::warn!("{text}");
        self.say_on_stderr(text);
    }

    fn say_on_stderr(&self, text: &str) {
        if let Some(stderr) = &self.stderr
            && !self.is_told_all.load(Ordering::Relaxed)
        {
            stderr.put(format!("bastionmq: {text}\n").into_bytes());
        }
    }
}

impl<S: Sink> Guarded<S> {
    pub(super) fn new(
        target: LogTarget,
        sink: S,
        complaints: Complaints,
        is_ending: Receiver<Infallible>,
        lost: &'static AtomicU64,
    ) -> Self {
        Self { target, sink, failing: None, complaints, is_ending, lost }
    }

    /// Has the sink take `line`, unless it fails and nobody waits for it: then the line is lost.
    pub(super) fn put(&mut self, line: &[u8]) {
        while !self.is_left_alone() {
            match self.sink.put(line) {
                Ok(()) => return self.recovered(),
                Err(error) => self.failed(&error),
            }
            if !self.sink.is_waited_for() {
                break;
            }
        }
        self.lost.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether it has failed a short while ago. Where lines wait, waits until it has not, or all ends.
    fn is_left_alone(&self) -> bool {
        let Some(failing) = &self.failing else { return false };
        let left = failing.retry_at.saturating_duration_since(Instant::now());
        match self.sink.is_waited_for() {
            true => self.is_ending.recv_timeout(left) == Err(RecvTimeoutError::Disconnected),
            false => !left.is_zero(),
        }
    }

    fn recovered(&mut self) {
        if let Some(Failing { lost_before, .. }) = self.failing.take() {
            let target = self.target;
            let lost = self.lost.load(Ordering::Relaxed).saturating_sub(lost_before);
            let text = format!("the log target {target} works again; lines lost meanwhile: {lost}");
            self.complaints.take_back(&text);
        }
    }

    fn failed(&mut self, error: &io::Error) {
        let is_waited_for = self.sink.is_waited_for();
        let (first, longest) = if is_waited_for { BACKOFF } else { (PAUSE, PAUSE) };
        let failing = self.failing.get_or_insert_with(|| {
            let target = self.target;
            let what = match is_waited_for {
                true => format!("has lines wait, {WAITING_LINES} at most, until it works again"),
                false => "loses lines until it works again".to_owned(),
            };
            self.complaints.say(&format!("the log target {target} fails, and {what}: {error}"));
            let lost_before = self.lost.load(Ordering::Relaxed);
            Failing { lost_before, pause: first / 2, retry_at: Instant::now() }
        });
        failing.pause = (failing.pause * 2).clamp(first, longest);
        failing.retry_at = Instant::now() + failing.pause;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::mpsc::{Sender, channel};

    use super::*;

    /// Answers as it was told to.
    #[derive(Default)]
    struct Told {
        answers: VecDeque<io::Result<()>>,
        taken: Vec<u8>,
        is_waited_for: bool,
    }

    impl Sink for Told {
        fn put(&mut self, line: &[u8]) -> io::Result<()> {
            self.answers.pop_front().unwrap_or(Ok(()))?;
            self.taken.extend(line);
            Ok(())
        }

        fn is_waited_for(&self) -> bool {
            self.is_waited_for
        }
    }

    fn guarded(sink: Told, lost: &'static AtomicU64) -> (Guarded<Told>, Sender<Infallible>) {
        let (ending, is_ending) = channel();
        (Guarded::new(LogTarget::File, sink, Complaints::default(), is_ending, lost), ending)
    }

    fn full() -> io::Result<()> {
        Err(io::Error::from(io::ErrorKind::StorageFull))
    }

    #[test]
    fn what_fails_is_left_alone_for_a_while_counted_and_tried_again() {
        static LOST: AtomicU64 = AtomicU64::new(0);
        let answers = VecDeque::from([Ok(()), full(), full()]);
        let (mut target, _ending) = guarded(Told { answers, ..Told::default() }, &LOST);
        for line in ["a", "b", "c"] {
            target.put(line.as_bytes());
        }
        // The third was not tried.
        assert_eq!((target.sink.taken.as_slice(), target.sink.answers.len()), (&b"a"[..], 1));
        for line in ["d", "e"] {
            target.failing.as_mut().unwrap().retry_at = Instant::now();
            target.put(line.as_bytes());
        }
        assert_eq!(target.sink.taken, b"ae");
        assert!(target.failing.is_none());
        assert_eq!(LOST.load(Ordering::Relaxed), 3);
    }

    #[test]
    fn what_is_waited_for_loses_nothing_until_all_ends() {
        static LOST: AtomicU64 = AtomicU64::new(0);
        let answers = VecDeque::from([full(), full(), Ok(()), full()]);
        let sink = Told { answers, is_waited_for: true, ..Told::default() };
        let (mut target, ending) = guarded(sink, &LOST);
        target.put(b"a");
        assert_eq!(target.sink.taken, b"a");
        assert!(target.failing.is_none());
        assert_eq!(LOST.load(Ordering::Relaxed), 0);
        drop(ending);
        target.put(b"b");
        // What has failed is not tried again then.
        target.put(b"c");
        assert_eq!((target.sink.taken.as_slice(), target.sink.answers.len()), (&b"a"[..], 0));
        assert_eq!(LOST.load(Ordering::Relaxed), 2);
    }
}
