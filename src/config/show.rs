//! The effective configuration as TOML: what is in force, and where it was written.

use std::fmt;

use serde::Serialize;
use toml::{Table, Value};

use super::{
    Loaded,
    load::{listener_path, sentinel_rule_path, throttle_path},
    settings::{
        LISTENER, SECTIONS, SENTINEL_RULE, THROTTLE, listener_keys, sentinel_rule_keys,
        throttle_keys,
    },
};

impl fmt::Display for Loaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, listener) in self.config.listener.iter().enumerate() {
            writeln!(f, "[[{LISTENER}]]")?;
            let table = table_of(listener);
            for key in listener_keys() {
                self.write_line(f, key, table.get(*key), &listener_path(index, key))?;
            }
            writeln!(f)?;
        }
        for (index, rule) in self.config.throttle.iter().enumerate() {
            writeln!(f, "[[{THROTTLE}]]")?;
            let table = table_of(rule);
            for key in throttle_keys() {
                self.write_line(f, key, table.get(*key), &throttle_path(index, key))?;
            }
            writeln!(f)?;
        }
        for (index, rule) in self.config.sentinel_rule.iter().enumerate() {
            writeln!(f, "[[{SENTINEL_RULE}]]")?;
            let table = table_of(rule);
            for key in sentinel_rule_keys().iter().filter(|key| table.contains_key(**key)) {
                self.write_line(f, key, table.get(*key), &sentinel_rule_path(index, key))?;
            }
            writeln!(f)?;
        }
        let config = table_of(&self.config);
        for (position, section) in SECTIONS.iter().enumerate() {
            let gap = if position == 0 { "" } else { "\n" };
            writeln!(f, "{gap}[{}]", section.name)?;
            let table = config.get(section.name).and_then(Value::as_table);
            for key in (section.keys)() {
                let value = table.and_then(|table| table.get(*key));
                self.write_line(f, key, value, &format!("{}.{key}", section.name))?;
            }
        }
        Ok(())
    }
}

impl Loaded {
    fn write_line(
        &self,
        f: &mut fmt::Formatter<'_>,
        key: &str,
        value: Option<&Value>,
        path: &str,
    ) -> fmt::Result {
        match (value, self.origins.get(path)) {
            (None, _) => writeln!(f, "# {key} is not set"),
            (Some(value), None) => writeln!(f, "{key} = {value}"),
            (Some(value), Some(origin)) => writeln!(f, "{key} = {value}  # {origin}"),
        }
    }
}

fn table_of(settings: &impl Serialize) -> Table {
    // Settings are numbers, switches and texts, and lists of them, which TOML can always write.
    Table::try_from(settings).unwrap_or_default()
}
