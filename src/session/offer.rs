//! What the server may leave out of MQTT (5.0 section 3.2.2.3), and what becomes of a client that asks
//! for it although CONNACK has said so.

use super::{Closed, Settings};
use crate::codec::{ReasonCode, Subscribe};
use crate::message::QoS;
use crate::topic::TopicFilterRef;

/// Whether a client may publish such a message `[MQTT-3.2.2-11]`, `[MQTT-3.2.2-14]`, or leave it as
/// its will `[MQTT-3.2.2-12]`, `[MQTT-3.2.2-13]`.
///
/// # Errors
/// Why the connection ends.
pub(super) fn check_message(settings: &Settings, qos: QoS, retain: bool) -> Result<(), Closed> {
    if qos > settings.maximum_qos {
        let what = "a QoS above the maximum QoS of this server";
        return Err(Closed::Violation { reason: ReasonCode::QoSNotSupported, what });
    }
    if retain && !settings.retain_available {
        let what = "a retained message, and this server retains none";
        return Err(Closed::Violation { reason: ReasonCode::RetainNotSupported, what });
    }
    Ok(())
}

/// Whether a 5.0 client may ask for this: it has been told, so that it breaks the protocol where it
/// does all the same (sections 3.2.2.3.11 to 3.2.2.3.13).
///
/// # Errors
/// Why the connection ends.
pub(super) fn check_subscribe(settings: &Settings, packet: &Subscribe<'_>) -> Result<(), Closed> {
    if packet.subscription_id.is_some() && !settings.subscription_identifiers_available {
        let what = "a subscription identifier, and this server takes none";
        let reason = ReasonCode::SubscriptionIdentifiersNotSupported;
        return Err(Closed::Violation { reason, what });
    }
    let mut filters = packet.filters.iter();
    match filters.find_map(|(filter, _)| lacking(settings, filter)) {
        Some((reason, what)) => Err(Closed::Violation { reason, what }),
        None => Ok(()),
    }
}

/// What `filter` asks for that the server does not offer, as a reason code and in words.
pub(super) fn lacking(
    settings: &Settings,
    filter: TopicFilterRef<'_>,
) -> Option<(ReasonCode, &'static str)> {
    if filter.share().is_some() && !settings.shared_subscription_available {
        let what = "a shared subscription, and this server has none";
        return Some((ReasonCode::SharedSubscriptionsNotSupported, what));
    }
    if filter.has_wildcard() && !settings.wildcard_subscription_available {
        let what = "a wildcard, and this server takes none";
        return Some((ReasonCode::WildcardSubscriptionsNotSupported, what));
    }
    None
}
