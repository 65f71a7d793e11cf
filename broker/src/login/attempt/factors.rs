//! What becomes of a first factor that is right, and of what is offered after it.

use super::{Asking, Attempt, FirstFactor, MOST_CODES, State, Step, Ways};
use crate::audit::AuditEvent;
use crate::identity::{MultiFactor, Offer, Refused, Verified};
use crate::listen::Progress;
use crate::logging::counted;
use crate::login::abandoned::Alone;
use crate::login::lease;
use crate::login::name::LoginName;

impl Attempt {
    /// The first factor was right. A lease may stand in for the second.
    pub(super) async fn first_stands(&mut self, login: LoginName, verified: Verified) -> Step {
        self.pass.reached(Progress::FirstFactor);
        self.alone = Some(Alone::after(verified.clone()));
        let accepted = AuditEvent::FactorAccepted {
            identity: verified.identity().to_string(),
            source: self.source.to_string(),
            factor: verified.proof().kind.to_string(),
            credential: verified.credential().to_owned(),
        };
        match lease::standing_in(self.broker(), &verified).await {
            Ok(Some((proof, used))) => {
                let before = [accepted].into_iter().chain(used).collect();
                return self.logged_in(&login, proof, before, Asking::WhenBegun).await;
            }
            // Without a lease, or without knowing of one, the second factor is due.
            Ok(None) => {}
            Err(error) => counted!(warn, "Leases cannot be looked up", %error),
        }
        match self.audit([accepted]).await {
            Ok(()) => {
                self.state = State::FirstFactor(Box::new(FirstFactor {
                    login,
                    verified,
                    answers: 0,
                    ways: Ways::Unknown,
                    join: true,
                }));
                Step::Partial
            }
            Err(hang_up) => hang_up,
        }
    }

    /// What is offered after a first factor.
    pub(super) async fn second(&mut self, first: Box<FirstFactor>, offer: Offer<'_>) -> Step {
        // What a terminal that is gone answers. It is no guess, and holds nobody up.
        if offer.is_empty() {
            return self.ask_again(first, String::new());
        }
        let (word, broker) = (offer.word(), self.broker());
        match broker.identities.second_factor(&first.verified, offer, broker.now()).await {
            Ok(proof) => self.second_stands(&first.login, proof).await,
            Err(refused) => {
                let identity = &first.login.identity;
                tracing::info!(%identity, source = %self.source, %refused, "Second factor refused");
                let event = self.factor_refused(identity.to_string(), word, refused.to_string());
                if let Err(hang_up) = self.audit([event]).await {
                    return hang_up;
                }
                if let Some(alone) = &mut self.alone {
                    alone.offered_wrong();
                }
                if first.answers + 1 < MOST_CODES {
                    return self.ask_again(first, refused.sentence().to_owned());
                }
                self.thrown_out(&first.login, &refused).await
            }
        }
    }

    /// Asks once more, unless it was asked for often enough.
    fn ask_again(&mut self, mut first: Box<FirstFactor>, instruction: String) -> Step {
        first.answers += 1;
        if first.answers >= MOST_CODES {
            self.tell_alone("nothing was answered");
            return self.hang_up();
        }
        let question = first.ways.question(instruction);
        self.state = State::FirstFactor(first);
        Step::Ask(question)
    }

    /// As many wrong codes as one connection may give.
    async fn thrown_out(&mut self, login: &LoginName, last: &Refused) -> Step {
        let wrong = self.alone.take().map_or(0, |alone| alone.wrong());
        let reason = match last {
            Refused::WrongCode | Refused::WrongCodeByClock { .. } => format!("{wrong} wrong codes on one connection"),
            other => format!("{wrong} codes on one connection, none of which counted; the last: {other}"),
        };
        let (identity, source) = (login.identity.to_string(), self.source.to_string());
        let event = AuditEvent::LoginRefused { identity, source, reason };
        match self.audit([event]).await {
            Ok(()) => self.hang_up(),
            Err(hang_up) => hang_up,
        }
    }

    /// A fresh second factor: on the record, and good for a while if a grant says so.
    async fn second_stands(&mut self, login: &LoginName, mut proof: MultiFactor) -> Step {
        let factor = proof.second().map_or_else(String::new, |second| second.kind.to_string());
        let accepted = AuditEvent::FactorAccepted {
            identity: proof.identity().to_string(),
            source: self.source.to_string(),
            credential: factor.clone(),
            factor,
        };
        if let Err(hang_up) = self.audit([accepted]).await {
            return hang_up;
        }
        let longest = lease::longest(self.broker(), proof.subject());
        let granted = lease::grant(self.broker(), &mut proof, longest).await.unwrap_or_else(|error| {
            // The login itself stands; the next one asks for a code again.
            counted!(warn, "A lease could not be granted", %error);
            None
        });
        self.logged_in(login, proof, granted.into_iter().collect(), Asking::Now).await
    }
}
