//! The lines of a Mosquitto ACL file, each either understood or an error.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use super::super::error::{Faults, PolicyError};
use super::super::parse::MAX_POLICY_BYTES;
use super::super::template::{Piece, Template, TemplateError, Variable};

/// The rules of a Mosquitto ACL file; at least one.
#[derive(Debug)]
pub struct AclFile {
    pub(super) rules: Vec<AclRule>,
}

/// One `topic` or `pattern` line.
#[derive(Debug)]
pub struct AclRule {
    /// Its line in the file, from 1.
    pub line: u32,
    /// Whom it is about.
    pub section: Section,
    /// What it says of its topic.
    pub access: Access,
    pub(super) template: Template,
}

/// Whom a rule is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Section {
    /// Clients without a name: `topic` lines above the first `user` line.
    Anonymous,
    /// One user: `topic` lines below its `user` line.
    User(Arc<str>),
    /// Everybody: `pattern` lines.
    Patterns,
}

/// What a rule says of its topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Access {
    /// To be delivered messages.
    Read,
    /// To publish.
    Write,
    /// Both.
    ReadWrite,
    /// Neither.
    Deny,
}

impl AclFile {
    /// Reads the text of an ACL file.
    ///
    /// # Errors
    /// All that is wrong with it, in the order of the text: see the module for what it may say.
    pub fn parse(text: &str) -> Result<Self, Vec<PolicyError>> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        if text.len() > MAX_POLICY_BYTES {
            let message = "an ACL file has at most 16 MiB: let clients share patterns".to_owned();
            return Err(vec![PolicyError { line: 1, column: 1, message }]);
        }
        let mut reader = Reader::of(text);
        text.split_inclusive('\n').for_each(|line| reader.line(line));
        reader.finish()
    }

    /// The rules of each section, in the order in which the file comes to them.
    #[must_use]
    pub fn sections(&self) -> Vec<(&Section, Vec<&AclRule>)> {
        let mut sections: Vec<(&Section, Vec<&AclRule>)> = Vec::new();
        let mut places = HashMap::new();
        for rule in &self.rules {
            let place = *places.entry(&rule.section).or_insert(sections.len());
            match sections.get_mut(place) {
                Some((_, rules)) => rules.push(rule),
                None => sections.push((&rule.section, vec![rule])),
            }
        }
        sections
    }
}

impl AclRule {
    /// Its topic as written, with `%u` and `%c` in a pattern.
    #[must_use]
    pub fn topic(&self) -> &str {
        self.template.as_str()
    }
}

impl Access {
    fn named(word: &str) -> Option<Self> {
        match word {
            "read" => Some(Self::Read),
            "write" => Some(Self::Write),
            "readwrite" => Some(Self::ReadWrite),
            "deny" => Some(Self::Deny),
            _ => None,
        }
    }
}

impl fmt::Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Anonymous => f.write_str("anonymous"),
            Self::User(name) => write!(f, "user {name}"),
            Self::Patterns => f.write_str("patterns"),
        }
    }
}

/// Reads line after line, whatever is wrong with the ones before.
struct Reader<'t> {
    faults: Faults<'t>,
    /// How much of the text has been read.
    offset: usize,
    /// Whom the next `topic` line is about.
    section: Section,
    rules: Vec<AclRule>,
    /// The line of each rule.
    lines: HashMap<(Section, Access, Box<str>), u32>,
}

impl<'t> Reader<'t> {
    fn of(text: &'t str) -> Self {
        Self {
            faults: Faults::of(text),
            offset: 0,
            section: Section::Anonymous,
            rules: Vec::new(),
            lines: HashMap::new(),
        }
    }

    fn finish(mut self) -> Result<AclFile, Vec<PolicyError>> {
        if self.rules.is_empty() && self.faults.is_empty() {
            let message = "there is no rule, so everybody is shut out: add `topic` or `pattern` \
                           lines";
            self.faults.add_at_end(message);
        }
        if self.faults.is_empty() {
            Ok(AclFile { rules: self.rules })
        } else {
            Err(self.faults.into_errors())
        }
    }

    fn line(&mut self, raw: &str) {
        let start = self.offset;
        self.offset += raw.len();
        if !raw.ends_with('\n') {
            let message = "the last line has no end, as in a file that was cut short: if it is \
                           whole, add a line break";
            self.fault(start, message);
        }
        let line = raw.trim_end_matches([' ', '\t', '\n', '\u{b}', '\u{c}', '\r']);
        let said = line.trim_start_matches(' ');
        if line.starts_with('#') || said.is_empty() {
            return;
        }
        if let Some(place) = line.find(char::is_control) {
            self.fault(start + place, "a tab or another control character: write spaces");
            return;
        }
        let (keyword, rest) = said.split_once(' ').unwrap_or((said, ""));
        let rest = rest.trim_start_matches(' ');
        let place = start + line.len() - rest.len();
        match keyword {
            "user" => self.user(rest, place),
            "topic" => self.rule(self.section.clone(), rest, place),
            "pattern" => self.rule(Section::Patterns, rest, place),
            other => {
                let message = format!(
                    "{other:?} is nothing that a line begins with: write user, topic or pattern; \
                     the # of a comment stands in the first column"
                );
                self.fault(start + line.len() - said.len(), message);
            }
        }
    }

    fn user(&mut self, name: &str, place: usize) {
        if name.is_empty() {
            self.fault(place, "a name is missing: write it behind `user`");
        }
        self.section = Section::User(name.into());
    }

    /// `said` is `[read|write|readwrite|deny] TOPIC`, at `place`.
    fn rule(&mut self, section: Section, said: &str, place: usize) {
        let (access, topic) = match said.split_once(' ') {
            Some((word, topic)) => match Access::named(word) {
                Some(access) => (access, topic.trim_start_matches(' ')),
                None => {
                    let message = format!(
                        "{word:?} is no access: write read, write, readwrite or deny, and then the \
                         topic"
                    );
                    return self.fault(place, message);
                }
            },
            None if said.is_empty() || Access::named(said).is_some() => {
                let message = "the topic is missing; where it is really called so, write readwrite \
                               before it";
                return self.fault(place + said.len(), message);
            }
            None => (Access::ReadWrite, said),
        };
        let place = place + said.len() - topic.len();
        match template(&section, topic) {
            Ok(template) => self.add(AclRule { line: 0, section, access, template }, place),
            Err(error) => self.fault(place, format!("topic {topic:?}: {error}")),
        }
    }

    fn add(&mut self, rule: AclRule, place: usize) {
        let line = self.faults.line(place);
        let key = (rule.section.clone(), rule.access, rule.topic().into());
        if let Some(first) = self.lines.insert(key, line) {
            let message = format!(
                "{} has this rule already, on line {first}: remove one of the two; if the whole \
                 file is there twice, remove the second half",
                rule.section
            );
            self.fault(place, message);
        }
        self.rules.push(AclRule { line, ..rule });
    }

    fn fault(&mut self, place: usize, message: impl Into<String>) {
        self.faults.add(&(place..place), message);
    }
}

fn template(section: &Section, topic: &str) -> Result<Template, TemplateError> {
    let pieces = match section {
        Section::Patterns => pieces_of(topic),
        Section::Anonymous | Section::User(_) => vec![Piece::Text(topic.into())],
    };
    Template::of_pieces(topic, pieces)
}

/// Parts a pattern at its `%u` and `%c`; any other `%` is itself.
fn pieces_of(pattern: &str) -> Vec<Piece> {
    let (mut pieces, mut text) = (Vec::new(), String::new());
    let mut rest = pattern;
    while let Some(first) = rest.chars().next() {
        let (variable, length) = match rest.get(..2) {
            Some("%u") => (Some(Variable::Username), 2),
            Some("%c") => (Some(Variable::ClientId), 2),
            _ => (None, first.len_utf8()),
        };
        match variable {
            Some(variable) => {
                if !text.is_empty() {
                    pieces.push(Piece::Text(std::mem::take(&mut text).into()));
                }
                pieces.push(Piece::Name(variable));
            }
            None => text.push(first),
        }
        rest = rest.get(length..).unwrap_or_default();
    }
    if !text.is_empty() {
        pieces.push(Piece::Text(text.into()));
    }
    pieces
}
