//! The login at the broker's own port: what russh hears, told to an [`Attempt`], and what comes next, told to russh.
//!
//! Nothing is decided here. russh enforces neither the methods that were offered nor their order; the attempt does.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use russh::keys::ssh_key::{Algorithm, Certificate, PublicKey};
use russh::server::Auth;
use russh::{MethodKind, MethodSet};
use sallyport_policy::IdentityId;

use crate::identity::Claim;
use crate::listen::Pass;
use crate::login::{Attempt, ClientName, Entrance, Entry, Left, Question, Step};
use crate::ssh::algorithms;
use crate::vault::Secret;

/// The login of one connection.
pub(in crate::ssh) struct OuterLogin {
    attempt: Attempt,
    /// Who was let in, and into what, until russh says that they are.
    entered: Option<(IdentityId, Entry)>,
}

impl OuterLogin {
    pub(in crate::ssh) fn new(entrance: Arc<Entrance>, source: IpAddr, pass: Pass, client: ClientName) -> Self {
        Self { attempt: Attempt::new(entrance, source, pass, client), entered: None }
    }

    /// Who was let in, and into what.
    pub(in crate::ssh) fn into_entered(self) -> Option<(IdentityId, Entry)> {
        self.entered
    }

    /// OpenSSH asks with `none` first, to learn the methods.
    pub(in crate::ssh) fn none(&mut self, name: &str) -> Result<Auth, russh::Error> {
        let step = self.attempt.ways(name);
        self.say(step)
    }

    pub(in crate::ssh) async fn password(&mut self, name: &str, password: &str) -> Result<Auth, russh::Error> {
        let step = self.attempt.first(name, Claim::Password(Secret::new(password.to_owned()))).await;
        self.say(step)
    }

    /// Whether a key is worth a signature. russh shows only the bare key of a certificate here.
    pub(in crate::ssh) async fn offered(
        &mut self,
        name: &str,
        key: &PublicKey,
        algorithm: &Algorithm,
    ) -> Result<Auth, russh::Error> {
        if !algorithms::signature_allowed(algorithm) {
            return self.none(name);
        }
        match self.attempt.worth_proving(name, key).await {
            Ok(()) => Ok(Auth::Accept),
            Err(step) => self.say(step),
        }
    }

    pub(in crate::ssh) async fn key(
        &mut self,
        name: &str,
        key: &PublicKey,
        algorithm: &Algorithm,
    ) -> Result<Auth, russh::Error> {
        if !algorithms::signature_allowed(algorithm) {
            return self.none(name);
        }
        let step = self.attempt.first(name, Claim::Key(key)).await;
        self.say(step)
    }

    pub(in crate::ssh) async fn certificate(
        &mut self,
        name: &str,
        certificate: &Certificate,
    ) -> Result<Auth, russh::Error> {
        let step = self.attempt.first(name, Claim::Certificate(certificate)).await;
        self.say(step)
    }

    /// keyboard-interactive, begun (`None`) or answered.
    pub(in crate::ssh) async fn interactive(&mut self, name: &str, answer: Option<&str>) -> Result<Auth, russh::Error> {
        let step = match answer {
            None => self.attempt.ask(name).await,
            Some(typed) => self.attempt.answer(name, typed).await,
        };
        self.say(step)
    }

    fn say(&mut self, step: Step) -> Result<Auth, russh::Error> {
        match step {
            Step::Ask(question) => Ok(ask(question)),
            Step::Partial => Ok(Auth::Reject { proceed_with_methods: methods(Left::Second), partial_success: true }),
            Step::Left(left) => Ok(Auth::Reject { proceed_with_methods: methods(left), partial_success: false }),
            Step::Enter { identity, entry } => {
                self.entered = Some((identity, entry));
                Ok(Auth::Accept)
            }
            Step::HangUp => {
                self.entered = None;
                Err(russh::Error::Disconnect)
            }
        }
    }
}

fn methods(left: Left) -> Option<MethodSet> {
    let kinds: &[MethodKind] = match left {
        Left::First => &[MethodKind::PublicKey, MethodKind::Password],
        Left::Second | Left::Envelope => &[MethodKind::KeyboardInteractive],
    };
    Some(MethodSet::from(kinds))
}

/// A question as a prompt of keyboard-interactive. Without a prompt the client answers at once.
pub(in crate::ssh) fn ask(question: Question) -> Auth {
    let echo = question.echo;
    Auth::Partial {
        name: Cow::Borrowed(""),
        instructions: Cow::Owned(question.instruction),
        prompts: question.prompt.into_iter().map(|prompt| (Cow::Owned(prompt), echo)).collect::<Vec<_>>().into(),
    }
}
