//! What is decided upon.

use crate::approval::Approval;
use crate::factors::Proof;
use crate::names::{AccountName, AssetId, IdentityId, ServiceName};
use crate::role::RuleRef;
use crate::subject::Subject;

/// What somebody asks for, and what they have shown.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// Who asks.
    pub subject: &'a Subject,
    /// Which asset.
    pub asset: &'a AssetId,
    /// Which of its services.
    pub service: &'a ServiceName,
    /// With which account; [`AccountName::none`] where the protocol has no logins.
    pub account: &'a AccountName,
    /// What they have proven.
    pub proofs: &'a [Proof],
    /// The other sessions that are live now. When a live session is decided again: those that began before it, so that a
    /// lowered limit ends the newest and not all.
    pub live: &'a [LiveSession],
    /// What others have approved for them. Those that are over, or are of something else, count for nothing.
    pub approvals: &'a [Approval],
}

/// A session that is live now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveSession {
    /// Whose it is.
    pub identity: IdentityId,
    /// Where it goes.
    pub asset: AssetId,
    /// The grant that permitted it.
    pub rule: RuleRef,
}
