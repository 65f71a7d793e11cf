//! People and their factors.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use qrcode::QrCode;
use qrcode::render::unicode::Dense1x2;
use sallyport_policy::IdentityId;
use serde::Serialize;

use super::hidden_input::read_hidden;
use super::{CliError, Context, NOT_GENUINE, Row};
use crate::identity::admin::{Admin, AdminError, Enrollment};
use crate::store::factors::KeyRow;
use crate::store::identities::{IdentityRow, State};
use crate::store::{Listed, Store};
use crate::totp::{TotpAlgorithm, TotpSettings, TotpSettingsError};
use crate::vault::Secret;

/// `sallyport identity …`
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Add somebody; factors come next (`password`, `key add`, `totp`)
    Add {
        /// The name at login
        name: IdentityId,
        /// The name for people
        #[arg(long, default_value = "", hide_default_value = true)]
        display_name: String,
        /// A group, for roles and forbids of the plant file; may be repeated
        #[arg(long = "group", value_name = "GROUP")]
        groups: Vec<String>,
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
    /// Enrol an authenticator app in place of any before; shows its QR code once
    Totp {
        /// The name at login
        name: IdentityId,
        /// The hash; apps expect sha1
        #[arg(long, value_enum, default_value = "sha1")]
        algorithm: TotpAlgorithm,
        /// How long a code is: 6 or 8
        #[arg(long, default_value_t = 6)]
        digits: i64,
        /// How many seconds a code stands
        #[arg(long, default_value_t = 30)]
        period: i64,
    },
    /// Make ten recovery codes in place of any before; shows them once
    RecoveryCodes {
        /// The name at login
        name: IdentityId,
    },
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

/// Runs one of them.
pub async fn run(command: Command, context: &Context) -> Result<(), CliError> {
    let now = Timestamp::now();
    match command {
        Command::List => return list(context, now).await,
        Command::Show { name } => return show(&name, context, now).await,
        Command::Key(KeyCommand::List { name }) => return list_keys(&name, context).await,
        _ => {}
    }
    let admin = admin(context).await?;
    match command {
        Command::Add { name, display_name, groups, valid_until } => {
            let groups = groups.into_iter().collect();
            admin.add(&name, &display_name, &groups, valid_until, now).await.map_err(failed)?;
        }
        Command::Lock { name, reason } => admin.lock(&name, &reason, now).await.map_err(failed)?,
        Command::Unlock { name } => admin.unlock(&name, now).await.map_err(failed)?,
        Command::Remove { name, reason, yes } => {
            if !yes && !context.confirm(&format!("Remove `{name}` for good?"), "--yes")? {
                return Err(CliError::Failed("nothing was changed".to_owned()));
            }
            admin.remove(&name, &reason, now).await.map_err(failed)?;
        }
        Command::Password { name, remove: true, .. } => admin.remove_password(&name, now).await.map_err(failed)?,
        Command::Password { name, file, remove: false } => {
            let password = read_hidden(&format!("New password for {name}"), file.as_deref(), true)?;
            admin.set_password(&name, password, now).await.map_err(failed)?;
        }
        Command::Key(KeyCommand::Add { name, file }) => {
            let line = read_public(&file)?;
            let key = admin.add_key(&name, &line, now).await.map_err(failed)?;
            context.print_one(&KeyView::from(key))?;
        }
        Command::Key(KeyCommand::Remove { name, fingerprint }) => {
            admin.remove_key(&name, &fingerprint, now).await.map_err(failed)?;
        }
        Command::Totp { name, algorithm, digits, period } => {
            let usage = |error: TotpSettingsError| CliError::Usage(error.to_string());
            let settings = TotpSettings {
                algorithm,
                digits: digits.try_into().map_err(usage)?,
                period: period.try_into().map_err(usage)?,
            };
            let issuer = format!("Sallyport {}", context.config()?.name);
            let enrollment = admin.enroll_totp(&name, settings, &issuer, now).await.map_err(failed)?;
            show_enrollment(&name, &enrollment, context)?;
        }
        Command::RecoveryCodes { name } => {
            let codes = admin.new_recovery_codes(&name).await.map_err(failed)?;
            show_codes(&name, &codes, context)?;
        }
        Command::Groups { name, groups } => {
            admin.set_groups(&name, &groups.into_iter().collect(), now).await.map_err(failed)?;
        }
        Command::List | Command::Show { .. } | Command::Key(KeyCommand::List { .. }) => {}
    }
    Ok(())
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

fn show_enrollment(name: &IdentityId, enrollment: &Enrollment, context: &Context) -> Result<(), CliError> {
    let (uri, secret) = (enrollment.uri.expose(), enrollment.secret.expose());
    if context.json() {
        return context.print_json(&serde_json::json!({ "identity": name, "uri": uri, "secret": secret }));
    }
    // Light on dark and dark on light both scan; a margin of four is part of the standard.
    let code = QrCode::new(uri.as_bytes()).map_err(CliError::failed)?;
    let picture = code.render::<Dense1x2>().dark_color(Dense1x2::Light).light_color(Dense1x2::Dark).build();
    context.print(&format!("{picture}\n\n{uri}\n\nTo type it in: {secret}\nThis is shown once.\n"))
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

async fn view(store: &Store, row: Listed<IdentityRow>, now: Timestamp) -> Result<View, CliError> {
    let (row, fault) = row.into_parts();
    let keys = store.keys(&row.id).await.map_err(CliError::failed)?;
    let totp = store.totp(&row.id).await.map_err(CliError::failed)?;
    let left = store.recovery_codes_left(&row.id).await.map_err(CliError::failed)?;
    let leases = store.leases(Some(&row.id), false, now).await.map_err(CliError::failed)?;
    let shown = |key: Listed<KeyRow>| {
        let (key, fault) = key.into_parts();
        if fault.is_none() { Some(KeyView::from(key)) } else { None }
    };
    let expired = row.state == State::Active && row.valid_until.is_some_and(|at| at <= now);
    Ok(View {
        state: match fault {
            Some(_) => NOT_GENUINE,
            None if expired => "expired",
            None => row.state.as_str(),
        },
        id: row.id,
        display_name: row.display_name,
        state_reason: row.state_reason,
        groups: row.member_of,
        password: row.password_hash.is_some(),
        keys: keys.into_iter().filter_map(shown).collect(),
        totp_enrolled_at: totp.as_ref().map(|totp| totp.enrolled_at),
        wrong_codes: totp.as_ref().map_or(0, |totp| totp.failures),
        recovery_codes_left: left,
        leases: leases.into_iter().filter_map(Listed::genuine).count(),
        valid_until: row.valid_until,
        created_at: row.created_at,
    })
}

#[derive(Serialize)]
struct View {
    id: String,
    display_name: String,
    state: &'static str,
    state_reason: String,
    groups: BTreeSet<String>,
    password: bool,
    keys: Vec<KeyView>,
    totp_enrolled_at: Option<Timestamp>,
    wrong_codes: i64,
    recovery_codes_left: usize,
    leases: usize,
    valid_until: Option<Timestamp>,
    created_at: Timestamp,
}

/// The same, with room for everything.
#[derive(Serialize)]
#[serde(transparent)]
struct Detail(View);

#[derive(Serialize)]
struct KeyView {
    fingerprint: String,
    kind: String,
    public_key: String,
    added_at: Timestamp,
}

impl View {
    fn factors(&self) -> String {
        let mut factors = Vec::new();
        if self.password {
            factors.push("password".to_owned());
        }
        if !self.keys.is_empty() {
            factors.push(format!("{} key{}", self.keys.len(), if self.keys.len() == 1 { "" } else { "s" }));
        }
        if self.totp_enrolled_at.is_some() {
            factors.push("totp".to_owned());
        }
        if self.recovery_codes_left > 0 {
            factors.push(format!("{} recovery codes", self.recovery_codes_left));
        }
        factors.join(", ")
    }

    fn groups(&self) -> String {
        self.groups.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
    }

    fn until(&self) -> String {
        self.valid_until.map(|at| at.to_string()).unwrap_or_default()
    }
}

impl Row for View {
    const COLUMNS: &'static [&'static str] = &["name", "display name", "state", "groups", "factors", "valid until"];

    fn cells(&self) -> Vec<String> {
        let state = self.state.to_owned();
        vec![self.id.clone(), self.display_name.clone(), state, self.groups(), self.factors(), self.until()]
    }
}

impl Row for Detail {
    const COLUMNS: &'static [&'static str] = &[
        "name",
        "display name",
        "state",
        "reason",
        "groups",
        "factors",
        "keys",
        "wrong codes",
        "leases",
        "valid until",
        "created",
    ];

    fn cells(&self) -> Vec<String> {
        let view = &self.0;
        let keys: Vec<_> = view.keys.iter().map(|key| format!("{} ({})", key.fingerprint, key.kind)).collect();
        vec![
            view.id.clone(),
            view.display_name.clone(),
            view.state.to_owned(),
            view.state_reason.clone(),
            view.groups(),
            view.factors(),
            keys.join(", "),
            view.wrong_codes.to_string(),
            view.leases.to_string(),
            view.until(),
            view.created_at.to_string(),
        ]
    }
}

impl Row for KeyView {
    const COLUMNS: &'static [&'static str] = &["fingerprint", "kind", "public key", "added"];

    fn cells(&self) -> Vec<String> {
        vec![self.fingerprint.clone(), self.kind.clone(), self.public_key.clone(), self.added_at.to_string()]
    }
}

impl From<KeyRow> for KeyView {
    fn from(row: KeyRow) -> Self {
        Self {
            fingerprint: row.fingerprint,
            kind: row.kind.to_string(),
            public_key: row.public_key,
            added_at: row.added_at,
        }
    }
}
