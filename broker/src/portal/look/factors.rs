//! How somebody proves who they are: passkeys, the authenticator, recovery codes, SSH keys.

use askama::Template;

use super::frame::{Frame, Place};
use super::qr::Qr;
use super::text::{Shown, When};

/// Somebody's own factors.
#[derive(Template)]
#[template(path = "factors.html")]
pub struct Factors {
    /// What is around it.
    pub frame: Frame,
    /// What must be proven again before anything can be changed here.
    pub prove: Option<ProveAgain>,
    /// Passkeys and security keys.
    pub passkeys: Vec<Passkey>,
    /// The authenticator app, where there is one.
    pub authenticator: Option<Authenticator>,
    /// How many recovery codes are left.
    pub recovery_left: usize,
    /// The keys that ssh may sign in with.
    pub ssh_keys: Vec<SshKey>,
}

/// How somebody can prove again that it is they who are signed in.
#[derive(Clone, Debug)]
pub struct ProveAgain {
    /// Whether a passkey or security key does.
    pub key: bool,
    /// Whether a code does.
    pub code: bool,
    /// Why the last one did not do.
    pub problem: Option<String>,
}

/// A passkey or security key.
#[derive(Clone, Debug)]
pub struct Passkey {
    /// What the path of its removal names it by.
    pub id: String,
    /// The name that its person gave it.
    pub name: Shown,
    /// When it was added.
    pub added: When,
    /// When it was used last.
    pub used: Option<When>,
    /// Whether it would be accepted: one that asks for no PIN need not be.
    pub counts: bool,
    /// Whether it may be removed: never the last second factor that counts.
    pub removable: bool,
}

/// An authenticator app.
#[derive(Clone, Debug)]
pub struct Authenticator {
    /// When it was set up.
    pub added: When,
    /// When a code of it was used last.
    pub used: Option<When>,
}

/// A key that ssh may sign in with.
#[derive(Clone, Debug)]
pub struct SshKey {
    /// Its fingerprint, as `ssh-keygen -l` shows it.
    pub fingerprint: Shown,
    /// When it was added.
    pub added: When,
}

/// An authenticator app to set up: it counts only once a code of it was given.
#[derive(Template)]
#[template(path = "totp.html")]
pub struct Totp {
    /// What is around it.
    pub frame: Frame,
    /// What the app's camera reads.
    pub qr: Qr,
    /// The same to type, in groups of four.
    pub secret: String,
    /// How long a code is.
    pub digits: u8,
    /// Where the form goes.
    pub action: String,
    /// Where to go without it.
    pub back: String,
    /// Whether an app that works now stops to.
    pub replaces: bool,
    /// Why the last code did not do.
    pub problem: Option<String>,
}

/// New recovery codes, which nothing will show again.
#[derive(Template)]
#[template(path = "recovery.html")]
pub struct Recovery {
    /// What is around it.
    pub frame: Frame,
    /// Whose they are.
    pub name: Shown,
    /// When they were made.
    pub made: When,
    /// The codes.
    pub codes: Vec<String>,
    /// Where to go then.
    pub next: String,
}
