//! Plant files to policy.
//!
//! All names are collected first, so that a rule may name what is written further down or in another file; then each
//! section is read; then the checks run that need the plant as a whole. Faults are gathered on the way, not stopped at.

mod break_glass;
mod check;
mod csv;
mod filter;
mod host_key;
mod known_tags;

mod limits;
mod log;
mod malformed;
mod modbus;
mod opening;
mod plant;
mod rules;
mod selectors;
mod tags;
mod terms;
mod time_zone;
mod value;
mod when;

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use toml::Spanned;
use toml::de::DeTable;

use crate::asset::Zone;
use crate::error::{PlantErrors, PlantFile};
use crate::names::{AssetId, NameError, RoleId, ServiceName, ZoneId};
use crate::network::Network;
use crate::policy::Policy;
use crate::role::Role;
use crate::tags::TagList;
pub(crate) use log::{At, Log, nearest};
pub(crate) use value::{Alone, Key, Section, Value, instant, word};

/// A plant of ten thousand assets is a third of this.
const LONGEST_FILE: usize = 16 << 20;

impl Policy {
    /// Reads the plant files; their order does not matter. All that is wrong is reported at once.
    ///
    /// # Errors
    ///
    /// Every fault found: a policy with a fault is no policy.
    pub fn parse(files: &[PlantFile]) -> Result<Self, PlantErrors> {
        // Sorted, so that a grant has the same number in whatever order the files are handed in.
        let mut sorted: Vec<&PlantFile> = files.iter().collect();
        sorted.sort_by(|one, other| (&one.name, &one.text).cmp(&(&other.name, &other.text)));
        let mut log = Log::new(sorted.clone());
        let documents = documents(&mut log, &sorted);
        // A file that is not TOML may hold any of the names that the others use: what they say would be guesswork.
        if log.has_errors() {
            return Err(into_errors(log));
        }
        let lists = tag_lists(&mut log, &sorted);
        let policy = Sections::collect(&mut log, &documents).read(&mut log, lists);
        if log.has_errors() {
            return Err(into_errors(log));
        }
        let (_, warnings) = log.finish();
        Ok(Policy { warnings, ..policy })
    }
}

fn into_errors(log: Log<'_>) -> PlantErrors {
    PlantErrors::of(log.finish().0)
}

/// Each file as TOML, as far as it is, with its number; tag lists are none.
fn documents<'f>(log: &mut Log<'_>, files: &[&'f PlantFile]) -> Vec<(usize, Spanned<DeTable<'f>>)> {
    let mut documents = Vec::new();
    for (number, file) in files.iter().enumerate() {
        let start = At { file: number, offset: 0 };
        if number > 0 && files[number - 1].name == file.name {
            log.error(start, "two files have this name, so messages and rules could not say which is meant");
        }
        if file.text.len() > LONGEST_FILE {
            log.error(start, format!("a plant file has at most {} MiB", LONGEST_FILE >> 20));
            continue;
        }
        if tags::is_tag_list(&file.name) {
            continue;
        }
        let (document, errors) = DeTable::parse_recoverable(&file.text);
        malformed::note(log, number, &file.text, errors);
        documents.push((number, document));
    }
    documents
}

/// The tag lists among the files, by name.
fn tag_lists(log: &mut Log<'_>, files: &[&PlantFile]) -> BTreeMap<String, TagList> {
    let lists = files.iter().enumerate().filter(|(_, file)| tags::is_tag_list(&file.name));
    lists.map(|(number, file)| (file.name.clone(), tags::tag_list(log, number, &file.name, &file.text))).collect()
}

impl PlantFile {
    /// The tag lists that this file's services name: names of files, never paths. Whoever reads plant files from disk looks for
    /// them beside it. What is wrong with the file is for [`Policy::parse`] to say.
    pub fn tag_lists(&self) -> BTreeSet<String> {
        if tags::is_tag_list(&self.name) || self.text.len() > LONGEST_FILE {
            return BTreeSet::new();
        }
        let (document, _) = DeTable::parse_recoverable(&self.text);
        let assets = Value::document(0, &document).into_iter().filter(|(key, _)| key.text == "asset");
        let services = assets.flat_map(|(_, assets)| assets.peek_all()).filter_map(|asset| asset.peek("services"));
        let lists = services.flat_map(Value::peek_all).filter_map(|service| service.peek("tag_list")?.peek_text());
        lists.filter(|name| plant::is_plain_name(name)).collect()
    }
}

/// The sections of all files, by kind.
#[derive(Default)]
struct Sections<'t> {
    zones: Vec<(Key<'t>, Value<'t>)>,
    conduits: Vec<Value<'t>>,
    assets: Vec<(Key<'t>, Value<'t>)>,
    filters: Vec<(Key<'t>, Value<'t>)>,
    roles: Vec<(Key<'t>, Value<'t>)>,
    forbids: Vec<Value<'t>>,
    break_glass: Vec<(Key<'t>, Value<'t>)>,
}

const SECTIONS: [&str; 7] = ["zone", "conduit", "asset", "filter", "role", "forbid", "break_glass"];

impl<'t> Sections<'t> {
    fn collect(log: &mut Log<'_>, documents: &'t [(usize, Spanned<DeTable<'t>>)]) -> Self {
        let mut sections = Self::default();
        for (file, document) in documents {
            for (key, value) in Value::document(*file, document) {
                let what = format!("`{}`", key.text);
                match key.text {
                    "zone" => sections.zones.extend(value.table(log, &what).unwrap_or_default()),
                    "conduit" => sections.conduits.extend(value.list(log, &what, Alone::Nothing).unwrap_or_default()),
                    "asset" => sections.assets.extend(value.table(log, &what).unwrap_or_default()),
                    "filter" => sections.filters.extend(value.table(log, &what).unwrap_or_default()),
                    "role" => sections.roles.extend(value.table(log, &what).unwrap_or_default()),
                    "forbid" => sections.forbids.extend(value.list(log, &what, Alone::Nothing).unwrap_or_default()),
                    "break_glass" => sections.break_glass.extend(value.table(log, &what).unwrap_or_default()),
                    _ => log.unknown(key.at, format!("unknown section `{}`", key.text), key.text, SECTIONS),
                }
            }
        }
        sections
    }

    fn read(self, log: &mut Log<'_>, tag_lists: BTreeMap<String, TagList>) -> Policy {
        let mut policy = Policy { tag_lists, ..Policy::empty() };
        let mut places: BTreeMap<AssetId, At> = BTreeMap::new();
        let mut names = Names::collect(log, &self, policy.tag_lists.keys());
        let mut unread = BTreeSet::new();
        for (key, value) in unique(log, &self.zones, "zone") {
            let read = name::<ZoneId>(log, key, "a zone").and_then(|id| plant::zone(log, key, value, id));
            let Some(plant::ReadZone { zone, networks_read }) = read else { continue };
            if !networks_read {
                unread.insert(zone.id.clone());
            }
            policy.zones.insert(zone.id.clone(), zone);
        }
        names.broker_zones = check::broker_zones(&policy.zones);
        check::zones(log, &policy.zones, &self.zones);
        let zones = plant::Zones { zones: &policy.zones, unread: &unread, names: &names };
        for (key, value) in unique(log, &self.assets, "asset") {
            let asset = name::<AssetId>(log, key, "an asset").and_then(|id| plant::asset(log, key, value, id, &zones));
            places.extend(asset.iter().map(|asset| (asset.id.clone(), key.at)));
            policy.assets.extend(asset.map(|asset| (asset.id.clone(), asset)));
        }
        check::assets(log, &policy.assets, &places);
        check::tag_lists(log, &policy);
        names.learn(&policy);
        policy.conduits = self.conduits.iter().filter_map(|value| plant::conduit(log, *value, &names)).collect();
        let known = known_tags::KnownTags::of(&policy, !log.has_errors());
        let mut filters = BTreeMap::new();
        for (key, value) in unique(log, &self.filters, "filter") {
            let filter = filter::filter(log, key, value, &known);
            filters.extend(filter.map(|filter| (filter.name.clone(), filter)));
        }
        policy.filters = filters;
        let whole = !log.has_errors();
        self.read_rules(log, &names, &mut policy, whole);
        policy
    }

    /// `whole`: the plant is without fault so far, so that what a rule does not find in it is the rule's fault.
    fn read_rules(&self, log: &mut Log<'_>, names: &Names, policy: &mut Policy, whole: bool) {
        for (key, value) in &self.roles {
            let Some(id) = name::<RoleId>(log, *key, "a role") else { continue };
            let mut role = policy.roles.remove(&id).unwrap_or_else(|| Role {
                id: id.clone(),
                members: BTreeSet::new(),
                grants: Vec::new(),
                windows: Vec::new(),
                description: None,
            });
            let share = rules::role(log, *key, *value, &mut role, names);
            if whole {
                for granted in &share.grants {
                    check::given(log, policy, &granted.grant.assets, &granted.given);
                }
                share.windows.iter().for_each(|openable| check::window(log, policy, openable));
            }
            role.grants.extend(share.grants.into_iter().map(|granted| granted.grant));
            role.windows.extend(share.windows.into_iter().map(|openable| openable.rule));
            policy.roles.insert(id, role);
        }
        for value in &self.forbids {
            let Some((forbid, services)) = rules::forbid(log, *value, names) else { continue };
            if whole {
                check::forbid_services(log, names, &services);
            }
            policy.forbids.push(forbid);
        }
        for (key, value) in unique(log, &self.break_glass, "break_glass") {
            let Some((glass, given)) = break_glass::break_glass(log, key, value, names) else { continue };
            if whole {
                check::given(log, policy, &glass.assets, &given);
            }
            policy.break_glass.insert(glass.rule.name.clone(), glass);
        }
    }
}

/// Every name there is, whether or not its section could be read: what is badly written is still not unknown.
pub(crate) struct Names {
    pub(crate) zones: BTreeSet<ZoneId>,
    pub(crate) broker_zones: BTreeSet<ZoneId>,
    pub(crate) assets: BTreeMap<AssetId, At>,
    pub(crate) roles: BTreeSet<RoleId>,
    pub(crate) filters: BTreeSet<String>,
    pub(crate) tags: BTreeSet<String>,
    pub(crate) services: BTreeSet<ServiceName>,
    pub(crate) tag_lists: BTreeSet<String>,
}

impl Names {
    fn collect<'a>(log: &mut Log<'_>, sections: &Sections<'_>, tag_lists: impl Iterator<Item = &'a String>) -> Self {
        let keys =
            |entries: &[(Key<'_>, Value<'_>)]| entries.iter().map(|(key, _)| key.text.to_owned()).collect::<Vec<_>>();
        let mut assets: BTreeMap<AssetId, At> = BTreeMap::new();
        for (key, _) in &sections.assets {
            if let Ok(id) = key.text.parse::<AssetId>() {
                let twin =
                    assets.keys().find(|other| other.as_str().eq_ignore_ascii_case(id.as_str()) && **other != id);
                if let Some(other) = twin {
                    let message =
                        format!("asset `{id}` differs from asset `{other}` in case only, and clients ignore case");
                    log.error(key.at, message);
                }
                assets.insert(id, key.at);
            }
        }
        Self {
            zones: keys(&sections.zones).iter().filter_map(|text| text.parse().ok()).collect(),
            broker_zones: BTreeSet::new(),
            assets,
            roles: keys(&sections.roles).iter().filter_map(|text| text.parse().ok()).collect(),
            filters: keys(&sections.filters).into_iter().collect(),
            tags: sections.assets.iter().flat_map(|(_, value)| tags_of(*value)).collect(),
            services: BTreeSet::new(),
            tag_lists: tag_lists.cloned().collect(),
        }
    }

    fn learn(&mut self, policy: &Policy) {
        self.services.extend(policy.assets().flat_map(|asset| asset.services.keys().cloned()));
    }

    /// A zone that has to exist.
    pub(crate) fn zone(&self, log: &mut Log<'_>, at: At, text: &str, owner: &str) -> Option<ZoneId> {
        let zone = text.parse::<ZoneId>().ok().filter(|zone| self.zones.contains(zone));
        if zone.is_none() {
            let known = self.zones.iter().map(ZoneId::as_str);
            log.unknown(at, format!("unknown zone `{}` in {owner}", text.escape_debug()), text, known);
        }
        zone
    }
}

/// The tags of an asset's section, without a word on what is wrong with it.
fn tags_of(asset: Value<'_>) -> Vec<String> {
    asset.peek("tags").map(Value::peek_texts).unwrap_or_default()
}

/// Those with a name of their own; a second section of the same name, in another file, is a fault.
fn unique<'t>(log: &mut Log<'_>, entries: &[(Key<'t>, Value<'t>)], what: &str) -> Vec<(Key<'t>, Value<'t>)> {
    let mut first: BTreeMap<&str, At> = BTreeMap::new();
    let mut kept = Vec::new();
    for (key, value) in entries {
        match first.get(key.text) {
            Some(place) => {
                let (file, line) = log.line(*place);
                log.error(key.at, format!("{what} `{}` is written in {file}:{line} already", key.text));
            }
            None => {
                first.insert(key.text, key.at);
                kept.push((*key, *value));
            }
        }
    }
    kept
}

/// A key that is a name.
fn name<N: FromStr<Err = NameError>>(log: &mut Log<'_>, key: Key<'_>, what: &str) -> Option<N> {
    match key.text.parse() {
        Ok(name) => Some(name),
        Err(error) => {
            log.error(key.at, format!("`{}` cannot be the name of {what}: {error}", key.text.escape_debug()));
            None
        }
    }
}

impl Zone {
    /// Two of their networks that have an address in common.
    fn overlap<'z>(&'z self, other: &'z Self) -> Option<(&'z Network, &'z Network)> {
        self.networks.iter().find_map(|one| Some((one, other.networks.iter().find(|two| one.overlaps(two))?)))
    }
}
