//! Messages that wait on disk alone, read when it is nearly their turn: by a thread of its own, so that no
//! worker waits for a disk.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::task::{Wake, Waker};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::counts::Counts;
use super::durable::Keeper;
use super::mailbox::{Mailbox, Missing};
use super::queue_record;
use crate::store::{Batch, ReadError, Ticket};
use crate::telemetry::DropReason;

/// After how long a message is looked for again that was not there yet, or that the disk did not give.
const PAUSE: Duration = Duration::from_millis(50);
/// How often the disk may fail before a message is left where it is.
const TRIES: u32 = 100;

/// The thread that reads. Dropped, it ends.
#[derive(Debug)]
pub(super) struct Recall {
    calls: Sender<Call>,
    thread: Option<JoinHandle<()>>,
}

/// What the thread is told.
#[derive(Debug)]
enum Call {
    /// To read some of what waits there.
    Read(Arc<Mailbox>),
    /// To look again for what was not there.
    Look,
    End,
}

/// Tells it to look again.
struct Look(Sender<Call>);

impl Wake for Look {
    fn wake(self: Arc<Self>) {
        // Nobody waits for it any more where nobody is told.
        let _ = self.0.send(Call::Look);
    }
}

impl Recall {
    pub(super) fn start(keeper: &Keeper, counts: &Arc<Counts>) -> io::Result<Self> {
        let (calls, received) = mpsc::channel();
        let (keeper, counts) = (keeper.clone(), Arc::clone(counts));
        let (look, later) = (Arc::new(Look(calls.clone())), Vec::new());
        let work = Work { keeper, counts, calls: received, look, later };
        let thread = thread::Builder::new().name("recall".to_owned()).spawn(|| work.run())?;
        Ok(Self { calls, thread: Some(thread) })
    }

    /// Has some of what waits in `mailbox` read, as [`Mailbox::take`] has said.
    pub(super) fn ask(&self, mailbox: &Arc<Mailbox>) {
        if self.calls.send(Call::Read(Arc::clone(mailbox))).is_err() {
            tracing::error!("nobody reads what waits on disk");
        }
    }
}

impl Drop for Recall {
    fn drop(&mut self) {
        let _ = self.calls.send(Call::End);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that reads what waits on disk has panicked");
        }
    }
}

struct Work {
    keeper: Keeper,
    counts: Arc<Counts>,
    calls: Receiver<Call>,
    look: Arc<Look>,
    later: Vec<Request>,
}

struct Request {
    mailbox: Arc<Mailbox>,
    /// A message that was not found: it is lost if it is not there when the store has all that was
    /// appended before it was looked for.
    missed: Option<(u64, Ticket)>,
    /// How often the disk has failed.
    failures: u32,
    /// When it is tried again.
    due: Instant,
}

impl Work {
    fn run(mut self) {
        loop {
            let due = self.later.iter().map(|request| request.due).min();
            let patience = due.map_or(Duration::MAX, |due| due.duration_since(Instant::now()));
            match self.calls.recv_timeout(patience) {
                Ok(Call::Read(mailbox)) => {
                    let due = Instant::now();
                    self.serve(Request { mailbox, missed: None, failures: 0, due });
                }
                Ok(Call::Look) | Err(RecvTimeoutError::Timeout) => {}
                Ok(Call::End) | Err(RecvTimeoutError::Disconnected) => return,
            }
            let (now, store) = (Instant::now(), self.keeper.store());
            let is_kept = |(_, ticket)| store.is_kept(ticket);
            let is_due = |it: &mut Request| it.due <= now || it.missed.is_some_and(is_kept);
            let due = self.later.extract_if(.., is_due).collect::<Vec<_>>();
            due.into_iter().for_each(|request| self.serve(request));
        }
    }

    fn serve(&mut self, mut request: Request) {
        match self.read(&mut request) {
            true => request.mailbox.end_reading(),
            false => {
                request.due = Instant::now() + PAUSE;
                self.later.push(request);
            }
        }
    }

    /// Whether all is read, or will never be.
    fn read(&self, request: &mut Request) -> bool {
        let Request { mailbox, missed, failures, .. } = request;
        for Missing { arrival, kept } in mailbox.missing() {
            let store = self.keeper.store();
            // Asked before it is looked for.
            let ought_to_be_there =
                missed.is_some_and(|(missed, ticket)| missed == arrival && store.is_kept(ticket));
            match self.keeper.read_message(mailbox.key(), &kept) {
                Ok(Some(message)) => {
                    *failures = 0;
                    mailbox.put_back(arrival, Arc::new(message));
                }
                Err(ReadError::Disk(_)) if *failures < TRIES => {
                    // Not before its pause is over.
                    (*failures, *missed) = (*failures + 1, None);
                    return false;
                }
                outcome if ought_to_be_there || is_of_disk(&outcome) => {
                    *failures = 0;
                    self.give_up(mailbox, arrival, outcome.err());
                }
                _ => {
                    if missed.is_none_or(|(missed, _)| missed != arrival) {
                        let latest = store.latest();
                        *missed = Some((arrival, latest));
                        store.wake_when_kept(latest, Waker::from(Arc::clone(&self.look)));
                    }
                    return false;
                }
            }
        }
        true
    }

    /// A message is not to be had. What the disk does not give now it may give to a later run; what is not
    /// as it was written is forgotten.
    fn give_up(&self, mailbox: &Mailbox, arrival: u64, why: Option<ReadError>) {
        // Its session may have ended meanwhile, and all that waited for it with it.
        let Some(entry) = mailbox.give_up(arrival) else { return };
        let session = mailbox.key();
        match &why {
            Some(why) => {
                tracing::error!(session = session.0, "a message that waits is lost: {why}")
            }
            None => tracing::error!(session = session.0, "the store has lost a message that waits"),
        }
        self.counts.dropped(DropReason::Unreadable, 1);
        if let (Some(kept), false) = (entry.kept(), matches!(why, Some(ReadError::Disk(_)))) {
            let mut batch = Batch::default();
            queue_record::delete(&mut batch, session, kept, false);
            self.keeper.keep(batch);
        }
    }
}

fn is_of_disk<T>(outcome: &Result<T, ReadError>) -> bool {
    matches!(outcome, Err(ReadError::Disk(_)))
}
