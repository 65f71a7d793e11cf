//! From which address to which a connection went, as far as the recording says.
use crate::entry::TrackId;
use crate::header::Header;
use serde_json::Value;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Stand-ins from the ranges for documentation (RFC 5737, RFC 3849), which no host has.
const CLIENT: (Ipv4Addr, Ipv6Addr) = (Ipv4Addr::new(192, 0, 2, 1), Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1));
const SERVER: (Ipv4Addr, Ipv6Addr) = (Ipv4Addr::new(198, 51, 100, 1), Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2));
/// Ports that a client takes by itself (RFC 6335).
const FIRST_DYNAMIC: u16 = 49_152;
/// When the recording names neither port nor protocol: discard.
const NO_PORT: u16 = 9;

/// The two ends of a connection.
pub(super) struct Ends {
    pub(super) client: SocketAddr,
    pub(super) server: SocketAddr,
    /// What is not from the recording, in a sentence.
    pub(super) stand_in: Option<String>,
}

impl Ends {
    pub(super) fn of(header: &Header, opened: &Value, track: TrackId) -> Ends {
        let originator = Named::parse(opened["originator"].as_str().unwrap_or_default());
        let source = Named::parse(&header.source);
        let target = match opened["address"].as_str() {
            Some(address) => Named::parse(address),
            None => Named::of_forward(opened),
        };
        let client = originator.ip.or(source.ip);
        let v6 = [client, target.ip].iter().any(|ip| ip.is_some_and(|ip| ip.is_ipv6()));
        let dynamic = u16::try_from(track.0 % u32::from(u16::MAX - FIRST_DYNAMIC)).unwrap_or(0);
        let protocol = opened["protocol"].as_str().or(opened["service"].as_str()).unwrap_or_default();
        let ports =
            (originator.port.unwrap_or(FIRST_DYNAMIC + dynamic), target.port.unwrap_or_else(|| usual_port(protocol)));
        let missing: Vec<_> = [
            (client.is_none(), "the client's address"),
            (originator.port.is_none(), "the client's port"),
            (target.ip.is_none(), "the asset's address"),
            (target.port.is_none(), "the asset's port"),
        ]
        .into_iter()
        .filter_map(|(is_missing, what)| is_missing.then_some(what))
        .collect();
        let stand_in =
            (!missing.is_empty()).then(|| format!("Not in the recording, stand-ins here: {}.", missing.join(", ")));
        Ends {
            client: SocketAddr::new(in_family(client, v6, CLIENT), ports.0),
            server: SocketAddr::new(in_family(target.ip, v6, SERVER), ports.1),
            stand_in,
        }
    }

    /// Both ends, whichever way round.
    pub(super) fn ordered(&self) -> (SocketAddr, SocketAddr) {
        (self.client.min(self.server), self.client.max(self.server))
    }

    /// Another port for the client, because this one is taken by another connection that is open.
    pub(super) fn take_next_port(&mut self) {
        let port = self.client.port().checked_add(1).unwrap_or(FIRST_DYNAMIC);
        self.client.set_port(port);
        self.stand_in =
            Some("The client's port is a stand-in: another connection that is open has the same ends.".to_owned());
    }
}

/// One packet has one family.
fn in_family(ip: Option<IpAddr>, v6: bool, otherwise: (Ipv4Addr, Ipv6Addr)) -> IpAddr {
    match (ip, v6) {
        (Some(IpAddr::V4(ip)), true) => ip.to_ipv6_mapped().into(),
        (Some(ip), _) => ip,
        (None, false) => otherwise.0.into(),
        (None, true) => otherwise.1.into(),
    }
}

/// So that a dissector recognises it.
fn usual_port(protocol: &str) -> u16 {
    match protocol {
        "modbus" => 502,
        "rdp" => 3389,
        "rfb" | "vnc" => 5900,
        _ => NO_PORT,
    }
}

/// What an address in a recording says; a host's name says no address.
#[derive(Default)]
struct Named {
    ip: Option<IpAddr>,
    port: Option<u16>,
}

impl Named {
    fn parse(text: &str) -> Named {
        if let Ok(address) = text.parse::<SocketAddr>() {
            return Named { ip: Some(address.ip().to_canonical()), port: some_port(address.port()) };
        }
        if let Ok(ip) = text.parse::<IpAddr>() {
            return Named { ip: Some(ip.to_canonical()), port: None };
        }
        let port = text.rsplit_once(':').and_then(|(_, port)| port.parse().ok()).and_then(some_port);
        Named { ip: None, port }
    }

    /// A forward inside an ssh session to the asset: its `host` is a name that the asset resolves.
    fn of_forward(opened: &Value) -> Named {
        let host = Named::parse(opened["host"].as_str().unwrap_or_default());
        let port = opened["port"].as_u64().and_then(|port| u16::try_from(port).ok()).and_then(some_port);
        Named { ip: host.ip, port }
    }
}

/// 0 means that somebody did not say.
fn some_port(port: u16) -> Option<u16> {
    (port != 0).then_some(port)
}
