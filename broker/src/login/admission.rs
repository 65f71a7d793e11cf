//! Between a proven person and a permitted session: the questions that are still due, one at a time.
//!
//! Every form uses it: the direct one during the login, the jump during the login inside, the list after a choice.

use sallyport_policy::{FactorKind, Protocol};

use super::breaking::needs_approval;
use super::confirmation::{NoConfirmation, Outcome, Waiting};
use super::name::DirectTarget;
use super::step_up::{self, prove_again};
use super::target::{self, Nowhere};
use crate::identity::Offer;
use crate::live::Target;
use crate::session::{Authenticated, Authorization, Authorized, Session, not_for_you};
use crate::vault::Secret;

/// Longest answer that is looked at.
const LONGEST_ANSWER: usize = 1024;
/// How often a person may answer the same question wrongly.
const ANSWERS: u8 = 3;

/// A question that is due before the session may start.
#[derive(Debug)]
pub(crate) struct Admission {
    session: Session<Authenticated>,
    target: Target,
    due: Due,
    question: Question,
    answers: u8,
}

#[derive(Debug)]
enum Due {
    /// A second factor, proven afresh.
    Code,
    /// The same in the portal, or also by a code.
    Confirmation { waiting: Box<Waiting>, code: bool },
    /// The account's own password, for this one login.
    Password,
}

/// What comes next.
#[derive(Debug)]
pub(crate) enum Next {
    /// Ask the person.
    Ask(Admission),
    /// No more questions.
    Enter(Entry),
    /// Too many wrong answers.
    Reject,
}

/// What a person is let into.
#[derive(Debug)]
pub(crate) enum Entry {
    /// No target: the lobby, and jumps from it.
    Lobby(Session<Authenticated>),
    /// A permitted session, with what was typed for the account.
    Session { authorized: Box<Session<Authorized>>, typed: Option<Secret<String>> },
    /// Nothing but one plain sentence.
    Refused(String),
    /// Known, but one connection too many: it ends with this sentence.
    Crowded(String),
}

/// A question, as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Question {
    pub(crate) instruction: String,
    /// Without one nothing is typed: the answer comes at once, and whoever gives it waits.
    pub(crate) prompt: Option<String>,
    /// Whether what is typed is shown.
    pub(crate) echo: bool,
}

impl Admission {
    /// Where somebody wanted to go from the start, as their login name says.
    pub(super) async fn direct(session: Session<Authenticated>, written: &DirectTarget) -> Next {
        let policy = session.broker().policy.current();
        match target::direct(&policy, session.claimant(), written) {
            Ok(target) => Self::begin(session, target).await,
            Err(Nowhere { reason, sentence }) => {
                // Refused either way; that it could not be put on record is said instead of the sentence.
                let recorded = session.refuse_on_record(&written.host, Protocol::Ssh, reason).await;
                let sentence = recorded.map_or_else(|refusal| refusal.sentence(&written.host), |()| sentence);
                Next::Enter(Entry::Refused(sentence))
            }
        }
    }

    /// Asks the policy, and says what is due.
    pub(crate) async fn begin(session: Session<Authenticated>, target: Target) -> Next {
        match session.authorize(target.clone()).await {
            Authorization::Authorized(authorized) if authorized.asks_for_password() => {
                let question = Question {
                    instruction: String::new(),
                    prompt: Some(format!("Password of {} on {}: ", target.account, target.asset)),
                    echo: false,
                };
                Next::Ask(Admission { session, target, due: Due::Password, question, answers: 0 })
            }
            Authorization::Authorized(authorized) => Next::Enter(Entry::Session { authorized, typed: None }),
            Authorization::NeedFactors(need) if FactorKind::SECOND.iter().any(|kind| need.accepts(*kind)) => {
                let (code, passkey) = (need.accepts(FactorKind::Totp), need.accepts(FactorKind::WebAuthn));
                Self::step_up(session, target, code, passkey).await
            }
            Authorization::NeedFactors(need) => {
                let kinds: Vec<_> = need.any_of.iter().map(ToString::to_string).collect();
                Next::Enter(Entry::Refused(format!(
                    "{} asks for {}, which cannot be given over ssh.",
                    target.asset,
                    kinds.join(" or ")
                )))
            }
            Authorization::NeedApproval(_) => {
                Next::Enter(Entry::Refused(needs_approval(&session, &target.asset).await))
            }
            Authorization::Denied(refusal) => Next::Enter(Entry::Refused(refusal.sentence(target.asset.as_str()))),
        }
    }

    /// What is asked.
    pub(crate) fn question(&self) -> Question {
        self.question.clone()
    }

    /// Takes an answer to the question that was asked.
    pub(crate) async fn answer(self, answer: &str) -> Next {
        let answer = bounded(answer);
        match self.due {
            // They may have taken their time: what was permitted then is asked again.
            Due::Password => match self.session.authorize(self.target.clone()).await {
                Authorization::Authorized(authorized) => {
                    Next::Enter(Entry::Session { authorized, typed: Some(Secret::new(answer.to_owned())) })
                }
                Authorization::NeedFactors(_) | Authorization::NeedApproval(_) | Authorization::Denied(_) => {
                    Next::Enter(Entry::Refused(not_for_you(self.target.asset.as_str())))
                }
            },
            Due::Code => self.prove(Offer::Code(answer)).await,
            Due::Confirmation { code: true, .. } if !answer.trim().is_empty() => self.prove(Offer::Code(answer)).await,
            Due::Confirmation { mut waiting, .. } => match waiting.outcome().await {
                Outcome::Confirmed => {
                    let id = waiting.id().to_owned();
                    Self { due: Due::Code, ..self }.prove(Offer::Confirmation(&id)).await
                }
                outcome => Next::Enter(Entry::Refused(outcome.sentence().to_owned())),
            },
        }
    }

    /// Asks for a fresh second factor of a kind that the target takes: a code, a passkey, or whichever.
    async fn step_up(session: Session<Authenticated>, target: Target, code: bool, passkey: bool) -> Next {
        let waiting = if passkey { step_up::wait(&session, &target).await } else { Err(NoConfirmation::NoPasskey) };
        // Which rule asks is on the record; the person is told what to do.
        let (due, question) = match waiting {
            Ok(waiting) => {
                let instruction = format!("{} asks for a fresh confirmation.\n{}", target.asset, waiting.words());
                let prompt = code.then(|| "Code, or Enter once confirmed: ".to_owned());
                (Due::Confirmation { waiting: Box::new(waiting), code }, Question { instruction, prompt, echo: false })
            }
            Err(_) if code => {
                let instruction = format!("{} asks for a fresh code.", target.asset);
                (Due::Code, Question { instruction, prompt: Some("Code: ".to_owned()), echo: false })
            }
            Err(NoConfirmation::NoPasskey) => {
                return Next::Enter(Entry::Refused(format!(
                    "{} asks for a passkey or security key, and you have none that can be used. Ask an administrator for an \
                     invitation.",
                    target.asset
                )));
            }
            Err(error) => {
                tracing::warn!(%error, "A confirmation cannot be asked for");
                return Next::Enter(Entry::Refused(format!(
                    "{} asks for a confirmation: {}",
                    target.asset,
                    error.sentence()
                )));
            }
        };
        Next::Ask(Self { session, target, due, question, answers: 0 })
    }

    async fn prove(self, offer: Offer<'_>) -> Next {
        match prove_again(&self.session, offer).await {
            Ok(proof) => Box::pin(Self::begin(self.session.proven_again(proof), self.target)).await,
            Err(words) => {
                let answers = self.answers + 1;
                if answers >= ANSWERS {
                    return Next::Reject;
                }
                let question =
                    Question { instruction: words.to_owned(), prompt: Some("Code: ".to_owned()), echo: false };
                Next::Ask(Admission { due: Due::Code, question, answers, ..self })
            }
        }
    }
}

/// What was typed; a longer answer than any can be is none.
pub(super) fn bounded(typed: &str) -> &str {
    if typed.len() <= LONGEST_ANSWER { typed } else { "" }
}
