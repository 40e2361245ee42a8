//! Traces as they are begun and ended, without a collector.

use bytes::Bytes;

use super::*;
use crate::clock::Now;
use crate::codec::{Property, ReasonCode, Version};
use crate::message::{Message, QoS};
use crate::topic::TopicName;

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fn tracer(settings: &Settings) -> Arc<Tracer> {
    let url = "http://127.0.0.1:9/v1/traces".parse().unwrap();
    let access = Access { url, tls: None, token: None };
    let endpoint = Endpoint { access, timeout: Duration::from_secs(1) };
    Arc::new(Tracer::new(endpoint, settings, Arc::new(Metrics::new())))
}

fn with(connect_ratio: f64, publish_ratio: f64) -> Settings {
    Settings {
        connect_ratio: Ratio::of(connect_ratio),
        publish_ratio: Ratio::of(publish_ratio),
        forced_per_second: 5,
        forced_per_client_per_second: 2,
        ..Settings::default()
    }
}

fn message(properties: &[(&str, &str)]) -> Message {
    let pairs = properties.iter().map(|(name, value)| Property::User(name, value));
    Message {
        topic: TopicName::parse("a/topic").unwrap(),
        payload: Bytes::from_static(b"payload"),
        properties: Property::encode_all(pairs).into(),
        qos: QoS::AtLeastOnce,
        retain: false,
        expiry: None,
        arrived: None,
        publisher: None,
        trace: None,
    }
}

fn begin(sampler: &mut PublishSampler, message: &Message, now: Now) -> Option<PublishTrace> {
    let considered = sampler.considers(message)?;
    sampler.begin(considered, message, Version::V5, now)
}

#[test]
fn a_message_is_traced_where_the_ratio_or_its_publisher_says_so() {
    let now = Now::read();
    let (plain, asking) = (message(&[]), message(&[("traceparent", PARENT)]));
    let mut none = tracer(&with(0.0, 0.0)).publications().unwrap();
    assert!(begin(&mut none, &plain, now).is_none());
    let unsampled = PARENT.replace("-01", "-00");
    let unsampled = message(&[("traceparent", &unsampled)]);
    assert!(begin(&mut none, &unsampled, now).is_none());
    assert!(begin(&mut none, &message(&[("traceparent", "rubbish")]), now).is_none());
    let forced = begin(&mut none, &asking, now).unwrap();
    assert_eq!(forced.shared().context.trace.to_string(), PARENT[3..35]);
    assert_ne!(forced.shared().context.span.to_string(), PARENT[36..52]);
    let mut all = tracer(&with(0.0, 1.0)).publications().unwrap();
    assert!(begin(&mut all, &plain, now).is_some());
    // Whose child it is does not depend on why it is traced.
    let child = begin(&mut all, &unsampled, now).unwrap();
    assert_eq!(child.shared().context.trace.to_string(), PARENT[3..35]);
}

#[test]
fn no_client_and_not_all_of_them_have_everything_traced() {
    let asking = message(&[("traceparent", PARENT)]);
    let tracer = tracer(&with(0.0, 0.0));
    let now = Now::read();
    let mut clients: Vec<_> = (0..10).map(|_| tracer.publications().unwrap()).collect();
    let mut traced = |now| {
        let each = clients
            .iter_mut()
            .map(|client| (0..1_000).filter(|_| begin(client, &asking, now).is_some()).count());
        each.collect::<Vec<_>>()
    };
    assert_eq!(traced(now), [2, 2, 1, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(traced(now.after(Duration::from_secs(1))).iter().sum::<usize>(), 5);
    tracer.follow(&Settings { forced_per_second: 0, ..with(0.0, 0.0) });
    assert_eq!(traced(now.after(Duration::from_secs(2))).iter().sum::<usize>(), 0);
}

#[test]
fn a_publication_and_its_deliveries_are_spans_of_one_trace() {
    let now = Now::read();
    let tracer = tracer(&Settings { max_deliveries: 2, ..with(0.0, 1.0) });
    let mut sampler = tracer.publications().unwrap();
    let mut trace = begin(&mut sampler, &message(&[]), now).unwrap();
    let later = now.instant + Duration::from_millis(2);
    trace.shared().set_routed(3, later);
    let shared = Arc::clone(trace.shared());
    let deliver = || DeliveryTrace::begin(&tracer, &shared, QoS::AtMostOnce, Version::V311);
    let deliveries: Vec<_> = (0..3).filter_map(|_| deliver()).collect();
    assert_eq!(deliveries.len(), 2);
    deliveries.into_iter().for_each(|it| it.end(later + Duration::from_millis(1)));
    trace.set_reason(ReasonCode::Success);
    trace.await_commit(later);
    trace.end(later + Duration::from_millis(5));
    let spans = tracer.exporter.take_waiting();
    let names: Vec<_> = spans.iter().map(|span| span.name).collect();
    assert_eq!(names, ["deliver", "deliver", "store commit", "publish"]);
    let root = spans.last().unwrap();
    assert_eq!((root.parent, root.start), (None, now.unix));
    assert_eq!(root.end - root.start, Duration::from_millis(7));
    assert!(root.failure.is_none());
    assert!(root.attributes.contains(&("bastionmq.recipients", Value::Number(3))));
    for (place, span) in spans.iter().enumerate().take(3) {
        assert_eq!((span.trace, span.parent), (root.trace, Some(root.id)));
        assert_eq!(span.start - root.start, Duration::from_millis(2));
        assert!(spans.iter().skip(place + 1).all(|other| other.id != span.id));
    }
    assert!(!root.attributes.iter().any(|(key, _)| *key == "messaging.destination.name"));
}

#[test]
fn whatever_is_dropped_before_its_end_has_failed() {
    let tracer = tracer(&with(1.0, 1.0));
    let mut trace = tracer.connections().unwrap().sample().unwrap();
    trace.begin(Stage::Tls, Instant::now());
    drop(trace);
    let mut trace = tracer.connections().unwrap().sample().unwrap();
    trace.begin(Stage::Authenticate, Instant::now());
    trace.fail_stage("NotAuthorized");
    trace.end_stage(Instant::now());
    trace.set_reason(ReasonCode::NotAuthorized);
    trace.end(Instant::now());
    let mut sampler = tracer.publications().unwrap();
    drop(begin(&mut sampler, &message(&[]), Now::read()));
    let spans = tracer.exporter.take_waiting();
    let all: Vec<_> = spans.iter().map(|it| (it.name, it.failure.as_deref())).collect();
    let (broken, refused) = (Some("broken_off"), Some("NotAuthorized"));
    assert_eq!(
        all,
        [
            ("wait for turn", None),
            ("tls handshake", broken),
            ("connect", broken),
            ("wait for turn", None),
            ("authenticate", refused),
            ("connect", refused),
            ("publish", broken),
        ]
    );
    assert!(spans.iter().all(|span| span.end >= span.start));
}
