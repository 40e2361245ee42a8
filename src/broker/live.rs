//! The settings that take effect while the broker runs: for whoever connects from then on.

use std::sync::atomic::{AtomicUsize, Ordering};

use arc_swap::ArcSwap;

use super::{Broker, Settings};
use crate::auth::{self, LockoutRules};
use crate::sentinel::RuleSet;
use crate::throttle::Rule;
use crate::{identity_service, sanctions, session};

/// What is in force. Each part is replaced whole; nothing of it is looked at per message.
#[derive(Debug)]
pub(super) struct Live {
    /// `[mqtt]`. A session keeps to what it began with, since it has announced that.
    pub(super) mqtt: ArcSwap<session::Settings>,
    /// Bytes of the largest CONNECT packet.
    pub(super) max_connect_size: AtomicUsize,
    pub(super) queue: ArcSwap<QueueBounds>,
}

/// What may wait for one session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct QueueBounds {
    pub(super) messages: u32,
    pub(super) bytes: u64,
}

/// The settings that a broker takes up while it runs.
#[derive(Debug)]
pub struct LiveSettings<'a> {
    /// `[mqtt]`: for connections that begin from then on.
    pub mqtt: &'a session::Settings,
    /// `[broker]`: what may wait for a session, from when its client next connects; what may wait for all
    /// of them, and how many sessions, retained messages and idle throttles there may be, for what is added.
    pub broker: &'a Settings,
    /// `[auth]`: when failing to log in locks out. What was counted stays.
    pub auth: &'a auth::Settings,
    /// `[http]`: how much its service may be asked, for questions from now on.
    pub http: &'a identity_service::Settings,
    /// `[bans]`: who is allowed at once, the bound for bans that are added.
    pub bans: &'a sanctions::Settings,
    /// `[[throttle]]`: for what clients do from now on.
    pub throttles: Vec<Rule>,
    /// `[sentinel]`: for what happens from now on.
    pub sentinel: RuleSet,
    /// Bytes of the largest CONNECT packet.
    pub max_connect_size: usize,
}

impl Live {
    pub(super) fn new(
        mqtt: session::Settings,
        settings: &Settings,
        max_connect_size: usize,
    ) -> Self {
        Self {
            mqtt: ArcSwap::from_pointee(mqtt),
            max_connect_size: AtomicUsize::new(max_connect_size),
            queue: ArcSwap::from_pointee(QueueBounds::of(settings)),
        }
    }
}

impl QueueBounds {
    fn of(settings: &Settings) -> Self {
        Self {
            messages: settings.max_queued_messages.get(),
            bytes: settings.max_queued_bytes.get(),
        }
    }
}

impl Broker {
    /// Takes up other settings. Of those that differ, each holds from the moment that
    /// [`LiveSettings`] says; nobody who is connected is disturbed.
    pub fn follow(&self, settings: LiveSettings<'_>) {
        let LiveSettings { mqtt, broker, auth, http, bans, throttles, sentinel, max_connect_size } =
            settings;
        self.counts.watch.follow(sentinel);
        if **self.live.mqtt.load() != *mqtt {
            self.live.mqtt.store(mqtt.clone().into());
        }
        self.live.queue.store(QueueBounds::of(broker).into());
        self.live.max_connect_size.store(max_connect_size, Ordering::Relaxed);
        self.queue_budget.follow(broker);
        self.registry.set_max_sessions(broker.max_sessions.get() as usize);
        let (max_messages, max_bytes) = broker.retained_bounds();
        self.retained.set_bounds(max_messages, max_bytes);
        if let Some(service) = &self.identity_service {
            service.follow(http);
        }
        self.throttles.remember(broker.max_idle_throttles.get() as usize);
        if !self.throttles.are(&throttles) {
            self.throttles.follow(throttles);
            self.authority.has_changed();
        }
        self.lockouts.follow(LockoutRules::from(auth));
        self.operators.lockouts.follow(LockoutRules::from(auth));
        self.turnstile.follow(auth);
        self.bans.follow(bans);
        self.quarantines.follow(bans);
        self.tightenings.follow(bans);
    }
}
