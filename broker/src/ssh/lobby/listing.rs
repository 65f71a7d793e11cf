//! What a person may reach, for the lobby: what can be entered from there, and what needs a port of their own machine.

use std::fmt::Write as _;

use sallyport_policy::{AccountName, Decision, Reach};

use crate::login::reach::{ReachedBy, Way, reachable};
use crate::session::{Authenticated, Session};

/// Everything that grants name for a person.
pub(in crate::ssh) struct Listing {
    /// What can be entered from the lobby, in the order of its numbers.
    pub(in crate::ssh) enterable: Vec<Reach>,
    forwards: Vec<(Reach, String)>,
    identity: String,
}

impl Listing {
    pub(in crate::ssh) fn of(session: &Session<Authenticated>) -> Self {
        let broker = session.broker();
        let policy = broker.policy.current();
        let mut listing =
            Self { enterable: Vec::new(), forwards: Vec::new(), identity: session.proof().identity().to_string() };
        for ReachedBy { reach, way } in reachable(&policy, session.claimant(), session.proof().proofs(), broker.now()) {
            match way {
                Way::Session => listing.enterable.push(reach),
                Way::Forward(forward) => listing.forwards.push((reach, forward)),
            }
        }
        listing
    }

    pub(in crate::ssh) fn is_empty(&self) -> bool {
        self.enterable.is_empty() && self.forwards.is_empty()
    }

    pub(in crate::ssh) fn json(&self) -> String {
        let row = |r: &Reach| {
            serde_json::json!({
                "asset": r.asset, "service": r.service, "account": r.account, "now": state(&r.decision),
            })
        };
        let forwards = self.forwards.iter().map(|(reach, forward)| {
            let mut row = row(reach);
            row["forward"] = serde_json::json!(forward);
            row
        });
        format!("{}\n", self.enterable.iter().map(row).chain(forwards).collect::<serde_json::Value>())
    }

    pub(in crate::ssh) fn text(&self) -> String {
        if self.is_empty() {
            return "There is nothing that you may reach. Your administrator can change that.\n".to_owned();
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
        for (number, reach) in (1..).zip(&self.enterable) {
            writeln!(text, "{number:>3}  {}", columns(reach))?;
        }
        if !self.forwards.is_empty() {
            writeln!(text, "\nThrough a port of your own machine:")?;
        }
        for (reach, forward) in &self.forwards {
            writeln!(text, "     {}", columns(reach))?;
            writeln!(text, "       ssh -N -L {forward} {}@broker", self.identity)?;
        }
        Ok(())
    }
}

fn columns(reach: &Reach) -> String {
    let account: &AccountName = &reach.account;
    format!("{:<24} {:<8} {account:<16} {}", reach.asset, reach.service, state(&reach.decision))
}

fn state(decision: &Decision) -> &'static str {
    match decision {
        Decision::Permit(_) => "yes",
        Decision::NeedFactors(_) => "after another code",
        Decision::NeedApproval(_) => "after an approval",
        Decision::Deny(_) => "not now",
    }
}
