//! A broker that can be started: its command, and the files of configuration that the command names.

use std::fs;
use std::path::Path;
use std::str::FromStr;

use anyhow::{Context, bail};

const CONFIG: &str = "{config:";

/// A broker that can be started.
#[derive(Clone, Debug)]
pub(crate) struct Contender {
    pub(crate) name: String,
    command: Vec<Word>,
}

/// A word of a command.
#[derive(Clone, Debug)]
enum Word {
    Text(String),
    /// A file whose placeholders are filled before the broker sees it.
    Config {
        before: String,
        template: String,
        after: String,
    },
}

/// The most that a broker is to keep for one client.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Queue {
    pub(crate) messages: u64,
    pub(crate) bytes: u64,
}

impl Queue {
    /// More than any scenario needs, and no more than every broker takes.
    pub(crate) const AMPLE: Self = Self { messages: 1_000_000_000, bytes: 1_000_000_000 };
}

/// What takes the place of the placeholders.
#[derive(Debug)]
pub(crate) struct Places<'a> {
    pub(crate) port: u16,
    pub(crate) tls_port: u16,
    /// A new directory, which is removed in the end. It holds `ca.crt`, `server.crt`, `server.key`.
    pub(crate) directory: &'a Path,
    pub(crate) queue: Queue,
}

impl FromStr for Contender {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let (name, command) = text.split_once('=').context("NAME=COMMAND is needed")?;
        let command = command.split_whitespace().map(Word::read).collect::<Result<Vec<_>, _>>()?;
        let contender = Self { name: name.to_owned(), command };
        if contender.command.is_empty() {
            bail!("{name} has no command");
        }
        if !contender.names("{port}") {
            bail!("neither the command of {name} nor its configuration has a {{port}}");
        }
        Ok(contender)
    }
}

impl Contender {
    /// Whether it opens a port for TLS.
    pub(crate) fn speaks_tls(&self) -> bool {
        self.names("{tls_port}")
    }

    fn names(&self, placeholder: &str) -> bool {
        self.command.iter().any(|word| match word {
            Word::Text(text) => text.contains(placeholder),
            Word::Config { template, .. } => template.contains(placeholder),
        })
    }

    /// Its command, with every placeholder filled and every configuration written.
    pub(crate) fn command(&self, places: &Places<'_>) -> anyhow::Result<Vec<String>> {
        let mut words = Vec::new();
        for (number, word) in self.command.iter().enumerate() {
            words.push(match word {
                Word::Text(text) => places.fill(text)?,
                Word::Config { before, template, after } => {
                    let path = places.directory.join(format!("config-{number}.toml"));
                    fs::write(&path, places.fill(template)?)
                        .with_context(|| format!("cannot write {}", path.display()))?;
                    format!("{before}{}{after}", path.display())
                }
            });
        }
        Ok(words)
    }
}

impl Word {
    fn read(text: &str) -> anyhow::Result<Self> {
        let Some((before, rest)) = text.split_once(CONFIG) else {
            return Ok(Self::Text(text.to_owned()));
        };
        let (path, after) = rest.split_once('}').context("{config: without its }")?;
        let template = fs::read_to_string(path)
            .with_context(|| format!("cannot read the configuration {path}"))?;
        Ok(Self::Config { before: before.to_owned(), template, after: after.to_owned() })
    }
}

impl Places<'_> {
    fn fill(&self, text: &str) -> anyhow::Result<String> {
        let root = std::env::current_dir().context("there is no current directory")?;
        Ok(text
            .replace("{port}", &self.port.to_string())
            .replace("{tls_port}", &self.tls_port.to_string())
            .replace("{queue_messages}", &self.queue.messages.to_string())
            .replace("{queue_bytes}", &self.queue.bytes.to_string())
            .replace("{directory}", &self.directory.display().to_string())
            .replace("{root}", &root.display().to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_filled_in_the_command_and_in_its_configuration() {
        let directory = tempfile::tempdir().unwrap();
        let template = directory.path().join("broker.conf");
        fs::write(
            &template,
            "listener {port}\ntls {tls_port} {directory}/server.key\n{queue_bytes}",
        )
        .unwrap();
        let text = format!("a=broker --file={{config:{}}} --dir {{root}}", template.display());
        let contender: Contender = text.parse().unwrap();
        assert!(contender.speaks_tls());

        let places =
            Places { port: 1, tls_port: 2, directory: directory.path(), queue: Queue::AMPLE };
        let words = contender.command(&places).unwrap();
        let path = words[1].strip_prefix("--file=").unwrap();
        let written = fs::read_to_string(path).unwrap();
        let key = directory.path().join("server.key");
        assert_eq!(written, format!("listener 1\ntls 2 {}\n1000000000", key.display()));
        assert_eq!(Path::new(&words[3]), std::env::current_dir().unwrap());
    }

    #[test]
    fn a_broker_without_a_port_is_refused() {
        for text in ["a", "a=", "a=broker -p 1883", "a=broker {config:/nowhere/at/all}"] {
            assert!(text.parse::<Contender>().is_err(), "{text}");
        }
    }
}
