//! Whom a session belongs to, and what it takes to judge that again after a restart. Nothing of it is
//! secret: of a password there is the mark of what is kept of it, which tells nothing but whether that
//! has changed.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use super::fields::{FieldWriter, Fields};
use crate::acl::ClientRules;
use crate::auth::KeyFingerprint;
use crate::broker::authority::Standing;
use crate::broker::gate::Who;
use crate::identity::{
    ClientCertificate, ClientId, Evidence, PeerAddress, Principal, TransportSecurity, UnixPeer,
};

/// No listener counts as far: every certificate is judged by what its listener believes now.
const JUDGED_BY_NOBODY: u64 = u64::MAX;

/// A client, as far as it outlives the process.
#[derive(Clone, Debug)]
pub(crate) struct WhoRecord {
    /// Its password has no proof here: that is made of `password`.
    pub(crate) who: Who,
    /// Where it has proven one.
    pub(crate) password: Option<PasswordMark>,
}

/// By what a password was proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PasswordMark {
    pub(crate) by_scram: bool,
    pub(crate) line: LineMark,
}

/// Tells what was kept of a password from anything else that is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LineMark {
    /// Its keyed hash.
    Of([u8; 16]),
    /// A hash of Mosquitto's: its login has replaced it, so that nothing is known of it but that there
    /// was one.
    Replaced,
    /// It was not kept any more.
    Gone,
}

impl WhoRecord {
    pub(super) fn write(&self, fields: &mut FieldWriter) {
        let Who {
            principal,
            client_id,
            attributes,
            address,
            listener,
            security,
            standing,
            connected_at,
            rules,
        } = &self.who;
        fields.text(&principal.to_string());
        fields.text(client_id.as_str());
        fields.attributes(attributes);
        write_address(address, fields);
        fields.text(listener);
        fields.text(security.name());
        fields.u64(*connected_at);
        fields.option(rules.as_ref(), |fields, rules| {
            // Strings and numbers: nothing that could not be written.
            fields.bytes(&serde_json::to_vec(rules).unwrap_or_default());
        });
        fields.option(self.password, write_password);
        fields.option(standing.certificate.as_deref(), write_certificate);
        fields.option(standing.token_key.as_deref(), |fields, key| fields.array(key.as_bytes()));
    }

    pub(super) fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let principal = Principal::parse(fields.text()?)?;
        let client_id = ClientId::new(fields.text().filter(|id| !id.is_empty())?);
        let attributes = fields.attributes()?;
        let address = read_address(fields)?;
        let listener = Arc::from(fields.text()?);
        let security = TransportSecurity::named(fields.text()?)?;
        let connected_at = fields.u64()?;
        let rules =
            fields.option(|fields| serde_json::from_slice::<ClientRules>(fields.bytes()?).ok())?;
        let password = fields.option(read_password)?;
        let certificate = fields.option(read_certificate)?.map(Arc::new);
        let token_key = fields.option(Fields::array)?;
        let token_key = token_key.map(|bytes| Box::new(KeyFingerprint::from_bytes(bytes)));
        let standing = Standing { certificate, token_key, ..Standing::default() };
        let who = Who {
            principal,
            client_id,
            attributes,
            address,
            listener,
            security,
            standing,
            connected_at,
            rules,
        };
        Some(Self { who, password })
    }
}

const IPV4: u8 = 4;
const IPV6: u8 = 6;
const UNIX: u8 = 1;

fn write_address(address: &PeerAddress, fields: &mut FieldWriter) {
    match address {
        PeerAddress::Network(SocketAddr::V4(address)) => {
            fields.u8(IPV4);
            fields.array(&address.ip().octets());
            fields.u16(address.port());
        }
        PeerAddress::Network(SocketAddr::V6(address)) => {
            fields.u8(IPV6);
            fields.array(&address.ip().octets());
            fields.u16(address.port());
        }
        PeerAddress::Unix(peer) => {
            let UnixPeer { uid, gid, pid, user, attributes } = &**peer;
            fields.u8(UNIX);
            fields.u32(*uid);
            fields.u32(*gid);
            fields.option(*pid, |fields, pid| fields.array(&pid.to_be_bytes()));
            fields.text(user);
            fields.attributes(attributes);
        }
    }
}

fn read_address(fields: &mut Fields<'_>) -> Option<PeerAddress> {
    Some(match fields.u8()? {
        IPV4 => {
            let ip = Ipv4Addr::from(fields.array::<4>()?);
            PeerAddress::Network((ip, fields.u16()?).into())
        }
        IPV6 => {
            let ip = Ipv6Addr::from(fields.array::<16>()?);
            PeerAddress::Network((ip, fields.u16()?).into())
        }
        UNIX => PeerAddress::Unix(Arc::new(UnixPeer {
            uid: fields.u32()?,
            gid: fields.u32()?,
            pid: fields.option(Fields::array)?.map(i32::from_be_bytes),
            user: Arc::from(fields.text()?),
            attributes: fields.attributes()?,
        })),
        _ => return None,
    })
}

const LINE_OF: u8 = 1;
const LINE_REPLACED: u8 = 2;
const LINE_GONE: u8 = 3;

fn write_password(fields: &mut FieldWriter, PasswordMark { by_scram, line }: PasswordMark) {
    fields.u8(by_scram.into());
    match line {
        LineMark::Of(mark) => {
            fields.u8(LINE_OF);
            fields.array(&mark);
        }
        LineMark::Replaced => fields.u8(LINE_REPLACED),
        LineMark::Gone => fields.u8(LINE_GONE),
    }
}

fn read_password(fields: &mut Fields<'_>) -> Option<PasswordMark> {
    let by_scram = fields.u8()? != 0;
    let line = match fields.u8()? {
        LINE_OF => LineMark::Of(fields.array()?),
        LINE_REPLACED => LineMark::Replaced,
        LINE_GONE => LineMark::Gone,
        _ => return None,
    };
    Some(PasswordMark { by_scram, line })
}

fn write_certificate(fields: &mut FieldWriter, certificate: &ClientCertificate) {
    let ClientCertificate { name, attributes, evidence } = certificate;
    fields.text(name);
    fields.attributes(attributes);
    fields.option(evidence.as_ref(), |fields, Evidence { ends, own, between, .. }| {
        fields.u64(ends.as_secs());
        fields.bytes(own);
        fields.u32(u32::try_from(between.len()).unwrap_or(u32::MAX));
        between.iter().for_each(|der| fields.bytes(der));
    });
}

fn read_certificate(fields: &mut Fields<'_>) -> Option<ClientCertificate> {
    let name = Arc::from(fields.text()?);
    let attributes = fields.attributes()?;
    let evidence = fields.option(|fields| {
        let ends = Duration::from_secs(fields.u64()?);
        let own = Box::from(fields.bytes()?);
        let count = fields.u32()?;
        let between = (0..count).map(|_| fields.bytes().map(Box::from)).collect::<Option<_>>()?;
        Some(Evidence { ends, generation: JUDGED_BY_NOBODY, own, between })
    })?;
    Some(ClientCertificate { name, attributes, evidence })
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::fields::assert_is_read_with_care;
    use super::*;
    use crate::identity::{Attribute, AttributeSource, Attributes};

    fn attributes(name: &str) -> Attributes {
        let (name, value) = (Arc::from(name), Arc::from("value"));
        [Attribute { source: AttributeSource::Certificate, name, value }].into_iter().collect()
    }

    pub(crate) fn anonymous() -> WhoRecord {
        let who = Who {
            principal: Principal::Anonymous,
            client_id: ClientId::new("c"),
            attributes: Attributes::default(),
            address: PeerAddress::Network((Ipv4Addr::LOCALHOST, 1_883).into()),
            listener: Arc::from("mqtt://127.0.0.1:1883"),
            security: TransportSecurity::Plain,
            standing: Standing::default(),
            connected_at: 1_700_000_000,
            rules: None,
        };
        WhoRecord { who, password: None }
    }

    pub(crate) fn certified() -> WhoRecord {
        let evidence = Evidence {
            ends: Duration::from_secs(1_800_000_000),
            generation: JUDGED_BY_NOBODY,
            own: Box::from(&b"own"[..]),
            between: Arc::from([Box::from(&b"one"[..]), Box::from(&b"two"[..])]),
        };
        let certificate = ClientCertificate {
            name: Arc::from("device"),
            attributes: attributes("ou"),
            evidence: Some(evidence),
        };
        let standing = Standing { certificate: Some(Arc::new(certificate)), ..Standing::default() };
        let who = Who {
            principal: Principal::Certificate(Arc::from("device")),
            attributes: attributes("ou"),
            address: PeerAddress::Network((Ipv6Addr::LOCALHOST, 9).into()),
            security: TransportSecurity::MutualTls,
            standing,
            ..anonymous().who
        };
        WhoRecord { who, password: None }
    }

    fn by_http() -> WhoRecord {
        let rules = r#"[{"allow":["publish"],"topics":["own/${username}/#"],"max_qos":1}]"#;
        let who = Who {
            principal: Principal::Http(Arc::from("ann: b")),
            rules: Some(serde_json::from_str(rules).unwrap()),
            ..anonymous().who
        };
        WhoRecord { who, password: None }
    }

    fn over_unix() -> WhoRecord {
        let peer = UnixPeer {
            uid: 1,
            gid: 2,
            pid: Some(-3),
            user: Arc::from("ann"),
            attributes: attributes("pid"),
        };
        let token_key = Some(Box::new(KeyFingerprint::from_bytes([7; 32])));
        let who = Who {
            principal: Principal::Unix(Arc::from("ann")),
            address: PeerAddress::Unix(Arc::new(peer)),
            security: TransportSecurity::Unix,
            standing: Standing { token_key, ..Standing::default() },
            ..anonymous().who
        };
        WhoRecord { who, password: None }
    }

    fn with_password(line: LineMark) -> WhoRecord {
        let who = Who { principal: Principal::User(Arc::from("ann")), ..anonymous().who };
        WhoRecord { who, password: Some(PasswordMark { by_scram: true, line }) }
    }

    fn encode(record: &WhoRecord) -> Vec<u8> {
        let mut fields = FieldWriter::default();
        record.write(&mut fields);
        fields.finish()
    }

    fn decode(bytes: &[u8]) -> Option<WhoRecord> {
        let mut fields = Fields::new(bytes);
        let record = WhoRecord::read(&mut fields)?;
        fields.end()?;
        Some(record)
    }

    #[test]
    fn a_client_is_read_as_it_was_written_and_with_care() {
        let with_passwords =
            [LineMark::Of([9; 16]), LineMark::Replaced, LineMark::Gone].map(with_password);
        let others = [anonymous(), certified(), by_http(), over_unix()];
        for record in others.into_iter().chain(with_passwords) {
            let bytes = encode(&record);
            let read = decode(&bytes).unwrap();
            assert_eq!(format!("{read:?}"), format!("{record:?}"));
            assert_eq!(read.who.rules, record.who.rules);
            let evidence = |record: &WhoRecord| record.who.standing.certificate.clone();
            assert_eq!(evidence(&read), evidence(&record));
            assert_is_read_with_care(&bytes, decode);
        }
    }
}
