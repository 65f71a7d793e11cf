//! Checks that need the plant as a whole.
//!
//! A conduit that does not let a granted service pass is a warning and not an error: it is the ceiling, and an
//! administrator must be able to lower it in one line, at once, without first editing every grant below it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::Names;
use super::log::{At, Log};
use super::opening::Openable;
use super::value::{Key, Value};
use crate::asset::{Asset, Protocol, Service, Zone};
use crate::names::{AssetId, ServiceName, ZoneId};
use crate::policy::Policy;
use crate::selector::{AssetSelector, Glob};
use crate::window_rule::WindowRuleRef;

/// The zones that the brokers stand in.
pub(crate) fn broker_zones(zones: &BTreeMap<ZoneId, Zone>) -> BTreeSet<ZoneId> {
    zones.values().filter(|zone| zone.broker).map(|zone| zone.id.clone()).collect()
}

/// Zones that share addresses: allowed, since a plant may draw one within another.
pub(crate) fn zones(log: &mut Log<'_>, zones: &BTreeMap<ZoneId, Zone>, sections: &[(Key<'_>, Value<'_>)]) {
    for zone in zones.values() {
        let mut others = zones.values().filter(|other| other.id < zone.id);
        let Some((other, (one, two))) = others.find_map(|other| Some((other, other.overlap(zone)?))) else { continue };
        if let Some((key, _)) = sections.iter().find(|(key, _)| key.text == zone.id.as_str()) {
            let message = format!("zones `{}` ({one}) and `{}` ({two}) have addresses in common", other.id, zone.id);
            log.warn(key.at, message);
        }
    }
}

/// No two assets at one place.
pub(crate) fn assets(log: &mut Log<'_>, assets: &BTreeMap<AssetId, Asset>, places: &BTreeMap<AssetId, At>) {
    let mut taken: BTreeMap<(IpAddr, u16), &Asset> = BTreeMap::new();
    let mut pinned: BTreeMap<&str, &Asset> = BTreeMap::new();
    for asset in assets.values() {
        let Some(at) = places.get(&asset.id) else { continue };
        for service in asset.services.values() {
            let place = (asset.address, service.port);
            match taken.get(&place) {
                Some(other) if other.id != asset.id => {
                    let message = format!(
                        "asset `{}` has the address {} and port {} of asset `{}`",
                        asset.id, asset.address, service.port, other.id
                    );
                    log.error(*at, message);
                }
                _ => drop(taken.insert(place, asset)),
            }
            for key in &service.host_keys {
                match pinned.get(key.as_str()) {
                    Some(other) if other.id != asset.id => {
                        let message = format!(
                            "asset `{}` has the host key of asset `{}`: either could pose as the other",
                            asset.id, other.id
                        );
                        log.warn(*at, message);
                    }
                    _ => drop(pinned.insert(key, asset)),
                }
            }
        }
    }
}

/// A tag list that no service names has no effect.
pub(crate) fn tag_lists(log: &mut Log<'_>, policy: &Policy) {
    let named = |list: &str| {
        let mut services = policy.assets().flat_map(|asset| asset.services.values());
        services.any(|service| service.tag_list.as_deref() == Some(list))
    };
    for name in policy.tag_lists.keys().filter(|name| !named(name)) {
        if let Some(at) = log.file(name) {
            log.warn(at, "no service names this tag list, which so has no effect");
        }
    }
}

/// Where a grant or an emergency names what it gives.
pub(crate) struct Given {
    pub(crate) at: At,
    /// How messages call it.
    pub(crate) owner: String,
    pub(crate) services: Vec<(At, Glob)>,
    pub(crate) accounts: Vec<(At, Glob)>,
    pub(crate) filter: Option<(At, String)>,
}

/// What a grant or an emergency names must be there to be given.
pub(crate) fn given(log: &mut Log<'_>, policy: &Policy, selectors: &BTreeSet<AssetSelector>, given: &Given) {
    let Given { at, owner, services, accounts, filter } = given;
    let named = |asset: &&Asset| selectors.iter().any(|selector| selector.matches(asset));
    let assets: Vec<&Asset> = policy.assets().filter(named).collect();
    if assets.is_empty() {
        return;
    }
    for (at, glob) in services {
        let offered = offered(&assets, glob);
        if offered.is_empty() {
            let known: BTreeSet<&str> =
                assets.iter().flat_map(|asset| asset.services.keys()).map(ServiceName::as_str).collect();
            log.unknown(*at, format!("no asset of {owner} has a service `{glob}`"), glob.as_str(), known);
        } else if !offered.iter().any(|(asset, service)| policy.conduit_passes(&asset.zone, &service.name)) {
            let zones: BTreeSet<&str> = offered.iter().map(|(asset, _)| asset.zone.as_str()).collect();
            let zones = zones.into_iter().collect::<Vec<_>>().join(", ");
            log.warn(
                *at,
                format!("no conduit lets `{glob}` of {owner} pass into zone {zones}: it gives nothing there"),
            );
        }
    }
    for (at, glob) in accounts {
        if !assets.iter().any(|asset| asset.accounts.keys().any(|account| glob.matches(account.as_str()))) {
            let known: BTreeSet<&str> =
                assets.iter().flat_map(|asset| asset.accounts.keys()).map(|a| a.as_str()).collect();
            log.unknown(*at, format!("no asset of {owner} has an account `{glob}`"), glob.as_str(), known);
        }
    }
    if let Some((at, name)) = filter {
        let mut offered = services.iter().flat_map(|(_, glob)| offered(&assets, glob)).map(|(_, service)| service);
        if !offered.any(|service| policy.effective_filter(service.protocol, Some(name)) == Some(name)) {
            log.warn(
                *at,
                format!("no service of {owner} speaks a protocol that filter `{name}` has anything to say of"),
            );
        }
    }
    let logins = services.iter().flat_map(|(_, glob)| offered_names(&assets, glob));
    if let (true, Some(service)) = (accounts.is_empty(), logins.into_iter().next()) {
        log.error(*at, format!("{owner} has no `accounts`, and `{service}` cannot be used without one"));
    }
}

/// What a rule about windows names must have points that can be opened.
pub(crate) fn window(log: &mut Log<'_>, policy: &Policy, openable: &Openable) {
    let Openable { services, rule } = openable;
    let named = |asset: &&Asset| rule.assets.iter().any(|selector| selector.matches(asset));
    let assets: Vec<&Asset> = policy.assets().filter(named).collect();
    let modbus: BTreeSet<&str> = assets
        .iter()
        .flat_map(|asset| asset.services.values())
        .filter(|service| service.protocol == Protocol::Modbus)
        .map(|service| service.name.as_str())
        .collect();
    for (at, glob) in services {
        if !assets.is_empty() && !modbus.iter().any(|service| glob.matches(service)) {
            let WindowRuleRef { role, window, .. } = &rule.rule;
            let message = format!("no asset of window {window} of role `{role}` has a modbus service `{glob}`");
            log.unknown(*at, message, glob.as_str(), modbus.iter().copied());
        }
    }
}

fn offered<'a>(assets: &[&'a Asset], glob: &Glob) -> Vec<(&'a Asset, &'a Service)> {
    let all = assets.iter().flat_map(|asset| asset.services.values().map(|service| (*asset, service)));
    all.filter(|(_, service)| glob.matches(service.name.as_str())).collect()
}

/// The services meant that one logs in to.
fn offered_names<'a>(assets: &[&'a Asset], glob: &Glob) -> Vec<&'a ServiceName> {
    let offered = offered(assets, glob).into_iter();
    offered.filter(|(_, service)| service.protocol.has_accounts()).map(|(_, service)| &service.name).collect()
}

/// A forbid that names a service nobody has is a slip that would leave open what it should shut.
pub(crate) fn forbid_services(log: &mut Log<'_>, names: &Names, services: &[(At, Glob)]) {
    for (at, glob) in services {
        if !names.services.iter().any(|service| glob.matches(service.as_str())) {
            let known = names.services.iter().map(ServiceName::as_str);
            log.unknown(*at, format!("no asset has a service `{glob}`, which a forbid names"), glob.as_str(), known);
        }
    }
}
