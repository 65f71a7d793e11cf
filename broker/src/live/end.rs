//! How a session ends. Every session has exactly one.

use std::borrow::Cow;

use serde::Serialize;

/// The one end of a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "end")]
pub enum End {
    /// The person closed the connection, or its last channel.
    Left,
    /// The asset closed the connection.
    AssetClosed,
    /// A side of a decoded protocol sent what is no message of it.
    Malformed {
        /// Which side, and what was wrong.
        reason: String,
    },
    /// The filter of a decoded protocol refused the connection itself, in the protocol's own words.
    Denied,
    /// The asset asked for so much that nobody had asked it for that it was cut off.
    AssetMisbehaved {
        /// What it asked for.
        reason: String,
    },
    /// The asset did not answer.
    AssetUnreachable,
    /// The asset speaks SSH by algorithms that are not allowed, or does not speak it.
    AssetNotUnderstood {
        /// What it offered, and what is allowed.
        reason: String,
    },
    /// The asset showed another host key than the pinned one.
    HostKeyMismatch,
    /// The asset did not accept the account's credential.
    AssetRefusedLogin,
    /// No byte either way for as long as the terms allow.
    Idle,
    /// The longest duration that the terms allow is over.
    Expired,
    /// The time window of the grant closed.
    WindowClosed,
    /// Policy, identity, factor or approval changed, and there is no permit any more.
    Revoked {
        /// What `decide` said, for the log and the audit.
        reason: String,
    },
    /// The zone was isolated.
    Isolated {
        /// Which.
        zone: String,
    },
    /// An administrator ended it.
    EndedBy {
        /// Who.
        actor: String,
        /// Why, where they said so.
        reason: Option<String>,
        /// Whether that is the session's own person.
        own: bool,
    },
    /// What happened could not be recorded.
    RecordingFailed,
    /// The broker is stopping.
    BrokerStopping,
    /// The broker found it open at its start: it had been killed.
    Interrupted,
}

impl End {
    /// The stable word for store, audit and recording.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            End::Left => "left",
            End::AssetClosed => "asset-closed",
            End::Malformed { .. } => "malformed",
            End::Denied => "denied",
            End::AssetMisbehaved { .. } => "asset-misbehaved",
            End::AssetUnreachable => "asset-unreachable",
            End::AssetNotUnderstood { .. } => "asset-not-understood",
            End::HostKeyMismatch => "host-key-mismatch",
            End::AssetRefusedLogin => "asset-refused-login",
            End::Idle => "idle",
            End::Expired => "expired",
            End::WindowClosed => "window-closed",
            End::Revoked { .. } => "revoked",
            End::Isolated { .. } => "isolated",
            End::EndedBy { .. } => "ended-by",
            End::RecordingFailed => "recording-failed",
            End::BrokerStopping => "broker-stopping",
            End::Interrupted => "interrupted",
        }
    }

    /// What else the record should hold: a reason or a name.
    #[must_use]
    pub fn detail(&self) -> Cow<'_, str> {
        Cow::Borrowed(match self {
            End::EndedBy { actor, reason: Some(reason), .. } => return format!("{actor}: {reason}").into(),
            End::Revoked { reason }
            | End::Malformed { reason }
            | End::AssetMisbehaved { reason }
            | End::AssetNotUnderstood { reason } => reason,
            End::EndedBy { actor, reason: None, .. } => actor,
            End::Isolated { zone } => zone,
            End::Left
            | End::AssetClosed
            | End::Denied
            | End::AssetUnreachable
            | End::HostKeyMismatch
            | End::AssetRefusedLogin
            | End::Idle
            | End::Expired
            | End::WindowClosed
            | End::RecordingFailed
            | End::BrokerStopping
            | End::Interrupted => "",
        })
    }

    /// One plain sentence for the person, or `None` where they know already.
    #[must_use]
    pub fn sentence(&self, asset: &str) -> Option<String> {
        Some(match self {
            End::Left => return None,
            End::AssetClosed => format!("{asset} closed the connection."),
            End::Malformed { reason } => format!("The connection to {asset} ended: {reason}."),
            End::Denied => format!("The connection to {asset} was refused by the filter of your grant."),
            End::AssetMisbehaved { .. } => {
                format!("{asset} tried to use the connection for itself and was cut off. Tell your administrator.")
            }
            End::AssetUnreachable => format!("{asset} does not answer. Is it switched on and on the network?"),
            End::AssetNotUnderstood { .. } => {
                format!("{asset} answers, but speaks no algorithm that is allowed. Tell your administrator.")
            }
            End::HostKeyMismatch => {
                format!("{asset} did not prove who it is; nothing was sent to it. Tell your administrator.")
            }
            End::AssetRefusedLogin => {
                format!("{asset} did not accept the account's credential. Tell your administrator.")
            }
            End::Idle => format!("The session to {asset} ended: nothing happened for too long."),
            End::Expired => format!("The session to {asset} ended: its longest duration is over."),
            End::WindowClosed => format!("The session to {asset} ended: its time window closed."),
            End::Revoked { .. } => format!("The session to {asset} ended: you may no longer reach it."),
            End::Isolated { zone } => format!("The session to {asset} ended: {zone} was isolated."),
            End::EndedBy { reason: Some(reason), .. } => {
                // It was typed for this, and is not to act on a terminal.
                format!("The session to {asset} was ended by an administrator: {}", sallyport_plain::printable(reason))
            }
            End::EndedBy { reason: None, own: true, .. } => {
                format!("The session to {asset} was ended in your name, from elsewhere.")
            }
            End::EndedBy { reason: None, .. } => format!("The session to {asset} was ended by an administrator."),
            End::RecordingFailed => format!("The session to {asset} ended: it could not be recorded."),
            End::BrokerStopping => format!("The session to {asset} ended: the broker is stopping."),
            End::Interrupted => format!("The session to {asset} was interrupted."),
        })
    }
}
