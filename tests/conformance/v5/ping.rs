//! PINGREQ and PINGRESP (3.12 and 3.13).

use super::stage::Stage;
use crate::harness::raw::{PINGREQ, PINGRESP, packet};

#[test]
fn v5_3_12_4_1_a_pingreq_is_answered_with_a_pingresp() {
    let stage = Stage::open();
    let mut client = stage.client("client");
    for count in [1, 5] {
        client.send(&packet(PINGREQ, &[]).repeat(count));
        for _ in 0..count {
            let frame = client.read();
            assert!(frame.first == PINGRESP && frame.body.is_empty(), "{frame:?}");
        }
    }
}
