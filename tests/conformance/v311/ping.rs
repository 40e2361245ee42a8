//! Section 3.12: PINGREQ.

use super::scene::Scene;
use crate::harness::raw::{PINGREQ, PINGRESP, packet};

#[test]
fn v311_3_12_4_1_a_pingreq_is_answered_with_pingresp() {
    let scene = Scene::open();
    let mut client = scene.client("client");
    // Each of them, also of several in one segment.
    client.send(&packet(PINGREQ, &[]).repeat(3));
    for _ in 0..3 {
        client.expect_packet(PINGRESP, &[]);
    }
    client.expect_silence();
}
