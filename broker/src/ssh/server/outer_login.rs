//! The outer login: which factor, for which name, in which order.
//!
//! russh enforces neither the methods that were offered nor their order, and a change of the user name resets its own
//! lists but not ours. This state machine is therefore the only thing that stands between a connection and a session.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use jiff::SignedDuration;
use russh::keys::ssh_key::{Algorithm, Certificate, PublicKey};
use sallyport_policy::{AccountName, Asset, AssetId, Policy, Protocol, Service, ServiceName};

use super::shared::Server;
use crate::audit::AuditEvent;
use crate::broker::Broker;
use crate::identity::{MultiFactor, Offer, Refused, Verified};
use crate::listen::{Crowded, Pass, Progress};
use crate::live::{Form, Target};
use crate::logging::counted;
use crate::session::{Authenticated, Connecting, Session, not_for_you};
use crate::ssh::admission::{Admission, Entry, Next, Question};
use crate::ssh::algorithms;
use crate::ssh::login::{DirectTarget, Login};
use crate::ssh::refusals::{Note, Origin};
use crate::vault::Secret;

/// Messages of any kind before login. OpenSSH with six keys, as many as its own server takes, needs ten.
const MOST_ROUNDS: u32 = 25;
/// Wrong codes on one connection.
const MOST_CODES: u8 = 3;
/// Different user names on one connection.
const MOST_NAMES: u8 = 3;

/// What to answer.
#[derive(Debug)]
pub(in crate::ssh) enum Answer {
    /// Logged in.
    Accept,
    /// Not this way; these are left.
    Reject(Left),
    /// The first factor was right, the second is due.
    Partial,
    /// Ask this.
    Ask(Question),
    /// Close the connection.
    HangUp,
}

/// Which methods are left to a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::ssh) enum Left {
    /// publickey and password.
    First,
    /// keyboard-interactive.
    Second,
}

/// The state machine of one connection's login.
pub(in crate::ssh) struct Gate {
    server: Arc<Server>,
    source: IpAddr,
    pass: Pass,
    rounds: u32,
    names: u8,
    /// The name of the last request: whatever was proven, was proven for this name.
    name: Option<String>,
    state: State,
    /// A first factor that was right, and on which no second one has followed yet.
    alone: Option<Alone>,
}

/// A first factor without a second.
#[derive(Debug)]
struct Alone {
    identity: String,
    factor: String,
    credential: String,
    wrong_codes: u8,
}

#[derive(Debug)]
enum State {
    /// Nothing proven.
    Fresh,
    /// The first factor was right; `codes` answers since, none of which was.
    FirstFactor { login: Login, verified: Verified, codes: u8 },
    /// Both factors were right; the target asks for more.
    Admission(Admission),
    /// Let in.
    Admitted(Entry),
    /// Thrown out.
    Closed,
}

impl Gate {
    pub(in crate::ssh) fn new(server: Arc<Server>, source: IpAddr, pass: Pass) -> Self {
        Self { server, source, pass, rounds: 0, names: 0, name: None, state: State::Fresh, alone: None }
    }

    /// Who was let in.
    pub(in crate::ssh) fn identity(&self) -> Option<String> {
        let login = Login::parse(self.name.as_deref()?).ok()?;
        matches!(self.state, State::Admitted(_)).then(|| login.identity.to_string())
    }

    /// What the person was let into, once they were.
    pub(in crate::ssh) fn into_entry(mut self) -> Option<Entry> {
        match std::mem::replace(&mut self.state, State::Closed) {
            State::Admitted(entry) => Some(entry),
            State::Fresh | State::FirstFactor { .. } | State::Admission(_) | State::Closed => None,
        }
    }

    /// Counts a request, and drops what was proven for another name.
    fn request(&mut self, name: &str) -> bool {
        self.rounds += 1;
        if self.name.as_deref() != Some(name) {
            self.names += 1;
            self.name = Some(name.to_owned());
            self.state = State::Fresh;
            self.tell_alone("another name was given");
        }
        let bounded = self.rounds <= MOST_ROUNDS && self.names <= MOST_NAMES;
        if !bounded || matches!(self.state, State::Admitted(_) | State::Closed) {
            self.state = State::Closed;
        }
        !matches!(self.state, State::Closed)
    }

    /// OpenSSH asks with `none` first, to learn the methods. Nobody gets in by it.
    pub(in crate::ssh) fn none(&mut self, name: &str) -> Answer {
        if !self.request(name) {
            return Answer::HangUp;
        }
        self.left()
    }

    pub(in crate::ssh) async fn password(&mut self, name: &str, password: &str) -> Answer {
        if !self.request(name) {
            return Answer::HangUp;
        }
        if !matches!(self.state, State::Fresh) {
            return self.left();
        }
        // A name outside the grammar takes the way of an unknown one, and as long.
        let login = Login::parse(name).ok();
        let identity = login.as_ref().map_or(name, |l| l.identity.as_str());
        let verified = self
            .broker()
            .identities
            .first_factor_password(identity, Secret::new(password.to_owned()), self.source, self.broker().now())
            .await;
        self.first_factor(name, login, verified, "password").await
    }

    /// Whether a key is worth a signature. Where user certificates are trusted, every key is: russh shows only the bare
    /// key of a certificate here.
    pub(in crate::ssh) async fn offered(&mut self, name: &str, key: &PublicKey, algorithm: &Algorithm) -> Answer {
        if !self.request(name) {
            return Answer::HangUp;
        }
        if !matches!(self.state, State::Fresh) || !algorithms::signature_allowed(algorithm) {
            return self.left();
        }
        let Ok(login) = Login::parse(name) else { return self.left() };
        let identities = &self.broker().identities;
        if identities.takes_certificates() {
            return Answer::Accept;
        }
        match identities.key_known(login.identity.as_str(), key, self.broker().now()).await {
            Ok(true) => Answer::Accept,
            Ok(false) => self.left(),
            Err(error) => {
                counted!(error, "Keys cannot be looked up, so nobody can log in by one", %error);
                self.left()
            }
        }
    }

    pub(in crate::ssh) async fn key(&mut self, name: &str, key: &PublicKey, algorithm: &Algorithm) -> Answer {
        if !self.request(name) {
            return Answer::HangUp;
        }
        if !matches!(self.state, State::Fresh) || !algorithms::signature_allowed(algorithm) {
            return self.left();
        }
        let Ok(login) = Login::parse(name) else { return self.left() };
        let verified = self
            .broker()
            .identities
            .first_factor_key(login.identity.as_str(), key, self.source, self.broker().now())
            .await;
        self.first_factor(name, Some(login), verified, "key").await
    }

    pub(in crate::ssh) async fn certificate(&mut self, name: &str, certificate: &Certificate) -> Answer {
        if !self.request(name) {
            return Answer::HangUp;
        }
        if !matches!(self.state, State::Fresh) {
            return self.left();
        }
        let Ok(login) = Login::parse(name) else { return self.left() };
        let verified = self
            .broker()
            .identities
            .first_factor_certificate(login.identity.as_str(), certificate, self.source, self.broker().now())
            .await;
        self.first_factor(name, Some(login), verified, "certificate").await
    }

    /// keyboard-interactive, begun (`None`) or answered.
    pub(in crate::ssh) async fn interactive(&mut self, name: &str, answer: Option<&str>) -> Answer {
        if !self.request(name) {
            return Answer::HangUp;
        }
        match (std::mem::replace(&mut self.state, State::Fresh), answer) {
            (State::FirstFactor { login, verified, codes }, None) => {
                self.state = State::FirstFactor { login, verified, codes };
                Answer::Ask(code_question())
            }
            (State::FirstFactor { login, verified, codes }, Some(code)) => {
                self.second_factor(login, verified, codes, code).await
            }
            (State::Admission(admission), None) => {
                let question = admission.question();
                self.state = State::Admission(admission);
                Answer::Ask(question)
            }
            (State::Admission(admission), Some(answer)) => {
                let next = admission.answer(answer).await;
                self.proceed(next, Asking::Now)
            }
            // Begun before any first factor: nothing is asked, and nothing that is answered counts.
            (State::Fresh | State::Admitted(_) | State::Closed, _) => Answer::Reject(Left::First),
        }
    }

    fn broker(&self) -> &Arc<Broker> {
        &self.server.broker
    }

    /// What cannot be put on the record does not happen: the connection ends.
    async fn audit(&mut self, events: impl IntoIterator<Item = AuditEvent>) -> Result<(), Answer> {
        match self.broker().audit.record_all(events).await {
            Ok(()) => Ok(()),
            Err(error) => {
                counted!(error, "A login could not be audited, so it is refused", %error);
                self.state = State::Closed;
                Err(Answer::HangUp)
            }
        }
    }

    async fn note_refusal(&mut self, name: &str, factor: &'static str, reason: String) -> Result<(), Answer> {
        let identity: String = name.chars().take(64).collect();
        let source = self.source.to_string();
        let event = match self.server.refusals.note(self.source, Instant::now()) {
            Note::Counted => return Ok(()),
            Note::Record => AuditEvent::FactorRefused { identity, source, factor: factor.to_owned(), reason },
            Note::WaveBegins(origin) => wave_begins(origin),
        };
        self.audit([event]).await
    }

    fn left(&self) -> Answer {
        match self.state {
            State::Fresh => Answer::Reject(Left::First),
            State::FirstFactor { .. } | State::Admission(_) => Answer::Reject(Left::Second),
            State::Admitted(_) | State::Closed => Answer::HangUp,
        }
    }

    async fn first_factor(
        &mut self,
        name: &str,
        login: Option<Login>,
        verified: Result<Verified, Refused>,
        factor: &'static str,
    ) -> Answer {
        let verified = match (verified, &login) {
            (Ok(verified), Some(_)) => verified,
            (refused, _) => {
                let reason = refused.err().map_or_else(|| "not a login name".to_owned(), |r| r.to_string());
                tracing::debug!(name = %name.escape_debug(), source = %self.source, reason, "First factor refused");
                return match self.note_refusal(name, factor, reason).await {
                    Ok(()) => self.left(),
                    Err(hang_up) => hang_up,
                };
            }
        };
        let Some(login) = login else { return self.left() };
        self.pass.reached(Progress::FirstFactor);
        self.alone = Some(Alone {
            identity: verified.identity().to_string(),
            factor: verified.proof().kind.to_string(),
            credential: verified.credential().to_owned(),
            wrong_codes: 0,
        });
        let accepted = AuditEvent::FactorAccepted {
            identity: verified.identity().to_string(),
            source: self.source.to_string(),
            factor: verified.proof().kind.to_string(),
            credential: verified.credential().to_owned(),
        };
        let longest = crate::ssh::longest_lease_of(self.broker(), verified.subject());
        let leased = self.broker().identities.lease(&verified, longest, self.broker().now()).await;
        match leased {
            Ok(Some(proof)) => {
                let used = proof.lease().map(|lease| AuditEvent::LeaseUsed {
                    identity: proof.identity().to_string(),
                    source: self.source.to_string(),
                    lease: lease.to_string(),
                });
                let before = [accepted].into_iter().chain(used).collect();
                return self.logged_in(&login, proof, before, Asking::ByPartialSuccess).await;
            }
            // Without a lease, or without knowing of one, the second factor is due.
            Ok(None) => {}
            Err(error) => counted!(warn, "Leases cannot be looked up", %error),
        }
        match self.audit([accepted]).await {
            Ok(()) => self.second_factor_due(login, verified),
            Err(hang_up) => hang_up,
        }
    }

    fn second_factor_due(&mut self, login: Login, verified: Verified) -> Answer {
        self.state = State::FirstFactor { login, verified, codes: 0 };
        Answer::Partial
    }

    async fn second_factor(&mut self, login: Login, verified: Verified, codes: u8, code: &str) -> Answer {
        // What a terminal that is gone answers. It is no guess, and holds nobody up.
        if Offer::Code(code).is_empty() {
            return self.ask_again(login, verified, codes, String::new());
        }
        let now = self.broker().now();
        match self.broker().identities.second_factor(&verified, Offer::Code(code), now).await {
            Ok(proof) => {
                let longest = crate::ssh::longest_lease_of(self.broker(), verified.subject());
                match self.proven(proof, longest).await {
                    Ok((proof, granted)) => self.logged_in(&login, proof, granted, Asking::Now).await,
                    Err(hang_up) => hang_up,
                }
            }
            Err(refused) => {
                tracing::info!(identity = %login.identity, source = %self.source, %refused, "Second factor refused");
                let event = AuditEvent::FactorRefused {
                    identity: login.identity.to_string(),
                    source: self.source.to_string(),
                    factor: "code".to_owned(),
                    reason: refused.to_string(),
                };
                if let Err(hang_up) = self.audit([event]).await {
                    return hang_up;
                }
                if let Some(alone) = &mut self.alone {
                    alone.wrong_codes += 1;
                }
                if codes + 1 < MOST_CODES {
                    return self.ask_again(login, verified, codes, refused.sentence().to_owned());
                }
                let wrong = self.alone.take().map_or(0, |alone| alone.wrong_codes);
                let event = AuditEvent::LoginRefused {
                    identity: login.identity.to_string(),
                    source: self.source.to_string(),
                    reason: match refused {
                        Refused::WrongCode | Refused::WrongCodeByClock { .. } => {
                            format!("{wrong} wrong codes on one connection")
                        }
                        other => format!("{wrong} codes on one connection, none of which counted; the last: {other}"),
                    },
                };
                self.state = State::Closed;
                self.audit([event]).await.err().unwrap_or(Answer::HangUp)
            }
        }
    }

    /// Asks for a code once more, unless it was asked for often enough.
    fn ask_again(&mut self, login: Login, verified: Verified, codes: u8, instruction: String) -> Answer {
        let codes = codes + 1;
        if codes >= MOST_CODES {
            self.state = State::Closed;
            self.tell_alone("nothing was answered");
            return Answer::HangUp;
        }
        self.state = State::FirstFactor { login, verified, codes };
        Answer::Ask(Question { instruction, ..code_question() })
    }

    /// Puts on the record that a first factor was right and no second followed. In a task of its own: whoever left is not
    /// there to wait for it.
    fn tell_alone(&mut self, ending: &str) {
        let Some(Alone { identity, factor, credential, wrong_codes }) = self.alone.take() else { return };
        let source = self.source.to_string();
        let reason = format!("{ending}, after {wrong_codes} wrong codes");
        tracing::warn!(identity, source, factor, reason, "A first factor was right, and no second one followed");
        let event = match self.server.refusals.note(self.source, Instant::now()) {
            Note::Counted => return,
            Note::Record => AuditEvent::LoginAbandoned { identity, source, factor, credential, reason },
            Note::WaveBegins(origin) => wave_begins(origin),
        };
        let broker = Arc::clone(self.broker());
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return tracing::error!("A login that was given up could not be audited: the broker is stopping");
        };
        runtime.spawn(async move {
            if let Err(error) = broker.audit.record(event).await {
                tracing::error!(%error, "A login that was given up could not be audited");
            }
        });
    }

    /// A fresh second factor: on the record, and good for a while if a grant says so. That it is, is still to be recorded.
    async fn proven(
        &mut self,
        mut proof: MultiFactor,
        longest: SignedDuration,
    ) -> Result<(MultiFactor, Vec<AuditEvent>), Answer> {
        let factor = proof.second().map_or_else(String::new, |p| p.kind.to_string());
        let (identity, source) = (proof.identity().to_string(), self.source.to_string());
        let accepted = AuditEvent::FactorAccepted {
            identity: identity.clone(),
            source: source.clone(),
            credential: factor.clone(),
            factor: factor.clone(),
        };
        self.audit([accepted]).await?;
        let now = self.broker().now();
        let granted = self.broker().identities.grant_lease(&mut proof, longest, now).await;
        match granted {
            Ok(Some(lease)) => {
                let (lease, expires_at) = (lease.id.to_string(), lease.expires_at);
                Ok((proof, vec![AuditEvent::LeaseGranted { identity, source, lease, factor, expires_at }]))
            }
            Ok(None) => Ok((proof, Vec::new())),
            Err(error) => {
                // The login itself stands; the next one asks for a code again.
                counted!(warn, "A lease could not be granted", %error);
                Ok((proof, Vec::new()))
            }
        }
    }

    /// Both factors stand. `before` is what led here and is not on the record yet.
    async fn logged_in(
        &mut self,
        login: &Login,
        proof: MultiFactor,
        mut before: Vec<AuditEvent>,
        asking: Asking,
    ) -> Answer {
        self.alone = None;
        let limit = self.broker().policy.current().connections(proof.subject());
        match self.pass.enter(proof.identity().as_str(), limit) {
            Ok(()) => {}
            Err(Crowded::Identity { limit }) => return self.crowded(&proof, limit, before).await,
            Err(Crowded::Gone) => {
                self.state = State::Closed;
                return Answer::HangUp;
            }
        }
        before.push(AuditEvent::LoginAccepted {
            identity: proof.identity().to_string(),
            source: self.source.to_string(),
            factors: proof.proofs().iter().map(|p| p.kind.to_string()).collect(),
            lease: proof.lease().map(ToString::to_string),
        });
        if let Err(hang_up) = self.audit(before).await {
            return hang_up;
        }
        let session = Session::<Connecting>::accepted(Arc::clone(self.broker()), self.source).authenticate(proof);
        let next = match &login.target {
            None => Next::Enter(Entry::Lobby(session)),
            Some(target) => direct(session, target).await,
        };
        self.proceed(next, asking)
    }

    /// Both factors stand, but the person has as many connections open as their roles allow: they are told so, and no more.
    async fn crowded(&mut self, proof: &MultiFactor, limit: u32, mut before: Vec<AuditEvent>) -> Answer {
        let (identity, source) = (proof.identity().to_string(), self.source.to_string());
        before.push(AuditEvent::ConnectionRefused { identity, source, limit });
        if let Err(hang_up) = self.audit(before).await {
            return hang_up;
        }
        self.state = State::Admitted(Entry::Crowded(format!(
            "You have {limit} connections open, and may have no more. Close one first."
        )));
        Answer::Accept
    }

    fn proceed(&mut self, next: Next, asking: Asking) -> Answer {
        match next {
            Next::Ask(admission) => {
                let question = admission.question();
                self.state = State::Admission(admission);
                match asking {
                    Asking::Now => Answer::Ask(question),
                    Asking::ByPartialSuccess => Answer::Partial,
                }
            }
            Next::Enter(entry) => {
                self.state = State::Admitted(entry);
                Answer::Accept
            }
            Next::Reject => {
                self.state = State::Closed;
                Answer::HangUp
            }
        }
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        let ending = if self.pass.ejected() {
            "the connection had to make room"
        } else {
            "the connection ended, or the login took too long"
        };
        self.tell_alone(ending);
    }
}

fn wave_begins(origin: Origin) -> AuditEvent {
    AuditEvent::LoginThrottled {
        identity: None,
        source: origin.to_string(),
        reason: "refused logins from this source come faster than they are recorded".to_owned(),
    }
}

/// How a further question reaches the person.
#[derive(Debug, Clone, Copy)]
enum Asking {
    /// keyboard-interactive is under way: the next prompt.
    Now,
    /// Another method is under way: partial success, upon which the client begins keyboard-interactive.
    ByPartialSuccess,
}

fn code_question() -> Question {
    Question { instruction: String::new(), prompt: "Code: ".to_owned() }
}

/// The direct form: the asset and, where the person did not say, the one account that is granted.
async fn direct(session: Session<Authenticated>, target: &DirectTarget) -> Next {
    match resolve(&session, &target.host, None, target.account.clone(), Form::Direct) {
        Ok(target) => Admission::begin(session, target).await,
        Err(Unresolved { reason, sentence }) => {
            // Refused either way; that it could not be put on record is said instead of the sentence.
            let recorded = session.refuse_on_record(&target.host, Protocol::Ssh, &reason).await;
            Next::Enter(Entry::Refused(recorded.map_or_else(|refusal| refusal.sentence(&target.host), |()| sentence)))
        }
    }
}

/// What a person wrote is no target.
pub(in crate::ssh) struct Unresolved {
    /// Why, for the audit chain.
    reason: String,
    /// For the person: the same for what does not exist and what is not granted.
    sentence: String,
}

/// What a person wrote, as a target of the plant file.
///
/// # Errors
/// When it is none, or one of several.
fn resolve(
    session: &Session<Authenticated>,
    host: &str,
    port: Option<u16>,
    account: Option<AccountName>,
    form: Form,
) -> Result<Target, Unresolved> {
    let policy = session.broker().policy.current();
    let subject = session.proof().subject().clone();
    let located = match port {
        Some(port) => policy.locate(host, port).filter(|(_, service)| service.protocol == Protocol::Ssh),
        None => ssh_service(&policy, host),
    };
    let nowhere = |reason: &str| Unresolved { reason: reason.to_owned(), sentence: not_for_you(host) };
    let (asset, service) = located.ok_or_else(|| nowhere("not an asset of the plant file with one ssh service"))?;
    let granted = policy.accounts(&subject, &asset.id, &service.name);
    let target = |account: AccountName, asset: &AssetId, service: &ServiceName| Target {
        asset: asset.clone(),
        service: service.clone(),
        account,
        form,
    };
    match (account, granted.as_slice()) {
        (Some(account), _) => Ok(target(account, &asset.id, &service.name)),
        (None, []) => Err(nowhere("no grant names it for this identity")),
        (None, [only]) => Ok(target(only.clone(), &asset.id, &service.name)),
        (None, several) => {
            let names: Vec<_> = several.iter().map(AccountName::as_str).collect();
            let sentence = format!(
                "Several accounts are yours on {}: say which, as in {}@{}. They are {}.",
                asset.id,
                names[0],
                asset.id,
                names.join(", ")
            );
            Err(Unresolved { reason: "several accounts are granted and none was named".to_owned(), sentence })
        }
    }
}

/// The one ssh service of an asset, by plant name or address.
pub(in crate::ssh) fn ssh_service<'a>(policy: &'a Policy, host: &str) -> Option<(&'a Asset, &'a Service)> {
    let address = host.parse::<IpAddr>().ok();
    let asset = policy.assets().find(|a| a.id.as_str().eq_ignore_ascii_case(host) || Some(a.address) == address)?;
    let mut services = asset.services.values().filter(|s| s.protocol == Protocol::Ssh);
    services.next().filter(|_| services.next().is_none()).map(|service| (asset, service))
}
