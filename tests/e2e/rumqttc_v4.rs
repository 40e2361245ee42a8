//! MQTT 3.1.1 over TLS with rumqttc.

use crate::harness::rumqtt::v4::{
    Client, ConnectReturnCode, ConnectionError, LastWill, QoS, SubscribeReasonCode, options,
};
use crate::harness::{ADMIN, Broker};

async fn admin(broker: &Broker, id: &str) -> Client {
    Client::connect(options(broker, id, ADMIN)).await
}

async fn lasting(broker: &Broker, id: &str) -> Client {
    let mut options = options(broker, id, ADMIN);
    options.set_clean_session(false);
    Client::connect(options).await
}

#[tokio::test]
async fn a_message_arrives_with_the_lower_of_both_qos() {
    let broker = Broker::secure();
    let publisher = admin(&broker, "publisher").await;
    let all = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];
    for granted in all {
        let mut subscriber = admin(&broker, "subscriber").await;
        let answer = subscriber.subscribe("a/+", granted).await;
        assert_eq!(answer.return_codes, [SubscribeReasonCode::Success(granted)]);
        for sent in all {
            publisher.publish("a/b", sent, "hello").await;
            let message = subscriber.message().await;
            assert_eq!(message.qos as u8, (sent as u8).min(granted as u8));
            assert_eq!((message.topic.as_str(), &message.payload[..]), ("a/b", &b"hello"[..]));
        }
        subscriber.disconnect().await;
    }
}

#[tokio::test]
async fn a_retained_message_reaches_who_subscribes_later() {
    let broker = Broker::secure();
    admin(&broker, "publisher").await.retain("weather", "rain").await;
    let mut late = admin(&broker, "late").await;
    late.subscribe("+", QoS::AtLeastOnce).await;
    let message = late.message().await;
    assert_eq!((message.retain, &message.payload[..]), (true, &b"rain"[..]));
}

#[tokio::test]
async fn a_will_is_published_when_the_connection_breaks_and_not_after_a_disconnect() {
    let broker = Broker::secure();
    let mut witness = admin(&broker, "witness").await;
    witness.subscribe("wills/#", QoS::AtLeastOnce).await;
    for (id, polite) in [("polite", true), ("broken", false)] {
        let mut options = options(&broker, id, ADMIN);
        options.set_last_will(LastWill::new("wills/mortal", id, QoS::ExactlyOnce, false));
        let mortal = Client::connect(options).await;
        if polite { mortal.disconnect().await } else { mortal.sever().await }
    }
    assert_eq!(witness.payload().await, "broken");
}

#[tokio::test]
async fn a_session_that_is_not_clean_outlives_its_connection() {
    let broker = Broker::secure();
    let mut subscriber = lasting(&broker, "subscriber").await;
    assert!(!subscriber.connack.session_present);
    subscriber.subscribe("kept", QoS::ExactlyOnce).await;
    subscriber.sever().await;

    let mut publisher = admin(&broker, "publisher").await;
    for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
        publisher.hand_over("kept", qos, &format!("{qos:?}")).await;
    }

    let mut subscriber = lasting(&broker, "subscriber").await;
    assert!(subscriber.connack.session_present);
    assert_eq!(subscriber.payload().await, "AtLeastOnce");
    assert_eq!(subscriber.payload().await, "ExactlyOnce");
    subscriber.disconnect().await;

    // A clean session forgets it, before and after.
    admin(&broker, "subscriber").await.disconnect().await;
    assert!(!lasting(&broker, "subscriber").await.connack.session_present);
}

#[tokio::test]
async fn who_connects_with_the_same_client_id_takes_over_and_the_first_is_cut() {
    let broker = Broker::secure();
    let mut first = admin(&broker, "twice").await;
    let mut second = admin(&broker, "twice").await;
    first.end().await;
    second.subscribe("mine", QoS::AtLeastOnce).await;
    second.publish("mine", QoS::AtLeastOnce, "to the second").await;
    assert_eq!(second.payload().await, "to the second");
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_user_are_refused_alike() {
    let broker = Broker::secure();
    for login in [("admin", "wrong"), ("nobody", "wrong")] {
        let error = Client::try_connect(options(&broker, "guest", login)).await.err();
        assert!(
            matches!(
                error,
                Some(ConnectionError::ConnectionRefused(
                    ConnectReturnCode::BadUserNamePassword | ConnectReturnCode::NotAuthorized
                ))
            ),
            "{login:?}: {error:?}"
        );
    }
}
