//! What somebody has open: sessions and leases.

use askama::Template;

use super::frame::{Frame, Place};
use super::text::{Choice, Shown, Span, When};

/// Somebody's own live sessions and leases.
#[derive(Template)]
#[template(path = "sessions.html")]
pub struct Sessions {
    /// What is around it.
    pub frame: Frame,
    /// The sessions that live.
    pub sessions: Vec<LiveSession>,
    /// The leases that count.
    pub leases: Vec<MyLease>,
    /// What a new lease can be for; none for whoever has no passkey to sign it.
    pub new: Option<NewLease>,
}

/// A session that lives.
#[derive(Clone, Debug)]
pub struct LiveSession {
    /// Its id, as log and recording have it.
    pub id: String,
    /// `account@asset`, and the service where it is not ssh.
    pub target: Shown,
    /// The service.
    pub service: Shown,
    /// From which address.
    pub source: Shown,
    /// Since when.
    pub since: When,
    /// From its begin until it must end, where it must.
    pub span: Option<Span>,
}

/// A second factor that still counts.
#[derive(Clone, Debug)]
pub struct MyLease {
    /// Its id.
    pub id: String,
    /// For which key or password.
    pub credential: Shown,
    /// From which address.
    pub source: Shown,
    /// By which factor.
    pub factor: Shown,
    /// From the proof until it ends.
    pub span: Span,
}

/// A lease that could be opened: for a key of theirs, from the address they are at.
#[derive(Clone, Debug)]
pub struct NewLease {
    /// The address that it would let in.
    pub source: Shown,
    /// The SSH keys it can be for.
    pub keys: Vec<Choice>,
    /// Until when it can last.
    pub until: Vec<Choice>,
}
