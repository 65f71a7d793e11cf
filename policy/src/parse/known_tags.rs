//! The tags of a plant, for the rules that name them.

use std::collections::{BTreeMap, BTreeSet};

use crate::policy::Policy;
use crate::tags::Tag;

/// The tags that rules can name: those of every tag list that a Modbus service has.
pub(crate) struct KnownTags<'p> {
    pub(crate) tags: BTreeMap<&'p str, Vec<&'p Tag>>,
    /// Without a fault so far, so that a tag that is not there is the rule's fault.
    pub(crate) complete: bool,
}

impl<'p> KnownTags<'p> {
    pub(crate) fn of(policy: &'p Policy, complete: bool) -> Self {
        let named: BTreeSet<&String> = policy.places().filter_map(|place| place.service.tag_list.as_ref()).collect();
        let mut tags: BTreeMap<&str, Vec<&Tag>> = BTreeMap::new();
        for tag in named.into_iter().filter_map(|name| policy.tag_lists.get(name)).flat_map(|list| list.tags()) {
            tags.entry(&tag.name).or_default().push(tag);
        }
        Self { tags, complete }
    }
}
