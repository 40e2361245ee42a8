//! Any bytes as a whole connection: no panic, and everything that the session sends is a packet of
//! its version.
#![no_main]

use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use bastionmq::clock::Now;
use bastionmq::codec::{ReasonCode, Version, next_frame};
use bastionmq::identity::ClientId;
use bastionmq::message::{QoS, SessionKey};
use bastionmq::session::{Action, Identified, Image, Input, Outbound, Output, Session, Settings};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut settings = Settings::default();
    settings.receive_maximum = NonZeroU16::new(4).unwrap();
    settings.max_inflight = NonZeroU16::new(4).unwrap();
    let settings = Arc::new(settings);
    let mut now = Now::read();
    let mut image = None;
    for connection in bytes.split_inclusive(|byte| *byte == 0xFF) {
        image = converse(&settings, &mut now, connection, image);
    }
});

/// One connection; what it leaves.
fn converse(
    settings: &Arc<Settings>,
    now: &mut Now,
    bytes: &[u8],
    mut image: Option<Image>,
) -> Option<Image> {
    let mut session = Session::new(Arc::clone(settings));
    let mut output = Output::default();
    let mut version = None;
    let mut rest = bytes;
    loop {
        let input = match next_frame(rest, 1 << 16) {
            Ok(Some(frame)) => {
                rest = &rest[frame.size..];
                *now = now.after(Duration::from_secs(u64::from(frame.first & 7)));
                match frame.decode(session.version().unwrap_or(Version::V5)) {
                    Ok(packet) => Input::Packet(packet),
                    Err(error) => Input::Malformed { error, version: frame.connect_version() },
                }
            }
            Ok(None) => break,
            Err(error) => {
                rest = &[];
                Input::Malformed { error, version: None }
            }
        };
        session.step(*now, input, &mut output);
        while let Some(action) = output.actions.pop() {
            answer(&mut session, *now, action, &mut output, &mut image);
        }
        version = version.or(session.version());
    }
    check(&output.bytes, version.unwrap_or(Version::V5));
    session.leave().map(|remains| remains.image).or(image)
}

fn answer(
    session: &mut Session,
    now: Now,
    action: Action,
    output: &mut Output,
    image: &mut Option<Image>,
) {
    match action {
        Action::Identify(request) => {
            let resumed = image.take().filter(|_| !request.clean_start);
            let client_id = ClientId::new("fuzz");
            let identified = Identified {
                client_id,
                assigned: true,
                key: SessionKey(1),
                resumed,
                authentication_data: None,
            };
            session.step(now, Input::Identified(Box::new(identified)), output);
        }
        Action::Publish { message, packet_id } => {
            if let Some(packet_id) = packet_id {
                let reason = ReasonCode::Success;
                session.step(now, Input::Published { packet_id, reason }, output);
            }
            for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
                if qos == QoS::AtMostOnce || session.window() > 0 {
                    let outbound = Outbound {
                        message: Arc::clone(&message),
                        qos,
                        retain: message.retain,
                        subscription_ids: [1, 2, 3].into_iter().collect(),
                        share: None,
                    };
                    session.step(now, Input::Deliver(outbound), output);
                }
            }
        }
        Action::Subscribe { packet_id, requests } => {
            session.step(now, Input::Subscribed { packet_id, outcomes: requests }, output);
        }
        _ => {}
    }
}

fn check(mut bytes: &[u8], version: Version) {
    while !bytes.is_empty() {
        let frame = next_frame(bytes, usize::MAX).unwrap().expect("a whole packet");
        frame.decode(version).expect("a packet that is right");
        bytes = &bytes[frame.size..];
    }
}
