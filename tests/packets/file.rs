//! `tests/packets/*.toml`, read: each packet with its name, its versions and its bytes.

#![allow(dead_code, reason = "several suites share it, each uses its part")]

use bastionmq::codec::Version;
use serde::Deserialize;

/// A file of `tests/packets`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    packet: Vec<Entry>,
}

/// One packet of a file; the file itself says what each field means.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Entry {
    pub(crate) name: String,
    versions: Vec<String>,
    bytes: String,
    pub(crate) canonical: Option<String>,
    pub(crate) error: Option<String>,
}

impl Entry {
    pub(crate) fn bytes(&self) -> Vec<u8> {
        parse(&self.bytes)
    }

    /// Whether no other bytes mean the same and are fewer.
    pub(crate) fn is_canonical(&self) -> bool {
        self.canonical.is_none()
    }

    pub(crate) fn versions(&self) -> impl Iterator<Item = Version> {
        self.versions.iter().map(|version| match &**version {
            "3.1" => Version::V31,
            "3.1.1" => Version::V311,
            "5.0" => Version::V5,
            other => panic!("{}: no version {other}", self.name),
        })
    }
}

pub(crate) fn good() -> Vec<Entry> {
    entries(include_str!("good.toml"))
}

pub(crate) fn bad() -> Vec<Entry> {
    entries(include_str!("bad.toml"))
}

fn entries(file: &str) -> Vec<Entry> {
    toml::from_str::<File>(file).expect("a file of packets").packet
}

/// Hexadecimal bytes and 'text', parted by spaces.
pub(crate) fn parse(mut notation: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    while let Some(part) = notation.chars().next() {
        notation = match part {
            ' ' => &notation[1..],
            '\'' => {
                let (text, rest) = notation[1..].split_once('\'').expect("a closing quote");
                bytes.extend_from_slice(text.as_bytes());
                rest
            }
            _ => {
                bytes.push(u8::from_str_radix(&notation[..2], 16).expect("two digits"));
                &notation[2..]
            }
        };
    }
    bytes
}
