//! Shared subscriptions: the members of a group, and which of them a message goes to
//! (5.0 section 4.8.2).

use std::sync::Arc;

use super::subscription::{Recipient, Subscriber};
use crate::message::SessionKey;
use crate::topic::{TopicFilter, TopicFilterRef};

/// The sessions that share one subscription. A change makes a new group where somebody holds this
/// one, so that whoever memoises it reads without a lock.
#[derive(Clone, Debug)]
pub struct ShareGroup<R> {
    filter: TopicFilter,
    /// In the order of their session keys.
    members: Vec<Subscriber<R>>,
}

impl<R> ShareGroup<R> {
    /// `$share/{ShareName}/{filter}`: what tells this group from all others.
    #[must_use]
    pub fn filter(&self) -> &TopicFilter {
        &self.filter
    }

    /// One or more sessions, each once. The order is that of their keys, and stays when others come
    /// and go.
    #[must_use]
    pub fn members(&self) -> &[Subscriber<R>] {
        &self.members
    }
}

impl<R: Recipient> ShareGroup<R> {
    fn new(filter: TopicFilterRef<'_>) -> Self {
        Self { filter: filter.to_owned(), members: Vec::new() }
    }

    fn place(&self, session: SessionKey) -> Result<usize, usize> {
        self.members.binary_search_by_key(&session, |member| member.recipient.key())
    }
}

/// The groups that share one filter, in the order of their names.
pub(super) struct ShareGroups<R>(Vec<Arc<ShareGroup<R>>>);

impl<R> Default for ShareGroups<R> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<R: Recipient> ShareGroups<R> {
    /// Adds `member` to the group `filter`, in place of what its session had there. True: it had
    /// nothing.
    pub(super) fn insert(&mut self, filter: TopicFilterRef<'_>, member: Subscriber<R>) -> bool {
        let at = self.place(filter).unwrap_or_else(|at| {
            self.0.insert(at, Arc::new(ShareGroup::new(filter)));
            at
        });
        let Some(group) = self.0.get_mut(at).map(Arc::make_mut) else { return false };
        match group.place(member.recipient.key()) {
            Ok(at) => {
                group.members[at] = member;
                false
            }
            Err(at) => {
                group.members.insert(at, member);
                true
            }
        }
    }

    /// Removes `session` from the group `filter`, and the group with its last member. False: the
    /// session was no member.
    pub(super) fn remove(&mut self, filter: TopicFilterRef<'_>, session: SessionKey) -> bool {
        let Ok(at) = self.place(filter) else { return false };
        let Ok(member) = self.0[at].place(session) else { return false };
        if self.0[at].members.len() == 1 {
            self.0.remove(at);
        } else {
            Arc::make_mut(&mut self.0[at]).members.remove(member);
        }
        true
    }

    fn place(&self, filter: TopicFilterRef<'_>) -> Result<usize, usize> {
        self.0.binary_search_by(|group| group.filter.as_str().cmp(filter.as_str()))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<ShareGroup<R>>> {
        self.0.iter()
    }
}

/// The connected member with the least `load`, such as the messages that wait for it; `None` is not
/// connected. Where no member is connected, an offline one: its session keeps the message.
///
/// Members with the same load take turns: `cursor` says where to begin, and is moved past the one
/// chosen. Any value will do for a start.
pub fn choose_least_loaded<'a, R>(
    members: &'a [Subscriber<R>],
    cursor: &mut usize,
    load: impl Fn(&R) -> Option<usize>,
) -> Option<&'a Subscriber<R>> {
    let loads = in_turn(members, *cursor)
        .filter_map(|(at, member)| load(&member.recipient).map(|load| (load, at)));
    // `min_by_key` keeps the first of equals: the one whose turn it is.
    let least = loads.min_by_key(|(load, _)| *load).map(|(_, at)| at);
    choose(members, cursor, least)
}

/// The next member in turn that is `connected`. Where none is, the next offline one: its session
/// keeps the message.
///
/// `cursor` says where to begin, and is moved past the one chosen. Any value will do for a start.
pub fn choose_round_robin<'a, R>(
    members: &'a [Subscriber<R>],
    cursor: &mut usize,
    connected: impl Fn(&R) -> bool,
) -> Option<&'a Subscriber<R>> {
    let next = in_turn(members, *cursor).find(|(_, member)| connected(&member.recipient));
    choose(members, cursor, next.map(|(at, _)| at))
}

/// All members with their places, beginning where `cursor` points.
fn in_turn<R>(
    members: &[Subscriber<R>],
    cursor: usize,
) -> impl Iterator<Item = (usize, &Subscriber<R>)> {
    let first = cursor.checked_rem(members.len()).unwrap_or(0);
    members.iter().enumerate().cycle().skip(first).take(members.len())
}

fn choose<'a, R>(
    members: &'a [Subscriber<R>],
    cursor: &mut usize,
    connected: Option<usize>,
) -> Option<&'a Subscriber<R>> {
    let chosen = connected.or_else(|| cursor.checked_rem(members.len()))?;
    *cursor = chosen + 1;
    members.get(chosen)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::router::Grant;

    fn members(count: u64) -> Vec<Subscriber<SessionKey>> {
        (0..count)
            .map(|key| Subscriber { recipient: SessionKey(key), grant: Grant::default() })
            .collect()
    }

    /// Whom `choose` picks, six times on end.
    fn picks<'a>(
        mut choose: impl FnMut(&mut usize) -> Option<&'a Subscriber<SessionKey>>,
    ) -> Vec<u64> {
        let mut cursor = 0;
        (0..6).filter_map(|_| choose(&mut cursor)).map(|member| member.recipient.0).collect()
    }

    #[test]
    fn round_robin_takes_each_connected_member_in_turn() {
        let members = members(4);
        let all = picks(|cursor| choose_round_robin(&members, cursor, |_| true));
        assert_eq!(all, [0, 1, 2, 3, 0, 1]);
        let but_one = picks(|cursor| choose_round_robin(&members, cursor, |key| key.0 != 1));
        assert_eq!(but_one, [0, 2, 3, 0, 2, 3]);
    }

    #[test]
    fn the_least_loaded_take_turns_among_themselves() {
        let members = members(4);
        let loads = [Some(0), Some(5), None, Some(0)];
        let load = |key: &SessionKey| loads[key.0 as usize];
        let picked = picks(|cursor| choose_least_loaded(&members, cursor, load));
        assert_eq!(picked, [0, 3, 0, 3, 0, 3]);
    }

    #[test]
    fn offline_members_take_turns_where_nobody_is_connected() {
        let members = members(3);
        let robin = picks(|cursor| choose_round_robin(&members, cursor, |_| false));
        assert_eq!(robin, [0, 1, 2, 0, 1, 2]);
        let least = picks(|cursor| choose_least_loaded(&members, cursor, |_| None));
        assert_eq!(least, [0, 1, 2, 0, 1, 2]);
    }

    #[test]
    fn a_connected_member_is_chosen_however_loaded_it_is() {
        let members = members(3);
        let load = |key: &SessionKey| (key.0 == 1).then_some(usize::MAX);
        assert_eq!(picks(|cursor| choose_least_loaded(&members, cursor, load)), [1; 6]);
    }

    #[test]
    fn nobody_is_chosen_of_nobody_and_any_cursor_will_do() {
        let mut cursor = usize::MAX;
        assert!(choose_round_robin(&members(0), &mut cursor, |_| true).is_none());
        assert!(choose_least_loaded(&members(0), &mut cursor, |_| None).is_none());
        assert!(choose_round_robin(&members(3), &mut cursor, |_| true).is_some());
    }

    #[test]
    fn whoever_holds_a_group_sees_it_as_it_was() {
        let filter = TopicFilterRef::parse("$share/g/a").expect("a filter");
        let [one, two] = <[_; 2]>::try_from(members(2)).expect("two");
        let mut groups = ShareGroups::default();
        assert!(groups.insert(filter, one));
        let held = groups.iter().next().cloned().expect("a group");
        assert!(groups.insert(filter, two));
        assert_eq!(held.members().len(), 1);
        assert_eq!(groups.iter().next().map(|group| group.members().len()), Some(2));
    }
}
