//! What that lives now would end, when one plant takes the place of another.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use sallyport_policy::{
    AccountName, AssetId, Decision, FactorKind, IdentityId, LiftedTimes, LiveSession, Opening, Permit, PermitRule,
    Policy, Proof, Request, RuleRef, ServiceName, Subject, Terms, WriteWindow, decide_emergency, decide_lifted_again,
    may_open,
};
use serde::Serialize;

use super::agreed::Agreed;
use super::uses::UsedBy;
use crate::identity::{Somebody, Standing};
use crate::live::Times;
use crate::session::{Held, covers, keeps};
use crate::store::envelopes::GLASS;
use crate::store::leases::LeaseRow;
use crate::store::sessions::Session;

/// A live session that would end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct EndingSession {
    /// Its id.
    pub(crate) id: String,
    /// Whose.
    pub(crate) identity: String,
    /// Where to.
    pub(crate) asset: String,
    /// Which service.
    pub(crate) service: String,
    /// With which account.
    pub(crate) account: String,
    /// The broker that carries it.
    pub(crate) broker: String,
    /// Since when.
    pub(crate) started_at: Timestamp,
    /// Whether it would for certain; else it hangs on which factors were proven, which only its broker knows.
    pub(crate) certain: bool,
    /// Why.
    pub(crate) why: String,
}

/// A second factor that would count no more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct EndingLease {
    /// The lease's id.
    pub(crate) id: String,
    /// Whose.
    pub(crate) identity: String,
    /// When it was proven.
    pub(crate) proved_at: Timestamp,
}

/// A write window that would shut.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct EndingWindow {
    /// The window.
    #[serde(flatten)]
    pub(crate) window: WriteWindow,
    /// Why.
    pub(crate) why: String,
}

/// One plant in place of another, at a moment.
pub(crate) struct Exchange<'a> {
    old: Side<'a>,
    new: Side<'a>,
    people: BTreeMap<&'a IdentityId, &'a Somebody>,
    now: Timestamp,
}

/// One of the two: what it says, and what was agreed to by it.
#[derive(Clone, Copy)]
pub(crate) struct Side<'a> {
    pub(crate) policy: &'a Policy,
    pub(crate) agreed: &'a Agreed,
}

impl<'a> Exchange<'a> {
    pub(crate) fn of(old: Side<'a>, new: Side<'a>, people: &'a [Somebody], now: Timestamp) -> Self {
        let people = people.iter().map(|each| (&each.subject.identity, each)).collect();
        Self { old, new, people, now }
    }

    /// Of the sessions that live, the oldest first, those that would end. What cannot be read is the watch's business, and so is what ends
    /// whatever is applied.
    pub(crate) fn sessions(&self, live: &[Session]) -> Vec<EndingSession> {
        let lives = live.iter().filter(|session| !session.is_orphaned("", self.now));
        let read: Vec<LiveRow<'_>> = lives.filter_map(LiveRow::read).collect();
        let mut ending = Vec::new();
        for (number, row) in read.iter().enumerate() {
            let before: Vec<LiveSession> = read.iter().take(number).filter_map(LiveRow::counted).collect();
            ending.extend(self.session(row, &before));
        }
        ending
    }

    fn session(&self, row: &LiveRow<'_>, before: &[LiveSession]) -> Option<EndingSession> {
        let (subject, ways) = self.whose(row)?;
        // As it may have been proven: each way to log in that the plant in force still lets live.
        let stands = |side: Side<'_>, proofs: &[Proof]| row.stands(side, &subject, proofs, before, self.now);
        let possible: Vec<&Vec<Proof>> = ways.iter().filter(|proofs| stands(self.old, proofs).is_ok()).collect();
        let ends: Vec<String> = possible.iter().filter_map(|proofs| stands(self.new, proofs).err()).collect();
        let why = ends.first()?.clone();
        let start = &row.session.start;
        Some(EndingSession {
            id: start.id.clone(),
            identity: start.identity.clone(),
            asset: start.asset.clone(),
            service: start.service.clone(),
            account: start.account.clone(),
            broker: start.broker.clone(),
            started_at: start.started_at,
            certain: ends.len() == possible.len(),
            why,
        })
    }

    /// Who has the session, and by which proofs they can have come to it.
    fn whose(&self, row: &LiveRow<'_>) -> Option<(Subject, Vec<Vec<Proof>>)> {
        if row.identity.as_str() == GLASS {
            let subject = Subject { identity: row.identity.clone(), groups: Default::default() };
            return Some((subject, vec![Vec::new()]));
        }
        let somebody = self.people.get(&row.identity)?;
        if !matches!(somebody.standing, Standing::Active { .. }) {
            return None;
        }
        Some((somebody.subject.clone(), logins(somebody, row.session.start.started_at)))
    }

    /// The leases of which nothing is left.
    pub(crate) fn leases(&self, leases: Vec<LeaseRow>) -> Vec<EndingLease> {
        let ends = |lease: &LeaseRow| {
            let identity = IdentityId::try_from(lease.identity.as_str()).ok()?;
            let subject = &self.people.get(&identity)?.subject;
            let age = self.now.duration_since(lease.proved_at);
            let counts = |policy: &Policy| age <= policy.longest_lease(subject);
            Some(counts(self.old.policy) && !counts(self.new.policy))
        };
        let ending = leases.into_iter().filter(|lease| ends(lease) == Some(true));
        ending.map(|LeaseRow { id, identity, proved_at, .. }| EndingLease { id, identity, proved_at }).collect()
    }

    /// The write windows that would shut.
    pub(crate) fn windows(&self, windows: Vec<WriteWindow>) -> Vec<EndingWindow> {
        windows.into_iter().filter_map(|window| self.shuts(&window).map(|why| EndingWindow { window, why })).collect()
    }

    fn shuts(&self, window: &WriteWindow) -> Option<String> {
        let opener = &self.people.get(&window.opened_by)?.subject;
        let person = &self.people.get(&window.identity)?.subject;
        let may = |policy: &Policy| match may_open(policy, opener, person, window, self.now) {
            Opening::Permit(_) => Ok(()),
            Opening::Deny(denial) => Err(denial.to_string()),
        };
        may(self.old.policy).ok().and_then(|()| may(self.new.policy).err())
    }
}

/// Each pair of a first and a second factor that somebody can have logged in with; a passkey alone, too.
fn logins(somebody: &Somebody, at: Timestamp) -> Vec<Vec<Proof>> {
    let proof = |kind: FactorKind| Proof { kind, at };
    let (seconds, firsts): (Vec<FactorKind>, Vec<FactorKind>) =
        somebody.factors.iter().copied().partition(|kind| kind.is_second());
    let pairs = firsts.iter().flat_map(|first| seconds.iter().map(move |second| vec![proof(*first), proof(*second)]));
    let alone = somebody.by_passkey_alone.then(|| vec![proof(FactorKind::WebAuthn)]);
    let logins: Vec<Vec<Proof>> = pairs.chain(alone).collect();
    // What they came by was taken from them since: that ends a session by itself, or does not.
    if logins.is_empty() { vec![FactorKind::ALL.map(proof).to_vec()] } else { logins }
}

/// A live session as its row tells of it.
struct LiveRow<'a> {
    session: &'a Session,
    identity: IdentityId,
    asset: AssetId,
    service: ServiceName,
    account: AccountName,
    terms: Terms,
    by: UsedBy,
    rule: Option<RuleRef>,
}

impl<'a> LiveRow<'a> {
    fn read(session: &'a Session) -> Option<Self> {
        let start = &session.start;
        Some(Self {
            session,
            identity: start.identity.parse().ok()?,
            asset: start.asset.parse().ok()?,
            service: start.service.parse().ok()?,
            account: start.account.parse().ok()?,
            terms: serde_json::from_str(&start.terms).ok()?,
            by: UsedBy::of(&start.rule),
            rule: start.rule.parse().ok(),
        })
    }

    /// As it counts for the number of sessions by its grant.
    fn counted(&self) -> Option<LiveSession> {
        Some(LiveSession { identity: self.identity.clone(), asset: self.asset.clone(), rule: self.rule.clone()? })
    }

    /// Whether it stands under a policy; if not, why.
    fn stands(
        &self,
        side: Side<'_>,
        subject: &Subject,
        proofs: &[Proof],
        live: &[LiveSession],
        now: Timestamp,
    ) -> Result<(), String> {
        let Self { asset, service, account, .. } = self;
        let Side { policy, agreed } = side;
        let approvals = agreed.for_whom(&subject.identity);
        let request = Request { subject, asset, service, account, proofs, live, approvals };
        let started = self.session.start.started_at;
        let decision = match &self.by {
            UsedBy::Grant => {
                let Some(rule) = self.rule.clone() else { return Ok(()) };
                let permit = Permit { rule: PermitRule::Grant(rule), terms: self.terms.clone(), approved: None };
                let held = Held { permit: &permit, started, times: Times::of(&self.terms) };
                return keeps(policy, &request, held, now).map(drop);
            }
            UsedBy::Envelope(section) => decide_emergency(policy, section, &request, SignedDuration::MAX),
            UsedBy::Breaking(section) => {
                let times = LiftedTimes { authorized: started, now, lasts: SignedDuration::MAX };
                decide_lifted_again(policy, section, &request, times)
            }
        };
        match decision {
            Decision::Permit(permit) if covers(&permit, &self.permit_of(&permit)) => Ok(()),
            Decision::Permit(permit) => Err(format!("the terms have narrowed: {}", permit.rule)),
            Decision::Deny(denial) => Err(denial.to_string()),
            Decision::NeedFactors(need) => Err(need.to_string()),
            Decision::NeedApproval(rule) => Err(rule.to_string()),
        }
    }

    fn permit_of(&self, now: &Permit) -> Permit {
        Permit { rule: now.rule.clone(), terms: self.terms.clone(), approved: None }
    }
}
