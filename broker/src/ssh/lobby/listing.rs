//! What a person may reach, for the lobby: what can be entered from there, and what needs a port of their own machine.

use std::fmt::Write as _;
use std::time::Duration;

use sallyport_policy::{AccountName, Decision, Reach};

use super::registry::{idle_limit, said};
use crate::approval;
use crate::login::reach::{ReachedBy, Way, reachable};
use crate::login::requesting::overview;
use crate::session::{Authenticated, Session};

/// Something that a grant names for a person, and whether they reach it now.
pub(in crate::ssh) struct Listed {
    pub(in crate::ssh) reach: Reach,
    now: &'static str,
}

/// Everything that grants name for a person.
pub(in crate::ssh) struct Listing {
    /// What can be entered from the lobby, in the order of its numbers.
    pub(in crate::ssh) enterable: Vec<Listed>,
    forwards: Vec<(Listed, String)>,
    identity: String,
    /// What the person asks others for, and others ask them.
    requests: String,
    /// For how long a connection may have nothing open through it.
    idle: Duration,
}

impl Listing {
    pub(in crate::ssh) async fn of(session: &Session<Authenticated>) -> Self {
        let broker = session.broker();
        let (policy, isolated) = (broker.policy.current(), broker.live.isolated());
        let (identity, idle) = (session.proof().identity().to_string(), idle_limit(session));
        let requests = overview(session).await;
        let mut listing = Self { enterable: Vec::new(), forwards: Vec::new(), identity, requests, idle };
        let (claimant, proofs) = (session.claimant(), session.proof().proofs());
        let approvals = match session.proof().emergency() {
            None => approval::given(broker, &policy, session.proof().subject(), None).await,
            Some(_) => Ok(Vec::new()),
        };
        let approvals = approvals.unwrap_or_else(|error| {
            tracing::warn!(%error, "Approvals cannot be looked at, so none is listed");
            Vec::new()
        });
        for ReachedBy { reach, way, isolated } in
            reachable(&policy, claimant, proofs, &approvals, &isolated, broker.now())
        {
            let now = state(&reach.decision, isolated);
            let listed = Listed { reach, now };
            match way {
                Way::Session => listing.enterable.push(listed),
                Way::Forward(forward) => listing.forwards.push((listed, forward)),
            }
        }
        listing
    }

    pub(in crate::ssh) fn is_empty(&self) -> bool {
        self.enterable.is_empty() && self.forwards.is_empty()
    }

    pub(in crate::ssh) fn json(&self) -> String {
        let row = |Listed { reach, now }: &Listed| {
            serde_json::json!({
                "asset": reach.asset, "service": reach.service, "account": reach.account, "now": now,
            })
        };
        let forwards = self.forwards.iter().map(|(listed, forward)| {
            let mut row = row(listed);
            row["forward"] = serde_json::json!(forward);
            row
        });
        format!("{}\n", self.enterable.iter().map(row).chain(forwards).collect::<serde_json::Value>())
    }

    pub(in crate::ssh) fn text(&self) -> String {
        if self.is_empty() {
            let nothing = "There is nothing that you may reach. Your administrator can change that.\n";
            return format!("{nothing}{}", self.requests);
        }
        let mut text = String::new();
        // Writing to a string cannot fail.
        let written = self.write(&mut text);
        debug_assert!(written.is_ok());
        text
    }

    fn write(&self, text: &mut String) -> std::fmt::Result {
        if !self.enterable.is_empty() {
            writeln!(text, "{:>3}  {:<24} {:<8} {:<16} NOW", "", "ASSET", "SERVICE", "ACCOUNT")?;
        }
        for (number, listed) in (1..).zip(&self.enterable) {
            writeln!(text, "{number:>3}  {}", columns(listed))?;
        }
        if !self.forwards.is_empty() {
            writeln!(text, "\nThrough a port of your own machine:")?;
        }
        for (listed, forward) in &self.forwards {
            writeln!(text, "     {}", columns(listed))?;
            writeln!(text, "       ssh -N -L {forward} {}@broker", self.identity)?;
        }
        if !self.requests.is_empty() {
            write!(text, "\n{}", self.requests)?;
        }
        if !self.forwards.is_empty() {
            writeln!(text, "A connection through which nothing is open for {} is ended.", said(self.idle))?;
        }
        Ok(())
    }
}

fn columns(Listed { reach, now }: &Listed) -> String {
    let account: &AccountName = &reach.account;
    format!("{:<24} {:<8} {account:<16} {now}", reach.asset, reach.service)
}

fn state(decision: &Decision, isolated: bool) -> &'static str {
    match decision {
        Decision::Permit(_) | Decision::NeedFactors(_) | Decision::NeedApproval(_) if isolated => "zone isolated",
        Decision::Permit(_) => "yes",
        Decision::NeedFactors(_) => "after another code",
        Decision::NeedApproval(_) => "after an approval",
        Decision::Deny(_) => "not now",
    }
}
