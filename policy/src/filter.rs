//! Filters: named lists of what may be done within a decoded protocol.

use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;

use crate::asset::Protocol;
use crate::modbus::ModbusRule;

/// A filter of the plant file.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FilterSection {
    /// Its name.
    pub name: String,
    /// Does it deny, or only note?
    pub mode: FilterMode,
    /// The rules for Modbus; none: it says nothing of Modbus, which then has its default.
    pub modbus: Option<Vec<ModbusRule>>,
    /// What it says of VNC, if anything.
    pub vnc: Option<VncFilter>,
    /// What it says of RDP, if anything.
    pub rdp: Option<RdpFilter>,
}

/// What becomes of an operation that no rule allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FilterMode {
    /// It is denied.
    #[default]
    Enforce,
    /// It passes, and it is noted that it would be denied.
    Observe,
}

impl FilterMode {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Enforce, Self::Observe];

    /// The stable word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::Observe => "observe",
        }
    }
}

impl fmt::Display for FilterMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What may pass within VNC besides the picture.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VncFilter {
    /// Keys and pointer.
    pub input: bool,
    /// The ways that the clipboard's text may go.
    pub clipboard: BTreeSet<ClipboardWay>,
}

impl VncFilter {
    /// The picture only.
    pub fn view_only() -> Self {
        Self { input: false, clipboard: BTreeSet::new() }
    }

    /// The picture, keys and pointer.
    pub fn interactive() -> Self {
        Self { input: true, clipboard: BTreeSet::new() }
    }

    /// Everything that can pass.
    pub fn full() -> Self {
        Self { input: true, clipboard: ClipboardWay::ALL.into() }
    }
}

impl fmt::Display for VncFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.input { "input" } else { "view only" })?;
        self.clipboard.iter().try_for_each(|way| write!(f, ", clipboard {way}"))
    }
}

/// A way that a clipboard's text can go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClipboardWay {
    /// From the person to the asset.
    ToAsset,
    /// From the asset to the person.
    FromAsset,
}

impl ClipboardWay {
    /// Both.
    pub const ALL: [Self; 2] = [Self::ToAsset, Self::FromAsset];

    /// The stable word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ToAsset => "to-asset",
            Self::FromAsset => "from-asset",
        }
    }
}

impl fmt::Display for ClipboardWay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What is asked of an RDP connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct RdpFilter {
    /// How it has to be protected.
    pub require: RdpSecurity,
}

impl fmt::Display for RdpFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "security {}", self.require)
    }
}

/// How an RDP connection is protected. Ordered by strength.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RdpSecurity {
    /// As client and asset agree.
    #[default]
    Any,
    /// By TLS at least.
    Tls,
    /// By network level authentication: who logs in is known before a session begins.
    Nla,
}

impl RdpSecurity {
    /// Every way.
    pub const ALL: [Self; 3] = [Self::Any, Self::Tls, Self::Nla];

    /// The stable word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Any => "any",
            Self::Tls => "tls",
            Self::Nla => "nla",
        }
    }
}

impl fmt::Display for RdpSecurity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A filter that needs no section. No section can have its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BuiltIn {
    /// Reads, and diagnosis that changes nothing: what Modbus has where a grant names no filter.
    ReadOnly,
    /// The picture only: what VNC has where a grant names no filter.
    ViewOnly,
    /// The picture, keys and pointer.
    Interactive,
    /// Everything passes; what the default would deny is noted.
    Observe,
    /// Everything passes.
    Full,
}

impl BuiltIn {
    /// Every one, by how much it gives.
    pub const ALL: [Self; 5] = [Self::ReadOnly, Self::ViewOnly, Self::Interactive, Self::Observe, Self::Full];

    /// Its name in the plant file.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ReadOnly => "read-only",
            Self::ViewOnly => "view-only",
            Self::Interactive => "interactive",
            Self::Observe => "observe",
            Self::Full => "full",
        }
    }

    /// The one of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|built_in| built_in.as_str() == name)
    }

    /// Does it say anything of this protocol? Where it does not, the protocol has its default.
    pub(crate) fn speaks_of(self, protocol: Protocol) -> bool {
        match protocol {
            Protocol::Modbus => matches!(self, Self::ReadOnly | Self::Observe | Self::Full),
            Protocol::Vnc => matches!(self, Self::ViewOnly | Self::Interactive | Self::Observe | Self::Full),
            Protocol::Ssh | Protocol::Rdp | Protocol::Tcp => false,
        }
    }

    /// What a protocol has where no filter speaks of it.
    pub fn default_of(protocol: Protocol) -> Option<Self> {
        match protocol {
            Protocol::Modbus => Some(Self::ReadOnly),
            Protocol::Vnc => Some(Self::ViewOnly),
            Protocol::Ssh | Protocol::Rdp | Protocol::Tcp => None,
        }
    }
}

impl fmt::Display for BuiltIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FilterSection {
    /// Does it say anything of this protocol?
    pub fn speaks_of(&self, protocol: Protocol) -> bool {
        match protocol {
            Protocol::Modbus => self.modbus.is_some(),
            Protocol::Vnc => self.vnc.is_some(),
            Protocol::Rdp => self.rdp.is_some(),
            Protocol::Ssh | Protocol::Tcp => false,
        }
    }
}
