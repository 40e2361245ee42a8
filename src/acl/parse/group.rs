//! `[[group]]`: users under one name.

use std::collections::{BTreeSet, HashMap};

use super::Reader;
use crate::acl::document::Item;
use crate::acl::hierarchy;

/// Users of all groups together, those of groups within groups counted in each.
const MAX_MEMBERS: usize = 1_000_000;

impl Reader<'_> {
    pub(super) fn groups(&mut self, groups: &[Item<'_>]) {
        let names: Vec<Box<str>> = groups.iter().map(|group| self.group_name(group)).collect();
        let mut places = HashMap::new();
        for (place, (name, group)) in names.iter().zip(groups).enumerate() {
            if places.insert(&**name, place).is_some() && !name.is_empty() {
                let message =
                    format!("group {name:?} is there already: join the two or rename one");
                self.faults.add(&group.span, message);
            }
        }
        let contents: Vec<Vec<usize>> =
            groups.iter().map(|group| self.groups_in(group, &places)).collect();
        match hierarchy::order(&contents) {
            Ok(order) => self.fill(groups, &names, &contents, &order),
            Err(circle) => {
                let first = circle.first().and_then(|place| groups.get(*place));
                let members = circle.iter().filter_map(|place| names.get(*place));
                let members: Vec<&str> = members.map(|name| &**name).collect();
                let message = format!(
                    "a group is not part of itself, be it by others: {} lead back to the first",
                    members.join(", ")
                );
                if let Some(value) = first.and_then(|group| group.value("groups")) {
                    self.faults.add(&value.span(), message);
                }
            }
        }
    }

    fn group_name(&mut self, group: &Item<'_>) -> Box<str> {
        group.only(&["name", "members", "groups"], &mut self.faults);
        group.require("name", "a name, like name = \"operators\"", &mut self.faults);
        if !group.has("groups") {
            group.require("members", "members, like members = [\"olga\"]", &mut self.faults);
        }
        let Some(name) = group.string("name", &mut self.faults) else { return Box::default() };
        if name.text.is_empty() || name.text.contains(char::is_control) {
            self.faults.add(&name.span, "a group's name is text without control characters");
        }
        name.text.into()
    }

    fn groups_in(&mut self, group: &Item<'_>, places: &HashMap<&str, usize>) -> Vec<usize> {
        let mut inner = Vec::new();
        for name in group.strings("groups", &mut self.faults) {
            match places.get(name.text) {
                Some(place) => inner.push(*place),
                None => {
                    let message = format!(
                        "there is no group {:?}: correct its name, or add a [[group]] of that name",
                        name.text
                    );
                    self.faults.add(&name.span, message);
                }
            }
        }
        inner
    }

    /// Collects the users of each group; `order` has each after those that it contains.
    fn fill(
        &mut self,
        groups: &[Item<'_>],
        names: &[Box<str>],
        contents: &[Vec<usize>],
        order: &[usize],
    ) {
        let mut sum = 0;
        for place in order {
            let (Some(group), Some(name)) = (groups.get(*place), names.get(*place)) else {
                continue;
            };
            let mut members = BTreeSet::new();
            for member in group.strings("members", &mut self.faults) {
                members.extend(self.exact_name(&member));
            }
            let inner = contents.get(*place).into_iter().flatten();
            let inner = inner.filter_map(|place| self.groups.get(names.get(*place)?));
            members.extend(inner.flatten().cloned());
            sum += members.len();
            if sum > MAX_MEMBERS {
                let message = "groups have at most 1,000,000 members, counted in each";
                return self.faults.add(&group.span, message);
            }
            self.groups.insert(name.clone(), members.into_iter().collect());
        }
    }
}
