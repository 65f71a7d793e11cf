//! The services of the simulated plant, as the broker is to know them.

use std::net::{IpAddr, SocketAddr};

use sallyport_policy::Protocol;
use sallyport_simulated_plant::Places;
use serde::{Deserialize, Serialize};

/// A service of the plant's assets, as `demo.json` tells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Service {
    pub(super) asset: String,
    pub(super) service: Protocol,
    /// Where it really is; nobody but the broker has to know.
    pub(super) address: IpAddr,
    pub(super) port: u16,
}

impl Service {
    /// Each of them.
    pub(super) fn all(places: Places<SocketAddr>) -> [Self; 3] {
        let Places { workstation, controller, panel } = places;
        [Self::new(EWS, workstation), Self::new(PLC, controller), Self::new(HMI, panel)]
    }

    /// The ports that they had, where they are among these; 0 for any.
    pub(super) fn ports(known: &[Self]) -> Places<u16> {
        let port = |(asset, service): (&str, Protocol)| {
            let found = known.iter().find(|known| known.asset == asset && known.service == service);
            found.map_or(0, |known| known.port)
        };
        Places { workstation: port(EWS), controller: port(PLC), panel: port(HMI) }
    }

    fn new((asset, service): (&str, Protocol), place: SocketAddr) -> Self {
        Self { asset: asset.to_owned(), service, address: place.ip(), port: place.port() }
    }
}

const EWS: (&str, Protocol) = ("ews-1", Protocol::Ssh);
const PLC: (&str, Protocol) = ("plc-1", Protocol::Modbus);
const HMI: (&str, Protocol) = ("hmi-1", Protocol::Vnc);
