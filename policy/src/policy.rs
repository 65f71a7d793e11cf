//! The policy: what the plant files say, checked and ready to decide by.

use std::collections::BTreeMap;
use std::net::IpAddr;

use jiff::SignedDuration;
use serde::Serialize;

use crate::asset::{Asset, Conduit, Service, Zone};
use crate::break_glass::BreakGlass;
use crate::decision::PermitRule;
use crate::error::PlantError;
use crate::filter::FilterSection;
use crate::names::{AssetId, RoleId, ServiceName, ZoneId};
use crate::role::{Forbid, Grant, Role, RuleRef};
use crate::subject::Subject;
use crate::tags::TagList;

/// Who may do what. Made by [`Policy::parse`] only, so it holds no dangling name and no contradiction.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Policy {
    pub(crate) zones: BTreeMap<ZoneId, Zone>,
    pub(crate) conduits: Vec<Conduit>,
    pub(crate) assets: BTreeMap<AssetId, Asset>,
    pub(crate) tag_lists: BTreeMap<String, TagList>,
    pub(crate) filters: BTreeMap<String, FilterSection>,
    pub(crate) roles: BTreeMap<RoleId, Role>,
    pub(crate) forbids: Vec<Forbid>,
    pub(crate) break_glass: BTreeMap<String, BreakGlass>,
    pub(crate) warnings: Vec<PlantError>,
}

impl Policy {
    /// The policy without a rule: it denies everything.
    pub fn empty() -> Self {
        Self::default()
    }

    /// What is allowed but looks like a slip, as a grant for a service that no conduit lets pass.
    pub fn warnings(&self) -> &[PlantError] {
        &self.warnings
    }

    /// The asset of this name.
    pub fn asset(&self, id: &AssetId) -> Option<&Asset> {
        self.assets.get(id)
    }

    /// Every asset, by name.
    pub fn assets(&self) -> impl Iterator<Item = &Asset> {
        self.assets.values()
    }

    /// The zone of this name.
    pub fn zone(&self, id: &ZoneId) -> Option<&Zone> {
        self.zones.get(id)
    }

    /// Every zone, by name.
    pub fn zones(&self) -> impl Iterator<Item = &Zone> {
        self.zones.values()
    }

    /// Every conduit.
    pub fn conduits(&self) -> impl Iterator<Item = &Conduit> {
        self.conduits.iter()
    }

    /// The role of this name.
    pub fn role(&self, id: &RoleId) -> Option<&Role> {
        self.roles.get(id)
    }

    /// Every role, by name.
    pub fn roles(&self) -> impl Iterator<Item = &Role> {
        self.roles.values()
    }

    /// The grant that stands there.
    pub fn grant(&self, rule: &RuleRef) -> Option<&Grant> {
        self.role(&rule.role)?.grants.iter().find(|grant| grant.rule == *rule)
    }

    /// Every forbid.
    pub fn forbids(&self) -> impl Iterator<Item = &Forbid> {
        self.forbids.iter()
    }

    /// Every tag list, by the name of its file.
    pub fn tag_lists(&self) -> impl Iterator<Item = &TagList> {
        self.tag_lists.values()
    }

    /// The tags of a service; none if it has no tag list.
    pub fn tags_of(&self, service: &Service) -> Option<&TagList> {
        self.tag_lists.get(service.tag_list.as_ref()?)
    }

    /// The filter section of this name.
    pub fn filter(&self, name: &str) -> Option<&FilterSection> {
        self.filters.get(name)
    }

    /// Every filter section, by name.
    pub fn filters(&self) -> impl Iterator<Item = &FilterSection> {
        self.filters.values()
    }

    /// Every break-glass section, by name.
    pub fn break_glass(&self) -> impl Iterator<Item = &BreakGlass> {
        self.break_glass.values()
    }

    /// The break-glass section of this name.
    pub fn emergency(&self, name: &str) -> Option<&BreakGlass> {
        self.break_glass.get(name)
    }

    /// Whether what this rule gives is reached also in a zone that is isolated.
    pub fn opens_isolated(&self, rule: &PermitRule) -> bool {
        let section = rule.emergency().and_then(|emergency| self.emergency(&emergency.name));
        section.is_some_and(|section| section.in_isolation)
    }

    /// The service meant by a host and a port: the asset by plant name (in any case) or by literal address, and the port
    /// of exactly one of its services. Nothing is resolved by DNS.
    pub fn locate(&self, host: &str, port: u16) -> Option<(&Asset, &Service)> {
        let address = literal_address(host);
        self.assets
            .values()
            .filter(|asset| match address {
                Some(address) => asset.address == address,
                None => asset.id.as_str().eq_ignore_ascii_case(host),
            })
            .find_map(|asset| {
                asset.services.values().find(|service| service.port == port).map(|service| (asset, service))
            })
    }

    /// The longest lease that any grant of theirs has; zero if they have none.
    pub fn longest_lease(&self, subject: &Subject) -> SignedDuration {
        self.grants_of(subject).map(|grant| grant.lease).max().unwrap_or(SignedDuration::ZERO)
    }

    /// How many connections to the broker they may have open at once: the most that any grant of theirs allows.
    pub fn connections(&self, subject: &Subject) -> u32 {
        let most = self.grants_of(subject).map(|grant| grant.terms.connections).max();
        most.unwrap_or(crate::terms::USUAL_CONNECTIONS)
    }

    /// How many sessions they may have at once on one broker: the most that any grant of theirs allows.
    pub fn sessions(&self, subject: &Subject) -> u32 {
        let most = self.grants_of(subject).map(|grant| grant.terms.sessions).max();
        most.unwrap_or(crate::terms::USUAL_SESSIONS)
    }

    /// The grants of every role this person holds.
    pub(crate) fn grants_of<'p>(&'p self, subject: &'p Subject) -> impl Iterator<Item = &'p Grant> {
        self.roles.values().filter(|role| role.has_member(subject)).flat_map(|role| &role.grants)
    }

    /// Does a conduit from the broker let this service pass into this zone?
    pub(crate) fn conduit_passes(&self, zone: &ZoneId, service: &ServiceName) -> bool {
        self.conduits
            .iter()
            .filter(|conduit| self.begins_at_broker(conduit))
            .any(|conduit| conduit.to.contains(zone) && conduit.services.contains(service))
    }

    fn begins_at_broker(&self, conduit: &Conduit) -> bool {
        match &conduit.from {
            Some(from) => self.zones.get(from).is_some_and(|zone| zone.broker),
            None => true,
        }
    }
}

/// An address as a client writes it: IPv6 with or without brackets; IPv4 within IPv6 is IPv4.
fn literal_address(host: &str) -> Option<IpAddr> {
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    bare.parse::<IpAddr>().ok().map(|address| address.to_canonical())
}
