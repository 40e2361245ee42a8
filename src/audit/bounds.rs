//! As much of what others say as belongs into a record: nobody makes the log forget what was before by long
//! names.

use std::borrow::Cow;

use sha2::{Digest, Sha256};

use super::event::{Event, Responded, Subject};
use crate::keys::hexadecimal;

/// Bytes of the longest line that is read, and so of the longest that is written.
pub(super) const MOST_LINE_BYTES: usize = 1 << 20;
/// Of those, what is left to number, time, correlation and tag.
const FRAME: usize = 1_024;
/// Bytes of a name, a topic or an address.
const NAME: usize = 256;
/// Bytes of a sentence: why something was done, and what has changed.
const SENTENCE: usize = 2_048;
/// Sentences of one record.
const MOST_SENTENCES: usize = 64;
/// What stands between the beginning of what is cut and the name of all of it.
const CUT: char = '…';
/// Of the SHA-256 that names it.
const DIGEST_BYTES: usize = 16;

/// A client identifier, user name or topic as records have it: whole up to 256 bytes. Of a longer one the
/// beginning, `…`, and half of its SHA-256 in hexadecimal digits, so that no two look the same.
#[must_use]
pub fn as_recorded(text: &str) -> Cow<'_, str> {
    bounded(text, NAME)
}

fn bounded(text: &str, most: usize) -> Cow<'_, str> {
    if text.len() <= most && !looks_cut(text) {
        return Cow::Borrowed(text);
    }
    let digest = Sha256::digest(text.as_bytes());
    let digest = hexadecimal::encode(digest.first_chunk::<DIGEST_BYTES>().unwrap_or(&[0; 16]));
    let room = most - CUT.len_utf8() - DIGEST_BYTES * 2;
    let beginning = text.get(..text.floor_char_boundary(room)).unwrap_or_default();
    Cow::Owned(format!("{beginning}{CUT}{}", &*digest))
}

/// Whether it ends as what is cut does: it would pass for that.
fn looks_cut(text: &str) -> bool {
    let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    text.rsplit_once(CUT)
        .is_some_and(|(_, digits)| digits.len() == DIGEST_BYTES * 2 && digits.bytes().all(is_digit))
}

fn cut(text: &mut String, most: usize) {
    if let Cow::Owned(shorter) = bounded(text, most) {
        *text = shorter;
    }
}

fn name<'t>(names: impl IntoIterator<Item = &'t mut String>) {
    names.into_iter().for_each(|text| cut(text, NAME));
}

/// The subject of a sanction: what stands behind `client:` is cut as the identifier is that it names.
fn sanctioned(subject: &mut String) {
    match subject.strip_prefix("client:") {
        Some(client_id) => *subject = format!("client:{}", as_recorded(client_id)),
        None => cut(subject, NAME),
    }
}

fn subject(Subject { principal, client_id, address, listener, since: _ }: &mut Subject) {
    name([principal, client_id, address, listener]);
}

impl Event {
    /// Has everything cut that may be long.
    pub(super) fn cut(&mut self) {
        match self {
            Self::Admitted { who } | Self::Connected { who, resumed: _ } => subject(who),
            Self::Disconnected { who, why } | Self::Revoked { who, why } => {
                subject(who);
                cut(why, SENTENCE);
            }
            Self::Denied { who, action: _, topic, rule } => {
                subject(who);
                name([topic]);
                cut(rule, SENTENCE);
            }
            Self::LoginRefused { user, client_id, address, listener, reason, why, .. } => {
                name(user);
                name([client_id, address, listener, reason]);
                cut(why, SENTENCE);
            }
            Self::Banned { subject, by, why, .. }
            | Self::Quarantined { subject, by, why, .. }
            | Self::SlowedDown { subject, by, why, .. } => {
                sanctioned(subject);
                name([by]);
                cut(why, SENTENCE);
            }
            Self::BanLifted { subject, by, .. }
            | Self::QuarantineEnded { subject, by, .. }
            | Self::SlowedDownEnded { subject, by, .. } => {
                sanctioned(subject);
                name([by]);
            }
            Self::BanExpired { subject, .. } | Self::BanRefused { subject, .. } => {
                sanctioned(subject);
            }
            Self::Alert { rule, key, what, principal, client_id, address, responses, .. } => {
                name([rule, what]);
                name(key.values_mut());
                name([principal, client_id, address].into_iter().flatten());
                for Responded { subject, .. } in responses {
                    subject.iter_mut().for_each(sanctioned);
                }
            }
            Self::Responding { rule, subject, .. } => {
                name([rule]);
                sanctioned(subject);
            }
            Self::Limited { limit, address, .. } => {
                name([limit]);
                name(address);
            }
            Self::Throttled { rule, principal, client_id, .. } => {
                name([rule]);
                name([principal, client_id].into_iter().flatten());
            }
            Self::LockedOut { user, address, .. } => {
                name(user);
                name([address]);
            }
            Self::OperatorLogin { user, address } | Self::OperatorRefused { user, address } => {
                name([user, address]);
            }
            // The request has 16 KiB at most.
            Self::Operator { user, .. } => name([user]),
            Self::Reloaded { said, .. } => {
                said.truncate(MOST_SENTENCES);
                said.iter_mut().for_each(|sentence| cut(sentence, SENTENCE));
            }
            Self::ListenerOpened { listener } | Self::ListenerClosed { listener } => {
                name([listener]);
            }
            Self::Started { .. } | Self::Stopped | Self::Reloading { .. } | Self::Lost { .. } => {}
        }
    }
}

/// What stands in a record; of what would make a line that nobody reads, which event it is and how long.
pub(super) fn body_of(event: &Event) -> String {
    // There is nothing in it that cannot be written as JSON.
    let json = serde_json::to_string(event).unwrap_or_default();
    let body = json.strip_prefix('{').and_then(|it| it.strip_suffix('}')).unwrap_or_default();
    if body.len() <= MOST_LINE_BYTES - FRAME {
        return body.to_owned();
    }
    // It begins with `"event":"` and a name.
    let kind = body.split('"').nth(3).unwrap_or_default();
    format!("\"event\":\"{kind}\",\"too_long\":{}", body.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_long_is_cut_and_no_two_look_the_same() {
        let long = "é".repeat(30_000);
        let (one, two) = (format!("{long}1"), format!("{long}2"));
        let (one, two) = (as_recorded(&one), as_recorded(&two));
        assert!(one.len() <= NAME && one.starts_with("éé"), "{one}");
        assert_ne!(one, two);
        let whole = "x".repeat(NAME);
        assert_eq!(as_recorded(&whole), whole);
        assert_eq!(as_recorded(&format!("{whole}x")).len(), NAME);
    }

    #[test]
    fn nobody_takes_the_name_of_what_is_cut() {
        let one = as_recorded(&"x".repeat(300)).into_owned();
        let other = as_recorded(&one);
        assert_ne!(one, other);
        assert!(other.len() <= NAME);
    }
}
