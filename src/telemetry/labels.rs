//! What operators can tell apart: the values of every label.

/// Declares an enum whose variants are the values of one label.
macro_rules! label {
    (
        $(#[$doc:meta])*
        $name:ident as $key:literal { $($(#[$variant_doc:meta])* $variant:ident = $value:literal,)+ }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)+
        }

        impl $name {
            const ALL: &[Self] = &[$(Self::$variant),+];

            /// The value as Prometheus and the log show it.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $value,)+
                }
            }
        }

        impl $crate::telemetry::Label for $name {
            const COUNT: usize = Self::ALL.len();

            fn at(index: usize) -> Option<Self> {
                Self::ALL.get(index).copied()
            }

            fn index(self) -> usize {
                self as usize
            }

            fn pairs(self) -> Vec<metrics::Label> {
                vec![metrics::Label::from_static_parts($key, self.name())]
            }
        }
    };
}

label! {
    /// Why a connection ended before its CONNECT was judged.
    Refusal as "reason" {
        /// The broker holds as many connections as it may.
        TooMany = "too_many_connections",
        /// Its address has as many connections as it may.
        TooManyOfAddress = "too_many_of_address",
        /// Its prefix has as many connections as it may.
        TooManyOfPrefix = "too_many_of_prefix",
        /// As many clients of its address as may have not been let in yet.
        HandshakesOfAddress = "too_many_handshakes_of_address",
        /// As many clients of its prefix as may have not been let in yet.
        HandshakesOfPrefix = "too_many_handshakes_of_prefix",
        /// As many clients as may have not been let in yet.
        Handshakes = "too_many_handshakes",
        /// As many TLS handshakes as may be are under way.
        TlsHandshakes = "too_many_tls_handshakes",
        /// Its address makes more connections in a time than it may.
        RateOfAddress = "rate_of_address",
        /// Its prefix makes more connections in a time than it may.
        RateOfPrefix = "rate_of_prefix",
        /// More connections are made in a time than may be.
        Rate = "rate",
        /// Its address is banned.
        Banned = "banned",
        /// The listener takes connections from its proxies alone.
        ProxyAddress = "proxy_address",
        /// What a proxy said in front of it was no PROXY header that is believed.
        ProxyHeader = "proxy_header",
        /// TLS, WebSocket or a PROXY header did not come to an end in time.
        HandshakeTimeout = "handshake_timeout",
        /// No CONNECT was accepted in time.
        Timeout = "connect_timeout",
        /// The TLS handshake failed.
        Tls = "tls_handshake",
        /// The request for a WebSocket was refused.
        WebSocket = "websocket_handshake",
        /// The process at the other end of a Unix socket may not connect.
        UnixPeer = "unix_peer",
        /// What came was not a CONNECT that can be answered.
        Protocol = "protocol",
    }
}

label! {
    /// How a client proved who it is.
    LoginMethod as "method" {
        /// User name and password.
        Password = "password",
        /// Enhanced authentication by SCRAM-SHA-256, or by a method that there is not.
        Scram = "scram",
        /// A client certificate.
        Certificate = "certificate",
        /// A client certificate, and the password of the user that it names.
        CertificateAndPassword = "certificate_and_password",
        /// The user of a Unix socket's other end.
        Unix = "unix",
        /// A token.
        Token = "token",
        /// User name and password, by the HTTP service.
        Http = "http",
        /// Not at all.
        Anonymous = "anonymous",
    }
}

label! {
    /// What became of a login.
    LoginResult as "result" {
        /// Let in.
        Accepted = "accepted",
        /// Wrong, unknown or missing credentials, or a client id that is another's.
        Refused = "refused",
        /// Too many logins were waiting.
        Busy = "busy",
        /// Not looked at, after too many failures.
        LockedOut = "locked_out",
        /// Of somebody who is banned.
        Banned = "banned",
    }
}

label! {
    /// What became of an operator who wanted to look at the administrative page.
    AdminLogin as "result" {
        /// Let in.
        Accepted = "accepted",
        /// Wrong or unknown credentials.
        Refused = "refused",
        /// Not looked at, after too many failures.
        LockedOut = "locked_out",
        /// Not looked at, since too many others waited.
        Busy = "busy",
    }
}

label! {
    /// What came of a login that was put to the HTTP service.
    HttpAuthResult as "result" {
        /// It lets the client in.
        Allowed = "allowed",
        /// It does not.
        Denied = "denied",
        /// It leaves that to the next authenticator.
        Ignored = "ignored",
        /// Not asked: it has let the same client in lately.
        Cached = "cached",
        /// Not asked: too many others were waiting.
        Busy = "busy",
        /// Not asked, after too many failures.
        LeftAlone = "left_alone",
        /// It has not answered in time.
        Timeout = "timeout",
        /// It could not be asked, or its answer could not be used.
        Failed = "failed",
    }
}

label! {
    /// Who was locked out after failed logins.
    LockoutScope as "scope" {
        /// A user, from one address.
        User = "user",
        /// An address, with all users that have not logged in there before.
        Address = "address",
    }
}

label! {
    /// Whom a ban or a quarantine is about.
    BanKind as "kind" {
        /// A principal.
        Principal = "principal",
        /// A client identifier.
        ClientId = "client_id",
        /// One address.
        Address = "address",
        /// All addresses of a network.
        Prefix = "prefix",
        /// A client certificate.
        Certificate = "certificate",
    }
}

label! {
    /// Of which rules of the sentinel.
    RuleSort as "rules" {
        /// Those that count what goes wrong.
        Counting = "counting",
        /// Those that learn what is usual.
        Learning = "learning",
    }
}

label! {
    /// What is done to somebody who has broken a rule of the sentinel.
    SentinelResponse as "response" {
        /// Its connections end.
        Disconnect = "disconnect",
        /// It is in quarantine for a time.
        Quarantine = "quarantine",
        /// It is banned for a time.
        Ban = "ban",
        /// It may publish less, and is sent less, for a time.
        Tighten = "tighten",
    }
}

label! {
    /// What has become of an alert for the webhook.
    WebhookResult as "result" {
        /// It was taken.
        Delivered = "delivered",
        /// The other side finds fault with it.
        Refused = "refused",
        /// It was tried again and again in vain.
        Failed = "failed",
        /// Too many others waited.
        Dropped = "dropped",
    }
}

label! {
    /// What has become of a span of a trace.
    SpanResult as "result" {
        /// The collector has it.
        Exported = "exported",
        /// The collector does not want it.
        Rejected = "rejected",
        /// It was tried again and again in vain.
        Failed = "failed",
        /// Too many others waited.
        Dropped = "dropped",
    }
}

label! {
    /// Why something is traced, or is not.
    TraceDecision as "decision" {
        /// Its ratio says so.
        Sampled = "sampled",
        /// Its publisher has asked for it.
        Forced = "forced",
        /// Its publisher has asked for it too often.
        Refused = "refused",
    }
}

label! {
    /// What has come of that.
    ResponseOutcome as "outcome" {
        /// It was done.
        Done = "done",
        /// It would have been, but the rule is only tried.
        DryRun = "dry_run",
        /// The allow-list keeps from it.
        Allowed = "allowed",
        /// There are as many bans as there may be.
        Full = "full",
        /// The event has nobody to do it to who has proven who it is.
        Nobody = "nobody",
        /// The audit log, which is strict, cannot be written.
        Unwritten = "unwritten",
    }
}

label! {
    /// Why the proof of an identity does not hold any more.
    Revocation as "why" {
        /// The user is not in the password file any more.
        UserRemoved = "user_removed",
        /// The user has another password.
        PasswordChanged = "password_changed",
        /// The listener does not believe the client certificate any more.
        Certificate = "certificate",
        /// The key that has signed its token is not believed any more.
        TokenKeyRemoved = "token_key_removed",
        /// The HTTP service that has let it in does not any more.
        HttpService = "http_service",
    }
}

label! {
    /// What is read anew while the broker runs.
    Reloaded as "what" {
        /// The configuration file.
        Config = "config",
        /// The policy file.
        Policy = "policy",
        /// The password file.
        Passwords = "passwords",
        /// The keys that tokens are verified by.
        TokenKeys = "token_keys",
        /// Certificates, keys, authorities and revocation lists of the listeners.
        Certificates = "certificates",
        /// What the HTTP service is reached by: authorities, certificate, key and token.
        HttpAccess = "http_access",
        /// What the webhook is reached by: authorities, token and secret.
        Webhook = "webhook",
        /// The key ring of envelopes.
        KeyRing = "key_ring",
        /// The password file of operators.
        Operators = "operators",
    }
}

impl Reloaded {
    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        Self::ALL.iter().copied()
    }
}

label! {
    /// What came of reading it.
    ReloadResult as "result" {
        /// It is in force.
        Applied = "applied",
        /// What was in force before stays.
        Failed = "failed",
    }
}

label! {
    /// Why a payload was refused, by the names of the envelope's format and two of our own.
    EnvelopeRefusal as "reason" {
        /// It is no envelope.
        Malformed = "malformed",
        /// The ring does not have its key.
        UnknownKey = "unknown_key",
        /// Its key is not for its topic.
        WrongTopic = "wrong_topic",
        /// Its key was revoked.
        RevokedKey = "revoked_key",
        /// It names a sender other than who brings it.
        SenderMismatch = "sender_mismatch",
        /// It was changed, moved, or made under another key.
        BadTag = "bad_tag",
        /// It is not encrypted, and must be.
        NotEncrypted = "not_encrypted",
        /// It was made after the last moment of its key.
        ExpiredKey = "expired_key",
        /// It is too old.
        Expired = "expired",
        /// Its time is too far ahead.
        FromFuture = "from_future",
        /// It has come before.
        Replayed = "replayed",
        /// Its place has been used for another one: two devices share a stream.
        StreamReused = "stream_reused",
        /// There is no room for one more stream.
        TooManyStreams = "too_many_streams",
        /// The signature of its sender is wrong or missing.
        BadSignature = "bad_signature",
        /// It was to be opened, and its key only verifies.
        VerifyOnlyKey = "verify_only_key",
        /// It was to be opened, and does not decrypt.
        DecryptFailed = "decrypt_failed",
        /// It was to be sealed, and there is no key for that.
        NoSealingKey = "no_sealing_key",
        /// That it was accepted could not be written down.
        NotKept = "not_kept",
    }
}

label! {
    /// What the policy was asked about.
    DeniedAction as "action" {
        /// A PUBLISH.
        Publish = "publish",
        /// A filter of a SUBSCRIBE.
        Subscribe = "subscribe",
        /// The delivery of a message.
        Receive = "receive",
        /// A will, at CONNECT or when it was due.
        Will = "will",
    }
}

label! {
    /// What the policy said to it.
    AclDecision as "decision" {
        /// It may be.
        Allowed = "allowed",
        /// It may not.
        Denied = "denied",
    }
}

label! {
    /// A type of packet (MQTT 5.0 section 2.1.2).
    PacketKind as "type" {
        /// Type 1.
        Connect = "connect",
        /// Type 2.
        ConnAck = "connack",
        /// Type 3.
        Publish = "publish",
        /// Type 4.
        PubAck = "puback",
        /// Type 5.
        PubRec = "pubrec",
        /// Type 6.
        PubRel = "pubrel",
        /// Type 7.
        PubComp = "pubcomp",
        /// Type 8.
        Subscribe = "subscribe",
        /// Type 9.
        SubAck = "suback",
        /// Type 10.
        Unsubscribe = "unsubscribe",
        /// Type 11.
        UnsubAck = "unsuback",
        /// Type 12.
        PingReq = "pingreq",
        /// Type 13.
        PingResp = "pingresp",
        /// Type 14.
        Disconnect = "disconnect",
        /// Type 15.
        Auth = "auth",
    }
}

impl PacketKind {
    /// The type in the first byte of a packet; 0 is none.
    #[must_use]
    pub fn of_first_byte(first: u8) -> Option<Self> {
        let index = usize::from(first >> 4).checked_sub(1)?;
        Self::ALL.get(index).copied()
    }
}

label! {
    /// Why a message did not reach a recipient.
    DropReason as "reason" {
        /// The recipient's queue was full.
        QueueFull = "queue_full",
        /// Its message expiry interval ran out.
        Expired = "expired",
        /// The policy forbids its recipient to receive it.
        Denied = "denied",
        /// It is larger than its recipient takes.
        TooLarge = "too_large",
        /// QoS 0, and its recipient is not connected.
        OfflineQos0 = "offline_qos0",
        /// The store of retained messages was full.
        RetainedFull = "retained_full",
        /// A share group's last member left it.
        NoMember = "no_member",
        /// The broker has not sealed it, or cannot open it any more.
        NotOpened = "not_opened",
        /// A rule of `[[throttle]]` was over its rate.
        Throttled = "throttled",
        /// It waited on disk, and the disk does not give it as it was written.
        Unreadable = "unreadable",
        /// Its session has ended.
        SessionEnded = "session_ended",
    }
}

label! {
    /// What a rule of `[[throttle]]` limits.
    Throttled as "what" {
        /// Messages that clients publish.
        MessagesIn = "messages_in",
        /// Bytes that they send.
        BytesIn = "bytes_in",
        /// Messages that are delivered to them.
        MessagesOut = "messages_out",
        /// Bytes of those.
        BytesOut = "bytes_out",
        /// Subscriptions.
        Subscriptions = "subscriptions",
        /// Messages that are retained.
        Retained = "retained",
    }
}

label! {
    /// What has become of what was over its rate.
    ThrottleAction as "action" {
        /// The client has to wait.
        Delay = "delay",
        /// A message of QoS 0 was lost.
        Drop = "drop",
        /// It was refused.
        Reject = "reject",
        /// The connection has ended.
        Disconnect = "disconnect",
    }
}

label! {
    /// How a client broke the protocol.
    ProtocolFault as "reason" {
        /// Reason code 0x81.
        MalformedPacket = "malformed_packet",
        /// Reason code 0x82.
        ProtocolError = "protocol_error",
        /// Reason code 0x93.
        ReceiveMaximumExceeded = "receive_maximum_exceeded",
        /// Reason code 0x94.
        TopicAliasInvalid = "topic_alias_invalid",
        /// Reason code 0x95.
        PacketTooLarge = "packet_too_large",
        /// Reason code 0x8D.
        KeepAliveTimeout = "keep_alive_timeout",
        /// What was sent to it stayed unread.
        SendTimeout = "send_timeout",
        /// Any other.
        Other = "other",
    }
}

label! {
    /// How the disk of the store is.
    StoreState as "state" {
        /// It takes what is written.
        Ok = "ok",
        /// There is no room.
        Full = "full",
        /// Nothing may be written.
        ReadOnly = "read_only",
        /// It fails.
        Failing = "failing",
    }
}

label! {
    /// How the disk of the audit log is.
    AuditState as "state" {
        /// There is no audit log.
        Off = "off",
        /// It takes what is written.
        Ok = "ok",
        /// What is to be written waits.
        Waiting = "waiting",
        /// It has once failed to sync what it had taken.
        Unsynced = "unsynced",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{message::QoS, telemetry::Label};

    fn indices_are_places<L: Label>() {
        for place in 0..L::COUNT {
            assert_eq!(L::at(place).unwrap().index(), place);
        }
        assert!(L::at(L::COUNT).is_none());
    }

    #[test]
    fn the_index_of_a_label_is_its_place_among_all() {
        indices_are_places::<QoS>();
        indices_are_places::<PacketKind>();
        indices_are_places::<(LoginMethod, LoginResult)>();
    }

    #[test]
    fn packet_kinds_follow_the_numbers_of_the_standard() {
        assert_eq!(PacketKind::of_first_byte(0x10), Some(PacketKind::Connect));
        assert_eq!(PacketKind::of_first_byte(0x3d), Some(PacketKind::Publish));
        assert_eq!(PacketKind::of_first_byte(0xf0), Some(PacketKind::Auth));
        assert_eq!(PacketKind::of_first_byte(0x0f), None);
    }
}
