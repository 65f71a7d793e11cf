//! The simulated assets of cell 1, and the one process that they all work on.

use std::io;
use std::net::{IpAddr, SocketAddr};

use sallyport_policy::Protocol;
use serde::{Deserialize, Serialize};
use ssh_key::PublicKey;
use tokio_util::sync::CancellationToken;

use super::DemoError;
use super::hmi::Panel;
use super::plc::Controller;
use super::prepare::Place;
use super::process::{Process, Tank};
use super::workstation::Workstation;

/// Workstation, controller and panel, ready to serve.
#[derive(Debug)]
pub(super) struct Cell {
    process: Process,
    workstation: Workstation,
    controller: Controller,
    panel: Panel,
}

/// A service of the cell's assets, as `demo.json` tells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Service {
    pub(super) asset: String,
    pub(super) service: Protocol,
    /// Where it really is; nobody but the broker has to know.
    pub(super) address: IpAddr,
    pub(super) port: u16,
}

impl Service {
    pub(super) fn new((asset, service): (&str, Protocol), place: SocketAddr) -> Self {
        Self { asset: asset.to_owned(), service, address: place.ip(), port: place.port() }
    }
}

impl Cell {
    /// Binds every asset, where possible to the port it had before.
    pub(super) async fn bind(place: &Place, user_ca: &PublicKey) -> Result<Self, DemoError> {
        let process = Process::new(Tank::running());
        let before = |(asset, service)| place.port_before(asset, service);
        let host_key = place.asset_key()?;
        let workstation = Workstation::bind(before(EWS), host_key, user_ca, &place.files(), process.clone()).await?;
        let controller = Controller::bind(before(PLC), process.clone()).await.map_err(|error| no_port(PLC, &error))?;
        let panel = Panel::bind(before(HMI), process.clone()).await.map_err(|error| no_port(HMI, &error))?;
        Ok(Self { process, workstation, controller, panel })
    }

    /// Where everything listens.
    pub(super) fn services(&self) -> Result<[Service; 3], DemoError> {
        let controller = self.controller.address().map_err(|error| no_port(PLC, &error))?;
        let panel = self.panel.address().map_err(|error| no_port(HMI, &error))?;
        Ok([Service::new(EWS, self.workstation.address()?), Service::new(PLC, controller), Service::new(HMI, panel)])
    }

    /// Serves until `stop`.
    pub(super) async fn serve(self, stop: CancellationToken) {
        let Self { process, workstation, controller, panel } = self;
        tokio::join!(
            process.run(&stop),
            workstation.serve(stop.clone()),
            controller.serve(stop.clone()),
            panel.serve(stop.clone()),
        );
    }
}

fn no_port((asset, _): (&str, Protocol), error: &io::Error) -> DemoError {
    DemoError::Asset(format!("{asset}'s port: {error}"))
}

pub(super) const EWS: (&str, Protocol) = ("ews-1", Protocol::Ssh);
pub(super) const PLC: (&str, Protocol) = ("plc-1", Protocol::Modbus);
pub(super) const HMI: (&str, Protocol) = ("hmi-1", Protocol::Vnc);
