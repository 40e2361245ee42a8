//! What is done when a rule is broken.

use std::num::NonZeroU32;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Attribute;

/// How long a response lasts, where a rule says nothing else.
const SECONDS: NonZeroU32 = NonZeroU32::MIN.saturating_add(599);

/// What is done when a rule is broken. That it is counted and written to the audit log goes without saying.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub enum Response {
    /// It is logged.
    Log,
    /// A message is published on `$bastion/alerts/<severity>/<rule>`.
    Alert,
    /// The same is posted to the URL of `[webhook]`, where there is one.
    Webhook,
    /// The connections of these end.
    Disconnect(Target),
    /// These stay connected for so long, and what they publish goes to `$bastion/quarantine`.
    Quarantine(Target, Duration),
    /// These do not come in for so long, and their connections end.
    Ban(Target, Duration),
    /// These publish no more than so many messages a second, all together, for so long.
    Tighten(Target, NonZeroU32, Duration),
}

/// Whom a response concerns: what of the event that has broken the rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// All clients of its principal.
    Principal,
    /// Whoever uses its client identifier.
    Client,
    /// All clients at its address.
    Address,
    /// All clients in its network: /24 of IPv4, /56 of IPv6.
    Prefix,
    /// Whoever shows its certificate.
    Certificate,
}

/// A response as it is written: a word, or a table that says whom it concerns and for how long.
#[derive(Serialize, Deserialize)]
#[serde(
    untagged,
    expecting = "a response is \"log\", \"alert\", \"webhook\", { disconnect = WHOM }, or one for a time: \
                 { ban = WHOM, seconds = 600 }, { quarantine = WHOM, seconds = 600 } or \
                 { tighten = WHOM, rate = 10, seconds = 600 }; WHOM is \"principal\", \"client\", \
                 \"address\", \"prefix\" or \"certificate\""
)]
enum Written {
    Word(Word),
    Disconnect(Disconnect),
    Quarantine(Quarantine),
    Ban(Ban),
    Tighten(Tighten),
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Word {
    Log,
    Alert,
    Webhook,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Disconnect {
    disconnect: Target,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Quarantine {
    quarantine: Target,
    #[serde(default = "default_seconds")]
    seconds: NonZeroU32,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Ban {
    ban: Target,
    #[serde(default = "default_seconds")]
    seconds: NonZeroU32,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Tighten {
    tighten: Target,
    /// Messages a second.
    rate: NonZeroU32,
    #[serde(default = "default_seconds")]
    seconds: NonZeroU32,
}

fn default_seconds() -> NonZeroU32 {
    SECONDS
}

impl Response {
    /// As rules and alerts write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Log => "log",
            Self::Alert => "alert",
            Self::Webhook => "webhook",
            Self::Disconnect(_) => "disconnect",
            Self::Quarantine(..) => "quarantine",
            Self::Ban(..) => "ban",
            Self::Tighten(..) => "tighten",
        }
    }

    /// Whom it concerns, where that is anybody.
    #[must_use]
    pub fn target(self) -> Option<Target> {
        match self {
            Self::Log | Self::Alert | Self::Webhook => None,
            Self::Disconnect(target)
            | Self::Quarantine(target, _)
            | Self::Ban(target, _)
            | Self::Tighten(target, ..) => Some(target),
        }
    }

    /// For how long, where it is for a time.
    #[must_use]
    pub fn lasts(self) -> Option<Duration> {
        match self {
            Self::Log | Self::Alert | Self::Webhook | Self::Disconnect(_) => None,
            Self::Quarantine(_, lasts) | Self::Ban(_, lasts) | Self::Tighten(_, _, lasts) => {
                Some(lasts)
            }
        }
    }
}

impl Target {
    /// As rules write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Principal => "principal",
            Self::Client => "client",
            Self::Address => "address",
            Self::Prefix => "prefix",
            Self::Certificate => "certificate",
        }
    }

    /// One of these has to be in the key of a rule, so that it is the same for all events that have broken it,
    /// and not merely that of the last one.
    pub(super) fn follows_from(self) -> &'static [Attribute] {
        match self {
            Self::Principal => &[Attribute::Principal],
            Self::Client => &[Attribute::Client],
            Self::Address => &[Attribute::Address],
            Self::Prefix => &[Attribute::Prefix, Attribute::Address],
            Self::Certificate => &[Attribute::Principal, Attribute::Client],
        }
    }

    /// Whether it is where something comes from, which is so whatever a client says.
    pub(super) fn is_place(self) -> bool {
        matches!(self, Self::Address | Self::Prefix)
    }
}

impl From<Written> for Response {
    fn from(written: Written) -> Self {
        let time = |seconds: NonZeroU32| Duration::from_secs(seconds.get().into());
        match written {
            Written::Word(Word::Log) => Self::Log,
            Written::Word(Word::Alert) => Self::Alert,
            Written::Word(Word::Webhook) => Self::Webhook,
            Written::Disconnect(Disconnect { disconnect }) => Self::Disconnect(disconnect),
            Written::Quarantine(Quarantine { quarantine, seconds }) => {
                Self::Quarantine(quarantine, time(seconds))
            }
            Written::Ban(Ban { ban, seconds }) => Self::Ban(ban, time(seconds)),
            Written::Tighten(Tighten { tighten, rate, seconds }) => {
                Self::Tighten(tighten, rate, time(seconds))
            }
        }
    }
}

impl From<Response> for Written {
    fn from(response: Response) -> Self {
        // It was made of so many seconds.
        let seconds = |lasts: Duration| {
            let seconds = u32::try_from(lasts.as_secs()).unwrap_or(u32::MAX);
            NonZeroU32::new(seconds).unwrap_or(NonZeroU32::MIN)
        };
        match response {
            Response::Log => Self::Word(Word::Log),
            Response::Alert => Self::Word(Word::Alert),
            Response::Webhook => Self::Word(Word::Webhook),
            Response::Disconnect(disconnect) => Self::Disconnect(Disconnect { disconnect }),
            Response::Quarantine(quarantine, lasts) => {
                Self::Quarantine(Quarantine { quarantine, seconds: seconds(lasts) })
            }
            Response::Ban(ban, lasts) => Self::Ban(Ban { ban, seconds: seconds(lasts) }),
            Response::Tighten(tighten, rate, lasts) => {
                Self::Tighten(Tighten { tighten, rate, seconds: seconds(lasts) })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize, Deserialize)]
    struct Rule {
        responses: Vec<Response>,
    }

    fn read(text: &str) -> Result<Vec<Response>, toml::de::Error> {
        toml::from_str::<Rule>(&format!("responses = {text}")).map(|rule| rule.responses)
    }

    #[test]
    fn a_response_is_read_as_it_is_shown() {
        let text = "[\"log\", \"alert\", \"webhook\", { disconnect = \"client\" }, \
                    { quarantine = \"principal\", seconds = 60 }, { ban = \"prefix\", seconds = 5 }, \
                    { tighten = \"client\", rate = 3, seconds = 9 }]";
        let responses = read(text).expect("responses");
        assert_eq!(
            responses,
            [
                Response::Log,
                Response::Alert,
                Response::Webhook,
                Response::Disconnect(Target::Client),
                Response::Quarantine(Target::Principal, Duration::from_secs(60)),
                Response::Ban(Target::Prefix, Duration::from_secs(5)),
                Response::Tighten(
                    Target::Client,
                    NonZeroU32::MIN.saturating_add(2),
                    Duration::from_secs(9)
                ),
            ]
        );
        let shown = toml::to_string(&Rule { responses: responses.clone() }).expect("TOML");
        assert_eq!(toml::from_str::<Rule>(&shown).expect("a rule").responses, responses);
    }

    #[test]
    fn a_ban_lasts_ten_minutes_where_nothing_else_is_said() {
        let ten_minutes = Duration::from_secs(600);
        let responses = read("[{ ban = \"address\" }]").expect("responses");
        assert_eq!(responses, [Response::Ban(Target::Address, ten_minutes)]);
    }

    #[test]
    fn what_is_no_response_is_told_with_those_that_there_are() {
        for text in [
            "[\"ban\"]",
            "[{ ban = \"everybody\" }]",
            "[{ ban = \"address\", minutes = 5 }]",
            "[{ ban = \"address\", seconds = 0 }]",
            "[{ disconnect = \"client\", seconds = 5 }]",
            "[{ tighten = \"client\" }]",
            "[{ tighten = \"client\", rate = 0 }]",
            "[{}]",
            "[7]",
        ] {
            let said = read(text).expect_err(text).to_string();
            assert!(said.contains("{ ban = WHOM, seconds = 600 }"), "{text}: {said}");
        }
    }
}
