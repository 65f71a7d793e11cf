//! `sallyport init`: everything a new broker needs, in one folder.

use std::fs::{DirBuilder, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use age::secrecy::ExposeSecret;
use jiff::Timestamp;

use super::{CliError, Context};
use crate::audit::{Audit, AuditConfig, AuditEvent};
use crate::config::Config;
use crate::store::Store;
use crate::vault::{KeyName, MasterKey, Vault};

/// `sallyport init`
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Folder for configuration, keys, database and recordings; made if it does not exist
    #[arg(long, value_name = "DIR")]
    pub dir: PathBuf,
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
            dir: dir.to_path_buf(),
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
    let dir = std::path::absolute(&arguments.dir).map_err(CliError::failed)?;
    let made = initialise(&dir, &arguments, context.actor()).await?;
    let config = dir.join(CONFIG);
    let plant = dir.join(PLANT);
    let mut said = format!("Made `{}` with configuration, master key, database and an example plant.\n", dir.display());
    if let Some(reader) = &made.reader {
        said.push_str(&format!(
            "\nRecordings can be read only with the key in `{}`.\n\
             Move that file off this machine now, and keep a copy: without it nobody can ever read a recording,\n\
             and with it on this machine, whoever takes the machine can.\n",
            reader.display()
        ));
    }
    if !made.keys {
        said.push_str("\nThe database has its keys already: this broker joins it.\n");
    }
    said.push_str(&format!(
        "\nNext, when the plant file says what is yours:\n  sallyport --config {config} apply -f {plant}\n  sallyport --config {config} serve\n",
        config = config.display(),
        plant = plant.display()
    ));
    context.print(&said)
}

/// What `initialise` made.
#[derive(Debug)]
pub struct Made {
    /// Where the key that reads recordings is, if a pair was made.
    pub reader: Option<PathBuf>,
    /// Whether the broker's own keys were made, or the database had them.
    pub keys: bool,
}

/// Makes folder, keys, configuration, database. The configuration comes last: where it is, the rest is.
pub async fn initialise(dir: &Path, arguments: &Arguments, actor: &str) -> Result<Made, CliError> {
    if dir.join(CONFIG).exists() {
        return Err(CliError::Failed(format!("`{}` exists; nothing is overwritten", dir.join(CONFIG).display())));
    }
    make_folder(dir)?;
    make_folder(&dir.join("recordings"))?;
    let (recipients, reader) = match arguments.recipient.as_slice() {
        [] => {
            let pair = age::x25519::Identity::generate();
            let path = dir.join(READER);
            let text = format!(
                "# Reads recordings. Keep this off the broker.\n# public key: {}\n{}\n",
                pair.to_public(),
                pair.to_string().expose_secret()
            );
            write_new(&path, 0o600, text.as_bytes())?;
            (vec![pair.to_public().to_string()], Some(path))
        }
        given => (given.to_vec(), None),
    };
    let text = configuration(arguments, &recipients)?;
    let config = Config::parse(&dir.join(CONFIG), &text)?;
    let master = master_key(dir, arguments)?;
    let keys = make_database(config, &master, actor).await?;
    write_new(&dir.join(PLANT), 0o640, EXAMPLE_PLANT.as_bytes())?;
    write_new(&dir.join(CONFIG), 0o640, text.as_bytes())?;
    Ok(Made { reader, keys })
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
        audit.record(AuditEvent::SecretsCreated { names }).await.map_err(CliError::failed)?;
    }
    store.close().await;
    Ok(made)
}

/// The configuration of a new broker: what differs from the defaults, and where things are.
fn configuration(arguments: &Arguments, recipients: &[String]) -> Result<String, CliError> {
    let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
    let url = arguments.database.as_deref().unwrap_or("sqlite:sallyport.db");
    let mut database = format!("url = {}\n", quoted(url));
    if let Some(path) = &arguments.database_password_file {
        let path = std::path::absolute(path).map_err(CliError::failed)?;
        database.push_str(&format!("password_file = {}\n", quoted(&path.display().to_string())));
    }
    let broker = arguments.name.as_deref().map(|name| format!("[broker]\nname = {}\n\n", quoted(name)));
    let recipients: Vec<String> = recipients.iter().map(|recipient| quoted(recipient)).collect();
    Ok(format!(
        "# Made by `sallyport init`. Relative paths start at this folder; what is not here has its default.\n\
         # `sallyport check` says whether it holds.\n\n\
         {}[listen]\nssh = [\"0.0.0.0:2222\"]\n\n[database]\n{database}\n[secrets]\nmaster_key = \"{MASTER_KEY}\"\n\n\
         [recording]\ndir = \"recordings\"\naudit_spool = \"audit.spool\"\n\
         # Who may read recordings: age X25519 public keys.\nrecipients = [{}]\n",
        broker.unwrap_or_default(),
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
const MASTER_KEY: &str = "master.key";
pub(crate) const READER: &str = "recordings-reader.key";
const EXAMPLE_PLANT: &str = include_str!("../../../deploy/plant.example.toml");
