//! TOML values as a policy wants them: each step either yields the value or notes what is wrong.

use std::ops::{Range, RangeInclusive};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::Faults;
use crate::message::QoS;

type Value<'v> = &'v Spanned<DeValue<'v>>;

/// A table of the file, and what it is there for.
pub(super) struct Item<'v> {
    table: &'v DeTable<'v>,
    /// Where it begins.
    pub(super) span: Range<usize>,
    kind: &'static str,
}

/// A string of the file.
pub(super) struct Text<'v> {
    pub(super) text: &'v str,
    pub(super) span: Range<usize>,
}

impl<'v> Item<'v> {
    pub(super) fn document(table: &'v DeTable<'v>) -> Self {
        Self { table, span: 0..0, kind: "a policy" }
    }

    /// Notes every key that is not one of `known`.
    pub(super) fn only(&self, known: &[&str], faults: &mut Faults<'_>) {
        for key in self.table.keys() {
            if !known.contains(&key.get_ref().as_ref()) {
                let (kind, known) = (self.kind, known.join(", "));
                faults.add(
                    &key.span(),
                    format!("{kind} has no key {:?}, only {known}", key.get_ref()),
                );
            }
        }
    }

    pub(super) fn value(&self, key: &str) -> Option<Value<'v>> {
        self.table.get(key)
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// Notes that `key` is missing, unless it is there.
    pub(super) fn require(&self, key: &str, example: &str, faults: &mut Faults<'_>) {
        if !self.has(key) {
            faults.add(&self.span, format!("{} needs {example}", self.kind));
        }
    }

    /// The table of `key`; none where it is missing.
    pub(super) fn table(&self, key: &'static str, faults: &mut Faults<'_>) -> Option<Item<'v>> {
        let value = self.value(key)?;
        let table = value.get_ref().as_table();
        if table.is_none() {
            faults.add(&value.span(), wrong_type(key, "names in braces", value));
        }
        Some(Item { table: table?, span: value.span(), kind: key })
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &'v str> + use<'v> {
        self.table.keys().map(|key| &**key.get_ref())
    }

    /// The tables of a list; none where it is missing.
    pub(super) fn tables(
        &self,
        key: &str,
        kind: &'static str,
        faults: &mut Faults<'_>,
    ) -> Vec<Item<'v>> {
        let Some(value) = self.value(key) else { return Vec::new() };
        let Some(list) = value.get_ref().as_array() else {
            faults.add(&value.span(), format!("{key} is a list: write {kind}"));
            return Vec::new();
        };
        let mut items = Vec::with_capacity(list.len());
        for entry in list {
            match entry.get_ref().as_table() {
                Some(table) => items.push(Item { table, span: entry.span(), kind }),
                None => faults.add(&entry.span(), wrong_type(key, kind, entry)),
            }
        }
        items
    }

    /// The strings of a list, of which there is at least one; none where it is missing.
    pub(super) fn strings(&self, key: &str, faults: &mut Faults<'_>) -> Vec<Text<'v>> {
        let Some(value) = self.value(key) else { return Vec::new() };
        let Some(list) = value.get_ref().as_array() else {
            faults.add(&value.span(), wrong_type(key, "a list of strings, in brackets", value));
            return Vec::new();
        };
        if list.is_empty() {
            faults.add(&value.span(), format!("{key} is an empty list: fill it or leave it out"));
        }
        list.iter().filter_map(|entry| string(key, entry, faults)).collect()
    }

    pub(super) fn string(&self, key: &str, faults: &mut Faults<'_>) -> Option<Text<'v>> {
        string(key, self.value(key)?, faults)
    }

    pub(super) fn boolean(&self, key: &str, faults: &mut Faults<'_>) -> Option<bool> {
        let value = self.value(key)?;
        let boolean = value.get_ref().as_bool();
        if boolean.is_none() {
            faults.add(&value.span(), wrong_type(key, "true or false", value));
        }
        boolean
    }

    /// A number within `range`.
    pub(super) fn integer(
        &self,
        key: &str,
        range: RangeInclusive<i64>,
        faults: &mut Faults<'_>,
    ) -> Option<i64> {
        let value = self.value(key)?;
        let number = value.get_ref().as_integer();
        let number =
            number.and_then(|number| i64::from_str_radix(number.as_str(), number.radix()).ok());
        let number = number.filter(|number| range.contains(number));
        if number.is_none() {
            let (least, most) = range.into_inner();
            let message = format!("{key} is a number from {least} to {most}, without quotes");
            faults.add(&value.span(), message);
        }
        number
    }

    pub(super) fn qos(&self, key: &str, faults: &mut Faults<'_>) -> Option<QoS> {
        let value = self.value(key)?;
        let number = value.get_ref().as_integer();
        let bits =
            number.and_then(|number| u8::from_str_radix(number.as_str(), number.radix()).ok());
        let qos = bits.and_then(QoS::from_bits);
        if qos.is_none() {
            faults.add(&value.span(), format!("{key} is 0, 1 or 2, without quotes"));
        }
        qos
    }
}

fn string<'v>(key: &str, value: Value<'v>, faults: &mut Faults<'_>) -> Option<Text<'v>> {
    let text = value.get_ref().as_str();
    if text.is_none() {
        faults.add(&value.span(), wrong_type(key, "text in quotes", value));
    }
    Some(Text { text: text?, span: value.span() })
}

fn wrong_type(key: &str, wanted: &str, value: Value<'_>) -> String {
    format!("{key} takes {wanted}, not this {}", value.get_ref().type_str())
}
