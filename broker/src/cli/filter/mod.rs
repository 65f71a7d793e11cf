//! `sallyport filter`: learn a filter from what was done, and try one on captured traffic.

mod desktops;
mod flow;
mod learn;
mod listing;
mod proposal;
mod recorded;
mod replay;
mod told;
mod trial;

use std::net::IpAddr;
use std::path::PathBuf;

use sallyport_policy::{AssetId, BuiltIn, Place, Policy, Protocol, Service, ServiceName};

use super::recording::ReadKeys;
use super::{CliError, Context};
use replay::Wanted;

/// `sallyport filter …`
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Propose the smallest filter for Modbus that would have passed what was done, as a section of the plant file
    ///
    /// What a filter denied and what was malformed is left out and counted; what was only observed ("would-deny") is learned.
    Learn(Learn),
    /// Replay captured Modbus, VNC or RDP through a filter, and say of each operation what it would become
    ///
    /// Exit code 0: everything passes. 1: something would be denied or is malformed, or a connection cannot be followed to its end.
    Test(Test),
}

/// `sallyport filter learn`
#[derive(Debug, clap::Args)]
pub struct Learn {
    /// For which asset
    #[arg(long)]
    asset: AssetId,
    /// For which of its services [default: its only Modbus service]
    #[arg(long)]
    service: Option<ServiceName>,
    /// Recorded sessions of the asset: ids (or how they begin), or recordings' files
    #[arg(long = "from", value_name = "SESSION", num_args = 1.., required_unless_present = "pcap")]
    from: Vec<String>,
    /// Captures, as pcap or pcapng
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pcap: Vec<PathBuf>,
    /// What the filter is to be called
    #[arg(long, default_value = "learned", value_parser = filter_name)]
    name: String,
    #[command(flatten)]
    traffic: Traffic,
    /// Plant file, or folder of plant files; may be given several times [default: the plant in force]
    #[arg(short = 'f', long = "file", visible_alias = "plant", value_name = "PATH")]
    plant: Vec<PathBuf>,
    #[command(flatten)]
    keys: ReadKeys,
}

/// `sallyport filter test`
#[derive(Debug, clap::Args)]
pub struct Test {
    /// The filter: a section of the plant, or read-only, observe or full
    #[arg(long, alias = "profile", value_name = "NAME")]
    filter: String,
    /// A capture, as pcap or pcapng
    #[arg(long, value_name = "FILE")]
    pcap: PathBuf,
    /// The asset, where the filter or the evidence is to know its tags
    #[arg(long)]
    asset: Option<AssetId>,
    /// Which of its services [default: its only one of the protocol]
    #[arg(long, requires = "asset")]
    service: Option<ServiceName>,
    /// What is spoken: modbus, vnc or rdp [default: that of the service, or else modbus]
    #[arg(long, value_name = "PROTOCOL", value_parser = decoded)]
    protocol: Option<Protocol>,
    #[command(flatten)]
    traffic: Traffic,
    /// Plant file, or folder of plant files; may be given several times [default: the plant in force]
    #[arg(short = 'f', long = "file", visible_alias = "plant", value_name = "PATH")]
    plant: Vec<PathBuf>,
}

/// Which connections of a capture.
#[derive(Debug, clap::Args)]
pub struct Traffic {
    /// Only connections of a capture to this address, or `any` [default: the asset's]
    #[arg(long, value_name = "ADDRESS", value_parser = server)]
    server: Option<Server>,
    /// The port that they go to [default: that of the service, or else the protocol's own]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,
}

/// A server in a capture.
#[derive(Debug, Clone, Copy)]
pub enum Server {
    /// Each.
    Any,
    /// The one at this address.
    At(IpAddr),
}

/// Runs one of them.
pub async fn run(command: Command, context: &Context) -> Result<(), CliError> {
    match command {
        Command::Learn(arguments) => learn::learn(arguments, context).await,
        Command::Test(arguments) => trial::trial(arguments, context).await,
    }
}

/// The service of an asset that is meant: the one that is named, or its only one of the protocol (Modbus, if none is said).
fn place<'p>(
    policy: &'p Policy,
    asset: &AssetId,
    service: Option<&ServiceName>,
    protocol: Option<Protocol>,
) -> Result<Place<'p>, CliError> {
    let found = policy.asset(asset).ok_or_else(|| CliError::Failed(format!("the plant has no asset `{asset}`")))?;
    let words = said(protocol.unwrap_or(Protocol::Modbus));
    if let Some(name) = service {
        let meant = |service: &&Service| {
            protocol.map_or(DECODED.contains(&service.protocol), |protocol| service.protocol == protocol)
        };
        let none = || CliError::Failed(format!("`{name}` is no {words} service of asset `{asset}`"));
        return Ok(Place { asset: found, service: found.services.get(name).filter(meant).ok_or_else(none)? });
    }
    let protocol = protocol.unwrap_or(Protocol::Modbus);
    let mut services = found.services.values().filter(|service| service.protocol == protocol);
    match (services.next(), services.next()) {
        (Some(service), None) => Ok(Place { asset: found, service }),
        (Some(_), Some(_)) => {
            Err(CliError::Usage(format!("asset `{asset}` has several {words} services; name one with `--service`")))
        }
        (None, _) => Err(CliError::Failed(format!("asset `{asset}` has no {words} service"))),
    }
}

/// What a filter can be tried on.
const DECODED: [Protocol; 3] = [Protocol::Modbus, Protocol::Vnc, Protocol::Rdp];

fn decoded(text: &str) -> Result<Protocol, String> {
    let found = DECODED.into_iter().find(|protocol| protocol.as_str() == text);
    found.ok_or_else(|| "write modbus, vnc or rdp".to_owned())
}

/// A protocol as people write it.
fn said(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Modbus => "Modbus",
        Protocol::Vnc => "VNC",
        Protocol::Rdp => "RDP",
        Protocol::Ssh => "SSH",
        Protocol::Tcp => "TCP",
    }
}

impl Traffic {
    fn wanted(&self, place: Option<Place<'_>>, protocol: Protocol) -> Wanted {
        let server = match self.server {
            Some(Server::Any) => None,
            Some(Server::At(address)) => Some(address),
            None => place.map(|place| place.asset.address),
        };
        let port = self.port.or_else(|| place.map(|place| place.service.port));
        let port = port.or(protocol.usual_port()).unwrap_or_default();
        Wanted { port, server }
    }
}

fn server(text: &str) -> Result<Server, String> {
    match text {
        "any" => Ok(Server::Any),
        address => address
            .parse::<IpAddr>()
            .map(|address| Server::At(address.to_canonical()))
            .map_err(|_| "write an IP address, or `any`".to_owned()),
    }
}

/// A name that a section of the plant file can have.
fn filter_name(text: &str) -> Result<String, String> {
    match BuiltIn::named(text) {
        Some(_) => Err(format!("`{text}` is built in; choose another name")),
        None => text.parse::<AssetId>().map(|name| name.to_string()).map_err(|error| error.to_string()),
    }
}
