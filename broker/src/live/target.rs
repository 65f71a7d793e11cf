//! Where a session goes, and how its person came.

use std::fmt;

use sallyport_policy::{AccountName, AssetId, Protocol, ServiceName};

/// Where a session is to go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The asset.
    pub asset: AssetId,
    /// Its service.
    pub service: ServiceName,
    /// The login on the asset.
    pub account: AccountName,
    /// How the person came.
    pub form: Form,
}

/// One service of one asset.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Endpoint<'a> {
    pub(crate) asset: &'a AssetId,
    pub(crate) service: &'a ServiceName,
}

impl Target {
    /// Without who is logged in there, and how they came.
    pub(crate) fn endpoint(&self) -> Endpoint<'_> {
        Endpoint { asset: &self.asset, service: &self.service }
    }
}

/// How a person reaches an asset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// `ssh -J alice@broker operator@ews-1`
    Jump,
    /// `ssh alice:operator@ews-1@broker`
    Direct,
    /// Chosen in the lobby.
    Lobby,
    /// `ssh -L 5020:plc-1:502 alice@broker`
    Forward,
}

impl Form {
    /// The stable word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Form::Jump => "jump",
            Form::Direct => "direct",
            Form::Lobby => "lobby",
            Form::Forward => "forward",
        }
    }

    /// Whether a service of this protocol can be reached in this form: whatever ends at the broker as SSH is never
    /// forwarded as a stream that nobody looks into.
    pub(crate) fn reaches(self, protocol: Protocol) -> bool {
        match self {
            Form::Jump | Form::Direct | Form::Lobby => protocol == Protocol::Ssh,
            Form::Forward => protocol != Protocol::Ssh,
        }
    }
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}
