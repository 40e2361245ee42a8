//! How the latest envelopes of a stream came: what tells a packet that is sent again from a replay.

use std::collections::VecDeque;

use crate::message::SessionKey;
use crate::replay_log::{PACKETS, Packet};

/// The latest packets of one stream that may come again.
#[derive(Debug, Default)]
pub(super) struct Packets {
    latest: VecDeque<Sent>,
    /// Later than this the clock refuses whatever comes again.
    pub(super) fresh_until_ms: u64,
}

/// One packet, and for which session of this run of the broker it was routed; for none where that was in an
/// earlier run.
#[derive(Clone, Copy, Debug)]
struct Sent {
    packet: Packet,
    session: Option<SessionKey>,
}

/// What an envelope that was seen before is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Again {
    /// The packet that brought it, which was routed: its sender has not heard so.
    Routed,
    /// That too, but in an earlier run, which may have ended before it was routed.
    Lost,
    /// Something else.
    Replay,
}

impl Packets {
    /// Those of an earlier run.
    pub(super) fn recovered(packets: &VecDeque<Packet>, fresh_until_ms: u64) -> Self {
        let latest = packets.iter().map(|packet| Sent { packet: *packet, session: None }).collect();
        Self { latest, fresh_until_ms }
    }

    pub(super) fn remember(&mut self, packet: Packet, session: SessionKey) {
        if self.latest.len() >= PACKETS {
            self.latest.pop_front();
        }
        self.latest.push_back(Sent { packet, session: Some(session) });
    }

    /// What `packet` is, which brings an envelope that has been seen. One that was lost is taken for
    /// routed from now on, since it will be.
    pub(super) fn judge(&mut self, packet: &Packet, session: SessionKey) -> Again {
        let is_same = |sent: &&mut Sent| {
            sent.packet == *packet && sent.session.is_none_or(|of| of == session)
        };
        let Some(sent) = self.latest.iter_mut().rev().find(is_same) else { return Again::Replay };
        match sent.session.replace(session) {
            Some(_) => Again::Routed,
            None => Again::Lost,
        }
    }

    /// Forgets a packet, which must not come again; whether it was there.
    pub(super) fn forget(&mut self, packet: &Packet) -> bool {
        let before = self.latest.len();
        self.latest.retain(|sent| sent.packet != *packet);
        self.latest.len() < before
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Packet> {
        self.latest.iter().map(|sent| &sent.packet)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(seq: u64, id: u16) -> Packet {
        Packet { seq, tag: [7; 8], client: 1, id, qos: 1 }
    }

    #[test]
    fn the_same_packet_of_the_same_session_comes_again_and_any_other_is_a_replay() {
        let (session, other) = (SessionKey(1), SessionKey(2));
        let mut packets = Packets::default();
        packets.remember(packet(5, 10), session);
        assert_eq!(packets.judge(&packet(5, 10), session), Again::Routed);
        assert_eq!(packets.judge(&packet(5, 11), session), Again::Replay, "another packet id");
        assert_eq!(packets.judge(&packet(5, 10), other), Again::Replay, "another session");
        let other_qos = Packet { qos: 2, ..packet(5, 10) };
        assert_eq!(packets.judge(&other_qos, session), Again::Replay);
        let clone = Packet { tag: [8; 8], ..packet(5, 10) };
        assert_eq!(packets.judge(&clone, session), Again::Replay);
    }

    #[test]
    fn a_packet_of_an_earlier_run_is_routed_once_more_for_its_client() {
        let kept = VecDeque::from([packet(5, 10)]);
        let mut packets = Packets::recovered(&kept, 0);
        let stranger = Packet { client: 2, ..packet(5, 10) };
        assert_eq!(packets.judge(&stranger, SessionKey(1)), Again::Replay);
        assert_eq!(packets.judge(&packet(5, 10), SessionKey(1)), Again::Lost);
        assert_eq!(packets.judge(&packet(5, 10), SessionKey(1)), Again::Routed);
        assert_eq!(packets.judge(&packet(5, 10), SessionKey(2)), Again::Replay);
    }

    #[test]
    fn the_memory_is_bounded_and_forgets_the_oldest() {
        let mut packets = Packets::default();
        (0..1_000).for_each(|seq| packets.remember(packet(seq, 1), SessionKey(1)));
        assert_eq!(packets.iter().count(), PACKETS);
        assert_eq!(packets.judge(&packet(999, 1), SessionKey(1)), Again::Routed);
        assert_eq!(packets.judge(&packet(0, 1), SessionKey(1)), Again::Replay);
    }
}
