//! A second broker beside that of a plant, on the same database.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{Person, Plant, Running, finish, sallyport};

/// A running second broker. It ends with this.
pub struct Second {
    folder: PathBuf,
    /// The broker itself.
    pub broker: Running,
}

impl Second {
    /// Its port; its address is the first one's.
    pub const PORT: u16 = 2223;

    /// Sets it up on the database of `plant`, which is on PostgreSQL, and waits until it listens. `settings` are lines of its broker.toml.
    pub fn beside(plant: &Plant, settings: &str) -> Second {
        let folder = plant.folder().join("second");
        let mut init = Command::new(sallyport());
        init.args(["init", "--name", "gate-2", "--dir"]).arg(&folder);
        init.args(["--database", plant.database_url().expect("a plant on PostgreSQL")]);
        init.arg("--master-key").arg(plant.folder().join("broker/master.key"));
        finish(init, b"").ok();
        let config = folder.join("broker.toml");
        let text = fs::read_to_string(&config).expect("init writes a configuration");
        let text = text.replace("0.0.0.0:2222", &format!("10.0.0.2:{}", Self::PORT));
        let text = format!("{text}\n[ssh]\nnames = [\"broker\", \"10.0.0.2\"]\n{settings}\n");
        fs::write(&config, text).expect("a configuration");
        let mut broker = plant.start_broker(&config, &plant.folder().join("second.log"));
        plant.await_listening(&mut broker, Self::PORT);
        Second { folder, broker }
    }

    /// Its configuration, snapshot and recordings lie below here.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Writes an ssh_config that leads a person to this broker, beside the one that leads to the first, and lets them know its host key.
    pub fn config(person: &Person) -> PathBuf {
        let text = fs::read_to_string(person.config()).expect("an ssh_config");
        let path = person.folder().join("ssh_config.second");
        fs::write(&path, text.replace("Port 2222", &format!("Port {}", Self::PORT))).expect("an ssh_config");
        let known = person.folder().join("known_hosts");
        let hosts = fs::read_to_string(&known).expect("a known_hosts");
        if !hosts.contains(&format!(":{}", Self::PORT)) {
            fs::write(&known, hosts.replace(":2222", &format!(":{}", Self::PORT)) + &hosts).expect("a known_hosts");
        }
        path
    }
}
