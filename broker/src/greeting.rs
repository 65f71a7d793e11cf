//! What a broker shows to whoever comes, before it knows who that is: it is renewed while the broker runs, and no connection ends by that.

use std::sync::{Arc, PoisonError, RwLock};

use crate::config::SshConfig;

/// What the broker is called, and what it says first.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Greeting {
    /// What its host certificate is for.
    pub(crate) names: Vec<String>,
    /// Shown before login.
    pub(crate) notice: String,
}

impl Greeting {
    fn of(ssh: &SshConfig) -> Self {
        Self { names: ssh.names.clone(), notice: ssh.login_notice.clone() }
    }
}

/// The greeting as it is now.
#[derive(Debug)]
pub(crate) struct Greetings(RwLock<Arc<Greeting>>);

impl Greetings {
    /// As a configuration has it.
    pub(crate) fn new(ssh: &SshConfig) -> Self {
        Self(RwLock::new(Arc::new(Greeting::of(ssh))))
    }

    pub(crate) fn now(&self) -> Arc<Greeting> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// As another configuration has it, for whoever comes from now on.
    pub(crate) fn renew(&self, ssh: &SshConfig) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(Greeting::of(ssh));
    }
}
