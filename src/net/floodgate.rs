//! What keeps a flood from a listener: whoever goes on connecting, though refused, is no longer answered each
//! time, but dropped by the system, up to the share by which it is watched.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::pace::Pace;
use super::shared::{Denied, Shared};
use super::{ProxySettings, Settings, syn_filter};
use crate::broker::Broker;
use crate::identity::Network;
use crate::telemetry::Refusal;
use crate::throttle::{Floods, LetThrough};

/// How long everybody is answered after the system has not taken what is to be dropped.
const REST: Duration = Duration::from_secs(10);

/// Of one listener.
#[derive(Debug)]
pub(super) struct Floodgate {
    floods: Floods<Refusal>,
    /// What time is counted from.
    begin: Instant,
    in_force: Vec<LetThrough>,
    /// Connections that may be in the queue of the system at once, with those that are half open.
    most_queued: u32,
    /// So many of those to come may have come before what is in force was.
    from_before: u32,
    /// After the system has not taken what is to be dropped.
    resting_until: Option<Instant>,
    /// Whether anything was ever dropped: connections inherit that from their listener.
    was_closed: bool,
    /// Of the lines about a system that drops nothing.
    pace: Pace,
}

impl Floodgate {
    /// Open to everybody, before a socket with this `backlog`.
    pub(super) fn new(backlog: NonZeroU32, now: Instant) -> Self {
        Self {
            floods: Floods::new(0),
            begin: now,
            in_force: Vec::new(),
            most_queued: backlog.get().saturating_add(1).saturating_mul(2),
            from_before: 0,
            resting_until: None,
            was_closed: false,
            pace: Pace::default(),
        }
    }

    /// Counts a connection from `address` that was refused by a listener that `proxy` is set of.
    pub(super) fn refused(
        &mut self,
        denied: Denied,
        address: IpAddr,
        proxy: Option<&ProxySettings>,
        shared: &Shared,
    ) {
        let settings = shared.settings.load();
        let terms = RateTerms { proxy, settings: &settings, broker: &shared.broker };
        let mut sources = sources(denied, address).into_iter().flatten();
        let flooding = sources.find(|it| terms.rate(*it, denied.why).is_some());
        if let Some(network) = flooding {
            self.floods.follow(settings.answered_refusals_per_second);
            self.floods.refused(network, denied.why, self.time(Instant::now()));
        }
    }

    /// Counts a connection from `address` that was let through, with those that were dropped for it.
    pub(super) fn came(&mut self, address: SocketAddr, listener: &Arc<str>, shared: &Shared) {
        if self.in_force.is_empty() {
            return;
        }
        if let Some((why, others)) = self.floods.came(address.ip()) {
            shared.dropped(why, others, address, listener);
        }
        if self.from_before > 0 {
            self.from_before -= 1;
            if self.from_before == 0 {
                self.caught_up();
            }
        }
    }

    /// Nobody is in the queue of the system who came before it dropped anybody. Whether that was not known:
    /// [`Self::rest`] is another one then.
    pub(super) fn caught_up(&mut self) -> bool {
        if self.in_force.is_empty() {
            return false;
        }
        self.from_before = 0;
        self.floods.caught_up(self.time(Instant::now()))
    }

    /// For how long nothing has to be looked at.
    pub(super) fn rest(&self, now: Instant) -> Option<Duration> {
        let due = self.floods.due()?;
        Some(Duration::from_nanos(due.saturating_sub(self.time(now))))
    }

    /// Has the system drop at `socket` what is a flood `now`, and no more of what is not. `proxy` is set of the
    /// listener.
    pub(super) fn turn(
        &mut self,
        now: Instant,
        socket: impl AsFd,
        proxy: Option<&ProxySettings>,
        shared: &Shared,
    ) {
        if self.floods.is_empty() || self.resting_until.is_some_and(|until| now < until) {
            return;
        }
        let settings = shared.settings.load();
        self.floods.follow(settings.answered_refusals_per_second);
        let terms = RateTerms { proxy, settings: &settings, broker: &shared.broker };
        if self.floods.judge(self.time(now), |network, why| terms.rate(network, why)) {
            let drops = self.floods.drops().collect();
            if let Err(error) = self.put_in_force(drops, socket) {
                self.floods.clear();
                self.resting_until = Some(now + REST);
                if let Some(left_out) = self.pace.line(now) {
                    tracing::warn!(left_out, "floods cannot be dropped, and are answered: {error}");
                }
            }
        }
    }

    /// After an error nothing is in force.
    fn put_in_force(&mut self, mut drops: Vec<LetThrough>, socket: impl AsFd) -> io::Result<()> {
        drops.sort_by_key(|drop| std::cmp::Reverse(drop.network.length()));
        let put = match &*drops {
            [] => syn_filter::detach(socket),
            drops => syn_filter::attach(socket, drops),
        };
        if put.is_err() {
            drops.clear();
        }
        self.was_closed |= !drops.is_empty();
        self.from_before = self.most_queued;
        let before = std::mem::replace(&mut self.in_force, drops);
        let is_in = |drops: &[LetThrough], it: &LetThrough| {
            drops.iter().any(|one| one.network == it.network)
        };
        for new in self.in_force.iter().filter(|it| !is_in(&before, it)) {
            tracing::warn!(from = %new.network, "a flood of connections is dropped");
        }
        for over in before.iter().filter(|it| !is_in(&self.in_force, it)) {
            tracing::warn!(from = %over.network, "a flood of connections is over");
        }
        put
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

/// Who floods where such refusals of connections from `address` come again and again: the first of these of which
/// all are refused.
fn sources(Denied { why, ban }: Denied, address: IpAddr) -> [Option<Network>; 3] {
    let (owner, alone) = (Network::of_owner(address), Network::around(address, u8::MAX));
    match why {
        Refusal::RateOfAddress => [Some(owner), None, None],
        Refusal::RateOfPrefix => [Some(Network::of_customer(address)), None, None],
        // Whoever has one address of a network of IPv6 has them all, but neighbours may be neither banned nor
        // strangers.
        Refusal::Banned => [ban, Some(owner), Some(alone)],
        Refusal::ProxyAddress => [Some(owner), Some(alone), None],
        _ => [None; 3],
    }
}

/// What decides how often somebody may come.
#[derive(Clone, Copy)]
struct RateTerms<'a> {
    proxy: Option<&'a ProxySettings>,
    settings: &'a Settings,
    broker: &'a Broker,
}

impl RateTerms<'_> {
    /// Connections a second that `network` may make without being refused for this; nothing, where none is, or
    /// not all of its addresses may be.
    fn rate(&self, network: Network, why: Refusal) -> Option<u32> {
        let limited = |rate: u32| (rate > 0).then_some(rate);
        let rate = match (why, self.proxy) {
            (Refusal::RateOfAddress, None) => limited(self.settings.connection_rate_per_address)?,
            (Refusal::RateOfPrefix, None) => limited(self.settings.connection_rate_per_prefix)?,
            (Refusal::Banned, None) if self.broker.bans_network(network) => 0,
            (Refusal::ProxyAddress, Some(proxy)) if !proxy.from.overlap(network) => 0,
            _ => return None,
        };
        (!self.broker.protects_network(network)).then_some(rate)
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use std::net::TcpListener;

    use socket2::{Domain, Socket, Type};

    use super::*;

    fn drops(count: usize) -> Vec<LetThrough> {
        let network = "127.0.0.2".parse().unwrap();
        vec![LetThrough { network, share: 1.0 / 65_536.0 }; count]
    }

    fn comes_through(to: SocketAddr) -> bool {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from(([127, 0, 0, 2], 0)).into()).unwrap();
        socket.connect_timeout(&to.into(), Duration::from_millis(50)).is_ok()
    }

    #[test]
    fn where_the_system_does_not_take_what_is_to_be_dropped_everybody_is_let_through() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap();
        let mut gate = Floodgate::new(NonZeroU32::MIN, Instant::now());
        gate.put_in_force(drops(1), &listener).unwrap();
        assert!(!gate.in_force.is_empty() && !comes_through(port));
        // More than there may be of a program.
        gate.put_in_force(drops(1_000), &listener).unwrap_err();
        assert!(gate.in_force.is_empty() && comes_through(port));
    }

    #[test]
    fn whoever_is_banned_floods_as_the_network_that_is_banned_and_a_stranger_as_what_it_owns() {
        let address: IpAddr = "2001:db8:1:2345::7".parse().unwrap();
        let network = |text: &str| Some(text.parse::<Network>().unwrap());
        let (owner, alone) = (network("2001:db8:1:2345::/64"), network("2001:db8:1:2345::7"));
        let ban = network("2001:db8::/32");
        assert_eq!(sources(Denied { why: Refusal::Banned, ban }, address), [ban, owner, alone]);
        assert_eq!(sources(Refusal::ProxyAddress.into(), address), [owner, alone, None]);
    }
}
