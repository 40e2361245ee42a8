//! Which settings take effect while the broker runs, and which need a restart.

use toml::{Table, Value};

use crate::broker::{Broker, LiveSettings};
use crate::config::{Config, Loaded};
use crate::telemetry::logging::{self, LoggingError};
use crate::{auth, net};

/// Sections and settings that take effect while the broker runs: those that name the files that are read
/// anew, and those of which [`adopt`] says more.
const LIVE: [&str; 17] = [
    "acl.policy_file",
    "acl.acl_format",
    "auth.password_file",
    "auth.lockout_failures",
    "auth.lockout_address_failures",
    "auth.lockout_seconds",
    "auth.lockout_max_seconds",
    "mqtt.",
    "broker.max_queued_messages",
    "broker.max_queued_bytes",
    "network.connect_timeout_seconds",
    "network.max_connect_size",
    "network.max_connections_per_address",
    "network.max_handshakes_per_address",
    "network.send_timeout_seconds",
    "network.max_connections_per_second",
    "log.level",
];

/// The settings that differ and do not take effect by themselves, as `section.key`, or as `listener URL`.
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
            (Some(Value::Array(earlier)), Value::Array(now)) => {
                let differing = earlier.iter().filter(|it| !now.contains(it));
                let differing = differing.chain(now.iter().filter(|it| !earlier.contains(it)));
                let urls = differing.map(|listener| match listener.get("url") {
                    Some(Value::String(url)) => format!("{section} {url}"),
                    _ => section.clone(),
                });
                let mut urls = urls.collect::<Vec<_>>();
                urls.sort();
                urls.dedup();
                // Those that are the same stand in another order.
                if urls.is_empty() {
                    urls.push(section.clone());
                }
                changed.extend(urls);
            }
            _ => changed.push(section.clone()),
        }
    }
    let is_live = |setting: &str| {
        LIVE.iter().any(|live| *live == setting || live.ends_with('.') && setting.starts_with(live))
    };
    changed.retain(|setting| !is_live(setting));
    changed
}

/// What was in force, with the settings of `now` that take effect while the broker runs. The rest of
/// each section is what it was.
pub(super) fn adopt(in_force: &Loaded, now: Loaded) -> Loaded {
    let Config { acl, auth, mqtt, broker, network, log, .. } = now.config;
    let mut adopted = in_force.clone();
    let config = &mut adopted.config;
    config.acl = acl;
    config.mqtt = mqtt;
    config.log.level = log.level;
    config.broker.max_queued_messages = broker.max_queued_messages;
    config.broker.max_queued_bytes = broker.max_queued_bytes;
    let before = std::mem::take(&mut config.auth);
    config.auth = auth::Settings {
        password_file: auth.password_file,
        lockout_failures: auth.lockout_failures,
        lockout_address_failures: auth.lockout_address_failures,
        lockout_seconds: auth.lockout_seconds,
        lockout_max_seconds: auth.lockout_max_seconds,
        ..before
    };
    let net::Settings { tcp_nodelay, backlog, worker_threads, .. } = config.network;
    config.network = net::Settings { tcp_nodelay, backlog, worker_threads, ..network };
    adopted
}

/// Puts the settings of `config` in force that take effect while the broker runs.
///
/// # Errors
/// When there can be no such log; nothing has changed then.
pub(super) fn apply(
    config: &Config,
    broker: &Broker,
    shared: &net::Shared,
) -> Result<(), LoggingError> {
    logging::follow(&config.log.level)?;
    broker.follow(&LiveSettings {
        mqtt: &config.mqtt,
        broker: &config.broker,
        auth: &config.auth,
        max_connect_size: config.network.max_connect_size.get() as usize,
    });
    shared.follow(config.network.clone());
    Ok(())
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
        let mut before = Config::default();
        let mut after = before.clone();
        assert!(that_need_a_restart(&before, &after).is_empty());
        after.acl.policy_file = Some("other.toml".into());
        after.auth.password_file = Some("other".into());
        assert!(that_need_a_restart(&before, &after).is_empty());
        after.mqtt.max_session_expiry_seconds = 1;
        after.auth.lockout_failures = 1;
        after.network.send_timeout_seconds = std::num::NonZeroU32::MIN;
        assert!(that_need_a_restart(&before, &after).is_empty());
        after.auth.allow_anonymous = true;
        after.network.worker_threads = 3;
        let listener = |url: &str| net::ListenerSettings {
            url: Some(url.parse().expect("a URL")),
            ..net::ListenerSettings::default()
        };
        before.listener =
            vec![listener("mqtt://127.0.0.1:1883"), listener("mqtt://127.0.0.1:1884")];
        let loud = net::ListenerSettings { proxy_protocol: true, ..before.listener[1].clone() };
        after.listener = vec![before.listener[0].clone(), loud, listener("ws://127.0.0.1:8083")];
        assert_eq!(
            that_need_a_restart(&before, &after),
            [
                "auth.allow_anonymous",
                "listener mqtt://127.0.0.1:1884",
                "listener ws://127.0.0.1:8083",
                "network.worker_threads"
            ]
        );
    }
}
