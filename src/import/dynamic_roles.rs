//! The roles of the dynamic security plugin as roles of a policy, and who holds them.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::acl_file::{Certificates, can_be_named, unwritable};
use super::dynamic_security::{Acl, Client, DynamicSecurity, Role as Source, RoleName};
use super::finding::{Findings, Place};
use super::policy_text::{Assignment, Effect, Holders, PolicyText, Role, Rule, quoted};
use super::users::Users;
use super::{ranks, topics};
use crate::acl::Policy;

/// What is subscribed to where everything is.
const ALL_TOPICS: [&str; 2] = ["#", "$SYS/#"];

/// Translates `security`, the content of the file at `place`; its passwords go to `users`.
pub(super) fn roles(
    place: &Place,
    security: &DynamicSecurity,
    certificates: Certificates,
    users: &mut Users,
    findings: &mut Findings,
) -> PolicyText {
    let acls = || security.roles.iter().flat_map(|(_, _, acls)| acls).map(|(_, acl)| acl);
    let active = security.clients.iter().map(|(_, client)| client);
    // Nobody whom an assignment cannot name is active.
    let active = active.filter(|client| !client.disabled && !client.username.contains('*'));
    let mut translation = Translation {
        security,
        certificates,
        findings,
        active: active.map(|client| &*client.username).filter(|name| !name.is_empty()).collect(),
        denies: acls().any(|acl| !acl.allow),
        denies_receive: acls().any(|acl| !acl.allow && is(acl, "publishClientReceive")),
        names: BTreeSet::new(),
        seen: BTreeSet::new(),
        policy: PolicyText::default(),
    };
    let priorities = translation.priorities(place);
    for (place, role, acls) in &security.roles {
        let lowest = priorities.get(&*role.rolename).copied();
        translation.role(place, role, acls, lowest);
    }
    for (place, client) in &security.clients {
        translation.client(place, client, users);
    }
    translation.groups();
    translation.default_access(place);
    translation.policy
}

struct Translation<'a> {
    security: &'a DynamicSecurity,
    certificates: Certificates,
    findings: &'a mut Findings,
    /// The clients that are not switched off.
    active: BTreeSet<&'a str>,
    /// Whether any ACL denies.
    denies: bool,
    /// Whether any ACL denies to receive.
    denies_receive: bool,
    /// The roles that are translated.
    names: BTreeSet<&'a str>,
    /// The clients that are translated.
    seen: BTreeSet<&'a str>,
    policy: PolicyText,
}

impl<'a> Translation<'a> {
    /// The lowest priority of each role, if priorities matter: where nothing is denied they do not.
    fn priorities(&mut self, place: &Place) -> BTreeMap<String, i32> {
        if !self.denies {
            return BTreeMap::new();
        }
        let Some(order) = ranks::ascending(self.security) else {
            let remedy = "here a rule outranks another for everybody, so every deny wins now: give \
                          the rules a priority of their own in the policy";
            self.findings.missing(place, "roles that outrank each other in both ways", remedy);
            return BTreeMap::new();
        };
        let roles = self.security.roles.iter();
        let sizes: BTreeMap<&str, usize> =
            roles.map(|(_, role, acls)| (&*role.rolename, acls.len())).collect();
        let mut next: i32 = 1;
        let mut priorities = BTreeMap::new();
        for name in order {
            priorities.insert(name.to_owned(), next);
            let rules = sizes.get(name).copied().unwrap_or_default();
            next = next.saturating_add(i32::try_from(rules).unwrap_or(i32::MAX));
        }
        priorities
    }

    fn role(
        &mut self,
        place: &Place,
        role: &'a Source,
        acls: &[(Place, Acl)],
        lowest: Option<i32>,
    ) {
        let name = &*role.rolename;
        let is_name = !name.is_empty() && !name.contains(char::is_control);
        if !is_name || !self.names.insert(name) {
            let remedy = "this is no name that a policy can write, or it is there twice, and the role \
                          is left out: rename it";
            self.findings.missing(place, format!("role {name}"), remedy);
            return;
        }
        if !role.allowwildcardsubs {
            let remedy = "subscriptions with wildcards cannot be refused by role: each delivery is \
                          decided by its topic";
            let what = format!("role {}: allowwildcardsubs false", role.rolename);
            self.findings.missing(place, what, remedy);
        }
        let rules = self.rules(role, acls, lowest);
        let description = role.textdescription.clone().filter(|text| !text.is_empty());
        self.policy.roles.push(Role { name: role.rolename.clone(), description, rules });
    }

    fn rules(&mut self, role: &Source, acls: &[(Place, Acl)], lowest: Option<i32>) -> Vec<Rule> {
        let mut sorted: Vec<_> = acls.iter().collect();
        // Of equal ones the first in the file is asked first.
        sorted.sort_by_key(|(_, acl)| Reverse(acl.priority));
        let count = i32::try_from(sorted.len()).unwrap_or(i32::MAX / 2);
        let (mut rules, mut subscribe, mut receive) = (Vec::new(), Vec::new(), Vec::new());
        for (position, (place, acl)) in (1..).zip(sorted) {
            let priority = lowest.map_or(0, |lowest| lowest.saturating_add(count - position));
            match self.rule(place, acl, priority) {
                Some(rule) if rule.effect == Effect::Deny => rules.push(rule),
                Some(rule) if rule.actions == ["subscribe"] => subscribe.push(rule),
                Some(rule) if rule.actions == ["receive"] => receive.push(rule),
                Some(rule) => rules.push(rule),
                None => {}
            }
        }
        rules.extend(self.subscriptions(role, subscribe, receive));
        rules
    }

    /// What is delivered is what may be both subscribed to and received: here one role says both.
    fn subscriptions(
        &mut self,
        role: &Source,
        mut allowed: Vec<Rule>,
        receive: Vec<Rule>,
    ) -> Vec<Rule> {
        let default = self.security.default;
        if default.publish_client_receive && !self.denies_receive {
            return allowed;
        }
        if default.subscribe {
            let all = receive.first().into_iter().flat_map(|rule| {
                let rule = Rule { actions: vec!["subscribe"], priority: 0, ..rule.clone() };
                ALL_TOPICS.map(|topic| Rule { topic: topic.to_owned(), ..rule.clone() })
            });
            allowed.extend(all);
        }
        let mut rules = Vec::new();
        for subscribed in allowed {
            let mut delivered: Vec<Rule> = receive
                .iter()
                .filter_map(|rule| {
                    let topic = topics::common(&subscribed.topic, &rule.topic)?;
                    Some(Rule { topic, ..rule.clone() })
                })
                .collect();
            if default.publish_client_receive {
                delivered.push(Rule {
                    actions: vec!["receive"],
                    priority: 0,
                    ..subscribed.clone()
                });
            }
            if delivered.is_empty() {
                let remedy = "nothing that is subscribed to so could be received by this role, and \
                              it is left out: say both in one role";
                let what = format!("role {}: subscriptions to {}", role.rolename, subscribed.topic);
                self.findings.missing(&subscribed.place, what, remedy);
                continue;
            }
            rules.push(subscribed);
            rules.extend(delivered);
        }
        rules
    }

    fn rule(&mut self, place: &Place, acl: &Acl, priority: i32) -> Option<Rule> {
        let what = || format!("{} {}", acl.acltype, acl.topic);
        let effect = if acl.allow { Effect::Allow } else { Effect::Deny };
        if acl.topic.starts_with("$CONTROL") {
            let remedy = "there are no control topics: users and permissions are kept in files, and \
                          `bastionmq passwd` and `bastionmq acl` look after them";
            self.findings.missing(place, what(), remedy);
            return None;
        }
        let is_literal = is(acl, "subscribeLiteral");
        let action = if is(acl, "publishClientSend") {
            "publish"
        } else if is(acl, "publishClientReceive") {
            "receive"
        } else if is_literal || is(acl, "subscribePattern") {
            "subscribe"
        } else {
            let is_known = is(acl, "unsubscribeLiteral") || is(acl, "unsubscribePattern");
            if !(is_known && acl.allow) {
                let remedy = if is_known {
                    "every client may end its own subscriptions"
                } else {
                    "the plugin knows no such ACL type, and passes over it"
                };
                self.findings.missing(place, what(), remedy);
            }
            return None;
        };
        if acl.allow && action == "publish" && acl.topic.starts_with('$') {
            let remedy =
                "clients never publish to topics that begin with $ here: publish to another";
            self.findings.missing(place, what(), remedy);
            return None;
        }
        if is_literal && !acl.allow && acl.topic.contains(['+', '#']) {
            let remedy = "one filter cannot be refused by its text; it is left out, as it keeps no \
                          topic from who may subscribe to it by another filter";
            self.findings.missing(place, what(), remedy);
            return None;
        }
        let topic = self.topic(place, acl, is_literal, effect)?;
        Some(Rule { effect, actions: vec![action], topic, priority, place: place.clone() })
    }

    /// The topic of `acl`, if a policy can say it.
    fn topic(
        &mut self,
        place: &Place,
        acl: &Acl,
        is_literal: bool,
        effect: Effect,
    ) -> Option<String> {
        let translate = if is_literal { topics::literal } else { topics::pattern };
        translate(&acl.topic)
            .filter(|topic| is_topic(topic))
            .or_else(|| unwritable(&acl.topic, effect, place, self.findings))
            .filter(|topic| is_topic(topic))
    }

    fn client(&mut self, place: &Place, client: &'a Client, users: &mut Users) {
        let name = &client.username;
        if !self.seen.insert(name) {
            let remedy = "the plugin uses the first entry of that name, and so it is here";
            return self.findings.note(place, format!("client {name}"), remedy);
        }
        if client.disabled {
            let remedy = "an entry cannot be switched off here, so the user is left out: \
                          `bastionmq passwd add` brings it back";
            return self.findings.missing(place, format!("disabled client {name}"), remedy);
        }
        if let Some(id) = &client.clientid {
            let remedy = "a user is not bound to one client identifier; a client identifier belongs \
                          to the user that takes it first";
            self.findings.missing(place, format!("client {name}: client identifier {id}"), remedy);
        }
        match client.hash() {
            Some(hash) => users.add(name, &hash, place, self.findings),
            None => {
                let remedy = "it cannot log in: give it a password with `bastionmq passwd add`";
                self.findings.missing(place, format!("client {name} without a password"), remedy);
            }
        }
        if can_be_named(name, place, self.findings) {
            let holders = self.holders(vec![name.clone()]);
            self.assign(place, holders, &client.roles);
        }
    }

    fn groups(&mut self) {
        let security = self.security;
        for (place, group) in &security.groups {
            let anonymous = security.anonymous_group.as_ref() == Some(&group.groupname);
            let members = group.clients.iter().map(|member| &member.username);
            let members = members.filter(|name| self.active.contains(&***name)).cloned().collect();
            let holders = Holders { anonymous, ..self.holders(members) };
            self.assign(place, holders, &group.roles);
        }
    }

    fn holders(&self, users: Vec<String>) -> Holders {
        let certificates = match self.certificates {
            Certificates::NameUsers => users.clone(),
            Certificates::NameNobody => Vec::new(),
        };
        Holders { users, certificates, ..Holders::default() }
    }

    fn assign(&mut self, place: &Place, holders: Holders, roles: &[RoleName]) {
        let mut names: Vec<String> = Vec::new();
        for role in roles {
            if self.names.contains(&*role.rolename) {
                names.push(role.rolename.clone());
            } else {
                let remedy = "there is no such role in the file";
                self.findings.note(place, format!("role {}", role.rolename), remedy);
            }
        }
        if !names.is_empty() && !holders.is_empty() {
            self.policy.assignments.push(Assignment { holders, roles: names });
        }
    }

    /// What everybody may where no ACL decides.
    fn default_access(&mut self, place: &Place) {
        let default = self.security.default;
        let mut rules = Vec::new();
        let mut allow = |action: &'static str, topic: &str| {
            rules.push(Rule {
                effect: Effect::Allow,
                actions: vec![action],
                topic: topic.to_owned(),
                priority: 0,
                place: place.clone(),
            });
        };
        if default.publish_client_send {
            allow("publish", "#");
        }
        if default.subscribe && default.publish_client_receive {
            ALL_TOPICS.into_iter().for_each(|topic| allow("subscribe", topic));
        }
        if rules.is_empty() {
            return;
        }
        let users = self.active.iter().map(|name| (*name).to_owned()).collect();
        let holders = Holders { anonymous: true, ..self.holders(users) };
        let name = self.policy.free_name("default access");
        let roles = vec![name.clone()];
        self.policy.roles.push(Role { name, description: None, rules });
        self.policy.assignments.push(Assignment { holders, roles });
    }
}

fn is(acl: &Acl, kind: &str) -> bool {
    acl.acltype.eq_ignore_ascii_case(kind)
}

/// Whether a policy takes `topic`: the names of a client do not share a level, and so on.
fn is_topic(topic: &str) -> bool {
    let rule = format!("{{ deny = [\"publish\"], topics = [{}] }}", quoted(topic));
    let role = format!("[[role]]\nname = \"r\"\nrules = [{rule}]");
    Policy::parse(&format!("{role}\n[[assign]]\neveryone = true\nroles = [\"r\"]\n")).is_ok()
}
