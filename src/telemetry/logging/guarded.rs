//! A target that may fail: what it does not take is lost and counted, and it is tried again.

use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tracing_appender::non_blocking::NonBlocking;

use crate::telemetry::{Label, LogTarget};

/// How long a target that has failed is left alone.
const PAUSE: Duration = Duration::from_secs(1);

/// Lines that each target has not taken. A process has one log.
static NOT_TAKEN: [AtomicU64; LogTarget::COUNT] = [const { AtomicU64::new(0) }; LogTarget::COUNT];

/// Where lines go one by one. Called by a thread of its own; may wait, but not for ever.
pub(super) trait Sink: Send + 'static {
    /// Takes one line, or one message, whole or not at all.
    fn put(&mut self, line: &[u8]) -> io::Result<()>;
}

/// Says on standard error what is wrong with a target, where the log itself does not go there.
#[derive(Clone, Debug, Default)]
pub(super) struct Complaints(pub(super) Option<NonBlocking>);

/// What a thread of the log writes to.
pub(super) struct Guarded<S> {
    target: LogTarget,
    sink: S,
    failing: Option<Failing>,
    complaints: Complaints,
    /// Its place in [`NOT_TAKEN`], or one of a test.
    lost: &'static AtomicU64,
}

struct Failing {
    /// Lines that are lost since.
    lost: u64,
    retry_at: Instant,
}

/// Lines that `target` has not taken since the start of the process.
pub(super) fn not_taken(target: LogTarget) -> u64 {
    NOT_TAKEN.get(target.index()).map_or(0, |lost| lost.load(Ordering::Relaxed))
}

impl Complaints {
    pub(super) fn say(&self, text: &str) {
        tracing::error!("{text}");
        self.say_on_stderr(text);
    }

    fn take_back(&self, text: &str) {
        tracing::warn!("{text}");
        self.say_on_stderr(text);
    }

    fn say_on_stderr(&self, text: &str) {
        if let Some(stderr) = &self.0 {
            // It does not fail: what nobody reads is dropped.
            let _ = stderr.clone().write_all(format!("bastionmq: {text}\n").as_bytes());
        }
    }
}

impl<S: Sink> Guarded<S> {
    pub(super) fn new(target: LogTarget, sink: S, complaints: Complaints) -> Self {
        static OF_NOBODY: AtomicU64 = AtomicU64::new(0);
        let lost = NOT_TAKEN.get(target.index()).unwrap_or(&OF_NOBODY);
        Self { target, sink, failing: None, complaints, lost }
    }

    fn put(&mut self, line: &[u8]) {
        if let Some(failing) = &mut self.failing
            && Instant::now() < failing.retry_at
        {
            failing.lost += 1;
            self.lost.fetch_add(1, Ordering::Relaxed);
            return;
        }
        match self.sink.put(line) {
            Ok(()) => self.recovered(),
            Err(error) => self.failed(&error),
        }
    }

    fn recovered(&mut self) {
        if let Some(Failing { lost, .. }) = self.failing.take() {
            let target = self.target;
            let text = format!("the log target {target} works again; lines lost meanwhile: {lost}");
            self.complaints.take_back(&text);
        }
    }

    fn failed(&mut self, error: &io::Error) {
        self.lost.fetch_add(1, Ordering::Relaxed);
        let before = self.failing.take();
        if before.is_none() {
            let target = self.target;
            let text = format!(
                "the log target {target} fails, and loses lines until it works again: {error}"
            );
            self.complaints.say(&text);
        }
        let lost = before.map_or(0, |before| before.lost) + 1;
        self.failing = Some(Failing { lost, retry_at: Instant::now() + PAUSE });
    }
}

impl<S: Sink> Write for Guarded<S> {
    /// One line at a time, which never fails: the thread that writes would drop others with it.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.put(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    /// Answers as it was told to.
    struct Told(VecDeque<io::Result<()>>, Vec<u8>);

    impl Sink for Told {
        fn put(&mut self, line: &[u8]) -> io::Result<()> {
            self.0.pop_front().unwrap_or(Ok(()))?;
            self.1.extend(line);
            Ok(())
        }
    }

    fn guarded(answers: impl IntoIterator<Item = io::Result<()>>) -> Guarded<Told> {
        static LOST: AtomicU64 = AtomicU64::new(0);
        let sink = Told(answers.into_iter().collect(), Vec::new());
        let mut guarded = Guarded::new(LogTarget::File, sink, Complaints(None));
        guarded.lost = &LOST;
        guarded
    }

    #[test]
    fn what_fails_is_left_alone_for_a_while_counted_and_tried_again() {
        let full = || Err(io::Error::from(io::ErrorKind::StorageFull));
        let mut target = guarded([Ok(()), full(), full()]);
        for line in ["a", "b", "c"] {
            target.write_all(line.as_bytes()).unwrap();
        }
        // The third was not tried.
        assert_eq!((target.sink.1.as_slice(), target.sink.0.len()), (&b"a"[..], 1));
        for line in ["d", "e"] {
            target.failing.as_mut().unwrap().retry_at = Instant::now();
            target.write_all(line.as_bytes()).unwrap();
        }
        assert_eq!(target.sink.1, b"ae");
        assert!(target.failing.is_none());
        assert_eq!(target.lost.load(Ordering::Relaxed), 3);
    }
}
