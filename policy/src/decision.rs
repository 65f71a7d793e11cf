//! The answers to a request, each with its reason.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::fmt;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::break_glass::EmergencyRef;
use crate::duration;
use crate::factors::FactorKind;
use crate::names::{AccountName, AssetId, RequestId, ServiceName, ZoneId};
use crate::role::{ApprovalRule, ForbidRef, RuleRef};
use crate::terms::Terms;
use crate::window::When;

/// The answer to a request.
#[must_use]
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "decision")]
pub enum Decision {
    /// No.
    Deny(Denial),
    /// Yes, once others have agreed.
    NeedApproval(ApprovalRule),
    /// Perhaps, once more has been proven.
    NeedFactors(NeedFactors),
    /// Yes, on these terms.
    Permit(Permit),
}

impl fmt::Display for Decision {
    /// With the full reason, for the log and for `explain`; never shown to the person as it is.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Deny(denial) => write!(f, "deny: {denial}"),
            Self::NeedApproval(approval) => write!(f, "need approval: {approval}, for {}", approval.rule),
            Self::NeedFactors(need) => write!(f, "need factors: {need}"),
            Self::Permit(permit) => match &permit.approved {
                Some(request) => write!(f, "permit: {}, by approval of request {request}", permit.rule),
                None => write!(f, "permit: {}", permit.rule),
            },
        }
    }
}

/// What permits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(untagged)]
pub enum PermitRule {
    /// A grant.
    Grant(RuleRef),
    /// A break-glass section, opened by an envelope.
    Emergency(EmergencyRef),
    /// A grant, some conditions of which a break-glass section lifts.
    Lifted {
        /// The grant.
        grant: RuleRef,
        /// The section.
        emergency: EmergencyRef,
    },
}

impl PermitRule {
    /// The grant that gives by itself: what counts for its number of sessions.
    pub fn grant(&self) -> Option<&RuleRef> {
        match self {
            Self::Grant(rule) => Some(rule),
            Self::Emergency(_) | Self::Lifted { .. } => None,
        }
    }

    /// The break-glass section that gives it, alone or by what it lifts.
    pub fn emergency(&self) -> Option<&EmergencyRef> {
        match self {
            Self::Grant(_) => None,
            Self::Emergency(emergency) | Self::Lifted { emergency, .. } => Some(emergency),
        }
    }
}

impl fmt::Display for PermitRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Grant(rule) => rule.fmt(f),
            Self::Emergency(rule) => rule.fmt(f),
            Self::Lifted { grant, emergency } => write!(f, "{emergency}, for {grant}"),
        }
    }
}

/// A yes, with what gave it and the terms it holds under.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Permit {
    /// What gave it.
    pub rule: PermitRule,
    /// Its terms, with the end of the time that is open now.
    pub terms: Terms,
    /// The request that others have approved, where it takes that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approved: Option<RequestId>,
}

impl Permit {
    /// The greater gives the person more; between equals, the grant that is named first in the alphabet of roles.
    pub(crate) fn generosity(&self, other: &Self) -> Ordering {
        self.terms.generosity(&other.terms).then_with(|| other.rule.cmp(&self.rule))
    }
}

/// What has to be proven first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NeedFactors {
    /// One of these has to be proven. A recovery code will do where TOTP is among them.
    pub any_of: BTreeSet<FactorKind>,
    /// How old the proof of a second factor may be.
    pub max_age: Option<SignedDuration>,
    /// The grant that asks.
    pub rule: RuleRef,
    /// Will the grant ask for approval after that?
    pub then_approval: bool,
}

impl NeedFactors {
    /// Would a proof of this kind, made now, be one that is asked for?
    pub fn accepts(&self, kind: FactorKind) -> bool {
        self.any_of.contains(&kind.counts_as())
    }

    /// The lesser asks less of the person.
    pub(crate) fn burden(&self, other: &Self) -> Ordering {
        (self.then_approval.cmp(&other.then_approval))
            .then_with(|| other.any_of.len().cmp(&self.any_of.len()))
            .then_with(|| self.any_of.cmp(&other.any_of))
            .then_with(|| other.max_age.cmp(&self.max_age))
            .then_with(|| self.rule.cmp(&other.rule))
    }
}

impl fmt::Display for NeedFactors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", any_of(&self.any_of))?;
        if let Some(age) = self.max_age {
            write!(f, ", proven within {}", duration::display(age))?;
        }
        write!(f, ", for {}", self.rule)
    }
}

/// A no. Its text is the full reason for the log and the audit: the person is told one neutral sentence instead.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Denial {
    /// Why.
    pub reason: DenialReason,
}

impl Denial {
    /// A short stable word for the reason.
    pub fn code(&self) -> &'static str {
        match &self.reason {
            DenialReason::UnknownAsset(_) => "unknown-asset",
            DenialReason::UnknownService { .. } => "unknown-service",
            DenialReason::UnknownAccount { .. } => "unknown-account",
            DenialReason::NoConduit { .. } => "no-conduit",
            DenialReason::Forbidden { .. } => "forbidden",
            DenialReason::NoGrant => "no-grant",
            // The grant that came closest names the reason: fewest conditions, then the one soonest mended.
            DenialReason::Unmet(grants) => grants
                .iter()
                .filter_map(|(_, unmet)| Some((unmet.len(), unmet.first()?.code())))
                .min_by_key(|(count, code)| (*count, DenialReason::CODES.iter().rev().position(|c| c == code)))
                .map_or("no-grant", |(_, code)| code),
        }
    }
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.reason.fmt(f)
    }
}

/// Why the answer is no.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum DenialReason {
    /// The plant has no such asset.
    UnknownAsset(AssetId),
    /// The asset has no such service.
    UnknownService {
        /// The asset.
        asset: AssetId,
        /// What was asked for.
        service: ServiceName,
    },
    /// The asset has no such account, or the service's protocol has no logins.
    UnknownAccount {
        /// The asset.
        asset: AssetId,
        /// What was asked for.
        account: AccountName,
    },
    /// No conduit lets the service pass into the asset's zone.
    NoConduit {
        /// The zone.
        zone: ZoneId,
        /// The service.
        service: ServiceName,
    },
    /// A forbid speaks of it.
    Forbidden {
        /// The forbid.
        rule: ForbidRef,
        /// The administrator's reason, if written.
        reason: Option<String>,
    },
    /// No grant of theirs speaks of it.
    NoGrant,
    /// Their grants speak of it, but each has conditions that do not hold.
    Unmet(Vec<(RuleRef, Vec<Unmet>)>),
}

impl DenialReason {
    /// Every word that [`Denial::code`] can give; the farther down, the closer to a yes.
    pub const CODES: [&'static str; 10] = [
        "unknown-asset",
        "unknown-service",
        "unknown-account",
        "no-conduit",
        "forbidden",
        "no-grant",
        "not-yet-valid",
        "no-longer-valid",
        "outside-window",
        "concurrent",
    ];
}

impl fmt::Display for DenialReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownAsset(asset) => write!(f, "the plant has no asset `{asset}`"),
            Self::UnknownService { asset, service } => write!(f, "asset `{asset}` has no service `{service}`"),
            Self::UnknownAccount { asset, account } => write!(f, "asset `{asset}` has no account `{account}` there"),
            Self::NoConduit { zone, service } => write!(f, "no conduit lets `{service}` pass into zone `{zone}`"),
            Self::Forbidden { rule, reason: Some(reason) } => write!(f, "{rule}: {reason}"),
            Self::Forbidden { rule, reason: None } => write!(f, "{rule}"),
            Self::NoGrant => f.write_str("no grant of theirs names it"),
            Self::Unmet(grants) => {
                for (number, (rule, unmet)) in grants.iter().enumerate() {
                    let separator = if number == 0 { "" } else { "; " };
                    write!(f, "{separator}{rule}: {}", listed(unmet))?;
                }
                Ok(())
            }
        }
    }
}

/// A condition of a grant that does not hold.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unmet {
    /// The person does not hold the role.
    NotMember,
    /// The grant does not name the asset.
    OtherAsset,
    /// The grant does not name the service.
    OtherService,
    /// The grant does not name the account.
    OtherAccount,
    /// It holds from this moment on.
    NotYetValid(Timestamp),
    /// It held until this moment.
    NoLongerValid(Timestamp),
    /// None of its windows is open.
    OutsideWindow(When),
    /// The person has as many sessions by this grant as it allows.
    Concurrent {
        /// How many it allows.
        limit: u32,
        /// How many there are.
        live: usize,
    },
    /// One of these has to be proven.
    Factors {
        /// Which.
        any_of: BTreeSet<FactorKind>,
        /// How old a second factor may be.
        max_age: SignedDuration,
    },
    /// Others have to agree.
    Approval {
        /// The role whose holders may.
        by: crate::names::RoleId,
        /// How many of them.
        count: u32,
    },
}

impl Unmet {
    /// A short stable word.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotMember => "not-member",
            Self::OtherAsset => "other-asset",
            Self::OtherService => "other-service",
            Self::OtherAccount => "other-account",
            Self::NotYetValid(_) => "not-yet-valid",
            Self::NoLongerValid(_) => "no-longer-valid",
            Self::OutsideWindow(_) => "outside-window",
            Self::Concurrent { .. } => "concurrent",
            Self::Factors { .. } => "factors",
            Self::Approval { .. } => "approval",
        }
    }
}

impl fmt::Display for Unmet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotMember => f.write_str("not a member of the role"),
            Self::OtherAsset => f.write_str("does not name the asset"),
            Self::OtherService => f.write_str("does not name the service"),
            Self::OtherAccount => f.write_str("does not name the account"),
            Self::NotYetValid(from) => write!(f, "not valid before {from}"),
            Self::NoLongerValid(until) => write!(f, "valid until {until} only"),
            Self::OutsideWindow(when) => write!(f, "outside its window ({when})"),
            Self::Concurrent { limit, live } => write!(f, "{live} sessions are live, {limit} allowed"),
            Self::Factors { any_of: kinds, max_age } => {
                write!(f, "needs {}, proven within {}", any_of(kinds), duration::display(*max_age))
            }
            Self::Approval { by, count } => write!(f, "needs approval by {count} of role {by}"),
        }
    }
}

pub(crate) fn listed(unmet: &[Unmet]) -> String {
    unmet.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn any_of(kinds: &BTreeSet<FactorKind>) -> String {
    kinds.iter().map(|kind| kind.as_str()).collect::<Vec<_>>().join(" or ")
}
