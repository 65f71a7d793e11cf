//! The inner login of `ssh -J`: the outer one has proven who it is, so that nothing is asked unless something is due.

use sallyport_policy::{AssetId, IdentityId, ServiceName};

use crate::login::{Admission, Entry, Next, Question, target};
use crate::session::{Authenticated, Session, not_for_you};

/// Requests of any kind before the session starts.
const MOST_ROUNDS: u32 = 30;

/// What to answer.
#[derive(Debug)]
pub(in crate::ssh) enum LoginAnswer {
    /// Let in, if only to hear a sentence.
    Accept,
    /// Only keyboard-interactive goes on.
    Reject,
    /// Ask this.
    Ask(Question),
    /// Close the connection.
    HangUp,
}

/// The inner login of one jump to one service.
#[derive(Debug)]
pub(in crate::ssh) struct JumpLogin {
    session: Session<Authenticated>,
    asset: AssetId,
    service: ServiceName,
    rounds: u32,
    name: Option<String>,
    state: State,
}

#[derive(Debug)]
enum State {
    Fresh,
    Admission(Admission),
    Admitted(Entry),
    Closed,
}

impl JumpLogin {
    pub(in crate::ssh) fn new(session: Session<Authenticated>, asset: AssetId, service: ServiceName) -> Self {
        Self { session, asset, service, rounds: 0, name: None, state: State::Fresh }
    }

    /// Whose it is.
    pub(in crate::ssh) fn identity(&self) -> &IdentityId {
        self.session.proof().identity()
    }

    pub(in crate::ssh) fn into_entry(self) -> Option<Entry> {
        match self.state {
            State::Admitted(entry) => Some(entry),
            State::Fresh | State::Admission(_) | State::Closed => None,
        }
    }

    /// `none`: the usual way in. A key or password stands for it, from clients that never try it (paramiko): the outer login has proven
    /// who it is, and neither is looked at.
    pub(in crate::ssh) async fn none(&mut self, name: &str) -> LoginAnswer {
        if !self.request(name) {
            return LoginAnswer::HangUp;
        }
        match self.state {
            State::Fresh => self.begin(name, false).await,
            State::Admission(_) => LoginAnswer::Reject,
            State::Admitted(_) | State::Closed => LoginAnswer::HangUp,
        }
    }

    /// A key that the client would sign with: it is to do so, unless it is keyboard-interactive's turn.
    pub(in crate::ssh) fn offered(&mut self, name: &str) -> LoginAnswer {
        match (self.request(name), &self.state) {
            (false, _) => LoginAnswer::HangUp,
            (true, State::Fresh) => LoginAnswer::Accept,
            (true, State::Admission(_) | State::Admitted(_) | State::Closed) => LoginAnswer::Reject,
        }
    }

    /// keyboard-interactive, begun (`None`) or answered.
    pub(in crate::ssh) async fn interactive(&mut self, name: &str, answer: Option<&str>) -> LoginAnswer {
        if !self.request(name) {
            return LoginAnswer::HangUp;
        }
        match (std::mem::replace(&mut self.state, State::Fresh), answer) {
            (State::Fresh, None) => self.begin(name, true).await,
            (State::Admission(admission), None) => {
                let question = admission.question();
                self.state = State::Admission(admission);
                LoginAnswer::Ask(question)
            }
            (State::Admission(admission), Some(answer)) => {
                let next = admission.answer(answer).await;
                self.proceed(next, true)
            }
            (State::Fresh, Some(_)) => LoginAnswer::Reject,
            (State::Admitted(_) | State::Closed, _) => {
                self.state = State::Closed;
                LoginAnswer::HangUp
            }
        }
    }

    fn request(&mut self, name: &str) -> bool {
        self.rounds += 1;
        if self.name.as_deref() != Some(name) {
            self.name = Some(name.to_owned());
            // What was admitted, was admitted for another account.
            self.state = State::Fresh;
        }
        if self.rounds > MOST_ROUNDS {
            self.state = State::Closed;
        }
        !matches!(self.state, State::Closed)
    }

    async fn begin(&mut self, name: &str, interactive: bool) -> LoginAnswer {
        let next = match target::jump(&self.asset, &self.service, name) {
            Some(target) => Admission::begin(self.session.another(), target).await,
            None => Next::Enter(Entry::Refused(not_for_you(self.asset.as_str()))),
        };
        self.proceed(next, interactive)
    }

    fn proceed(&mut self, next: Next, interactive: bool) -> LoginAnswer {
        match next {
            Next::Ask(admission) => {
                let question = admission.question();
                self.state = State::Admission(admission);
                if interactive { LoginAnswer::Ask(question) } else { LoginAnswer::Reject }
            }
            Next::Enter(entry) => {
                self.state = State::Admitted(entry);
                LoginAnswer::Accept
            }
            Next::Reject => {
                self.state = State::Closed;
                LoginAnswer::HangUp
            }
        }
    }
}
