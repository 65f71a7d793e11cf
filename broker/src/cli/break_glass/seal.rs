//! `break-glass seal` and `reseal`: a code for each envelope, its sheet, its row and its entry in the chain, all or nothing.

use std::path::PathBuf;

use jiff::{SignedDuration, Timestamp};
use sallyport_policy::{BreakGlass, Claimant, Policy, Protocol, Subject};
use serde::Serialize;

use super::folder::SheetFolder;
use super::not_sealed;
use crate::audit::AuditEvent;
use crate::cli::output::tell;
use crate::cli::{CliError, Context, Row};
use crate::emergency::{Doors, EnvelopeCode, Scope, Sealing, Sheet, may_seal};
use crate::login::local_forward;
use crate::plant::PolicyCell;
use crate::store::Write;
use crate::store::envelopes::GLASS;
use crate::vault::KeyName;

/// `sallyport break-glass seal`
#[derive(Debug, clap::Args)]
pub struct Seal {
    /// The `[break_glass.NAME]` of the plant that they open
    #[arg(long, value_name = "NAME")]
    rule: String,
    /// How many; 100 at most
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=100))]
    count: u8,
    /// Who keeps them, in words
    #[arg(long, value_name = "TEXT", value_parser = holder)]
    holder: Option<String>,
    /// When they open nothing more, from now: `180d` [default: never]
    #[arg(long, value_name = "SPAN", value_parser = span)]
    expires: Option<SignedDuration>,
    #[command(flatten)]
    paper: Paper,
}

/// `sallyport break-glass reseal`
#[derive(Debug, clap::Args)]
pub struct Reseal {
    /// The number of the old one
    number: i64,
    /// Why, where it is revoked by this
    #[arg(long, default_value = "resealed")]
    reason: String,
    /// Who keeps the new one [default: who kept the old one]
    #[arg(long, value_name = "TEXT", value_parser = holder)]
    holder: Option<String>,
    /// When it opens nothing more, from now [default: as long from now as with the old one]
    #[arg(long, value_name = "SPAN", value_parser = span)]
    expires: Option<SignedDuration>,
    #[command(flatten)]
    paper: Paper,
}

/// Where the sheets go, and what they say of the brokers.
#[derive(Debug, clap::Args)]
struct Paper {
    /// A new folder for the sheets, as text and as PDF
    #[arg(long, value_name = "FOLDER", required_unless_present = "print", conflicts_with = "print")]
    out: Option<PathBuf>,
    /// Print the sheets here, as text; with `--json`, the codes
    #[arg(long)]
    print: bool,
    /// Name or address of a broker as it is reached in an emergency; twice, if there are two
    /// [default: the first of `[ssh] names`]
    #[arg(long = "broker", value_name = "HOST")]
    brokers: Vec<String>,
    /// Their port [default: the first of `[listen] ssh`]
    #[arg(long)]
    port: Option<u16>,
}

impl Seal {
    pub(super) async fn run(self, context: &Context, now: Timestamp) -> Result<(), CliError> {
        let press = Press::new(&self.rule, &self.paper, context, now).await?;
        if press.scope.envelopes > 1 && self.count > 1 && self.holder.is_some() {
            tell("this rule takes envelopes of different holders: those of one holder do not open it together");
        }
        let batch = Batch {
            rule: self.rule,
            count: self.count,
            holder: self.holder,
            expires_at: later(now, self.expires)?,
            now,
        };
        let write = context.store().await?.begin_write().await.map_err(CliError::failed)?;
        press.seal(write, batch, self.paper, context).await
    }
}

impl Reseal {
    pub(super) async fn run(self, context: &Context, now: Timestamp) -> Result<(), CliError> {
        let (store, audit) = (context.store().await?, context.audit().await?);
        let rows = store.envelopes().await.map_err(CliError::failed)?;
        let found = rows.into_iter().map(|row| row.into_parts()).find(|(row, _)| row.number == self.number);
        let (old, fault) = found.ok_or_else(|| not_sealed(self.number))?;
        if fault.is_some() {
            let number = self.number;
            return Err(CliError::Failed(format!(
                "envelope {number} is not as a broker wrote it: revoke it, and seal a new one with `break-glass seal`"
            )));
        }
        let press = Press::new(&old.rule, &self.paper, context, now).await?;
        let before = old.expires_at.map(|at| at.duration_since(old.sealed_at));
        let expires_at = later(now, self.expires.or(before))?;
        let batch = Batch { rule: old.rule, count: 1, holder: self.holder.or(old.holder), expires_at, now };
        let mut write = store.begin_write().await.map_err(CliError::failed)?;
        // One that was used opens nothing anyhow.
        if write.revoke_envelope(old.number, context.actor(), now).await.map_err(CliError::failed)? {
            let (identity, reason) = (GLASS.to_owned(), self.reason);
            let event = AuditEvent::EnvelopeRevoked { identity, envelope: old.number, reason };
            audit.record_in(&mut write, event).await.map_err(CliError::failed)?;
        }
        press.seal(write, batch, self.paper, context).await
    }
}

/// Envelopes that are sealed together.
struct Batch {
    rule: String,
    count: u8,
    holder: Option<String>,
    expires_at: Option<Timestamp>,
    now: Timestamp,
}

impl Batch {
    fn sealing<'a>(&'a self, by: &'a str) -> Sealing<'a> {
        let Self { rule, holder, expires_at, now, .. } = self;
        Sealing { rule, holder: holder.as_deref(), expires_at: *expires_at, by, at: *now }
    }
}

/// What stands on every sheet of a rule.
struct Press {
    scope: Scope,
    doors: Doors,
}

impl Press {
    /// Of a rule whose envelopes may be sealed now.
    async fn new(rule: &str, paper: &Paper, context: &Context, now: Timestamp) -> Result<Self, CliError> {
        let store = context.rows().await?;
        let policy = PolicyCell::load(store).await.map_err(CliError::setup)?.current();
        let glass = policy.emergency(rule).ok_or_else(|| no_rule(rule, &policy))?;
        may_seal(glass, store, now).await.map_err(CliError::failed)?;
        Ok(Self { scope: scope(glass, &policy)?, doors: doors(paper, context).await? })
    }

    /// Seals them, or none of them.
    async fn seal(self, mut write: Write, batch: Batch, paper: Paper, context: &Context) -> Result<(), CliError> {
        let audit = context.audit().await?;
        let mut folder = paper.out.as_deref().map(SheetFolder::open).transpose().map_err(CliError::failed)?;
        let (mut printed, mut sealed, mut whole) = (Vec::new(), Vec::new(), true);
        for _ in 0..batch.count {
            let code = EnvelopeCode::generate();
            let number =
                batch.sealing(context.actor()).enter(&mut write, audit, &code).await.map_err(CliError::failed)?;
            let (sealed_at, expires_at) = (batch.now, batch.expires_at);
            let sheet = Sheet { number, code: &code, sealed_at, expires_at, scope: &self.scope, doors: &self.doors };
            let mut new = Sealed { number, rule: batch.rule.clone(), expires_at, code: None, files: Vec::new() };
            match &mut folder {
                Some(folder) => whole &= lay_down(&sheet, folder, &mut new.files)?,
                None if context.json() => new.code = Some(code.groups().expose().join("-")),
                None => printed.push(sheet.text()),
            }
            sealed.push(new);
        }
        write.commit().await.map_err(CliError::failed)?;
        if let Some(folder) = folder {
            folder.keep();
        }
        if !whole {
            tell("the PDF shows `?` for letters that its fonts do not have; the text has them");
        }
        for sheet in &printed {
            context.print(sheet.expose()).map_err(|error| unprinted(&error, &sealed))?;
        }
        if printed.is_empty() { context.print_list(&sealed) } else { Ok(()) }
    }
}

/// Writes the sheet of one envelope, and says whether paper shows all of it.
fn lay_down(sheet: &Sheet<'_>, folder: &mut SheetFolder, files: &mut Vec<PathBuf>) -> Result<bool, CliError> {
    let (text, pdf) = (sheet.text(), sheet.pdf());
    let name = |kind: &str| format!("envelope-{}.{kind}", sheet.number);
    files.push(folder.write(&name("txt"), text.expose().as_bytes()).map_err(CliError::failed)?);
    files.push(folder.write(&name("pdf"), pdf.bytes.expose()).map_err(CliError::failed)?);
    Ok(pdf.whole)
}

/// What the sheets say of a rule.
fn scope(glass: &BreakGlass, policy: &Policy) -> Result<Scope, CliError> {
    let subject = Subject { identity: GLASS.parse().map_err(CliError::failed)?, groups: [].into() };
    let claimant = Claimant::Emergency { subject: &subject, name: &glass.rule.name, left: glass.max_duration };
    let (mut opens, mut jump, mut forward) = (Vec::new(), None, None);
    for asset in policy.assets() {
        let mut services = Vec::new();
        for service in asset.services.values() {
            let accounts = policy.accounts(claimant, &asset.id, &service.name);
            let Some(account) = accounts.first() else { continue };
            let names: Vec<_> =
                accounts.iter().filter(|_| service.protocol.has_accounts()).map(ToString::to_string).collect();
            match names.as_slice() {
                [] => services.push(service.name.to_string()),
                names => services.push(format!("{} as {}", service.name, names.join(" or "))),
            }
            if service.protocol == Protocol::Ssh {
                jump.get_or_insert_with(|| format!("{account}@{}", asset.id));
            } else {
                let named = Some(account).filter(|_| accounts.len() > 1);
                forward.get_or_insert_with(|| local_forward(&asset.id, service.port, named));
            }
        }
        if !services.is_empty() {
            opens.push(format!("{} ({})", asset.id, services.join(", ")));
        }
    }
    if opens.is_empty() {
        let name = &glass.rule.name;
        return Err(CliError::Failed(format!(
            "rule `{name}` opens nothing in the plant in force: look at its assets, services and accounts, and at the conduits"
        )));
    }
    Ok(Scope {
        rule: glass.rule.name.clone(),
        envelopes: glass.envelopes,
        opens,
        lasts: glass.max_duration,
        review_within: glass.review_within,
        who: glass.who.clone(),
        call: glass.call.clone(),
        jump,
        forward,
    })
}

async fn doors(paper: &Paper, context: &Context) -> Result<Doors, CliError> {
    let config = context.config()?;
    let hosts = match paper.brokers.as_slice() {
        [] => vec![config.ssh.names.first().cloned().unwrap_or_else(|| config.name.clone())],
        named => named.to_vec(),
    };
    let listening = config.listen.ssh.first().map_or(2222, std::net::SocketAddr::port);
    let key = context.vault().await?.public_key(KeyName::HostKey);
    let fingerprint = key.fingerprint(ssh_key::HashAlg::Sha256).to_string();
    Ok(Doors { hosts, port: paper.port.unwrap_or(listening), fingerprint })
}

fn no_rule(rule: &str, policy: &Policy) -> CliError {
    let names: Vec<_> = policy.break_glass().map(|glass| format!("`{}`", glass.rule.name)).collect();
    CliError::Failed(match names.as_slice() {
        [] => "the plant in force has no section `[break_glass.NAME]`: write one, and apply it first".to_owned(),
        names => format!("the plant in force has no `[break_glass.{rule}]`; it has {}", names.join(", ")),
    })
}

fn unprinted(error: &CliError, sealed: &[Sealed]) -> CliError {
    let numbers: Vec<_> = sealed.iter().map(|sealed| sealed.number.to_string()).collect();
    CliError::Failed(format!("{error}; revoke the envelopes whose sheets you do not have, of {}", numbers.join(", ")))
}

fn later(now: Timestamp, span: Option<SignedDuration>) -> Result<Option<Timestamp>, CliError> {
    span.map(|span| now.checked_add(span).map_err(CliError::failed)).transpose()
}

fn holder(text: &str) -> Result<String, String> {
    const LONGEST_HOLDER: usize = 100;
    let fine = !text.is_empty() && text.chars().count() <= LONGEST_HOLDER && !text.chars().any(char::is_control);
    if fine { Ok(text.to_owned()) } else { Err(format!("one line of at most {LONGEST_HOLDER} characters")) }
}

/// `180d`, `12h`.
fn span(text: &str) -> Result<SignedDuration, String> {
    let span = match text.strip_suffix('d').and_then(|days| days.parse::<i64>().ok()) {
        Some(days) => days.checked_mul(24).and_then(SignedDuration::try_from_hours),
        None => crate::config::duration(text).ok().and_then(|span| SignedDuration::try_from(span).ok()),
    };
    span.filter(|span| *span > SignedDuration::ZERO && *span <= LONGEST)
        .ok_or_else(|| "write it as `180d` or `12h`; ten years at most".to_owned())
}

/// An envelope that was sealed now. Its code is here only where it was asked for.
#[derive(Serialize)]
struct Sealed {
    number: i64,
    rule: String,
    expires_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<String>,
    files: Vec<PathBuf>,
}

impl Row for Sealed {
    const COLUMNS: &'static [&'static str] = &["number", "opens", "expires", "sheets"];

    fn cells(&self) -> Vec<String> {
        let files: Vec<_> = self.files.iter().map(|file| file.display().to_string()).collect();
        let expires = self.expires_at.map_or_else(String::new, |at| format!("{at:.0}"));
        vec![self.number.to_string(), self.rule.clone(), expires, files.join(" ")]
    }
}

const LONGEST: SignedDuration = SignedDuration::from_hours(24 * 3660);
