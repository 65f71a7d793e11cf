//! What a plant file says that is allowed and can hardly be meant, at a moment: what gives nothing, and what gives more than it seems to.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::asset::Protocol;
use crate::policy::Policy;
use crate::role::Grant;
use crate::selector::IdentitySelector;
use crate::terms::{ChannelKind, FileTransfer};

/// What is refused whatever is granted: nothing carries it.
const REFUSED: [ChannelKind; 3] = [ChannelKind::Agent, ChannelKind::X11, ChannelKind::RemoteForward];

impl Policy {
    /// One line each, by role and grant; besides [`Policy::warnings`], which hold at any time.
    pub fn doubts(&self, now: Timestamp) -> Vec<String> {
        let mut doubts = self.twins();
        for role in self.roles() {
            if role.members.is_empty() {
                doubts.push(format!("role {} has no members: nobody holds it", role.id));
            }
            for grant in &role.grants {
                doubts.extend(self.doubts_of(grant, now).into_iter().map(|doubt| format!("{}: {doubt}", grant.rule)));
            }
        }
        doubts
    }

    /// Names that a reader takes for one and that are two.
    fn twins(&self) -> Vec<String> {
        let members = self.roles().map(|role| &role.members).chain(self.break_glass().map(|glass| &glass.members));
        let people = members.chain(self.forbids().map(|forbid| &forbid.identities)).flatten();
        let people = people.filter_map(|selector| match selector {
            IdentitySelector::Name(identity) => Some(identity.as_str()),
            IdentitySelector::Glob(_) | IdentitySelector::Group(_) => None,
        });
        let roles = twins(self.roles().map(|role| role.id.as_str())).into_iter();
        let roles = roles.map(|names| format!("the roles {names} differ in case only, and are not one"));
        let people = twins(people).into_iter();
        roles.chain(people.map(|names| format!("{names} differ in case only, and are not one person"))).collect()
    }

    fn doubts_of(&self, grant: &Grant, now: Timestamp) -> Vec<String> {
        let mut doubts = Vec::new();
        if let Some(until) = grant.valid_until.filter(|until| *until <= now) {
            doubts.push(format!("its `valid_until` was {until}: it gives nothing any more"));
        }
        if !self.names_ssh(grant) {
            return doubts;
        }
        let refused: Vec<&str> =
            REFUSED.iter().filter(|kind| grant.terms.allows(**kind)).map(|kind| kind.as_str()).collect();
        if !refused.is_empty() {
            let nothing = grant.terms.channels.iter().all(|kind| REFUSED.contains(kind));
            let so = if nothing { "; it lets nothing be opened" } else { "" };
            doubts.push(format!("{} is refused by this version, whatever is granted{so}", refused.join(", ")));
        }
        let both_ways: Vec<&str> = [ChannelKind::Shell, ChannelKind::Exec]
            .into_iter()
            .filter(|kind| grant.terms.allows(*kind))
            .map(ChannelKind::as_str)
            .collect();
        if grant.terms.file_transfer == FileTransfer::Download && !both_ways.is_empty() {
            doubts.push(format!(
                "`file_transfer = \"download\"` beside {}: by a command, as `cat > file`, files go both ways all the same",
                both_ways.join(" and ")
            ));
        }
        doubts
    }

    fn names_ssh(&self, grant: &Grant) -> bool {
        let mut named =
            self.places().filter(|place| grant.names_asset(place.asset) && grant.names_service(place.service));
        named.any(|place| place.service.protocol == Protocol::Ssh)
    }
}

/// Those of the names that are the same but for case, each set in one text.
fn twins<'a>(names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut by_folded: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for name in names {
        by_folded.entry(name.to_lowercase()).or_default().insert(name);
    }
    let several = by_folded.into_values().filter(|twins| twins.len() > 1);
    several.map(|twins| twins.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" and ")).collect()
}
