//! Section 3.9: the return codes of SUBACK.

use super::scene::{FAILURE, QOS_2, Scene, subscribe};
use crate::harness::raw::SUBACK;
use crate::harness::{ADMIN, DEVICE1, VISITOR};

#[test]
fn v311_3_8_4_5_a_suback_says_of_each_filter_the_granted_qos_or_failure() {
    let mut scene = Scene::secure("");
    let mut client = scene.user("client", DEVICE1);
    let filters = [("devices/device1/+", 2), ("devices/device2/+", 1), ("announcements/#", 0)];
    client.send(&subscribe(1, &filters));
    client.expect_packet(SUBACK, &[0, 1, 2, FAILURE, 0]);
    // It is as the SUBACK says.
    for topic in ["devices/device2/a", "announcements/a", "devices/device1/a"] {
        scene.publish(QOS_2, topic, b"");
    }
    for (topic, qos) in [("announcements/a", 0), ("devices/device1/a", 2)] {
        let message = client.take();
        assert_eq!((message.topic.as_str(), message.qos), (topic, qos));
    }
    client.expect_silence();
}

#[test]
fn v311_3_9_3_1_the_return_codes_are_in_the_order_of_the_filters() {
    let scene = Scene::open();
    let mut client = scene.client("client");
    let wanted = (0..100_u8).map(|number| (number.to_string(), number % 7 % 3)).collect::<Vec<_>>();
    let filters = wanted.iter().map(|(filter, qos)| (filter.as_str(), *qos)).collect::<Vec<_>>();
    client.send(&subscribe(1, &filters));
    let codes = wanted.iter().map(|(_, qos)| *qos);
    client.expect_packet(SUBACK, &[0, 1].into_iter().chain(codes).collect::<Vec<_>>());
}

#[test]
fn v311_3_9_3_2_there_are_no_other_return_codes_than_0_1_2_and_128() {
    let scene = Scene::secure("\n[mqtt]\nmax_topic_levels = 3\nmax_subscriptions = 4\n");
    // What is not allowed, what has too many levels, what is one too many.
    let mut client = scene.user("client", VISITOR);
    let filters = [("lobby/client/a", 2), ("elsewhere", 1), ("lobby/client/a/b", 0), ("$SYS/#", 0)];
    client.send(&subscribe(1, &filters));
    client.expect_packet(SUBACK, &[0, 1, 1, FAILURE, FAILURE, FAILURE]);
    let mut admin = scene.user("admin", ADMIN);
    admin.send(&subscribe(1, &[("a", 0), ("b", 1), ("c", 2), ("d", 0), ("e", 1)]));
    admin.expect_packet(SUBACK, &[0, 1, 0, 1, 2, 0, FAILURE]);
}
