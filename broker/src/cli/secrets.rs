//! The master key, and the broker's own keys that it seals.

use std::path::PathBuf;

use data_encoding::HEXLOWER;
use jiff::Timestamp;
use serde::Serialize;
use ssh_key::{HashAlg, PublicKey};

use super::{CliError, Context, Row};
use crate::app::all_silent;
use crate::store::{Adopted, AlteredRow};
use crate::vault::{KeyName, Rekeyed, Rotation, Turn, adopt_asked, finish_rekey, rekey};

/// `sallyport secrets …`
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Show the public halves of the broker's own keys; of one alone, what `--public-key` takes and nothing else
    Show {
        /// Only this one
        #[arg(value_parser = key_name)]
        name: Option<KeyName>,
    },
    /// Seal everything under a new master key
    Rekey {
        /// Put the new key into this file; needed where the key is a systemd credential
        #[arg(long, value_name = "FILE")]
        to: Option<PathBuf>,
    },
    /// Put another key in the place of one of the broker's own. An authority (`host-ca`, `user-ca`) takes three steps, so that nobody is
    /// locked out: without options its next key is made and printed beside it, `--use` takes that into use, `--drop` forgets the old one
    Rotate {
        /// `host-key`, `host-ca`, `user-ca` or `evidence`
        #[arg(value_parser = key_name)]
        key: KeyName,
        /// Take the next key into use
        #[arg(long = "use", conflicts_with_all = ["at_once", "drop"])]
        take: bool,
        /// A new key in use at once, the old one worth nothing: it was stolen
        #[arg(long, conflicts_with = "drop")]
        at_once: bool,
        /// Nobody is told of old keys any more
        #[arg(long)]
        drop: bool,
    },
    /// List the rows without a MAC that the audit chain tells of, such as after a restore from an older release; with `--yes`,
    /// give them one
    Adopt {
        /// Do it; every row is put on record
        #[arg(long)]
        yes: bool,
    },
}

/// Runs one of them.
pub async fn run(command: Command, context: &Context) -> Result<(), CliError> {
    match command {
        Command::Show { name } => show(name, context).await,
        Command::Rekey { to } => {
            let (store, source) = (context.store().await?, &context.config()?.master_key);
            // What an earlier run left unfinished comes first: the vault does not open before.
            let done = match finish_rekey(store, source).await.map_err(CliError::failed)? {
                Some(finished) => finished,
                None => rekey(store, context.audit().await?, source, to.as_deref()).await.map_err(CliError::failed)?,
            };
            tell(&done, context)
        }
        Command::Rotate { key, take, at_once, drop } => {
            let steps = matches!(key, KeyName::HostCa | KeyName::UserCa);
            let rotation = match (take, drop) {
                (true, _) => Rotation::Use,
                (false, true) => Rotation::Drop,
                (false, false) if steps && !at_once => Rotation::Stage,
                (false, false) => Rotation::AtOnce,
            };
            rotate(key, rotation, context).await
        }
        Command::Adopt { yes } => {
            let (store, audit) = (context.rows().await?, context.audit().await?);
            let adopted = adopt_asked(store, audit, yes).await.map_err(CliError::failed)?;
            tell_adopted(&adopted, yes, context)
        }
    }
}

fn tell_adopted(adopted: &Adopted, done: bool, context: &Context) -> Result<(), CliError> {
    let word = if done { "adopted" } else { "would be adopted" };
    let view = |outcome: &'static str, row: &AlteredRow| AdoptedView {
        outcome,
        table: row.table,
        row: row.key.clone(),
        reason: row.fault.clone(),
    };
    let views = adopted.rows.iter().map(|row| view(word, row));
    context.print_list(&views.chain(adopted.left.iter().map(|row| view("left out", row))).collect::<Vec<_>>())?;
    if !done && !adopted.rows.is_empty() {
        eprintln!(
            "The audit chain tells that these were given and not taken since. It does not tell a password's hash, a seed or a \
             code: where somebody else may have written the database, give new ones instead. `--yes` adopts."
        );
    }
    Ok(())
}

async fn rotate(name: KeyName, rotation: Rotation, context: &Context) -> Result<(), CliError> {
    let store = context.store().await?;
    if (name, rotation) == (KeyName::Evidence, Rotation::AtOnce) {
        // One that goes on would sign with the old key what only the new one may sign.
        let brokers = store.brokers().await.map_err(CliError::failed)?;
        if brokers.iter().any(|seen| !seen.instance.is_empty()) {
            eprintln!("sallyport: listening for a quarter of a minute whether a broker lives");
        }
        let refuse = |error| CliError::Failed(format!("the evidence key is changed while no broker runs: {error}"));
        all_silent(store, &brokers).await.map_err(refuse)?;
    }
    let (vault, audit) = (context.vault().await?, context.audit().await?);
    vault.rotate(audit, name, rotation, Timestamp::now()).await.map_err(CliError::failed)?;
    if context.json() {
        return context.print_json(&serde_json::json!({ "key": name.as_str() }));
    }
    context.print(match (name, rotation) {
        (KeyName::UserCa, Rotation::Stage) => {
            "The next user authority is made, and not used yet. Give every asset both lines of `sallyport user-ca` (TrustedUserCAKeys),\n\
             then `sallyport secrets rotate user-ca --use`.\n"
        }
        (KeyName::HostCa, Rotation::Stage) => {
            "The next host authority is made, and not used yet. Give every workstation the lines of `sallyport known-hosts`,\n\
             then `sallyport secrets rotate host-ca --use`.\n"
        }
        (_, Rotation::Use) => {
            "In use by every broker from its next start on; restart them. The old key is still printed beside it: once all of them\n\
             have started, and nothing else relies on it, `--drop` ends that.\n"
        }
        (_, Rotation::Drop) => "Old keys are printed no more. Take them from wherever they were put.\n",
        (KeyName::Evidence, _) => {
            "From now on the new evidence key signs; the last entry that the old one has signed names it. Note `sallyport secrets show\n\
             evidence`, both lines: what was signed before is verified with the old one. Brokers take it up when they start.\n"
        }
        (KeyName::UserCa, _) => {
            "Restart every broker now. No asset lets anybody in by it before it has the line of `sallyport user-ca`; take the old line\n\
             from every asset.\n"
        }
        (KeyName::HostKey | KeyName::HostCa, _) => {
            "Restart every broker now. Workstations need the lines of `sallyport known-hosts` in place of the old ones.\n"
        }
    })
}

fn key_name(text: &str) -> Result<KeyName, String> {
    let known = || KeyName::ALL.map(KeyName::as_str).join(", ");
    KeyName::ALL.into_iter().find(|name| name.as_str() == text).ok_or_else(|| format!("known here: {}", known()))
}

async fn show(only: Option<KeyName>, context: &Context) -> Result<(), CliError> {
    let rows = context.store().await?.secrets().await.map_err(CliError::failed)?;
    let vault = context.vault().await?;
    let mut views = Vec::new();
    for name in KeyName::ALL.into_iter().filter(|name| only.is_none_or(|only| only == *name)) {
        // From the opened key, not from the column beside it, which anybody with the database could have changed.
        let since = rows.iter().find(|row| row.name == name.as_str()).map(|row| row.created_at);
        views.push(View::new(name, vault.public_key(name), "in use", since)?);
        for other in vault.other_keys(name) {
            let state = match other.turn {
                Turn::Next => "next",
                Turn::Retired => "retired",
            };
            views.push(View::new(name, &other.public, state, Some(other.since))?);
        }
    }
    match (views.as_slice(), only) {
        ([one], Some(_)) if context.json() => context.print_json(one),
        (views, Some(_)) if !context.json() => {
            context.print(&views.iter().map(|view| format!("{}\n", view.public_key)).collect::<String>())
        }
        (views, _) => context.print_list(views),
    }
}

fn tell(done: &Rekeyed, context: &Context) -> Result<(), CliError> {
    if context.json() {
        return context.print_json(&serde_json::json!({
            "values": done.values,
            "key": done.key.display().to_string(),
            "previous": done.previous.as_ref().map(|path| path.display().to_string()),
        }));
    }
    let key = done.key.display();
    let what = match done.values {
        0 => format!("The interrupted change is finished; the master key is in `{key}`.\n"),
        count => format!("{count} sealed values are now under the master key in `{key}`.\n"),
    };
    let then = match &done.previous {
        Some(previous) => format!(
            "The old key is kept in `{}`: backups of the database from before need it. Remove it when there are none.\n\
             Other brokers on this database need the new key in their own file.\n",
            previous.display()
        ),
        None => "Put it where the brokers take their master key from, and restart them.\n".to_owned(),
    };
    context.print(&format!("{what}{then}"))
}

#[derive(Serialize)]
struct AdoptedView {
    outcome: &'static str,
    table: &'static str,
    row: String,
    reason: String,
}

impl Row for AdoptedView {
    const COLUMNS: &'static [&'static str] = &["outcome", "table", "row", "because"];

    fn cells(&self) -> Vec<String> {
        vec![self.outcome.to_owned(), self.table.to_owned(), self.row.clone(), self.reason.clone()]
    }
}

#[derive(Serialize)]
struct View {
    name: &'static str,
    fingerprint: String,
    public_key: String,
    hex: Option<String>,
    /// `in use`, `next` or `retired`.
    state: &'static str,
    created_at: Option<Timestamp>,
}

impl View {
    fn new(
        name: KeyName,
        key: &PublicKey,
        state: &'static str,
        created_at: Option<Timestamp>,
    ) -> Result<Self, CliError> {
        Ok(Self {
            name: name.as_str(),
            fingerprint: key.fingerprint(HashAlg::Sha256).to_string(),
            public_key: key.to_openssh().map_err(CliError::failed)?,
            hex: key.key_data().ed25519().map(|key| HEXLOWER.encode(&key.0)),
            state,
            created_at,
        })
    }
}

impl Row for View {
    const COLUMNS: &'static [&'static str] = &["name", "state", "public key"];

    fn cells(&self) -> Vec<String> {
        vec![self.name.to_owned(), self.state.to_owned(), self.public_key.clone()]
    }
}
