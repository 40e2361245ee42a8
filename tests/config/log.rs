//! `[log]`: what each of its targets needs.

use bastionmq::config::Flags;
use bastionmq::telemetry::LogTarget;

use crate::site::{PLAIN, Site, complaint};

fn log(settings: &str) -> String {
    format!("{PLAIN}[log]\n{settings}\n")
}

#[test]
fn what_is_wrong_with_a_target_is_named_with_its_remedy() {
    for (settings, fault) in [
        ("targets = [\"sdterr\"]", "`sdterr` is no target of the log: write stderr, file, syslog"),
        ("targets = []", "whoever wants no log sets `level = \"off\"`"),
        ("targets = [\"file\", \"file\"]", "`file` is there twice"),
        ("targets = 1", "a list such as [\"stderr\", \"file\"] is needed"),
        ("targets = [\"file\"]", "`log.targets` has \"file\", and there is none: set `file`"),
        ("targets = [\"file\"]\nfile = \"/\"", "set `file` in [log], such as"),
        ("rotate = \"hourly\"", "unknown variant `hourly`, expected `never` or `daily`"),
        ("syslog = \"tls://logs:514\"", "`tls://logs:514` is no address of a syslog daemon"),
        ("syslog_facility = \"mail\"", "unknown variant `mail`"),
        ("max_file_mib = 0", "`log.max_file_mib` is 0; a whole number from 1 to 1048576 is needed"),
    ] {
        let said = complaint(&log(settings));
        assert!(said.contains(fault), "{settings}: {said}");
    }
}

#[test]
fn what_ought_to_be_known_of_a_target_is_said() {
    for (settings, told) in [
        ("file = \"x.log\"", "`log.file` has no effect without \"file\" among `targets`"),
        (
            "targets = [\"syslog\"]\nsyslog = \"udp://logs.example.com:514\"",
            "the log goes to udp://logs.example.com:514 in plain text",
        ),
        (
            "targets = [\"syslog\"]\nsyslog = \"tcp://logs.example.com:601\"",
            "the log goes to tcp://logs.example.com:601 in plain text",
        ),
    ] {
        let warnings = Site::new(&log(settings)).resolve().unwrap().warnings;
        assert!(warnings.iter().any(|it| it.contains(told)), "{settings}: {warnings:?}");
    }
    let local = "targets = [\"syslog\"]\nsyslog = \"udp://[::1]:514\"";
    assert_eq!(Site::new(&log(local)).resolve().unwrap().warnings, [""; 0]);
}

#[test]
fn a_file_is_meant_beside_the_configuration_and_a_variable_lists_targets_with_commas() {
    let site = Site::new(&log("file = \"log/it.log\""));
    let variables = [("BASTIONMQ_LOG_TARGETS", "stderr,file")];
    let config = bastionmq::config::Loaded::load(&site.sources(&variables, Flags::default()));
    let log = config.unwrap().config.log;
    assert_eq!(log.file, Some(site.home().join("log/it.log")));
    assert_eq!(log.targets.iter().collect::<Vec<_>>(), [LogTarget::Stderr, LogTarget::File]);
}
