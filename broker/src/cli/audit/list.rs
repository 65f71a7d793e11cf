//! `sallyport audit list`

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use crate::audit::{AuditEntry, AuditEvent, AuditFilter, EventKind, searched_digest};
use crate::cli::{CliError, Context, Row};

/// Which entries to list.
#[derive(Debug, clap::Args)]
pub struct List {
    /// Only since (as in `2026-11-23T06:00:00Z`)
    #[arg(long)]
    since: Option<Timestamp>,
    /// Only before
    #[arg(long)]
    until: Option<Timestamp>,
    /// Only with this code (`SP-1002`) or name (`login.refused`)
    #[arg(long, value_parser = kind)]
    code: Option<&'static EventKind>,
    /// Only about this identity
    #[arg(long)]
    identity: Option<String>,
    /// Only about this session
    #[arg(long)]
    session: Option<String>,
    /// Only searches in recordings (SP-4003) for this text: the chain holds a digest of it
    #[arg(long, value_name = "TEXT", conflicts_with = "code")]
    searched: Option<String>,
    /// Only the newest so many
    #[arg(long, default_value_t = AuditFilter::DEFAULT_LIMIT)]
    limit: u32,
}

pub(super) async fn run(arguments: List, context: &Context) -> Result<(), CliError> {
    let List { since, until, code, identity, session, searched, limit } = arguments;
    let store = context.store().await?;
    // An id may be shortened, as everywhere; an id of nothing in the store is looked for as it is.
    let session = match session {
        None => None,
        Some(id) => match store.session(&id).await {
            Ok(session) => Some(session.start.id),
            Err(crate::store::StoreError::Missing { .. }) => Some(id),
            Err(error) => return Err(CliError::failed(error)),
        },
    };
    let searched = match searched {
        None => None,
        Some(text) => Some(searched_digest(&context.vault().await?.evidence_key().map_err(CliError::setup)?, &text)),
    };
    let code = if searched.is_some() { Some("SP-4003".to_owned()) } else { code.map(|kind| kind.code.to_owned()) };
    let filter = AuditFilter { since, until, code, identity, session, limit: Some(limit) };
    let entries = store.audit_entries(&filter).await.map_err(CliError::failed)?;
    let mut lines = entries.into_iter().map(Line::try_from).collect::<Result<Vec<_>, _>>()?;
    lines.retain(|line| searched.as_deref().is_none_or(|digest| line.event["digest"] == digest));
    context.print_list(&lines)
}

fn kind(text: &str) -> Result<&'static EventKind, String> {
    let wanted = |kind: &&EventKind| kind.code.eq_ignore_ascii_case(text) || kind.name == text;
    AuditEvent::KINDS.iter().find(wanted).ok_or_else(|| "no such code; docs/audit-events.md has them all".to_owned())
}

#[derive(Debug, Serialize)]
struct Line {
    seq: i64,
    id: String,
    at: Option<Timestamp>,
    code: String,
    severity: Option<&'static str>,
    broker: String,
    actor: String,
    identity: Option<String>,
    session: Option<String>,
    event: Value,
    hash: String,
    signed: bool,
}

impl TryFrom<AuditEntry> for Line {
    type Error = CliError;

    fn try_from(entry: AuditEntry) -> Result<Self, CliError> {
        let event = serde_json::from_str(&entry.event)
            .map_err(|error| CliError::Failed(format!("entry {} of the audit chain is damaged: {error}", entry.seq)))?;
        let kind = AuditEvent::KINDS.iter().find(|kind| kind.code == entry.code);
        Ok(Self {
            at: entry.time(),
            severity: kind.map(|kind| kind.severity.as_str()),
            seq: entry.seq,
            id: entry.id,
            code: entry.code,
            broker: entry.broker,
            actor: entry.actor,
            identity: entry.identity,
            session: entry.session,
            event,
            hash: entry.hash,
            signed: entry.signature.is_some(),
        })
    }
}

impl Row for Line {
    const COLUMNS: &'static [&'static str] = &["seq", "time", "code", "event", "severity", "actor", "about"];

    fn cells(&self) -> Vec<String> {
        let name = self.event.get("event").and_then(Value::as_str).unwrap_or_default();
        vec![
            self.seq.to_string(),
            self.at.map(|at| format!("{at:.0}")).unwrap_or_default(),
            self.code.clone(),
            name.to_owned(),
            self.severity.unwrap_or_default().to_owned(),
            self.actor.clone(),
            about(&self.event),
        ]
    }
}

/// The event's fields in one line, long ones cut: the whole is in `--json`.
fn about(event: &Value) -> String {
    let fields = event.as_object().into_iter().flatten().filter(|(name, value)| *name != "event" && !value.is_null());
    let shown = fields.map(|(name, value)| {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        match text.char_indices().nth(LONG) {
            Some((end, _)) => format!("{name}={}…", &text[..end]),
            None => format!("{name}={text}"),
        }
    });
    shown.collect::<Vec<_>>().join(" ")
}

const LONG: usize = 60;
