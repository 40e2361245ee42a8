//! Sessions brought back from the store, before anybody can connect.

use std::sync::Arc;
use std::time::Instant;

use super::Broker;
use super::durable::Keeper;
use super::kept_queues::{KeptQueue, KeptQueues};
use super::kept_sessions::{KeptSession, KeptSessions};
use super::mailbox::Mailbox;
use super::parked::{Parked, Stored};
use super::records::{SessionRecord, SubscriptionRecord, WillRecord};
use super::retained_backlog::RetainedBacklog;
use crate::acl::Limits;
use crate::clock::Now;
use crate::message::SessionKey;
use crate::router::Grant;
use crate::session::{Granted, Image, SubscribeRequest, Subscriptions};
use crate::store::Batch;

/// A restart at work.
struct Restart<'b> {
    broker: &'b Broker,
    keeper: &'b Keeper,
    now: Now,
    queues: KeptQueues,
    /// Sessions that end as soon as all others are there to hear of it.
    ending: Vec<Parked>,
    subscriptions: usize,
    wills: usize,
}

impl Broker {
    /// Brings back the sessions that an earlier run has kept: they are routed to, and wait for their
    /// clients. Then ends those whose time has come meanwhile, and publishes the wills that are due. Call it
    /// once, before anybody can connect.
    ///
    /// A client that was connected when the earlier run broke off counts as having left now. Whether every
    /// session may have what it has is judged as soon as [`Self::judge_sessions`] runs, and before its
    /// client gets any of it.
    pub fn restore_sessions(&self, kept: KeptSessions, now: Now) {
        let Some(keeper) = &self.keeper else { return };
        let KeptSessions { sessions, queues, .. } = kept;
        let (ending, subscriptions, wills) = (Vec::new(), 0, 0);
        let mut restart =
            Restart { broker: self, keeper, now, queues, ending, subscriptions, wills };
        for (key, session) in sessions {
            restart.restore(key, session);
        }
        let Restart { queues, ending, subscriptions, wills, .. } = restart;
        let orphans = queues.forget_rest();
        if !orphans.is_empty() {
            keeper.keep(orphans);
        }
        let sessions = self.registry.len();
        tracing::info!(sessions, subscriptions, wills, "sessions of the store are back");
        if sessions > self.settings.max_sessions.get() as usize {
            tracing::warn!(
                "no new session begins: the store has more than max_sessions of [broker] allows"
            );
        }
        for parked in ending {
            self.end(parked, now.instant);
        }
        while !self.run_timers(now.instant) {}
        // What decides may have changed meanwhile.
        self.authority.has_changed();
    }
}

impl Restart<'_> {
    fn restore(&mut self, key: SessionKey, mut kept: KeptSession) {
        let will = kept.take_will();
        let KeptSession { session, subscriptions, wills: void } = kept;
        let mut batch = Batch::default();
        for will in void {
            self.keeper.forget_will(&mut batch, key, will.number);
        }
        match session {
            Some(session) => self.restore_session(session, subscriptions, will, &mut batch),
            None => {
                // Of a session of which the rest is damaged.
                for SubscriptionRecord { filter, .. } in subscriptions {
                    self.keeper.forget_subscription(&mut batch, key, filter.borrowed());
                }
                if let Some(will) = will {
                    let session = self.session_of(will);
                    self.ending.push(session);
                }
            }
        }
        if !batch.is_empty() {
            self.keeper.keep(batch);
        }
    }

    fn restore_session(
        &mut self,
        record: SessionRecord,
        subscriptions: Vec<SubscriptionRecord>,
        will: Option<WillRecord>,
        batch: &mut Batch,
    ) {
        let (broker, keeper, now) = (self.broker, self.keeper, self.now);
        let was_connected = record.left_ms.is_none();
        let expires = record.ends_ms(now.unix).and_then(|ends| now.instant_of(ends));
        let SessionRecord { key, who, .. } = record.clone();
        let mut session = self.stored(key);
        session.will = will.as_ref().map(|will| will.number);
        self.wills += usize::from(will.is_some());
        self.subscriptions += subscriptions.len();
        let KeptQueue { waiting, in_flight, received } =
            self.queues.take(key, was_connected, keeper, batch);
        session.mailbox.restore(waiting);
        let subscriptions = self.route(&mut session, subscriptions);
        let image = Image { received, in_flight, subscriptions };
        let waiting = will.map(|will| {
            let due = self.due(&will, expires);
            if was_connected {
                let due_ms = Some(now.unix_ms_of(due));
                keeper.put_will(batch, &WillRecord { due_ms, ..will.clone() });
            }
            (due, Box::new(will.will))
        });
        if was_connected {
            let left_ms = Some(now.unix_ms_of(now.instant));
            keeper.put_session(batch, &SessionRecord { left_ms, will: session.will, ..record });
        }
        let who = Arc::new(broker.who_was(keeper, who));
        let parked = Box::new(Parked { who, session, image, expires, will: waiting });
        let on_parked = |parked: &Parked| broker.set_timers(parked, &parked.who.client_id);
        // Of two sessions of one client, the later one has begun when the earlier one was over.
        let earlier = broker.registry.restore(parked, on_parked);
        self.ending.extend(earlier.map(|earlier| *earlier));
    }

    fn stored(&self, key: SessionKey) -> Stored {
        // Those of its client are set when it is judged.
        let bounds = self.broker.bounds(Limits::default());
        let mailbox = Arc::new(Mailbox::durable(key, bounds, &self.broker.queue_budget));
        Stored { key, mailbox, retained: RetainedBacklog::default(), will: None }
    }

    fn route(&self, session: &mut Stored, kept: Vec<SubscriptionRecord>) -> Subscriptions {
        let route = |SubscriptionRecord { filter, granted, owes_retained, .. }| {
            let grant = Grant { options: granted.options, id: granted.id };
            self.broker.routes.subscribe(filter.borrowed(), &session.mailbox, grant);
            if owes_retained {
                let Granted { options, id } = granted;
                let request = SubscribeRequest { filter: filter.clone(), options, id };
                session.retained.add(&request, true);
            }
            (filter, granted)
        };
        kept.into_iter().map(route).collect()
    }

    /// When a will is to be published: after its delay, or with its session `[MQTT-3.1.3-9]`.
    fn due(&self, record: &WillRecord, expires: Option<Instant>) -> Instant {
        let now = self.now;
        let due = match record.due_ms {
            Some(due_ms) => now.instant_of(due_ms),
            None => now.instant.checked_add(record.will.delay),
        };
        due.into_iter().chain(expires).min().unwrap_or(now.instant)
    }

    /// The session of a client that was connected, and that had none to keep: it ends now.
    fn session_of(&mut self, record: WillRecord) -> Parked {
        self.wills += 1;
        let WillRecord { session, number, will, who, .. } = record;
        let session = Stored { will: Some(number), ..self.stored(session) };
        let who = Arc::new(self.broker.who_was(self.keeper, who));
        let now = self.now.instant;
        let will = Some((now, Box::new(will)));
        Parked { who, session, image: Image::default(), expires: Some(now), will }
    }
}
