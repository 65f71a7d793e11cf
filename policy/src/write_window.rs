//! Write windows: one person may write certain points of an asset for a time, beyond what their filter lets them.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::asset::Protocol;
use crate::duration;
use crate::modbus::{OperationKind, UnitRange};
use crate::names::{AssetId, IdentityId, ServiceName, WindowId};
use crate::place::Place;
use crate::points::{PointError, PointRange, Table};
use crate::policy::Policy;
use crate::resolve::{ResolvedPoints, ResolvedRule, Validity};
use crate::role::Role;
use crate::subject::Subject;
use crate::tags::Tag;
use crate::window::Stretch;
use crate::window_rule::{Beneficiary, WindowRule, WindowRuleRef};

/// A write window, open or asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WriteWindow {
    /// Its name.
    pub id: WindowId,
    /// Who may write.
    pub identity: IdentityId,
    /// On which asset.
    pub asset: AssetId,
    /// By which of its services.
    pub service: ServiceName,
    /// What.
    pub points: WindowPoints,
    /// On which unit; none: on every unit but 0.
    pub unit: Option<u8>,
    /// The first moment.
    pub from: Timestamp,
    /// The first moment after it.
    pub until: Timestamp,
    /// Who opened it.
    pub opened_by: IdentityId,
    /// The work permit or ticket it is for.
    pub ticket: Option<String>,
}

/// The points of a write window: addresses, and tags by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WindowPoints {
    /// Addresses.
    pub ranges: BTreeSet<PointRange>,
    /// Tags of the asset's tag list.
    pub tags: BTreeSet<String>,
}

/// Why a text names no points that could be opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WindowPointsError {
    /// Nothing there.
    #[error("no points: write them as `40101-40110`, `register 100-109`, `coil 7` or `tag NAME`, parted by commas")]
    Empty,
    /// Not a word for points.
    #[error("`{0}` is neither a reference such as `40101-40110`, nor `register 100-109`, `coil 7` or `tag NAME`")]
    Unknown(String),
    /// Addresses or references that are none.
    #[error(transparent)]
    Point(#[from] PointError),
    /// A table that can only be read.
    #[error("`{0}` can only be read: a write window opens coils and registers")]
    ReadOnly(PointRange),
}

impl FromStr for WindowPoints {
    type Err = WindowPointsError;

    /// Reads `40101-40110, register 300, coil 7, tag NAME`; what [`fmt::Display`] writes, too.
    fn from_str(text: &str) -> Result<Self, WindowPointsError> {
        let mut points = Self::default();
        for item in text.split(',').map(str::trim) {
            let (word, rest) = item.split_once(' ').map_or((item, ""), |(word, rest)| (word, rest.trim()));
            let range = match word {
                "" => return Err(WindowPointsError::Empty),
                "tag" if !rest.is_empty() => {
                    points.tags.insert(rest.to_owned());
                    continue;
                }
                _ if rest.is_empty() && word.starts_with(|first: char| first.is_ascii_digit()) => {
                    PointRange::parse_reference(word)?
                }
                _ => match Table::ALL.into_iter().find(|table| table.as_str() == word) {
                    Some(table) if !rest.is_empty() => PointRange::parse(table, rest)?,
                    Some(_) | None => return Err(WindowPointsError::Unknown(item.to_owned())),
                },
            };
            if !range.table().is_writable() {
                return Err(WindowPointsError::ReadOnly(range));
            }
            points.ranges.insert(range);
        }
        Ok(points)
    }
}

impl fmt::Display for WindowPoints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ranges = self.ranges.iter().map(PointRange::to_string);
        let tags = self.tags.iter().map(|tag| format!("tag {tag}"));
        f.write_str(&ranges.chain(tags).collect::<Vec<_>>().join(", "))
    }
}

impl Serialize for WindowPoints {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for WindowPoints {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// The answer to who wants to open a window.
#[must_use]
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "opening", content = "why")]
pub enum Opening {
    /// Yes, by this rule.
    Permit(WindowRuleRef),
    /// No.
    Deny(OpeningDenial),
}

/// Why a window may not be opened. For the log and the person who would open it.
#[derive(Debug, Clone, PartialEq, Serialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub enum OpeningDenial {
    /// The window names another opener or another person than those who are asked about.
    #[error("the window names other people than those who were looked up")]
    OtherPeople,
    /// No such service, or one whose points are not decoded.
    #[error("`{service}` of asset `{asset}` is no modbus service of the plant")]
    NoService {
        /// The asset.
        asset: AssetId,
        /// The service.
        service: ServiceName,
    },
    /// Nothing to open.
    #[error("the window names no points")]
    NoPoints,
    /// The asset has no such tag, or it cannot be written.
    #[error("asset `{asset}` has no tag `{tag}` that can be written")]
    NoTag {
        /// The asset.
        asset: AssetId,
        /// The tag.
        tag: String,
    },
    /// It ends before it begins, or has ended.
    #[error("the window is over before it begins, or is over by now")]
    Over,
    /// Four eyes: nobody opens a window for themselves.
    #[error("nobody opens a window for themselves")]
    OwnWindow,
    /// A forbid speaks of one of the two, or no conduit lets the service pass.
    #[error("{identity} is kept from `{service}` of asset `{asset}` by a forbid or for want of a conduit")]
    Barred {
        /// Of whom.
        identity: IdentityId,
        /// The asset.
        asset: AssetId,
        /// The service.
        service: ServiceName,
    },
    /// The person has no grant whose filter it could widen.
    #[error("no grant gives {identity} `{service}` of asset `{asset}`, so there is nothing to widen")]
    NoGrant {
        /// The person.
        identity: IdentityId,
        /// The asset.
        asset: AssetId,
        /// The service.
        service: ServiceName,
    },
    /// No role of theirs lets them open it.
    #[error("no role lets {0} open such a window")]
    NoRule(IdentityId),
    /// A role does, but not for so long.
    #[error("{rule} lets windows be opened for {} at most", duration::display(*max))]
    TooLong {
        /// The rule that lets the longest be opened.
        rule: WindowRuleRef,
        /// How long.
        max: SignedDuration,
    },
}

/// May this window be opened, or held open? Nobody may unless a role says so, and never for themselves.
///
/// `opener` and `person` are the people whom the window names, with their groups. Ask again when the policy changes: an open
/// window that may no longer be opened is to be closed.
pub fn may_open(policy: &Policy, opener: &Subject, person: &Subject, window: &WriteWindow, now: Timestamp) -> Opening {
    match rule(policy, opener, person, window, now) {
        Ok(rule) => Opening::Permit(rule.rule.clone()),
        Err(denial) => Opening::Deny(denial),
    }
}

fn rule<'p>(
    policy: &'p Policy,
    opener: &Subject,
    person: &Subject,
    window: &WriteWindow,
    now: Timestamp,
) -> Result<&'p WindowRule, OpeningDenial> {
    if opener.identity != window.opened_by || person.identity != window.identity {
        return Err(OpeningDenial::OtherPeople);
    }
    if opener.identity == person.identity {
        return Err(OpeningDenial::OwnWindow);
    }
    let place @ Place { asset, service } = target(policy, window)?;
    if window.until <= window.from || window.until <= now {
        return Err(OpeningDenial::Over);
    }
    let named = || (window.asset.clone(), window.service.clone());
    for subject in [opener, person] {
        if policy.bars(subject, place) {
            let ((asset, service), identity) = (named(), subject.identity.clone());
            return Err(OpeningDenial::Barred { identity, asset, service });
        }
    }
    if policy.accounts(person, &asset.id, &service.name).is_empty() {
        let ((asset, service), identity) = (named(), person.identity.clone());
        return Err(OpeningDenial::NoGrant { identity, asset, service });
    }
    let mut rules: Vec<&WindowRule> = (policy.roles.values().filter(|role| role.has_member(opener)))
        .flat_map(|role: &Role| &role.windows)
        .filter(|rule| rule.speaks_of(policy, place, person))
        .collect();
    // The longest first; between equals, the one that is named first in the alphabet of roles.
    rules.sort_by(|one, other| other.max.cmp(&one.max).then_with(|| one.rule.cmp(&other.rule)));
    let rule = rules.first().ok_or_else(|| OpeningDenial::NoRule(opener.identity.clone()))?;
    if window.until.duration_since(window.from) > rule.max {
        return Err(OpeningDenial::TooLong { rule: rule.rule.clone(), max: rule.max });
    }
    Ok(rule)
}

/// The service of a window, which has every point that the window names.
fn target<'p>(policy: &'p Policy, window: &WriteWindow) -> Result<Place<'p>, OpeningDenial> {
    let found = policy.place(&window.asset, &window.service);
    let Some(place) = found.filter(|place| place.service.protocol == Protocol::Modbus) else {
        let (asset, service) = (window.asset.clone(), window.service.clone());
        return Err(OpeningDenial::NoService { asset, service });
    };
    if window.points.ranges.is_empty() && window.points.tags.is_empty() {
        return Err(OpeningDenial::NoPoints);
    }
    let list = policy.tags_of(place.service);
    let unknown = |tag: &&String| !list.and_then(|list| list.tag(tag)).is_some_and(|tag| tag.table.is_writable());
    match window.points.tags.iter().find(unknown) {
        Some(tag) => Err(OpeningDenial::NoTag { asset: place.asset.id.clone(), tag: tag.clone() }),
        None => Ok(place),
    }
}

impl Beneficiary {
    fn is(&self, policy: &Policy, person: &Subject) -> bool {
        match self {
            Self::Role(role) => policy.role(role).is_some_and(|role| role.has_member(person)),
            Self::Identity(selector) => selector.matches(person),
        }
    }
}

impl WindowRule {
    fn speaks_of(&self, policy: &Policy, place: Place<'_>, person: &Subject) -> bool {
        let Place { asset, service } = place;
        self.assets.iter().any(|selector| selector.matches(asset))
            && self.services.iter().any(|glob| glob.matches(service.name.as_str()))
            && self.people.iter().any(|beneficiary| beneficiary.is(policy, person))
    }
}

impl Policy {
    /// The rules that a window adds to its person's filter on its service: writing, there, for that time. None of tags that
    /// the asset does not have.
    pub fn window_rules(&self, window: &WriteWindow) -> Vec<ResolvedRule> {
        let Ok(Place { service, .. }) = target(self, window) else { return Vec::new() };
        let list = self.tags_of(service);
        let tags: Vec<Tag> = window.points.tags.iter().filter_map(|name| list?.tag(name).cloned()).collect();
        let ranges = window.points.ranges.clone();
        let rule = |points| ResolvedRule {
            name: format!("window {}", window.id),
            operations: [OperationKind::Write].into(),
            functions: BTreeSet::new(),
            units: window.unit.map(|unit| UnitRange::new(unit, unit).into_iter().collect()),
            points,
            values: None,
            per_minute: None,
            validity: Validity::Once(Stretch { from: window.from, until: window.until }),
        };
        let ranges = (!ranges.is_empty()).then(|| rule(ResolvedPoints::Ranges(ranges)));
        let tags = (!tags.is_empty()).then(|| rule(ResolvedPoints::Tags(tags)));
        ranges.into_iter().chain(tags).collect()
    }

    /// Is this person kept from a service that knows no logins, whatever is granted?
    fn bars(&self, subject: &Subject, place: Place<'_>) -> bool {
        let Place { asset, service } = place;
        let account = crate::names::AccountName::none();
        !self.conduit_passes(&asset.zone, &service.name)
            || self.forbids.iter().any(|forbid| forbid.matches(subject, asset, service, &account))
    }
}
