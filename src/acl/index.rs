//! All rules of a policy by the levels of their topics, so that a question meets only those that are
//! about its topic, however many others there are. Shared by all clients: what differs between them
//! is whose roles they hold and which names they have.

use std::cell::LazyCell;
use std::collections::HashMap;
use std::ops::Range;

use smallvec::SmallVec;

use super::rule::{ActionSet, Effect, Retain, RuleId, Rulebook};
use super::template::{Level, Names, Variable};
use crate::message::QoS;
use crate::topic::{TopicFilterRef, TopicNameRef};

/// One topic of one rule, as far as a decision needs to know.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clause {
    /// The lowest decides: by priority, then deny before allow, then by the order of the file.
    pub(super) rank: u32,
    pub(super) rule: RuleId,
    pub(super) role: u32,
    pub(super) effect: Effect,
    pub(super) actions: ActionSet,
    pub(super) max_qos: QoS,
    pub(super) retain: Retain,
    /// Bytes.
    pub(super) max_payload: u32,
    /// Whether it allows to publish envelopes alone, which hold.
    pub(super) needs_envelope: bool,
    /// Whether its rule has conditions of place or time.
    pub(super) is_conditional: bool,
}

/// The rules of a policy by topic.
#[derive(Debug, Default)]
pub(super) struct Index {
    nodes: Vec<Node>,
    /// The numbers of the texts that levels have.
    texts: HashMap<Box<str>, u32, foldhash::fast::RandomState>,
    /// From a node by the number of a text.
    edges: HashMap<(u32, u32), u32, foldhash::fast::RandomState>,
    /// Those of one node together: first those that deny, then those that allow, each in order of rank.
    clauses: Vec<Clause>,
    /// Those of nodes that have many once more, in order of role and then as in `clauses`.
    by_role: Vec<Clause>,
    /// By rule: its clause, whatever the topic.
    by_rule: Vec<Clause>,
}

/// Where some topics have got to after as many levels.
#[derive(Debug, Default)]
struct Node {
    /// Whether any of [`Index::edges`] begins here.
    has_texts: bool,
    /// By a level of any text.
    any: Option<u32>,
    /// By a level with the name of the client.
    named: Vec<(Named, u32)>,
    /// The topics that end here.
    here: Span,
    /// The topics that end here in `/#`.
    below: Span,
}

/// Where the clauses of a node are.
#[derive(Clone, Debug, Default)]
struct Span {
    /// In [`Index::clauses`].
    by_rank: Range<u32>,
    /// In [`Index::by_role`], where there are [`MANY`].
    by_role: Range<u32>,
}

/// How many clauses of one node are looked through whoever asks: with more, and with fewer roles
/// than that, it is quicker to look for each role.
const MANY: usize = 32;

#[derive(Clone, Debug, PartialEq, Eq)]
struct Named {
    before: Box<str>,
    variable: Variable,
    after: Box<str>,
}

/// Clauses that are about one topic, some at a time: of one effect, and in order of rank.
pub(super) type Found<'i> = SmallVec<[&'i [Clause]; 16]>;

/// Who asks: the roles that it holds, in order, and its names.
#[derive(Clone, Copy)]
pub(super) struct Client<'a> {
    pub(super) roles: &'a [u32],
    pub(super) names: &'a Names,
}

/// The nodes that the levels of a topic lead to; mostly there are few ways.
type Frontier = SmallVec<[u32; 16]>;

const ROOT: u32 = 0;

impl Index {
    pub(super) fn of(rulebook: &Rulebook) -> Self {
        let mut index =
            Self { nodes: vec![Node::default()], by_rule: by_rule(rulebook), ..Self::default() };
        let mut placed = Vec::new();
        for (rule, clause) in rulebook.rules.iter().zip(index.by_rule.clone()) {
            for topic in &rule.topics {
                let (node, is_below) = index.place(&topic.levels());
                placed.push((node, is_below, clause));
            }
        }
        index.fill(placed);
        index
    }

    /// The clause of a rule, whatever the topic.
    pub(super) fn clause(&self, rule: RuleId) -> Option<&Clause> {
        self.by_rule.get(rule.index())
    }

    /// Where a topic ends, and whether it does so in `#`.
    fn place(&mut self, levels: &[Level<'_>]) -> (u32, bool) {
        let mut node = ROOT;
        for level in levels {
            node = match level {
                Level::Rest => return (node, true),
                Level::Any => self.any_of(node),
                Level::Text(text) => self.text_of(node, text),
                Level::Name { before, variable, after } => {
                    let (before, after) = ((*before).into(), (*after).into());
                    self.named_of(node, Named { before, variable: *variable, after })
                }
            };
        }
        (node, false)
    }

    fn any_of(&mut self, node: u32) -> u32 {
        let next = number(self.nodes.len());
        let any = self.nodes.get_mut(node as usize).map(|node| *node.any.get_or_insert(next));
        self.grown(any, next)
    }

    fn text_of(&mut self, node: u32, text: &str) -> u32 {
        let next = number(self.nodes.len());
        let count = number(self.texts.len());
        let text = *self.texts.entry(text.into()).or_insert(count);
        let known = *self.edges.entry((node, text)).or_insert(next);
        if let Some(node) = self.nodes.get_mut(node as usize) {
            node.has_texts = true;
        }
        self.grown(Some(known), next)
    }

    fn named_of(&mut self, node: u32, named: Named) -> u32 {
        let next = number(self.nodes.len());
        let Some(node) = self.nodes.get_mut(node as usize) else { return ROOT };
        let known = node.named.iter().find(|(known, _)| *known == named).map(|(_, child)| *child);
        if known.is_none() {
            node.named.push((named, next));
        }
        self.grown(Some(known.unwrap_or(next)), next)
    }

    /// Adds the node `next` where that is the `child` that has been chosen.
    fn grown(&mut self, child: Option<u32>, next: u32) -> u32 {
        if child == Some(next) {
            self.nodes.push(Node::default());
        }
        child.unwrap_or(ROOT)
    }

    fn fill(&mut self, mut placed: Vec<(u32, bool, Clause)>) {
        let allows = |clause: &Clause| clause.effect == Effect::Allow;
        placed.sort_by_key(|(node, is_below, clause)| {
            (*node, *is_below, allows(clause), clause.rank)
        });
        for group in placed.chunk_by(|one, other| (one.0, one.1) == (other.0, other.1)) {
            let clauses = group.iter().map(|(_, _, clause)| *clause);
            let mut span =
                Span { by_rank: append(&mut self.clauses, clauses.clone()), by_role: 0..0 };
            if group.len() >= MANY {
                let mut sorted: Vec<Clause> = clauses.collect();
                sorted.sort_by_key(|clause| (clause.role, allows(clause), clause.rank));
                span.by_role = append(&mut self.by_role, sorted.into_iter());
            }
            let Some((node, is_below, _)) = group.first() else { continue };
            match (self.nodes.get_mut(*node as usize), is_below) {
                (Some(node), true) => node.below = span,
                (Some(node), false) => node.here = span,
                (None, _) => {}
            }
        }
    }

    /// Adds the clauses whose topics hold `topic` to `found`. Some of them may be of other roles.
    pub(super) fn matching<'i>(
        &'i self,
        topic: TopicNameRef<'_>,
        client: Client<'_>,
        found: &mut Found<'i>,
    ) {
        self.walk(topic.as_str(), client, found);
    }

    /// Adds the clauses whose topics hold all that `filter` matches to `found`, as
    /// [`Self::matching`].
    pub(super) fn covering<'i>(
        &'i self,
        filter: TopicFilterRef<'_>,
        client: Client<'_>,
        found: &mut Found<'i>,
    ) {
        self.walk(filter.unshared().as_str(), client, found);
    }

    /// A level `+` leads only to those of any text, and `#` to none: what a wildcard of a filter
    /// stands for is in a topic of a rule only by a wildcard there. Level by level rather than by
    /// recursion, so that no topic is too deep.
    fn walk<'i>(&'i self, topic: &str, client: Client<'_>, found: &mut Found<'i>) {
        // No wildcard at the root is about topics that begin with `$` [MQTT-4.7.2-1].
        let mut has_wildcards = !topic.starts_with('$');
        let mut frontier = Frontier::from_elem(ROOT, 1);
        let mut next = Frontier::new();
        let mut rest = Some(topic);
        while let Some(levels) = rest {
            let (level, after) = first_level(levels);
            rest = after;
            let text = LazyCell::new(|| self.texts.get(level).copied());
            for (place, node) in self.at(&frontier) {
                if has_wildcards {
                    self.add(&node.below, client, found);
                    if let Some(any) = node.any.filter(|_| level != "#") {
                        next.push(any);
                    }
                }
                if node.has_texts
                    && let Some(child) = text.and_then(|text| self.edges.get(&(place, text)))
                {
                    next.push(*child);
                }
                for (named, child) in &node.named {
                    if named.is(level, client.names) {
                        next.push(*child);
                    }
                }
            }
            std::mem::swap(&mut frontier, &mut next);
            next.clear();
            if frontier.is_empty() {
                return;
            }
            has_wildcards = true;
        }
        for (_, node) in self.at(&frontier) {
            self.add(&node.here, client, found);
            self.add(&node.below, client, found);
        }
    }

    fn at<'i>(&'i self, frontier: &'i [u32]) -> impl Iterator<Item = (u32, &'i Node)> {
        frontier.iter().filter_map(|place| Some((*place, self.nodes.get(*place as usize)?)))
    }

    fn add<'i>(&'i self, span: &Span, client: Client<'_>, found: &mut Found<'i>) {
        if span.by_rank.is_empty() {
            return;
        }
        let many = slice(&self.by_role, &span.by_role);
        if many.len() <= client.roles.len().saturating_mul(MANY) {
            return push_by_effect(slice(&self.clauses, &span.by_rank), found);
        }
        for role in client.roles {
            let start = many.partition_point(|clause| clause.role < *role);
            let own = many.get(start..).unwrap_or_default();
            let end = own.partition_point(|clause| clause.role == *role);
            push_by_effect(own.get(..end).unwrap_or_default(), found);
        }
    }
}

fn push_by_effect<'i>(clauses: &'i [Clause], found: &mut Found<'i>) {
    let (deny, allow) =
        clauses.split_at(clauses.partition_point(|clause| clause.effect == Effect::Deny));
    for clauses in [deny, allow] {
        if !clauses.is_empty() {
            found.push(clauses);
        }
    }
}

/// The first of the levels, and those behind it. Levels are short: bytes one by one are quicker than a
/// search.
fn first_level(levels: &str) -> (&str, Option<&str>) {
    match levels.bytes().position(|byte| byte == b'/') {
        Some(end) => (levels.get(..end).unwrap_or_default(), levels.get(end + 1..)),
        None => (levels, None),
    }
}

fn slice<'i>(clauses: &'i [Clause], range: &Range<u32>) -> &'i [Clause] {
    clauses.get(range.start as usize..range.end as usize).unwrap_or_default()
}

/// Where the clauses have come to stand.
fn append(to: &mut Vec<Clause>, clauses: impl Iterator<Item = Clause>) -> Range<u32> {
    let start = number(to.len());
    to.extend(clauses);
    start..number(to.len())
}

impl Named {
    fn is(&self, level: &str, names: &Names) -> bool {
        let inner =
            level.strip_prefix(&*self.before).and_then(|rest| rest.strip_suffix(&*self.after));
        inner.is_some_and(|inner| names.get(self.variable) == Some(inner))
    }
}

/// A clause for each rule, with their ranks.
fn by_rule(rulebook: &Rulebook) -> Vec<Clause> {
    let mut order: Vec<usize> = (0..rulebook.rules.len()).collect();
    order.sort_by_key(|index| {
        let rule = rulebook.rules.get(*index);
        rule.map(|rule| (-i64::from(rule.priority), rule.effect == Effect::Allow))
    });
    let mut ranks = vec![0; order.len()];
    for (rank, index) in order.into_iter().enumerate() {
        if let Some(place) = ranks.get_mut(index) {
            *place = number(rank);
        }
    }
    let rules = rulebook.rules.iter().zip(ranks).enumerate();
    rules
        .map(|(index, (rule, rank))| Clause {
            rank,
            rule: rulebook.id_of(index),
            role: number(rule.role),
            effect: rule.effect,
            actions: rulebook.actions_of(rule).into(),
            max_qos: rule.max_qos,
            retain: rule.retain,
            max_payload: rule.max_payload.unwrap_or(u32::MAX),
            needs_envelope: rule.needs_envelope,
            is_conditional: rule.conditions.is_some(),
        })
        .collect()
}

/// A policy is too short to hold more of anything: see `parse::MAX_POLICY_BYTES`.
fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
