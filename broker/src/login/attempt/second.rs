//! The ways to a second factor: a typed code, or the portal, where the person confirms with a passkey.

use std::time::Duration;

use jiff::SignedDuration;

use super::{Asking, Attempt, FirstFactor, State, Step, Ways};
use crate::identity::Offer;
use crate::logging::counted;
use crate::login::admission::Question;
use crate::login::confirmation::{NoConfirmation, Outcome, Waiting, Wanted};
use crate::login::lease;

/// Before the login's deadline, so that whoever waits is told why it ends.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// From a confirmation to the lease that follows from it.
const LEASE_LOOK: Duration = Duration::from_millis(50);
const LEASE_LOOKS: u32 = 60;

const BUSY: &str = "Another login of yours waits for its confirmation in the portal.";

const HELD_BACK: &str =
    "A login like this was refused in the portal a moment ago: for a while, none can be confirmed there.";

impl Attempt {
    /// Says what is due. A login of somebody with a passkey begins to wait in the portal.
    pub(super) async fn ask_second(&mut self, mut first: Box<FirstFactor>) -> Step {
        let mut instruction = String::new();
        if matches!(first.ways, Ways::Unknown) {
            let code = self.takes_code(&first).await;
            match self.wait(&first).await {
                Ok(waiting) => {
                    // Another login may have been confirmed since the first factor was right: then nothing is to be confirmed any more.
                    if let Ok(Some((proof, used))) = lease::standing_in(self.broker(), &first.verified).await {
                        return self.logged_in(&first.login, proof, used.into_iter().collect(), Asking::Now).await;
                    }
                    first.ways = Ways::Confirmation { waiting: Box::new(waiting), code };
                }
                Err(NoConfirmation::NoPasskey) => first.ways = Ways::Code,
                Err(error @ (NoConfirmation::Busy | NoConfirmation::HeldBack)) => {
                    let sentence = if matches!(error, NoConfirmation::Busy) { BUSY } else { HELD_BACK };
                    if !code {
                        return self.farewell(sentence);
                    }
                    sentence.clone_into(&mut instruction);
                    first.ways = Ways::Code;
                }
                Err(NoConfirmation::Store(error)) => {
                    counted!(warn, "Nobody can confirm a login in the portal", %error);
                    first.ways = Ways::Code;
                }
                Err(NoConfirmation::Audit(error)) => {
                    counted!(error, "A login could not be audited, so it is refused", %error);
                    return self.hang_up();
                }
            }
        }
        let question = first.ways.question(instruction);
        self.state = State::FirstFactor(first);
        Step::Ask(question)
    }

    /// What was typed, or that nothing was: then whoever can confirm is waited for.
    pub(super) async fn answer_second(&mut self, mut first: Box<FirstFactor>, typed: &str) -> Step {
        let outcome = match &mut first.ways {
            Ways::Confirmation { waiting, code } if !*code || typed.trim().is_empty() => waiting.outcome().await,
            Ways::Confirmation { .. } | Ways::Code | Ways::Unknown => {
                return self.second(first, Offer::Code(typed)).await;
            }
        };
        match (outcome, std::mem::replace(&mut first.ways, Ways::Code)) {
            (Outcome::Confirmed, Ways::Confirmation { waiting, .. }) if waiting.is_joined() => self.joined(first).await,
            (Outcome::Confirmed, Ways::Confirmation { waiting, .. }) => {
                self.second(first, Offer::Confirmation(waiting.id())).await
            }
            (outcome, _) => {
                self.tell_alone(outcome.sentence());
                self.farewell(outcome.sentence())
            }
        }
    }

    /// Another login with the same first factor from the same address was confirmed: the lease that follows lets this one in too. Where
    /// none follows, this one is confirmed for itself.
    async fn joined(&mut self, mut first: Box<FirstFactor>) -> Step {
        for _ in 0..LEASE_LOOKS {
            match lease::standing_in(self.broker(), &first.verified).await {
                Ok(Some((proof, used))) => {
                    return self.logged_in(&first.login, proof, used.into_iter().collect(), Asking::Now).await;
                }
                Ok(None) => tokio::time::sleep(LEASE_LOOK).await,
                Err(error) => {
                    counted!(warn, "Leases cannot be looked up", %error);
                    break;
                }
            }
        }
        first.join = false;
        first.ways = Ways::Unknown;
        self.ask_second(first).await
    }

    async fn wait(&self, first: &FirstFactor) -> Result<Waiting, NoConfirmation> {
        let left = self.entrance.door.limits().login.saturating_sub(self.begun.elapsed()).saturating_sub(LAST_WORDS);
        let now = self.broker().now();
        let until = SignedDuration::try_from(left).ok().and_then(|left| now.checked_add(left).ok()).unwrap_or(now);
        let target = match &first.login.target {
            Some(target) => match &target.account {
                Some(account) => format!("{account} on {}", target.host),
                None => target.host.clone(),
            },
            None => "the list of what you may reach, and what is opened from it (ssh -J, ssh -L)".to_owned(),
        };
        let client = self.client.as_str();
        Waiting::ask(self.broker(), Wanted { first: &first.verified, client, target, until, join: first.join }).await
    }

    /// Where that cannot be looked up, a code is asked for: it will be refused with the reason.
    async fn takes_code(&self, first: &FirstFactor) -> bool {
        let totp = self.broker().identities.has_authenticator(first.verified.identity()).await;
        totp.unwrap_or_else(|error| {
            counted!(warn, "Whether there is an authenticator cannot be looked up", %error);
            true
        })
    }

    /// Ends with a sentence: a question that asks for nothing.
    pub(super) fn farewell(&mut self, sentence: &str) -> Step {
        self.state = State::Farewell;
        Step::Ask(Question { instruction: sentence.to_owned(), prompt: None, echo: false })
    }
}

impl Ways {
    /// What to ask, after what there is to say.
    pub(super) fn question(&self, instruction: String) -> Question {
        let (words, prompt) = match self {
            Ways::Unknown | Ways::Code => (String::new(), Some("Code: ")),
            Ways::Confirmation { waiting, code: true } => (waiting.words(), Some("Code, or Enter once confirmed: ")),
            Ways::Confirmation { waiting, code: false } => (waiting.words(), None),
        };
        let said = [instruction, words].into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join("\n");
        Question { instruction: said, prompt: prompt.map(ToOwned::to_owned), echo: false }
    }
}
