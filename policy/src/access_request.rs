//! Requests for an approval: others agree that one person reaches one asset by one of their grants, for a time.
//!
//! ```text
//! asked for ─► enough have agreed, none of them the person ─► Approval, from the last of them for as long as was asked ─► over
//! ```
//!
//! What counts is asked anew each time: who agreed must hold the role that the grant names now, and be as many as it asks for now.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::approval::Approval;
use crate::asset::Asset;
use crate::duration;
use crate::evaluate::Target;
use crate::names::{AssetId, IdentityId, RequestId, RoleId, ServiceName};
use crate::policy::Policy;
use crate::role::{ApprovalRule, Grant};
use crate::subject::Subject;

/// What somebody asks others to agree to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessRequest {
    /// Its name.
    pub id: RequestId,
    /// Who asks.
    pub identity: IdentityId,
    /// For which asset.
    pub asset: AssetId,
    /// For which of its services.
    pub services: BTreeSet<ServiceName>,
    /// By a grant of which role.
    pub role: RoleId,
    /// The grant's number within the role.
    pub grant: usize,
    /// Why.
    pub reason: String,
    /// The permit to work, or ticket.
    pub permit: Option<String>,
    /// For how long, from the moment at which enough have agreed.
    pub duration: SignedDuration,
    /// When it was asked.
    pub asked_at: Timestamp,
}

/// What may be asked for, and who is to agree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requestable {
    /// Which services of the asset.
    pub services: BTreeSet<ServiceName>,
    /// Whose agreement the grant asks for.
    pub rule: ApprovalRule,
}

/// Why something cannot be asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestDenial {
    /// There is no such thing, or no grant of theirs names it, or a forbid or conduit takes it away.
    #[error("no grant of theirs that asks for an approval names it")]
    NoGrant,
    /// Their grant asks nobody.
    #[error("their grant asks for nobody's approval")]
    NotNeeded,
    /// Not for so long.
    #[error("{rule} lets it be approved for {} at most", duration::display(rule.max))]
    TooLong {
        /// What the grant says of it.
        rule: ApprovalRule,
    },
    /// A time in which nothing can be done.
    #[error("less than {} cannot be asked for", duration::display(SHORTEST))]
    TooShort,
}

/// Why somebody's agreement does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ApprovalDenial {
    /// Nobody agrees to their own request.
    #[error("nobody approves their own request")]
    Own,
    /// The grant is gone or asks nobody, or does not name the asset, or is not theirs any more.
    #[error("the grant that it asks by does not ask for an approval of this any more")]
    Gone,
    /// They do not hold the role.
    #[error("not a holder of the role that approves it")]
    NotTheirs,
}

/// How a request stands that nobody has closed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "state")]
pub enum RequestState {
    /// For more to agree.
    Waiting {
        /// How many have.
        given: u32,
        /// How many must.
        needed: u32,
        /// The first moment at which nobody can any more.
        until: Timestamp,
    },
    /// Enough have agreed.
    Approved {
        /// The first moment at which that is over.
        until: Timestamp,
    },
    /// It was approved, and the time is over; or not enough agreed in time.
    Over,
    /// The grant does not ask for an approval of this any more.
    Gone,
}

/// How long a request waits for those who must agree.
pub const WAITS: SignedDuration = SignedDuration::from_hours(24);

/// Nothing is done in less.
const SHORTEST: SignedDuration = SignedDuration::from_mins(1);

/// The usual longest time that a request is for: a shift with what comes before and after it.
pub(crate) const USUAL_LONGEST: SignedDuration = SignedDuration::from_hours(12);

/// The longest that a grant may allow.
pub(crate) const LONGEST: SignedDuration = SignedDuration::from_hours(7 * 24);

/// May they ask for this? Of several grants the one that asks least of others is asked by, then the more generous.
pub fn may_request(
    policy: &Policy,
    person: &Subject,
    asset: &AssetId,
    service: Option<&ServiceName>,
    lasting: SignedDuration,
    now: Timestamp,
) -> Result<Requestable, RequestDenial> {
    let asset = policy.asset(asset).ok_or(RequestDenial::NoGrant)?;
    let mut found: BTreeMap<_, (&ApprovalRule, &Grant, BTreeSet<ServiceName>)> = BTreeMap::new();
    let mut asks_nobody = false;
    for name in asset.services.keys().filter(|name| service.is_none_or(|wanted| wanted == *name)) {
        for grant in granting(policy, person, asset, name, now) {
            match &grant.approval {
                Some(rule) => {
                    let entry = found.entry(&grant.rule).or_insert_with(|| (rule, grant, BTreeSet::new()));
                    entry.2.insert(name.clone());
                }
                None => asks_nobody = true,
            }
        }
    }
    let easiest = found.into_values().min_by(|(one, one_grant, _), (other, other_grant, _)| {
        let generosity = || other_grant.terms.generosity(&one_grant.terms);
        one.count.cmp(&other.count).then_with(generosity).then_with(|| one.rule.cmp(&other.rule))
    });
    let Some((rule, _, services)) = easiest else {
        return Err(if asks_nobody { RequestDenial::NotNeeded } else { RequestDenial::NoGrant });
    };
    if lasting > rule.max {
        return Err(RequestDenial::TooLong { rule: rule.clone() });
    }
    if lasting < SHORTEST {
        return Err(RequestDenial::TooShort);
    }
    Ok(Requestable { services, rule: rule.clone() })
}

/// The grants that give a person a service, whatever the hour, unless their time is over.
fn granting<'p>(
    policy: &'p Policy,
    person: &'p Subject,
    asset: &'p Asset,
    service: &ServiceName,
    now: Timestamp,
) -> Vec<&'p Grant> {
    let Some(service) = asset.services.get(service) else { return Vec::new() };
    let accounts = policy.accounts(person, &asset.id, &service.name);
    let names = |grant: &&Grant| accounts.iter().any(|account| Target { asset, service, account }.is_named_by(grant));
    let lasts = |grant: &&Grant| grant.valid_until.is_none_or(|until| now < until);
    policy.grants_of(person).filter(lasts).filter(names).collect()
}

/// May this person agree to a request of that one, or refuse it? Nobody may for themselves.
pub fn may_approve(
    policy: &Policy,
    request: &AccessRequest,
    person: &Subject,
    approver: &Subject,
) -> Result<ApprovalRule, ApprovalDenial> {
    if approver.identity == request.identity || approver.identity == person.identity {
        return Err(ApprovalDenial::Own);
    }
    let holds = policy.role(&request.role).is_some_and(|role| role.has_member(person));
    let rule = policy.approval_of(request).filter(|_| holds && person.identity == request.identity);
    let rule = rule.ok_or(ApprovalDenial::Gone)?;
    match policy.role(&rule.by).is_some_and(|role| role.has_member(approver)) {
        true => Ok(rule.clone()),
        false => Err(ApprovalDenial::NotTheirs),
    }
}

/// How a request stands, by those who agreed and may be here, with when each of them did.
pub fn request_state(
    policy: &Policy,
    request: &AccessRequest,
    agreed: &[(Subject, Timestamp)],
    now: Timestamp,
) -> RequestState {
    let Some(rule) = policy.approval_of(request) else { return RequestState::Gone };
    if let Some(Approval { until, .. }) = approved(policy, request, agreed) {
        return if now < until { RequestState::Approved { until } } else { RequestState::Over };
    }
    let until = request.waits_until();
    if until <= now {
        return RequestState::Over;
    }
    let given = u32::try_from(counting(policy, request, rule, agreed).len()).unwrap_or(u32::MAX);
    RequestState::Waiting { given, needed: rule.count, until }
}

/// What a request gives, once enough have agreed: from the last of those that it takes.
pub fn approved(policy: &Policy, request: &AccessRequest, agreed: &[(Subject, Timestamp)]) -> Option<Approval> {
    let rule = policy.approval_of(request)?;
    let last = usize::try_from(rule.count).ok()?.checked_sub(1)?;
    let from = *counting(policy, request, rule, agreed).get(last)?;
    Some(Approval {
        request: request.id.clone(),
        identity: request.identity.clone(),
        asset: request.asset.clone(),
        services: request.services.clone(),
        role: request.role.clone(),
        grant: request.grant,
        from,
        until: from.checked_add(request.duration.min(rule.max)).ok()?,
    })
}

/// When those agreed whose agreement counts, the first of them first. Of one person it counts once.
fn counting(
    policy: &Policy,
    request: &AccessRequest,
    rule: &ApprovalRule,
    agreed: &[(Subject, Timestamp)],
) -> Vec<Timestamp> {
    let Some(role) = policy.role(&rule.by) else { return Vec::new() };
    let mut times: BTreeMap<&IdentityId, Timestamp> = BTreeMap::new();
    let in_time = |at: Timestamp| request.asked_at <= at && at < request.waits_until();
    for (approver, at) in agreed.iter().filter(|(_, at)| in_time(*at)) {
        if approver.identity != request.identity && role.has_member(approver) {
            let first = times.entry(&approver.identity).or_insert(*at);
            *first = (*first).min(*at);
        }
    }
    let mut times: Vec<Timestamp> = times.into_values().collect();
    times.sort();
    times
}

impl AccessRequest {
    /// The first moment at which nobody can agree any more.
    pub fn waits_until(&self) -> Timestamp {
        self.asked_at.checked_add(WAITS).unwrap_or(Timestamp::MAX)
    }

    /// It gives nothing any more from here on, whoever agrees, and whenever.
    pub fn ends_at(&self) -> Timestamp {
        self.waits_until().checked_add(self.duration).unwrap_or(Timestamp::MAX)
    }
}

impl Policy {
    /// Whether some grant of theirs asks for an approval; one that names this asset, where one is named.
    pub fn asks_for_approval(&self, person: &Subject, asset: Option<&AssetId>) -> bool {
        let named = asset.map(|asset| self.asset(asset));
        let speaks = |grant: &Grant| match named {
            None => true,
            Some(asset) => asset.is_some_and(|asset| grant.names_asset(asset)),
        };
        self.grants_of(person).any(|grant| grant.approval.is_some() && speaks(grant))
    }

    /// Whether some grant asks those for an approval who hold a role of theirs.
    pub fn is_asked_for_approvals(&self, person: &Subject) -> bool {
        let rules = self.roles().flat_map(|role| &role.grants).filter_map(|grant| grant.approval.as_ref());
        let mut by = rules.map(|rule| &rule.by);
        by.any(|by| self.role(by).is_some_and(|role| role.has_member(person)))
    }

    /// Whose agreement a request needs now; nothing, where its grant does not speak of all that it asks for, or asks nobody.
    fn approval_of(&self, request: &AccessRequest) -> Option<&ApprovalRule> {
        let asset = self.asset(&request.asset)?;
        let grant = self.role(&request.role)?.grants.iter().find(|grant| grant.rule.grant == request.grant)?;
        let named = |name: &ServiceName| {
            asset.services.get(name).is_some_and(|service| grant.names_asset(asset) && grant.names_service(service))
        };
        grant.approval.as_ref().filter(|_| !request.services.is_empty() && request.services.iter().all(named))
    }
}

impl RequestState {
    /// Whether it waits, or is approved.
    pub fn is_open(&self) -> bool {
        match self {
            Self::Waiting { .. } | Self::Approved { .. } => true,
            Self::Over | Self::Gone => false,
        }
    }
}

/// Reads how long something is wanted, as `90m`, `2h`, `1h30m`, `2d`.
pub fn lasting(text: &str) -> Option<SignedDuration> {
    duration::parse(text)
}

/// Writes what [`lasting`] reads.
pub fn lasting_text(duration: SignedDuration) -> String {
    duration::display(duration)
}
