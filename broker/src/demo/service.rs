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
        [EWS.at(workstation), PLC.at(controller), HMI.at(panel)]
    }

    /// The ports that they had, where they are among these; 0 for any.
    pub(super) fn ports(known: &[Self]) -> Places<u16> {
        let port = |offer: Offered| {
            let found = known.iter().find(|known| known.asset == offer.asset && known.service == offer.service);
            found.map_or(0, |known| known.port)
        };
        Places { workstation: port(EWS), controller: port(PLC), panel: port(HMI) }
    }
}

/// What an asset of the demo has to offer, wherever it is.
#[derive(Clone, Copy)]
struct Offered {
    asset: &'static str,
    service: Protocol,
}

impl Offered {
    fn at(self, place: SocketAddr) -> Service {
        Service { asset: self.asset.to_owned(), service: self.service, address: place.ip(), port: place.port() }
    }
}

const EWS: Offered = Offered { asset: "ews-1", service: Protocol::Ssh };
const PLC: Offered = Offered { asset: "plc-1", service: Protocol::Modbus };
const HMI: Offered = Offered { asset: "hmi-1", service: Protocol::Vnc };
