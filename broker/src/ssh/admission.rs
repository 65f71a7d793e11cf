//! Between a proven person and a permitted session: the questions that are still due, one at a time.
//!
//! Both doors use it: the direct form during the outer login, the jump form during the inner one.

use sallyport_policy::FactorKind;

use crate::audit::AuditEvent;
use crate::identity::{MultiFactor, Offer};
use crate::live::Target;
use crate::session::{Authenticated, Authorization, Authorized, Session, not_for_you};
use crate::vault::Secret;

/// How often a person may answer the same question wrongly.
const ANSWERS: u8 = 3;

/// A question that is due before the session may start.
#[derive(Debug)]
pub(in crate::ssh) struct Admission {
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
    /// The account's own password, for this one login.
    Password,
}

/// What comes next.
#[derive(Debug)]
pub(in crate::ssh) enum Next {
    /// Ask the person.
    Ask(Admission),
    /// No more questions.
    Enter(Entry),
    /// Too many wrong answers.
    Reject,
}

/// What a person is let into.
#[derive(Debug)]
pub(in crate::ssh) enum Entry {
    /// No target: the lobby, and jumps from it.
    Lobby(Session<Authenticated>),
    /// A permitted session, with what was typed for the account.
    Session { authorized: Box<Session<Authorized>>, typed: Option<Secret<String>> },
    /// Nothing but one plain sentence.
    Refused(String),
    /// Known, but one connection too many: it ends with this sentence.
    Crowded(String),
}

/// A prompt of keyboard-interactive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::ssh) struct Question {
    pub(in crate::ssh) instruction: String,
    pub(in crate::ssh) prompt: String,
}

impl Admission {
    /// Asks the policy, and says what is due.
    pub(in crate::ssh) async fn begin(session: Session<Authenticated>, target: Target) -> Next {
        match session.authorize(target.clone()).await {
            Authorization::Authorized(authorized) if authorized.asks_for_password() => {
                let question = Question {
                    instruction: String::new(),
                    prompt: format!("Password of {} on {}: ", target.account, target.asset),
                };
                Next::Ask(Admission { session, target, due: Due::Password, question, answers: 0 })
            }
            Authorization::Authorized(authorized) => Next::Enter(Entry::Session { authorized, typed: None }),
            Authorization::NeedFactors(need) if need.accepts(FactorKind::Totp) => {
                // Which rule asks is on the record; the person is told what to do.
                let instruction = format!("{} asks for a fresh code.", target.asset);
                let question = Question { instruction, prompt: "Code: ".to_owned() };
                Next::Ask(Admission { session, target, due: Due::Code, question, answers: 0 })
            }
            Authorization::NeedFactors(need) => {
                let kinds: Vec<_> = need.any_of.iter().map(ToString::to_string).collect();
                Next::Enter(Entry::Refused(format!(
                    "{} asks for {}, which this version of the broker cannot take over ssh.",
                    target.asset,
                    kinds.join(" or ")
                )))
            }
            Authorization::NeedApproval(_) => Next::Enter(Entry::Refused(
                "This needs somebody's approval first, which this version of the broker cannot ask for.".to_owned(),
            )),
            Authorization::Denied(refusal) => Next::Enter(Entry::Refused(refusal.sentence(target.asset.as_str()))),
        }
    }

    /// What is asked.
    pub(in crate::ssh) fn question(&self) -> Question {
        self.question.clone()
    }

    /// Takes an answer to the question that was asked.
    pub(in crate::ssh) async fn answer(self, answer: &str) -> Next {
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
            Due::Code => match prove_again(&self.session, answer).await {
                Ok(proof) => Box::pin(Self::begin(self.session.proven_again(proof), self.target)).await,
                Err(words) => {
                    let answers = self.answers + 1;
                    if answers >= ANSWERS {
                        return Next::Reject;
                    }
                    let question = Question { instruction: words.to_owned(), prompt: "Code: ".to_owned() };
                    Next::Ask(Admission {
                        session: self.session,
                        target: self.target,
                        due: Due::Code,
                        question,
                        answers,
                    })
                }
            },
        }
    }
}

/// Checks a code and puts the outcome on the record; what cannot be recorded does not count.
pub(in crate::ssh) async fn prove_again(
    session: &Session<Authenticated>,
    code: &str,
) -> Result<MultiFactor, &'static str> {
    let broker = session.broker();
    let (identity, source) = (session.proof().identity().to_string(), session.source().to_string());
    let proven = broker.identities.prove_again(session.proof(), Offer::Code(code), broker.now()).await;
    let event = match &proven {
        Ok(_) => {
            AuditEvent::FactorAccepted { identity, source, factor: "code".to_owned(), credential: "step-up".to_owned() }
        }
        Err(refused) => {
            AuditEvent::FactorRefused { identity, source, factor: "code".to_owned(), reason: refused.to_string() }
        }
    };
    if let Err(error) = broker.audit.record(event).await {
        tracing::error!(%error, "A factor could not be audited, so it does not count");
        return Err("The broker cannot check this now. Try again later.");
    }
    proven.map_err(|refused| refused.sentence())
}
