//! What is promised: each promise in a function of its own.

use std::collections::BTreeMap;

use super::ledger::{Debt, Why};
use super::oracle::{Oracle, Rules, State};
use super::peer::Peer;
use super::step::Name;
use super::wire::Published;
use crate::broker::Broker;
use crate::message::QoS;

/// Nothing is delivered that the client may not receive under the rules of now.
pub(super) fn it_is_permitted(rules: Rules, name: Name, sent: &Published) {
    assert!(rules.may_receive(name, &sent.topic), "{name} may not receive {sent:?}");
}

/// The client has no more messages in flight than it takes, each with an identifier of its own.
pub(super) fn the_window_is_kept(peer: &mut Peer, packet_id: crate::codec::PacketId) {
    assert!(peer.in_window.insert(packet_id), "{packet_id} was sent twice on one connection");
    assert!(peer.in_window.len() <= peer.receive_maximum, "more than the receive maximum");
}

/// What is sent again was sent before, with that identifier, and comes in the order of then
/// `[MQTT-4.6.0-1]`.
pub(super) fn it_comes_again(peer: &mut Peer, sent: &Published, debts: &[Debt]) -> usize {
    let packet_id = sent.packet_id.expect("QoS 0 is not sent again");
    let (place, debt) = peer.carried[&packet_id];
    assert!(peer.last_again < Some(place), "sent again out of order: {sent:?}");
    peer.last_again = Some(place);
    let is_it = |number| debts[debt].messages.iter().any(|message| message.number == number);
    assert!(sent.number.is_none_or(is_it), "{packet_id} stood for another message");
    debt
}

/// Messages to one topic come in the order in which the broker took them, within a QoS
/// `[MQTT-4.6.0-6]`.
pub(super) fn none_is_passed_over(debts: &[Debt], paid: usize, session: u64) {
    let debt = &debts[paid];
    if debt.why != Why::Live {
        return;
    }
    let qos = |debt: &Debt| debt.copies[0].qos(&debt.messages[0]);
    let is_before = |earlier: &&Debt| {
        let is_for_it = earlier.why == Why::Live && earlier.copy_of(session).is_some();
        is_for_it && earlier.topic == debt.topic && qos(earlier) == qos(debt)
    };
    // A message that its publisher has sent again may be the earlier one.
    let number = debt.messages[0].number;
    let is_it = |it: &Debt| it.is_unsent() && is_before(&it) && it.messages[0].number == number;
    let first = debts.iter().position(is_it).unwrap_or(paid);
    let missed = debts[..first].iter().filter(is_before).find(|it| it.is_due && it.is_unsent());
    assert!(missed.is_none(), "{debt:?} came before {missed:?}");
}

/// QoS 2 reaches the application once; so does QoS 0, if at all.
pub(super) fn it_is_heard_once(debt: &Debt) {
    let qos = debt.sent.map_or(QoS::AtMostOnce, |sent| sent.qos);
    assert!(debt.heard <= 1 || qos == QoS::AtLeastOnce, "heard twice: {debt:?}");
}

/// There is one session for each client that has one, and nothing else is left of any.
pub(super) fn nothing_is_left_over(broker: &Broker, oracle: &Oracle) {
    let sessions = oracle.sessions.values();
    assert_eq!(broker.registry.len(), oracle.sessions.len(), "sessions");
    let subscriptions = sessions.clone().map(|it| it.subscriptions.len()).sum::<usize>();
    assert_eq!(broker.routes.len(), subscriptions, "subscriptions");
    let timers = sessions.map(|session| match &session.state {
        State::Here { .. } => 0,
        State::Away { will, .. } => 1 + usize::from(will.is_some()),
    });
    assert_eq!(broker.timers.len(), timers.sum::<usize>(), "timers");
    assert_eq!(broker.retained.size().0, oracle.retained.len(), "retained messages");
}

/// All that is due has been heard, once everybody has read and answered everything.
pub(super) fn nothing_is_missing(debts: &[Debt]) {
    let missing = debts.iter().find(|debt| debt.is_due && debt.heard == 0);
    assert!(missing.is_none(), "never came: {missing:?}");
}

/// The broker has answered everything, and waits for no answer.
pub(super) fn nobody_waits(peers: &[Peer]) {
    for (name, peer) in peers.iter().enumerate().filter(|(_, peer)| peer.wire.is_some()) {
        assert!(peer.is_done(), "{name} waits for ever: {:?}", peer.unacknowledged);
    }
}

/// The retained messages are the last of each topic.
pub(super) fn the_retained_messages_are(seen: &[Published], oracle: &Oracle) {
    let seen = seen.iter().map(|sent| {
        assert!(sent.retain && !sent.dup);
        (sent.topic.as_str(), (sent.number, sent.qos))
    });
    let wanted = oracle
        .retained
        .iter()
        .map(|(topic, message)| (*topic, (Some(message.number), message.content.qos)));
    assert_eq!(seen.collect::<BTreeMap<_, _>>(), wanted.collect::<BTreeMap<_, _>>());
}
