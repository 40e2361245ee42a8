//! Row r22 of what has gone wrong in other brokers: limits of 0, and their other ends.

use toml::{Table, Value};

use bastionmq::config::Config;

use crate::site::{PLAIN, Site, complaints};

/// Every setting that is a number, with its section.
fn numbers() -> Vec<(String, String)> {
    let config = Table::try_from(Config::default()).unwrap();
    let sections = config.iter().filter_map(|(name, value)| Some((name, value.as_table()?)));
    sections
        .flat_map(|(section, keys)| {
            let numbers = keys.iter().filter(|(_, value)| value.is_integer());
            numbers.map(|(key, _)| (section.clone(), key.clone()))
        })
        .collect()
}

/// [`PLAIN`] with one number more.
fn with(section: &str, key: &str, value: &str) -> String {
    let mut config: Table = PLAIN.parse().unwrap();
    let table = config.entry(section).or_insert_with(|| Value::Table(Table::new()));
    let number: Table = format!("{key} = {value}").parse().unwrap();
    table.as_table_mut().unwrap().extend(number);
    config.to_string()
}

#[test]
fn r22_every_number_at_its_ends_works_or_names_its_range() {
    let numbers = numbers();
    assert!(numbers.len() > 20, "{numbers:?}");
    for (section, key) in numbers {
        for value in ["0", "1", "65535", "4294967295", "9223372036854775807", "-1"] {
            let site = Site::new(&with(&section, &key, value));
            let Err(error) = site.resolve() else { continue };
            let said = error.to_string();
            assert!(said.contains(&format!("`{section}.{key}` is {value}; ")), "{said}");
            assert!(said.contains("a whole number from "), "{said}");
        }
    }
}

#[test]
fn r22_the_range_that_an_error_names_is_the_one_that_works() {
    for (section, key) in numbers() {
        let site = Site::new(&with(&section, &key, "-1"));
        let said = complaints(&site, site.load()).concat();
        let range = said.rsplit_once("a whole number from ").unwrap().1;
        let (least, rest) = range.split_once(" to ").unwrap();
        let most = rest.split(' ').next().unwrap();
        for end in [least, most] {
            let site = Site::new(&with(&section, &key, end));
            assert!(site.resolve().is_ok(), "{section}.{key} = {end}");
        }
        let beyond = (least.parse::<i64>().unwrap() - 1).to_string();
        assert!(Site::new(&with(&section, &key, &beyond)).load().is_err());
        if let Some(beyond) = most.parse::<i64>().unwrap().checked_add(1) {
            let site = Site::new(&with(&section, &key, &beyond.to_string()));
            assert!(site.load().is_err(), "{section}.{key} = {beyond}");
        }
    }
}

#[test]
fn r22_a_number_beyond_all_types_is_an_error_with_its_line() {
    let site = Site::new(&format!("{PLAIN}[broker]\nmax_queued_bytes = {}\n", "9".repeat(30)));
    let said = complaints(&site, site.load());
    assert_eq!(
        said,
        ["bastionmq.toml:8: `max_queued_bytes` is a number too large for any setting"]
    );
}

#[test]
fn a_text_that_no_packet_can_carry_is_an_error() {
    for key in ["response_information", "server_reference"] {
        for text in ["\\u0000", "a\\nb", &"x".repeat(1_025)] {
            let site = Site::new(&format!("{PLAIN}[mqtt]\n{key} = \"{text}\"\n"));
            let said = complaints(&site, site.load());
            let start = format!("bastionmq.toml:8: `mqtt.{key}` is ");
            assert!(said[0].starts_with(&start), "{said:?}");
            assert!(said[0].len() < 250, "{said:?}");
        }
    }
}

#[test]
fn who_sends_clients_away_must_say_where_to() {
    for (key, value) in [("server_moved", "true"), ("redirect", "\"always\"")] {
        let wanting = format!("{PLAIN}[mqtt]\n{key} = {value}\n");
        let said = Site::new(&wanting).resolve().unwrap_err().to_string();
        assert!(said.contains(&format!("bastionmq.toml:8: `mqtt.{key}` sends")), "{said}");
        assert!(said.contains("`server_reference`"), "{said}");
        let whole = format!("{wanting}server_reference = \"b:8883\"\n");
        assert!(Site::new(&whole).resolve().is_ok());
    }
}
