//! JSON objects in which no name appears twice: of two, one reader would take the first and another
//! the last (RFC 7515 section 4, RFC 7519 section 4).

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde_json::Value;

use super::TokenFault;

/// A JSON object.
#[derive(Debug)]
pub(super) struct Object(BTreeMap<String, Value>);

impl Object {
    pub(super) fn parse(json: &[u8]) -> Result<Self, TokenFault> {
        serde_json::from_slice(json).map_err(|_| TokenFault::Json)
    }

    pub(super) fn value(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// The text under `name`, where there is any; an error where there is something else.
    pub(super) fn text(&self, name: &'static str) -> Result<Option<&str>, TokenFault> {
        match self.0.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(TokenFault::Type(name)),
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(name, value)| (&**name, value))
    }
}

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Names;

        impl<'de> Visitor<'de> for Names {
            type Value = Object;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object, A::Error> {
                let mut members = BTreeMap::new();
                while let Some((name, value)) = map.next_entry()? {
                    if members.insert(name, value).is_some() {
                        return Err(A::Error::custom("a name twice"));
                    }
                }
                Ok(Object(members))
            }
        }

        deserializer.deserialize_map(Names)
    }
}
