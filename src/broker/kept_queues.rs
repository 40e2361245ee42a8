//! What an earlier run has left in the store of the messages that sessions wait for, put together from its
//! records.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use super::durable::Keeper;
use super::message_record;
use super::queue_record::{self, QueuedRecord};
use super::spilled::{Entry, Spilled};
use crate::clock::Now;
use crate::codec::{PacketId, SubscriptionIds};
use crate::message::{Kept, Message, QoS, SessionKey};
use crate::session::{InFlight, Outbound, Received, SentAs, Unfinished};
use crate::store::{Batch, Record, Table};
use crate::topic::TopicFilter;

/// The queues of all sessions, until each is taken.
#[derive(Debug, Default)]
pub(super) struct KeptQueues {
    sessions: HashMap<SessionKey, Records>,
    /// Those that more than one session waits for.
    shared: HashMap<u64, Shared>,
    /// Bytes of messages that may still be held in memory: the rest is read when it is wanted.
    room: usize,
    /// No message, and no session that waits for any, had a higher one.
    pub(super) last_number: u64,
}

#[derive(Debug, Default)]
struct Records {
    queued: Vec<(u64, Queued)>,
    sent: HashMap<u64, Sent>,
    received: Vec<PacketId>,
}

/// What a session is to have of a message. The message itself is elsewhere, where others have it as well.
#[derive(Debug)]
struct Queued {
    body: Option<Body>,
    qos: QoS,
    retain: bool,
    subscription_ids: SubscriptionIds,
    share: Option<TopicFilter>,
}

/// A message, or what is remembered of one that stays on disk.
#[derive(Clone, Debug)]
enum Body {
    Here(Arc<Message>),
    OnDisk { cost: usize, expiry: Option<Instant> },
}

/// As what a message was sent; and where its client has it, its place among those that it has.
type Sent = (SentAs, Option<u64>);

#[derive(Debug)]
struct Shared {
    body: Body,
    kept: Arc<Kept>,
}

/// What waits for one session, and what was on its way.
#[derive(Debug, Default)]
pub(super) struct KeptQueue {
    /// In order.
    pub(super) waiting: Vec<Entry>,
    /// What was sent and is not acknowledged.
    pub(super) in_flight: InFlight,
    /// What the session has received and its client has not released.
    pub(super) received: Received,
}

impl KeptQueues {
    /// None yet; `room` bytes of messages are held in memory.
    pub(super) fn with_room(room: usize) -> Self {
        Self { room, ..Self::default() }
    }

    /// Takes in a record, where it is one of a queue; says whether it could be read.
    pub(super) fn add(&mut self, record: Record<'_>, clocks: Now) -> bool {
        let (first, number) = record.key.numbers();
        let session = SessionKey(first);
        let added = match record.table {
            Table::QUEUED => QueuedRecord::decode(record.value, clocks).map(|queued| {
                let queued = self.queued(queued);
                self.of(session).queued.push((number, queued));
            }),
            Table::SENT => queue_record::decode_sent(record.value)
                .map(|sent| self.of(session).sent.extend([(number, sent)])),
            Table::RECEIVED => u16::try_from(number)
                .ok()
                .and_then(PacketId::new)
                .map(|packet_id| self.of(session).received.push(packet_id)),
            Table::MESSAGE => message_record::decode(record.value, clocks).map(|message| {
                let (body, kept) = (self.body(message), Arc::new(Kept::shared(number, 0)));
                self.shared.insert(number, Shared { body, kept });
            }),
            _ => return true,
        };
        if record.table != Table::RECEIVED {
            self.note(number);
        }
        added.is_some()
    }

    fn queued(&mut self, record: QueuedRecord) -> Queued {
        let QueuedRecord { message, qos, retain, subscription_ids, share } = record;
        let body = message.map(|message| self.body(message));
        Queued { body, qos, retain, subscription_ids, share }
    }

    /// Holds a message, as long as there is room.
    fn body(&mut self, message: Message) -> Body {
        let (cost, expiry) = (message.cost(), message.expiry);
        match self.room.checked_sub(cost) {
            Some(room) => {
                self.room = room;
                Body::Here(Arc::new(message))
            }
            None => Body::OnDisk { cost, expiry },
        }
    }

    fn of(&mut self, session: SessionKey) -> &mut Records {
        self.note(session.0);
        self.sessions.entry(session).or_default()
    }

    fn note(&mut self, number: u64) {
        self.last_number = self.last_number.max(number);
    }

    /// Takes the queue of `session`. Where its client was connected when the earlier run ended, it may have
    /// had any message of QoS 1. What was on its way is read, where it is not in memory. Adds to `batch` what
    /// is of no use.
    pub(super) fn take(
        &mut self,
        session: SessionKey,
        was_connected: bool,
        keeper: &Keeper,
        batch: &mut Batch,
    ) -> KeptQueue {
        let Some(mut records) = self.sessions.remove(&session) else { return KeptQueue::default() };
        records.queued.sort_unstable_by_key(|(number, _)| *number);
        let (mut waiting, mut unfinished) = (Vec::new(), Vec::new());
        for (number, queued) in records.queued {
            let sent = records.sent.remove(&number);
            let entry = self.entry(number, queued, sent.is_none() && was_connected);
            match (entry, sent) {
                (Some(Entry::Here(outbound)), Some((sent_as, released))) => {
                    unfinished.push(Unfinished::new(outbound, sent_as, released));
                }
                (Some(Entry::OnDisk(spilled)), Some((sent_as, released))) => {
                    let kept = Arc::clone(&spilled.kept);
                    unfinished.push(match read(keeper, session, &spilled) {
                        Some(outbound) => Unfinished::new(outbound, sent_as, released),
                        None => Unfinished::lost(kept, sent_as, released),
                    });
                }
                (Some(entry), None) => waiting.push(entry),
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

    /// A message as it waited, which may have been sent; nothing where it is not there any more.
    fn entry(&self, number: u64, queued: Queued, may_be_sent: bool) -> Option<Entry> {
        let Queued { body, qos, retain, subscription_ids, share } = queued;
        let was_sent = may_be_sent && qos == QoS::AtLeastOnce;
        let (body, kept) = match body {
            Some(body) => (body, Arc::new(Kept::alone(number))),
            None => {
                let Shared { body, kept } = self.shared.get(&number)?;
                kept.share();
                (body.clone(), Arc::clone(kept))
            }
        };
        Some(match body {
            Body::Here(message) => {
                let kept = Some(kept);
                Entry::Here(Outbound {
                    message,
                    qos,
                    retain,
                    subscription_ids,
                    share,
                    kept,
                    was_sent,
                })
            }
            Body::OnDisk { cost, expiry } => Entry::OnDisk(Box::new(Spilled {
                kept,
                cost,
                expiry,
                qos,
                retain,
                subscription_ids,
                share,
                was_sent,
            })),
        })
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

fn read(keeper: &Keeper, session: SessionKey, spilled: &Spilled) -> Option<Outbound> {
    match keeper.read_message(session, &spilled.kept) {
        Ok(message) => Some(spilled.with(Arc::new(message?))),
        Err(error) => {
            tracing::error!("a message on its way to a client is lost: {error}");
            None
        }
    }
}
