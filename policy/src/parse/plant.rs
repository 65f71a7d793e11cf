//! `zone`, `conduit`, `asset`: the plant itself.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::log::{At, Log};
use super::value::{Alone, Key, Section, Value, word};
use super::{Names, host_key};
use crate::asset::{
    Account, AccountAuth, Asset, AssetAlgorithms, Conduit, Protocol, PurdueLevel, Service, Tolerated, Zone,
};
use crate::names::{AccountName, AssetId, ServiceName, ZoneId};
use crate::network::{Network, NetworkError};

/// `[zone.cell-1]`
pub(crate) fn zone(log: &mut Log<'_>, key: Key<'_>, value: Value<'_>, id: ZoneId) -> Option<ReadZone> {
    let mut section = value.section(log, key.at, format!("zone `{id}`"))?;
    let what = section.name_of("level");
    let level = section.take("level").and_then(|value| {
        let level = PurdueLevel::new(value.float(log, &what)?);
        if level.is_none() {
            log.error(value.at, format!("{what} is a Purdue level: 0, 1, 2, 3, 3.5, 4 or 5"));
        }
        level
    });
    let what = section.name_of("security_level");
    let security_level = section.take("security_level").and_then(|value| value.number(log, &what, 0, 4));
    let (networks, networks_read) = networks(log, &mut section);
    let what = section.name_of("broker");
    let broker = section.take("broker").and_then(|value| value.boolean(log, &what)).unwrap_or(false);
    let description = section.take_text(log, "description").map(str::to_owned);
    section.finish(log);
    Some(ReadZone { zone: Zone { id, level, security_level, networks, broker, description }, networks_read })
}

/// A zone, as far as it could be read.
pub(crate) struct ReadZone {
    pub(crate) zone: Zone,
    /// All that is written of its networks could be; else nothing can be said of who is outside of them.
    pub(crate) networks_read: bool,
}

fn networks(log: &mut Log<'_>, section: &mut Section<'_>) -> (Vec<Network>, bool) {
    let what = section.name_of("networks");
    let Some(value) = section.take("networks") else { return (Vec::new(), true) };
    let Some(texts) = value.texts(log, &what, Alone::Nothing) else { return (Vec::new(), false) };
    let mut networks = Vec::new();
    let mut read = true;
    for (at, text) in texts {
        match Network::parse(text) {
            Ok(network) => networks.push(network),
            Err(error) => {
                read = false;
                let meant = match &error {
                    NetworkError::HostBits(_, network) => Some(format!("did you mean `{network}`?")),
                    NetworkError::Malformed(_) => None,
                };
                log.suggest(at, error.to_string(), meant);
            }
        }
    }
    (networks, read)
}

/// `[[conduit]]`
pub(crate) fn conduit(log: &mut Log<'_>, value: Value<'_>, names: &Names) -> Option<Conduit> {
    let mut section = value.section(log, value.at, "a conduit")?;
    let from = section.take("from").and_then(|value| {
        let text = value.text(log, "`from` of a conduit")?;
        let zone = names.zone(log, value.at, text, "a conduit")?;
        if names.broker_zones.is_empty() {
            let message = "a conduit has a `from`, but no zone says `broker = true`: where do the brokers stand?";
            log.error(value.at, message);
        }
        Some(zone)
    });
    let to = section
        .need(log, "to")
        .and_then(|value| value.texts(log, "`to` of a conduit", Alone::Text))
        .unwrap_or_default()
        .into_iter()
        .filter_map(|(at, text)| names.zone(log, at, text, "a conduit"))
        .collect();
    let services = section
        .need(log, "services")
        .and_then(|value| value.texts(log, "`services` of a conduit", Alone::Nothing))
        .unwrap_or_default()
        .into_iter()
        .filter_map(|(at, text)| conduit_service(log, at, text, names))
        .collect();
    section.finish(log);
    Some(Conduit { from, to, services })
}

/// A ceiling that says `*` is none: each service is named.
fn conduit_service(log: &mut Log<'_>, at: At, text: &str, names: &Names) -> Option<ServiceName> {
    let Ok(service) = text.parse::<ServiceName>() else {
        log.error(at, format!("`{}`: a conduit names each service that may pass", text.escape_debug()));
        return None;
    };
    let known = names.services.iter().map(ServiceName::as_str).chain(Protocol::ALL.map(Protocol::as_str));
    if !known.clone().any(|name| name == text) {
        log.unknown(at, format!("no asset has a service `{text}`, which a conduit names"), text, known);
    }
    Some(service)
}

/// `[asset.ews-1]`
pub(crate) fn asset(
    log: &mut Log<'_>,
    key: Key<'_>,
    value: Value<'_>,
    id: AssetId,
    zones: &Zones<'_>,
) -> Option<Asset> {
    let mut section = value.section(log, key.at, format!("asset `{id}`"))?;
    if id.as_str().parse::<IpAddr>().is_ok() {
        log.error(key.at, format!("asset `{id}` is named like an address, and would be taken for one"));
    }
    let zone = section.need(log, "zone").and_then(|value| {
        let text = value.text(log, "`zone` of an asset")?;
        zones.names.zone(log, value.at, text, &section.title)
    });
    let address = section.need(log, "address").and_then(|value| {
        let what = section.name_of("address");
        let text = value.text(log, &what)?;
        let address = text.parse::<IpAddr>().ok().map(|address| address.to_canonical());
        match address {
            Some(address) => within_zone(log, value.at, &id, address, zone.as_ref().and_then(|z| zones.read(z))),
            None => log.error(value.at, format!("{what} is an IP address, not `{text}`; names are not resolved")),
        }
        address
    });
    let tags = tags(log, &mut section);
    let services = services(log, &mut section, zones.names);
    let accounts = accounts(log, &mut section);
    let vendor = section.take_text(log, "vendor").map(str::to_owned);
    let firmware = section.take_text(log, "firmware").map(str::to_owned);
    let description = section.take_text(log, "description").map(str::to_owned);
    section.finish(log);
    let (services, accounts) = (services?, accounts?);
    Some(Asset { id, zone: zone?, address: address?, services, accounts, tags, vendor, firmware, description })
}

/// The zones as far as they could be read, and the names of all.
pub(crate) struct Zones<'a> {
    pub(crate) zones: &'a BTreeMap<ZoneId, Zone>,
    /// Those of which not every network could be read.
    pub(crate) unread: &'a BTreeSet<ZoneId>,
    pub(crate) names: &'a Names,
}

impl Zones<'_> {
    fn read(&self, zone: &ZoneId) -> Option<&Zone> {
        self.zones.get(zone).filter(|zone| !self.unread.contains(&zone.id))
    }
}

fn within_zone(log: &mut Log<'_>, at: At, id: &AssetId, address: IpAddr, zone: Option<&Zone>) {
    let Some(zone) = zone else { return };
    if zone.networks.iter().any(|network| network.contains(address)) {
        return;
    }
    let networks: Vec<String> = zone.networks.iter().map(ToString::to_string).collect();
    let networks = if networks.is_empty() { "none".to_owned() } else { networks.join(", ") };
    let message =
        format!("address {address} of asset `{id}` is outside the networks of zone `{}` ({networks})", zone.id);
    log.error(at, message);
}

fn tags(log: &mut Log<'_>, section: &mut Section<'_>) -> BTreeSet<String> {
    let what = section.name_of("tags");
    let mut tags = BTreeSet::new();
    for value in section.take("tags").and_then(|value| value.list(log, &what, Alone::Nothing)).unwrap_or_default() {
        let Some(text) = value.text(log, &what) else { continue };
        // A tag is written like a name, so that `tag:…` selects it without surprises.
        match text.parse::<AssetId>() {
            Ok(_) => drop(tags.insert(text.to_owned())),
            Err(error) => log.error(value.at, format!("`{}` is no tag: {error}", text.escape_debug())),
        }
    }
    tags
}

fn services(log: &mut Log<'_>, section: &mut Section<'_>, names: &Names) -> Option<BTreeMap<ServiceName, Service>> {
    let Some(value) = section.take("services") else { return Some(BTreeMap::new()) };
    let mut services: BTreeMap<ServiceName, Service> = BTreeMap::new();
    let mut complete = true;
    for (key, value) in value.table(log, &section.name_of("services"))? {
        let Some(service) = service(log, key, value, &section.title, names) else {
            complete = false;
            continue;
        };
        if let Some(other) = services.values().find(|other| other.port == service.port) {
            let message = format!("port {} of {} serves `{}` already", service.port, section.title, other.name);
            log.error(key.at, message);
        }
        services.insert(service.name.clone(), service);
    }
    complete.then_some(services)
}

fn service(log: &mut Log<'_>, key: Key<'_>, value: Value<'_>, owner: &str, names: &Names) -> Option<Service> {
    let name = super::name::<ServiceName>(log, key, "a service")?;
    let mut section = value.section(log, key.at, format!("service `{name}` of {owner}"))?;
    let named = name.as_str().parse::<Protocol>().ok();
    let written = section.take_word(log, "protocol", &Protocol::ALL, Protocol::as_str);
    let protocol = match (named, written) {
        (Some(named), Some(written)) if named != written => {
            log.error(key.at, format!("{} is named for one protocol and says it speaks {written}", section.title));
            None
        }
        (Some(protocol), _) | (None, Some(protocol)) => Some(protocol),
        (None, None) => {
            let all: Vec<&str> = Protocol::ALL.map(Protocol::as_str).to_vec();
            let message = format!("{} has no `protocol`: one of {}", section.title, all.join(", "));
            log.unknown(key.at, message, name.as_str(), all);
            None
        }
    };
    let what = section.name_of("port");
    let port = match section.take("port") {
        Some(value) => value.number(log, &what, 1, u16::MAX),
        None => {
            let usual = protocol.and_then(Protocol::usual_port);
            if protocol.is_some() && usual.is_none() {
                log.error(key.at, format!("{} has no `port`", section.title));
            }
            usual
        }
    };
    let host_keys = host_keys(log, &mut section, protocol);
    let algorithms = algorithms(log, &mut section, protocol);
    let tag_list = take_tag_list(log, &mut section, protocol, names);
    let tolerate = tolerate(log, &mut section, protocol);
    let takes_rtu = takes_rtu(log, &mut section, protocol);
    section.finish(log);
    Some(Service { name, protocol: protocol?, port: port?, host_keys, algorithms, tag_list, tolerate, takes_rtu })
}

/// What of a device's answers is put right. It is never silent: each opens a little of what the filter is there to shut.
fn tolerate(log: &mut Log<'_>, section: &mut Section<'_>, protocol: Option<Protocol>) -> BTreeSet<Tolerated> {
    let what = section.name_of("tolerate");
    let Some(value) = section.take("tolerate") else { return BTreeSet::new() };
    if protocol.is_some_and(|protocol| protocol != Protocol::Modbus) {
        log.error(value.at, format!("{} tolerates something, which modbus alone has", section.title));
    }
    let texts = value.texts(log, &what, Alone::Nothing).unwrap_or_default();
    let each = |(at, text)| word(log, at, &what, text, &Tolerated::ALL, Tolerated::as_str);
    let tolerated: BTreeSet<Tolerated> = texts.into_iter().filter_map(each).collect();
    if tolerated.contains(&Tolerated::Length) && tolerated.contains(&Tolerated::Surplus) {
        let message = format!("{what} has both `length` and `surplus`: nothing would say then where an answer ends");
        log.error(value.at, message);
    } else if !tolerated.is_empty() {
        let words: Vec<&str> = tolerated.iter().map(|each| each.as_str()).collect();
        let message = format!(
            "{} tolerates what the specification forbids ({}): what such answers say is not believed by `max_step` and `bits`",
            section.title,
            words.join(", ")
        );
        log.warn(value.at, message);
    }
    tolerated
}

fn takes_rtu(log: &mut Log<'_>, section: &mut Section<'_>, protocol: Option<Protocol>) -> bool {
    let what = section.name_of("takes_rtu");
    let Some(value) = section.take("takes_rtu") else { return false };
    if protocol.is_some_and(|protocol| protocol != Protocol::Modbus) {
        log.error(value.at, format!("{} takes frames of Modbus RTU, which modbus alone does", section.title));
    }
    value.boolean(log, &what).unwrap_or(false)
}

fn algorithms(log: &mut Log<'_>, section: &mut Section<'_>, protocol: Option<Protocol>) -> AssetAlgorithms {
    let written = section.take_word(log, "algorithms", &AssetAlgorithms::ALL, AssetAlgorithms::as_str);
    if written.is_some() && protocol.is_some_and(|protocol| protocol != Protocol::Ssh) {
        log.error(section.at, format!("{} names algorithms, which ssh alone has", section.title));
    }
    if written == Some(AssetAlgorithms::Legacy) {
        let message = format!(
            "{} takes algorithms that are broken or weak (SHA-1); only where the asset knows no others",
            section.title
        );
        log.warn(section.at, message);
    }
    written.unwrap_or_default()
}

/// The name of a CSV file that is among the plant's files.
fn take_tag_list(
    log: &mut Log<'_>,
    section: &mut Section<'_>,
    protocol: Option<Protocol>,
    names: &Names,
) -> Option<String> {
    let what = section.name_of("tag_list");
    let value = section.take("tag_list")?;
    let text = value.text(log, &what)?;
    if protocol.is_some_and(|protocol| protocol != Protocol::Modbus) {
        log.error(value.at, format!("{} names a tag list, which modbus alone has", section.title));
    }
    if !is_plain_name(text) {
        let message = format!(
            "{what} is the plain name of a CSV file beside the plant file, as `plc-1.csv`, not `{}`",
            text.escape_debug()
        );
        log.error(value.at, message);
    } else if !names.tag_lists.contains(text) {
        let known = names.tag_lists.iter().map(String::as_str);
        log.unknown(value.at, format!("{what}: the plant has no file `{text}`"), text, known);
    }
    Some(text.to_owned())
}

/// A file's name and no path, so that a plant file cannot make anybody read what lies elsewhere.
pub(crate) fn is_plain_name(text: &str) -> bool {
    super::tags::is_tag_list(text)
        && !text.starts_with('.')
        && !text.contains(['/', '\\', ':'])
        && !text.contains(char::is_control)
}

fn host_keys(log: &mut Log<'_>, section: &mut Section<'_>, protocol: Option<Protocol>) -> Vec<String> {
    let mut keys = Vec::new();
    let written = [section.take("host_key"), section.take("host_keys")];
    for value in written.iter().flatten() {
        if protocol.is_some_and(|protocol| protocol != Protocol::Ssh) {
            log.error(value.at, format!("{} pins a host key, which ssh alone has", section.title));
        }
        for (at, line) in value.texts(log, &section.name_of("host_key"), Alone::Text).unwrap_or_default() {
            match host_key::check(line) {
                Ok(key) => keys.push(key),
                Err(error) => log.error(at, format!("{}: {error}", section.name_of("host_key"))),
            }
        }
    }
    if protocol == Some(Protocol::Ssh) && written.iter().flatten().next().is_none() {
        log.warn(section.at, format!("{} pins no host key, so nobody will be connected to it", section.title));
    }
    keys
}

fn accounts(log: &mut Log<'_>, section: &mut Section<'_>) -> Option<BTreeMap<AccountName, Account>> {
    let Some(value) = section.take("accounts") else { return Some(BTreeMap::new()) };
    let mut accounts = BTreeMap::new();
    let mut complete = true;
    for (key, value) in value.table(log, &section.name_of("accounts"))? {
        match account(log, key, value, &section.title) {
            Some(account) => drop(accounts.insert(account.name.clone(), account)),
            None => complete = false,
        }
    }
    complete.then_some(accounts)
}

fn account(log: &mut Log<'_>, key: Key<'_>, value: Value<'_>, owner: &str) -> Option<Account> {
    let name = super::name::<AccountName>(log, key, "an account")?;
    if name.is_none() {
        log.error(key.at, "an account cannot be called `-`, which stands for no account");
        return None;
    }
    let mut section = value.section(log, key.at, format!("account `{name}` of {owner}"))?;
    section.must_have(log, "auth");
    let written = section.take_word(log, "auth", &AccountAuth::ALL, AccountAuth::as_str);
    section.finish(log);
    Some(Account { name, auth: written? })
}
