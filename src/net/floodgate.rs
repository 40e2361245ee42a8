//! What keeps a flood from a listener: whoever goes on connecting, though refused, is no longer answered each
//! time, but dropped by the system, up to the share by which it is watched.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::pace::Pace;
use super::shared::Shared;
use super::{Settings, syn_filter};
use crate::identity::Network;
use crate::telemetry::Refusal;
use crate::throttle::{Floods, LetThrough};

/// Of one listener.
#[derive(Debug)]
pub(super) struct Floodgate {
    floods: Floods<Refusal>,
    /// What time is counted from.
    begin: Instant,
    in_force: Vec<LetThrough>,
    /// Whether anything was ever dropped: connections inherit that from their listener.
    was_closed: bool,
    /// Of the lines about a system that drops nothing.
    pace: Pace,
}

impl Floodgate {
    /// Open to everybody.
    pub(super) fn new(now: Instant) -> Self {
        Self {
            floods: Floods::new(0),
            begin: now,
            in_force: Vec::new(),
            was_closed: false,
            pace: Pace::default(),
        }
    }

    /// Counts a connection from `address` that was refused.
    pub(super) fn refused(&mut self, why: Refusal, address: IpAddr, shared: &Shared) {
        let settings = shared.settings.load();
        let Some((network, rate)) = flooding(why, address, &settings) else { return };
        if !shared.broker.protects_network(network) {
            self.floods.follow(settings.answered_refusals_per_second);
            self.floods.refused(network, why, rate, self.time(Instant::now()));
        }
    }

    /// Counts a connection from `address` that was let through, with those that were dropped for it.
    pub(super) fn came(&mut self, address: SocketAddr, listener: &Arc<str>, shared: &Shared) {
        if !self.in_force.is_empty()
            && let Some((why, others)) = self.floods.came(address.ip())
        {
            shared.dropped(why, others, address, listener);
        }
    }

    /// Nobody is in the queue of the system who came before it dropped anybody.
    pub(super) fn caught_up(&mut self) {
        if !self.in_force.is_empty() {
            self.floods.caught_up(self.time(Instant::now()));
        }
    }

    /// For how long nothing has to be looked at.
    pub(super) fn rest(&self, now: Instant) -> Option<Duration> {
        let due = self.floods.due()?;
        Some(Duration::from_nanos(due.saturating_sub(self.time(now))))
    }

    /// Has the system drop at `socket` what is a flood `now`, and no more of what is not.
    pub(super) fn turn(&mut self, now: Instant, socket: impl AsFd, shared: &Shared) {
        if self.floods.is_empty() {
            return;
        }
        self.floods.follow(shared.settings.load().answered_refusals_per_second);
        if self.floods.judge(self.time(now), |it| shared.broker.protects_network(it)) {
            let drops = self.floods.drops().collect();
            if let Err(error) = self.put_in_force(drops, socket) {
                self.floods.clear();
                if let Some(left_out) = self.pace.line(now) {
                    tracing::warn!(left_out, "floods cannot be dropped, and are answered: {error}");
                }
            }
        }
    }

    fn put_in_force(&mut self, mut drops: Vec<LetThrough>, socket: impl AsFd) -> io::Result<()> {
        drops.sort_by_key(|drop| std::cmp::Reverse(drop.network.length()));
        let before = std::mem::take(&mut self.in_force);
        if drops.is_empty() {
            syn_filter::detach(socket)?;
        } else {
            syn_filter::attach(socket, &drops)?;
            self.was_closed = true;
        }
        self.in_force = drops;
        let is_in = |drops: &[LetThrough], it: &LetThrough| {
            drops.iter().any(|one| one.network == it.network)
        };
        for new in self.in_force.iter().filter(|it| !is_in(&before, it)) {
            tracing::warn!(from = %new.network, "a flood of connections is dropped");
        }
        for over in before.iter().filter(|it| !is_in(&self.in_force, it)) {
            tracing::warn!(from = %over.network, "a flood of connections is over");
        }
        Ok(())
    }

    /// What a connection has inherited ends: only attempts to connect are dropped.
    pub(super) fn release(&self, connection: impl AsFd) {
        if self.was_closed {
            // It would only cost each of its packets a look.
            let _ = syn_filter::detach(connection);
        }
    }

    fn time(&self, now: Instant) -> u64 {
        let since = now.saturating_duration_since(self.begin).as_nanos();
        u64::try_from(since).unwrap_or(u64::MAX)
    }
}

/// What floods if such refusals come again and again, and how many connections a second it may make.
fn flooding(why: Refusal, address: IpAddr, settings: &Settings) -> Option<(Network, u32)> {
    match why {
        Refusal::RateOfAddress => {
            Some((Network::of_owner(address), settings.connection_rate_per_address))
        }
        Refusal::RateOfPrefix => {
            Some((Network::of_customer(address), settings.connection_rate_per_prefix))
        }
        // Neighbours may be neither banned nor strangers.
        Refusal::Banned | Refusal::ProxyAddress => Some((Network::around(address, u8::MAX), 0)),
        _ => None,
    }
}
