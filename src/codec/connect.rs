//! CONNECT (section 3.1 of both standards).

use std::fmt;
use std::num::{NonZeroU16, NonZeroU32};

use super::primitive::{Reader, Writer, varint};
use super::property::Properties;
use super::property_id as id;
use super::{DecodeError, UserProperties, Version, Will, will};

/// The first packet of a connection.
#[derive(Clone, PartialEq, Eq)]
pub struct Connect<'a> {
    /// Protocol name and level.
    pub version: Version,
    /// Clean Start; Clean Session in 3.x.
    pub clean_start: bool,
    /// Keep alive in seconds; 0 turns it off.
    pub keep_alive: u16,
    /// May be empty: the server then assigns one.
    pub client_id: &'a str,
    /// The will, where there is one.
    pub will: Option<Will<'a>>,
    /// The user name, where there is one.
    pub user_name: Option<&'a str>,
    /// The password, where there is one.
    pub password: Option<&'a [u8]>,
    /// 5.0 only; all absent in 3.x.
    pub properties: ConnectProperties<'a>,
}

/// The properties of CONNECT (5.0 section 3.1.2.11). Absent means the standard's default.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ConnectProperties<'a> {
    /// Seconds; `u32::MAX` never expires. Absent is 0.
    pub session_expiry_interval: Option<u32>,
    /// How many QoS 1 and 2 messages the client takes at once. Absent is 65,535.
    pub receive_maximum: Option<NonZeroU16>,
    /// Bytes of the largest packet that the client takes. Absent is without limit.
    pub maximum_packet_size: Option<NonZeroU32>,
    /// How many topic aliases the client takes. Absent is 0.
    pub topic_alias_maximum: Option<u16>,
    /// Whether the client asks for response information. Absent is no.
    pub request_response_information: Option<bool>,
    /// Whether reason strings and user properties may be sent on failures. Absent is yes.
    pub request_problem_information: Option<bool>,
    /// Name and value pairs.
    pub user_properties: UserProperties<'a>,
    /// The method of enhanced authentication.
    pub authentication_method: Option<&'a str>,
    /// The first data of enhanced authentication.
    pub authentication_data: Option<&'a [u8]>,
}

const CLEAN_START: u8 = 0x02;
const PASSWORD: u8 = 0x40;
const USER_NAME: u8 = 0x80;

const PROTOCOLS: [(&str, Version); 3] =
    [("MQTT", Version::V5), ("MQTT", Version::V311), ("MQIsdp", Version::V31)];

/// Reads the protocol name and level.
pub(super) fn protocol(packet: &mut Reader<'_>) -> Result<Version, DecodeError> {
    let (name, level) = (packet.string()?, packet.u8()?);
    PROTOCOLS
        .into_iter()
        .find(|&(known, version)| known == name && version as u8 == level)
        .map(|(_, version)| version)
        .ok_or(DecodeError::UnsupportedVersion)
}

impl<'a> Connect<'a> {
    pub(super) fn decode(packet: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let version = protocol(packet)?;
        let flags = Flags::decode(version, packet)?;
        let keep_alive = packet.u16()?;
        let properties = match version {
            Version::V5 => ConnectProperties::decode(packet)?,
            _ => ConnectProperties::default(),
        };
        let client_id = packet.string()?;
        check_client_id(client_id, version, flags)?;
        let has_will = flags.has(will::ANNOUNCED);
        let will = has_will.then(|| Will::decode(version, flags.0, packet)).transpose()?;
        let has_user_name = flags.announce(USER_NAME, version, packet);
        let user_name = has_user_name.then(|| packet.string()).transpose()?;
        let has_password = flags.announce(PASSWORD, version, packet);
        let password = has_password.then(|| packet.binary()).transpose()?;
        let clean_start = flags.has(CLEAN_START);
        Ok(Self {
            version,
            clean_start,
            keep_alive,
            client_id,
            will,
            user_name,
            password,
            properties,
        })
    }

    pub(super) fn write(&self, out: &mut Writer<'_>) {
        out.string(if self.version == Version::V31 { "MQIsdp" } else { "MQTT" });
        out.u8(self.version as u8);
        out.u8(self.flags());
        out.u16(self.keep_alive);
        if self.version == Version::V5 {
            out.properties(|section| self.properties.write(section));
        }
        out.string(self.client_id);
        if let Some(will) = &self.will {
            will.write(self.version, out);
        }
        if let Some(user_name) = self.user_name {
            out.string(user_name);
        }
        if let Some(password) = self.password {
            out.binary(password);
        }
    }

    fn flags(&self) -> u8 {
        let flag = |set: bool, flag: u8| if set { flag } else { 0 };
        flag(self.clean_start, CLEAN_START)
            | self.will.as_ref().map_or(0, Will::flags)
            | flag(self.password.is_some(), PASSWORD)
            | flag(self.user_name.is_some(), USER_NAME)
    }
}

/// The password and the data of authentication stay out of logs.
impl fmt::Debug for Connect<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connect")
            .field("version", &self.version)
            .field("clean_start", &self.clean_start)
            .field("keep_alive", &self.keep_alive)
            .field("client_id", &self.client_id)
            .field("will", &self.will)
            .field("user_name", &self.user_name)
            .field("has_password", &self.password.is_some())
            .field("properties", &self.properties)
            .finish()
    }
}

/// The version to answer a refused CONNECT in, from as much of it as there is: that which it names,
/// and the nearest one where it names none that exists. `None` where `packet` begins no CONNECT.
///
/// A level of 3.x with its highest bit set is how mosquitto's bridges introduce themselves; they go
/// on without it when they are refused in the words of 3.x, and in no other.
#[must_use]
pub fn answer_version(packet: &[u8]) -> Option<Version> {
    // Also with flags that are reserved: it is still a CONNECT, and the client of 5.0 is told.
    let (0x10..=0x1F, rest) = packet.split_first()? else { return None };
    let (_, width) = varint(rest).ok()??;
    let mut body = Reader::new(rest.get(width..)?);
    let name = body.binary().ok()?;
    match (name, body.u8().ok()?) {
        (b"MQIsdp", 3) => Some(Version::V31),
        (_, 0..=4 | 0x83 | 0x84) => Some(Version::V311),
        (_, 5..) => Some(Version::V5),
    }
}

/// 3.1 has no empty client identifier; 3.1.1 has it for clean sessions alone `[MQTT-3.1.3-8]`.
fn check_client_id(client_id: &str, version: Version, flags: Flags) -> Result<(), DecodeError> {
    let fault = match version {
        _ if !client_id.is_empty() => return Ok(()),
        Version::V5 => return Ok(()),
        Version::V311 if flags.has(CLEAN_START) => return Ok(()),
        Version::V311 => "a session that is kept has one of at least one character",
        Version::V31 => "it has at least one character",
    };
    Err(DecodeError::ClientIdentifier(fault))
}

/// The Connect Flags (5.0 section 3.1.2.3).
#[derive(Clone, Copy)]
struct Flags(u8);

impl Flags {
    const RESERVED: u8 = 0x01;

    fn decode(version: Version, packet: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let flags = Self(packet.u8()?);
        let fault = if flags.has(Self::RESERVED) {
            "the reserved flag of a CONNECT"
        } else if flags.0 & will::QOS == will::QOS {
            return Err(DecodeError::QoS);
        } else if !flags.has(will::ANNOUNCED) && flags.0 & (will::QOS | will::RETAIN) != 0 {
            "will flags without a will"
        } else if version != Version::V5 && flags.has(PASSWORD) && !flags.has(USER_NAME) {
            "a password without a user name"
        } else {
            return Ok(flags);
        };
        Err(DecodeError::Malformed(fault))
    }

    fn has(self, flag: u8) -> bool {
        self.0 & flag != 0
    }

    /// Whether `flag` says that a field follows. A 3.1 client may set it and end the packet there,
    /// which means that it has none (3.1 section 3.1, "User name and password flags").
    fn announce(self, flag: u8, version: Version, packet: &Reader<'_>) -> bool {
        self.has(flag) && !(version == Version::V31 && packet.is_empty())
    }
}

impl<'a> ConnectProperties<'a> {
    fn decode(packet: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let mut this = Self::default();
        let mut properties = Properties::of(packet)?;
        while let Some(id) = properties.next_id()? {
            let value = &mut properties.value;
            match id {
                id::SESSION_EXPIRY_INTERVAL => this.session_expiry_interval = Some(value.u32()?),
                id::RECEIVE_MAXIMUM => this.receive_maximum = Some(value.receive_maximum()?),
                id::MAXIMUM_PACKET_SIZE => {
                    this.maximum_packet_size = Some(value.maximum_packet_size()?);
                }
                id::TOPIC_ALIAS_MAXIMUM => this.topic_alias_maximum = Some(value.u16()?),
                id::REQUEST_RESPONSE_INFORMATION => {
                    this.request_response_information = Some(value.flag()?);
                }
                id::REQUEST_PROBLEM_INFORMATION => {
                    this.request_problem_information = Some(value.flag()?);
                }
                id::AUTHENTICATION_METHOD => this.authentication_method = Some(value.string()?),
                id::AUTHENTICATION_DATA => this.authentication_data = Some(value.binary()?),
                _ => properties.keep_user(id)?,
            }
        }
        if this.authentication_data.is_some() && this.authentication_method.is_none() {
            return Err(DecodeError::Protocol("authentication data without a method"));
        }
        this.user_properties = properties.user_properties();
        Ok(this)
    }

    fn write(&self, out: &mut Writer<'_>) {
        out.property_u32(id::SESSION_EXPIRY_INTERVAL, self.session_expiry_interval);
        out.property_u16(id::RECEIVE_MAXIMUM, self.receive_maximum.map(NonZeroU16::get));
        out.property_u32(id::MAXIMUM_PACKET_SIZE, self.maximum_packet_size.map(NonZeroU32::get));
        out.property_u16(id::TOPIC_ALIAS_MAXIMUM, self.topic_alias_maximum);
        out.property_flag(id::REQUEST_RESPONSE_INFORMATION, self.request_response_information);
        out.property_flag(id::REQUEST_PROBLEM_INFORMATION, self.request_problem_information);
        out.user_properties(&self.user_properties);
        out.property_string(id::AUTHENTICATION_METHOD, self.authentication_method);
        out.property_binary(id::AUTHENTICATION_DATA, self.authentication_data);
    }
}

/// As [`Connect`]'s.
impl fmt::Debug for ConnectProperties<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectProperties")
            .field("session_expiry_interval", &self.session_expiry_interval)
            .field("receive_maximum", &self.receive_maximum)
            .field("maximum_packet_size", &self.maximum_packet_size)
            .field("topic_alias_maximum", &self.topic_alias_maximum)
            .field("authentication_method", &self.authentication_method)
            .finish_non_exhaustive()
    }
}

impl Reader<'_> {
    /// Not 0 (5.0 section 3.1.2.11.3).
    pub(super) fn receive_maximum(&mut self) -> Result<NonZeroU16, DecodeError> {
        NonZeroU16::new(self.u16()?).ok_or(DecodeError::Protocol("a receive maximum is not 0"))
    }

    /// Not 0 (5.0 section 3.1.2.11.4).
    pub(super) fn maximum_packet_size(&mut self) -> Result<NonZeroU32, DecodeError> {
        NonZeroU32::new(self.u32()?).ok_or(DecodeError::Protocol("a maximum packet size is not 0"))
    }
}
