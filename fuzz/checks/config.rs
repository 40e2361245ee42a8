//! Any text as a configuration file: no panic; every complaint names a line that there is; what is
//! accepted means the same once `check-config` has written it. The environment may follow a null
//! character: `NAME=value`, parted by null characters. No file that the text names is read.

use std::path::Path;

use bastionmq::config::{Config, ConfigError, Loaded, Origin, Sources};

use crate::text::text_of;

const FILE: &str = "/etc/bastionmq/bastionmq.toml";

pub(crate) fn check(bytes: &[u8]) {
    let text = text_of(bytes);
    let (text, environment) = text.split_once('\0').unwrap_or((text, ""));
    let variables = environment.split('\0').filter_map(|variable| variable.split_once('='));
    let sources = Sources {
        environment: variables.map(|(name, value)| (name.into(), value.into())).collect(),
        ..Sources::default()
    };
    match Loaded::parse(Path::new(FILE), text, &sources) {
        Ok(loaded) => assert_eq!(read(&loaded.to_string()), loaded.config),
        Err(error) => check_complaints(&error, text),
    }
}

/// The configuration that `text` alone makes; its paths are as they are written.
fn read(text: &str) -> Config {
    let file = Path::new("bastionmq.toml");
    Loaded::parse(file, text, &Sources::default()).expect(text).config
}

fn check_complaints(error: &ConfigError, text: &str) {
    assert!(!error.problems.is_empty());
    let lines = 1 + text.matches('\n').count();
    for problem in &error.problems {
        if let Some(Origin::File { file, line }) = &problem.origin {
            assert!(&**file == FILE && (1..=lines).contains(line), "{problem}");
        }
        let shown = problem.to_string();
        assert!(!shown.contains(is_command), "{shown:?}");
    }
}

/// What a terminal obeys instead of showing it.
fn is_command(character: char) -> bool {
    character.is_control() && character != '\n'
}
