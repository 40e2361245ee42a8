//! The migration that `docs/migrating-from-mosquitto.md` walks through happens as it says.

use crate::moved::{ALICE, login, publishes, serve};
use crate::site::{Site, recorded_files};

const GUIDE: &str = include_str!("../../docs/migrating-from-mosquitto.md");

/// The blocks of a language, in order.
fn blocks(language: &str) -> Vec<&'static str> {
    let begin = format!("```{language}\n");
    let rest = GUIDE.split(&*begin).skip(1);
    rest.map(|rest| rest.split_once("```").expect("an end").0).collect()
}

/// The command behind the `$` of a block, and what it prints.
fn session(block: &'static str) -> (Vec<&'static str>, &'static str) {
    let (command, output) = block.split_once('\n').expect("a line");
    (words(command), output)
}

#[test]
fn every_step_of_the_guide_does_what_it_says() {
    let (texts, consoles) = (blocks("text"), blocks("console"));
    let site = Site::new(texts[0]);
    site.write("acl", texts[1]);
    std::fs::copy(recorded_files().join("passwd"), site.path("passwd")).unwrap();

    let (import, printed) = session(consoles[0]);
    let said = site.run(&import[1..]);
    assert_eq!((said.code, &*said.out), (Some(1), printed), "{said:?}");

    let (cat, printed) = session(consoles[1]);
    assert_eq!(site.read(cat[1]), printed);

    let asked: Vec<_> = consoles[2].lines().map(words).collect();
    let codes: Vec<_> = asked.iter().map(|words| site.run(&words[1..]).code).collect();
    assert_eq!(codes, [Some(0), Some(1), Some(0)], "valid, denied, allowed");

    let broker = serve(&site, "bastionmq-data/bastionmq.toml");
    assert_eq!(login(&broker, Some(ALICE)), 0);
    assert!(publishes(&broker, ALICE, "home/lamp"));
}

fn words(line: &'static str) -> Vec<&'static str> {
    line.trim_start_matches("$ ").split(' ').collect()
}
