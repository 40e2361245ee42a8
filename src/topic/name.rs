//! Topic names: what a message is published to. No wildcards.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use super::{TopicError, check_text, has_byte};

/// A valid topic name in somebody else's memory, usually the packet that carried it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicNameRef<'a>(&'a str);

impl<'a> TopicNameRef<'a> {
    /// Checks that `text` is a topic name.
    ///
    /// # Errors
    /// When it is empty, longer than 65,535 bytes, or holds a null character or a wildcard.
    pub fn parse(text: &'a str) -> Result<Self, TopicError> {
        check_text(text)?;
        if has_byte(text, |byte| (byte == b'+') | (byte == b'#')) {
            return Err(TopicError::WildcardInName);
        }
        Ok(Self(text))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(self) -> &'a str {
        self.0
    }

    /// Its levels, from the root: `a//b` has three, the second one empty.
    pub fn levels(self) -> std::str::Split<'a, char> {
        self.0.split('/')
    }

    /// Whether it begins with `$`: wildcards at the root do not match it `[MQTT-4.7.2-1]`.
    #[must_use]
    pub fn is_reserved(self) -> bool {
        self.0.starts_with('$')
    }

    /// A copy that outlives the packet.
    #[must_use]
    pub fn to_owned(self) -> TopicName {
        TopicName(Arc::from(self.0))
    }
}

impl fmt::Display for TopicNameRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// A valid topic name, shared by whoever holds it: cloning copies a pointer.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicName(Arc<str>);

impl TopicName {
    /// Whether the two share their memory, and so are equal: quicker to tell than whether any two are.
    #[must_use]
    pub fn is_clone_of(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Checks that `text` is a topic name, and keeps it.
    ///
    /// # Errors
    /// As [`TopicNameRef::parse`].
    pub fn parse(text: &str) -> Result<Self, TopicError> {
        TopicNameRef::parse(text).map(TopicNameRef::to_owned)
    }

    /// The name, borrowed.
    #[must_use]
    pub fn borrowed(&self) -> TopicNameRef<'_> {
        TopicNameRef(&self.0)
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for TopicName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_nulls_and_nothing_are_not_topic_names() {
        for (text, error) in [
            ("", TopicError::Empty),
            ("a/+", TopicError::WildcardInName),
            ("#", TopicError::WildcardInName),
            ("a\0b", TopicError::Null),
        ] {
            assert_eq!(TopicNameRef::parse(text), Err(error), "{text:?}");
        }
        assert_eq!(TopicName::parse(&"a".repeat(65_536)), Err(TopicError::TooLong));
    }

    #[test]
    fn spaces_slashes_and_multi_byte_characters_are_topic_names() {
        for text in ["/", "//", " ", "a b/c", "$SYS/x", "日本/温度"] {
            assert_eq!(TopicName::parse(text).map(|name| name.to_string()), Ok(text.to_owned()));
        }
    }
}
