//! Settings by environment variable: `BASTIONMQ_<SECTION>_<KEY>`.

use std::{
    collections::BTreeMap,
    env,
    ffi::{OsStr, OsString},
};

use super::{
    Origin, Problem,
    entry::Entry,
    overrides::Overrides,
    settings::{SECTIONS, listener_keys},
    suggest::did_you_mean,
};
use crate::keys;

const PREFIX: &str = "BASTIONMQ_";

/// Names the configuration file.
pub(super) const CONFIG: &str = "BASTIONMQ_CONFIG";

/// Lists listener URLs, with commas between.
const LISTEN: &str = "BASTIONMQ_LISTEN";

/// The variables of a process, as `std::env::vars_os` gives them.
pub(super) type Variables = [(OsString, OsString)];

/// What a variable sets.
#[derive(Clone, Copy)]
enum Target {
    Config,
    Listen,
    /// No setting: whoever needs the key reads it where it is, so that no copy is kept.
    MasterKey,
    Listener(&'static str),
    Section(&'static str, &'static str),
}

/// The variables of this process, less the one that is a secret.
pub(super) fn of_process() -> Vec<(OsString, OsString)> {
    env::vars_os().filter(|(name, _)| name != keys::VARIABLE).collect()
}

/// Reads every variable that is ours.
pub(super) fn read(variables: &Variables, problems: &mut Vec<Problem>) -> Overrides {
    let known = known();
    let mut overrides = Overrides::default();
    for (name, value) in variables {
        let Some(name) = name.to_str().filter(|name| is_ours(name)) else { continue };
        let origin = Origin::Environment(name.to_owned());
        let Some(target) = known.get(name) else {
            let hint = did_you_mean(name, known.keys().map(String::as_str));
            problems.push(Problem::at(&origin, format!("unknown setting{hint}")));
            continue;
        };
        match value.to_str() {
            Some(text) => overrides.set(*target, text, &origin),
            None => problems.push(Problem::at(&origin, "the value is not UTF-8 text")),
        }
    }
    overrides
}

/// The value of one variable.
pub(super) fn value_of<'a>(variables: &'a Variables, name: &str) -> Option<&'a OsStr> {
    variables.iter().find(|(each, _)| each == name).map(|(_, value)| value.as_os_str())
}

impl Overrides {
    fn set(&mut self, target: Target, text: &str, origin: &Origin) {
        let entry = |text: &str| Entry::text(text, origin.clone());
        match target {
            Target::Config | Target::MasterKey => {}
            Target::Listen => {
                self.listen = text.split(',').map(|url| entry(url.trim())).collect();
            }
            Target::Listener(key) => {
                self.listener.insert(key, entry(text));
            }
            Target::Section(section, key) => {
                self.sections.insert((section, key), entry(text));
            }
        }
    }
}

fn known() -> BTreeMap<String, Target> {
    let of_sections = SECTIONS.iter().flat_map(|section| {
        let keys = (section.keys)().iter();
        keys.map(|key| {
            let name = format!("{PREFIX}{}_{key}", section.name).to_ascii_uppercase();
            (name, Target::Section(section.name, key))
        })
    });
    let of_listeners = listener_keys().iter().filter(|key| **key != "url").map(|key| {
        let name = format!("{PREFIX}{key}").to_ascii_uppercase();
        (name, Target::Listener(key))
    });
    let own = [
        (CONFIG.to_owned(), Target::Config),
        (LISTEN.to_owned(), Target::Listen),
        (keys::VARIABLE.to_owned(), Target::MasterKey),
    ];
    of_sections.chain(of_listeners).chain(own).collect()
}

/// Kubernetes and Docker links describe a service called `bastionmq` to every other container in
/// variables of these names; nobody meant those as settings.
fn is_ours(name: &str) -> bool {
    name.strip_prefix(PREFIX).is_some_and(|rest| {
        rest != "PORT" && !rest.starts_with("PORT_") && !rest.starts_with("SERVICE_")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_one(name: &str, value: &str) -> (Overrides, Vec<Problem>) {
        let mut problems = Vec::new();
        let overrides = read(&[(name.into(), value.into())], &mut problems);
        (overrides, problems)
    }

    #[test]
    fn every_key_of_every_section_has_its_variable() {
        for section in &SECTIONS {
            assert!(!(section.keys)().is_empty(), "{}", section.name);
            for key in (section.keys)() {
                let name = format!("BASTIONMQ_{}_{key}", section.name).to_ascii_uppercase();
                let (overrides, problems) = read_one(&name, "x");
                assert_eq!(problems, []);
                assert!(overrides.sections.contains_key(&(section.name, *key)), "{name}");
            }
        }
    }

    #[test]
    fn an_unknown_variable_is_an_error_that_suggests_the_nearest() {
        let (_, problems) = read_one("BASTIONMQ_MQTT_MAX_PAKET_SIZE", "1");
        let text = problems[0].to_string();
        assert!(text.contains("did you mean `BASTIONMQ_MQTT_MAX_PACKET_SIZE`?"), "{text}");
    }

    #[test]
    fn variables_of_others_are_not_looked_at() {
        for name in [
            "PATH",
            "BASTION_LISTEN",
            "BASTIONMQ_PORT",
            "BASTIONMQ_PORT_8883_TCP_ADDR",
            "BASTIONMQ_SERVICE_HOST",
        ] {
            assert_eq!(read_one(name, "x").1, [], "{name}");
        }
    }

    #[test]
    fn the_master_key_is_no_setting_and_no_mistake() {
        let (overrides, problems) = read_one("BASTIONMQ_MASTER_KEY", "canary");
        assert_eq!(problems, []);
        assert!(!format!("{overrides:?}").contains("canary"));
    }

    #[test]
    fn listeners_are_listed_with_commas() {
        let (overrides, _) = read_one("BASTIONMQ_LISTEN", "mqtt://127.0.0.1:1, mqtts://[::]:2");
        let urls: Vec<_> = overrides.listen.iter().filter_map(Entry::as_text).collect();
        assert_eq!(urls, ["mqtt://127.0.0.1:1", "mqtts://[::]:2"]);
    }

    #[cfg(unix)]
    #[test]
    fn a_value_that_is_no_text_is_an_error() {
        use std::os::unix::ffi::OsStringExt;
        let mut problems = Vec::new();
        let value = OsString::from_vec(vec![0xff]);
        read(&[("BASTIONMQ_LOG_LEVEL".into(), value)], &mut problems);
        assert_eq!(problems[0].to_string(), "BASTIONMQ_LOG_LEVEL: the value is not UTF-8 text");
    }
}
