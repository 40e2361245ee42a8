//! The clients of a running broker by what they use: who of them would notice another policy.

use std::io::Write;
use std::path::Path;

use serde::Deserialize;

use super::client::Client;
use super::diff::{Use, uses};
use crate::acl::{ClientRules, Permit, Policy};
use crate::clock::Now;
use crate::control::{
    Answer, ControlError, Conversation, Request, SessionQuery, SessionRow, TopicRows,
};
use crate::identity::{ClientId, Principal, TransportSecurity};
use crate::topic::TopicFilter;

/// Clients whose changes are shown; all of them are counted.
const MOST_SHOWN: usize = 100;

/// How many clients there are, and what they would notice.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Noticed {
    clients: usize,
    pub(super) differ: usize,
    gained: usize,
    lost: usize,
    /// Clients of which the broker does not tell all, or nothing.
    untold: usize,
}

/// Asks the broker at `socket` for its clients, and shows what each of them would gain and lose of what
/// it uses.
pub(super) fn compare(
    socket: &Path,
    old: &Policy,
    new: &Policy,
    out: &mut impl Write,
) -> anyhow::Result<Noticed> {
    let query = SessionQuery { limit: u32::MAX, with_topics: true, ..SessionQuery::default() };
    let mut noticed = Noticed::default();
    Conversation::open(socket)?.list(Request::Sessions(query), |answer| {
        let Answer::Session(row) = answer else {
            let told = "it lists something else".to_owned();
            return Err(anyhow::Error::from(ControlError::Unintelligible(told)));
        };
        noticed.add(&row, old, new, out)
    })?;
    let Noticed { clients, differ, gained, lost, untold } = noticed;
    if differ > MOST_SHOWN {
        writeln!(out, "and {} more clients", differ - MOST_SHOWN)?;
    }
    writeln!(
        out,
        "{differ} of {clients} clients of the running broker would notice: {gained} gained, {lost} \
         lost of what they use"
    )?;
    if untold > 0 {
        writeln!(out, "of {untold} clients the broker has not told all that they use")?;
    }
    Ok(noticed)
}

impl Noticed {
    fn add(
        &mut self,
        row: &SessionRow,
        old: &Policy,
        new: &Policy,
        out: &mut impl Write,
    ) -> anyhow::Result<()> {
        self.clients += 1;
        let (Some(client), Some(topics)) = (client_of(row), &row.topics) else {
            self.untold += 1;
            return Ok(());
        };
        self.untold += usize::from(topics.is_cut);
        let (before, after) = (client.permit(old), client.permit(new));
        let changes = changes(topics, &before, &after);
        if changes.is_empty() {
            return Ok(());
        }
        self.differ += 1;
        let is_shown = self.differ <= MOST_SHOWN;
        if is_shown {
            writeln!(out, "{} as {:?}", client.principal, client.client_id.as_str())?;
        }
        for (is_gain, action, topic) in changes {
            *(if is_gain { &mut self.gained } else { &mut self.lost }) += 1;
            if is_shown {
                let sign = if is_gain { '+' } else { '-' };
                writeln!(out, "  {sign} {:<16} {topic}", action.name())?;
            }
        }
        Ok(())
    }
}

/// The client of a session; none where the broker has told too little of it.
fn client_of(row: &SessionRow) -> Option<Client> {
    let attributes = row.topics.iter().flat_map(|topics| &topics.attributes);
    Some(Client {
        principal: Principal::parse(&row.principal)?,
        client_id: ClientId::new(&row.client_id),
        attributes: attributes.filter_map(|attribute| attribute.attribute()).collect(),
        listener: row.listener.clone()?,
        security: TransportSecurity::named(row.transport.as_deref()?)?,
        own: match row.topics.as_ref().filter(|topics| !topics.rules.is_empty()) {
            Some(topics) => Some(rules_of(topics)?),
            None => None,
        },
        time: Now::read().unix,
    })
}

/// The rules that it has beside the policy; none where they cannot be understood.
fn rules_of(topics: &TopicRows) -> Option<ClientRules> {
    #[derive(Deserialize)]
    struct Own {
        rules: ClientRules,
    }
    let own: Own = toml::from_str(&format!("rules = [{}]", topics.rules.join(","))).ok()?;
    Some(own.rules)
}

fn changes(topics: &TopicRows, before: &Permit, after: &Permit) -> Vec<(bool, Use, TopicFilter)> {
    let subscribed = topics.filters.iter().map(|text| (text, &[Use::Subscribe, Use::Receive][..]));
    let published = topics.published.iter().map(|text| (text, &[Use::Publish][..]));
    let mut changes = Vec::new();
    for (text, used) in subscribed.chain(published) {
        let Ok(filter) = TopicFilter::parse(text) else { continue };
        let (before, after) = (uses(before, &filter), uses(after, &filter));
        for action in used {
            if before.contains(action) != after.contains(action) {
                changes.push((after.contains(action), *action, filter.clone()));
            }
        }
    }
    changes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::{AttributeRow, SessionState};

    const OLD: &str = r##"
[[role]]
name = "r"
rules = [{ allow = ["publish", "subscribe"], topics = ["a/#"] }]
[[assign]]
claims = { roles = ["r"] }
roles = ["r"]
"##;

    fn row(client_id: &str, role: &str) -> SessionRow {
        SessionRow {
            client_id: client_id.to_owned(),
            principal: "token:anna".to_owned(),
            state: SessionState::Connected,
            address: None,
            listener: Some("mqtts://0.0.0.0:8883".to_owned()),
            transport: Some("tls".to_owned()),
            connected_at: None,
            subscriptions: None,
            queued: None,
            topics: Some(TopicRows {
                filters: vec!["a/b/#".to_owned()],
                published: vec!["a/c".to_owned(), "d".to_owned()],
                is_cut: false,
                attributes: vec![AttributeRow {
                    source: "claims".to_owned(),
                    name: "roles".to_owned(),
                    value: role.to_owned(),
                }],
                rules: Vec::new(),
            }),
        }
    }

    #[test]
    fn rules_that_a_client_has_to_itself_count_under_both_policies() {
        let old = Policy::parse(OLD).expect("a policy");
        let new = Policy::parse(&OLD.replace("a/#\"]", "a/b/#\"]")).expect("a policy");
        let with = |rules: &[&str]| {
            let mut row = row("c1", "r");
            let topics = row.topics.as_mut().expect("topics");
            topics.rules = rules.iter().map(|rule| (*rule).to_owned()).collect();
            row
        };
        let own = "{ allow = [\"publish\"], topics = [\"a/${client_id}\", \"a/c\"], max_qos = 1 }";
        let mut noticed = Noticed::default();
        noticed.add(&with(&[own]), &old, &new, &mut Vec::new()).unwrap();
        assert_eq!(noticed, Noticed { clients: 1, ..Noticed::default() });
        noticed.add(&with(&[]), &old, &new, &mut Vec::new()).unwrap();
        assert_eq!(noticed, Noticed { clients: 2, differ: 1, lost: 1, ..Noticed::default() });
        noticed.add(&with(&["{ allow = 1 }"]), &old, &new, &mut Vec::new()).unwrap();
        assert_eq!((noticed.clients, noticed.untold), (3, 1));
    }

    #[test]
    fn what_a_client_uses_is_compared_under_its_own_roles() {
        let old = Policy::parse(OLD).expect("a policy");
        let new = Policy::parse(&OLD.replace("a/#\"]", "a/b/#\", \"d\"]")).expect("a policy");
        let (mut noticed, mut out) = (Noticed::default(), Vec::new());
        noticed.add(&row("c1", "r"), &old, &new, &mut out).unwrap();
        noticed.add(&row("c2", "other"), &old, &new, &mut out).unwrap();
        let silent = SessionRow { topics: None, ..row("c3", "r") };
        noticed.add(&silent, &old, &new, &mut out).unwrap();
        assert_eq!(noticed, Noticed { clients: 3, differ: 1, gained: 1, lost: 1, untold: 1 });
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "token:anna as \"c1\"\n  - publish          a/c\n  + publish          d\n"
        );
    }
}
