//! The bounded queue of a target, and the thread that empties it.

use std::convert::Infallible;
use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread;
use std::time::Duration;

use tracing_subscriber::fmt::MakeWriter;

use super::guarded::{Complaints, Guarded, Sink};
use crate::telemetry::{Label, LogTarget};

/// Lines that wait for a target, before further ones are dropped.
pub(super) const WAITING_LINES: usize = 16_384;
/// How long the lines of a target that ends are waited for.
const LAST_PATIENCE: Duration = Duration::from_secs(1);

/// Lines that each target has lost. A process has one log.
static LOST: [AtomicU64; LogTarget::COUNT] = [const { AtomicU64::new(0) }; LogTarget::COUNT];

/// Where lines are put by whoever logs. Nobody waits there.
#[derive(Clone, Debug)]
pub(super) struct Queue {
    lines: SyncSender<Vec<u8>>,
    lost: &'static AtomicU64,
}

/// The thread that empties a queue. Dropped, it is told to come to an end: where nobody can put a line into
/// the queue any more, what is there is written first, or given up after a second.
#[derive(Debug)]
pub(super) struct Worker {
    /// Dropped first: whoever waits for a target to come back waits no more.
    ending: Option<Sender<Infallible>>,
    ended: Receiver<Infallible>,
}

/// How many lines `target` has lost since the start of the process.
pub(super) fn lost(target: LogTarget) -> u64 {
    count_of(target).load(Ordering::Relaxed)
}

fn count_of(target: LogTarget) -> &'static AtomicU64 {
    static OF_NOBODY: AtomicU64 = AtomicU64::new(0);
    LOST.get(target.index()).unwrap_or(&OF_NOBODY)
}

impl Queue {
    /// One for `target`, whose lines `sink` takes.
    ///
    /// # Errors
    /// When the system gives no more threads.
    pub(super) fn start(
        target: LogTarget,
        sink: impl Sink,
        complaints: Complaints,
    ) -> io::Result<(Self, Worker)> {
        let (lines, waiting) = sync_channel::<Vec<u8>>(WAITING_LINES);
        let (ending, is_ending) = channel();
        let (end, ended) = channel::<Infallible>();
        let lost = count_of(target);
        let mut guarded = Guarded::new(target, sink, complaints, is_ending, lost);
        thread::Builder::new().name(format!("log-{target}")).spawn(move || {
            for line in waiting {
                guarded.put(&line);
            }
            // A file is closed before anybody is told that this is over.
            drop(guarded);
            drop(end);
        })?;
        Ok((Self { lines, lost }, Worker { ending: Some(ending), ended }))
    }

    /// Puts a line into the queue. One that finds no place is lost and counted.
    pub(super) fn put(&self, line: Vec<u8>) {
        if self.lines.try_send(line).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        drop(self.ending.take());
        // Where it is still writing, it goes on as long as the process does.
        let _ = self.ended.recv_timeout(LAST_PATIENCE);
    }
}

impl Write for Queue {
    /// One line at a time, which never fails.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.put(line.to_vec());
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Queue {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::Sender;

    use super::*;

    /// Says what it is given, and takes nothing before it is let.
    struct Gate {
        given: Sender<Vec<u8>>,
        is_open: Receiver<Infallible>,
    }

    impl Sink for Gate {
        fn put(&mut self, line: &[u8]) -> io::Result<()> {
            self.given.send(line.to_vec()).unwrap();
            let _ = self.is_open.recv();
            Ok(())
        }
    }

    #[test]
    fn what_finds_no_place_is_counted_and_all_else_written_before_the_end() {
        let ((given, taken), (opener, is_open)) = (channel(), channel());
        // No other test has this one.
        let (target, gate) = (LogTarget::Journald, Gate { given, is_open });
        let (queue, worker) = Queue::start(target, gate, Complaints::default()).unwrap();
        queue.put(b"first".to_vec());
        assert_eq!(taken.recv().unwrap(), b"first");
        for nth in 0..WAITING_LINES + 2 {
            queue.put(nth.to_string().into_bytes());
        }
        assert_eq!(lost(target), 2);
        drop((queue, opener));
        drop(worker);
        let rest: Vec<_> = taken.try_iter().collect();
        assert_eq!(rest.len(), WAITING_LINES);
        let last = (WAITING_LINES - 1).to_string();
        assert_eq!(rest.last().map(Vec::as_slice), Some(last.as_bytes()));
    }
}
