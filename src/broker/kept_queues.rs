//! What an earlier run has left in the store of the messages that sessions wait for, put together from its
//! records.

use std::collections::HashMap;
use std::sync::Arc;

use super::message_record;
use super::queue_record::{self, QueuedRecord};
use crate::clock::Now;
use crate::codec::PacketId;
use crate::message::{Kept, Message, QoS, SessionKey};
use crate::session::{InFlight, Outbound, Received, SentAs, Unfinished};
use crate::store::{Batch, Record, Table};

/// The queues of all sessions, until each is taken.
#[derive(Debug, Default)]
pub(super) struct KeptQueues {
    sessions: HashMap<SessionKey, Records>,
    /// Those that more than one session waits for.
    shared: HashMap<u64, Shared>,
    /// No message, and no session that waits for any, had a higher one.
    pub(super) last_number: u64,
}

#[derive(Debug, Default)]
struct Records {
    queued: Vec<(u64, QueuedRecord)>,
    sent: HashMap<u64, Sent>,
    received: Vec<PacketId>,
}

/// As what a message was sent; and where its client has it, its place among those that it has.
type Sent = (SentAs, Option<u64>);

#[derive(Debug)]
struct Shared {
    message: Arc<Message>,
    kept: Arc<Kept>,
}

/// What waits for one session, and what was on its way.
#[derive(Debug, Default)]
pub(super) struct KeptQueue {
    /// In order.
    pub(super) waiting: Vec<Outbound>,
    /// What was sent and is not acknowledged.
    pub(super) in_flight: InFlight,
    /// What the session has received and its client has not released.
    pub(super) received: Received,
}

impl KeptQueues {
    /// Takes in a record, where it is one of a queue; says whether it could be read.
    pub(super) fn add(&mut self, record: Record<'_>, clocks: Now) -> bool {
        let (first, number) = record.key.numbers();
        let session = SessionKey(first);
        let added = match record.table {
            Table::QUEUED => QueuedRecord::decode(record.value, clocks)
                .map(|queued| self.of(session).queued.push((number, queued))),
            Table::SENT => queue_record::decode_sent(record.value)
                .map(|sent| self.of(session).sent.extend([(number, sent)])),
            Table::RECEIVED => u16::try_from(number)
                .ok()
                .and_then(PacketId::new)
                .map(|packet_id| self.of(session).received.push(packet_id)),
            Table::MESSAGE => message_record::decode(record.value, clocks).map(|message| {
                let (message, kept) = (Arc::new(message), Arc::new(Kept::shared(number, 0)));
                self.shared.insert(number, Shared { message, kept });
            }),
            _ => return true,
        };
        if record.table != Table::RECEIVED {
            self.note(number);
        }
        added.is_some()
    }

    fn of(&mut self, session: SessionKey) -> &mut Records {
        self.note(session.0);
        self.sessions.entry(session).or_default()
    }

    fn note(&mut self, number: u64) {
        self.last_number = self.last_number.max(number);
    }

    /// Takes the queue of `session`. Where its client was connected when the earlier run ended, it may have
    /// had any message of QoS 1. Adds to `batch` what is of no use.
    pub(super) fn take(
        &mut self,
        session: SessionKey,
        was_connected: bool,
        batch: &mut Batch,
    ) -> KeptQueue {
        let Some(mut records) = self.sessions.remove(&session) else { return KeptQueue::default() };
        records.queued.sort_unstable_by_key(|(number, _)| *number);
        let (mut waiting, mut unfinished) = (Vec::new(), Vec::new());
        for (number, queued) in records.queued {
            let sent = records.sent.remove(&number);
            match (self.outbound(number, queued), sent) {
                (Some(outbound), Some((sent_as, released))) => {
                    unfinished.push(Unfinished::new(outbound, sent_as, released));
                }
                (Some(outbound), None) => {
                    let was_sent = was_connected && outbound.qos == QoS::AtLeastOnce;
                    waiting.push(Outbound { was_sent, ..outbound });
                }
                (None, sent) => {
                    tracing::error!("the store has lost a message that waited for a session");
                    queue_record::delete(batch, session, &Kept::alone(number), false);
                    records.sent.extend(sent.map(|sent| (number, sent)));
                }
            }
        }
        for (number, (sent_as, released)) in records.sent {
            unfinished.push(Unfinished::lost(Arc::new(Kept::alone(number)), sent_as, released));
        }
        KeptQueue {
            waiting,
            in_flight: InFlight::restored(unfinished),
            received: records.received.into_iter().collect(),
        }
    }

    /// A message as it waited; nothing where it is not there any more.
    fn outbound(&self, number: u64, record: QueuedRecord) -> Option<Outbound> {
        let QueuedRecord { message, qos, retain, subscription_ids, share } = record;
        let (message, kept) = match message {
            Some(message) => (Arc::new(message), Arc::new(Kept::alone(number))),
            None => {
                let Shared { message, kept } = self.shared.get(&number)?;
                kept.share();
                (Arc::clone(message), Arc::clone(kept))
            }
        };
        let kept = Some(kept);
        Some(Outbound { message, qos, retain, subscription_ids, share, kept, was_sent: false })
    }

    /// The end of all that nobody has taken, and so nobody waits for.
    pub(super) fn forget_rest(self) -> Batch {
        let mut batch = Batch::default();
        for (session, Records { queued, sent, received }) in self.sessions {
            let numbers = queued.iter().map(|(number, _)| *number).chain(sent.into_keys());
            for number in numbers {
                queue_record::delete(&mut batch, session, &Kept::alone(number), true);
            }
            for packet_id in received {
                queue_record::delete_received(&mut batch, session, packet_id);
            }
        }
        for (number, Shared { kept, .. }) in self.shared {
            if !kept.is_in_use() {
                queue_record::delete_message(&mut batch, number);
            }
        }
        batch
    }
}
