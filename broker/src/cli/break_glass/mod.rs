//! `sallyport break-glass …`: envelopes, and what became of them.

mod folder;
mod review;
mod seal;

use jiff::Timestamp;
use serde::Serialize;

use super::{CliError, Context, NOT_GENUINE, Row};
use crate::audit::AuditEvent;
use crate::store::Listed;
use crate::store::envelopes::{EnvelopeRow, GLASS};

/// `sallyport break-glass …`
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Seal envelopes for a break-glass section: each code is printed once, and is kept nowhere
    Seal(seal::Seal),
    /// List the envelopes, and what became of each; never their codes
    List,
    /// Let an envelope open nothing any more
    Revoke {
        /// Its number
        number: i64,
        /// Why
        #[arg(long)]
        reason: String,
    },
    /// Seal an envelope in place of one that was used, or that is revoked by this
    Reseal(seal::Reseal),
    /// Set when an envelope opens nothing more
    Expire {
        /// Its number
        number: i64,
        /// When, as 2026-12-01T06:00:00Z
        #[arg(long, value_name = "TIME")]
        at: Timestamp,
    },
    /// List the emergencies there were, and whether somebody else has looked at each
    Openings,
    /// Say what you, who did not open it, think of an emergency
    Review(review::Review),
}

/// Runs one of them.
pub async fn run(command: Command, context: &Context) -> Result<(), CliError> {
    let now = Timestamp::now();
    match command {
        Command::Seal(seal) => seal.run(context, now).await,
        Command::Reseal(reseal) => reseal.run(context, now).await,
        Command::List => {
            let rows = context.rows().await?.envelopes().await.map_err(CliError::failed)?;
            context.print_list(&rows.into_iter().map(|row| Envelope::listed(row, now)).collect::<Vec<_>>())
        }
        Command::Revoke { number, reason } => revoke(number, reason, context, now).await,
        Command::Expire { number, at } => expire(number, at, context).await,
        Command::Openings => review::openings(context, now).await,
        Command::Review(review) => review.run(context, now).await,
    }
}

/// An envelope as it is listed.
#[derive(Serialize)]
struct Envelope {
    number: i64,
    rule: String,
    holder: Option<String>,
    state: String,
    sealed_by: String,
    sealed_at: Timestamp,
    expires_at: Option<Timestamp>,
}

impl Envelope {
    fn listed(row: Listed<EnvelopeRow>, now: Timestamp) -> Self {
        let (row, fault) = row.into_parts();
        let state = match (&row.opened, &row.revoked, row.expires_at) {
            (Some((at, opening)), _, _) => format!("opened {at:.0}, {opening}"),
            (None, Some((at, by)), _) => format!("revoked {at:.0} by {by}"),
            (None, None, _) if fault.is_some() => NOT_GENUINE.to_owned(),
            (None, None, Some(at)) if at <= now => "expired".to_owned(),
            (None, None, _) => "sealed".to_owned(),
        };
        let EnvelopeRow { number, rule, holder, sealed_by, sealed_at, expires_at, .. } = row;
        Self { number, rule, holder, state, sealed_by, sealed_at, expires_at }
    }
}

impl Row for Envelope {
    const COLUMNS: &'static [&'static str] = &["number", "opens", "holder", "state", "sealed", "by", "expires"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.number.to_string(),
            self.rule.clone(),
            self.holder.clone().unwrap_or_default(),
            self.state.clone(),
            format!("{:.0}", self.sealed_at),
            self.sealed_by.clone(),
            self.expires_at.map(|at| format!("{at:.0}")).unwrap_or_default(),
        ]
    }
}

async fn revoke(number: i64, reason: String, context: &Context, now: Timestamp) -> Result<(), CliError> {
    let (store, audit) = (context.store().await?, context.audit().await?);
    let mut write = store.begin_write().await.map_err(CliError::failed)?;
    if !write.revoke_envelope(number, context.actor(), now).await.map_err(CliError::failed)? {
        return Err(not_sealed(number));
    }
    let event = AuditEvent::EnvelopeRevoked { identity: GLASS.to_owned(), envelope: number, reason };
    audit.record_in(&mut write, event).await.map_err(CliError::failed)?;
    write.commit().await.map_err(CliError::failed)?;
    context.print(&format!("Envelope {number} opens nothing any more.\n"))
}

async fn expire(number: i64, at: Timestamp, context: &Context) -> Result<(), CliError> {
    let (store, audit) = (context.store().await?, context.audit().await?);
    let mut write = store.begin_write().await.map_err(CliError::failed)?;
    let event = AuditEvent::EnvelopeExpires { identity: GLASS.to_owned(), envelope: number, expires_at: at };
    let entry = audit.prepare(&event).map_err(CliError::failed)?;
    if !write.expire_envelope(number, at, entry.id()).await.map_err(CliError::failed)? {
        return Err(not_sealed(number));
    }
    audit.record_prepared_in(&mut write, entry).await.map_err(CliError::failed)?;
    write.commit().await.map_err(CliError::failed)?;
    context.print(&format!("Envelope {number} opens nothing from {at:.0} on.\n"))
}

fn not_sealed(number: i64) -> CliError {
    CliError::Failed(format!("no envelope {number} that is sealed: `sallyport break-glass list` shows them all"))
}
