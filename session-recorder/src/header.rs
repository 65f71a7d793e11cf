//! The readable head of a recording: who, what, when, under which terms.
use crate::entry::Moment;
use serde::{Deserialize, Serialize};

/// What anyone may read about a recording without a key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// The session, whose id is also the recording's.
    pub session: String,
    /// The broker that made the recording.
    pub broker: String,
    /// The person.
    pub identity: String,
    /// The address the person came from.
    pub source: String,
    /// The asset.
    pub asset: String,
    /// The asset's zone.
    pub zone: String,
    /// The service of the asset.
    pub service: String,
    /// The login on the asset.
    pub account: String,
    /// How the person connected: `jump`, `direct`, `lobby`.
    pub form: String,
    /// When the recording began.
    pub started: Moment,
    /// The rule that permitted the session.
    pub rule: String,
    /// The terms of the permit.
    #[serde(default)]
    pub terms: serde_json::Value,
    /// What an append has survived when it returns.
    pub durability: Durability,
}

/// What an entry has survived when `append` returns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// The death of the broker's process; a power failure loses what came after the last grouped sync.
    #[default]
    Process,
    /// A power failure.
    Power,
}

/// The header as it stands in the file: with what verifying and reading need.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Preamble {
    #[serde(flatten)]
    pub(crate) header: Header,
    /// Ed25519 public key that signs checkpoints and seal, hex.
    pub(crate) signer: String,
    /// The age recipients the data key is wrapped to.
    pub(crate) recipients: Vec<String>,
    /// An age file that holds the 32 bytes of the data key, base64.
    pub(crate) wrapped_key: String,
}
