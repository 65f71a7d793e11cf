//! The simulated assets of cell 1, and the one process that they all work on.

use std::io;
use std::net::SocketAddr;
use std::path::Path;

use russh::keys::ssh_key::{PrivateKey, PublicKey};
use tokio_util::sync::CancellationToken;

use crate::hmi::Panel;
use crate::plc::Controller;
use crate::process::{Process, Tank};
use crate::workstation::{Workstation, WorkstationError};

/// Workstation, controller and panel, ready to serve.
#[derive(Debug)]
pub struct Cell {
    process: Process,
    workstation: Workstation,
    controller: Controller,
    panel: Panel,
}

/// Something of each asset: its port, its address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Places<T> {
    /// Of the engineering workstation, `ews-1`.
    pub workstation: T,
    /// Of the controller, `plc-1`.
    pub controller: T,
    /// Of its panel, `hmi-1`.
    pub panel: T,
}

/// Why there is no plant.
#[derive(Debug, thiserror::Error)]
pub enum CellError {
    /// The workstation's files cannot be opened.
    #[error("the workstation's files: {0}")]
    Files(io::Error),
    /// An asset has no port.
    #[error("{asset}'s port: {source}")]
    Port {
        /// Which asset.
        asset: &'static str,
        /// Why.
        source: io::Error,
    },
}

impl Cell {
    /// Binds every asset, where possible to the port it had before (0: any). The workstation has this key, trusts certificates
    /// of `user_ca` alone, and has its files below `folder`.
    ///
    /// # Errors
    /// When the files cannot be opened, or an asset gets no port.
    pub async fn bind(
        before: Places<u16>,
        host_key: PrivateKey,
        user_ca: &PublicKey,
        folder: &Path,
    ) -> Result<Self, CellError> {
        let process = Process::new(Tank::running());
        let workstation = Workstation::bind(before.workstation, host_key, user_ca, folder, process.clone()).await;
        let workstation = workstation.map_err(|error| match error {
            WorkstationError::Files(source) => CellError::Files(source),
            WorkstationError::Port(source) => CellError::Port { asset: EWS, source },
        })?;
        let controller = Controller::bind(before.controller, process.clone()).await.map_err(no_port(PLC))?;
        let panel = Panel::bind(before.panel, process.clone()).await.map_err(no_port(HMI))?;
        Ok(Self { process, workstation, controller, panel })
    }

    /// Where everything listens.
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn places(&self) -> Result<Places<SocketAddr>, CellError> {
        Ok(Places {
            workstation: self.workstation.address().map_err(no_port(EWS))?,
            controller: self.controller.address().map_err(no_port(PLC))?,
            panel: self.panel.address().map_err(no_port(HMI))?,
        })
    }

    /// Serves until `stop`.
    pub async fn serve(self, stop: CancellationToken) {
        let Self { process, workstation, controller, panel } = self;
        tokio::join!(
            process.run(&stop),
            workstation.serve(stop.clone()),
            controller.serve(stop.clone()),
            panel.serve(stop.clone()),
        );
    }
}

fn no_port(asset: &'static str) -> impl Fn(io::Error) -> CellError {
    move |source| CellError::Port { asset, source }
}

const EWS: &str = "ews-1";
const PLC: &str = "plc-1";
const HMI: &str = "hmi-1";
