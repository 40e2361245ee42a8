//! What goes wrong on an ordinary day and is nobody's attack.

use std::net::Ipv4Addr;

use super::super::{Event, Kind};
use super::fleet::{DAY, Device, Dice, HOUR, MINUTE, Sort};

/// A step of the day.
pub(super) const STEP: u64 = 10;
/// The network of everybody on the road and of the office fails then, is noticed by and by, and is back.
const OUTAGE: u64 = 14 * HOUR;
const NOTICED: u64 = OUTAGE + 2 * MINUTE;
const BACK: u64 = OUTAGE + 10 * MINUTE;
/// The key of sealed payloads is changed then; a sensor has the new one when it has asked for it.
const NEW_KEY: u64 = 11 * HOUR;

fn refused(reason: &'static str, address: Ipv4Addr, times: u32) -> Event {
    let address = Some(address.into());
    Event { address, times, ..Event::new(Kind::ConnectionRefused, reason) }
}

/// What somebody outside does in the step that begins `now`.
pub(super) fn outside(now: u64, dice: &mut Dice, events: &mut Vec<Event>) {
    // What is in front looks whether the broker is there, and ends in the middle of a handshake.
    let probe = Ipv4Addr::new(192, 0, 2, 250);
    events.push(refused("tls_handshake", probe, 20));
    if now.is_multiple_of(MINUTE) {
        // Somebody watches the machine, and knows nothing of the proxy.
        let monitor = Ipv4Addr::new(192, 0, 2, 251);
        events.push(refused("proxy_address", monitor, 1));
        if now.is_multiple_of(5 * MINUTE) {
            events.push(refused("proxy_header", monitor, 1));
        }
        // The internet is searched for whatever answers.
        let scanner = Ipv4Addr::from_bits(0xcb00_7100 + dice.roll(256) as u32);
        events.push(refused("protocol", scanner, 1 + dice.roll(3) as u32));
        let address = Some(scanner.into());
        events.push(Event { address, ..Event::new(Kind::Malformed, "malformed_packet") });
    }
    if now.is_multiple_of(3 * HOUR) {
        // An operator mistypes the password of the page.
        let address = Some(Ipv4Addr::LOCALHOST.into());
        let mistyped = Event::new(Kind::OperatorRefused, "credentials");
        events.push(Event { address, times: 2, ..mistyped });
    }
}

/// Whether anything befalls devices in the step that begins `now`.
pub(super) fn is_eventful(now: u64) -> bool {
    (7 * HOUR..9 * HOUR).contains(&now) || (OUTAGE..BACK).contains(&now)
}

/// What befalls `device` in the step that begins `now`, whatever it does itself.
pub(super) fn befall(device: &mut Device, now: u64, dice: &mut Dice, events: &mut Vec<Event>) {
    let is_cut_off = matches!(device.sort, Sort::Tracker | Sort::App);
    match now {
        OUTAGE..NOTICED if is_cut_off => cut_off(device, now, dice, events),
        NOTICED..BACK if is_cut_off => device.acts_at = device.acts_at.max(BACK),
        _ => {}
    }
    let is_on_the_train = device.sort == Sort::App && device.number.is_multiple_of(30);
    if is_on_the_train && (8 * HOUR..9 * HOUR).contains(&now) && now.is_multiple_of(8 * MINUTE) {
        // Its password was changed, and the phone tries the old one from each network that it gets into.
        let address = Some(Ipv4Addr::from_bits(0x6440_0000 + dice.roll(1 << 16) as u32).into());
        events.push(Event { address, ..device.event(Kind::LoginRefused, "credentials") });
    }
    let watches_all = device.sort == Sort::App && device.number.is_multiple_of(200);
    if watches_all && now == 7 * HOUR {
        events.push(device.event(Kind::Subscribed, "everything"));
        events.push(device.event(Kind::Subscribed, "broad"));
    }
}

fn cut_off(device: &mut Device, now: u64, dice: &mut Dice, events: &mut Vec<Event>) {
    let steps_left = (NOTICED - now).div_ceil(STEP);
    if device.is_inside && dice.is_one_in(steps_left) {
        device.is_inside = false;
        events.push(device.event(Kind::Disconnected, "keep_alive"));
        events.push(device.event(Kind::Will, ""));
    }
    device.acts_at = BACK + dice.roll(MINUTE);
}

/// What goes wrong as `device` does something `now`.
pub(super) fn hinder(device: &Device, now: u64, dice: &mut Dice, events: &mut Vec<Event>) {
    if (BACK..BACK + 2 * MINUTE).contains(&now) {
        // All come at once, are refused, and come again.
        let reasons = match device.sort {
            Sort::App => &["rate_of_address", "too_many_of_address", "rate_of_prefix"][..],
            Sort::Tracker => &["too_many_handshakes", "too_many_tls_handshakes", "rate"][..],
            _ => &[],
        };
        for reason in reasons {
            let times = dice.roll(3) as u32;
            let event = device.event(Kind::ConnectionRefused, reason);
            events.extend((times > 0).then_some(Event {
                principal: None,
                client: None,
                times,
                ..event
            }));
        }
    }
    if device.sort == Sort::Tracker && dice.is_one_in(300) {
        events.push(device.event(Kind::Denied, "will"));
    }
    if device.sort == Sort::Sensor && (NEW_KEY..NEW_KEY + 25 * MINUTE).contains(&now) {
        let event = device.event(Kind::EnvelopeRefused, "unknown_key");
        events.extend((0..dice.roll(3)).map(|_| event.clone()));
    }
    if device.sort == Sort::Sensor && device.number.is_multiple_of(500) && now < DAY / 72 {
        // It was put back to an earlier state.
        events.push(device.event(Kind::EnvelopeRefused, "stream_reused"));
    }
}
