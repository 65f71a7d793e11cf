//! The folder of the demo: made the first time, taken up again later.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use sallyport_policy::{IdentityId, Policy};
use serde::{Deserialize, Serialize};
use ssh_key::private::Ed25519Keypair;
use ssh_key::{LineEnding, PrivateKey};

use super::service::Service;
use super::{DemoError, Ports, plant};
use crate::broker::Broker;
use crate::client_files::{BrokerAddress, known_hosts_text, ssh_config_text};
use crate::config::Config;
use crate::identity::admin::Admin;
use crate::install::{Wanted, install, make_portal, portal_section};
use crate::plant::{PlantDiff, apply};
use crate::store::plants::NewPlant;
use crate::totp::TotpSettings;
use crate::vault::KeyName;

/// The folder, and what is where in it.
#[derive(Debug)]
pub(super) struct Home {
    dir: PathBuf,
    before: Option<Demo>,
}

/// `demo.json`: for scripts and for the next start.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Demo {
    pub(super) ssh_port: u16,
    /// Where the portal is, as a browser says it.
    #[serde(default)]
    pub(super) portal: Option<String>,
    pub(super) config: PathBuf,
    pub(super) ssh_config: PathBuf,
    /// Where the simulated assets listen.
    #[serde(default)]
    pub(super) services: Vec<Service>,
    pub(super) identities: Vec<Person>,
}

/// Somebody of the demo.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Person {
    pub(super) name: String,
    pub(super) key: PathBuf,
    /// The seed of their authenticator, base32. It stands in a file because this is a demo.
    pub(super) totp_secret: String,
}

impl Home {
    pub(super) fn in_folder(dir: &Path) -> Result<Self, DemoError> {
        let dir = std::path::absolute(dir).map_err(|source| DemoError::File { path: dir.to_path_buf(), source })?;
        let path = dir.join(DEMO);
        let before = match fs::read_to_string(&path) {
            Ok(text) => Some(serde_json::from_str(&text).map_err(|error| {
                DemoError::Folder(format!("`{}` is not from a demo: {error}; give another --dir", path.display()))
            })?),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(source) => return Err(DemoError::File { path, source }),
        };
        Ok(Self { dir, before })
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(super) fn config(&self) -> PathBuf {
        self.dir.join("broker/broker.toml")
    }

    pub(super) fn ssh_config(&self) -> PathBuf {
        self.dir.join("ssh_config")
    }

    /// The root of the workstation's files.
    pub(super) fn files(&self) -> PathBuf {
        self.dir.join("ews-1")
    }

    /// The services as they were at the last start.
    pub(super) fn services_before(&self) -> &[Service] {
        self.before.as_ref().map_or(&[], |demo| &demo.services)
    }

    /// Makes the broker's folder the first time; the ports are those that were asked for this time.
    pub(super) async fn configure(&self, ports: Ports) -> Result<Config, DemoError> {
        let (path, folder) = (self.config(), self.dir.join("broker"));
        if !path.exists() {
            let (name, portal) = (Some("demo".to_owned()), Some(PORTAL_NAME.to_owned()));
            let wanted = Wanted { name, portal, ..Wanted::default() };
            install(&folder, &wanted, "demo").await.map_err(|error| DemoError::Folder(error.to_string()))?;
        }
        let text = fs::read_to_string(&path).map_err(|source| DemoError::File { path: path.clone(), source })?;
        let mut whole = text.clone();
        if !text.contains("\nreserve = ") {
            // What a plant keeps for emergencies is a gibibyte; a demo would only fill somebody's disk.
            whole = whole.replacen("[recording]\n", "[recording]\nreserve = \"16MiB\"\n", 1);
        }
        if !text.contains("\n[portal]\n") {
            // The folder is of a version that had none.
            make_portal(&folder, PORTAL_NAME, "").map_err(|error| DemoError::Folder(error.to_string()))?;
            whole.push_str(&portal_section(PORTAL_NAME));
        }
        let wanted = with_ports(&whole, ports)
            .ok_or_else(|| DemoError::Folder(format!("`{}` is not from a demo; give another --dir", path.display())))?;
        if wanted != text {
            replace(&path, 0o640, wanted.as_bytes())?;
        }
        Ok(Config::load(&path)?)
    }

    pub(super) fn asset_key(&self) -> Result<PrivateKey, DemoError> {
        self.lay_out_files()?;
        key_at(&self.dir.join("ews-1.host-key"), "ews-1")
    }

    fn lay_out_files(&self) -> Result<(), DemoError> {
        let root = self.files();
        for (path, text) in FILES {
            let path = root.join(path);
            let folder = path.parent().unwrap_or(&root);
            fs::create_dir_all(folder).map_err(|source| DemoError::File { path: folder.to_path_buf(), source })?;
            // What somebody has changed or removed since stays as it is.
            if self.before.is_none() && !path.exists() {
                replace(&path, 0o644, text.as_bytes())?;
            }
        }
        Ok(())
    }

    /// alice and bob, with key and authenticator: made the first time.
    pub(super) async fn people(&self, broker: &Broker) -> Result<Vec<Person>, DemoError> {
        let admin = Admin::new(broker.store.clone(), broker.vault.clone(), broker.audit.clone(), "demo");
        let mut people = Vec::new();
        for name in ["alice", "bob"] {
            let path = self.dir.join(name);
            let key = key_at(&path, name)?;
            let identity = IdentityId::try_from(name).map_err(|error| DemoError::Folder(error.to_string()))?;
            let now = Timestamp::now();
            if broker.store.identity(name).await?.is_none() {
                admin.add(&identity, "", &std::collections::BTreeSet::new(), None, now).await?;
                let line =
                    key.public_key().to_openssh().map_err(|source| DemoError::Key { path: path.clone(), source })?;
                admin.add_key(&identity, &line, now).await?;
            }
            let known = self.before.iter().flat_map(|demo| &demo.identities).find(|person| person.name == name);
            let totp_secret = match known {
                Some(person) if broker.store.totp(name).await?.is_some() => person.totp_secret.clone(),
                _ => {
                    let enrolled =
                        admin.enroll_totp(&identity, TotpSettings::default(), crate::app::ISSUER, now).await?;
                    enrolled.secret.expose().clone()
                }
            };
            people.push(Person { name: name.to_owned(), key: path, totp_secret });
        }
        Ok(people)
    }

    /// Puts the plant of the demo in force, where it is not yet.
    pub(super) async fn apply_plant(&self, broker: &Broker, services: &[Service]) -> Result<Policy, DemoError> {
        let public = self.asset_key()?.public_key().to_openssh();
        let host_key = public.map_err(|source| DemoError::Key { path: self.dir.join("ews-1.host-key"), source })?;
        let files = plant::files(services, &host_key);
        for file in &files {
            replace(&self.dir.join(&file.name), 0o644, file.text.as_bytes())?;
        }
        let policy = Policy::parse(&files).map_err(|errors| DemoError::Plant(errors.to_string()))?;
        let current = broker.store.latest_plant().await?;
        let (after, old) = current.map_or((0, Vec::new()), |plant| (plant.version, plant.files));
        if old == files {
            return Ok(policy);
        }
        let old_policy = Policy::parse(&old).ok();
        let diff = PlantDiff::between((old_policy.as_ref(), &old), (&policy, &files)).to_string();
        let new = NewPlant { files, after, diff, applied_by: "demo".to_owned(), applied_at: Timestamp::now() };
        apply(&new, &broker.store, &broker.audit).await.map_err(|error| DemoError::Plant(error.to_string()))?;
        Ok(policy)
    }

    /// `ssh_config`, `known_hosts` and `demo.json`.
    pub(super) fn write_client_files(
        &self,
        broker: &Broker,
        policy: &Policy,
        services: &[Service],
        people: &[Person],
    ) -> Result<(), DemoError> {
        let authority = broker
            .vault
            .public_key(KeyName::HostCa)
            .to_openssh()
            .map_err(|source| DemoError::Key { path: self.config(), source })?;
        let ssh_port = broker.config.listen.ssh.first().map_or(0, std::net::SocketAddr::port);
        let known_hosts = known_hosts_text(policy, &broker.config.ssh.names, &[ssh_port], &authority);
        replace(&self.dir.join("known_hosts"), 0o644, known_hosts.as_bytes())?;

        let front = BrokerAddress { host: "127.0.0.1", port: ssh_port, user: Some("alice") };
        let mut config = ssh_config_text(policy, &front, None);
        config.push_str(&format!(
            "\nHost *\n    IdentityFile \"{dir}/alice\"\n    IdentitiesOnly yes\n    UserKnownHostsFile \"{dir}/known_hosts\"\n    \
             GlobalKnownHostsFile /dev/null\n    StrictHostKeyChecking yes\n",
            dir = self.dir.display()
        ));
        replace(&self.ssh_config(), 0o644, config.as_bytes())?;

        let demo = Demo {
            ssh_port,
            portal: broker.config.portal.as_ref().map(|portal| portal.origin.clone()),
            config: self.config(),
            ssh_config: self.ssh_config(),
            services: services.to_vec(),
            identities: people.to_vec(),
        };
        let json = serde_json::to_string_pretty(&demo).map_err(|error| DemoError::Folder(error.to_string()))?;
        replace(&self.dir.join(DEMO), 0o600, json.as_bytes())
    }
}

/// Reads what an earlier start left.
pub(super) fn read(dir: &Path) -> Result<Demo, DemoError> {
    let home = Home::in_folder(dir)?;
    home.before.ok_or_else(|| {
        DemoError::Folder(format!("there is no demo in `{}`: start one with `sallyport demo --dir DIR`", dir.display()))
    })
}

/// The configuration with other ports on the two lines that say them.
fn with_ports(text: &str, ports: Ports) -> Option<String> {
    let mut found = 0;
    let lines = text.lines().map(|line| {
        for (key, port) in [("ssh", ports.ssh), ("listen", ports.portal)] {
            if line.starts_with(&format!("{key} = [")) {
                found += 1;
                return format!("{key} = [\"127.0.0.1:{port}\"]\n");
            }
        }
        format!("{line}\n")
    });
    let text: String = lines.collect();
    (found == 2).then_some(text)
}

/// The private key in a file; made, with its public half beside it, when there is none.
fn key_at(path: &Path, comment: &str) -> Result<PrivateKey, DemoError> {
    let wrong = |source| DemoError::Key { path: path.to_path_buf(), source };
    match fs::read_to_string(path) {
        Ok(text) => PrivateKey::from_openssh(&text).map_err(wrong),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let mut seed = [0_u8; 32];
            rand::fill(&mut seed);
            let mut key = PrivateKey::from(Ed25519Keypair::from_seed(&seed));
            zeroize::Zeroize::zeroize(&mut seed);
            key.set_comment(comment);
            replace(path, 0o600, key.to_openssh(LineEnding::LF).map_err(wrong)?.as_bytes())?;
            let public = key.public_key().to_openssh().map_err(wrong)? + "\n";
            let beside = PathBuf::from(format!("{}.pub", path.display()));
            replace(&beside, 0o644, public.as_bytes())?;
            Ok(key)
        }
        Err(source) => Err(DemoError::File { path: path.to_path_buf(), source }),
    }
}

/// Writes a file of the demo's own whole or not at all.
pub(super) fn replace(path: &Path, mode: u32, content: &[u8]) -> Result<(), DemoError> {
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    let new = PathBuf::from(new);
    let written = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(mode)
        .open(&new)
        .and_then(|mut file| file.write_all(content).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&new, path));
    written.map_err(|source| DemoError::File { path: path.to_path_buf(), source })
}

/// The name under which a browser reaches the demo.
const PORTAL_NAME: &str = "localhost";
const DEMO: &str = "demo.json";
const FILES: [(&str, &str); 4] = [
    ("home/operator/notes.txt", "Filler 3: swapped the level sensor of tank-1, see ticket 4711.\n"),
    ("projects/line-3/recipe.csv", "step,setpoint,unit\n1,65.0,percent\n2,71.5,celsius\n3,1450,rpm\n"),
    ("projects/line-3/README", "Project line-3, revision 41. Download to plc-1 only with the line stopped.\n"),
    ("var/log/plc.log", "06:00:01 plc-1 RUN\n06:12:44 tank-1 level high, cleared\n"),
];

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    use super::*;

    #[test]
    fn only_the_ports_of_a_configuration_are_changed() {
        let text =
            "[listen]\nssh = [\"0.0.0.0:2222\"]\n[log]\nlevel = \"debug\"\n[portal]\nlisten = [\"0.0.0.0:8443\"]\n";
        let expected = text.replace("0.0.0.0:2222", "127.0.0.1:2022").replace("0.0.0.0:8443", "127.0.0.1:9443");
        let ports = Ports { ssh: 2022, portal: 9443 };
        assert_eq!(with_ports(text, ports), Some(expected));
        assert_eq!(with_ports("[log]\n", ports), None);
    }
}
