//! The wire: MQTT 3.1, 3.1.1 and 5.0 packets, to and from bytes.
//!
//! Decoding borrows from the bytes it is given and allocates nothing in proportion to what a length
//! field claims. It is strict: what the standards call malformed or a protocol error is an error
//! here, with the reason code to answer. Both directions are understood, so that tests, the load
//! generator and bridges use the same code; what only a server may send is refused by the session.

mod connack;
mod connect;
mod control;
mod error;
mod fanout;
mod frame;
mod primitive;
mod property;
mod property_id;
mod publish;
mod reason;
mod suback;
mod subscribe;
mod will;

pub use connack::{ConnAck, ConnAckProperties};
pub use connect::{Connect, ConnectProperties, answer_version};
pub use control::{Ack, Auth, Disconnect};
pub use error::DecodeError;
pub use fanout::{PublishHeader, encode_publish, publish_size};
pub use frame::{Frame, MAXIMUM_PACKET_SIZE, next_frame};
pub use property::{Property, UserProperties};
pub use publish::{Delivery, PacketId, Publish, SubscriptionIds};
pub use reason::ReasonCode;
pub use suback::SubAck;
pub use subscribe::{
    RetainHandling, Subscribe, SubscribeFilters, SubscriptionOptions, Unsubscribe,
    UnsubscribeFilters,
};
pub use will::Will;

/// Which protocol a connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Version {
    /// MQTT 3.1, protocol name `MQIsdp`, level 3.
    V31 = 3,
    /// MQTT 3.1.1, level 4.
    V311 = 4,
    /// MQTT 5.0, level 5.
    V5 = 5,
}

impl Version {
    /// `3.1`, `3.1.1` or `5.0`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::V31 => "3.1",
            Self::V311 => "3.1.1",
            Self::V5 => "5.0",
        }
    }
}

/// One MQTT control packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Packet<'a> {
    /// Client to server: the first packet of a connection.
    Connect(Box<Connect<'a>>),
    /// Server to client: the answer to CONNECT.
    ConnAck(Box<ConnAck<'a>>),
    /// An application message.
    Publish(Publish<'a>),
    /// QoS 1: received.
    PubAck(Ack<'a>),
    /// QoS 2, part 1: received.
    PubRec(Ack<'a>),
    /// QoS 2, part 2: release.
    PubRel(Ack<'a>),
    /// QoS 2, part 3: complete.
    PubComp(Ack<'a>),
    /// Client to server.
    Subscribe(Subscribe<'a>),
    /// Server to client.
    SubAck(SubAck<'a>),
    /// Client to server.
    Unsubscribe(Unsubscribe<'a>),
    /// Server to client. In 3.x it carries no codes.
    UnsubAck(SubAck<'a>),
    /// Client to server.
    PingReq,
    /// Server to client.
    PingResp,
    /// The end of a connection; 3.x servers do not send it.
    Disconnect(Disconnect<'a>),
    /// Enhanced authentication, 5.0 only.
    Auth(Auth<'a>),
}
