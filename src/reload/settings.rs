//! Which settings take effect while the broker runs, and which need a restart.

use toml::{Table, Value};

use crate::config::{Config, Loaded};

/// Those that name the files that are read anew.
const LIVE: [&str; 3] = ["acl.policy_file", "acl.acl_format", "auth.password_file"];

/// The settings that differ and do not take effect by themselves, as `section.key`.
pub(super) fn that_need_a_restart(before: &Config, after: &Config) -> Vec<String> {
    let (before, after) = (table_of(before), table_of(after));
    let mut changed = Vec::new();
    for (section, value) in &after {
        let earlier = before.get(section);
        match (earlier, value) {
            (Some(Value::Table(earlier)), Value::Table(now)) => {
                let keys =
                    earlier.keys().chain(now.keys().filter(|key| !earlier.contains_key(*key)));
                let differs = |key: &&String| earlier.get(*key) != now.get(*key);
                changed.extend(keys.filter(differs).map(|key| format!("{section}.{key}")));
            }
            _ if earlier == Some(value) => {}
            _ => changed.push(section.clone()),
        }
    }
    changed.retain(|setting| !LIVE.contains(&setting.as_str()));
    changed
}

/// What was in force, with the settings of `now` that take effect while the broker runs.
pub(super) fn adopt(in_force: &Loaded, now: Loaded) -> Loaded {
    let mut adopted = in_force.clone();
    adopted.config.acl = now.config.acl;
    adopted.config.auth.password_file = now.config.auth.password_file;
    adopted
}

fn table_of(config: &Config) -> Table {
    // Whatever was read from TOML can be written as such.
    Table::try_from(config).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_needs_a_restart_is_named_and_what_is_live_is_not() {
        let before = Config::default();
        let mut after = before.clone();
        assert!(that_need_a_restart(&before, &after).is_empty());
        after.acl.policy_file = Some("other.toml".into());
        after.auth.password_file = Some("other".into());
        assert!(that_need_a_restart(&before, &after).is_empty());
        after.auth.allow_anonymous = true;
        after.listener.push(crate::net::ListenerSettings::default());
        assert_eq!(that_need_a_restart(&before, &after), ["auth.allow_anonymous", "listener"]);
    }
}
