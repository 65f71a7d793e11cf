//! What a person has proven, and when.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A kind of factor that a person can prove.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FactorKind {
    /// An SSH key.
    Key,
    /// An SSH key held in a security key (`sk-`): possession of the token.
    SecurityKey,
    /// An SSH user certificate from a trusted authority.
    Certificate,
    /// A password.
    Password,
    /// A one-time code from an authenticator.
    Totp,
    /// A passkey or security key, used in the portal.
    #[serde(rename = "webauthn")]
    WebAuthn,
    /// One of the printed codes for the day the authenticator is lost; counts wherever [`FactorKind::Totp`] does.
    RecoveryCode,
    /// The code of a sealed envelope, which opens an emergency and nothing else; no grant can ask for it.
    Envelope,
}

impl FactorKind {
    /// Every kind, in the order of their names above.
    pub const ALL: [Self; 8] = [
        Self::Key,
        Self::SecurityKey,
        Self::Certificate,
        Self::Password,
        Self::Totp,
        Self::WebAuthn,
        Self::RecoveryCode,
        Self::Envelope,
    ];

    /// The kinds that are a second factor by themselves: without one of these nothing is ever permitted.
    pub const SECOND: [Self; 2] = [Self::Totp, Self::WebAuthn];

    /// The stable word for this kind.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::SecurityKey => "security-key",
            Self::Certificate => "certificate",
            Self::Password => "password",
            Self::Totp => "totp",
            Self::WebAuthn => "webauthn",
            Self::RecoveryCode => "recovery-code",
            Self::Envelope => "envelope",
        }
    }

    /// The kind a grant would name for this proof: a recovery code stands in for TOTP, never for WebAuthn.
    pub fn counts_as(self) -> Self {
        match self {
            Self::RecoveryCode => Self::Totp,
            Self::Key
            | Self::SecurityKey
            | Self::Certificate
            | Self::Password
            | Self::Totp
            | Self::WebAuthn
            | Self::Envelope => self,
        }
    }

    /// Is a proof of this kind a second factor, whose age a lease limits?
    pub fn is_second(self) -> bool {
        Self::SECOND.contains(&self.counts_as())
    }
}

impl fmt::Display for FactorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Not a kind of factor.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown factor `{0}`")]
pub struct UnknownFactor(String);

impl FromStr for FactorKind {
    type Err = UnknownFactor;

    fn from_str(text: &str) -> Result<Self, UnknownFactor> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or_else(|| UnknownFactor(text.to_owned()))
    }
}

/// A verified factor, and when it was proven. A lease keeps the time of the proof that began it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Proof {
    /// What was proven.
    pub kind: FactorKind,
    /// When it was proven.
    pub at: Timestamp,
}
