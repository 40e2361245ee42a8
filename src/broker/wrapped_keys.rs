//! Keys that an operator has wrapped for a device, given to that device when it asks. What is given is
//! sealed for the device alone: the broker needs no key for it, and can read none.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::gate::Who;
use super::mailbox::{Mailbox, Pushed};
use crate::codec::{Property, ReasonCode, SubscriptionIds};
use crate::keys::wrapped_keys_for;
use crate::message::Message;
use crate::session::Outbound;
use crate::topic::TopicName;

/// What a client publishes to, to ask for its keys.
pub(super) const ASKED_ON: &str = "$bastion/keys/get";
/// What the answer comes on, where the client names no response topic.
pub(super) const ANSWERED_ON: &str = "$bastion/keys/answer";
/// Between two requests of one connection.
const BETWEEN: Duration = Duration::from_secs(1);

/// Where the wrapped keys of all devices are.
#[derive(Clone, Debug, Default)]
pub(super) struct WrappedKeys(pub(super) Option<PathBuf>);

/// Who asks, with what, and where the answer goes.
pub(super) struct Request<'a> {
    pub(super) who: &'a Who,
    pub(super) message: &'a Message,
    pub(super) mailbox: &'a Arc<Mailbox>,
    /// When the connection has last asked.
    pub(super) last: &'a mut Option<Instant>,
    pub(super) now: Instant,
}

impl WrappedKeys {
    /// Has a client given the keys that are wrapped for its principal, and says what its request is
    /// acknowledged with. The files are read elsewhere: nobody waits for the disk.
    pub(super) fn give(&self, request: Request<'_>) -> ReasonCode {
        let Request { who, message, mailbox, last, now } = request;
        let (Some(directory), Some(device)) = (self.0.clone(), who.principal.name()) else {
            return ReasonCode::NotAuthorized;
        };
        if last.is_some_and(|last| now.saturating_duration_since(last) < BETWEEN) {
            return ReasonCode::QuotaExceeded;
        }
        *last = Some(now);
        let Some(blank) = blank_answer(message) else { return ReasonCode::TopicNameInvalid };
        let (device, mailbox) = (device.to_owned(), Arc::clone(mailbox));
        let answer = move || match wrapped_keys_for(&directory, &device) {
            Ok(keys) => match serde_json::to_vec(&keys) {
                Ok(payload) => deliver(&mailbox, Message { payload: payload.into(), ..blank }),
                Err(error) => tracing::error!(device, "wrapped keys cannot be written: {error}"),
            },
            Err(error) => tracing::error!(device, "wrapped keys are not given: {error}"),
        };
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(answer)),
            Err(_) => answer(),
        }
        ReasonCode::Success
    }
}

/// The answer without its payload: on the response topic of the request and with its correlation data,
/// where there are any. Nobody else hears of it, so whatever topic is named harms nobody.
fn blank_answer(request: &Message) -> Option<Message> {
    let mut topic = ANSWERED_ON;
    let mut correlation = None;
    for property in Property::iter(&request.properties) {
        match property {
            Property::ResponseTopic(name) => topic = name,
            Property::CorrelationData(_) => correlation = Some(property),
            _ => {}
        }
    }
    Some(Message {
        topic: TopicName::parse(topic).ok()?,
        payload: Bytes::new(),
        properties: Property::encode_all(correlation).into(),
        qos: request.qos,
        retain: false,
        expiry: None,
        arrived: None,
        publisher: None,
        trace: None,
    })
}

fn deliver(mailbox: &Mailbox, message: Message) {
    let outbound = Outbound {
        qos: message.qos,
        message: Arc::new(message),
        retain: false,
        subscription_ids: SubscriptionIds::new(),
        share: None,
        kept: None,
        was_sent: false,
    };
    let mut wakes = Vec::new();
    if !matches!(mailbox.push(outbound, &mut wakes), Pushed::Waiting { .. }) {
        tracing::debug!("wrapped keys are not given: the client has gone, or its queue is full");
    }
    wakes.into_iter().for_each(|bell| bell.ring());
}
