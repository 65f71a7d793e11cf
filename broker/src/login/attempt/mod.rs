//! One login: which factor, for which name, in which order.
//!
//! Here is what may come when, and how often; `factors.rs` looks at what came, `second.rs` at the ways to a second factor, and
//! `entering.rs` lets in.
//!
//! No client is held to the ways that it is offered, nor to their order, and the libraries behind a door enforce neither.
//! This state machine is therefore the only thing that stands between a connection and a session.

mod entering;
mod factors;
mod glass;
mod second;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use sallyport_policy::IdentityId;
use ssh_key::PublicKey;

use super::abandoned::Alone;
use super::admission::{Admission, Entry, Question, bounded};
use super::client::ClientName;
use super::confirmation::Waiting;
use super::entrance::Entrance;
use super::name::LoginName;
use crate::audit::AuditEvent;
use crate::broker::Broker;
use crate::identity::{Claim, Verified};
use crate::listen::Pass;
use crate::logging::counted;
use glass::Breaking;

/// Requests of any kind before login. OpenSSH with six keys, as many as its own server takes, needs ten.
const MOST_REQUESTS: u32 = 25;
/// Wrong codes on one connection.
const MOST_CODES: u8 = 3;
/// Different names on one connection.
const MOST_NAMES: u8 = 3;

/// One connection's login.
pub(crate) struct Attempt {
    entrance: Arc<Entrance>,
    source: IpAddr,
    pass: Pass,
    client: ClientName,
    begun: Instant,
    requests: u32,
    names: u8,
    /// The name of the last request: whatever was proven, was proven for this name.
    name: Option<String>,
    state: State,
    /// A first factor that was right, and on which no second one has followed yet.
    alone: Option<Alone>,
}

/// What comes next.
#[must_use]
#[derive(Debug)]
pub(crate) enum Step {
    /// Ask this; the answer is for [`Attempt::answer`].
    Ask(Question),
    /// The first factor was right, and something is due: [`Attempt::ask`] says what.
    Partial,
    /// Logged in, and the attempt is over.
    Enter {
        /// Who.
        identity: IdentityId,
        /// Into what.
        entry: Entry,
    },
    /// Not this way; these are left.
    Left(Left),
    /// Close the connection: the attempt is over.
    HangUp,
}

/// Which ways are left to a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Left {
    /// A first factor.
    First,
    /// An answer to the question that is due.
    Second,
    /// The code of an envelope.
    Envelope,
}

#[derive(Debug)]
enum State {
    /// Nothing proven.
    Fresh,
    /// The first factor was right.
    FirstFactor(Box<FirstFactor>),
    /// Both factors were right; the target asks for more.
    Admission { identity: IdentityId, admission: Box<Admission> },
    /// They are opening envelopes.
    Breaking(Box<Breaking>),
    /// They are told why it ends here.
    Farewell,
    /// Let in or thrown out.
    Over,
}

/// A first factor that was right, and what has followed.
#[derive(Debug)]
struct FirstFactor {
    login: LoginName,
    verified: Verified,
    /// Answers since, none of which was right.
    answers: u8,
    ways: Ways,
    /// Whether it may wait with another login of its like.
    join: bool,
}

/// How a second factor can be given.
#[derive(Debug)]
enum Ways {
    /// Not looked up yet.
    Unknown,
    /// By a typed code.
    Code,
    /// By confirming in the portal, or also by a code.
    Confirmation { waiting: Box<Waiting>, code: bool },
}

impl Attempt {
    /// Somebody at a door, from this source, with what the door gave them to show.
    pub(crate) fn new(entrance: Arc<Entrance>, source: IpAddr, pass: Pass, client: ClientName) -> Self {
        let begun = Instant::now();
        let (state, name, alone) = (State::Fresh, None, None);
        Self { entrance, source, pass, client, begun, requests: 0, names: 0, name, state, alone }
    }

    /// Nothing is shown: which ways are there? Nobody gets in by it.
    pub(crate) fn ways(&mut self, name: &str) -> Step {
        match self.request(name) {
            true if Self::is_glass(name) => self.envelope_only(),
            true => self.left(),
            false => Step::HangUp,
        }
    }

    /// Whether a key is worth being proven, where a client may ask before it signs. Where user certificates are trusted,
    /// every key is: the key of a certificate looks like any other here.
    ///
    /// # Errors
    /// What comes next, when it is not.
    pub(crate) async fn worth_proving(&mut self, name: &str, key: &PublicKey) -> Result<(), Step> {
        if !self.request(name) {
            return Err(Step::HangUp);
        }
        if Self::is_glass(name) {
            return Err(self.envelope_only());
        }
        let login = LoginName::parse(name).ok().filter(|_| matches!(self.state, State::Fresh));
        let Some(login) = login else { return Err(self.left()) };
        let identities = &self.broker().identities;
        if identities.takes_certificates() {
            return Ok(());
        }
        match identities.key_known(login.identity.as_str(), key, self.broker().now()).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(self.left()),
            Err(error) => {
                counted!(error, "Keys cannot be looked up, so nobody can log in by one", %error);
                Err(self.left())
            }
        }
    }

    /// A first factor.
    pub(crate) async fn first(&mut self, name: &str, claim: Claim<'_>) -> Step {
        if !self.request(name) {
            return Step::HangUp;
        }
        if Self::is_glass(name) {
            return self.envelope_only();
        }
        if !matches!(self.state, State::Fresh) {
            return self.left();
        }
        let word = claim.word();
        // A name outside the grammar takes the way of an unknown one, and as long.
        let login = LoginName::parse(name).ok();
        let identity = login.as_ref().map_or(name, |login| login.identity.as_str());
        let broker = self.broker();
        match (broker.identities.first_factor(identity, claim, self.source, broker.now()).await, login) {
            (Ok(verified), Some(login)) => self.first_stands(login, verified).await,
            (refused, _) => {
                let reason = refused.err().map_or_else(|| "not a login name".to_owned(), |refused| refused.to_string());
                tracing::debug!(name = %name.escape_debug(), source = %self.source, reason, "First factor refused");
                match self.note_refusal(name, word, reason).await {
                    Ok(()) => self.left(),
                    Err(hang_up) => hang_up,
                }
            }
        }
    }

    /// What is due? Begun before any first factor, nothing is asked, and nothing that is answered counts.
    pub(crate) async fn ask(&mut self, name: &str) -> Step {
        if !self.request(name) {
            return Step::HangUp;
        }
        match self.take() {
            State::FirstFactor(first) => self.ask_second(first).await,
            State::Admission { identity, admission } => {
                let question = admission.question();
                self.state = State::Admission { identity, admission };
                Step::Ask(question)
            }
            State::Breaking(breaking) => self.ask_breaking_again(*breaking),
            State::Farewell => self.hang_up(),
            State::Fresh if Self::is_glass(name) => self.ask_envelope(name),
            state @ (State::Fresh | State::Over) => {
                self.state = state;
                Step::Left(Left::First)
            }
        }
    }

    /// What was typed as the answer to the question that was asked.
    pub(crate) async fn answer(&mut self, name: &str, typed: &str) -> Step {
        if !self.request(name) {
            return Step::HangUp;
        }
        let typed = bounded(typed);
        match self.take() {
            State::FirstFactor(first) => self.answer_second(first, typed).await,
            State::Admission { identity, admission } => {
                let next = admission.answer(typed).await;
                self.proceed(identity, next, Asking::Now)
            }
            State::Breaking(breaking) => self.answer_breaking(*breaking, typed).await,
            State::Farewell => self.hang_up(),
            state @ (State::Fresh | State::Over) => {
                self.state = state;
                Step::Left(Left::First)
            }
        }
    }

    fn broker(&self) -> &Arc<Broker> {
        &self.entrance.broker
    }

    /// Counts a request, and drops what was proven for another name. What is over stays over.
    fn request(&mut self, name: &str) -> bool {
        if matches!(self.state, State::Over) {
            return false;
        }
        self.requests += 1;
        if self.name.as_deref() != Some(name) {
            self.names += 1;
            self.name = Some(name.to_owned());
            self.state = State::Fresh;
            self.tell_alone("another name was given");
        }
        if self.requests > MOST_REQUESTS || self.names > MOST_NAMES {
            self.state = State::Over;
        }
        !matches!(self.state, State::Over)
    }

    /// The state, to go on from. Whoever leaves while their answer is looked at has left for good.
    fn take(&mut self) -> State {
        std::mem::replace(&mut self.state, State::Over)
    }

    fn hang_up(&mut self) -> Step {
        self.state = State::Over;
        Step::HangUp
    }

    fn left(&self) -> Step {
        match self.state {
            State::Fresh => Step::Left(Left::First),
            State::FirstFactor(_) | State::Admission { .. } => Step::Left(Left::Second),
            State::Breaking(_) => Step::Left(Left::Envelope),
            State::Farewell | State::Over => Step::HangUp,
        }
    }

    /// What cannot be put on the record does not happen: the connection ends.
    async fn audit(&mut self, events: impl IntoIterator<Item = AuditEvent>) -> Result<(), Step> {
        match self.broker().audit.record_all(events).await {
            Ok(()) => Ok(()),
            Err(error) => {
                counted!(error, "A login could not be audited, so it is refused", %error);
                Err(self.hang_up())
            }
        }
    }

    async fn note_refusal(&mut self, name: &str, factor: &'static str, reason: String) -> Result<(), Step> {
        match self.entrance.first_refused(name, self.source, factor, reason) {
            Some(event) => self.audit([event]).await,
            None => Ok(()),
        }
    }

    fn factor_refused(&self, identity: String, factor: &'static str, reason: String) -> AuditEvent {
        AuditEvent::FactorRefused { identity, source: self.source.to_string(), factor: factor.to_owned(), reason }
    }

    fn tell_alone(&mut self, ending: &str) {
        if let Some(alone) = self.alone.take() {
            alone.tell(&self.entrance, ending);
        }
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        let ending = if self.pass.ejected() {
            "the connection had to make room"
        } else {
            "the connection ended, or the login took too long"
        };
        self.tell_alone(ending);
    }
}

/// How a further question reaches the person.
#[derive(Debug, Clone, Copy)]
enum Asking {
    /// They are answering questions: the next one.
    Now,
    /// They are not: it is said that something is due, upon which they begin to be asked.
    WhenBegun,
}
