//! `sallyport policy access`.

use std::path::PathBuf;

use jiff::{SignedDuration, Timestamp};
use sallyport_policy::{AssetId, FileTransfer, IdentityId, Policy, nearest, written_duration};

use super::explain::instant;
use super::person::no_such;
use super::{CliError, Context, policy};
use crate::access::{AccessRow, Agreed, Scope, Uses, memberships, report};
use crate::cli::Row;
use crate::cli::csv::{csv_heading, csv_rows};
use crate::identity::{Accepted, Somebody, everybody};
use crate::store::envelopes::GLASS;

/// `sallyport policy access`
#[derive(Debug, clap::Args)]
pub struct Access {
    /// Of this person only; `glass` is whoever opens an envelope
    #[arg(long, value_name = "IDENTITY")]
    identity: Option<IdentityId>,
    /// To this asset only
    #[arg(long, value_name = "ASSET")]
    asset: Option<AssetId>,
    /// As it is then, as 2026-12-01T06:00:00Z or 2026-12-01T06:00:00[Europe/Oslo] [default: now]
    #[arg(long, value_name = "TIME", value_parser = instant)]
    at: Option<Timestamp>,
    /// Print CSV for a spreadsheet, with every column
    #[arg(long)]
    csv: bool,
    /// Plant file, or folder of plant files; may be given several times [default: the plant in force]
    #[arg(short = 'f', long = "file", value_name = "PATH")]
    plant: Vec<PathBuf>,
}

pub(super) async fn access(arguments: Access, context: &Context) -> Result<(), CliError> {
    let Access { identity, asset, at, csv: as_csv, plant } = arguments;
    if as_csv && context.json() {
        return Err(CliError::Usage("give `--csv` or `--json`, not both".to_owned()));
    }
    let policy = policy(&plant, context).await?;
    let scope = Scope { identity, asset, at: at.unwrap_or_else(Timestamp::now) };
    let store = context.rows().await?;
    let people = everybody(store, &Accepted::by(context.config()?), scope.at).await.map_err(CliError::failed)?;
    let (one, to) = (scope.identity.as_ref().map(IdentityId::as_str), scope.asset.as_ref().map(AssetId::as_str));
    let uses = Uses::of(store.last_uses(one, to, scope.at).await.map_err(CliError::failed)?);
    let agreed = Agreed::of(store, &policy, &people, scope.at).await.map_err(CliError::failed)?;
    is_there(&policy, &people, &scope, context).await?;
    if as_csv {
        context.print_bytes(csv_heading(&COLUMNS).as_bytes())?;
        return report(&policy, &people, &uses, &agreed, &scope, |rows| {
            context.print_bytes(csv_rows(rows.iter().map(cells)).as_bytes())
        });
    }
    let mut all = Vec::new();
    report(&policy, &people, &uses, &agreed, &scope, |rows| -> Result<(), CliError> {
        all.extend(rows);
        Ok(())
    })?;
    context.print_list(&all)
}

/// Nobody may reach what does not exist, and nobody does who is neither enrolled nor named: whoever asks has made a slip.
async fn is_there(policy: &Policy, people: &[Somebody], scope: &Scope, context: &Context) -> Result<(), CliError> {
    if let Some(asset) = scope.asset.as_ref().filter(|asset| policy.asset(asset).is_none()) {
        let near = nearest(asset.as_str(), policy.assets().map(|asset| asset.id.as_str()));
        let hint = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
        return Err(CliError::Failed(format!("the plant has no asset `{asset}`{hint}")));
    }
    match &scope.identity {
        Some(identity) if identity.as_str() == GLASS => Ok(()),
        Some(identity) if !is_known(identity, policy, people) => {
            Err(CliError::Failed(no_such(identity.as_str(), context.rows().await?).await?))
        }
        Some(_) | None => Ok(()),
    }
}

/// Enrolled, or named by the plant file.
fn is_known(identity: &IdentityId, policy: &Policy, people: &[Somebody]) -> bool {
    people.iter().any(|each| each.subject.identity == *identity)
        || memberships(policy).iter().any(|each| each.identity == *identity)
}

impl Row for AccessRow {
    const COLUMNS: &'static [&'static str] =
        &["identity", "asset", "service", "account", "answer", "by", "needs", "has", "allows", "holds", "last used"];

    fn cells(&self) -> Vec<String> {
        let answer = match self.why.is_empty() {
            true => self.answer.as_str().to_owned(),
            false => format!("{}: {}", self.answer.as_str(), self.why),
        };
        let needs = [words(&self.factors, " or "), self.lease.map(within).unwrap_or_default(), self.approval.clone()];
        vec![
            self.person.identity.clone(),
            self.asset.to_string(),
            self.service.to_string(),
            self.account.to_string(),
            answer,
            self.rule.clone(),
            joined(&needs),
            words(&self.person.enrolled, ", "),
            self.allows(),
            self.holds(),
            second(self.last_used),
        ]
    }
}

impl AccessRow {
    fn allows(&self) -> String {
        let files = self.file_transfer.filter(|files| *files != FileTransfer::None);
        let filter = self.filter.as_ref().map(|filter| format!("filter {filter}")).unwrap_or_default();
        let longest = self.max_duration.map(|longest| format!("for {}", written_duration(longest))).unwrap_or_default();
        let files = files.map(|files| format!("files {files}")).unwrap_or_default();
        joined(&[words(&self.channels, "+"), files, filter, longest])
    }

    fn holds(&self) -> String {
        let from = self.valid_from.map(|from| format!("from {from:.0}")).unwrap_or_default();
        let until = self.valid_until.map(|until| format!("until {until:.0}")).unwrap_or_default();
        joined(&[self.when.clone(), from, until])
    }
}

const COLUMNS: [&str; 24] = [
    "identity",
    "display name",
    "state",
    "asset",
    "zone",
    "service",
    "protocol",
    "account",
    "by",
    "rule",
    "answer",
    "why",
    "factors",
    "lease",
    "enrolled",
    "channels",
    "file transfer",
    "filter",
    "when",
    "valid from",
    "valid until",
    "approval",
    "max duration",
    "last used",
];

fn cells(row: &AccessRow) -> Vec<String> {
    let length = |length: Option<SignedDuration>| length.map(written_duration).unwrap_or_default();
    let account = if row.account.is_none() { String::new() } else { row.account.to_string() };
    vec![
        row.person.identity.clone(),
        row.person.display_name.clone(),
        row.person.state.to_owned(),
        row.asset.to_string(),
        row.zone.to_string(),
        row.service.to_string(),
        row.protocol.to_string(),
        account,
        row.by.as_str().to_owned(),
        row.rule.clone(),
        row.answer.as_str().to_owned(),
        row.why.clone(),
        words(&row.factors, " or "),
        length(row.lease),
        words(&row.person.enrolled, " "),
        words(&row.channels, " "),
        row.file_transfer.map(|files| files.to_string()).unwrap_or_default(),
        row.filter.clone().unwrap_or_default(),
        row.when.clone(),
        second(row.valid_from),
        second(row.valid_until),
        row.approval.clone(),
        length(row.max_duration),
        second(row.last_used),
    ]
}

fn words<T: ToString>(of: impl IntoIterator<Item = T>, between: &str) -> String {
    of.into_iter().map(|word| word.to_string()).collect::<Vec<_>>().join(between)
}

fn joined(parts: &[String]) -> String {
    parts.iter().filter(|part| !part.is_empty()).map(String::as_str).collect::<Vec<_>>().join(", ")
}

fn within(lease: SignedDuration) -> String {
    match lease.is_zero() {
        true => "each time".to_owned(),
        false => format!("within {}", written_duration(lease)),
    }
}

fn second(at: Option<Timestamp>) -> String {
    at.map(|at| format!("{at:.0}")).unwrap_or_default()
}
