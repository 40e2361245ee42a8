//! A list in the configuration: as TOML writes lists, or as one text with commas between, which is
//! all that an environment variable can write.

use std::fmt;
use std::slice;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Values in the order in which they were written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    try_from = "Written<T>",
    into = "Vec<T>",
    bound(
        serialize = "T: Serialize + Clone",
        deserialize = "T: Deserialize<'de> + FromStr<Err: fmt::Display>"
    )
)]
pub struct List<T>(Vec<T>);

#[derive(Deserialize)]
#[serde(untagged, expecting = "a list of such values is needed")]
enum Written<T> {
    List(Vec<T>),
    Text(String),
}

impl<T> List<T> {
    /// The values.
    pub fn iter(&self) -> slice::Iter<'_, T> {
        self.0.iter()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<T> Default for List<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'a, T> IntoIterator for &'a List<T> {
    type Item = &'a T;
    type IntoIter = slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<T> From<List<T>> for Vec<T> {
    fn from(list: List<T>) -> Self {
        list.0
    }
}

impl<T: FromStr<Err: fmt::Display>> TryFrom<Written<T>> for List<T> {
    type Error = String;

    fn try_from(written: Written<T>) -> Result<Self, String> {
        match written {
            Written::List(values) => Ok(Self(values)),
            Written::Text(text) if text.trim().is_empty() => Ok(Self::default()),
            Written::Text(text) => {
                let parse = |each: &str| {
                    let each = each.trim();
                    each.parse().map_err(|error| format!("{each:?}: {error}"))
                };
                text.split(',').map(parse).collect::<Result<_, _>>().map(Self)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(toml: &str) -> Result<List<u32>, String> {
        let mut table: toml::Table = toml.parse().unwrap();
        table.remove("it").unwrap().try_into().map_err(|error| error.to_string())
    }

    #[test]
    fn a_list_is_written_as_one_or_with_commas() {
        let list = List(vec![1, 20]);
        assert_eq!(parse("it = [1, 20]"), Ok(list.clone()));
        assert_eq!(parse("it = \"1, 20\""), Ok(list));
        assert_eq!(parse("it = []"), Ok(List::default()));
        assert_eq!(parse("it = \"\""), Ok(List::default()));
    }

    #[test]
    fn what_is_no_list_says_so() {
        assert!(parse("it = \"1,x\"").unwrap_err().contains("\"x\": invalid digit"));
        for bad in ["it = 1", "it = [\"x\"]", "it = [-1]"] {
            let said = parse(bad).unwrap_err();
            assert!(said.contains("a list of such values is needed"), "{said}");
        }
    }
}
