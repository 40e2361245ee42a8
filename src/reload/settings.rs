//! Which settings take effect while the broker runs, and which need a restart.

use toml::{Table, Value};

use crate::broker::{Broker, LiveSettings};
use crate::config::{Config, Loaded};
use crate::sentinel::RuleSet;
use crate::throttle::Rule;
use crate::{admin, auth, broker, identity_service, net, tracer};

/// Sections and settings that take effect while the broker runs: those that name the files that are read
/// anew, and those of which [`adopt`] says more.
const LIVE: [&str; 58] = [
    "acl.policy_file",
    "acl.acl_format",
    "admin.password_file",
    "admin.max_waiting_logins",
    "admin.login_idle_seconds",
    "auth.password_file",
    "auth.allow_anonymous",
    "auth.max_logins_per_address",
    "auth.max_logins_per_prefix",
    "auth.max_logins",
    "auth.lockout_failures",
    "auth.lockout_address_failures",
    "auth.lockout_seconds",
    "auth.lockout_max_seconds",
    "bans.",
    "mqtt.",
    "sentinel.",
    "webhook.",
    "broker.max_queued_messages",
    "broker.max_queued_bytes",
    "broker.max_queued_memory_bytes",
    "broker.max_queued_total_bytes",
    "broker.max_connections",
    "broker.max_sessions",
    "broker.max_retained_messages",
    "broker.max_retained_bytes",
    "broker.max_idle_throttles",
    "http.timeout_ms",
    "http.max_in_flight",
    "http.max_waiting_logins",
    "http.cache_seconds",
    "http.max_cached_answers",
    "http.revalidate_seconds",
    "http.max_stale_seconds",
    "http.breaker_failures",
    "http.breaker_seconds",
    "network.connect_timeout_seconds",
    "network.max_connect_size",
    "network.max_connections_per_address",
    "network.max_connections_per_prefix",
    "network.max_handshakes_per_address",
    "network.max_handshakes_per_prefix",
    "network.max_handshakes",
    "network.max_tls_handshakes",
    "network.connection_rate_per_address",
    "network.connection_burst_per_address",
    "network.connection_rate_per_prefix",
    "network.connection_burst_per_prefix",
    "network.connection_rate",
    "network.connection_burst",
    "network.answered_refusals_per_second",
    "network.send_timeout_seconds",
    "network.max_connections_per_second",
    "tracing.connect_ratio",
    "tracing.publish_ratio",
    "tracing.forced_per_second",
    "tracing.forced_per_client_per_second",
    "log.",
];

/// Those of them by which operators log in, with the password file that is in force.
pub(super) const LOGINS_OF_OPERATORS: [&str; 2] =
    ["admin.max_waiting_logins", "admin.login_idle_seconds"];

/// The settings that differ, as `section.key`. Of listeners is told elsewhere.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Differences {
    /// Those that take effect while the broker runs.
    pub(super) live: Vec<String>,
    /// Those that do not.
    pub(super) restart: Vec<String>,
}

/// What is another in `after` than it was `before`.
pub(super) fn differences(before: &Config, after: &Config) -> Differences {
    let mut found = Differences::default();
    if before.throttle != after.throttle {
        found.live.push("throttle".to_owned());
    }
    if before.sentinel_rule != after.sentinel_rule {
        found.live.push("sentinel.rule".to_owned());
    }
    let (before, after) = (table_of(before), table_of(after));
    for (section, value) in &after {
        let (Some(Value::Table(earlier)), Value::Table(now)) = (before.get(section), value) else {
            continue;
        };
        let keys = earlier.keys().chain(now.keys().filter(|key| !earlier.contains_key(*key)));
        for key in keys.filter(|key| earlier.get(*key) != now.get(*key)) {
            let setting = format!("{section}.{key}");
            let is_live = LIVE
                .iter()
                .any(|live| *live == setting || live.ends_with('.') && setting.starts_with(live));
            if is_live { found.live.push(setting) } else { found.restart.push(setting) }
        }
    }
    found
}

/// What was in force, with the settings of `now` that take effect while the broker runs. The rest of
/// each section is what it was.
pub(super) fn adopt(in_force: &Loaded, now: Loaded) -> Loaded {
    let mut adopted = now;
    let Config {
        listener,
        throttle,
        bans,
        sentinel,
        sentinel_rule,
        webhook,
        acl,
        auth,
        mqtt,
        broker,
        http,
        network,
        tracing,
        admin,
        log,
        ..
    } = std::mem::replace(&mut adopted.config, in_force.config.clone());
    let config = &mut adopted.config;
    config.listener = listener;
    config.throttle = throttle;
    config.sentinel = sentinel;
    config.sentinel_rule = sentinel_rule;
    config.webhook = webhook;
    config.bans = bans;
    config.acl = acl;
    config.mqtt = mqtt;
    config.admin = admin::Settings {
        address: config.admin.address,
        max_connections: config.admin.max_connections,
        connection_timeout_seconds: config.admin.connection_timeout_seconds,
        ..admin
    };
    config.log = log;
    config.tracing = tracer::Settings {
        connect_ratio: tracing.connect_ratio,
        publish_ratio: tracing.publish_ratio,
        forced_per_second: tracing.forced_per_second,
        forced_per_client_per_second: tracing.forced_per_client_per_second,
        ..std::mem::take(&mut config.tracing)
    };
    let before = config.broker.clone();
    config.broker = broker::Settings {
        shared_subscriptions: before.shared_subscriptions,
        sys_interval_seconds: before.sys_interval_seconds,
        shutdown_timeout_seconds: before.shutdown_timeout_seconds,
        ..broker
    };
    config.http = identity_service::Settings {
        timeout_ms: http.timeout_ms,
        max_in_flight: http.max_in_flight,
        max_waiting_logins: http.max_waiting_logins,
        cache_seconds: http.cache_seconds,
        max_cached_answers: http.max_cached_answers,
        revalidate_seconds: http.revalidate_seconds,
        max_stale_seconds: http.max_stale_seconds,
        breaker_failures: http.breaker_failures,
        breaker_seconds: http.breaker_seconds,
        ..std::mem::take(&mut config.http)
    };
    let before = std::mem::take(&mut config.auth);
    config.auth = auth::Settings {
        password_file: auth.password_file,
        allow_anonymous: auth.allow_anonymous,
        max_logins_per_address: auth.max_logins_per_address,
        max_logins_per_prefix: auth.max_logins_per_prefix,
        max_logins: auth.max_logins,
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

/// Puts the settings of `config` in force that take effect while the broker runs, but those of the log.
pub(super) fn apply(
    config: &Config,
    throttles: Vec<Rule>,
    sentinel: RuleSet,
    broker: &Broker,
    shared: &net::Shared,
) {
    broker.follow(LiveSettings {
        mqtt: &config.mqtt,
        broker: &config.broker,
        auth: &config.auth,
        http: &config.http,
        bans: &config.bans,
        throttles,
        sentinel,
        max_connect_size: config.network.max_connect_size.get() as usize,
    });
    if let Some(tracer) = broker.tracer() {
        tracer.follow(&config.tracing);
    }
    shared.follow(config.network.clone(), config.broker.max_connections.get());
}

fn table_of(config: &Config) -> Table {
    // Whatever was read from TOML can be written as such.
    Table::try_from(config).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_live_is_told_from_what_needs_a_restart() {
        let before = Config::default();
        let mut after = before.clone();
        assert_eq!(differences(&before, &after), Differences::default());
        after.acl.policy_file = Some("other.toml".into());
        after.auth.allow_anonymous = true;
        after.mqtt.max_session_expiry_seconds = 1;
        after.network.send_timeout_seconds = std::num::NonZeroU32::MIN;
        after.auth.hashing_threads = std::num::NonZeroU32::MIN.saturating_add(6);
        after.network.worker_threads = 3;
        after.log.file = Some("it.log".into());
        let Differences { live, restart } = differences(&before, &after);
        let expected = [
            "acl.policy_file",
            "auth.allow_anonymous",
            "log.file",
            "mqtt.max_session_expiry_seconds",
            "network.send_timeout_seconds",
        ];
        assert_eq!(live, expected);
        assert_eq!(restart, ["auth.hashing_threads", "network.worker_threads"]);
    }
}
