//! Who may publish less, and is sent less, for a while: whom a rule of the sentinel has slowed down. Kept in memory alone: it is
//! for minutes, and whoever goes on after a restart is found again.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

use super::Broker;
use super::gate::{Gate, Who};
use super::register::{Kept, SanctionOrder, Sanctioned};
use super::throttles::{Limit, Throttled, Throttles};
use crate::audit::Event;
use crate::clock::Now;
use crate::sanctions::{Author, Kind, PutError, Sanction, Settings, Standing, Subject, Table};
use crate::throttle::{Action, Per, Rate, Rule, What};

/// Those who are slowed down, and how much they have published and were sent lately.
#[derive(Debug)]
pub(super) struct Tightenings {
    slowed: Mutex<Slowed>,
    /// How many there are: mostly none, and then nobody takes the lock.
    count: AtomicUsize,
}

#[derive(Debug)]
struct Slowed {
    table: Table,
    /// Of each in the table, for all of its connections together: in, and out.
    limits: HashMap<Subject, [Limit; 2]>,
}

impl Tightenings {
    pub(super) fn new(settings: &Settings) -> Self {
        let slowed = Slowed { table: Table::new(settings), limits: HashMap::new() };
        Self { slowed: Mutex::new(slowed), count: AtomicUsize::new(0) }
    }

    /// Goes by another allow-list, and another bound for what is added.
    pub(super) fn follow(&self, settings: &Settings) {
        self.slowed.lock().table.follow(settings);
    }

    /// The limits of `who`: those of each subject that means it.
    fn of(&self, who: &Who) -> Vec<Limit> {
        if self.count.load(Ordering::Acquire) == 0 {
            return Vec::new();
        }
        let slowed = self.slowed.lock();
        let (suspect, now) = (who.as_suspect(), Now::read().unix);
        let subjects = slowed.table.all_of(&suspect, now).map(|sanction| &sanction.subject);
        let limits = subjects.filter_map(|subject| slowed.limits.get(subject));
        limits.flatten().cloned().collect()
    }

    /// Gives the one that holds now.
    fn put(&self, sanction: Sanction, rate: Rate, by: &Throttles) -> Result<Sanction, PutError> {
        self.change(|slowed| {
            let holds = slowed.table.put(sanction.clone())?.clone();
            if holds == sanction {
                let limits = [What::MessagesIn, What::MessagesOut]
                    .map(|what| by.limit_by(rule_of(&sanction.by, what, rate)));
                slowed.limits.insert(sanction.subject, limits);
            }
            Ok(holds)
        })
    }

    fn remove(&self, take: impl FnOnce(&mut Table) -> Vec<Sanction>) -> Vec<Sanction> {
        self.change(|slowed| {
            let gone = take(&mut slowed.table);
            for sanction in &gone {
                slowed.limits.remove(&sanction.subject);
            }
            gone
        })
    }

    fn change<T>(&self, change: impl FnOnce(&mut Slowed) -> T) -> T {
        let mut slowed = self.slowed.lock();
        let outcome = change(&mut slowed);
        self.count.store(slowed.table.len(), Ordering::Release);
        outcome
    }
}

/// So many messages, of all connections that it is about together. Whoever sends more waits, and what is for
/// them waits in their queues.
fn rule_of(by: &Author, what: What, rate: Rate) -> Rule {
    Rule {
        name: by.to_string().into(),
        what,
        per: Per::User,
        roles: Box::default(),
        topics: None,
        rate,
        action: Action::Delay,
    }
}

impl Broker {
    /// Has somebody publish, and be sent, no more than `rate` from now on: those who are connected, and those who come.
    ///
    /// # Errors
    /// When the allow-list has its subject, or there are too many.
    pub fn tighten(&self, order: SanctionOrder, rate: Rate) -> Result<Sanctioned, PutError> {
        let lasts = order.lasts;
        let asked_for = order.begin();
        let sanction = self.tightenings.put(asked_for.clone(), rate, &self.throttles)?;
        if sanction == asked_for {
            let (subject, by, why) = (&sanction.subject, &sanction.by, &*sanction.why);
            let seconds = lasts.map(|lasts| lasts.as_secs());
            tracing::warn!(%subject, %by, why, seconds, "slowed down");
            self.counts.audit(|| Event::SlowedDown {
                kind: subject.kind().name(),
                subject: subject.to_string(),
                by: by.to_string(),
                why: why.to_owned(),
                seconds,
            });
        }
        let connections = self.tell_of_limits(&sanction.subject);
        Ok(Sanctioned { sanction, connections, kept: Kept::InMemory })
    }

    /// Who is slowed down now, in no order.
    #[must_use]
    pub fn tightened(&self) -> Vec<Standing> {
        let now = Now::read().unix;
        let slowed = self.tightenings.slowed.lock();
        slowed.table.iter().filter(|standing| !standing.sanction.is_over(now)).collect()
    }

    /// Has a subject slowed down no more, or all where there is none. Gives how many that were.
    pub fn lift_tightening(&self, subject: Option<&Subject>, by: &Author) -> (usize, Kept) {
        let lifted = self.tightenings.remove(|table| match subject {
            Some(subject) => table.remove(subject).into_iter().collect(),
            None => {
                let all: Vec<_> = table.iter().map(|it| it.sanction.subject).collect();
                all.iter().filter_map(|subject| table.remove(subject)).collect()
            }
        });
        for sanction in &lifted {
            let subject = &sanction.subject;
            tracing::info!(%subject, %by, "slowed down no more");
            self.loosened(subject, by.to_string());
        }
        (lifted.len(), Kept::InMemory)
    }

    /// Those whose time is over are slowed down no more.
    pub(super) fn expire_tightenings(&self) {
        if self.tightenings.count.load(Ordering::Acquire) == 0 {
            return;
        }
        for sanction in self.tightenings.remove(|table| table.expire(Now::read().unix)) {
            let subject = &sanction.subject;
            tracing::info!(%subject, "slowed down no more: its time is over");
            self.loosened(subject, "time".to_owned());
        }
    }

    fn loosened(&self, subject: &Subject, by: String) {
        self.tell_of_limits(subject);
        self.counts.audit(|| Event::SlowedDownEnded {
            kind: subject.kind().name(),
            subject: subject.to_string(),
            by,
        });
    }

    /// Has those whom `subject` means look at their limits again; how many.
    fn tell_of_limits(&self, subject: &Subject) -> usize {
        let seats = self.seats_of(subject);
        seats.iter().for_each(|seat| seat.set_other_limits());
        seats.len()
    }

    /// The limits of the client that `gate` lets through, where it has any.
    pub(super) fn limits_of(&self, gate: &Gate) -> Option<Box<Throttled>> {
        self.throttles.of(gate, self.tightenings.of(gate.who()))
    }

    pub(super) fn update_gauges_of_tightenings(&self) {
        let slowed = self.tightenings.slowed.lock();
        for kind in Kind::ALL {
            self.counts.metrics.tightenings.set(kind.into(), slowed.table.count(kind) as f64);
        }
    }
}
