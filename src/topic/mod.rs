//! Topic names and topic filters: parsed once, valid ever after.

mod filter;
mod matching;
mod name;

pub use filter::{Share, TopicFilter, TopicFilterRef};
pub use matching::{covers, matches, overlaps};
pub use name::{TopicName, TopicNameRef};

/// Why a string is not a topic name or topic filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TopicError {
    /// A topic name or filter has at least one character `[MQTT-4.7.3-1]`.
    #[error("a topic has at least one character")]
    Empty,
    /// A topic name or filter has at most 65,535 bytes `[MQTT-4.7.3-3]`.
    #[error("a topic has at most 65,535 bytes")]
    TooLong,
    /// The null character is not allowed `[MQTT-4.7.3-2]`.
    #[error("a topic holds no null character")]
    Null,
    /// A topic name holds no wildcard `[MQTT-3.3.2-2]`.
    #[error("a topic name holds no wildcard")]
    WildcardInName,
    /// `#` stands alone in the last level and `+` alone in its level `[MQTT-4.7.1-1]`,
    /// `[MQTT-4.7.1-2]`.
    #[error("'#' stands alone in the last level, '+' alone in its level")]
    MisplacedWildcard,
    /// A shared subscription is `$share/{ShareName}/{filter}`, the name without `/`, `+` and `#`
    /// `[MQTT-4.8.2-1]`, `[MQTT-4.8.2-2]`.
    #[error("a shared subscription is '$share/name/filter', the name without '/', '+' and '#'")]
    MalformedShare,
}

/// Checks what names and filters have in common.
fn check_text(text: &str) -> Result<(), TopicError> {
    if text.is_empty() {
        return Err(TopicError::Empty);
    }
    if text.len() > usize::from(u16::MAX) {
        return Err(TopicError::TooLong);
    }
    if has_byte(text, |byte| byte == 0) {
        return Err(TopicError::Null);
    }
    Ok(())
}

/// Looks at every byte, many at a time: quicker for a short text than to stop at the first.
fn has_byte(text: &str, is_sought: impl Fn(u8) -> bool) -> bool {
    text.bytes().fold(false, |found, byte| found | is_sought(byte))
}
