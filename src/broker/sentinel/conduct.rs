//! What a connection publishes, summed up by class of topics until the sentinel is told of it.

use std::time::{Duration, Instant};

use crate::message::Message;
use crate::sentinel::{Event, Kind, topic_class};
use crate::telemetry::logging::excerpt;
use crate::topic::TopicName;

/// What is summed up.
const PERIOD: Duration = Duration::from_secs(60);
/// Classes of topics that one connection tells apart; those beyond them are counted together.
const CLASSES: usize = 16;

/// What a connection has published within a minute, which costs a message some additions. The sentinel is
/// told when the minute is over and something comes again, or when the connection ends.
#[derive(Debug)]
pub(in crate::broker) struct Conduct {
    since: Instant,
    /// Once there are too many, the last one is of all others.
    classes: Vec<Doings>,
}

/// What was published on topics of one class.
#[derive(Debug, Default)]
struct Doings {
    /// The first of them; nothing where classes are not told apart any more.
    topic: Option<TopicName>,
    messages: u32,
    /// The bytes of the largest payload.
    largest: usize,
    /// How many have taken the place of a retained message, or removed one.
    overwritten: u32,
}

/// The place of a topic's class. It stays the same for the whole connection.
#[derive(Clone, Copy, Debug)]
pub(in crate::broker) struct Class(usize);

impl Conduct {
    pub(in crate::broker) fn since(now: Instant) -> Self {
        Self { since: now, classes: Vec::new() }
    }

    /// The client has published `message`, whose topic is of `class` where that is known.
    pub(in crate::broker) fn note(&mut self, class: &mut Option<Class>, message: &Message) {
        let Class(at) = *class.get_or_insert_with(|| self.class_of(&message.topic));
        if let Some(doings) = self.classes.get_mut(at) {
            doings.messages = doings.messages.saturating_add(1);
            doings.largest = doings.largest.max(message.payload.len());
        }
    }

    /// By that, a retained message was replaced or removed.
    pub(in crate::broker) fn note_overwritten(&mut self, topic: &TopicName) {
        let Class(at) = self.class_of(topic);
        if let Some(doings) = self.classes.get_mut(at) {
            doings.overwritten = doings.overwritten.saturating_add(1);
        }
    }

    fn class_of(&mut self, topic: &TopicName) -> Class {
        let class = topic_class(topic.as_str());
        let is_same = |doings: &Doings| {
            doings.topic.as_ref().is_none_or(|it| topic_class(it.as_str()) == class)
        };
        Class(self.classes.iter().position(is_same).unwrap_or_else(|| {
            let topic = (self.classes.len() < CLASSES).then(|| topic.clone());
            self.classes.push(Doings { topic, ..Doings::default() });
            self.classes.len() - 1
        }))
    }

    /// Tells of the minute before, if it is over.
    pub(in crate::broker) fn tell_in_time(
        &mut self,
        now: Instant,
        who: impl Fn(Kind) -> Event,
        tell: impl FnMut(Event),
    ) {
        if now.saturating_duration_since(self.since) >= PERIOD {
            self.since = now;
            self.tell(who, tell);
        }
    }

    /// Tells of all that was not told; each event is of `who`.
    pub(in crate::broker) fn tell(
        &mut self,
        who: impl Fn(Kind) -> Event,
        mut tell: impl FnMut(Event),
    ) {
        for doings in &mut self.classes {
            let Doings { messages, largest, overwritten, .. } = *doings;
            let topic = doings.topic.take();
            let of = |kind| Event {
                topic: topic.as_ref().map(|it| excerpt(it.as_str()).into()),
                ..who(kind)
            };
            if messages > 0 {
                tell(Event { number: messages.into(), ..of(Kind::Published) });
                tell(Event { number: largest as f64, ..of(Kind::Payload) });
            }
            if overwritten > 0 {
                tell(Event { times: overwritten, ..of(Kind::Overwritten) });
            }
            *doings = Doings { topic, ..Doings::default() };
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::message::QoS;

    fn message(topic: &str, bytes: usize) -> Message {
        Message {
            topic: TopicName::parse(topic).expect("a topic"),
            payload: Bytes::from(vec![0; bytes]),
            properties: Bytes::new(),
            qos: QoS::AtMostOnce,
            retain: false,
            expiry: None,
            publisher: None,
            trace: None,
            arrived: None,
        }
    }

    fn told(conduct: &mut Conduct, now: Instant) -> Vec<String> {
        let mut told = Vec::new();
        let who = |kind| Event::new(kind, "");
        conduct.tell_in_time(now, who, |event| {
            let Event { kind, topic, times, number, .. } = event;
            told.push(format!(
                "{} {} {times} {number}",
                kind.name(),
                topic.as_deref().unwrap_or("-")
            ));
        });
        told
    }

    #[test]
    fn a_minute_is_summed_up_by_class_of_topics() {
        let begin = Instant::now();
        let mut conduct = Conduct::since(begin);
        let mut class = None;
        for (topic, bytes) in [("a/b/c", 7), ("a/b/d", 9), ("a/c", 2)] {
            class = None;
            conduct.note(&mut class, &message(topic, bytes));
        }
        conduct.note(&mut class, &message("a/c", 1));
        conduct.note_overwritten(&message("a/b/x", 0).topic);
        assert_eq!(told(&mut conduct, begin + PERIOD / 2), Vec::<String>::new());
        let all = ["published a/b/c 1 2", "payload a/b/c 1 9", "overwritten a/b/c 1 1"];
        let others = ["published a/c 1 2", "payload a/c 1 2"];
        assert_eq!(told(&mut conduct, begin + PERIOD), [&all[..], &others].concat());
        assert_eq!(told(&mut conduct, begin + PERIOD * 2), Vec::<String>::new());
        conduct.note(&mut class, &message("a/c", 3));
        assert_eq!(
            told(&mut conduct, begin + PERIOD * 3),
            ["published a/c 1 1", "payload a/c 1 3"]
        );
    }

    #[test]
    fn classes_beyond_so_many_are_counted_together() {
        let begin = Instant::now();
        let mut conduct = Conduct::since(begin);
        for number in 0..100 {
            conduct.note(&mut None, &message(&format!("t/{number}"), 1));
        }
        let told = told(&mut conduct, begin + PERIOD);
        assert_eq!(told.len(), 2 * (CLASSES + 1));
        assert_eq!(told[2 * CLASSES..], ["published - 1 84", "payload - 1 1"]);
    }
}
