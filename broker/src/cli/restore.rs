//! `sallyport restore`: what a backup brings back to life must not stay so.

use jiff::Timestamp;

use super::session::{close_brokers, said_of};
use super::{CliError, Context, printable};
use crate::app::ClosedOut;
use crate::audit::AuditEvent;
use crate::store::brokers::BrokerSeen;

/// `sallyport restore …`
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// After files and database are back, and before the first broker starts: end what was open at the time of the backup, put the
    /// restore on record, and say what cannot be known
    Finish {
        /// Do it without asking
        #[arg(long)]
        yes: bool,
    },
}

/// Runs one of them.
pub async fn run(command: Command, context: &Context) -> Result<(), CliError> {
    let Command::Finish { yes } = command;
    finish(yes, context).await
}

/// What stood open, and is closed.
#[derive(Debug, Default)]
struct Ended {
    leases: u64,
    windows: u64,
    requests: u64,
    confirmations: u64,
    invitations: u64,
}

async fn finish(yes: bool, context: &Context) -> Result<(), CliError> {
    let question =
        "End every lease, write window, request, waiting login, invitation and session of this installation?";
    if !yes && !context.confirm(question, "--yes")? {
        return Err(CliError::Failed("nothing was changed".to_owned()));
    }
    let store = context.store().await?;
    // Before this process adds to it.
    let head = store.audit_head().await.map_err(CliError::failed)?;
    let backup_of = match &head {
        Some((seq, _)) => {
            store.audit_page(seq - 1, 1).await.map_err(CliError::failed)?.pop().and_then(|last| last.time())
        }
        None => None,
    };
    // Those that stopped in good order have left nothing open, unless it is of a time before.
    let brokers: Vec<BrokerSeen> = store.brokers().await.map_err(CliError::failed)?;
    let closed = close_brokers(&brokers, context).await?;
    let head = head.map(|(seq, hash)| format!("{seq}:{hash}"));
    let ended = end_all(head.clone(), backup_of, context).await?;
    tell(&closed, &ended, head.as_deref(), backup_of, context)
}

/// All of it and its events last together.
async fn end_all(head: Option<String>, backup_of: Option<Timestamp>, context: &Context) -> Result<Ended, CliError> {
    let (store, audit, now) = (context.store().await?, context.audit().await?, Timestamp::now());
    let mut write = store.begin_write().await.map_err(CliError::failed)?;
    let leases = write.revoke_leases(None, None, context.actor(), now).await.map_err(CliError::failed)?;
    let windows = write.close_all_windows(context.actor(), now).await.map_err(CliError::failed)?;
    let requests = write.close_all_requests(context.actor(), now).await.map_err(CliError::failed)?;
    let ended = Ended {
        leases: leases.len() as u64,
        windows: windows.len() as u64,
        requests: requests.len() as u64,
        confirmations: write.drop_confirmations().await.map_err(CliError::failed)?,
        invitations: write.withdraw_all_invitations(now).await.map_err(CliError::failed)?,
    };
    let mut events: Vec<AuditEvent> = leases
        .into_iter()
        .map(|lease| AuditEvent::LeaseRevoked { identity: lease.identity, lease: lease.id })
        .chain(windows.into_iter().map(|row| AuditEvent::WindowClosed {
            window: row.window.id.to_string(),
            identity: row.window.identity.to_string(),
            asset: row.window.asset.to_string(),
        }))
        .chain(requests.into_iter().map(|row| AuditEvent::RequestWithdrawn {
            identity: row.request.identity.to_string(),
            request: row.request.id.to_string(),
            asset: row.request.asset.to_string(),
        }))
        .collect();
    let Ended { leases, windows, requests, confirmations, invitations } = ended;
    events.push(AuditEvent::InstallationRestored {
        head,
        backup_of,
        leases,
        windows,
        requests,
        confirmations,
        invitations,
    });
    for event in events {
        audit.record_in(&mut write, event).await.map_err(CliError::failed)?;
    }
    write.commit().await.map_err(CliError::failed)?;
    Ok(ended)
}

fn tell(
    closed: &[ClosedOut],
    ended: &Ended,
    head: Option<&str>,
    backup_of: Option<Timestamp>,
    context: &Context,
) -> Result<(), CliError> {
    let Ended { leases, windows, requests, confirmations, invitations } = ended;
    if context.json() {
        return context.print_json(&serde_json::json!({
            "head": head, "backup_of": backup_of, "leases": leases, "windows": windows,
            "requests": requests, "confirmations": confirmations, "invitations": invitations,
            "sessions": closed.iter().flat_map(|closed| &closed.sessions).collect::<Vec<_>>(),
            "elsewhere": closed.iter().flat_map(|closed| &closed.elsewhere).collect::<Vec<_>>(),
        }));
    }
    let sessions: String = closed.iter().filter(|closed| closed.left_something()).map(said_of).collect();
    let at = backup_of.map_or_else(|| "an unknown time".to_owned(), |at| format!("{at:.0}"));
    context.print(&format!(
        "{sessions}Ended: {leases} leases, {windows} write windows, {requests} requests, {confirmations} waiting logins, {invitations} invitations.\n\
         The backup is of {at}; its audit chain ends with\n  {}\n{UNKNOWN}",
        printable(head.unwrap_or("no entry"))
    ))
}

impl ClosedOut {
    fn left_something(&self) -> bool {
        !self.sessions.is_empty() || self.recordings > 0 || !self.elsewhere.is_empty()
    }
}

const UNKNOWN: &str = "What happened after that is not in it, and counts as not happened:
  people who were locked or removed since may log in again, and factors that were taken from them count:
      sallyport identity list
  recovery codes that were used since can be used again: make new ones for whoever used some
      sallyport identity recovery-codes NAME
  envelopes that were opened or revoked since open again: revoke and seal them anew
      sallyport break-glass list
  zones that were isolated since are open; recordings that were held since are not held; an older plant may be in force
      sallyport zone list
      sallyport plant history
A log of a receiver of events (`[[siem]]`) has what is missing; this names the first entry of it that the chain has lost:
      sallyport audit verify --witness LOG
";
