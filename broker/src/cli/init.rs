//! `sallyport init`: everything a new broker needs, in one folder; or where the shipped systemd unit looks for it.

mod service;

use std::fs::{DirBuilder, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use age::secrecy::ExposeSecret;
use jiff::Timestamp;

use self::service::{CREDENTIAL, ServiceUser};
use super::{CliError, Context};
use crate::audit::{Audit, AuditConfig, AuditEvent};
use crate::config::Config;
use crate::store::{ROWS_CHECKED_FROM_THE_START, Store};
use crate::vault::{KeyName, MasterKey, Vault};

/// `sallyport init`
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Folder for configuration, keys, database and recordings; made if it does not exist
    #[arg(
        long,
        value_name = "DIR",
        required_unless_present = "systemd",
        default_value_if("systemd", "true", "/etc/sallyport")
    )]
    pub dir: Option<PathBuf>,
    /// Lay everything out as the shipped systemd unit wants it: state in a folder of the service's user, master key sealed to
    /// this machine
    #[arg(long)]
    pub systemd: bool,
    /// The service's user, with `--systemd`
    #[arg(long, value_name = "NAME", requires = "systemd", default_value = "sallyport")]
    pub user: String,
    /// Folder for database and recordings, with `--systemd`
    #[arg(long, value_name = "DIR", requires = "systemd", default_value = "/var/lib/sallyport")]
    pub state_dir: PathBuf,
    /// Database other than an SQLite file in the folder
    #[arg(long, value_name = "URL")]
    pub database: Option<String>,
    /// File that holds the password of that database
    #[arg(long, value_name = "FILE", requires = "database")]
    pub database_password_file: Option<PathBuf>,
    /// Name of this broker, one per installation [default: the host's name]
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Copy the master key of an installation that exists, for a second broker on the same database
    #[arg(long, value_name = "FILE", requires = "database")]
    pub master_key: Option<PathBuf>,
    /// Recordings are readable by this age recipient; without it, a pair of keys is made
    #[arg(long, value_name = "AGE1…")]
    pub recipient: Vec<String>,
}

impl Arguments {
    /// Nothing but the folder.
    pub(crate) fn in_folder(dir: &Path) -> Self {
        Self {
            dir: Some(dir.to_path_buf()),
            systemd: false,
            user: String::new(),
            state_dir: PathBuf::new(),
            database: None,
            database_password_file: None,
            name: None,
            master_key: None,
            recipient: Vec::new(),
        }
    }
}

/// Makes the folder. Nothing that exists is overwritten.
pub async fn run(arguments: Arguments, context: &Context) -> Result<(), CliError> {
    let dir = arguments.dir.as_deref().ok_or_else(|| CliError::Usage("`--dir DIR` is missing".to_owned()))?;
    let dir = std::path::absolute(dir).map_err(CliError::failed)?;
    let made = initialise(&dir, &arguments, context.actor()).await?;
    context.print(&said(&dir, &arguments, &made))
}

/// What was made, and what is left to do.
fn said(dir: &Path, arguments: &Arguments, made: &Made) -> String {
    let example = if made.keys { " and an example plant" } else { "" };
    let mut said = format!("Made `{}` with configuration, master key, database{example}.\n", dir.display());
    if let Some(reader) = &made.reader {
        said.push_str(&format!(
            "\nRecordings can be read only with the key in `{}`.\n\
             Move that file off this machine now, and keep a copy: without it nobody can ever read a recording,\n\
             and with it on this machine, whoever takes the machine can.\n",
            reader.display()
        ));
    }
    if arguments.systemd {
        said.push_str(&format!(
            "\nThe broker opens the sealed master key on this machine alone. Its copy for the safe is `{}`:\n\
             move that file off this machine too. Without it a broken machine takes the database's secrets with it.\n",
            dir.join(MASTER_KEY).display()
        ));
    }
    if let Some(to_type) = &made.not_sealed {
        said.push_str(&format!("\n{to_type}"));
    }
    if let (true, Some(path)) = (arguments.systemd, &arguments.database_password_file) {
        let (user, path) = (&arguments.user, path.display());
        said.push_str(&format!(
            "\nThe service must be able to read the database's password: `chgrp {user} {path}; chmod 640 {path}`.\n"
        ));
    }
    let config = dir.join(CONFIG);
    let config = config.display();
    said.push_str(&format!(
        "\nNext:\n  sallyport --config {config} secrets show     # note the evidence key: auditors verify with it\n"
    ));
    if made.keys {
        let plant = dir.join(PLANT);
        said.push_str(&format!(
            "  sallyport --config {config} apply -f {}     # when that file says what is yours\n",
            plant.display()
        ));
    } else {
        said.push_str("  (The database has its keys and its plant already: this broker joins it, and there is nothing to apply.)\n");
    }
    said.push_str(&format!("  sallyport --config {config} check\n"));
    said.push_str(&match arguments.systemd {
        true => "  systemctl enable --now sallyport\n".to_owned(),
        false => format!("  sallyport --config {config} serve\n"),
    });
    said
}

/// What `initialise` made.
#[derive(Debug)]
pub struct Made {
    /// Where the key that reads recordings is, if a pair was made.
    pub reader: Option<PathBuf>,
    /// Whether the broker's own keys were made, or the database had them.
    pub keys: bool,
    /// Why the master key is not sealed to the machine, and what to type, if it was to be.
    pub not_sealed: Option<String>,
}

/// Makes folder, keys, configuration, database. The configuration comes last: where it is, the rest is.
pub async fn initialise(dir: &Path, arguments: &Arguments, actor: &str) -> Result<Made, CliError> {
    if dir.join(CONFIG).exists() {
        return Err(CliError::Failed(format!("`{}` exists; nothing is overwritten", dir.join(CONFIG).display())));
    }
    let user = if arguments.systemd { Some(ServiceUser::find(&arguments.user)?) } else { None };
    let state = if arguments.systemd {
        std::path::absolute(&arguments.state_dir).map_err(CliError::failed)?
    } else {
        dir.to_path_buf()
    };
    make_folder(dir)?;
    make_folder(&state)?;
    make_folder(&state.join("recordings"))?;
    let (recipients, reader) = reader(dir, arguments)?;
    let text = configuration(arguments, &state, &recipients)?;
    let config = Config::parse(&dir.join(CONFIG), &text)?;
    let master = master_key(dir, arguments)?;
    let keys = make_database(config, &master, actor).await?;
    let mut not_sealed = None;
    if let Some(user) = user {
        not_sealed = service::seal(&master, dir, &dir.join(MASTER_KEY))?;
        user.owns(&state)?;
        user.reads(dir, 0o750)?;
    }
    if keys {
        write_new(&dir.join(PLANT), 0o640, EXAMPLE_PLANT.as_bytes())?;
    }
    write_new(&dir.join(CONFIG), 0o640, text.as_bytes())?;
    if let Some(user) = user {
        user.reads(&dir.join(CONFIG), 0o640)?;
    }
    Ok(Made { reader, keys, not_sealed })
}

/// Who may read recordings, and where the key is that was made for that.
fn reader(dir: &Path, arguments: &Arguments) -> Result<(Vec<String>, Option<PathBuf>), CliError> {
    if !arguments.recipient.is_empty() {
        return Ok((arguments.recipient.clone(), None));
    }
    let pair = age::x25519::Identity::generate();
    let path = dir.join(READER);
    let text = format!(
        "# Reads recordings. Keep this off the broker.\n# public key: {}\n{}\n",
        pair.to_public(),
        pair.to_string().expose_secret()
    );
    write_new(&path, 0o600, text.as_bytes())?;
    Ok((vec![pair.to_public().to_string()], Some(path)))
}

fn master_key(dir: &Path, arguments: &Arguments) -> Result<MasterKey, CliError> {
    let path = dir.join(MASTER_KEY);
    let Some(from) = &arguments.master_key else { return MasterKey::create(&path).map_err(CliError::setup) };
    let bytes = std::fs::read(from).map_err(|error| CliError::Failed(format!("`{}`: {error}", from.display())))?;
    write_new(&path, 0o600, &bytes)?;
    MasterKey::load(&crate::vault::MasterKeySource::File(path)).map_err(CliError::setup)
}

async fn make_database(config: Config, master: &MasterKey, actor: &str) -> Result<bool, CliError> {
    let store = Store::open(&config.database).await.map_err(CliError::failed)?;
    let (vault, made) = Vault::init(store.clone(), master, Timestamp::now()).await.map_err(CliError::setup)?;
    if made {
        let audit = Audit::start(AuditConfig {
            store: store.clone(),
            key: vault.evidence_key().map_err(CliError::failed)?,
            broker: "cli".to_owned(),
            actor: actor.to_owned(),
            spool: None,
        });
        let names = KeyName::ALL.iter().map(ToString::to_string).collect();
        let audit = audit.await.map_err(CliError::failed)?;
        audit
            .record(AuditEvent::SecretsCreated { names, rows: ROWS_CHECKED_FROM_THE_START.to_owned() })
            .await
            .map_err(CliError::failed)?;
    }
    store.close().await;
    Ok(made)
}

/// The configuration of a new broker: what differs from the defaults, and where things are.
fn configuration(arguments: &Arguments, state: &Path, recipients: &[String]) -> Result<String, CliError> {
    let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
    // A folder that is all there is can be moved; a service's state is where it is.
    let within = |name: &str| match arguments.systemd {
        true => state.join(name).display().to_string(),
        false => name.to_owned(),
    };
    let url = arguments.database.clone().unwrap_or_else(|| format!("sqlite:{}", within("sallyport.db")));
    let key = match arguments.systemd {
        true => format!("master_key_credential = \"{CREDENTIAL}\""),
        false => format!("master_key = \"{MASTER_KEY}\""),
    };
    let mut database = format!("url = {}\n", quoted(&url));
    if let Some(path) = &arguments.database_password_file {
        let path = std::path::absolute(path).map_err(CliError::failed)?;
        database.push_str(&format!("password_file = {}\n", quoted(&path.display().to_string())));
    }
    let broker = arguments.name.as_deref().map(|name| format!("[broker]\nname = {}\n\n", quoted(name)));
    let recipients: Vec<String> = recipients.iter().map(|recipient| quoted(recipient)).collect();
    Ok(format!(
        "# Made by `sallyport init`. Relative paths start at this folder; what is not here has its default.\n\
         # `sallyport check` says whether it holds.\n\n\
         {}[listen]\nssh = [\"0.0.0.0:2222\"]\n\n[database]\n{database}\n[secrets]\n{key}\n\n\
         [recording]\ndir = {}\naudit_spool = {}\n\
         # Who may read recordings: age X25519 public keys.\nrecipients = [{}]\n",
        broker.unwrap_or_default(),
        quoted(&within("recordings")),
        quoted(&within("audit.spool")),
        recipients.join(", ")
    ))
}

fn make_folder(path: &Path) -> Result<(), CliError> {
    match DirBuilder::new().recursive(true).mode(0o700).create(path) {
        Ok(()) => Ok(()),
        Err(error) => Err(CliError::Failed(format!("cannot make `{}`: {error}", path.display()))),
    }
}

/// Writes a file that must not exist.
pub(crate) fn write_new(path: &Path, mode: u32, content: &[u8]) -> Result<(), CliError> {
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)
        .and_then(|mut file| file.write_all(content).and_then(|()| file.sync_all()));
    written.map_err(|error| CliError::Failed(format!("cannot write `{}`: {error}", path.display())))
}

const CONFIG: &str = "broker.toml";
const PLANT: &str = "plant.toml";
pub(crate) const MASTER_KEY: &str = "master.key";
pub(crate) const READER: &str = "recordings-reader.key";
const EXAMPLE_PLANT: &str = include_str!("../../../deploy/plant.example.toml");
