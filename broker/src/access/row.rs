//! A row of the report on access.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use sallyport_policy::{AccountName, AssetId, ChannelKind, FactorKind, FileTransfer, Protocol, ServiceName, ZoneId};
use serde::Serialize;

/// One way to one account of one service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct AccessRow {
    /// For whom.
    #[serde(flatten)]
    pub(crate) person: AccessPerson,
    /// Where to.
    pub(crate) asset: AssetId,
    /// The zone it stands in.
    pub(crate) zone: ZoneId,
    /// Which of its services.
    pub(crate) service: ServiceName,
    /// What is spoken there.
    pub(crate) protocol: Protocol,
    /// With which account.
    pub(crate) account: AccountName,
    /// By what kind of rule.
    pub(crate) by: AccessRule,
    /// The rule that decides.
    pub(crate) rule: String,
    /// What the gate would answer, with all that they can prove.
    pub(crate) answer: AccessAnswer,
    /// Why it would not let them.
    pub(crate) why: String,
    /// One of these has to be proven, besides a second factor; none for an envelope.
    pub(crate) factors: BTreeSet<FactorKind>,
    /// How old the proof of a second factor may be.
    pub(crate) lease: Option<SignedDuration>,
    /// What may be opened within a session; of SSH.
    pub(crate) channels: BTreeSet<ChannelKind>,
    /// Which way files may go; of SSH.
    pub(crate) file_transfer: Option<FileTransfer>,
    /// The filter, where the protocol is decoded.
    pub(crate) filter: Option<String>,
    /// The windows of time in which it holds.
    pub(crate) when: String,
    /// From when.
    pub(crate) valid_from: Option<Timestamp>,
    /// Until when.
    pub(crate) valid_until: Option<Timestamp>,
    /// Who has to agree.
    pub(crate) approval: String,
    /// The longest a session may last.
    pub(crate) max_duration: Option<SignedDuration>,
    /// When they last had a session there by such a rule.
    pub(crate) last_used: Option<Timestamp>,
}

/// Whom a row speaks of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct AccessPerson {
    /// The name at login; that of whoever opens an envelope is `glass`.
    pub(crate) identity: String,
    /// The name for people.
    pub(crate) display_name: String,
    /// How they stand: `active`, `locked`, `expired`, `not enrolled`, or what they lack; `sealed` of an envelope.
    pub(crate) state: &'static str,
    /// The kinds of factor that they have.
    pub(crate) enrolled: BTreeSet<FactorKind>,
}

/// What kind of rule lets somebody in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum AccessRule {
    /// A grant of a role.
    Grant,
    /// A break-glass section that names them, with their own factors.
    BreakGlass,
    /// A break-glass section, by an envelope: whoever holds one.
    Envelope,
}

impl AccessRule {
    /// The stable word.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Grant => "grant",
            Self::BreakGlass => "break-glass",
            Self::Envelope => "envelope",
        }
    }
}

/// What the gate would answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum AccessAnswer {
    /// They may.
    Yes,
    /// Once others have agreed.
    Approval,
    /// Not as things are at that moment.
    No,
}

impl AccessAnswer {
    /// The stable word.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Yes => "yes",
            Self::Approval => "approval",
            Self::No => "no",
        }
    }
}
