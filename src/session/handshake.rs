//! CONNECT to CONNACK: what is asked for, and what is answered.

use std::borrow::Cow;
use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::authentication::{self, Answer, Authentication};
use super::farewell::{self, LastWord};
use super::lifetime::{Adjusted, Lifetime};
use super::outbound::Sender;
use super::{
    AuthenticationRequest, Closed, ConnectRequest, Identified, Input, Output, Settings, Will,
    offer, violation,
};
use crate::clock::Now;
use crate::codec::{self, ConnAck, ConnAckProperties, Connect, Packet, ReasonCode, Version};
use crate::identity::Credentials;
use crate::message::{Message, QoS};
use crate::secret::Secret;

/// What a CONNECT settled, kept until the broker says who it is.
#[derive(Debug)]
pub(super) struct Handshake {
    pub(super) version: Version,
    pub(super) sender: Sender,
    pub(super) lifetime: Lifetime,
    pub(super) authentication: Option<Authentication>,
    adjusted: Adjusted,
    wants_response_information: bool,
}

impl Handshake {
    /// Reads a CONNECT: what to remember, and whom to ask for.
    ///
    /// # Errors
    /// Why the connection ends, where it asks for what is not supported or not allowed.
    pub(super) fn begin(
        connect: &Connect<'_>,
        settings: &Settings,
        now: Now,
    ) -> Result<(Self, ConnectRequest), Closed> {
        check(connect, settings)?;
        let will = connect.will.as_ref().map(|will| Box::new(own_will(will)));
        let (lifetime, adjusted) = Lifetime::new(connect, will.clone(), settings, now.instant);
        let properties = &connect.properties;
        let authentication = properties.authentication_method.map(|method| AuthenticationRequest {
            method: Arc::from(method),
            data: properties.authentication_data.map(Secret::from),
        });
        let method = authentication.as_ref().map(|request| Arc::clone(&request.method));
        let handshake = Self {
            version: connect.version,
            sender: Sender::new(connect.version, &connect.properties, settings),
            lifetime,
            authentication: method.map(Authentication::new),
            adjusted,
            wants_response_information: connect
                .properties
                .request_response_information
                .unwrap_or(false),
        };
        let request = ConnectRequest {
            version: connect.version,
            client_id: connect.client_id.to_owned(),
            clean_start: connect.clean_start,
            credentials: Credentials {
                user_name: connect.user_name.map(Arc::from),
                password: connect.password.map(Secret::from),
            },
            authentication,
            will,
            session_expiry: handshake.lifetime.session_expiry(),
        };
        Ok((handshake, request))
    }

    /// The CONNACK that welcomes the client; `None` where the client takes no packet of its size.
    /// Response information is a courtesy, and given up for that.
    pub(super) fn welcome(
        &self,
        identified: &Identified,
        settings: &Settings,
    ) -> Option<Packet<'static>> {
        let mut welcome = self.full_welcome(identified, settings);
        if !self.takes(&Packet::ConnAck(Box::new(welcome.clone()))) {
            welcome.properties.response_information = None;
        }
        Some(Packet::ConnAck(Box::new(welcome))).filter(|packet| self.takes(packet))
    }

    /// What happens while the broker finds out who the client is. It may send AUTH and DISCONNECT
    /// only, and AUTH only when asked `[MQTT-3.1.2-30]`.
    ///
    /// # Errors
    /// Why the connection ends.
    pub(super) fn step(&mut self, input: Input<'_>, output: &mut Output) -> Result<(), Closed> {
        match input {
            Input::Packet(Packet::Auth(auth)) => {
                output.actions.push(authentication::on_auth(&mut self.authentication, &auth)?);
                Ok(())
            }
            Input::Packet(Packet::Disconnect(disconnect)) => {
                Err(Closed::ByClient(disconnect.reason))
            }
            Input::Packet(_) => Err(violation("a packet before CONNACK that is not AUTH")),
            Input::Malformed { error, .. } => Err(Closed::Malformed(error)),
            Input::Challenge { data } => {
                let Some(authentication) = &mut self.authentication else { return Ok(()) };
                let limit = self.sender.maximum_packet_size();
                let challenge = authentication.answer(Answer::Challenge, data, limit)?;
                output.send_any(challenge, self.version);
                Ok(())
            }
            _ => Err(Closed::Lost),
        }
    }

    /// The CONNACK that turns the client away, where it takes one.
    pub(super) fn refusal<'a>(&self, word: LastWord<'a>) -> Option<Packet<'a>> {
        farewell::refusal(word, self.version, self.sender.maximum_packet_size())
    }

    fn takes(&self, packet: &Packet<'_>) -> bool {
        packet.encoded_size(self.version) <= self.sender.maximum_packet_size()
    }

    fn full_welcome(&self, identified: &Identified, settings: &Settings) -> ConnAck<'static> {
        let properties = ConnAckProperties {
            session_expiry_interval: self.adjusted.session_expiry_interval,
            receive_maximum: unless_default(settings.receive_maximum),
            maximum_packet_size: Some(settings.max_packet_size),
            assigned_client_identifier: identified
                .assigned
                .then(|| Cow::Owned(identified.client_id.as_str().to_owned())),
            // What is not said is available.
            maximum_qos: Some(settings.maximum_qos).filter(|qos| *qos < QoS::ExactlyOnce),
            retain_available: unless_true(settings.retain_available),
            wildcard_subscription_available: unless_true(settings.wildcard_subscription_available),
            subscription_identifiers_available: unless_true(
                settings.subscription_identifiers_available,
            ),
            shared_subscription_available: unless_true(settings.shared_subscription_available),
            topic_alias_maximum: Some(settings.topic_alias_maximum).filter(|maximum| *maximum > 0),
            server_keep_alive: self.adjusted.server_keep_alive,
            response_information: self.response_information(settings),
            authentication_method: self
                .authentication
                .as_ref()
                .map(|authentication| Cow::Owned(authentication.method().to_owned())),
            authentication_data: identified.authentication_data.clone().map(Cow::Owned),
            ..ConnAckProperties::default()
        };
        ConnAck {
            session_present: identified.resumed.is_some(),
            reason: ReasonCode::Success,
            properties,
        }
    }

    fn response_information(&self, settings: &Settings) -> Option<Cow<'static, str>> {
        let text = Some(&settings.response_information).filter(|text| !text.is_empty())?;
        self.wants_response_information.then(|| Cow::Owned(text.clone()))
    }
}

fn check(connect: &Connect<'_>, settings: &Settings) -> Result<(), Closed> {
    let Some(will) = &connect.will else { return Ok(()) };
    offer::check_message(settings, will.qos, will.retain)?;
    let levels = usize::from(settings.max_topic_levels.get());
    if will.topic.levels().take(levels + 1).count() > levels {
        return Err(Closed::Violation {
            reason: ReasonCode::TopicNameInvalid,
            what: "a will topic of too many levels",
        });
    }
    Ok(())
}

fn unless_true(is_available: bool) -> Option<bool> {
    (!is_available).then_some(false)
}

fn unless_default(maximum: NonZeroU16) -> Option<NonZeroU16> {
    Some(maximum).filter(|maximum| *maximum != NonZeroU16::MAX)
}

fn own_will(will: &codec::Will<'_>) -> Will {
    let seconds = |seconds: u32| Duration::from_secs(seconds.into());
    Will {
        message: Message {
            topic: will.topic.to_owned(),
            payload: Bytes::copy_from_slice(will.payload),
            properties: Bytes::copy_from_slice(&will.properties),
            qos: will.qos,
            retain: will.retain,
            expiry: None,
            arrived: None,
            publisher: None,
            trace: None,
        },
        message_expiry: will.message_expiry_interval.map(seconds),
        delay: will.delay_interval.map(seconds).unwrap_or_default(),
    }
}
