//! Any text as a configuration, an ACL file, a password file or a file of the plugin: an error or a
//! broker that could be started, never a panic.

use bastionmq::acl::Policy;
use bastionmq::auth::PasswordFile;
use bastionmq::config::{Loaded, Sources};
use bastionmq::import;
use proptest::prelude::*;

use crate::site::Site;

const CONFIGURATION: [&str; 43] = [
    "listener 1883",
    "listener 1884 ::1",
    "listener 0 /run/x/y",
    "port 1885",
    "bind_address a b",
    "protocol websockets",
    "allow_anonymous true",
    "per_listener_settings true",
    "acl_file acl",
    "password_file passwd",
    "plugin mosquitto_dynamic_security.so",
    "plugin_opt_config_file ds",
    "max_packet_size 1",
    "max_inflight_messages 70000",
    "max_keepalive -1",
    "max_queued_bytes 0x10",
    "message_size_limit 99999999999",
    "persistent_client_expiration 1d",
    "sys_interval -5",
    "max_qos 1",
    "maximum_qos 9",
    "max_connections 5",
    "connection b",
    "topic # out",
    "log_type all",
    "log_dest none",
    "log_dest file \u{1b}[2J/a\"b\\",
    "log_dest file ..",
    "log_dest syslog",
    "log_dest topic",
    "log_facility 3",
    "websockets_origin *",
    "websockets_origin https://a",
    "socket_domain ipv4",
    "retain_available false",
    "\u{feff}x",
    "# comment",
    "",
    "  ",
    "é \0 \u{1b}[2J",
    "tls_version x",
    "global_max_connections 99999999999",
    "auto_id_prefix \"\\",
];

const ACL: [&str; 14] = [
    "user ann",
    "user a*b",
    "user \u{1b}[2J",
    "topic read a",
    "topic deny ${x}/#",
    "topic $SYS/#",
    "pattern write %u/%c",
    "pattern %u/${x}",
    "pattern deny %c/#",
    "topic read %u",
    "user 'q\"\\",
    "topic write \"'\\",
    "# x",
    "topic readwrite #",
];

const PASSWORDS: [&str; 8] = [
    "ann:$7$101$AAAA$AAAA",
    "bob:",
    ":x",
    "carol",
    "ann:plain",
    "a*b:$6$AAAA$AAAA",
    "# x",
    "\0:\0",
];

fn dynamic_security() -> impl Strategy<Value = String> {
    let name = prop::sample::select(vec!["a", "b", "a*", "", "\u{1b}", "${x}"]);
    let kind = prop::sample::select(vec![
        "publishClientSend",
        "publishClientReceive",
        "subscribePattern",
        "subscribeLiteral",
        "unsubscribePattern",
        "other",
    ]);
    let topic = prop::sample::select(vec![
        "#",
        "a/+",
        "%u%c/x",
        "${x}/#",
        "a#",
        "$SYS/#",
        "$CONTROL/x",
        "",
    ]);
    let acl = (kind, topic, any::<i64>(), any::<bool>()).prop_map(|(kind, topic, priority, allow)| {
        serde_json::json!({"acltype": kind, "topic": topic, "priority": priority, "allow": allow})
    });
    let role = (name.clone(), prop::collection::vec(acl, 0..5))
        .prop_map(|(name, acls)| serde_json::json!({"rolename": name, "acls": acls}));
    let held = (name.clone(), any::<i64>())
        .prop_map(|(name, priority)| serde_json::json!({"rolename": name, "priority": priority}));
    let client = (name.clone(), prop::collection::vec(held.clone(), 0..3))
        .prop_map(|(name, roles)| serde_json::json!({"username": name, "roles": roles}));
    let group = (name.clone(), name, prop::collection::vec(held, 0..3)).prop_map(|(name, member, roles)| {
        serde_json::json!({"groupname": name, "roles": roles, "clients": [{"username": member}]})
    });
    let many = 0..4;
    (
        prop::collection::vec(role, many.clone()),
        prop::collection::vec(client, many.clone()),
        prop::collection::vec(group, many),
        any::<[bool; 4]>(),
    )
        .prop_map(|(roles, clients, groups, [send, receive, subscribe, anonymous])| {
            serde_json::json!({
                "defaultACLAccess": {
                    "publishClientSend": send, "publishClientReceive": receive, "subscribe": subscribe,
                },
                "anonymousGroup": if anonymous { "a" } else { "no" },
                "roles": roles, "clients": clients, "groups": groups,
            })
            .to_string()
        })
}

fn lines(of: &'static [&'static str]) -> impl Strategy<Value = String> {
    let lines = prop::collection::vec(prop::sample::select(of), 0..8);
    lines.prop_map(|lines| lines.iter().map(|line| format!("{line}\n")).collect())
}

proptest! {
    #[test]
    fn what_is_translated_can_be_read_by_the_broker(
        configuration in lines(&CONFIGURATION),
        acl in lines(&ACL),
        passwords in lines(&PASSWORDS),
        security in prop_oneof![dynamic_security(), "[{}\\[\\]:,\"a-c]{0,12}"],
    ) {
        let site = Site::new(&configuration);
        site.write("acl", acl);
        site.write("passwd", passwords);
        site.write("ds", security);
        let imported = match import::mosquitto(&site.path("mosquitto.conf"), &[]) {
            Ok(imported) => imported,
            Err(error) => {
                prop_assert!(!error.to_string().is_empty());
                return Ok(());
            }
        };
        let steers = |text: &str| text.contains(|c: char| c.is_control() && c != '\n');
        for finding in &imported.findings {
            prop_assert!(!steers(&finding.to_string()), "{finding}");
        }
        let files = &imported.files;
        prop_assert!(Policy::parse(&files.policy).is_ok(), "{}", files.policy);
        if let Some(passwords) = &files.passwords {
            prop_assert!(PasswordFile::parse(passwords).is_ok(), "{passwords}");
        }
        let path = site.path("bastionmq.toml");
        let loaded = Loaded::parse(&path, &files.config, &Sources::default());
        prop_assert!(loaded.is_ok(), "{:?}\n{}", loaded.err(), files.config);
    }
}
