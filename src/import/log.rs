//! The log: where it goes, what it says, and as whom it speaks to syslog.

use super::conf_lines::Directive;
use super::finding::{Findings, Place};
use super::output::Config;
use super::policy_text::list;
use super::source::{ImportError, Source};

/// The last of the facilities `local0` and so on.
const LAST_FACILITY: i64 = 7;

/// Where Mosquitto's log goes, as far as this one can go there.
#[derive(Debug, Default)]
struct Destinations {
    targets: Vec<&'static str>,
    file: Option<(String, Place)>,
    /// What says so last.
    place: Option<Place>,
    /// Whether it goes nowhere.
    is_off: bool,
}

/// Translates what `settings` say of the log into `config`.
pub(super) fn translate(
    settings: &[Directive],
    source: &Source<'_>,
    config: &mut Config,
    findings: &mut Findings,
) -> Result<(), ImportError> {
    level(settings, config);
    let mut destinations = Destinations::default();
    for directive in settings {
        match &*directive.key {
            "log_dest" => destinations.add(directive, source, findings)?,
            "log_facility" => facility(directive, config)?,
            _ => {}
        }
    }
    destinations.write(config);
    Ok(())
}

/// The level that shows what was shown before.
fn level(settings: &[Directive], config: &mut Config) {
    const LEVELS: [(&str, &[&str]); 4] = [
        ("debug", &["all", "debug", "internal", "websockets"]),
        ("info", &["information", "notice", "subscribe", "unsubscribe"]),
        ("warn", &["warning"]),
        ("error", &["error"]),
    ];
    let types: Vec<_> = settings.iter().filter(|directive| directive.key == "log_type").collect();
    let Some(last) = types.last() else { return };
    let is_shown = |kinds: &[&str]| types.iter().any(|it| kinds.contains(&&*it.value));
    let level = LEVELS.iter().find(|(_, kinds)| is_shown(kinds)).map_or("off", |(level, _)| level);
    config.section("log").set_text("level", level, Some(&last.place));
}

fn facility(directive: &Directive, config: &mut Config) -> Result<(), ImportError> {
    let number = directive.number()?;
    if !(0..=LAST_FACILITY).contains(&number) {
        return Err(directive.broken("takes a number from 0 to 7"));
    }
    let name = format!("local{number}");
    config.section("log").set_text("syslog_facility", &name, Some(&directive.place));
    Ok(())
}

impl Destinations {
    fn add(
        &mut self,
        directive: &Directive,
        source: &Source<'_>,
        findings: &mut Findings,
    ) -> Result<(), ImportError> {
        let (kind, behind) = directive.value.split_once(' ').unwrap_or((&directive.value, ""));
        match kind {
            "" => return Err(directive.broken("takes a value")),
            "none" => *self = Self { is_off: true, ..Self::default() },
            "stderr" => self.go_to("stderr"),
            "stdout" => {
                self.go_to("stderr");
                findings.note(&directive.place, directive.shown(), "it goes to standard error");
            }
            "syslog" => self.go_to("syslog"),
            "file" => self.go_to_file(directive, behind.trim(), source, findings)?,
            "topic" => {
                let remedy = "the log is never published: who reads it is for the operator to say";
                findings.missing(&directive.place, directive.shown(), remedy);
            }
            _ => {
                let remedy = "see targets of [log] for what there is: standard error, a file, syslog, \
                              the journal";
                findings.missing(&directive.place, directive.shown(), remedy);
            }
        }
        self.place = Some(directive.place.clone());
        Ok(())
    }

    fn go_to(&mut self, target: &'static str) {
        self.is_off = false;
        if !self.targets.contains(&target) {
            self.targets.push(target);
        }
    }

    fn go_to_file(
        &mut self,
        directive: &Directive,
        name: &str,
        source: &Source<'_>,
        findings: &mut Findings,
    ) -> Result<(), ImportError> {
        let path = source.absolute(name);
        if name.is_empty() || path.file_name().is_none() {
            return Err(directive.broken("takes `file` and the path of a file"));
        }
        self.go_to("file");
        self.file = Some((path.to_string_lossy().into_owned(), directive.place.clone()));
        let remedy = "it is written as JSON, or with format = \"human\" in [log] as text: its directory has \
                      to be writable for the user of the broker";
        findings.note(&directive.place, directive.shown(), remedy);
        Ok(())
    }

    fn write(self, config: &mut Config) {
        let place = self.place.as_ref();
        if self.is_off {
            config.section("log").set_text("level", "off", place);
        }
        // Standard error alone is the default.
        if !matches!(&*self.targets, [] | ["stderr"]) {
            config.section("log").set("targets", list(&self.targets), place);
        }
        if let Some((file, place)) = &self.file {
            config.section("log").set_text("file", file, Some(place));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::import::conf_lines::directives;

    /// What is written, less what names the lines, and what is told.
    fn translated(text: &str) -> Result<(Vec<String>, Vec<String>), String> {
        let source = Source::of(Path::new("/etc/mosquitto/mosquitto.conf"), &[]);
        let (mut config, mut findings) = (Config::default(), Findings::default());
        let all = directives(Path::new("f"), text);
        let done = translate(&all, &source, &mut config, &mut findings);
        done.map_err(|error| error.to_string())?;
        let written = config.to_text("f");
        let settings = written.lines().filter_map(|line| line.split_once("  # "));
        let told = findings.0.iter().map(ToString::to_string);
        Ok((settings.map(|(setting, _)| setting.to_owned()).collect(), told.collect()))
    }

    #[test]
    fn each_destination_that_there_is_becomes_a_target() {
        let all = "log_dest file /var/log/m q.log\nlog_dest syslog\nlog_dest stdout\nlog_dest syslog\n\
                   log_facility 5\nlog_type warning\n";
        let (written, told) = translated(all).unwrap();
        let expected = [
            "level = \"warn\"",
            "syslog_facility = \"local5\"",
            "targets = [\"file\", \"syslog\", \"stderr\"]",
            "file = \"/var/log/m q.log\"",
        ];
        assert_eq!(written, expected);
        assert!(told[0].starts_with("f:1: note: log_dest file /var/log/m q.log\n"), "{told:?}");
        assert!(told[1].starts_with("f:3: note: log_dest stdout\n"), "{told:?}");
        assert_eq!(told.len(), 2);
        assert_eq!(translated("log_dest stderr\n").unwrap(), (Vec::new(), Vec::new()));
        let beside = translated("log_dest file m.log\n").unwrap().0;
        assert_eq!(beside, ["targets = [\"file\"]", "file = \"/etc/mosquitto/m.log\""]);
    }

    #[test]
    fn none_takes_back_what_was_said_before_it() {
        let nowhere = translated("log_type all\nlog_dest file /x.log\nlog_dest none\n").unwrap();
        assert_eq!(nowhere.0, ["level = \"off\""]);
        let again = translated("log_dest none\nlog_dest syslog\n").unwrap();
        assert_eq!(again.0, ["targets = [\"syslog\"]"]);
    }

    #[test]
    fn what_cannot_be_carried_over_is_told() {
        let (written, told) = translated("log_dest topic\nlog_dest dlt\n").unwrap();
        assert_eq!(written, [""; 0]);
        assert!(told[0].contains("f:1: no counterpart: log_dest topic"), "{told:?}");
        assert!(told[1].contains("f:2: no counterpart: log_dest dlt"), "{told:?}");
        for (broken, why) in [
            ("log_dest\n", "takes a value"),
            ("log_dest file\n", "the path of a file"),
            ("log_dest file /\n", "the path of a file"),
            ("log_facility 8\n", "a number from 0 to 7"),
        ] {
            let refused = translated(broken).unwrap_err();
            assert!(refused.contains(why), "{refused}");
        }
    }
}
