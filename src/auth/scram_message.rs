//! The messages of a SCRAM client (RFC 5802 section 7), read strictly. Channel binding is not
//! offered, and nobody acts for somebody else.

use std::borrow::Cow;

use base64ct::{Base64, Encoding};
use thiserror::Error;

/// Bytes of the longest message: any user name that a file can hold, and any sensible nonce.
const MAX_MESSAGE_BYTES: usize = 2_048;
/// Characters of the longest nonce of a client.
const MAX_NONCE_CHARS: usize = 256;

/// What a client opens with: who it claims to be.
#[derive(Debug)]
pub(super) struct ClientFirst<'a> {
    /// `n,,` or `y,,`.
    pub(super) gs2_header: &'a str,
    /// The message without that header.
    pub(super) bare: &'a str,
    pub(super) user: Cow<'a, str>,
    pub(super) nonce: &'a str,
}

/// What a client ends with: the proof.
#[derive(Debug)]
pub(super) struct ClientFinal<'a> {
    /// The message up to the comma before the proof.
    pub(super) without_proof: &'a str,
    /// In base64, as it was sent.
    pub(super) channel_binding: &'a str,
    pub(super) nonce: &'a str,
    pub(super) proof: [u8; 32],
}

/// What is wrong with a message. Says nothing of what stands in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ScramFault {
    /// It is beyond 2,048 bytes.
    #[error("the message is too long")]
    TooLong,
    /// The standard allows text alone.
    #[error("the message is no UTF-8 text without null characters")]
    NotText,
    /// Neither `n,` nor `y,`.
    #[error("channel binding is not offered: a message begins with `n,,` or `y,,`")]
    ChannelBinding,
    /// Somebody acts for somebody else.
    #[error("an authorization identity is not supported")]
    AuthorizationIdentity,
    /// `m=` asks for what nobody has defined.
    #[error("a mandatory extension is not supported")]
    MandatoryExtension,
    /// `n=` is missing, empty, or badly escaped.
    #[error("the user name is missing, or not written as the standard says")]
    UserName,
    /// `r=` is missing, of other characters, too long, or not that of the exchange.
    #[error("the nonce is missing or wrong")]
    Nonce,
    /// What follows is no attribute.
    #[error("an attribute is not written as `x=value`")]
    Attribute,
    /// `p=` is missing, or no proof by its form.
    #[error("the proof is missing, or not 32 bytes in base64")]
    Proof,
}

impl<'a> ClientFirst<'a> {
    pub(super) fn parse(message: &'a [u8]) -> Result<Self, ScramFault> {
        let text = text(message)?;
        let (gs2_header, bare) = split_gs2_header(text)?;
        if bare.starts_with("m=") {
            return Err(ScramFault::MandatoryExtension);
        }
        let (user, rest) = attribute(bare, "n=").ok_or(ScramFault::UserName)?;
        let user = unescape(user).ok_or(ScramFault::UserName)?;
        let (nonce, extensions) =
            rest.and_then(|rest| attribute(rest, "r=")).ok_or(ScramFault::Nonce)?;
        if !is_nonce(nonce) || nonce.len() > MAX_NONCE_CHARS {
            return Err(ScramFault::Nonce);
        }
        extensions.map_or(Ok(()), check_extensions)?;
        Ok(Self { gs2_header, bare, user, nonce })
    }
}

impl<'a> ClientFinal<'a> {
    pub(super) fn parse(message: &'a [u8]) -> Result<Self, ScramFault> {
        let text = text(message)?;
        let (channel_binding, rest) = attribute(text, "c=").ok_or(ScramFault::ChannelBinding)?;
        let rest = rest.ok_or(ScramFault::Nonce)?;
        if rest.starts_with("m=") {
            return Err(ScramFault::MandatoryExtension);
        }
        // Nothing may follow the proof, which holds no comma itself.
        let (without_proof, proof) = text.rsplit_once(",p=").ok_or(ScramFault::Proof)?;
        let rest = without_proof.strip_prefix("c=").and_then(|it| it.split_once(','));
        let (nonce, extensions) = rest
            .and_then(|(_, rest)| attribute(rest, "r="))
            .filter(|(nonce, _)| is_nonce(nonce))
            .ok_or(ScramFault::Nonce)?;
        extensions.map_or(Ok(()), check_extensions)?;
        Ok(Self { without_proof, channel_binding, nonce, proof: read_proof(proof)? })
    }
}

fn text(message: &[u8]) -> Result<&str, ScramFault> {
    if message.len() > MAX_MESSAGE_BYTES {
        return Err(ScramFault::TooLong);
    }
    let text = std::str::from_utf8(message).map_err(|_| ScramFault::NotText)?;
    if text.contains('\0') { Err(ScramFault::NotText) } else { Ok(text) }
}

fn split_gs2_header(text: &str) -> Result<(&str, &str), ScramFault> {
    if !text.starts_with("n,") && !text.starts_with("y,") {
        return Err(ScramFault::ChannelBinding);
    }
    match text.split_at_checked("n,,".len()) {
        Some((header, bare)) if header.ends_with(',') => Ok((header, bare)),
        _ => Err(ScramFault::AuthorizationIdentity),
    }
}

/// The value of the first attribute, which is `name`, and what follows its comma.
fn attribute<'a>(text: &'a str, name: &str) -> Option<(&'a str, Option<&'a str>)> {
    let rest = text.strip_prefix(name)?;
    Some(rest.split_once(',').map_or((rest, None), |(value, rest)| (value, Some(rest))))
}

/// Optional extensions are ignored, as the standard asks for, once they are known to be some.
fn check_extensions(text: &str) -> Result<(), ScramFault> {
    let is_extension = |text: &str| {
        let mut bytes = text.bytes();
        let name = bytes.next().is_some_and(|name| name.is_ascii_alphabetic() && name != b'm');
        name && bytes.next() == Some(b'=') && bytes.next().is_some()
    };
    if text.split(',').all(is_extension) { Ok(()) } else { Err(ScramFault::Attribute) }
}

/// `=2C` is a comma and `=3D` an equals sign; neither stands there as itself.
fn unescape(name: &str) -> Option<Cow<'_, str>> {
    if name.is_empty() {
        return None;
    }
    let mut parts = name.split('=');
    let first = parts.next()?;
    let mut whole = Cow::Borrowed(first);
    for part in parts {
        let (character, rest) = if let Some(rest) = part.strip_prefix("2C") {
            (',', rest)
        } else {
            ('=', part.strip_prefix("3D")?)
        };
        let whole = whole.to_mut();
        whole.push(character);
        whole.push_str(rest);
    }
    Some(whole)
}

/// Printable ASCII without a comma.
fn is_nonce(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b',')
}

fn read_proof(text: &str) -> Result<[u8; 32], ScramFault> {
    let mut proof = [0; 32];
    let bytes = Base64::decode(text, &mut proof).map_or(0, <[u8]>::len);
    if bytes == proof.len() { Ok(proof) } else { Err(ScramFault::Proof) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PROOF: &str = "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";

    fn first_fault(message: &str) -> ScramFault {
        ClientFirst::parse(message.as_bytes()).expect_err(message)
    }

    fn final_fault(message: &str) -> ScramFault {
        ClientFinal::parse(message.as_bytes()).expect_err(message)
    }

    #[test]
    fn a_first_message_is_taken_apart() {
        for header in ["n,,", "y,,"] {
            let message = format!("{header}n=a=2Cb=3Dc=3D=2C,r=x=/+!~,z=more");
            let first = ClientFirst::parse(message.as_bytes()).unwrap();
            assert_eq!((first.gs2_header, &*first.user), (header, "a,b=c=,"));
            assert_eq!((first.nonce, first.bare), ("x=/+!~", &message[3..]));
        }
    }

    #[test]
    fn every_malformed_first_message_is_refused() {
        use ScramFault::*;
        for (message, fault) in [
            ("", ChannelBinding),
            ("n", ChannelBinding),
            ("n=user,r=x", ChannelBinding),
            ("p=tls-exporter,,n=user,r=x", ChannelBinding),
            ("N,,n=user,r=x", ChannelBinding),
            ("n,", AuthorizationIdentity),
            ("n,a=admin,n=user,r=x", AuthorizationIdentity),
            ("n,é,n=user,r=x", AuthorizationIdentity),
            ("n,,", UserName),
            ("n,,m=1,n=user,r=x", MandatoryExtension),
            ("n,,n=,r=x", UserName),
            ("n,,r=x,n=user", UserName),
            ("n,,n=a=b,r=x", UserName),
            ("n,,n=a=2c,r=x", UserName),
            ("n,,n=a=,r=x", UserName),
            ("n,,n=user", Nonce),
            ("n,,n=user,", Nonce),
            ("n,,n=user,r=", Nonce),
            ("n,,n=user,r=a b", Nonce),
            ("n,,n=user,r=é", Nonce),
            ("n,,n=user,r=\u{7f}", Nonce),
            ("n,,n=user,x=1,r=a", Nonce),
            ("n,,n=user,r=x,", Attribute),
            ("n,,n=user,r=x,y", Attribute),
            ("n,,n=user,r=x,y=", Attribute),
            ("n,,n=user,r=x,1=y", Attribute),
            ("n,,n=user,r=x,m=y", Attribute),
            ("n,,n=us\0er,r=x", NotText),
        ] {
            assert_eq!(first_fault(message), fault, "{message:?}");
        }
        assert_eq!(first_fault(&format!("n,,n=user,r={}", "x".repeat(257))), Nonce);
        assert_eq!(first_fault(&format!("n,,n={},r=x", "u".repeat(2_048))), TooLong);
        assert_eq!(ClientFirst::parse(b"n,,n=\xff,r=x").unwrap_err(), NotText);
    }

    #[test]
    fn a_final_message_is_taken_apart() {
        let message = format!("c=biws,r=abc,x=1,p={PROOF}");
        let last = ClientFinal::parse(message.as_bytes()).unwrap();
        assert_eq!((last.channel_binding, last.nonce), ("biws", "abc"));
        assert_eq!(last.without_proof, "c=biws,r=abc,x=1");
        assert_eq!(Base64::encode_string(&last.proof), PROOF);
    }

    #[test]
    fn every_malformed_final_message_is_refused() {
        use ScramFault::*;
        for (message, fault) in [
            ("", ChannelBinding),
            ("r=abc,p=PROOF", ChannelBinding),
            ("c=biws", Nonce),
            ("c=biws,p=PROOF", Nonce),
            ("c=biws,m=1,r=abc,p=PROOF", MandatoryExtension),
            ("c=biws,r=,p=PROOF", Nonce),
            ("c=biws,r=a b,p=PROOF", Nonce),
            ("c=biws,r=abc", Proof),
            ("c=biws,r=abc,p=", Proof),
            ("c=biws,r=abc,p=AAAA", Proof),
            ("c=biws,r=abc,p=PROOFPROOF", Proof),
            ("c=biws,r=abc,p=PROOF,", Proof),
            ("c=biws,r=abc,p=PROOF,x=1", Proof),
            ("c=biws,r=abc,P=PROOF", Proof),
            ("c=biws,r=abc,x,p=PROOF", Attribute),
            ("c=biws,r=abc,,p=PROOF", Attribute),
            ("c=biws,r=abc\0,p=PROOF", NotText),
        ] {
            let message = message.replace("PROOF", PROOF);
            assert_eq!(final_fault(&message), fault, "{message:?}");
        }
        assert_eq!(final_fault(&"x".repeat(2_049)), TooLong);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(message in "(n,,|y,,|)(c=biws,)?([nrpm]=|,|=2C|[a-z]|\\PC){0,20}") {
            let _ = ClientFirst::parse(message.as_bytes());
            let _ = ClientFinal::parse(message.as_bytes());
        }
    }
}
