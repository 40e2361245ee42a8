//! A child process: every line it says is kept, and can be waited for.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::PATIENCE;

/// Which stream a line came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stream {
    Out,
    Err,
}

/// A running program. Dropping it asks it to end, then kills it.
pub(crate) struct Process {
    name: String,
    child: Child,
    said: Arc<Said>,
}

#[derive(Default)]
struct Said {
    transcript: Mutex<Transcript>,
    more: Condvar,
}

#[derive(Default)]
struct Transcript {
    lines: Vec<(Stream, String)>,
    streams_ended: u8,
}

impl Process {
    /// Starts `command`, its standard input open where the command asks for that.
    pub(crate) fn spawn(name: &str, command: &mut Command) -> Self {
        let spawned = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut child = spawned.unwrap_or_else(|error| panic!("{name} does not start: {error}"));
        let said = Arc::new(Said::default());
        said.listen(Stream::Out, child.stdout.take().expect("piped"));
        said.listen(Stream::Err, child.stderr.take().expect("piped"));
        Self { name: name.to_owned(), child, said }
    }

    /// The first line of `stream`, old or new, for which `pick` has an answer.
    pub(crate) fn wait_for<T>(&self, stream: Stream, pick: impl Fn(&str) -> Option<T>) -> T {
        self.wait_for_at_most(PATIENCE, stream, pick)
    }

    /// As [`Process::wait_for`], for what takes its time.
    pub(crate) fn wait_for_at_most<T>(
        &self,
        limit: Duration,
        stream: Stream,
        pick: impl Fn(&str) -> Option<T>,
    ) -> T {
        let deadline = Instant::now() + limit;
        let mut transcript = self.said.lock();
        let mut seen = 0;
        loop {
            for (from, line) in &transcript.lines[seen..] {
                if let Some(found) = (*from == stream).then(|| pick(line)).flatten() {
                    return found;
                }
            }
            seen = transcript.lines.len();
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || transcript.streams_ended == 2 {
                let why = if left.is_zero() { "in time" } else { "before it ended" };
                panic!("{} did not say what it should {why}\n{}", self.name, transcript.text());
            }
            transcript = self.said.wait(transcript, left);
        }
    }

    /// The first line of `stream` that contains `text`.
    pub(crate) fn wait_for_text(&self, stream: Stream, text: &str) -> String {
        self.wait_for(stream, |line| line.contains(text).then(|| line.to_owned()))
    }

    /// What it has said so far, both streams.
    pub(crate) fn transcript(&self) -> String {
        self.said.lock().text()
    }

    /// The lines of one stream so far.
    pub(crate) fn lines(&self, stream: Stream) -> Vec<String> {
        let transcript = self.said.lock();
        let lines = transcript.lines.iter().filter(|(from, _)| *from == stream);
        lines.map(|(_, line)| line.clone()).collect()
    }

    /// The standard input, where the command left it open.
    pub(crate) fn stdin(&mut self) -> Option<&mut std::process::ChildStdin> {
        self.child.stdin.as_mut()
    }

    /// Ends the standard input.
    pub(crate) fn close_stdin(&mut self) {
        self.child.stdin.take();
    }

    /// What the system knows it by.
    pub(crate) fn id(&self) -> Pid {
        i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).expect("a pid")
    }

    /// Asks it to end.
    pub(crate) fn signal(&self, signal: Signal) {
        let pid = self.id();
        // It may have ended by itself.
        let _ = kill_process(pid, signal);
    }

    /// Ends it without warning, as a power cut would.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Waits until it ends by itself and has said all.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        self.wait_at_most(PATIENCE)
    }

    /// As [`Process::wait`], for what takes its time.
    pub(crate) fn wait_at_most(&mut self, limit: Duration) -> ExitStatus {
        let ended = self.has_ended_within(limit);
        assert!(ended, "{} does not end\n{}", self.name, self.transcript());
        self.child.wait().expect("a child of ours")
    }

    fn has_ended_within(&self, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        let mut transcript = self.said.lock();
        while transcript.streams_ended < 2 {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            transcript = self.said.wait(transcript, left);
        }
        true
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            self.signal(Signal::TERM);
            if !self.has_ended_within(PATIENCE) {
                let _ = self.child.kill();
            }
            let _ = self.child.wait();
        }
        if thread::panicking() {
            eprintln!("── {} said:\n{}", self.name, self.transcript());
        }
    }
}

impl Said {
    /// A test that fails while it holds the lock leaves a whole transcript behind.
    fn lock(&self) -> MutexGuard<'_, Transcript> {
        self.transcript.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(
        &self,
        transcript: MutexGuard<'a, Transcript>,
        at_most: Duration,
    ) -> MutexGuard<'a, Transcript> {
        let woken = self.more.wait_timeout(transcript, at_most);
        woken.unwrap_or_else(PoisonError::into_inner).0
    }

    fn listen(self: &Arc<Self>, stream: Stream, source: impl Read + Send + 'static) {
        let said = Arc::clone(self);
        thread::spawn(move || {
            for line in BufReader::new(source).split(b'\n').map_while(Result::ok) {
                let line = String::from_utf8_lossy(&line).into_owned();
                said.lock().lines.push((stream, line));
                said.more.notify_all();
            }
            said.lock().streams_ended += 1;
            said.more.notify_all();
        });
    }
}

impl Transcript {
    fn text(&self) -> String {
        self.lines.iter().map(|(_, line)| format!("  {line}\n")).collect()
    }
}
