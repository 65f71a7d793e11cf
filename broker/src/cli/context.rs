//! What every command may need, made when it is first asked for.

use std::io::{ErrorKind, IsTerminal, Write};
use std::path::PathBuf;

use std::sync::OnceLock;

use ed25519_dalek::VerifyingKey;
use serde::Serialize;
use tokio::sync::OnceCell;

use super::output::{Row, table};
use super::{Arguments, CliError, Command, evidence_key, printable};
use crate::audit::{Audit, AuditConfig};
use crate::config::{Config, ConfigError};
use crate::store::{Store, StoreError};
use crate::vault::{AdoptError, MasterKey, Vault, adopt_once};

/// Configuration, store, vault and audit of one command, and how it answers.
#[derive(Debug)]
pub struct Context {
    config_path: PathBuf,
    json: bool,
    actor: String,
    config: OnceLock<Config>,
    store: OnceCell<Store>,
    vault: OnceCell<Vault>,
    audit: OnceCell<Audit>,
}

impl Context {
    /// Takes the common arguments apart.
    #[must_use]
    pub fn from_arguments(arguments: Arguments) -> (Command, Self) {
        let context = Self {
            config_path: Config::locate(arguments.config.as_deref()),
            json: arguments.json,
            actor: operating_system_user(),
            config: OnceLock::new(),
            store: OnceCell::new(),
            vault: OnceCell::new(),
            audit: OnceCell::new(),
        };
        (arguments.command, context)
    }

    /// The configuration.
    pub fn config(&self) -> Result<&Config, CliError> {
        if let Some(config) = self.config.get() {
            return Ok(config);
        }
        let config = Config::load(&self.config_path)?;
        Ok(self.config.get_or_init(|| config))
    }

    /// The database.
    pub async fn store(&self) -> Result<&Store, CliError> {
        let database = &self.config()?.database;
        self.store.get_or_try_init(|| async { Store::open(database).await.map_err(database_error) }).await
    }

    /// The keys and credentials in it.
    pub async fn vault(&self) -> Result<&Vault, CliError> {
        let (config, store) = (self.config()?, self.store().await?);
        let open = || async {
            let master = MasterKey::load(&config.master_key).map_err(CliError::setup)?;
            Vault::open(store.clone(), &master).await.map_err(CliError::setup)
        };
        self.vault.get_or_try_init(open).await
    }

    /// The evidence keys that must have signed: those given, or else this installation's.
    pub async fn evidence_keys(&self, given: &[String]) -> Result<Vec<VerifyingKey>, CliError> {
        if !given.is_empty() {
            return evidence_key::given(given);
        }
        match self.config() {
            // Away from an installation nobody wants one.
            Err(CliError::Config(ConfigError::Unreadable { source, .. })) if source.kind() == ErrorKind::NotFound => {
                let (path, mend) = (self.config_path.display(), NO_EVIDENCE_KEY);
                Err(CliError::Usage(format!(
                    "it cannot be checked who signed: there is no configuration `{path}`; {mend}"
                )))
            }
            Err(error) => Err(error),
            Ok(_) => self.vault().await?.evidence_public_keys().map_err(CliError::setup),
        }
    }

    /// The audit chain; events name the user of the operating system.
    pub async fn audit(&self) -> Result<&Audit, CliError> {
        let (store, vault) = (self.store().await?, self.vault().await?);
        let start = || async {
            let config = AuditConfig {
                store: store.clone(),
                key: vault.evidence_key().map_err(CliError::setup)?,
                broker: "cli".to_owned(),
                actor: self.actor.clone(),
                spool: None,
            };
            let audit = Audit::start(config).await.map_err(CliError::failed)?;
            match adopt_once(store, &audit).await {
                // What takes somebody out must work all the same, and so must what mends this.
                Err(error @ AdoptError::Chain(_)) => eprintln!("sallyport: warning: {}", printable(&error.to_string())),
                done => drop(done.map_err(CliError::failed)?),
            }
            Ok(audit)
        };
        self.audit.get_or_try_init(start).await
    }

    /// The database, with what tells genuine rows from others: for whatever reads people, leases, windows or the plant.
    pub async fn rows(&self) -> Result<&Store, CliError> {
        self.audit().await?;
        self.store().await
    }

    /// Who does this, for the audit: the user of the operating system.
    #[must_use]
    pub fn actor(&self) -> &str {
        &self.actor
    }

    /// Whether `--json` was given.
    #[must_use]
    pub fn json(&self) -> bool {
        self.json
    }

    /// Prints many: an aligned table, or a JSON array.
    pub fn print_list<T: Row + Serialize>(&self, rows: &[T]) -> Result<(), CliError> {
        if self.json {
            return self.print_json(rows);
        }
        let cells: Vec<Vec<String>> = rows.iter().map(Row::cells).collect();
        self.print(&table(T::COLUMNS, &cells))
    }

    /// Prints one: names and values below each other, or a JSON object.
    pub fn print_one<T: Row + Serialize>(&self, row: &T) -> Result<(), CliError> {
        if self.json {
            return self.print_json(row);
        }
        let cells: Vec<Vec<String>> =
            T::COLUMNS.iter().zip(row.cells()).map(|(name, value)| vec![(*name).to_owned(), value]).collect();
        self.print(&table(&[], &cells))
    }

    /// Prints a value as JSON, whatever `--json` says. Nothing in it acts on a terminal.
    pub fn print_json<T: Serialize + ?Sized>(&self, value: &T) -> Result<(), CliError> {
        let text = serde_json::to_string_pretty(value).map_err(CliError::failed)?;
        self.print_bytes(sallyport_plain::json(&(text + "\n")).as_bytes())
    }

    /// Prints lines in which nothing acts on a terminal. What may break a line goes through [`super::printable`] before.
    pub fn print(&self, text: &str) -> Result<(), CliError> {
        self.print_bytes(sallyport_plain::printable_lines(text).as_bytes())
    }

    /// Prints bytes as they are.
    pub fn print_bytes(&self, bytes: &[u8]) -> Result<(), CliError> {
        let mut out = std::io::stdout().lock();
        out.write_all(bytes).and_then(|()| out.flush()).map_err(CliError::Output)
    }

    /// Asks at the terminal; where there is none, the answer is an error that names the option to use.
    pub fn confirm(&self, question: &str, option: &str) -> Result<bool, CliError> {
        if !std::io::stdin().is_terminal() {
            return Err(CliError::Usage(format!("there is no terminal to ask `{question}`; give `{option}`")));
        }
        eprint!("{question} [y/N] ");
        let mut answer = String::new();
        std::io::stdin().read_line(&mut answer).map_err(CliError::failed)?;
        Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
    }
}

const NO_EVIDENCE_KEY: &str = "away from the broker, give its evidence key with `--public-key KEY`, as `sallyport secrets show evidence` \
     prints it there";

/// What the configuration says wrongly has its own exit code; a database that does not answer is no such thing.
fn database_error(error: StoreError) -> CliError {
    if error.is_unavailable() { CliError::failed(error) } else { CliError::setup(error) }
}

/// The name behind the real user id; who came through sudo is named too.
fn operating_system_user() -> String {
    let id = rustix::process::getuid().as_raw();
    let name = user_name(id).unwrap_or_else(|| format!("uid {id}"));
    match std::env::var("SUDO_USER") {
        // Only root can have been given this by sudo; anybody else could have set it by hand.
        Ok(before) if id == 0 && !before.is_empty() && before != name => format!("{name} (sudo {before})"),
        _ => name,
    }
}

fn user_name(id: u32) -> Option<String> {
    let passwd = std::fs::read_to_string("/etc/passwd").ok()?;
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(id)).then(|| name.to_owned())
    })
}
