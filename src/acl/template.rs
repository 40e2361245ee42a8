//! Topic filters with `${username}` and `${client_id}` in them, and their safe substitution.

use std::fmt;

use super::Subject;
use crate::identity::{ClientId, Principal};
use crate::topic::{TopicError, TopicFilter, TopicFilterRef};

/// What a policy may leave to the client that it is asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Variable {
    Username,
    ClientId,
}

impl Variable {
    fn named(name: &str) -> Option<Self> {
        match name {
            "username" => Some(Self::Username),
            "client_id" => Some(Self::ClientId),
            _ => None,
        }
    }
}

impl fmt::Display for Variable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Username => "${username}",
            Self::ClientId => "${client_id}",
        })
    }
}

/// Why a text of the policy is not a topic of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum TemplateError {
    #[error("{0}")]
    Topic(#[from] TopicError),
    #[error("a share is judged by its filter: leave out '$share/' and the name of the group")]
    Share,
    #[error("'${{' without '}}': write ${{username}} or ${{client_id}}")]
    Unclosed,
    #[error("there is no ${{{0}}}: write ${{username}} or ${{client_id}}")]
    UnknownVariable(String),
    #[error("two variables in one level could be taken for each other: put '/' between them")]
    TwoInALevel,
    #[error("a name is not part of a first level that begins with '$': put '/' before it")]
    Reserved,
}

/// Why a name cannot stand in for a variable: it would make the filter mean something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum UnsafeName {
    #[error("{0} is the name of nobody for an anonymous client")]
    Missing(Variable),
    #[error("{0} is empty")]
    Empty(Variable),
    #[error("{0} begins with '$'")]
    Reserved(Variable),
    #[error("{0} holds '/', '+', '#' or a control character")]
    Structure(Variable),
    #[error("the topic with its names is longer than 65,535 bytes")]
    TooLong,
}

/// A part of a topic: itself, or a name that is put in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    Text(Box<str>),
    Name(Variable),
}

/// One topic of a rule, as written.
#[derive(Clone, Debug)]
pub(super) struct Template {
    /// The text of the policy.
    text: Box<str>,
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    /// The same for everybody, and shared by them.
    Fixed(TopicFilter),
    /// Another for each client.
    PerClient(Box<[Piece]>),
}

impl Template {
    pub(super) fn parse(text: &str) -> Result<Self, TemplateError> {
        if text == "$share" || text.starts_with("$share/") {
            return Err(TemplateError::Share);
        }
        Self::of_pieces(text, split(text)?)
    }

    /// The template that `text` spells, in whatever way it writes its variables.
    pub(super) fn of_pieces(text: &str, pieces: Vec<Piece>) -> Result<Self, TemplateError> {
        check_levels(&pieces)?;
        // Any safe name takes up a part of one level, as this one does.
        let example = join(&pieces, |_| "x");
        let filter = TopicFilterRef::parse(&example)?;
        let fixed = pieces.iter().all(|piece| matches!(piece, Piece::Text(_)));
        let kind =
            if fixed { Kind::Fixed(filter.to_owned()) } else { Kind::PerClient(pieces.into()) };
        Ok(Self { text: text.into(), kind })
    }

    /// The filter for a client with these names.
    ///
    /// # Errors
    /// When a name could widen the filter or turn it into another: it is then not used at all.
    pub(super) fn substitute(&self, names: &Names) -> Result<TopicFilter, UnsafeName> {
        let pieces = match &self.kind {
            Kind::Fixed(filter) => return Ok(filter.clone()),
            Kind::PerClient(pieces) => pieces,
        };
        for variable in self.variables() {
            check_name(variable, names.claimed(variable))?;
        }
        let text = join(pieces, |variable| names.claimed(variable).unwrap_or_default());
        TopicFilter::parse(&text).map_err(|_| UnsafeName::TooLong)
    }

    pub(super) fn variables(&self) -> impl Iterator<Item = Variable> {
        let pieces = match &self.kind {
            Kind::Fixed(_) => &[][..],
            Kind::PerClient(pieces) => pieces,
        };
        pieces.iter().filter_map(|piece| match piece {
            Piece::Name(variable) => Some(*variable),
            Piece::Text(_) => None,
        })
    }

    /// Its levels, from the root.
    pub(super) fn levels(&self) -> Vec<Level<'_>> {
        let pieces = match &self.kind {
            Kind::Fixed(filter) => return filter.as_str().split('/').map(Level::of_text).collect(),
            Kind::PerClient(pieces) => pieces,
        };
        let mut levels = vec![Level::Text("")];
        for piece in pieces {
            match piece {
                Piece::Text(text) => {
                    let mut texts = text.split('/');
                    let (first, last) = (texts.next().unwrap_or_default(), levels.pop());
                    levels.extend(last.map(|level| level.then(first)));
                    levels.extend(texts.map(Level::of_text));
                }
                Piece::Name(variable) => {
                    let last = levels.pop();
                    levels.extend(last.map(|level| level.named(*variable)));
                }
            }
        }
        levels
    }

    /// Every topic that it is about for some client, and maybe more; none only where it is about none.
    pub(super) fn widest(&self) -> Option<TopicFilter> {
        let level = |level: Level<'_>| match level {
            Level::Text(text) => text.to_owned(),
            Level::Any | Level::Name { .. } => "+".to_owned(),
            Level::Rest => "#".to_owned(),
        };
        let levels: Vec<String> = self.levels().into_iter().map(level).collect();
        TopicFilter::parse(&levels.join("/")).ok()
    }

    /// Whether it is about topics that begin with `$`.
    pub(super) fn is_reserved(&self) -> bool {
        matches!(&self.kind, Kind::Fixed(filter) if filter.as_str().starts_with('$'))
            || matches!(&self.kind, Kind::PerClient(pieces)
                if matches!(pieces.first(), Some(Piece::Text(text)) if text.starts_with('$')))
    }

    /// The text of the policy.
    pub(super) fn as_str(&self) -> &str {
        &self.text
    }
}

/// One level of a topic of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Level<'a> {
    Text(&'a str),
    /// `+`
    Any,
    /// `#`
    Rest,
    /// A name with what stands before and after it.
    Name {
        before: &'a str,
        variable: Variable,
        after: &'a str,
    },
}

impl<'a> Level<'a> {
    fn of_text(text: &'a str) -> Self {
        match text {
            "+" => Self::Any,
            "#" => Self::Rest,
            text => Self::Text(text),
        }
    }

    /// With `text` at its end; a level that is not a name is empty so far.
    fn then(self, text: &'a str) -> Self {
        match self {
            Self::Name { before, variable, .. } => Self::Name { before, variable, after: text },
            _ => Self::of_text(text),
        }
    }

    fn named(self, variable: Variable) -> Self {
        let before = match self {
            Self::Text(text) => text,
            _ => "",
        };
        Self::Name { before, variable, after: "" }
    }
}

/// The names of one client that may stand in topics.
#[derive(Clone, Debug)]
pub(super) struct Names {
    principal: Principal,
    client_id: ClientId,
    /// Whether they are safe there: see [`UnsafeName`].
    is_username_safe: bool,
    is_client_id_safe: bool,
}

impl Names {
    pub(super) fn of(subject: &Subject<'_>) -> Self {
        let (principal, client_id) = (subject.principal.clone(), subject.client_id.clone());
        let mut names =
            Self { principal, client_id, is_username_safe: false, is_client_id_safe: false };
        let is_safe = |variable| check_name(variable, names.claimed(variable)).is_ok();
        (names.is_username_safe, names.is_client_id_safe) =
            (is_safe(Variable::Username), is_safe(Variable::ClientId));
        names
    }

    /// What `variable` stands for, where that is safe.
    pub(super) fn get(&self, variable: Variable) -> Option<&str> {
        let is_safe = match variable {
            Variable::Username => self.is_username_safe,
            Variable::ClientId => self.is_client_id_safe,
        };
        self.claimed(variable).filter(|_| is_safe)
    }

    fn claimed(&self, variable: Variable) -> Option<&str> {
        match variable {
            Variable::Username => self.principal.name(),
            Variable::ClientId => Some(self.client_id.as_str()),
        }
    }

    /// Whether every topic may be told from every other with them in it.
    pub(super) fn are_safe(&self) -> bool {
        self.is_username_safe && self.is_client_id_safe
    }
}

fn split(text: &str) -> Result<Vec<Piece>, TemplateError> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        let (name, after) = after.split_once('}').ok_or(TemplateError::Unclosed)?;
        let variable = Variable::named(name)
            .ok_or_else(|| TemplateError::UnknownVariable(name.escape_debug().to_string()))?;
        if !before.is_empty() {
            pieces.push(Piece::Text(before.into()));
        }
        pieces.push(Piece::Name(variable));
        rest = after;
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest.into()));
    }
    Ok(pieces)
}

/// Refuses levels in which a chosen name could spell another: `$${username}` with a user `SYS`,
/// `${username}${client_id}` with `a` and `bc` for `ab` and `c`.
fn check_levels(pieces: &[Piece]) -> Result<(), TemplateError> {
    let (mut first_level, mut named) = (true, false);
    let reserved = matches!(pieces.first(), Some(Piece::Text(text)) if text.starts_with('$'));
    for piece in pieces {
        match piece {
            Piece::Text(text) if text.contains('/') => (first_level, named) = (false, false),
            Piece::Text(_) => {}
            Piece::Name(_) if reserved && first_level => return Err(TemplateError::Reserved),
            Piece::Name(_) if named => return Err(TemplateError::TwoInALevel),
            Piece::Name(_) => named = true,
        }
    }
    Ok(())
}

fn join<'a>(pieces: &'a [Piece], name: impl Fn(Variable) -> &'a str) -> String {
    let text = |piece: &'a Piece| match piece {
        Piece::Text(text) => text,
        Piece::Name(variable) => name(*variable),
    };
    pieces.iter().map(text).collect()
}

fn check_name(variable: Variable, name: Option<&str>) -> Result<(), UnsafeName> {
    let name = name.ok_or(UnsafeName::Missing(variable))?;
    if name.is_empty() {
        return Err(UnsafeName::Empty(variable));
    }
    if name.starts_with('$') {
        return Err(UnsafeName::Reserved(variable));
    }
    if name.contains(|c: char| matches!(c, '/' | '+' | '#') || c.is_control()) {
        return Err(UnsafeName::Structure(variable));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn substitute(template: &str, username: &str, client_id: &str) -> Result<String, UnsafeName> {
        let template = Template::parse(template).expect("a template");
        let principal = Principal::User(username.into());
        let client_id = ClientId::new(client_id);
        let subject = Subject::named(&principal, &client_id);
        template.substitute(&Names::of(&subject)).map(|filter| filter.to_string())
    }

    #[test]
    fn names_stand_in_for_their_variables() {
        assert_eq!(substitute("d/${username}/#", "lamp", "c"), Ok("d/lamp/#".into()));
        assert_eq!(substitute("${username}/${client_id}", "lamp", "c"), Ok("lamp/c".into()));
        assert_eq!(substitute("d/no-${client_id}.x/+", "lamp", "c"), Ok("d/no-c.x/+".into()));
        assert_eq!(substitute("a$b/$/$x{username}", "lamp", "c"), Ok("a$b/$/$x{username}".into()));
    }

    #[test]
    fn r01_a_name_with_a_meaning_in_topics_is_never_substituted() {
        use UnsafeName::{Empty, Reserved, Structure};
        for (name, error) in [
            ("#", Structure(Variable::Username)),
            ("+", Structure(Variable::Username)),
            ("a/b", Structure(Variable::Username)),
            ("/", Structure(Variable::Username)),
            ("a\0", Structure(Variable::Username)),
            ("$SYS", Reserved(Variable::Username)),
            ("", Empty(Variable::Username)),
        ] {
            assert_eq!(substitute("${username}/x", name, "c"), Err(error), "{name:?}");
        }
        let long = "a".repeat(65_535);
        assert_eq!(substitute("${username}/x", &long, "c"), Err(UnsafeName::TooLong));
        assert_eq!(
            substitute("${username}", "${client_id}", "c"),
            Err(Reserved(Variable::Username))
        );
    }

    #[test]
    fn a_text_that_is_no_topic_or_could_be_bent_by_a_name_is_an_error() {
        for (text, error) in [
            ("", TemplateError::Topic(TopicError::Empty)),
            ("a/#/b", TemplateError::Topic(TopicError::MisplacedWildcard)),
            ("a+${username}", TemplateError::Topic(TopicError::MisplacedWildcard)),
            ("${username}#", TemplateError::Topic(TopicError::MisplacedWildcard)),
            ("$share/g/a", TemplateError::Share),
            ("$share/${username}/a", TemplateError::Share),
            ("a/${username", TemplateError::Unclosed),
            ("a/${user}", TemplateError::UnknownVariable("user".into())),
            ("a/${}", TemplateError::UnknownVariable(String::new())),
            ("${username}${client_id}", TemplateError::TwoInALevel),
            ("a/${username}-${client_id}/b", TemplateError::TwoInALevel),
            ("$${username}/#", TemplateError::Reserved),
            ("$S${username}", TemplateError::Reserved),
        ] {
            assert_eq!(Template::parse(text).err(), Some(error), "{text:?}");
        }
        assert!(Template::parse("$SYS/${username}/#").is_ok_and(|template| template.is_reserved()));
    }

    #[test]
    fn a_template_is_made_of_levels() {
        let levels = |text: &str| {
            let template = Template::parse(text).expect("a template");
            template.levels().iter().map(|level| format!("{level:?}")).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(levels("a//+/#"), "Text(\"a\") Text(\"\") Any Rest");
        let name = |before: &str, variable: &str, after: &str| {
            format!("Name {{ before: {before:?}, variable: {variable}, after: {after:?} }}")
        };
        assert_eq!(levels("${username}"), name("", "Username", ""));
        assert_eq!(
            levels("/a${username}b/+/${client_id}/#"),
            ["Text(\"\")", &name("a", "Username", "b"), "Any", &name("", "ClientId", ""), "Rest"]
                .join(" ")
        );
    }

    proptest! {
        #[test]
        fn r01_a_substituted_filter_is_the_template_with_one_level_in_its_place(
            name in "[a-c/+#$\0\n\u{e9} {}]{0,4}",
            template in prop::sample::select(vec![
                "${username}", "${username}/#", "a/${username}", "a/${username}/+/b", "a/x${username}y/#",
                "/${username}/", "$SYS/${username}",
            ]),
        ) {
            let Ok(filter) = substitute(template, &name, "c") else { return Ok(()) };
            let parsed = TopicFilterRef::parse(&filter).expect("still a filter");
            prop_assert_eq!(parsed.levels().count(), template.split('/').count());
            prop_assert_eq!(filter.starts_with('$'), template.starts_with("$SYS"));
            for (level, written) in parsed.levels().zip(template.split('/')) {
                let wildcard = matches!(written, "+" | "#");
                prop_assert_eq!(matches!(level, "+" | "#"), wildcard);
                prop_assert_eq!(level, written.replace("${username}", &name));
            }
        }
    }
}
