//! The catalogue: which recordings there are, and holding them.

use jiff::Timestamp;
use serde::Serialize;

use super::{CliError, Context, List, Selection};
use crate::audit::AuditEvent;
use crate::cli::Row;
use crate::store::recordings::{ListedRecording, RecordingFilter};

#[derive(Debug, Serialize)]
struct Line {
    session: String,
    started_at: Timestamp,
    closed_at: Option<Timestamp>,
    state: &'static str,
    identity: String,
    source: String,
    asset: String,
    service: String,
    account: String,
    zone: String,
    form: String,
    end: Option<String>,
    bytes: u64,
    head: Option<String>,
    held: bool,
    broker: String,
    path: String,
}

impl Row for Line {
    const COLUMNS: &'static [&'static str] = &[
        "session", "started", "state", "end", "identity", "asset", "service", "account", "form", "broker", "bytes",
        "held",
    ];

    fn cells(&self) -> Vec<String> {
        vec![
            self.session.clone(),
            format!("{:.0}", self.started_at),
            self.state.to_owned(),
            self.end.clone().unwrap_or_default(),
            self.identity.clone(),
            self.asset.clone(),
            self.service.clone(),
            self.account.clone(),
            self.form.clone(),
            self.broker.clone(),
            self.bytes.to_string(),
            if self.held { "yes".to_owned() } else { String::new() },
        ]
    }
}

impl From<ListedRecording> for Line {
    fn from(listed: ListedRecording) -> Self {
        let recording = listed.recording;
        Self {
            session: recording.start.session,
            started_at: recording.start.started_at,
            closed_at: recording.closed_at,
            state: recording.state.as_str(),
            identity: listed.identity,
            source: listed.source,
            asset: listed.asset,
            service: listed.service,
            account: listed.account,
            zone: recording.start.zone,
            form: listed.form,
            end: listed.end,
            bytes: recording.bytes,
            head: recording.head,
            held: recording.legal_hold,
            broker: recording.start.broker,
            path: recording.start.path,
        }
    }
}

impl From<Selection> for RecordingFilter {
    fn from(filter: Selection) -> Self {
        let Selection { identity, asset, zone, since, until } = filter;
        Self { identity, asset, zone, since, until, ..Self::default() }
    }
}

pub(super) async fn list(arguments: List, context: &Context) -> Result<(), CliError> {
    let List { filter, removed, limit } = arguments;
    let filter = RecordingFilter { removed, limit: Some(limit), ..filter.into() };
    let listed = context.store().await?.recordings(&filter).await.map_err(CliError::failed)?;
    let lines: Vec<Line> = listed.into_iter().map(Line::from).collect();
    context.print_list(&lines)
}

pub(super) async fn hold(session: &str, reason: &str, context: &Context) -> Result<(), CliError> {
    let session = known(session, context).await?;
    let event = AuditEvent::RecordingHeld { session: session.clone(), reason: reason.to_owned() };
    set_hold(&session, true, event, context).await
}

pub(super) async fn release(session: &str, reason: &str, context: &Context) -> Result<(), CliError> {
    let session = known(session, context).await?;
    let event = AuditEvent::RecordingReleased { session: session.clone(), reason: reason.to_owned() };
    set_hold(&session, false, event, context).await
}

async fn known(session: &str, context: &Context) -> Result<String, CliError> {
    let recording = context.store().await?.recording(session).await.map_err(CliError::failed)?;
    Ok(recording.start.session)
}

/// The hold and its event last together.
async fn set_hold(session: &str, hold: bool, event: AuditEvent, context: &Context) -> Result<(), CliError> {
    let (store, audit) = (context.store().await?, context.audit().await?);
    let mut write = store.begin_quiet_write().await.map_err(CliError::failed)?;
    if !store.hold_recording(&mut write, session, hold).await.map_err(CliError::failed)? {
        return Err(CliError::Failed(format!("the file of recording `{session}` is gone")));
    }
    audit.record_in(&mut write, event).await.map_err(CliError::failed)?;
    write.commit().await.map_err(CliError::failed)?;
    let state = if hold { "held" } else { "released" };
    if context.json() {
        return context.print_json(&serde_json::json!({ "session": session, "held": hold }));
    }
    context.print(&format!("{session} is {state}\n"))
}
