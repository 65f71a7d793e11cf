//! Both factors stand: whether there is a place for this person, and what they are let into.

use std::sync::Arc;

use sallyport_policy::IdentityId;

use super::{Asking, Attempt, State, Step};
use crate::audit::AuditEvent;
use crate::identity::MultiFactor;
use crate::listen::Crowded;
use crate::logging::counted;
use crate::login::admission::{Admission, Entry, Next};
use crate::login::name::LoginName;
use crate::session::{Connecting, Session};

impl Attempt {
    /// Both factors stand. `before` is what led here and is not on the record yet.
    pub(super) async fn logged_in(
        &mut self,
        login: &LoginName,
        proof: MultiFactor,
        mut before: Vec<AuditEvent>,
        asking: Asking,
    ) -> Step {
        self.alone = None;
        let limit = self.broker().policy.current().connections(proof.subject());
        match self.pass.enter(proof.counted_as().as_str(), limit) {
            Ok(()) => {}
            Err(Crowded::Identity { limit }) => return self.crowded(&proof, limit, before).await,
            // They had to make room meanwhile. What they proved, and a lease that was granted for it, stands all the same.
            Err(Crowded::Gone) => {
                return self.audit_login(&proof, before).await.err().unwrap_or_else(|| self.hang_up());
            }
        }
        before.push(AuditEvent::LoginAccepted {
            identity: proof.identity().to_string(),
            source: self.source.to_string(),
            factors: proof.proofs().iter().map(|proof| proof.kind.to_string()).collect(),
            lease: proof.lease().map(ToString::to_string),
        });
        if let Err(hang_up) = self.audit_login(&proof, before).await {
            return hang_up;
        }
        let session = Session::<Connecting>::accepted(Arc::clone(self.broker()), self.source).authenticate(proof);
        let identity = session.proof().identity().clone();
        let next = match &login.target {
            None => Next::Enter(Entry::Lobby(session)),
            Some(written) => Admission::direct(session, written).await,
        };
        self.proceed(identity, next, asking)
    }

    /// Both factors stand, but the person has as many connections open as their roles allow: they are told so, and no more.
    async fn crowded(&mut self, proof: &MultiFactor, limit: u32, mut before: Vec<AuditEvent>) -> Step {
        let (identity, source) = (proof.identity().to_string(), self.source.to_string());
        before.push(AuditEvent::ConnectionRefused { identity, source, limit });
        if let Err(hang_up) = self.audit_login(proof, before).await {
            return hang_up;
        }
        let sentence = format!("You have {limit} connections open, and may have no more. Close one first.");
        self.enter(proof.identity().clone(), Entry::Crowded(sentence))
    }

    /// What tells of a login. In an emergency it waits on disk where there is no database.
    async fn audit_login(&mut self, proof: &MultiFactor, events: Vec<AuditEvent>) -> Result<(), Step> {
        if proof.emergency().is_none() {
            return self.audit(events).await;
        }
        self.broker().audit.record_all_enduring(events).await.map_err(|error| {
            counted!(error, "A login in an emergency could not be audited, so it is refused", %error);
            self.hang_up()
        })
    }

    /// Asks what is due, or lets in.
    pub(super) fn proceed(&mut self, identity: IdentityId, next: Next, asking: Asking) -> Step {
        match next {
            Next::Ask(admission) => {
                let question = admission.question();
                self.state = State::Admission { identity, admission: Box::new(admission) };
                match asking {
                    Asking::Now => Step::Ask(question),
                    Asking::WhenBegun => Step::Partial,
                }
            }
            Next::Enter(entry) => self.enter(identity, entry),
            Next::Reject => self.hang_up(),
        }
    }

    /// Nothing is asked or answered any more.
    fn enter(&mut self, identity: IdentityId, entry: Entry) -> Step {
        self.state = State::Over;
        Step::Enter { identity, entry }
    }
}
