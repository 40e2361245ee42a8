//! Enhanced authentication (5.0 section 4.12): whose turn it is. What the two sides say to each other
//! is for the broker to understand.

use std::sync::Arc;

use super::{Action, Closed, violation};
use crate::codec::{Auth, Packet, ReasonCode, Version};
use crate::secret::Secret;

/// A client that asks for authentication and takes no packet of its size.
const TOO_LARGE: Closed = Closed::Violation {
    reason: ReasonCode::PacketTooLarge,
    what: "the client's maximum packet size has no room for authentication",
};

/// The method that the CONNECT named, and how far it has come.
#[derive(Debug)]
pub(super) struct Authentication {
    method: Arc<str>,
    turn: Turn,
}

/// What the broker says to the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// More must be said `[MQTT-4.12.0-2]`.
    Challenge,
    /// The re-authentication has ended well.
    Success,
}

/// Who says the next word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    /// The broker has been asked.
    Broker,
    /// The client has been asked.
    Client,
    /// Nobody: it is done. The client may begin anew.
    Over,
}

impl Authentication {
    /// Begins with a CONNECT, which the broker answers.
    pub(super) fn new(method: Arc<str>) -> Self {
        Self { method, turn: Turn::Broker }
    }

    pub(super) fn method(&self) -> &str {
        &self.method
    }

    /// Takes an AUTH of the client, and gives what to ask the broker.
    ///
    /// # Errors
    /// Where it names another method `[MQTT-4.12.0-5]`, or says what it is not time for: only an
    /// answer to a challenge `[MQTT-4.12.0-3]`, only a new beginning when all is done.
    fn on_auth(&mut self, auth: &Auth<'_>) -> Result<Action, Closed> {
        if auth.authentication_method.as_deref() != Some(self.method()) {
            return Err(violation("an AUTH of another method than the CONNECT"));
        }
        let data = auth.authentication_data.as_deref().map(Secret::from);
        let action = match (self.turn, auth.reason) {
            (Turn::Client, ReasonCode::ContinueAuthentication) => Action::Authenticate { data },
            (Turn::Over, ReasonCode::ReAuthenticate) => Action::Reauthenticate { data },
            _ => return Err(violation("an AUTH out of turn")),
        };
        self.turn = Turn::Broker;
        Ok(action)
    }

    /// The CONNACK is sent.
    pub(super) fn end(&mut self) {
        self.turn = Turn::Over;
    }

    /// The AUTH with the broker's answer; `None` where it is not the broker's turn.
    ///
    /// # Errors
    /// Where the client takes no packet of its size `[MQTT-3.1.2-24]`.
    pub(super) fn answer(
        &mut self,
        answer: Answer,
        data: Vec<u8>,
        maximum_packet_size: usize,
    ) -> Result<Option<Packet<'_>>, Closed> {
        if self.turn != Turn::Broker {
            return Ok(None);
        }
        let reason = match answer {
            Answer::Challenge => ReasonCode::ContinueAuthentication,
            Answer::Success => ReasonCode::Success,
        };
        self.turn = match answer {
            Answer::Challenge => Turn::Client,
            Answer::Success => Turn::Over,
        };
        let packet = Packet::Auth(Auth::new(reason, self.method(), Some(data.into())));
        if packet.encoded_size(Version::V5) > maximum_packet_size {
            return Err(TOO_LARGE);
        }
        Ok(Some(packet))
    }
}

/// An AUTH of the client, as [`Authentication::on_auth`]; where its CONNECT has named no method it
/// must not send any `[MQTT-4.12.0-7]`.
pub(super) fn on_auth(
    authentication: &mut Option<Authentication>,
    auth: &Auth<'_>,
) -> Result<Action, Closed> {
    match authentication {
        Some(authentication) => authentication.on_auth(auth),
        None => Err(violation("AUTH without an authentication method")),
    }
}
