//! Topic filters: what a client subscribes to. Wildcards, and shares of a group.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use super::{TopicError, check_text};

const SHARE_PREFIX: &str = "$share/";

/// A valid topic filter in somebody else's memory, usually the packet that carried it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicFilterRef<'a>(&'a str);

/// What `$share/{ShareName}/{filter}` names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share<'a> {
    /// The group whose members share the messages.
    pub name: &'a str,
    /// What the group subscribes to.
    pub filter: TopicFilterRef<'a>,
}

impl<'a> TopicFilterRef<'a> {
    /// Checks that `text` is a topic filter; `$share/…` must be a well-formed shared subscription.
    ///
    /// # Errors
    /// When it is empty, longer than 65,535 bytes, holds a null character, a wildcard where none
    /// may stand, or a malformed share.
    pub fn parse(text: &'a str) -> Result<Self, TopicError> {
        check_text(text)?;
        match text.strip_prefix(SHARE_PREFIX) {
            Some(rest) => check_share(rest)?,
            None if text == "$share" => return Err(TopicError::MalformedShare),
            None => check_wildcards(text)?,
        }
        Ok(Self(text))
    }

    /// The filter as text, as the client wrote it.
    #[must_use]
    pub fn as_str(self) -> &'a str {
        self.0
    }

    /// Its levels, from the root. A shared subscription has those of its text: take
    /// [`Self::share`] first.
    pub fn levels(self) -> std::str::Split<'a, char> {
        self.0.split('/')
    }

    /// The group and its filter, where this is a shared subscription.
    #[must_use]
    pub fn share(self) -> Option<Share<'a>> {
        let (name, filter) = self.0.strip_prefix(SHARE_PREFIX)?.split_once('/')?;
        Some(Share { name, filter: TopicFilterRef(filter) })
    }

    /// What it matches: the filter itself, or that of its share.
    #[must_use]
    pub fn unshared(self) -> TopicFilterRef<'a> {
        self.share().map_or(self, |share| share.filter)
    }

    /// Whether it holds a wildcard.
    #[must_use]
    pub fn has_wildcard(self) -> bool {
        self.unshared().0.bytes().any(|byte| matches!(byte, b'+' | b'#'))
    }

    /// A copy that outlives the packet.
    #[must_use]
    pub fn to_owned(self) -> TopicFilter {
        TopicFilter(Arc::from(self.0))
    }
}

fn check_share(rest: &str) -> Result<(), TopicError> {
    let (name, filter) = rest.split_once('/').ok_or(TopicError::MalformedShare)?;
    if name.is_empty() || filter.is_empty() || name.contains(['+', '#']) {
        return Err(TopicError::MalformedShare);
    }
    check_wildcards(filter)
}

fn check_wildcards(text: &str) -> Result<(), TopicError> {
    let mut levels = text.split('/').peekable();
    while let Some(level) = levels.next() {
        let allowed = match level {
            "#" => levels.peek().is_none(),
            "+" => true,
            _ => !level.bytes().any(|byte| matches!(byte, b'+' | b'#')),
        };
        if !allowed {
            return Err(TopicError::MisplacedWildcard);
        }
    }
    Ok(())
}

impl fmt::Display for TopicFilterRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// A valid topic filter, shared by whoever holds it: cloning copies a pointer.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicFilter(Arc<str>);

impl TopicFilter {
    /// Checks that `text` is a topic filter, and keeps it.
    ///
    /// # Errors
    /// As [`TopicFilterRef::parse`].
    pub fn parse(text: &str) -> Result<Self, TopicError> {
        TopicFilterRef::parse(text).map(TopicFilterRef::to_owned)
    }

    /// The filter, borrowed.
    #[must_use]
    pub fn borrowed(&self) -> TopicFilterRef<'_> {
        TopicFilterRef(&self.0)
    }

    /// The filter as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for TopicFilter {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TopicFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_stand_alone_in_their_level_and_hash_is_last() {
        for good in ["#", "+", "+/+", "/#", "a/+/b/#", "$SYS/#", "+/", "a//+"] {
            assert!(TopicFilterRef::parse(good).is_ok(), "{good}");
        }
        for bad in ["a#", "#/a", "a/#/b", "a+", "+a/b", "a/b+", "##", "++"] {
            assert_eq!(TopicFilterRef::parse(bad), Err(TopicError::MisplacedWildcard), "{bad}");
        }
    }

    #[test]
    fn a_share_names_a_group_and_a_filter() {
        let filter = TopicFilterRef::parse("$share/group/a/+/#").expect("valid");
        let share = filter.share().expect("shared");
        assert_eq!((share.name, share.filter.as_str()), ("group", "a/+/#"));
        assert_eq!(filter.unshared().as_str(), "a/+/#");
        assert!(TopicFilterRef::parse("$shared/a").expect("valid").share().is_none());
    }

    #[test]
    fn a_share_without_group_or_filter_is_malformed() {
        for bad in ["$share", "$share/", "$share/g", "$share/g/", "$share//a", "$share/g+/a"] {
            assert_eq!(TopicFilterRef::parse(bad), Err(TopicError::MalformedShare), "{bad}");
        }
        assert_eq!(TopicFilterRef::parse("$share/g/a#"), Err(TopicError::MisplacedWildcard));
    }
}
