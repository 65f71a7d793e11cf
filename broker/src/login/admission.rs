//! Between a proven person and a permitted session: the questions that are still due, one at a time.
//!
//! Every form uses it: the direct one during the login, the jump during the login inside, the list after a choice.

use sallyport_policy::{FactorKind, Protocol};

use super::name::DirectTarget;
use super::step_up::prove_again;
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

/// A question, as it is shown; what is typed as the answer is not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Question {
    pub(crate) instruction: String,
    pub(crate) prompt: String,
}

impl Admission {
    /// Where somebody wanted to go from the start, as their login name says.
    pub(super) async fn direct(session: Session<Authenticated>, written: &DirectTarget) -> Next {
        let policy = session.broker().policy.current();
        match target::direct(&policy, session.proof().subject(), written) {
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
            Due::Code => match prove_again(&self.session, Offer::Code(answer)).await {
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

/// What was typed; a longer answer than any can be is none.
pub(super) fn bounded(typed: &str) -> &str {
    if typed.len() <= LONGEST_ANSWER { typed } else { "" }
}
