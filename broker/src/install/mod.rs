//! Everything a new broker needs, in one folder; or where the shipped systemd unit looks for it.

mod service;

use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use age::secrecy::ExposeSecret;
use jiff::Timestamp;

use crate::audit::{Audit, AuditConfig, AuditError, AuditEvent};
use crate::config::{Config, ConfigError, host_name, is_broker_name};
use crate::portal::make;
use crate::store::{ROWS_CHECKED_FROM_THE_START, Store, StoreError};
use crate::vault::{KeyName, MasterKey, MasterKeyError, MasterKeySource, SealedError, Vault, VaultError};
use service::{CREDENTIAL, ServiceUser};

/// What a new broker is to be like. The default has everything in its folder.
#[derive(Debug, Default)]
pub(crate) struct Wanted {
    /// Laid out as the shipped systemd unit wants it.
    pub(crate) service: Option<SystemdService>,
    /// Database other than an SQLite file in the folder.
    pub(crate) database: Option<String>,
    /// File that holds the password of that database.
    pub(crate) database_password_file: Option<PathBuf>,
    /// Name of the broker.
    pub(crate) name: Option<String>,
    /// The name of its portal, if it has one.
    pub(crate) portal: Option<String>,
    /// The master key of an installation that exists.
    pub(crate) master_key: Option<PathBuf>,
    /// Who may read recordings; without anybody, a pair of keys is made.
    pub(crate) recipients: Vec<String>,
}

/// A broker that systemd starts.
#[derive(Debug)]
pub(crate) struct SystemdService {
    /// The user that it runs as.
    pub(crate) user: String,
    /// Folder for database and recordings.
    pub(crate) state: PathBuf,
}

/// What was made.
#[derive(Debug)]
pub(crate) struct Made {
    /// Where the key that reads recordings is, if a pair was made.
    pub(crate) reader: Option<PathBuf>,
    /// Whether the broker's own keys were made, or the database had them.
    pub(crate) keys: bool,
    /// The public half of the evidence key, as OpenSSH writes it.
    pub(crate) evidence: String,
    /// The portal, if it has one.
    pub(crate) portal: Option<MadePortal>,
    /// Why the master key is not sealed to the machine, and what to type, if it was to be.
    pub(crate) not_sealed: Option<String>,
}

/// The portal of a new broker.
#[derive(Debug)]
pub(crate) struct MadePortal {
    /// What people type.
    pub(crate) origin: String,
    /// SHA-256 over its certificate.
    pub(crate) fingerprint: String,
}

/// Why there is no new broker.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InstallError {
    /// There is one.
    #[error("`{}` exists; nothing is overwritten", .0.display())]
    Exists(PathBuf),
    /// A folder cannot be made.
    #[error("cannot make `{}`: {source}", path.display())]
    Make {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file cannot be written.
    #[error("cannot write `{}`: {source}", path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file cannot be read, or given to the service's user.
    #[error("`{}`: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Only root can give files away.
    #[error("`init --systemd` gives files to the service's user: run it as root")]
    NotRoot,
    /// The service's user does not exist.
    #[error(
        "there is no user `{0}` on this machine: make it first with \
         `useradd --system --home-dir /var/lib/sallyport --shell /usr/sbin/nologin {0}`"
    )]
    NoUser(String),
    /// The service's user may do everything.
    #[error("`{0}` is root: the broker is to run as a user of its own")]
    RootUser(String),
    /// The configuration that would be written does not hold.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The portal's certificate.
    #[error("no certificate for the portal: {0}")]
    Certificate(#[from] rcgen::Error),
    /// The master key.
    #[error(transparent)]
    MasterKey(#[from] MasterKeyError),
    /// The master key cannot be sealed to the machine.
    #[error(transparent)]
    Seal(#[from] SealedError),
    /// The keys in the database.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What was made cannot be put on record.
    #[error(transparent)]
    Audit(#[from] AuditError),
}

/// Makes folder, keys, configuration, database. The configuration comes last: where it is, the rest is.
///
/// # Errors
/// What cannot be had. What was made until then stays, but no key that nothing is under; nothing that was there is overwritten.
pub(crate) async fn install(dir: &Path, wanted: &Wanted, actor: &str) -> Result<Made, InstallError> {
    if dir.join(CONFIG).exists() {
        return Err(InstallError::Exists(dir.join(CONFIG)));
    }
    let (user, state) = match &wanted.service {
        Some(service) => (Some(ServiceUser::find(&service.user)?), absolute(&service.state)?),
        None => (None, dir.to_path_buf()),
    };
    make_folder(dir)?;
    make_folder(&state)?;
    make_folder(&state.join("recordings"))?;
    let (recipients, pair) = reader(wanted);
    let text = configuration(wanted, &state, &recipients)?;
    let config = Config::parse(&dir.join(CONFIG), &text)?;
    // Where the database cannot be had, no key is left behind that stands in the way of the next try.
    let store = Store::open(&config.database).await?;
    let reader =
        pair.map(|text| put(&dir.join(READER), 0o600, text.as_bytes()).map(|()| dir.join(READER))).transpose()?;
    let portal = config.portal.as_ref().map(|portal| make_portal(dir, &portal.name, &portal.origin)).transpose()?;
    let master = master_key(dir, wanted)?;
    let (keys, evidence) = match make_keys(store, &master, actor).await {
        Err(error @ InstallError::Vault(VaultError::WrongKey { .. })) => {
            let made = [reader, portal.as_ref().map(|_| dir.join(PORTAL_KEY)), Some(dir.join(MASTER_KEY))];
            let certificate = portal.map(|_| dir.join(PORTAL_CERTIFICATE));
            // Nothing is under these keys: the database has its own.
            made.into_iter().chain([certificate]).flatten().for_each(|path| drop(std::fs::remove_file(path)));
            return Err(error);
        }
        made => made?,
    };
    let mut not_sealed = None;
    if let Some(user) = user {
        not_sealed = service::seal(&master, dir, &dir.join(MASTER_KEY))?;
        user.owns(&state)?;
        user.reads(dir, 0o750)?;
        if portal.is_some() {
            user.reads(&dir.join(PORTAL_KEY), 0o640)?;
        }
    }
    if keys {
        put(&dir.join(PLANT), 0o640, EXAMPLE_PLANT.as_bytes())?;
    }
    put(&dir.join(CONFIG), 0o640, text.as_bytes())?;
    if let Some(user) = user {
        user.reads(&dir.join(CONFIG), 0o640)?;
    }
    Ok(Made { reader, keys, evidence, portal, not_sealed })
}

/// Makes the portal's certificate for a name, and its key, in the folder of an installation.
///
/// # Errors
/// The name is none for a certificate, or there are such files.
pub(crate) fn make_portal(dir: &Path, name: &str, origin: &str) -> Result<MadePortal, InstallError> {
    let made = make(name, Timestamp::now())?;
    put(&dir.join(PORTAL_KEY), 0o600, made.key.expose().as_bytes())?;
    put(&dir.join(PORTAL_CERTIFICATE), 0o644, made.certificate.as_bytes())?;
    Ok(MadePortal { origin: origin.to_owned(), fingerprint: made.fingerprint })
}

/// The portal in the configuration of a new broker.
pub(crate) fn portal_section(name: &str) -> String {
    let name = toml::Value::String(name.to_owned());
    format!(
        "\n# The pages for people. `sallyport portal check` says what a browser will.\n[portal]\n\
         listen = [\"0.0.0.0:8443\"]\n# What people type; passkeys are bound to it.\nname = {name}\n\
         certificate = \"{PORTAL_CERTIFICATE}\"\nkey = \"{PORTAL_KEY}\"\n"
    )
}

/// Who may read recordings, and the file with the key that was made for that.
fn reader(wanted: &Wanted) -> (Vec<String>, Option<String>) {
    if !wanted.recipients.is_empty() {
        return (wanted.recipients.clone(), None);
    }
    let pair = age::x25519::Identity::generate();
    let text = format!(
        "# Reads recordings. Keep this off the broker.\n# public key: {}\n{}\n",
        pair.to_public(),
        pair.to_string().expose_secret()
    );
    (vec![pair.to_public().to_string()], Some(text))
}

fn master_key(dir: &Path, wanted: &Wanted) -> Result<MasterKey, InstallError> {
    let path = dir.join(MASTER_KEY);
    let Some(from) = &wanted.master_key else { return MasterKey::create(&path).map_err(InstallError::from) };
    let bytes = std::fs::read(from).map_err(|source| InstallError::File { path: from.clone(), source })?;
    put(&path, 0o600, &bytes)?;
    Ok(MasterKey::load(&MasterKeySource::File(path))?)
}

/// Whether the keys were made, and the public half of the one that signs.
async fn make_keys(store: Store, master: &MasterKey, actor: &str) -> Result<(bool, String), InstallError> {
    let (vault, made) = Vault::init(store.clone(), master, Timestamp::now()).await?;
    if made {
        let audit = Audit::start(AuditConfig {
            store: store.clone(),
            key: vault.evidence_key()?,
            broker: "cli".to_owned(),
            actor: actor.to_owned(),
            spool: None,
        });
        let names = KeyName::ALL.iter().map(ToString::to_string).collect();
        let audit = audit.await?;
        audit.record(AuditEvent::SecretsCreated { names, rows: ROWS_CHECKED_FROM_THE_START.to_owned() }).await?;
    }
    store.close().await;
    let evidence = vault.public_key(KeyName::Evidence).to_openssh().map_err(|_| VaultError::Key(KeyName::Evidence))?;
    Ok((made, evidence))
}

/// The configuration of a new broker: what differs from the defaults, and where things are.
fn configuration(wanted: &Wanted, state: &Path, recipients: &[String]) -> Result<String, InstallError> {
    let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
    // A folder that is all there is can be moved; a service's state is where it is.
    let within = |name: &str| match wanted.service.is_some() {
        true => state.join(name).display().to_string(),
        false => name.to_owned(),
    };
    let url = wanted.database.clone().unwrap_or_else(|| format!("sqlite:{}", within("sallyport.db")));
    let key = match wanted.service.is_some() {
        true => format!("master_key_credential = \"{CREDENTIAL}\""),
        false => format!("master_key = \"{MASTER_KEY}\""),
    };
    let mut database = format!("url = {}\n", quoted(&url));
    if let Some(path) = &wanted.database_password_file {
        let path = absolute(path)?;
        database.push_str(&format!("password_file = {}\n", quoted(&path.display().to_string())));
    }
    // Written down even where nobody chose it: a name that followed the host's would be another after a restore elsewhere, and what
    // was open under the old one would stay so.
    let name = wanted.name.clone().or_else(|| Some(host_name()).filter(|name| is_broker_name(name)));
    let broker = name.map(|name| format!("[broker]\nname = {}\n\n", quoted(&name)));
    let recipients: Vec<String> = recipients.iter().map(|recipient| quoted(recipient)).collect();
    Ok(format!(
        "# Made by `sallyport init`. Relative paths start at this folder; what is not here has its default.\n\
         # `sallyport check` says whether it holds.\n\n\
         {}[listen]\nssh = [\"0.0.0.0:2222\"]\n\n[database]\n{database}\n[secrets]\n{key}\n\n\
         [recording]\ndir = {}\naudit_spool = {}\n\
         # Who may read recordings: age X25519 public keys.\nrecipients = [{}]\n{}",
        broker.unwrap_or_default(),
        quoted(&within("recordings")),
        quoted(&within("audit.spool")),
        recipients.join(", "),
        wanted.portal.as_deref().map(portal_section).unwrap_or_default()
    ))
}

fn make_folder(path: &Path) -> Result<(), InstallError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|source| InstallError::Make { path: path.to_path_buf(), source })
}

fn put(path: &Path, mode: u32, content: &[u8]) -> Result<(), InstallError> {
    write_new(path, mode, content).map_err(|source| InstallError::Write { path: path.to_path_buf(), source })
}

/// Writes a file that must not exist.
pub(crate) fn write_new(path: &Path, mode: u32, content: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(content)?;
    file.sync_all()
}

fn absolute(path: &Path) -> Result<PathBuf, InstallError> {
    std::path::absolute(path).map_err(|source| InstallError::File { path: path.to_path_buf(), source })
}

/// The configuration, in the folder of an installation.
pub(crate) const CONFIG: &str = "broker.toml";
/// The example of a plant.
pub(crate) const PLANT: &str = "plant.toml";
/// The master key.
pub(crate) const MASTER_KEY: &str = "master.key";
/// What reads recordings.
pub(crate) const READER: &str = "recordings-reader.key";
/// The portal's certificate, and its key.
const PORTAL_CERTIFICATE: &str = "portal.crt";
const PORTAL_KEY: &str = "portal.key";
const EXAMPLE_PLANT: &str = include_str!("../../../deploy/plant.example.toml");
