//! Signing in, and what to do when that is no longer possible.

use askama::Template;

use super::frame::{Frame, Place};
use super::text::Shown;

/// Name and password, or a passkey alone.
#[derive(Template)]
#[template(path = "sign_in.html")]
pub struct SignIn {
    /// What is around it.
    pub frame: Frame,
    /// The name as it was typed before.
    pub name: Shown,
    /// The path of ours that was wanted.
    pub next: String,
    /// Why the last attempt did not do.
    pub problem: Option<String>,
}

/// After the password: the second factor.
#[derive(Template)]
#[template(path = "second.html")]
pub struct Second {
    /// What is around it.
    pub frame: Frame,
    /// Who says they sign in.
    pub name: Shown,
    /// The path of ours that was wanted.
    pub next: String,
    /// Whether a passkey or security key does. For a name that is unknown it is as for one that is known.
    pub key: bool,
    /// Whether a code does.
    pub code: bool,
    /// Why the last attempt did not do.
    pub problem: Option<String>,
}

/// The phone or the key is gone.
#[derive(Template)]
#[template(path = "lost.html")]
pub struct Lost {
    /// What is around it.
    pub frame: Frame,
}
