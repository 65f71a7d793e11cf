//! Why a code opens nothing: in full for the record, and in one plain sentence for somebody under stress. Whoever has the right code of an
//! envelope is told what became of it; whoever has not learns nothing.

use jiff::Timestamp;

/// Why nothing was opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotOpened {
    /// It is the code of no envelope.
    #[error("not the code of an envelope")]
    Unknown,
    /// It was opened before.
    #[error("envelope {0} was opened before")]
    Used(i64),
    /// It is open now, and was opened from somewhere else.
    #[error("envelope {0} is open, from another address")]
    Elsewhere(i64),
    /// It is being opened just now, by another connection.
    #[error("envelope {0} is being opened by another connection")]
    BeingOpened(i64),
    /// It was revoked.
    #[error("envelope {0} was revoked")]
    Revoked(i64),
    /// Its time is over.
    #[error("envelope {number} has expired at {at}")]
    Expired {
        /// Which.
        number: i64,
        /// Since when.
        at: Timestamp,
    },
    /// The plant file has no such section any more.
    #[error("envelope {number} is for `{rule}`, which the plant file does not have")]
    NoRule {
        /// Which.
        number: i64,
        /// The section.
        rule: String,
    },
    /// The second envelope is the first, of another section, or of the same holder.
    #[error(
        "envelope {0} does not go with the one before it: it takes another one, of the same section and another holder"
    )]
    NotASecond(i64),
    /// What was opened cannot be put on record anywhere: neither in the database nor on disk.
    #[error("the opening cannot be put on record: {0}")]
    Unrecorded(String),
}

impl NotOpened {
    /// The envelope, where its code was right.
    pub(crate) fn envelope(&self) -> Option<i64> {
        match self {
            Self::Used(number)
            | Self::Elsewhere(number)
            | Self::BeingOpened(number)
            | Self::Revoked(number)
            | Self::NotASecond(number)
            | Self::Expired { number, .. }
            | Self::NoRule { number, .. } => Some(*number),
            Self::Unknown | Self::Unrecorded(_) => None,
        }
    }

    /// One plain sentence.
    pub(crate) fn sentence(&self) -> String {
        match self {
            Self::Unknown => "That is not the code of an envelope of this plant. Compare it with the sheet.".to_owned(),
            Self::Used(number) => format!("Envelope {number} was used before. Take the next envelope."),
            Self::Elsewhere(number) => {
                format!("Envelope {number} is open already, from another computer. Take the next envelope.")
            }
            Self::BeingOpened(number) => {
                format!("Envelope {number} is being opened just now, by another connection. Type its code again.")
            }
            Self::Revoked(number) => format!("Envelope {number} was withdrawn. Take another envelope."),
            Self::Expired { number, .. } => format!("Envelope {number} is too old. Take another envelope."),
            Self::NoRule { number, .. } => {
                format!("Envelope {number} opens nothing any more. Take another envelope, and tell your administrator.")
            }
            Self::NotASecond(number) => {
                format!("Envelope {number} does not go with the first. It takes one of another holder.")
            }
            Self::Unrecorded(_) => {
                "The opening cannot be recorded, so it does not begin. Try the other broker, or follow the page for the \
                 worst day."
                    .to_owned()
            }
        }
    }
}
