//! An invitation: how somebody comes to their first second factor.

use askama::Template;

use super::frame::{Frame, Place};
use super::text::{Shown, When};

/// What whoever holds the link may set up, once.
#[derive(Template)]
#[template(path = "invitation.html")]
pub struct Invitation {
    /// What is around it.
    pub frame: Frame,
    /// Who is invited.
    pub name: Shown,
    /// Who invites.
    pub by: Shown,
    /// When the link ends.
    pub until: When,
    /// The path of the invitation; what can be set up lies below it.
    pub path: String,
    /// Whether the password is asked for with it.
    pub password: bool,
    /// Whether a passkey or security key can be set up.
    pub passkey: bool,
    /// Whether an authenticator app can be set up.
    pub authenticator: bool,
    /// Why the last attempt did not do.
    pub problem: Option<String>,
}
