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
use crate::{Network, Place, Postgres, repository, sallyport};

/// What a plant is made of, before it starts.
pub struct Setup {
    plant_file: String,
    /// Tag lists: the name of the file, and its text.
    tag_lists: Vec<(&'static str, String)>,
    settings: toml::Table,
    database: Option<Arc<Postgres>>,
    prelude: String,
    portal: bool,
}

impl Setup {
    /// The plant of `tests/data/plant.toml`.
    pub fn standard() -> Setup {
        Setup::with_plant_file(&read(&repository().join("tests/data/plant.toml")))
    }

    /// The same, with the TCP services of `tests/data/tcp.toml`.
    pub fn with_tcp() -> Setup {
        let folder = repository().join("tests/data");
        Setup::with_plant_file(&format!("{}\n{}", read(&folder.join("plant.toml")), read(&folder.join("tcp.toml"))))
    }

    /// The same, with the controller of `tests/data/modbus.toml`, its filters and its tag list.
    pub fn with_modbus() -> Setup {
        let folder = repository().join("tests/data");
        let files = ["plant.toml", "tcp.toml", "modbus.toml"].map(|name| read(&folder.join(name)));
        let mut setup = Setup::with_plant_file(&files.join("\n"));
        setup.tag_lists.push(("plc-3.csv", read(&folder.join("plc-3.csv"))));
        setup
    }

    /// A plant file of the test's own; `@HOST_KEY@` stands for the key of the sshd.
    pub fn with_plant_file(text: &str) -> Setup {
        // The whole suite runs on either engine.
        let postgres = std::env::var("SALLYPORT_TEST_DATABASE").is_ok_and(|engine| engine == "postgres");
        let database = postgres.then(Postgres::shared);
        Setup {
            plant_file: text.to_owned(),
            tag_lists: Vec::new(),
            // One address stands for an office full of people.
            settings: "[ssh]\nmax_rate_per_source = 1000".parse().expect("settings are TOML"),
            database,
            prelude: String::new(),
            portal: false,
        }
    }

    /// Puts the tables into this PostgreSQL, whatever the suite runs on.
    pub fn on(mut self, postgres: &Arc<Postgres>) -> Setup {
        self.database = Some(Arc::clone(postgres));
        self
    }

    /// Gives the recordings a disk of their own of this size (as `mount -o size=` takes it), seen only by the broker.
    pub fn recordings_disk(self, size: &'static str) -> Setup {
        self.before_the_broker(&format!("mount -t tmpfs -o size={size} tmpfs \"$3\" && "))
    }

    /// What a shell does first in each process that becomes a broker, where mounts are seen by nobody else; it ends in `&&` or `;`. `$3` is the
    /// folder of the recordings.
    pub fn before_the_broker(mut self, shell: &str) -> Setup {
        self.prelude = shell.to_owned();
        self
    }

    /// Pages for people, at [`Plant::PORTAL`].
    pub fn portal(mut self) -> Setup {
        self.portal = true;
        self.setting(&format!("[portal]\nlisten = [\"{}:{}\"]", Plant::PORTAL.0, Plant::PORTAL.1))
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
        let database = self.database.as_ref().map(|postgres| postgres.database());
        let mut plant = Plant {
            broker: None,
            sshd: None,
            host_key,
            prelude: self.prelude,
            tag_lists: self.tag_lists.iter().map(|(name, _)| folder.path().join(name)).collect(),
            database,
            postgres: self.database,
            network,
            folder,
        };
        for (path, (_, text)) in plant.tag_lists.iter().zip(&self.tag_lists) {
            fs::write(path, text).expect("a tag list");
        }
        plant.initialise(self.settings, self.portal);
        plant.apply(&self.plant_file);
        let user_ca = plant.sallyport(&["user-ca"]).ok();
        let sshd = Sshd::start(&plant.network, &plant.folder.path().join("sshd"), &user_ca);
        plant.sshd = Some(sshd);
        plant
    }
}

/// A running plant. Dropping it ends everything.
pub struct Plant {
    broker: Option<Running>,
    sshd: Option<Sshd>,
    host_key: String,
    prelude: String,
    tag_lists: Vec<PathBuf>,
    database: Option<String>,
    postgres: Option<Arc<Postgres>>,
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
        let broker = self.start_broker(&self.config(), &self.folder.path().join("broker.log"));
        self.await_broker(broker, Self::BROKER.1);
    }

    fn await_broker(&mut self, mut broker: Running, port: u16) {
        self.await_listening(&mut broker, port);
        self.broker = Some(broker);
    }

    /// Waits until a broker that was started shows its identification.
    pub fn await_listening(&self, broker: &mut Running, port: u16) {
        eventually("the broker listens", Duration::from_secs(20), || {
            assert!(broker.ended().is_none(), "the broker ended: {}", broker.log());
            let mut probe = self.network.command(Place::Office, "bash");
            probe.args(["-c", &format!("exec 3<>/dev/tcp/10.0.0.2/{port} && head -c 4 <&3")]);
            (finish(probe, b"").stdout == b"SSH-").then_some(())
        });
    }

    /// Starts a broker in the gate without waiting for it.
    pub fn start_broker(&self, config: &Path, log: &Path) -> Running {
        let mut command = self.network.command(Place::Gate, "sh");
        command.args(["-c", &format!("{}exec \"$1\" --config \"$2\" serve", self.prelude), "sh"]);
        command.arg(sallyport()).arg(config).arg(self.recordings_folder());
        Running::start("broker", command, log)
    }

    /// A path as the running broker sees it: its disk for recordings is not seen from outside.
    pub fn as_the_broker_sees(&mut self, path: &Path) -> PathBuf {
        let root = format!("/proc/{}/root", self.broker().pid());
        Path::new(&root).join(path.strip_prefix("/").expect("an absolute path"))
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

    /// Where the recordings are.
    pub fn recordings_folder(&self) -> PathBuf {
        let config: toml::Table = read(&self.config()).parse().expect("a configuration");
        let folder = config["recording"]["dir"].as_str().expect("init names the folder of recordings");
        self.config().parent().expect("a folder").join(folder)
    }

    /// The age identity that reads the recordings, as `sallyport init` wrote it.
    pub fn auditor_key(&self) -> PathBuf {
        self.folder.path().join("broker/recordings-reader.key")
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

    /// Applies a plant file, and waits until the broker, if one runs, goes by it; `@HOST_KEY@` stands for the key of the sshd.
    #[track_caller]
    pub fn apply(&self, text: &str) {
        let path = self.folder.path().join("plant.toml");
        fs::write(&path, text.replace("@HOST_KEY@", &self.host_key)).expect("a plant file");
        let mut command = self.command(&["apply"]);
        for path in [&path].into_iter().chain(&self.tag_lists) {
            command.arg("-f").arg(path);
        }
        command.arg("--json");
        let answer: Value = serde_json::from_str(&finish(command, b"").ok()).expect("what was applied, as JSON");
        if let (Some(broker), Some(version)) = (&self.broker, answer["version"].as_i64()) {
            broker.awaits_plant(version);
        }
    }

    /// The plant file that was applied last.
    pub fn plant_file(&self) -> String {
        read(&self.folder.path().join("plant.toml"))
    }

    /// Makes an identity with a key and an authenticator app.
    #[track_caller]
    pub fn person(&self, name: &str) -> Person {
        let mut person = self.person_without_second_factor(name);
        self.enrol(&mut person);
        person
    }

    #[track_caller]
    fn enrol(&self, person: &mut Person) {
        let answer = self.json(&["identity", "totp", &person.name, "--unproven"]);
        let seed = answer["secret"].as_str().unwrap_or_else(|| panic!("no `secret` in {answer}"));
        person.enrol(seed);
    }

    /// Makes an identity with an authenticator app that no key belongs to.
    #[track_caller]
    pub fn person_without_key(&self, name: &str) -> Person {
        let mut person = self.stranger(name);
        self.sallyport(&["identity", "add", name]).ok();
        self.enrol(&mut person);
        person
    }

    /// Makes an identity with a key alone.
    #[track_caller]
    pub fn person_without_second_factor(&self, name: &str) -> Person {
        let person = self.stranger(name);
        let key = person.key().with_extension("pub");
        self.sallyport(&["identity", "add", name]).ok();
        self.sallyport(&["identity", "key", "add", name, key.to_str().expect("a path")]).ok();
        person
    }

    /// Gives somebody a password.
    #[track_caller]
    pub fn set_password(&self, name: &str, password: &str) {
        finish(self.command(&["identity", "password", name]), password.as_bytes()).ok();
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

    /// Waits as long as a change may take to be in force everywhere.
    pub fn settle(&self) {
        std::thread::sleep(Duration::from_secs(1));
    }

    /// Waits until no session is live: each has its end, and its recording a seal.
    #[track_caller]
    pub fn quiet(&self) {
        eventually("no session is live", Duration::from_secs(10), || {
            self.json(&["session", "list", "--live"]).as_array().is_some_and(Vec::is_empty).then_some(())
        });
    }

    /// The recordings, as `recording list --json` has them.
    #[track_caller]
    pub fn recordings(&self) -> Vec<Value> {
        self.json(&["recording", "list"]).as_array().expect("a list").clone()
    }

    /// The audit trail, as `audit list --json` has it.
    #[track_caller]
    pub fn audit(&self) -> Vec<Value> {
        self.json(&["audit", "list", "--limit", "1000000"]).as_array().expect("a list").clone()
    }

    /// The SQLite file, unless this plant is on PostgreSQL.
    pub fn sqlite(&self) -> Option<PathBuf> {
        self.database.is_none().then(|| self.folder.path().join("broker/sallyport.db"))
    }

    /// What somebody does who can write the database; gives what a query answered.
    #[track_caller]
    pub fn sql(&self, statement: &str) -> String {
        if let (Some(postgres), Some(url)) = (&self.postgres, &self.database) {
            return postgres.sql(Postgres::name(url), statement);
        }
        let script = "import sqlite3, sys\nc = sqlite3.connect(sys.argv[1], timeout=20)\n\
                      for row in c.execute(sys.argv[2]): print(*row, sep='|')\nc.commit()";
        let mut python = Command::new("/usr/bin/python3");
        python.args(["-c", script]).arg(self.folder.path().join("broker/sallyport.db")).arg(statement);
        finish(python, b"").ok()
    }

    /// The URL of the PostgreSQL database, if this plant is on one.
    pub fn database_url(&self) -> Option<&str> {
        self.database.as_deref()
    }

    fn initialise(&self, settings: toml::Table, portal: bool) {
        let folder = self.folder.path().join("broker");
        let mut command = Command::new(sallyport());
        command.args(["init", "--name", "gate-1", "--dir"]).arg(&folder);
        if let Some(url) = &self.database {
            command.args(["--database", url]);
        }
        if portal {
            command.args(["--portal", Self::PORTAL_NAME]);
        }
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
