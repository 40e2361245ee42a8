//! MQTT 5.0 over TLS with rumqttc.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::harness::rumqtt::v5::{
    Client, ConnectReturnCode, ConnectionError, DisconnectReasonCode, Filter, LastWill,
    LastWillProperties, Options, PublishProperties, QoS, RetainForwardRule, StateError,
    SubscribeProperties, SubscribeReasonCode, options,
};
use crate::harness::{ADMIN, Broker, let_pass};

const ALL_QOS: [QoS; 3] = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];

async fn admin(broker: &Broker, id: &str) -> Client {
    Client::connect(options(broker, id, ADMIN)).await
}

/// Options of a session that outlives its connection by an hour.
fn lasting(broker: &Broker, id: &str, clean_start: bool) -> Options {
    let mut options = options(broker, id, ADMIN);
    options.set_clean_start(clean_start).set_session_expiry_interval(Some(3_600));
    options
}

fn will(topic: &str, payload: &str, delay_seconds: u32) -> LastWill {
    let properties = LastWillProperties {
        delay_interval: Some(delay_seconds),
        payload_format_indicator: None,
        message_expiry_interval: None,
        content_type: None,
        response_topic: None,
        correlation_data: None,
        user_properties: Vec::new(),
    };
    LastWill::new(topic, payload, QoS::AtLeastOnce, false, Some(properties))
}

#[tokio::test]
async fn a_message_arrives_with_the_lower_of_both_qos() {
    let broker = Broker::secure();
    let publisher = admin(&broker, "publisher").await;
    for granted in ALL_QOS {
        let mut subscriber = admin(&broker, "subscriber").await;
        let answer = subscriber.subscribe("a/+", granted).await;
        assert_eq!(answer.return_codes, [SubscribeReasonCode::Success(granted)]);
        for sent in ALL_QOS {
            publisher.publish("a/b", sent, "hello").await;
            let message = subscriber.message().await;
            assert_eq!(message.qos, sent.min_with(granted));
            assert_eq!((&message.topic[..], &message.payload[..]), (&b"a/b"[..], &b"hello"[..]));
        }
        subscriber.disconnect().await;
    }
}

trait MinQoS {
    fn min_with(self, other: Self) -> Self;
}

impl MinQoS for QoS {
    fn min_with(self, other: Self) -> Self {
        if (self as u8) < other as u8 { self } else { other }
    }
}

#[tokio::test]
async fn messages_of_one_publisher_stay_in_order() {
    let broker = Broker::secure();
    let mut subscriber = admin(&broker, "subscriber").await;
    let publisher = admin(&broker, "publisher").await;
    for qos in ALL_QOS {
        subscriber.subscribe("order", qos).await;
        for number in 0..300 {
            publisher.publish("order", qos, &number.to_string()).await;
        }
        for number in 0..300 {
            assert_eq!(subscriber.payload().await, number.to_string());
        }
    }
}

#[tokio::test]
async fn a_retained_message_reaches_who_subscribes_later_until_it_is_removed() {
    let broker = Broker::secure();
    let mut publisher = admin(&broker, "publisher").await;
    publisher.retain("weather", "rain").await;

    let mut early = admin(&broker, "early").await;
    early.subscribe("weather", QoS::AtMostOnce).await;
    let message = early.message().await;
    assert_eq!((message.retain, &message.payload[..]), (true, &b"rain"[..]));

    publisher.retain("weather", "").await;
    let mut late = admin(&broker, "late").await;
    late.subscribe("weather", QoS::AtMostOnce).await;
    publisher.publish("weather", QoS::AtMostOnce, "sun").await;
    let message = late.message().await;
    assert_eq!((message.retain, &message.payload[..]), (false, &b"sun"[..]));
}

#[tokio::test]
async fn retain_handling_and_retain_as_published_are_kept() {
    let broker = Broker::secure();
    let mut publisher = admin(&broker, "publisher").await;
    publisher.retain("mode", "old").await;

    let mut subscriber = admin(&broker, "subscriber").await;
    let mut filter = Filter::new("mode", QoS::AtLeastOnce);
    filter.retain_forward_rule = RetainForwardRule::Never;
    filter.preserve_retain = true;
    subscriber.mqtt.subscribe_many([filter.clone()]).await.expect("the client runs");
    subscriber.suback().await;
    publisher.retain("mode", "new").await;
    let message = subscriber.message().await;
    assert_eq!((message.retain, &message.payload[..]), (true, &b"new"[..]));

    // For an old subscription nothing is sent again.
    filter.retain_forward_rule = RetainForwardRule::OnNewSubscribe;
    filter.preserve_retain = false;
    subscriber.mqtt.subscribe_many([filter]).await.expect("the client runs");
    subscriber.suback().await;
    publisher.retain("mode", "newer").await;
    let message = subscriber.message().await;
    assert_eq!((message.retain, &message.payload[..]), (false, &b"newer"[..]));
}

#[tokio::test]
async fn a_will_is_published_when_the_connection_breaks_and_not_after_a_disconnect() {
    let broker = Broker::secure();
    let mut witness = admin(&broker, "witness").await;
    witness.subscribe("wills/#", QoS::AtLeastOnce).await;

    for (id, polite) in [("polite", true), ("broken", false)] {
        let mut options = options(&broker, id, ADMIN);
        options.set_last_will(will(&format!("wills/{id}"), id, 0));
        let mortal = Client::connect(options).await;
        if polite { mortal.disconnect().await } else { mortal.sever().await }
    }
    assert_eq!(witness.payload().await, "broken");
}

#[tokio::test]
async fn a_delayed_will_waits_and_is_withdrawn_when_its_client_returns() {
    let broker = Broker::secure();
    let mut witness = admin(&broker, "witness").await;
    witness.subscribe("wills/#", QoS::AtLeastOnce).await;

    let mut returning = lasting(&broker, "returning", true);
    returning.set_last_will(will("wills/returning", "withdrawn", 2));
    Client::connect(returning).await.sever().await;
    let returned = Client::connect(lasting(&broker, "returning", false)).await;
    assert!(returned.connack.session_present);

    let mut lost = lasting(&broker, "lost", true);
    lost.set_last_will(will("wills/lost", "delayed", 3));
    let lost = Client::connect(lost).await;
    let broken_off = tokio::time::Instant::now();
    lost.sever().await;
    // Had the first one not been withdrawn, it would have come a second earlier.
    assert_eq!(witness.payload().await, "delayed");
    assert!(broken_off.elapsed() >= Duration::from_millis(2_900), "{:?}", broken_off.elapsed());
}

#[tokio::test]
async fn a_session_outlives_its_connection_with_subscriptions_and_messages() {
    let broker = Broker::secure();
    let mut subscriber = Client::connect(lasting(&broker, "subscriber", true)).await;
    assert!(!subscriber.connack.session_present);
    subscriber.subscribe("kept", QoS::ExactlyOnce).await;
    subscriber.disconnect().await;

    let mut publisher = admin(&broker, "publisher").await;
    for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
        publisher.hand_over("kept", qos, &format!("{qos:?}")).await;
    }

    let mut subscriber = Client::connect(lasting(&broker, "subscriber", false)).await;
    assert!(subscriber.connack.session_present);
    assert_eq!(subscriber.payload().await, "AtLeastOnce");
    assert_eq!(subscriber.payload().await, "ExactlyOnce");
}

#[tokio::test]
async fn a_clean_start_forgets_the_session() {
    let broker = Broker::secure();
    let mut subscriber = Client::connect(lasting(&broker, "subscriber", true)).await;
    subscriber.subscribe("old", QoS::AtLeastOnce).await;
    subscriber.disconnect().await;
    let mut publisher = admin(&broker, "publisher").await;
    publisher.hand_over("old", QoS::AtLeastOnce, "lost").await;

    let mut subscriber = Client::connect(lasting(&broker, "subscriber", true)).await;
    assert!(!subscriber.connack.session_present);
    subscriber.subscribe("new", QoS::AtLeastOnce).await;
    publisher.retain("old", "not subscribed any more").await;
    publisher.publish("new", QoS::AtLeastOnce, "first").await;
    assert_eq!(subscriber.payload().await, "first");
}

#[tokio::test]
async fn a_session_ends_when_its_expiry_interval_has_passed() {
    let broker = Broker::secure();
    let mut options = options(&broker, "brief", ADMIN);
    options.set_session_expiry_interval(Some(1));
    Client::connect(options.clone()).await.sever().await;
    let_pass(Duration::from_millis(2_500)).await;
    options.set_clean_start(false);
    assert!(!Client::connect(options).await.connack.session_present);
}

#[tokio::test]
async fn who_connects_with_the_same_client_id_takes_over_and_the_first_is_told() {
    let broker = Broker::secure();
    let mut first = Client::connect(lasting(&broker, "twice", true)).await;
    first.subscribe("mine", QoS::AtLeastOnce).await;
    let mut second = Client::connect(lasting(&broker, "twice", false)).await;
    assert!(second.connack.session_present);
    let end = first.end().await;
    assert!(
        matches!(
            &end,
            ConnectionError::MqttState(StateError::ServerDisconnect {
                reason_code: DisconnectReasonCode::SessionTakenOver,
                ..
            })
        ),
        "{end:?}"
    );
    second.publish("mine", QoS::AtLeastOnce, "to the second").await;
    assert_eq!(second.payload().await, "to the second");
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_user_are_refused_alike() {
    let broker = Broker::secure();
    for login in [("admin", "wrong"), ("nobody", "wrong"), ("admin", ""), ("", "wrong")] {
        let refused = Client::try_connect(options(&broker, "guest", login)).await;
        let error = refused.err().expect("refused");
        let expected = ConnectReturnCode::BadUserNamePassword;
        assert!(
            matches!(&error, ConnectionError::ConnectionRefused(code) if *code == expected),
            "{login:?}: {error:?}"
        );
    }
    admin(&broker, "still welcome").await;
}

#[tokio::test]
async fn who_shows_no_credentials_is_refused() {
    let broker = Broker::secure();
    let mut anonymous = Options::new("nobody", "localhost", broker.tls_port());
    anonymous.set_transport(options(&broker, "", ADMIN).transport());
    let error = Client::try_connect(anonymous).await.err().expect("refused");
    assert!(
        matches!(
            error,
            ConnectionError::ConnectionRefused(
                ConnectReturnCode::NotAuthorized | ConnectReturnCode::BadUserNamePassword
            )
        ),
        "{error:?}"
    );
}

#[tokio::test]
async fn members_of_a_shared_subscription_get_each_message_once() {
    const MESSAGES: usize = 100;
    let broker = Broker::secure();
    let mut members = Vec::new();
    for id in ["one", "two", "three"] {
        let mut member = admin(&broker, id).await;
        member.subscribe("$share/team/tasks/#", QoS::AtLeastOnce).await;
        member.subscribe("fence", QoS::AtLeastOnce).await;
        members.push(member);
    }
    let publisher = admin(&broker, "publisher").await;
    for number in 0..MESSAGES {
        publisher.publish("tasks/item", QoS::AtLeastOnce, &number.to_string()).await;
    }
    publisher.publish("fence", QoS::AtLeastOnce, "end").await;

    let (mut seen, mut shares) = (BTreeSet::new(), Vec::new());
    for member in &mut members {
        let before = seen.len();
        loop {
            let payload = member.payload().await;
            if payload == "end" {
                break;
            }
            assert!(seen.insert(payload.clone()), "{payload} came twice");
        }
        shares.push(seen.len() - before);
    }
    assert_eq!(seen.len(), MESSAGES);
    assert!(shares.iter().all(|share| *share > 0), "{shares:?}");
}

#[tokio::test]
async fn a_message_names_the_subscription_it_came_by() {
    let broker = Broker::secure();
    let mut client = admin(&broker, "client").await;
    for (filter, id) in [("a/#", 7), ("b/#", 268_435_455)] {
        let properties = SubscribeProperties { id: Some(id), user_properties: Vec::new() };
        let subscribed =
            client.mqtt.subscribe_with_properties(filter, QoS::AtMostOnce, properties).await;
        subscribed.expect("the client runs");
        client.suback().await;
    }
    for (topic, id) in [("a/x", 7), ("b/x", 268_435_455)] {
        client.publish(topic, QoS::AtMostOnce, "").await;
        let properties = client.message().await.properties.expect("properties");
        assert_eq!(properties.subscription_identifiers, [id]);
    }
}

#[tokio::test]
async fn no_local_spares_a_client_its_own_messages() {
    let broker = Broker::secure();
    let mut client = admin(&broker, "client").await;
    let mut filter = Filter::new("room", QoS::AtLeastOnce);
    filter.nolocal = true;
    client.mqtt.subscribe_many([filter]).await.expect("the client runs");
    client.suback().await;
    client.publish("room", QoS::AtLeastOnce, "my own").await;
    // The fence goes by the same connection, behind the message.
    client.subscribe("fence", QoS::AtLeastOnce).await;
    client.publish("fence", QoS::AtLeastOnce, "fence").await;
    assert_eq!(client.payload().await, "fence");
    admin(&broker, "other").await.publish("room", QoS::AtLeastOnce, "another's").await;
    assert_eq!(client.payload().await, "another's");
}

fn properties() -> PublishProperties {
    PublishProperties::default()
}

#[tokio::test]
async fn a_message_that_has_expired_is_not_delivered_and_others_say_what_is_left() {
    let broker = Broker::secure();
    let mut subscriber = Client::connect(lasting(&broker, "subscriber", true)).await;
    subscriber.subscribe("news", QoS::AtLeastOnce).await;
    subscriber.disconnect().await;

    let mut publisher = admin(&broker, "publisher").await;
    for (payload, seconds) in [("stale", 1), ("fresh", 100)] {
        let expiry = PublishProperties { message_expiry_interval: Some(seconds), ..properties() };
        let published = publisher.mqtt.publish_with_properties(
            "news",
            QoS::AtLeastOnce,
            false,
            payload.as_bytes().to_vec(),
            expiry,
        );
        published.await.expect("the client runs");
        publisher.taken_over().await;
    }
    let_pass(Duration::from_millis(1_500)).await;

    let mut subscriber = Client::connect(lasting(&broker, "subscriber", false)).await;
    let message = subscriber.message().await;
    assert_eq!(&message.payload[..], b"fresh");
    let left = message.properties.and_then(|it| it.message_expiry_interval).expect("an expiry");
    assert!((90..100).contains(&left), "{left}");
}

#[tokio::test]
async fn a_topic_alias_stands_for_the_topic_it_was_sent_with() {
    let broker = Broker::secure();
    let mut subscriber = admin(&broker, "subscriber").await;
    subscriber.subscribe("#", QoS::AtMostOnce).await;
    let publisher = admin(&broker, "publisher").await;
    for (topic, alias) in
        [("a/long/topic", 1), ("another", 2), ("", 1), ("", 2), ("new", 1), ("", 1)]
    {
        let alias = PublishProperties { topic_alias: Some(alias), ..properties() };
        let published =
            publisher.mqtt.publish_with_properties(topic, QoS::AtLeastOnce, false, "", alias);
        published.await.expect("the client runs");
    }
    for topic in ["a/long/topic", "another", "a/long/topic", "another", "new", "new"] {
        assert_eq!(&subscriber.message().await.topic[..], topic.as_bytes());
    }
}

#[tokio::test]
async fn a_request_is_answered_where_it_says_with_what_correlates() {
    let broker = Broker::secure();
    let mut server = admin(&broker, "server").await;
    server.subscribe("requests", QoS::AtLeastOnce).await;
    let mut client = admin(&broker, "client").await;
    client.subscribe("answers/client", QoS::AtLeastOnce).await;

    let request = PublishProperties {
        payload_format_indicator: Some(1),
        content_type: Some("text/plain".to_owned()),
        response_topic: Some("answers/client".to_owned()),
        correlation_data: Some("\0\u{1}42".into()),
        user_properties: [("b", "1"), ("a", "2"), ("b", "3")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .to_vec(),
        ..properties()
    };
    let sent = request.clone();
    let published =
        client.mqtt.publish_with_properties("requests", QoS::AtLeastOnce, false, "?", sent);
    published.await.expect("the client runs");

    let received = server.message().await.properties.expect("properties");
    assert_eq!(received, request, "properties arrive as they were sent");
    let answer = PublishProperties { correlation_data: received.correlation_data, ..properties() };
    let topic = received.response_topic.expect("a response topic");
    let published =
        server.mqtt.publish_with_properties(topic, QoS::AtLeastOnce, false, "!", answer);
    published.await.expect("the client runs");
    let answer = client.message().await;
    let correlation = answer.properties.and_then(|it| it.correlation_data);
    assert_eq!(correlation.as_deref(), Some(&b"\0\x0142"[..]));
}

#[tokio::test]
async fn unsubscribing_ends_the_messages() {
    let broker = Broker::secure();
    let mut client = admin(&broker, "client").await;
    client.subscribe("a", QoS::AtLeastOnce).await;
    client.subscribe("fence", QoS::AtLeastOnce).await;
    client.mqtt.unsubscribe("a").await.expect("the client runs");
    client
        .wait_for(|packet| {
            matches!(packet, crate::harness::rumqtt::v5::Packet::UnsubAck(_)).then_some(())
        })
        .await;
    client.publish("a", QoS::AtLeastOnce, "unheard").await;
    client.publish("fence", QoS::AtLeastOnce, "fence").await;
    assert_eq!(client.payload().await, "fence");
}
