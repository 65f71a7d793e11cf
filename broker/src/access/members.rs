//! The people whom a plant file names.

use std::collections::BTreeSet;

use sallyport_policy::{IdentityId, IdentitySelector, Policy};

/// That a plant file names somebody as one of a role, or of a break-glass section.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Membership {
    /// Who.
    pub(crate) identity: IdentityId,
    /// Where they are named, as `role engineer`.
    pub(crate) place: String,
}

/// Everybody who is named as a member by name; patterns and groups name nobody.
pub(crate) fn memberships(policy: &Policy) -> BTreeSet<Membership> {
    let roles = policy.roles().map(|role| (format!("role {}", role.id), &role.members));
    let sections = policy.break_glass().map(|glass| (format!("break-glass {}", glass.rule.name), &glass.members));
    let places = roles.chain(sections);
    let named = places.flat_map(|(place, members)| {
        members.iter().filter_map(move |selector| match selector {
            IdentitySelector::Name(identity) => Some(Membership { identity: identity.clone(), place: place.clone() }),
            IdentitySelector::Glob(_) | IdentitySelector::Group(_) => None,
        })
    });
    named.collect()
}
