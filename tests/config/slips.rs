//! Slips of the pen: each is found, placed, and answered with what was probably meant.

use bastionmq::config::{Flags, Loaded};

use crate::site::{PLAIN, Site, complaint, complaints};

#[test]
fn u12_an_unknown_key_is_an_error_with_its_line_and_a_suggestion() {
    let said = complaint(&format!("{PLAIN}[mqtt]\nmax_packt_size = 1000\n"));
    assert_eq!(
        said,
        "bastionmq.toml:8: unknown key `max_packt_size` in [mqtt]; did you mean `max_packet_size`?"
    );
}

#[test]
fn a_key_in_the_wrong_section_is_told_where_it_belongs() {
    let said = complaint(&format!("{PLAIN}[mqtt]\npassword_file = \"passwords\"\n"));
    assert!(
        said.ends_with("unknown key `password_file` in [mqtt]; it belongs in [auth]"),
        "{said}"
    );
    let said = complaint(&format!("allow_anonymous = true\n{PLAIN}"));
    assert_eq!(said, "bastionmq.toml:1: unknown section `allow_anonymous`; it belongs in [auth]");
}

#[test]
fn an_unknown_section_is_an_error() {
    let said = complaint(&format!("{PLAIN}[netwrok]\nbacklog = 1\n"));
    assert_eq!(said, "bastionmq.toml:7: unknown section `netwrok`; did you mean `network`?");
}

#[test]
fn a_listener_in_single_brackets_is_told_its_form() {
    let said = complaints(&Site::new(""), Site::new("[listener]\nurl = \"mqtt://[::1]\"\n").load());
    assert_eq!(said.len(), 1);
    assert!(said[0].contains("[[listener]], in two brackets"), "{said:?}");
}

#[test]
fn a_section_that_is_a_value_is_told_its_form() {
    let said = complaint(&format!("log = \"debug\"\n{PLAIN}"));
    assert_eq!(said, "bastionmq.toml:1: `log` is a section: write [log] and its keys below");
}

#[test]
fn a_wrong_type_names_the_key_the_value_and_what_is_needed() {
    for (line, said) in [
        ("max_inflight = \"x\"", "is \"x\"; a whole number from 1 to 65535 is needed"),
        ("max_inflight = 1.5", "is 1.5; a whole number from 1 to 65535 is needed"),
        ("max_inflight = [1]", "is [1]; a whole number from 1 to 65535 is needed"),
    ] {
        let heard = complaint(&format!("{PLAIN}[mqtt]\n{line}\n"));
        assert_eq!(heard, format!("bastionmq.toml:8: `mqtt.max_inflight` {said}"));
    }
    let heard = complaint(&format!("{PLAIN}[network]\ntcp_nodelay = 1\n"));
    assert!(heard.ends_with("`network.tcp_nodelay` is 1; true or false is needed"), "{heard}");
    let heard = complaint(&format!("{PLAIN}[log]\nformat = \"xml\"\n"));
    assert!(heard.contains("expected one of `auto`, `human`, `json`"), "{heard}");
}

#[test]
fn everything_wrong_is_told_at_once_from_top_to_bottom() {
    let site = Site::new("[log]\nlevel = \"loud\"\n[mqtt]\nmax_inflight = 0\nx = 1\n[nowhere]\n");
    let sources = site.sources(&[("BASTIONMQ_LOGLEVEL", "info")], Flags::default());
    let places: Vec<_> = complaints(&site, Loaded::load(&sources))
        .into_iter()
        .map(|said| said.split(": ").next().unwrap_or_default().to_owned())
        .collect();
    assert_eq!(
        places,
        [
            "bastionmq.toml:2",
            "bastionmq.toml:4",
            "bastionmq.toml:5",
            "bastionmq.toml:6",
            "BASTIONMQ_LOGLEVEL"
        ]
    );
}

#[test]
fn every_slip_in_the_syntax_is_told_with_its_line() {
    let site = Site::new("[mqtt\n\n[log]\nlevel = info\n[log]\n");
    let said = complaints(&site, site.load());
    assert!(said.len() >= 2, "{said:?}");
    assert!(said[0].starts_with("bastionmq.toml:1: "), "{said:?}");
    assert!(said[1].starts_with("bastionmq.toml:4: "), "{said:?}");
}

#[test]
fn a_file_that_is_no_text_is_told_apart_from_one_that_is_not_there() {
    let site = Site::new("");
    site.write("bastionmq.toml", b"[mqtt]\n\xff\xfe");
    let said = complaints(&site, site.load());
    assert_eq!(said, ["bastionmq.toml:2: not UTF-8 text; save the file as UTF-8"]);
    std::fs::remove_file(site.config()).unwrap();
    let said = complaints(&site, site.load());
    assert!(said[0].contains("bastionmq.toml: No such file"), "{said:?}");
}

#[test]
fn line_ends_of_other_systems_and_a_byte_order_mark_change_nothing() {
    let site = Site::new("");
    let config = format!("\u{feff}{PLAIN}[mqtt]\nmax_inflight = 7\n").replace('\n', "\r\n");
    site.write("bastionmq.toml", config);
    assert_eq!(site.resolve().unwrap().mqtt.max_inflight.get(), 7);
}

#[test]
fn control_characters_of_names_and_values_do_not_reach_the_terminal() {
    for text in [
        "[\"\\u001b[2J\"]",
        "[mqtt]\n\"\\u001b[2J\" = 1",
        "[log]\nlevel = \"\\u009b2J\"",
        "[[listener]]\nurl = \"\\u001b[2J://\"",
    ] {
        let said = complaint(&format!("{PLAIN}{text}\n"));
        assert!(!said.contains(char::is_control), "{said:?}");
    }
}
