//! What is measured: one asset's sshd, a controller, a jump host's sshd, and a broker, all on loopback.

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use sallyport_tests::{Accounts, Person, Running, Sshd, eventually, finish, sallyport};
use serde_json::Value;
use tempfile::TempDir;

/// A way from the client to the asset; the name of a host in the ssh_config.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// Straight to the asset's sshd.
    Straight,
    /// OpenSSH `-J` through the jump host's sshd, as it comes.
    StockJump,
    /// The same, key exchange with curve25519-sha256 on both legs.
    StockJumpCurve,
    /// Sallyport, `-J` form.
    Jump,
    /// Sallyport, direct form.
    Direct,
}

impl Way {
    pub(crate) const ALL: [Way; 5] = [Way::Straight, Way::StockJump, Way::StockJumpCurve, Way::Jump, Way::Direct];

    /// Does the broker stand in it?
    pub(crate) fn is_ours(self) -> bool {
        matches!(self, Way::Jump | Way::Direct)
    }

    pub(crate) fn host(self) -> &'static str {
        match self {
            Way::Straight => "straight",
            Way::StockJump => "stock-jump",
            Way::StockJumpCurve => "stock-jump-curve",
            Way::Jump => "ews-1",
            Way::Direct => "sallyport-direct",
        }
    }

    pub(crate) fn title(self) -> &'static str {
        match self {
            Way::Straight => "sshd, no gateway",
            Way::StockJump => "OpenSSH `-J`",
            Way::StockJumpCurve => "OpenSSH `-J`, curve25519",
            Way::Jump => "Sallyport `-J`",
            Way::Direct => "Sallyport direct",
        }
    }
}

/// Everything, running.
pub(crate) struct Site {
    pub(crate) alice: Person,
    _asset: Sshd,
    broker: Running,
    _jump: Sshd,
    folder: TempDir,
}

const ASSET: u16 = 22_101;
pub(crate) const JUMP: u16 = 22_102;
pub(crate) const BROKER: u16 = 22_103;
pub(crate) const CONTROLLER: (Ipv4Addr, u16) = (Ipv4Addr::new(127, 0, 0, 2), 22_104);

impl Site {
    pub(crate) fn start() -> Site {
        // In memory, so that a disk is not what is measured; the recordings lie where the system keeps its files.
        let folder = tempfile::Builder::new().prefix("sallyport-bench-").tempdir_in("/tmp").expect("a folder");
        let at = folder.path();
        let host_key = Sshd::host_key(&at.join("asset"));
        let config = initialise(at);
        fs::write(at.join("plant.toml"), PLANT.replace("@HOST_KEY@", &host_key)).unwrap();
        fs::write(at.join("plc-1.csv"), TAGS).unwrap();
        let files = ["plant.toml", "plc-1.csv"].map(|name| at.join(name).to_str().unwrap().to_owned());
        run(&config, &["apply", "-f", &files[0], "-f", &files[1]]);
        let user_ca = run(&config, &["user-ca"]);
        let asset = Sshd::start_at(own_mounts(), &at.join("asset"), &user_ca, "127.0.0.1", ASSET);
        let jump = Sshd::start_at(own_mounts(), &at.join("jump"), &user_ca, "127.0.0.1", JUMP);
        let alice = alice(at, &config);

        let mut serve = Command::new("setpriv");
        serve.args(["--pdeathsig", "KILL", "--"]).arg(sallyport()).arg("--config").arg(&config).arg("serve");
        let broker = listening(serve, at, &[BROKER]);
        let site = Site { alice, _asset: asset, broker, _jump: jump, folder };
        site.alice.ssh([Way::Jump.host(), "true"]).ok();
        site
    }

    /// Starts another broker in the place of this one, with the same people, leases and plant; it must listen on these ports too.
    pub(crate) fn serve_with(&mut self, command: Command, ports: &[u16]) {
        self.broker.terminate();
        self.broker = listening(command, self.folder.path(), &[&[BROKER], ports].concat());
    }

    /// A program that takes `-F`.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = self.alice.leased(program);
        command.arg("-F").arg(self.alice.config());
        command
    }

    /// A shell line in which `$F` is `-F ssh_config`.
    pub(crate) fn shell(&self, line: &str) -> Command {
        let mut command = self.alice.leased("bash");
        command.env("F", format!("-F{}", self.alice.config().display()));
        command.args(["-o", "pipefail", "-c", line]);
        command
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.folder.path().join("broker/broker.toml")
    }

    pub(crate) fn broker_pid(&self) -> u32 {
        self.broker.pid()
    }

    /// Bytes of all recordings.
    pub(crate) fn recorded(&self) -> u64 {
        let paths = sallyport_tests::recordings(&self.folder.path().join("broker/recordings"));
        paths.iter().map(|path| fs::metadata(path).map_or(0, |file| file.len())).sum()
    }
}

/// A broker that listens on these ports.
fn listening(command: Command, at: &Path, ports: &[u16]) -> Running {
    let mut broker = Running::start("broker", command, &at.join("broker.log"));
    for port in ports {
        eventually("the broker listens", Duration::from_secs(20), || {
            assert!(broker.ended().is_none(), "{}", broker.log());
            std::net::TcpStream::connect(("127.0.0.1", *port)).ok()
        });
    }
    broker
}

fn initialise(at: &Path) -> PathBuf {
    let folder = at.join("broker");
    let mut init = Command::new(sallyport());
    init.args(["init", "--name", "bench", "--dir"]).arg(&folder);
    finish(init, b"").ok();
    let config = folder.join("broker.toml");
    let text = fs::read_to_string(&config).unwrap();
    let listen = text.replace("0.0.0.0:2222", &format!("127.0.0.1:{BROKER}"));
    // One client stands for hundreds of people here.
    let limits = "\n[ssh]\nnames = [\"broker\", \"127.0.0.1\"]\nmax_unauthenticated = 2000\n\
                  max_unauthenticated_per_source = 2000\nmax_connections = 4000\n\
                  max_connections_per_source = 4000\nmax_rate_per_source = 10000\n";
    fs::write(&config, listen + limits).unwrap();
    config
}

fn alice(at: &Path, config: &Path) -> Person {
    let mut alice = Person::on_this_machine(at, "alice");
    let public = alice.key().with_extension("pub");
    run(config, &["identity", "add", "alice"]);
    run(config, &["identity", "key", "add", "alice", public.to_str().unwrap()]);
    let totp: Value =
        serde_json::from_str(&run(config, &["identity", "totp", "alice", "--unproven", "--json"])).unwrap();
    alice.enrol(totp["secret"].as_str().expect("a seed"));
    let fitter = Sshd::account_key(&at.join("asset"));
    let jumper = Sshd::account_key(&at.join("jump"));
    let (key, account) = (alice.key(), Accounts::FITTER);
    let (key, fitter, jumper) = (key.display(), fitter.display(), jumper.display());
    let text = format!(
        "Host straight stock-jump stock-jump-curve
    HostName 127.0.0.1
    Port {ASSET}
    User {account}
    IdentityFile {fitter}
Host stock-jump
    ProxyJump jump
Host stock-jump-curve
    ProxyJump jump-curve
    KexAlgorithms curve25519-sha256
Host jump-curve
    KexAlgorithms curve25519-sha256
Host jump jump-curve
    HostName 127.0.0.1
    Port {JUMP}
    User {account}
    IdentityFile {jumper}
Host ews-1
    HostName ews-1
    Port {ASSET}
    User operator
    ProxyJump broker
    IdentityFile {key}
Host sallyport-direct
    HostName 127.0.0.1
    Port {BROKER}
    User alice:operator@ews-1
    IdentityFile {key}
Host broker
    HostName 127.0.0.1
    Port {BROKER}
    User alice
    IdentityFile {key}
Host *
    IdentitiesOnly yes
    StrictHostKeyChecking no
    UserKnownHostsFile /dev/null
    LogLevel ERROR
"
    );
    let path = at.join("ssh_config");
    fs::write(&path, text).unwrap();
    alice.use_config(&path);
    alice
}

fn run(config: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new(sallyport());
    command.arg("--config").arg(config).args(arguments);
    finish(command, b"").ok()
}

/// A shell in a mount namespace of its own: sshd's accounts are seen by nobody else.
fn own_mounts() -> Command {
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "slave", "setpriv", "--pdeathsig", "KILL", "--", "sh"]);
    command
}

const PLANT: &str = r#"
[zone.bench]
level = 2
security_level = 2
networks = ["127.0.0.0/8"]

[[conduit]]
to = "bench"
services = ["ssh", "modbus"]

[asset.ews-1]
zone = "bench"
address = "127.0.0.1"
services.ssh = { port = 22101, host_key = "@HOST_KEY@" }
accounts.operator = { auth = "certificate" }

[asset.plc-1]
zone = "bench"
address = "127.0.0.2"
services.modbus = { port = 22104, tag_list = "plc-1.csv" }

[filter.setpoints]
modbus = [
  { operations = ["read", "diagnose"] },
  { name = "speed", operations = ["write"], unit = [1], registers = ["100-109"], values = { min = 0, max = 1500, max_step = 50 } },
  { name = "batch", operations = ["write"], references = ["40201-40205"], values = { allowed = [0, 1, 2] }, per_minute = 3 },
  { name = "lamps", operations = ["write"], registers = ["300"], values = { bits = "0x00ff" } },
  { name = "level", operations = ["write"], tags = ["tank-level-setpoint"], values = { min = 0.0, max = 80.0 } },
  { name = "flow", operations = ["write"], tags = ["flow-setpoint"], values = { min = -1.5, max = 12.5 } },
  { name = "shift", operations = ["write"], coils = ["0-15"], when = { timezone = "UTC" } },
]

[role.engineer]
[[role.engineer.grant]]
assets = ["ews-1"]
services = ["ssh"]
accounts = ["operator"]
lease = "8h"
terms = { file_transfer = "both", connections = 4000, sessions = 10000 }
[[role.engineer.grant]]
assets = ["plc-1"]
services = ["modbus"]
filter = "setpoints"
lease = "8h"
[role.engineer.members]
identities = ["alice"]
"#;

const TAGS: &str = "name,table,address,type,word_order,scale,offset,unit,description
speed-setpoint,register,100,u16,,,,rpm,Pump 1
tank-level-setpoint,register,120,u16,,0.1,,%,Tank 1
flow-setpoint,register,130,f32,little,,,m3/h,
inlet-valve,coil,3,,,,,,open is 1
";
