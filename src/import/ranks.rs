//! Which role outranks which: one order for all who hold several of them, where there is one.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::dynamic_security::{DynamicSecurity, RoleName};

/// The names of all roles, the one that is asked last first. None where one holder puts two roles in
/// another order than another does.
pub(super) fn ascending(security: &DynamicSecurity) -> Option<Vec<&str>> {
    let mut above: BTreeMap<&str, BTreeSet<&str>> =
        security.roles.iter().map(|(_, role, _)| (&*role.rolename, BTreeSet::new())).collect();
    for sequence in sequences(security) {
        for pair in sequence.windows(2) {
            if let [higher, lower] = pair
                && higher != lower
                && above.contains_key(higher)
                && let Some(known) = above.get_mut(lower)
            {
                known.insert(*higher);
            }
        }
    }
    let mut descending = Vec::with_capacity(above.len());
    while !above.is_empty() {
        let free = above.iter().find(|(_, higher)| higher.is_empty()).map(|(name, _)| *name)?;
        above.remove(free);
        for higher in above.values_mut() {
            higher.remove(free);
        }
        descending.push(free);
    }
    descending.reverse();
    Some(descending)
}

/// The roles of each holder in the order in which the plugin asks them.
fn sequences(security: &DynamicSecurity) -> Vec<Vec<&str>> {
    let mut memberships: BTreeMap<&str, Vec<_>> = BTreeMap::new();
    for (_, group) in &security.groups {
        for member in &group.clients {
            let membership = (Reverse(member.priority), &*group.groupname, group);
            memberships.entry(&member.username).or_default().push(membership);
        }
    }
    let mut sequences = Vec::new();
    for (_, client) in &security.clients {
        let mut sequence = ordered(&client.roles);
        let mut groups = memberships.remove(&*client.username).unwrap_or_default();
        groups.sort_by_key(|(priority, name, _)| (*priority, *name));
        sequence.extend(groups.into_iter().flat_map(|(_, _, group)| ordered(&group.roles)));
        // What is asked a second time decides nothing that it has not decided.
        let mut seen = BTreeSet::new();
        sequence.retain(|name| seen.insert(*name));
        sequences.push(sequence);
    }
    sequences.extend(security.groups.iter().map(|(_, group)| ordered(&group.roles)));
    sequences
}

fn ordered(roles: &[RoleName]) -> Vec<&str> {
    let mut roles: Vec<_> =
        roles.iter().map(|role| (Reverse(role.priority), &*role.rolename)).collect();
    roles.sort_unstable();
    roles.into_iter().map(|(_, name)| name).collect()
}
