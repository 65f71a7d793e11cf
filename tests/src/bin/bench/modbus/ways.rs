//! The ways from the tool to the controller.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use sallyport_tests::{Running, Sshd, eventually};

use super::load::{self, Stream, Taken};
use crate::client::Target;
use crate::site::{BROKER, CONTROLLER, JUMP, Site};

/// A way from the tool to the controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// Nothing between.
    Direct,
    /// HAProxy in tcp mode.
    HaProxy,
    /// Sallyport's filter without ssh, recorded.
    Isolated,
    /// The same, not recorded.
    FilterAlone,
    /// A channel of OpenSSH's sshd, as `ssh -L` opens it.
    Sshd,
    /// A channel of Sallyport's, as `ssh -L` opens it.
    Forwarded,
}

impl Way {
    pub(crate) const ALL: [Way; 6] =
        [Way::Direct, Way::HaProxy, Way::Isolated, Way::FilterAlone, Way::Sshd, Way::Forwarded];

    pub(crate) fn title(self) -> &'static str {
        match self {
            Way::Direct => "nothing between",
            Way::HaProxy => "HAProxy, tcp mode",
            Way::Isolated => "Sallyport without ssh: filter and record",
            Way::FilterAlone => "Sallyport without ssh: filter alone",
            Way::Sshd => "OpenSSH's sshd, a forwarded channel",
            Way::Forwarded => "Sallyport, a forwarded channel: ssh, filter and record",
        }
    }
}

/// The core of what stands between; tool and controller have the other.
pub(crate) const BETWEEN: usize = 0;
pub(crate) const ENDS: usize = 1;

const HAPROXY: u16 = 22_111;
pub(crate) const PLAIN: u16 = 22_112;
pub(crate) const UNRECORDED: u16 = 22_113;

/// What HAProxy is run with.
pub(crate) const HAPROXY_CONFIG: &str = "\
global
    nbthread 1
defaults
    mode tcp
    timeout connect 5s
    timeout client 1m
    timeout server 1m
listen modbus
    bind 127.0.0.1:22111
    server controller 127.0.0.2:22104
";

pub(crate) fn haproxy(folder: &Path) -> Running {
    let config = folder.join("haproxy.cfg");
    fs::write(&config, HAPROXY_CONFIG).expect("a configuration");
    let mut command = on_core(BETWEEN);
    command.args(["setpriv", "--pdeathsig", "KILL", "--", "haproxy", "-db", "-f"]).arg(&config);
    let mut haproxy = Running::start("haproxy", command, &folder.join("haproxy.log"));
    eventually("HAProxy listens", Duration::from_secs(10), || {
        assert!(haproxy.ended().is_none(), "HAProxy ended: {}", haproxy.log());
        std::net::TcpStream::connect(("127.0.0.1", HAPROXY)).ok()
    });
    haproxy
}

/// A command that stays on one core.
pub(crate) fn on_core(core: usize) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", &core.to_string()]);
    command
}

/// The open connections of a way.
pub(crate) struct Open {
    pub(crate) way: Way,
    /// The process whose work counts, where there is one.
    pub(crate) between: Option<u32>,
    streams: Vec<Box<dyn Stream>>,
    /// Keeps the ssh connection.
    _ssh: Option<crate::client::Connection>,
}

impl Open {
    pub(crate) async fn new(way: Way, site: &Site, haproxy: &Running, count: usize) -> Open {
        let plain = |port: u16| SocketAddr::from(([127, 0, 0, 1], port));
        let connect = async |to: SocketAddr| -> Vec<Box<dyn Stream>> {
            load::connect(to, count).await.into_iter().map(|stream| Box::new(stream) as Box<dyn Stream>).collect()
        };
        let forward = async |target: Target, to: (&str, u16)| {
            let (connection, streams) = target.forward(to, count).await;
            let streams = streams.into_iter().map(|stream| Box::new(stream) as Box<dyn Stream>).collect::<Vec<_>>();
            (Some(connection), streams)
        };
        let broker = Some(site.broker_pid());
        let (between, (ssh, streams)) = match way {
            Way::Direct => (None, (None, connect(CONTROLLER.into()).await)),
            Way::HaProxy => (Some(haproxy.pid()), (None, connect(plain(HAPROXY)).await)),
            Way::Isolated => (broker, (None, connect(plain(PLAIN)).await)),
            Way::FilterAlone => (broker, (None, connect(plain(UNRECORDED)).await)),
            Way::Sshd => {
                let key = Sshd::account_key(&site.folder().join("jump"));
                let controller = (&*CONTROLLER.0.to_string(), CONTROLLER.1);
                (None, forward(Target::new(JUMP, "fitter", &key), controller).await)
            }
            Way::Forwarded => {
                (broker, forward(Target::new(BROKER, "alice", &site.alice.key()), ("plc-1", CONTROLLER.1)).await)
            }
        };
        Open { way, between, streams, _ssh: ssh }
    }

    /// Reads over one connection for so long.
    pub(crate) async fn read_one(&mut self, lasting: Duration) -> Taken {
        let others = self.streams.split_off(1);
        let taken = self.read_many(lasting).await;
        self.streams.extend(others);
        taken
    }

    /// Reads over all of them at once for so long.
    pub(crate) async fn read_many(&mut self, lasting: Duration) -> Taken {
        let (streams, taken) = load::read_for(std::mem::take(&mut self.streams), lasting).await;
        self.streams = streams;
        taken
    }
}
