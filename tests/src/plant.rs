//! A whole plant: network, sshd, a broker that was set up with its own commands, and people.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::person::Person;
use crate::process::{Finished, Running, eventually, finish};
use crate::sshd::Sshd;
use crate::{Network, Place, repository, sallyport};

/// What a plant is made of, before it starts.
pub struct Setup {
    plant_file: String,
    settings: toml::Table,
}

impl Setup {
    /// The plant of `tests/data/plant.toml`.
    pub fn standard() -> Setup {
        Setup::with_plant_file(&read(&repository().join("tests/data/plant.toml")))
    }

    /// A plant file of the test's own; `@HOST_KEY@` stands for the key of the sshd.
    pub fn with_plant_file(text: &str) -> Setup {
        Setup { plant_file: text.to_owned(), settings: toml::Table::new() }
    }

    /// Lines of broker.toml that differ from what `sallyport init` writes.
    pub fn setting(mut self, toml: &str) -> Setup {
        merge(&mut self.settings, toml.parse().expect("settings are TOML"));
        self
    }

    /// Lays everything out and starts sshd and the broker.
    pub fn start(self) -> Plant {
        let mut plant = self.lay_out();
        plant.serve();
        plant
    }

    /// Everything but the running broker.
    pub fn lay_out(self) -> Plant {
        let folder = tempfile::Builder::new().prefix("sallyport-").tempdir_in("/tmp").expect("a folder");
        let network = Arc::new(Network::new());
        let host_key = Sshd::host_key(&folder.path().join("sshd"));
        let plant = Plant { broker: None, sshd: None, host_key, network, folder };
        plant.initialise(self.settings);
        plant.apply(&self.plant_file);
        let user_ca = plant.sallyport(&["user-ca"]).ok();
        let sshd = Sshd::start(&plant.network, &plant.folder.path().join("sshd"), &user_ca);
        Plant { sshd: Some(sshd), ..plant }
    }
}

/// A running plant. Dropping it ends everything.
pub struct Plant {
    broker: Option<Running>,
    sshd: Option<Sshd>,
    host_key: String,
    network: Arc<Network>,
    folder: TempDir,
}

impl Plant {
    /// The address and port of the broker, as the office knows it.
    pub const BROKER: (&str, u16) = ("10.0.0.2", 2222);

    /// The standard plant, running.
    pub fn start() -> Plant {
        Setup::standard().start()
    }

    /// Starts the broker and waits until it listens.
    pub fn serve(&mut self) {
        let mut command = self.network.command(Place::Gate, sallyport().to_str().expect("a path"));
        command.args(["--config"]).arg(self.config()).arg("serve");
        let mut broker = Running::start("broker", command, &self.folder.path().join("broker.log"));
        eventually("the broker listens", Duration::from_secs(20), || {
            assert!(broker.ended().is_none(), "the broker ended: {}", broker.log());
            let mut probe = self.network.command(Place::Office, "bash");
            probe.args(["-c", "exec 3<>/dev/tcp/10.0.0.2/2222 && head -c 4 <&3"]);
            (finish(probe, b"").stdout == b"SSH-").then_some(())
        });
        self.broker = Some(broker);
    }

    /// The running broker.
    #[track_caller]
    pub fn broker(&mut self) -> &mut Running {
        self.broker.as_mut().expect("the broker was started")
    }

    /// The sshd behind it.
    pub fn sshd(&self) -> &Sshd {
        self.sshd.as_ref().expect("sshd was started")
    }

    /// The namespaces.
    pub fn network(&self) -> &Arc<Network> {
        &self.network
    }

    /// Everything of this plant lies below here.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The broker's configuration file.
    pub fn config(&self) -> PathBuf {
        self.folder.path().join("broker/broker.toml")
    }

    /// A `sallyport` command of the administrator.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(sallyport());
        command.arg("--config").arg(self.config()).args(arguments);
        command
    }

    /// Runs a `sallyport` command of the administrator to its end.
    pub fn sallyport(&self, arguments: &[&str]) -> Finished {
        finish(self.command(arguments), b"")
    }

    /// Runs a `sallyport` command that must succeed, with `--json`, and reads its answer.
    #[track_caller]
    pub fn json(&self, arguments: &[&str]) -> Value {
        let finished = self.sallyport(&[arguments, &["--json"]].concat());
        let text = finished.ok();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error} in the JSON of {finished}"))
    }

    /// Applies a plant file; `@HOST_KEY@` stands for the key of the sshd.
    #[track_caller]
    pub fn apply(&self, text: &str) {
        let path = self.folder.path().join("plant.toml");
        fs::write(&path, text.replace("@HOST_KEY@", &self.host_key)).expect("a plant file");
        self.sallyport(&["apply", "-f", path.to_str().expect("a path")]).ok();
    }

    /// The plant file that was applied last.
    pub fn plant_file(&self) -> String {
        read(&self.folder.path().join("plant.toml"))
    }

    /// Makes an identity with a key and an authenticator app.
    #[track_caller]
    pub fn person(&self, name: &str) -> Person {
        let mut person = self.person_without_second_factor(name);
        let answer = self.json(&["identity", "totp", name]);
        let seed = answer["secret"].as_str().unwrap_or_else(|| panic!("no `secret` in {answer}"));
        person.enrol(seed);
        person
    }

    /// Makes an identity with a key alone.
    #[track_caller]
    pub fn person_without_second_factor(&self, name: &str) -> Person {
        let person = self.stranger(name);
        let key = person.key().with_extension("pub");
        self.sallyport(&["identity", "add", name, "--key", key.to_str().expect("a path")]).ok();
        person
    }

    /// Somebody with a key and an ssh_config whom the broker does not know.
    pub fn stranger(&self, name: &str) -> Person {
        let person = Person::new(&self.folder.path().join("office"), name, Some(Arc::clone(&self.network)));
        let assets: Vec<_> =
            (1..=14).map(|n| format!("ews-{n}")).chain(["hmi-1", "sis-1"].map(str::to_owned)).collect();
        let known_hosts = self.sallyport(&["known-hosts"]).ok();
        person.configure(Self::BROKER.0, Self::BROKER.1, &known_hosts, &assets);
        person
    }

    /// The recordings, as `recording list --json` has them.
    #[track_caller]
    pub fn recordings(&self) -> Vec<Value> {
        self.json(&["recording", "list"]).as_array().expect("a list").clone()
    }

    /// The audit trail, as `audit list --json` has it.
    #[track_caller]
    pub fn audit(&self) -> Vec<Value> {
        self.json(&["audit", "list"]).as_array().expect("a list").clone()
    }

    fn initialise(&self, settings: toml::Table) {
        let folder = self.folder.path().join("broker");
        let mut command = Command::new(sallyport());
        command.args(["init", "--dir"]).arg(&folder);
        finish(command, b"").ok();
        let mut config: toml::Table = read(&self.config()).parse().expect("init writes TOML");
        merge(
            &mut config,
            format!(
                "[listen]\nssh = [\"{}:{}\"]\n[ssh]\nnames = [\"broker\", \"{}\"]\n",
                Self::BROKER.0,
                Self::BROKER.1,
                Self::BROKER.0
            )
            .parse()
            .expect("settings are TOML"),
        );
        merge(&mut config, settings);
        fs::write(self.config(), toml::to_string(&config).expect("a table can be written")).expect("a configuration");
    }
}

fn merge(into: &mut toml::Table, from: toml::Table) {
    for (key, value) in from {
        match (into.get_mut(&key), value) {
            (Some(toml::Value::Table(old)), toml::Value::Table(new)) => merge(old, new),
            (_, value) => {
                into.insert(key, value);
            }
        }
    }
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
