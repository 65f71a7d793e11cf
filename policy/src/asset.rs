//! The plant itself: zones, the conduits into them, and the assets with their services and accounts.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::names::{AccountName, AssetId, ServiceName, ZoneId};
use crate::network::Network;

/// A zone: assets with a common need for protection (IEC 62443-3-2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Zone {
    /// Its name.
    pub id: ZoneId,
    /// Its level in the Purdue model, if written.
    pub level: Option<PurdueLevel>,
    /// Its target security level (SL-T, 0 to 4), if written.
    pub security_level: Option<u8>,
    /// Where its assets' addresses lie.
    pub networks: Vec<Network>,
    /// Do the brokers stand in this zone? Conduits with a `from` count only if it names this zone.
    pub broker: bool,
    /// For people.
    pub description: Option<String>,
}

/// A level of the Purdue model: 0 to 5, and 3.5 for the industrial DMZ. Kept in tenths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PurdueLevel(u8);

impl PurdueLevel {
    /// The level as written, if it is one: 0, 1, 2, 3, 3.5, 4 or 5.
    pub fn new(level: f64) -> Option<Self> {
        [0, 10, 20, 30, 35, 40, 50].into_iter().find(|tenths| f64::from(*tenths) == level * 10.0).map(Self)
    }
}

impl fmt::Display for PurdueLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 % 10 {
            0 => write!(f, "{}", self.0 / 10),
            rest => write!(f, "{}.{rest}", self.0 / 10),
        }
    }
}

impl Serialize for PurdueLevel {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(f64::from(self.0) / 10.0)
    }
}

/// What may pass into a zone at all, whoever asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Conduit {
    /// The zone it begins in. One that begins elsewhere than at the broker documents the plant and opens nothing here.
    pub from: Option<ZoneId>,
    /// The zones it leads to.
    pub to: BTreeSet<ZoneId>,
    /// The services that may pass, each by name.
    pub services: BTreeSet<ServiceName>,
}

/// A machine or controller of the plant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Asset {
    /// Its name.
    pub id: AssetId,
    /// The zone it stands in.
    pub zone: ZoneId,
    /// Where the broker reaches it.
    pub address: IpAddr,
    /// What it offers.
    pub services: BTreeMap<ServiceName, Service>,
    /// The logins on it.
    pub accounts: BTreeMap<AccountName, Account>,
    /// Words to select it by.
    pub tags: BTreeSet<String>,
    /// Who made it.
    pub vendor: Option<String>,
    /// Which firmware or system it runs.
    pub firmware: Option<String>,
    /// For people.
    pub description: Option<String>,
}

/// A reachable protocol of an asset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Service {
    /// Its name.
    pub name: ServiceName,
    /// What is spoken there.
    pub protocol: Protocol,
    /// The TCP port.
    pub port: u16,
    /// Pinned OpenSSH public key lines (ssh only). Without one, the asset is refused when somebody connects.
    pub host_keys: Vec<String>,
    /// Which algorithms the broker may speak with it (ssh only). What is usual is not told.
    #[serde(skip_serializing_if = "AssetAlgorithms::is_standard")]
    pub algorithms: AssetAlgorithms,
    /// The file of the plant that names its points (modbus only).
    pub tag_list: Option<String>,
    /// What of its answers is put right that does not keep to the specification (modbus only). What is usual is not told.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub tolerate: BTreeSet<Tolerated>,
    /// Does it take frames of Modbus RTU on the same port (modbus only)? What could be one is denied then. What is usual is not told.
    #[serde(skip_serializing_if = "is_not")]
    pub takes_rtu: bool,
}

fn is_not(flag: &bool) -> bool {
    !flag
}

/// What a Modbus device or gateway may do otherwise than the specification says, where its service is said to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Tolerated {
    /// Answer as another unit than was asked.
    Unit,
    /// Answer under another transaction identifier than was asked.
    Transaction,
    /// Say a wrong length.
    Length,
    /// Answer more than was asked for.
    Surplus,
}

impl Tolerated {
    /// Every one.
    pub const ALL: [Self; 4] = [Self::Unit, Self::Transaction, Self::Length, Self::Surplus];

    /// The stable word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unit => "unit",
            Self::Transaction => "transaction",
            Self::Length => "length",
            Self::Surplus => "surplus",
        }
    }
}

/// Which SSH algorithms an asset is offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum AssetAlgorithms {
    /// Those of today.
    #[default]
    Standard,
    /// Besides, what equipment of the last twenty years needs and is broken or weak: SHA-1, small groups.
    Legacy,
}

impl AssetAlgorithms {
    /// Every choice.
    pub const ALL: [Self; 2] = [Self::Standard, Self::Legacy];

    fn is_standard(&self) -> bool {
        *self == Self::Standard
    }

    /// The stable word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::Legacy => "legacy",
        }
    }
}

/// A protocol the broker ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// SSH.
    Ssh,
    /// Remote Desktop.
    Rdp,
    /// VNC (RFB).
    Vnc,
    /// Modbus/TCP.
    Modbus,
    /// Any other TCP stream, not decoded.
    Tcp,
}

impl Protocol {
    /// Every protocol.
    pub const ALL: [Self; 5] = [Self::Ssh, Self::Rdp, Self::Vnc, Self::Modbus, Self::Tcp];

    /// The stable word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ssh => "ssh",
            Self::Rdp => "rdp",
            Self::Vnc => "vnc",
            Self::Modbus => "modbus",
            Self::Tcp => "tcp",
        }
    }

    /// The port it has where the plant file names none.
    pub fn usual_port(self) -> Option<u16> {
        match self {
            Self::Ssh => Some(22),
            Self::Rdp => Some(3389),
            Self::Vnc => Some(5900),
            Self::Modbus => Some(502),
            Self::Tcp => None,
        }
    }

    /// Does one log in with an account? If not, a request's account is [`AccountName::none`].
    pub fn has_accounts(self) -> bool {
        match self {
            Self::Ssh | Self::Rdp | Self::Vnc => true,
            Self::Modbus | Self::Tcp => false,
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Not a protocol.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown protocol `{0}`")]
pub struct UnknownProtocol(String);

impl FromStr for Protocol {
    type Err = UnknownProtocol;

    fn from_str(text: &str) -> Result<Self, UnknownProtocol> {
        Self::ALL.into_iter().find(|protocol| protocol.as_str() == text).ok_or_else(|| UnknownProtocol(text.to_owned()))
    }
}

/// A login on an asset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Account {
    /// Its name on the asset.
    pub name: AccountName,
    /// How the broker logs in to it.
    pub auth: AccountAuth,
}

/// How the broker logs in to an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AccountAuth {
    /// With a certificate, signed for the session by the broker's user authority.
    Certificate,
    /// With a password from the vault.
    Password,
    /// With a private key from the vault.
    Key,
    /// With what the person types at the inner login; never stored.
    Prompt,
}

impl AccountAuth {
    /// Every way.
    pub const ALL: [Self; 4] = [Self::Certificate, Self::Password, Self::Key, Self::Prompt];

    /// The stable word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Certificate => "certificate",
            Self::Password => "password",
            Self::Key => "key",
            Self::Prompt => "prompt",
        }
    }
}

impl fmt::Display for AccountAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
