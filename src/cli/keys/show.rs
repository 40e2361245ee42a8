//! Keys as people and scripts read them: all but the key itself.

use std::io::Write;

use serde::Serialize;

use crate::cli::ctl::printable;
use crate::clock::Moment;
use crate::envelope::{Key, KeyId, KeyMaterial, KeyState};
use crate::topic::TopicFilter;

#[derive(Serialize)]
struct Row<'a> {
    key_id: KeyId,
    topics: Vec<&'a str>,
    state: KeyState,
    holds: &'static str,
    created_ms: u64,
    not_after_ms: Option<u64>,
}

/// One line of JSON.
pub(super) fn write_row(out: &mut impl Write, key: &Key) -> anyhow::Result<()> {
    let row = Row {
        key_id: key.id,
        topics: key.topics.iter().map(TopicFilter::as_str).collect(),
        state: key.state,
        holds: match key.material {
            KeyMaterial::Topic(_) => "topic_key",
            KeyMaterial::VerifyOnly(_) => "mac_root",
        },
        created_ms: key.created_ms,
        not_after_ms: key.not_after_ms,
    };
    serde_json::to_writer(&mut *out, &row)?;
    Ok(writeln!(out)?)
}

/// One line for people.
pub(super) fn show_key(out: &mut impl Write, key: &Key) -> anyhow::Result<()> {
    let extent = match key.material {
        KeyMaterial::Topic(_) => "",
        KeyMaterial::VerifyOnly(_) => "  verify-only",
    };
    let end = key.not_after_ms.map(|end| format!("  until {}", Moment(end)));
    Ok(writeln!(
        out,
        "{}  {:8}  {}  since {}{}{extent}",
        key.id,
        state(key.state),
        list_of(&key.topics),
        Moment(key.created_ms),
        end.unwrap_or_default(),
    )?)
}

/// As `keys list` shows it.
pub(super) fn state(state: KeyState) -> &'static str {
    match state {
        KeyState::Active => "active",
        KeyState::Retiring => "retiring",
        KeyState::Revoked => "revoked",
    }
}

/// The filters, with commas between.
pub(super) fn list_of(topics: &[TopicFilter]) -> String {
    topics.iter().map(|filter| printable(filter.as_str())).collect::<Vec<_>>().join(", ")
}
