//! Settings of Mosquitto that have no counterpart, and what to do instead.

use super::conf_lines::Directive;
use super::finding::{Findings, Weight};

/// What is to be said of a setting.
struct Lacking {
    key: &'static str,
    /// Values that ask for nothing that is not so here anyway.
    harmless: &'static [&'static str],
    weight: Weight,
    remedy: &'static str,
}

const fn missing(
    key: &'static str,
    harmless: &'static [&'static str],
    remedy: &'static str,
) -> Lacking {
    Lacking { key, harmless, weight: Weight::Missing, remedy }
}

const fn note(key: &'static str, remedy: &'static str) -> Lacking {
    note_unless(key, &[], remedy)
}

const fn note_unless(
    key: &'static str,
    harmless: &'static [&'static str],
    remedy: &'static str,
) -> Lacking {
    Lacking { key, harmless, weight: Weight::Note, remedy }
}

const PERSISTENCE: &str =
    "retained messages and sessions are kept where [store] has a `dir`: each change at once";
const BY_THE_LISTENER: &str = "no counterpart for a listener: set it for a broker of its own";
const OPENSSL: &str = "TLS is rustls with strong suites only: nothing to choose; PSK is not spoken";
const ALWAYS: &str = "nothing to do: the log is always so";

const ALL: [Lacking; 53] = [
    missing("persistence", &["false", "0"], PERSISTENCE),
    missing("retained_persistence", &["false", "0"], PERSISTENCE),
    note("persistence_file", PERSISTENCE),
    note("persistence_location", PERSISTENCE),
    note("autosave_interval", PERSISTENCE),
    note("autosave_on_changes", PERSISTENCE),
    missing(
        "allow_zero_length_clientid",
        &["true", "1"],
        "a client without an identifier is given one, as MQTT 5.0 has it",
    ),
    missing("auto_id_prefix", &[], "the identifiers that the broker gives have no prefix"),
    missing("listener_auto_id_prefix", &[], "the identifiers that the broker gives have no prefix"),
    note("allow_duplicate_messages", "overlapping subscriptions deliver as MQTT 5.0 has it"),
    missing(
        "clientid_prefixes",
        &[],
        "a client identifier is a claim: give roles to users, or to `client_ids` in [[assign]]",
    ),
    missing(
        "check_retain_source",
        &["true", "1"],
        "a retained message stays as long as nobody replaces it; deliveries are decided by topic",
    ),
    missing(
        "queue_qos0_messages",
        &["false", "0"],
        "QoS 0 messages are not kept for clients that are away: publish with QoS 1",
    ),
    missing(
        "upgrade_outgoing_qos",
        &["false", "0"],
        "a message keeps its QoS: publish with the QoS that subscribers need",
    ),
    missing("retain_expiry_interval", &["0"], "let publishers set a message expiry interval"),
    missing("max_inflight_bytes", &["0"], "set max_inflight in [mqtt], and max_queued_bytes"),
    missing(
        "memory_limit",
        &["0"],
        "memory is bounded by the limits in [broker]; a limit in all: MemoryMax= of systemd",
    ),
    note("packet_buffer_size", "buffers are sized by the broker"),
    note("websockets_headers_size", "an upgrade request has a bound of its own"),
    note("websockets_log_level", "the log has one level: `level` in [log]"),
    note("connection_messages", ALWAYS),
    note_unless(
        "log_timestamp",
        &["true", "1"],
        "each line has its time on standard error and in a file; syslog and the journal add their own",
    ),
    note("log_timestamp_format", "times are always UTC, in RFC 3339"),
    note("pid_file", "a service manager knows the process: Type=notify of systemd is supported"),
    note("user", "the broker never changes its user: start it as that one, User= in systemd"),
    note("retry_interval", "MQTT has no such retries"),
    missing("psk_file", &[], OPENSSL),
    missing("ciphers", &[], OPENSSL),
    missing("ciphers_tls1.3", &[], OPENSSL),
    note("dhparamfile", OPENSSL),
    missing("tls_engine", &[], "keys are PEM files: no engine, no hardware token"),
    missing("tls_engine_kpass_sha1", &[], "keys are PEM files without a password"),
    missing("tls_keyform", &["pem"], "keys are PEM files"),
    missing(
        "disable_client_cert_date_checks",
        &["false", "0"],
        "an expired certificate proves nothing here: issue it anew",
    ),
    missing(
        "accept_protocol_versions",
        &["3,4,5", "3, 4, 5"],
        "every listener speaks MQTT 3.1, 3.1.1 and 5.0",
    ),
    missing("bind_interface", &[], "listen at the address of the interface: its `url`"),
    missing("http_dir", &[], "a listener serves no files: leave that to a web server"),
    missing(
        "mount_point",
        &[],
        "topics are what clients say: let the clients of this listener use the prefix",
    ),
    missing(
        "enable_proxy_protocol",
        &["0", "false"],
        "the proxies are named: set `proxy_protocol` and `proxy_from` of the listener",
    ),
    missing("proxy_protocol_v2_require_tls", &["false", "0"], BY_THE_LISTENER),
    missing(
        "use_username_as_clientid",
        &["false", "0"],
        "a client identifier belongs to the user that takes it: nobody else gets its session",
    ),
    missing(
        "auth_plugin_deny_special_chars",
        &["true", "1"],
        "names with /, + or # are never put into topics",
    ),
    missing(
        "plugin_load",
        &[],
        "there are no plugins: passwords, certificates, JWT and HTTP hooks",
    ),
    missing("plugin_use", &[], "there are no plugins: passwords, certificates, JWT and HTTP hooks"),
    missing("enable_control_api", &["false", "0"], "there is no control API"),
    missing("global_plugin", &[], "there are no plugins: passwords, certificates, JWT, HTTP hooks"),
    missing("packet_max_simple", &[], "set max_packet_size in [mqtt]"),
    missing("packet_max_sub", &[], "set max_packet_size in [mqtt]"),
    missing("packet_max_auth", &[], "set max_packet_size in [mqtt]"),
    missing("packet_max_connect", &[], "set max_connect_size in [network]"),
    missing("protocol", &["mqtt", "websockets"], "only MQTT is spoken, with WebSocket or without"),
    missing("max_topic_alias", &[], BY_THE_LISTENER),
    missing("max_topic_alias_broker", &[], BY_THE_LISTENER),
];

/// Says what is to be said of a setting that nothing was made of.
pub(super) fn report(directive: &Directive, findings: &mut Findings) {
    let known = ALL.iter().find(|known| known.key == directive.key);
    let Some(known) = known else {
        let remedy = "no such setting of Mosquitto is known here: nothing was made of it";
        return findings.missing(&directive.place, directive.shown(), remedy);
    };
    if known.harmless.contains(&&*directive.value) {
        return;
    }
    match known.weight {
        Weight::Missing => findings.missing(&directive.place, directive.shown(), known.remedy),
        Weight::Note => findings.note(&directive.place, directive.shown(), known.remedy),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;
    use crate::import::conf_lines::directives;

    #[test]
    fn every_setting_is_listed_once() {
        let keys: BTreeSet<_> = ALL.iter().map(|known| known.key).collect();
        assert_eq!(keys.len(), ALL.len());
    }

    #[test]
    fn a_value_that_asks_for_nothing_is_not_worth_a_word() {
        let mut findings = Findings::default();
        let text = "persistence false\nmemory_limit 0\npersistence true\nno_such_key x\n";
        for directive in directives(Path::new("f"), text) {
            report(&directive, &mut findings);
        }
        let lines: Vec<_> = findings.0.iter().map(|finding| finding.place.line).collect();
        assert_eq!(lines, [3, 4]);
    }
}
