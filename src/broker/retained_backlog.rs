//! Retained messages owed to new subscriptions, found one filter at a time and sent in slices.

use std::collections::{BTreeMap, HashMap};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Instant;

use super::retained::RetainedMessages;
use crate::codec::SubscriptionIds;
use crate::message::{Message, QoS};
use crate::session::{Outbound, SubscribeRequest};
use crate::topic::{TopicFilter, TopicName};

/// Messages that are looked up at once.
const SLICE: usize = 256;

/// What is still to be sent to one session, which mostly is nothing and then costs nothing. However
/// many filters wait, only one slice of one of them is held; and however often a client subscribes to
/// a filter, it waits once.
#[derive(Debug, Default)]
pub(super) struct RetainedBacklog {
    owed: Option<Box<Owed>>,
}

#[derive(Debug, Default)]
struct Owed {
    /// In the order in which they were asked for.
    waiting: BTreeMap<u64, Request>,
    /// Where each filter waits.
    places: HashMap<TopicFilter, u64, foldhash::fast::RandomState>,
    next_place: u64,
    current: Option<Current>,
}

/// What comes next of a backlog.
#[derive(Debug)]
pub(super) enum Next {
    /// A message to send.
    Message(Outbound),
    /// There may be more: this many topics were looked at in vain. Never 0.
    Searched(usize),
    /// The same; and this subscription has been sent all, of which its record says otherwise.
    Paid(usize, TopicFilter),
    /// Nothing can be sent now.
    Nothing,
}

/// The request that is being served.
#[derive(Debug)]
struct Current {
    request: Request,
    messages: std::vec::IntoIter<Arc<Message>>,
    search: Search,
}

/// Where the next slice begins.
#[derive(Debug)]
enum Search {
    Start,
    After(TopicName),
    Finished,
}

#[derive(Debug)]
struct Request {
    filter: TopicFilter,
    maximum_qos: QoS,
    id: Option<NonZeroU32>,
    /// Whether the record of the subscription says that this is owed.
    is_recorded: bool,
}

impl RetainedBacklog {
    /// Owes the messages that match `subscription`: all of them, in place of what was still owed to
    /// one that it has replaced. `is_recorded` says whether the record of the subscription says so.
    pub(super) fn add(&mut self, subscription: &SubscribeRequest, is_recorded: bool) {
        self.owed.get_or_insert_default().add(subscription, is_recorded);
    }

    /// Whether anything is owed to the subscription to `filter` of which its record says so.
    pub(super) fn owes_by_record(&self, filter: &TopicFilter) -> bool {
        self.owed.as_ref().is_some_and(|owed| owed.owes_by_record(filter))
    }

    /// Owes what is still owed to a subscription to the one that has replaced it, and no more: it is
    /// sent as that one was granted `[MQTT-3.8.4-8]`.
    pub(super) fn pass_on(&mut self, subscription: &SubscribeRequest) {
        if let Some(owed) = &mut self.owed {
            owed.pass_on(subscription);
        }
    }

    /// Owes nothing any more to a subscription that has ended.
    pub(super) fn remove(&mut self, filter: &TopicFilter) {
        if let Some(owed) = &mut self.owed {
            owed.remove(filter);
        }
    }

    /// The next message, if there is one and, where it needs an acknowledgement, the window is open.
    pub(super) fn next(
        &mut self,
        retained: &RetainedMessages,
        has_window: bool,
        now: Instant,
    ) -> Next {
        let Some(owed) = &mut self.owed else { return Next::Nothing };
        let next = owed.next(retained, has_window, now);
        self.owed.take_if(|owed| owed.is_paid());
        next
    }
}

impl Owed {
    fn add(&mut self, subscription: &SubscribeRequest, is_recorded: bool) {
        let SubscribeRequest { filter, options, id } = subscription;
        self.current.take_if(|current| current.request.filter == *filter);
        let place = *self.places.entry(filter.clone()).or_insert(self.next_place);
        self.next_place += 1;
        let (filter, maximum_qos) = (filter.clone(), options.maximum_qos);
        self.waiting.insert(place, Request { filter, maximum_qos, id: *id, is_recorded });
    }

    fn owes_by_record(&self, filter: &TopicFilter) -> bool {
        let waiting = self.places.get(filter).and_then(|place| self.waiting.get(place));
        let current = self.current.as_ref().map(|current| &current.request);
        let current = current.filter(|request| request.filter == *filter);
        waiting.into_iter().chain(current).any(|request| request.is_recorded)
    }

    fn pass_on(&mut self, subscription: &SubscribeRequest) {
        let SubscribeRequest { filter, options, id } = subscription;
        let waiting = self.places.get(filter).and_then(|place| self.waiting.get_mut(place));
        let current = self.current.as_mut().map(|current| &mut current.request);
        let current = current.filter(|request| request.filter == *filter);
        for request in waiting.into_iter().chain(current) {
            request.maximum_qos = options.maximum_qos;
            request.id = *id;
        }
    }

    fn remove(&mut self, filter: &TopicFilter) {
        if let Some(place) = self.places.remove(filter) {
            self.waiting.remove(&place);
        }
        self.current.take_if(|current| current.request.filter == *filter);
    }

    fn next(&mut self, retained: &RetainedMessages, has_window: bool, now: Instant) -> Next {
        let Some(current) = self.current.take().or_else(|| self.next_request()) else {
            return Next::Nothing;
        };
        let current = self.current.insert(current);
        if let Some(message) = current.messages.as_slice().first() {
            let qos = message.qos.min(current.request.maximum_qos);
            if qos != QoS::AtMostOnce && !has_window {
                return Next::Nothing;
            }
            return current.outbound(qos).map_or(Next::Nothing, Next::Message);
        }
        let looked_at = current.look_up(retained, now);
        match self.current.take_if(|current| current.is_finished()) {
            Some(Current { request, .. }) if request.is_recorded => {
                Next::Paid(looked_at.max(1), request.filter)
            }
            _ => Next::Searched(looked_at.max(1)),
        }
    }

    fn is_paid(&self) -> bool {
        self.current.is_none() && self.waiting.is_empty()
    }

    fn next_request(&mut self) -> Option<Current> {
        let (_, request) = self.waiting.pop_first()?;
        self.places.remove(&request.filter);
        Some(Current { request, messages: Vec::new().into_iter(), search: Search::Start })
    }
}

impl Current {
    fn outbound(&mut self, qos: QoS) -> Option<Outbound> {
        let message = self.messages.next()?;
        let ids = self.request.id.iter().map(|id| id.get());
        let subscription_ids = ids.collect::<SubscriptionIds>();
        Some(Outbound {
            message,
            qos,
            retain: true,
            subscription_ids,
            share: None,
            kept: None,
            was_sent: false,
        })
    }

    /// Looks up the next slice, and says how many topics that took.
    fn look_up(&mut self, retained: &RetainedMessages, now: Instant) -> usize {
        let after = match &self.search {
            Search::Start => None,
            Search::After(topic) => Some(topic.borrowed()),
            Search::Finished => return 0,
        };
        let filter = self.request.filter.borrowed();
        let slice = retained.matching_after(after, filter, now, SLICE);
        self.messages = slice.messages.into_iter();
        self.search = slice.after.map_or(Search::Finished, Search::After);
        slice.looked_at
    }

    fn is_finished(&self) -> bool {
        matches!(self.search, Search::Finished) && self.messages.as_slice().is_empty()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::codec::SubscriptionOptions;
    use crate::router::Retained;

    fn retained(topics: &[&str]) -> RetainedMessages {
        let store = RetainedMessages::new(Retained::new(10_000, 10_000_000), None);
        for topic in topics {
            let message = Message {
                topic: TopicName::parse(topic).expect("a topic"),
                payload: Bytes::from_static(b"x"),
                properties: Bytes::new(),
                qos: QoS::AtLeastOnce,
                retain: true,
                expiry: None,
                arrived: None,
                publisher: None,
                trace: None,
            };
            store.update(&Arc::new(message)).expect("room");
        }
        store
    }

    fn request(filter: &str) -> SubscribeRequest {
        let filter = TopicFilter::parse(filter).expect("a filter");
        SubscribeRequest { filter, options: SubscriptionOptions::default(), id: None }
    }

    fn rest(backlog: &mut RetainedBacklog, store: &RetainedMessages) -> Vec<Outbound> {
        let mut rest = Vec::new();
        loop {
            match backlog.next(store, true, Instant::now()) {
                Next::Message(outbound) => rest.push(outbound),
                Next::Searched(_) | Next::Paid(..) => {}
                Next::Nothing => return rest,
            }
        }
    }

    fn topics(backlog: &mut RetainedBacklog, store: &RetainedMessages) -> Vec<String> {
        let rest = rest(backlog, store);
        rest.iter().map(|outbound| outbound.message.topic.to_string()).collect()
    }

    #[test]
    fn filters_are_served_in_the_order_in_which_they_were_asked_for() {
        let store = retained(&["a", "b", "c"]);
        let mut backlog = RetainedBacklog::default();
        for filter in ["c", "none", "+", "a"] {
            backlog.add(&request(filter), false);
        }
        assert_eq!(topics(&mut backlog, &store), ["c", "a", "b", "c", "a"]);
    }

    #[test]
    fn what_is_owed_by_record_is_said_to_be_paid_once_all_of_it_is_sent() {
        let store = retained(&["a", "b"]);
        let mut backlog = RetainedBacklog::default();
        backlog.add(&request("a"), false);
        backlog.add(&request("+"), true);
        let filter = request("+").filter;
        let mut sent = 0;
        loop {
            match backlog.next(&store, true, Instant::now()) {
                Next::Message(_) => sent += 1,
                Next::Searched(_) => {}
                Next::Paid(_, paid) => {
                    assert_eq!((sent, &paid), (3, &filter));
                    assert!(!backlog.owes_by_record(&filter));
                    break;
                }
                Next::Nothing => panic!("it was not said"),
            }
            assert!(
                backlog.owes_by_record(&filter) && !backlog.owes_by_record(&request("a").filter)
            );
        }
    }

    #[test]
    fn a_filter_that_is_asked_for_again_and_again_waits_once() {
        let store = retained(&["a"]);
        let mut backlog = RetainedBacklog::default();
        for _ in 0..100_000 {
            backlog.add(&request("a"), false);
            backlog.add(&request("#"), false);
        }
        let owed = backlog.owed.as_ref().expect("something is owed");
        assert_eq!((owed.waiting.len(), owed.places.len()), (2, 2));
        assert_eq!(topics(&mut backlog, &store), ["a", "a"]);
        backlog.add(&request("a"), false);
        assert_eq!(topics(&mut backlog, &store), ["a"]);
    }

    #[test]
    fn a_filter_that_is_asked_for_while_it_is_served_begins_anew() {
        let store = retained(&["a", "b"]);
        let mut backlog = RetainedBacklog::default();
        backlog.add(&request("+"), false);
        while !matches!(backlog.next(&store, true, Instant::now()), Next::Message(_)) {}
        backlog.add(&request("+"), false);
        assert_eq!(topics(&mut backlog, &store), ["a", "b"]);
    }

    #[test]
    fn what_is_owed_is_passed_on_to_the_subscription_that_replaces_another() {
        let store = retained(&["a", "b"]);
        let mut backlog = RetainedBacklog::default();
        backlog.add(&request("+"), false);
        backlog.add(&request("b"), false);
        while !matches!(backlog.next(&store, true, Instant::now()), Next::Message(_)) {}
        for filter in ["+", "b", "elsewhere"] {
            let mut replacement = SubscribeRequest { id: NonZeroU32::new(7), ..request(filter) };
            replacement.options.maximum_qos = QoS::AtLeastOnce;
            backlog.pass_on(&replacement);
        }
        let rest = rest(&mut backlog, &store);
        assert_eq!(rest.len(), 2);
        for outbound in rest {
            assert_eq!((outbound.message.topic.as_str(), outbound.qos), ("b", QoS::AtLeastOnce));
            assert_eq!(outbound.subscription_ids.as_slice(), [7]);
        }
    }

    #[test]
    fn nothing_is_owed_to_a_subscription_that_has_ended() {
        let store = retained(&["a", "b"]);
        let mut backlog = RetainedBacklog::default();
        backlog.add(&request("+"), false);
        backlog.add(&request("a"), false);
        while !matches!(backlog.next(&store, true, Instant::now()), Next::Message(_)) {}
        backlog.remove(&request("+").filter);
        backlog.remove(&request("a").filter);
        assert_eq!(topics(&mut backlog, &store), [""; 0]);
        assert!(backlog.owed.is_none());
    }

    #[test]
    fn what_needs_an_acknowledgement_waits_for_the_window() {
        let store = retained(&["a"]);
        let mut backlog = RetainedBacklog::default();
        let mut subscription = request("a");
        subscription.options.maximum_qos = QoS::AtLeastOnce;
        backlog.add(&subscription, false);
        while matches!(backlog.next(&store, false, Instant::now()), Next::Searched(_)) {}
        assert!(matches!(backlog.next(&store, false, Instant::now()), Next::Nothing));
        assert_eq!(topics(&mut backlog, &store), ["a"]);
    }
}
