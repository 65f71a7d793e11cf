//! People and their factors.

mod portal;
mod set;
mod totp;
mod view;

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use sallyport_policy::IdentityId;

use super::hidden_input::read_hidden;
use super::{CliError, Context, NOT_GENUINE};
use crate::identity::admin::{Admin, AdminError};
use crate::identity::parse_line;
use crate::store::identities::{IdentityRow, State, shown_groups};
use crate::vault::Secret;
use view::{Detail, KeyView, view};

/// `sallyport identity …`
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Add somebody; a second factor comes next (`totp`, `invite`)
    Add {
        /// The name at login
        name: IdentityId,
        /// The name for people
        #[arg(long, default_value = "", hide_default_value = true)]
        display_name: String,
        /// A group, for roles and forbids of the plant file; may be repeated
        #[arg(long = "group", value_name = "GROUP")]
        groups: Vec<String>,
        /// A public key of theirs (`id_ed25519.pub`), or `-` for standard input
        #[arg(long, value_name = "FILE")]
        key: Option<PathBuf>,
        /// When it ends by itself, as `2027-01-31T17:00:00+01:00`
        #[arg(long, value_name = "TIME")]
        valid_until: Option<Timestamp>,
    },
    /// List everybody
    List,
    /// Show somebody with their factors
    Show {
        /// The name at login
        name: IdentityId,
    },
    /// Lock somebody out; their live sessions end
    Lock {
        /// The name at login
        name: IdentityId,
        /// Why; it goes into the audit
        #[arg(long)]
        reason: String,
    },
    /// Let somebody in again
    Unlock {
        /// The name at login
        name: IdentityId,
    },
    /// Remove somebody for good; the name is never given again
    Remove {
        /// The name at login
        name: IdentityId,
        /// Why; it goes into the audit
        #[arg(long)]
        reason: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Set a password, asked for at the terminal
    Password {
        /// The name at login
        name: IdentityId,
        /// Read it from this file, or with `-` from standard input
        #[arg(long, value_name = "FILE", conflicts_with = "remove")]
        file: Option<PathBuf>,
        /// Take the password away
        #[arg(long)]
        remove: bool,
    },
    /// Give and take SSH keys
    #[command(subcommand)]
    Key(KeyCommand),
    /// Change what somebody was added with
    Set(set::SetIdentity),
    /// Enrol an authenticator app: shows its QR code once, and puts it in the place of any before when a code proves it
    Totp(totp::TotpCommand),
    /// Make ten recovery codes in place of any before; shows them once
    RecoveryCodes {
        /// The name at login
        name: IdentityId,
    },
    /// Invite somebody to the portal: a link that opens once, to enrol a passkey or security key
    Invite {
        /// The name at login
        name: IdentityId,
        /// How many hours the link counts; 14 days at most
        #[arg(long, value_name = "HOURS", default_value_t = 24, value_parser = clap::value_parser!(u16).range(1..=336))]
        hours: u16,
    },
    /// List what somebody can prove themselves with
    Factors {
        /// The name at login
        name: IdentityId,
    },
    /// Take a factor from somebody
    #[command(subcommand)]
    Factor(FactorCommand),
    /// Set the groups somebody is in
    Groups {
        /// The name at login
        name: IdentityId,
        /// The groups; none takes all away
        groups: Vec<String>,
    },
}

/// `sallyport identity key …`
#[derive(Debug, clap::Subcommand)]
pub enum KeyCommand {
    /// Give somebody a key
    Add {
        /// The name at login
        name: IdentityId,
        /// The public key's file (`id_ed25519.pub`), or `-` for standard input
        file: PathBuf,
    },
    /// List somebody's keys
    List {
        /// The name at login
        name: IdentityId,
    },
    /// Take a key from somebody
    Remove {
        /// The name at login
        name: IdentityId,
        /// Its fingerprint, as listed
        fingerprint: String,
    },
}

/// `sallyport identity factor …`
#[derive(Debug, clap::Subcommand)]
pub enum FactorCommand {
    /// Take a passkey or security key from somebody; what it proved counts no more
    Remove {
        /// The name at login
        name: IdentityId,
        /// Its credential, as `identity factors` lists it
        credential: String,
    },
}

/// Runs one of them.
pub async fn run(command: Command, context: &Context) -> Result<(), CliError> {
    let now = Timestamp::now();
    match command {
        Command::List => return list(context, now).await,
        Command::Show { name } => return show(&name, context, now).await,
        Command::Key(KeyCommand::List { name }) => return list_keys(&name, context).await,
        Command::Factors { name } => return portal::list_factors(&name, context).await,
        _ => {}
    }
    let admin = admin(context).await?;
    match command {
        Command::Add { name, display_name, groups, key, valid_until } => {
            let key = key.as_deref().map(read_public).transpose()?;
            // What is no key is found before anybody is added.
            key.as_deref().map(parse_line).transpose().map_err(CliError::failed)?;
            let groups = groups.into_iter().collect();
            admin.add(&name, &display_name, &groups, valid_until, now).await.map_err(failed)?;
            let told_of = match key {
                None => "was added, and has no factor yet (`identity key add`, `identity totp`)",
                Some(key) => {
                    let added = admin.add_key(&name, &key, now).await;
                    added.map_err(|error| CliError::Failed(format!("`{name}` was added, but not the key: {error}")))?;
                    "was added with a key, and has no second factor yet (`identity totp`, `identity invite`)"
                }
            };
            told(&name, told_of, context)?;
        }
        Command::Lock { name, reason } => {
            admin.lock(&name, &reason, now).await.map_err(failed)?;
            told(&name, "is locked", context)?;
        }
        Command::Unlock { name } => {
            admin.unlock(&name, now).await.map_err(failed)?;
            told(&name, "is unlocked", context)?;
        }
        Command::Remove { name, reason, yes } => {
            // Before anybody is asked whether they are sure of it.
            here(&name, context).await?;
            if !yes && !context.confirm(&format!("Remove `{name}` for good?"), "--yes")? {
                return Err(CliError::Failed("nothing was changed".to_owned()));
            }
            admin.remove(&name, &reason, now).await.map_err(failed)?;
            told(&name, "was removed", context)?;
        }
        Command::Password { name, remove: true, .. } => {
            admin.remove_password(&name, now).await.map_err(failed)?;
            told(&name, "has no password any more", context)?;
        }
        Command::Password { name, file, remove: false } => {
            let password = read_hidden(&format!("New password for {name}"), file.as_deref(), true)?;
            admin.set_password(&name, password, now).await.map_err(failed)?;
            told(&name, "has a new password", context)?;
        }
        Command::Key(KeyCommand::Add { name, file }) => {
            let line = read_public(&file)?;
            let key = admin.add_key(&name, &line, now).await.map_err(failed)?;
            context.print_one(&KeyView::from(key))?;
        }
        Command::Key(KeyCommand::Remove { name, fingerprint }) => {
            admin.remove_key(&name, &fingerprint, now).await.map_err(failed)?;
            told(&name, "has this key no more", context)?;
        }
        Command::Set(command) => set::run(&admin, command, context, now).await?,
        Command::Totp(command) => totp::run(&admin, command, context).await?,
        Command::RecoveryCodes { name } => {
            let codes = admin.new_recovery_codes(&name).await.map_err(failed)?;
            show_codes(&name, &codes, context)?;
        }
        Command::Groups { name, groups } => {
            let groups = groups.into_iter().collect();
            admin.set_groups(&name, &groups, now).await.map_err(failed)?;
            told(&name, &format!("is in these groups: {}", shown_groups(&groups)), context)?;
        }
        Command::Invite { name, hours } => portal::invite(&admin, &name, hours, context, now).await?,
        Command::Factor(FactorCommand::Remove { name, credential }) => {
            let credential = credential.strip_prefix("webauthn:").unwrap_or(&credential);
            admin.remove_passkey(&name, credential, now).await.map_err(failed)?;
            told(&name, "has this factor no more", context)?;
        }
        Command::List | Command::Show { .. } | Command::Factors { .. } | Command::Key(KeyCommand::List { .. }) => {}
    }
    Ok(())
}

/// What came of a change that has nothing else to show.
fn told(name: &IdentityId, what: &str, context: &Context) -> Result<(), CliError> {
    if context.json() {
        return context.print_json(&serde_json::json!({ "identity": name }));
    }
    context.print(&format!("{name} {what}.\n"))
}

/// Whether somebody of that name is here to be changed, whatever their row holds.
async fn here(name: &IdentityId, context: &Context) -> Result<(), CliError> {
    let rows = context.rows().await?.identities().await.map_err(CliError::failed)?;
    let is_here = |row: &IdentityRow| row.id == name.as_str() && row.state != State::Removed;
    let found = rows.iter().any(|row| is_here(row.row()));
    if found { Ok(()) } else { Err(CliError::Failed(format!("no identity `{name}`"))) }
}

/// The administrator who runs this command.
pub(super) async fn admin(context: &Context) -> Result<Admin, CliError> {
    let (store, vault) = (context.store().await?.clone(), context.vault().await?.clone());
    Ok(Admin::new(store, vault, context.audit().await?.clone(), context.actor()))
}

pub(super) fn failed(error: AdminError) -> CliError {
    CliError::failed(error)
}

async fn list(context: &Context, now: Timestamp) -> Result<(), CliError> {
    let store = context.rows().await?;
    let mut views = Vec::new();
    for row in store.identities().await.map_err(CliError::failed)? {
        views.push(view(store, row, now).await?);
    }
    context.print_list(&views)
}

async fn show(name: &IdentityId, context: &Context, now: Timestamp) -> Result<(), CliError> {
    let store = context.rows().await?;
    let rows = store.identities().await.map_err(CliError::failed)?;
    let row = rows.into_iter().find(|row| row.row().id == name.as_str());
    let row = row.ok_or_else(|| CliError::Failed(format!("no identity `{name}`")))?;
    context.print_one(&Detail(view(store, row, now).await?))
}

async fn list_keys(name: &IdentityId, context: &Context) -> Result<(), CliError> {
    let keys = context.rows().await?.keys(name.as_str()).await.map_err(CliError::failed)?;
    let views = keys.into_iter().map(|key| {
        let (key, fault) = key.into_parts();
        let view = KeyView::from(key);
        if fault.is_some() { KeyView { kind: NOT_GENUINE.to_owned(), ..view } } else { view }
    });
    context.print_list(&views.collect::<Vec<_>>())
}

fn show_codes(name: &IdentityId, codes: &[Secret<String>], context: &Context) -> Result<(), CliError> {
    let codes: Vec<&String> = codes.iter().map(Secret::expose).collect();
    if context.json() {
        return context.print_json(&serde_json::json!({ "identity": name, "codes": codes }));
    }
    let lines: String = codes.iter().map(|code| format!("{code}\n")).collect();
    context.print(&format!("{lines}\nEach is good once, in place of the authenticator. They are shown once.\n"))
}

fn read_public(file: &Path) -> Result<String, CliError> {
    // A public key is no secret, but the limits are the same; and a private key given by mistake stays out of sight.
    let text = read_hidden("Public key", Some(file), false)?;
    let lines = || text.expose().lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    match (lines().next(), lines().nth(1)) {
        (Some(line), None) => Ok(line.to_owned()),
        (Some(line), Some(_)) if line.contains("PRIVATE KEY") => Ok(line.to_owned()),
        (None, _) => Err(CliError::Failed("there is no key in it".to_owned())),
        (Some(_), Some(_)) => {
            Err(CliError::Failed("there is more than one line in it; give one key at a time".to_owned()))
        }
    }
}
