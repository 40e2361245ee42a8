//! Who is banned: asked at every door, and told to those who are inside.

use std::future::poll_fn;
use std::net::IpAddr;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use super::Broker;
use super::authenticators::Refused;
use super::gate::Who;
use super::register::{Kept, SanctionOrder, Sanctioned};
use super::registry::Holding;
use super::seat::Seat;
use crate::audit::Event;
use crate::clock::Now;
use crate::codec::ReasonCode;
use crate::identity::Network;
use crate::sanctions::{Author, Kind, PutError, Sanction, Standing, Subject, Table};
use crate::session::Refusal;
use crate::telemetry::BanKind;

impl Broker {
    /// Bans somebody from now on, and ends the connections of whom that means: they are told that an
    /// administrator does (0x98). Their sessions wait for them as after any other end. Does not wait for
    /// the disk: see [`Self::until_kept`].
    ///
    /// # Errors
    /// When the allow-list has its subject, or there are too many bans.
    pub fn ban(&self, order: SanctionOrder) -> Result<Sanctioned, PutError> {
        let lasts = order.lasts;
        let asked_for = order.begin();
        let (sanction, kept) = self.bans.put(asked_for.clone())?;
        if sanction == asked_for {
            self.report_ban(&sanction, lasts);
        }
        let connections = self.end_banned(&sanction);
        Ok(Sanctioned { sanction, connections, kept })
    }

    fn report_ban(&self, ban: &Sanction, lasts: Option<Duration>) {
        let Sanction { subject, by, why, .. } = ban;
        let seconds = lasts.map(|lasts| lasts.as_secs());
        tracing::warn!(%subject, %by, why = &**why, seconds, "banned");
        self.counts.audit(|| Event::Banned {
            kind: subject.kind().name(),
            subject: subject.to_string(),
            by: by.to_string(),
            why: why.to_string(),
            seconds,
        });
    }

    /// Tells those to end whom `ban` means; how many.
    fn end_banned(&self, ban: &Sanction) -> usize {
        let seats = self.seats_of(&ban.subject);
        let is_banned = |seat: &&Arc<Seat>| seat.who().is_some_and(|who| self.bans.means(who));
        let mut ended = 0;
        for seat in seats.iter().filter(is_banned) {
            seat.end(ReasonCode::AdministrativeAction);
            ended += 1;
        }
        ended
    }

    /// The connections of those whom `subject` means.
    pub(super) fn seats_of(&self, subject: &Subject) -> Vec<Arc<Seat>> {
        let mut seats = match subject {
            Subject::ClientId(client_id) => match self.registry.holding(client_id.as_str()) {
                Some(Holding::Connected(seat)) => vec![seat],
                _ => Vec::new(),
            },
            _ => self.registry.seats(),
        };
        seats.retain(|seat| seat.who().is_some_and(|who| subject.means(&who.as_suspect())));
        seats
    }

    /// Returns once what was changed is kept, where it is to be kept on disk at all.
    pub async fn until_kept(&self, kept: Kept) {
        let (Kept::OnDisk(ticket), Some(store)) = (kept, self.store()) else { return };
        poll_fn(|cx| {
            if store.is_kept(ticket) {
                return Poll::Ready(());
            }
            store.wake_when_kept(ticket, cx.waker().clone());
            // It may have been in between.
            if store.is_kept(ticket) { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    /// The bans that hold now, in no order.
    #[must_use]
    pub fn bans(&self) -> Vec<Standing> {
        self.bans.standings()
    }

    /// Lifts the ban of a subject, or all where there is none. Gives how many that were, and where it is
    /// kept that they are gone.
    pub fn lift_bans(&self, subject: Option<&Subject>, by: &Author) -> (usize, Kept) {
        let (lifted, kept) = self.bans.lift(subject);
        for ban in &lifted {
            tracing::info!(subject = %ban.subject, %by, "ban lifted");
            self.counts.audit(|| Event::BanLifted {
                kind: ban.subject.kind().name(),
                subject: ban.subject.to_string(),
                by: by.to_string(),
            });
        }
        (lifted.len(), kept)
    }

    /// Forgets the bans whose time is over.
    pub(super) fn expire_bans(&self) {
        for ban in self.bans.expire() {
            tracing::info!(subject = %ban.subject, "ban has ended");
            self.counts.audit(|| Event::BanExpired {
                kind: ban.subject.kind().name(),
                subject: ban.subject.to_string(),
            });
        }
    }

    /// The network that is banned which `address` is in, where nobody may connect from it. That is counted, and
    /// told now and then.
    #[must_use]
    pub fn refuse_address(&self, address: IpAddr) -> Option<Network> {
        match self.refuse(1, |table, now| table.of_address(address, now)) {
            Some(Subject::Network(network)) => Some(network),
            _ => None,
        }
    }

    /// As many more have come from where `address` is banned, and were dropped before they were connections.
    pub fn note_dropped_by_ban(&self, address: IpAddr, times: u32) {
        self.refuse(times, |table, now| table.of_address(address, now));
    }

    /// Whether nobody may connect from any address in `network`, by one ban.
    #[must_use]
    pub fn bans_network(&self, network: Network) -> bool {
        !self.bans.is_empty() && self.bans.table().bans_network(network, Now::read().unix)
    }

    /// Whether nobody bans `address`: what is bounded by address is not for it either.
    #[must_use]
    pub fn exempts_address(&self, address: IpAddr) -> bool {
        self.bans.table().exempts_address(address)
    }

    /// Whether there are addresses in `network` that nobody bans.
    #[must_use]
    pub fn protects_network(&self, network: Network) -> bool {
        self.bans.table().protects(&Subject::Network(network))
    }

    /// Why `who` may not come in, if it is banned.
    pub(super) fn refusal_of_banned(&self, who: &Who) -> Option<Refusal> {
        self.refuse(1, |table, now| table.of(&who.as_suspect(), now))?;
        Some(Refusal::new(ReasonCode::Banned, "banned"))
    }

    /// Why somebody who comes with `client_id` may not come in, whatever it would prove to be. It is told what
    /// everybody is told who proves nothing: no stranger learns who is banned.
    pub(super) fn refusal_of_claim(&self, client_id: &str) -> Option<Refused> {
        self.refuse(1, |table, now| table.of_claimed(client_id, now))?;
        Some(Refused::banned_before_proof())
    }

    /// Ends the connection at `seat` if its client was banned while it was being let in.
    pub(super) fn end_if_banned(&self, seat: &Seat, who: &Who) {
        if self.bans.means(who) {
            seat.end(ReasonCode::AdministrativeAction);
        }
    }

    /// Counts so many who are refused by the ban that `find` gives: whom that bans.
    fn refuse(
        &self,
        times: u32,
        find: impl FnOnce(&Table, Duration) -> Option<&Sanction>,
    ) -> Option<Subject> {
        if self.bans.is_empty() {
            return None;
        }
        let now = Now::read().unix;
        let mut table = self.bans.table();
        let subject = find(&table, now)?.subject.clone();
        let untold = table.note_refusals(&subject, times, now);
        drop(table);
        self.counts.metrics.ban_refusals.add(subject.kind().into(), times.into());
        if let Some(count) = untold {
            tracing::warn!(%subject, count, "refused: banned");
            self.counts.audit(|| Event::BanRefused {
                kind: subject.kind().name(),
                subject: subject.to_string(),
                count,
            });
        }
        Some(subject)
    }

    pub(super) fn update_gauges_of_bans(&self) {
        let table = self.bans.table();
        for kind in Kind::ALL {
            self.counts.metrics.bans.set(kind.into(), table.count(kind) as f64);
        }
    }
}

impl From<Kind> for BanKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Principal => Self::Principal,
            Kind::ClientId => Self::ClientId,
            Kind::Address => Self::Address,
            Kind::Prefix => Self::Prefix,
            Kind::Certificate => Self::Certificate,
        }
    }
}
