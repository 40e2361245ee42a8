//! Settings of the broker as a whole: limits and network.

use super::conf_lines::Directive;
use super::finding::Findings;
use super::output::Config;
use super::source::ImportError;
use super::{duration, lacking};

/// MQTT 5.0 section 1.5.5, with a fixed header of 5 bytes.
const LARGEST_PACKET: i64 = 268_435_460;
/// What a topic, its length and the properties of an ordinary message take besides its payload.
const AROUND_A_PAYLOAD: i64 = 65_536 + 1_024;

/// Translates all of `settings` into `config`.
pub(super) fn translate(
    settings: &[Directive],
    config: &mut Config,
    findings: &mut Findings,
) -> Result<(), ImportError> {
    for directive in settings {
        translate_one(directive, config, findings)?;
    }
    Ok(())
}

fn translate_one(
    directive: &Directive,
    config: &mut Config,
    findings: &mut Findings,
) -> Result<(), ImportError> {
    let place = Some(&directive.place);
    match &*directive.key {
        "max_packet_size" => {
            let size = match directive.number()? {
                0 => LARGEST_PACKET,
                size => size.clamp(16, LARGEST_PACKET),
            };
            config.section("mqtt").set("max_packet_size", size, place);
        }
        "message_size_limit" => payload_limit(directive, config, findings)?,
        "max_inflight_messages" => {
            let most = or_all(directive.number()?, i64::from(u16::MAX));
            config.section("mqtt").set("max_inflight", most, place);
            config.section("mqtt").set("receive_maximum", most, place);
        }
        "max_keepalive" => {
            let most = or_all(directive.number()?, i64::from(u16::MAX));
            config.section("mqtt").set("max_keep_alive_seconds", most, place);
        }
        "max_queued_messages" => match directive.number()? {
            ..=0 => unbounded(directive, findings),
            most => config.section("broker").set("max_queued_messages", within_u32(most), place),
        },
        "max_queued_bytes" => match directive.number()? {
            ..=0 => unbounded(directive, findings),
            most => config.section("broker").set("max_queued_bytes", most.min(1 << 50), place),
        },
        "global_max_connections" => match directive.number()? {
            ..=0 => {}
            most => config.section("broker").set("max_connections", within_u32(most), place),
        },
        "global_max_clients" => match directive.number()? {
            ..=0 => {}
            most => config.section("broker").set("max_sessions", within_u32(most), place),
        },
        "persistent_client_expiration" => match duration::seconds(directive.text()?) {
            Some(seconds) => {
                config.section("mqtt").set("max_session_expiry_seconds", seconds, place);
            }
            None => return Err(directive.broken("takes a number and one of h, d, w, m, y")),
        },
        "retain_available" => {
            config.section("mqtt").set("retain_available", directive.boolean()?, place);
        }
        "sys_interval" => {
            let seconds = directive.number()?.clamp(0, i64::from(u32::MAX));
            config.section("broker").set("sys_interval_seconds", seconds, place);
        }
        "set_tcp_nodelay" => {
            config.section("network").set("tcp_nodelay", directive.boolean()?, place);
        }
        // These went to who reads them: see `log` and `security`.
        "log_type" | "log_dest" | "log_facility" => {}
        "allow_anonymous" | "acl_file" | "password_file" => {}
        _ => lacking::report(directive, findings),
    }
    Ok(())
}

/// What is limited there is the payload, and here the packet.
fn payload_limit(
    directive: &Directive,
    config: &mut Config,
    findings: &mut Findings,
) -> Result<(), ImportError> {
    let payload = directive.number()?;
    let mqtt = config.section("mqtt");
    if payload <= 0 || mqtt.has("max_packet_size") {
        return Ok(());
    }
    let packet = payload.saturating_add(AROUND_A_PAYLOAD).min(LARGEST_PACKET);
    mqtt.set("max_packet_size", packet, Some(&directive.place));
    let remedy =
        "max_packet_size limits packets, not payloads: it leaves room for the longest topic";
    findings.note(&directive.place, directive.shown(), remedy);
    Ok(())
}

fn unbounded(directive: &Directive, findings: &mut Findings) {
    let remedy = "every queue has a bound here; the default stays: see [broker]";
    findings.note(&directive.place, directive.shown(), remedy);
}

fn or_all(number: i64, most: i64) -> i64 {
    if number <= 0 { most } else { number.min(most) }
}

fn within_u32(number: i64) -> i64 {
    number.min(i64::from(u32::MAX))
}
