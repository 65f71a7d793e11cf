//! `sallyport recording holds`: what retention leaves alone, as the audit chain tells of it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{CliError, Context};
use crate::audit::{AuditEntry, AuditFilter};
use crate::cli::Row;

#[derive(Debug, Serialize)]
struct Hold {
    session: String,
    since: Option<Timestamp>,
    by: String,
    reason: String,
    identity: Option<String>,
    asset: Option<String>,
    /// What the catalogue says otherwise.
    fault: Option<&'static str>,
}

#[derive(Deserialize)]
struct Why {
    reason: String,
}

impl Row for Hold {
    const COLUMNS: &'static [&'static str] = &["session", "since", "by", "identity", "asset", "reason", "fault"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.session.clone(),
            self.since.map(|at| format!("{at:.0}")).unwrap_or_default(),
            self.by.clone(),
            self.identity.clone().unwrap_or_default(),
            self.asset.clone().unwrap_or_default(),
            self.reason.clone(),
            self.fault.unwrap_or_default().to_owned(),
        ]
    }
}

pub(super) async fn list(context: &Context) -> Result<(), CliError> {
    let store = context.store().await?;
    let mut held: BTreeMap<i64, AuditEntry> = BTreeMap::new();
    for code in [HELD, RELEASED] {
        let filter = AuditFilter { code: Some(code.to_owned()), limit: Some(u32::MAX), ..AuditFilter::default() };
        held.extend(store.audit_entries(&filter).await.map_err(CliError::failed)?.into_iter().map(|it| (it.seq, it)));
    }
    let mut last: BTreeMap<String, AuditEntry> = BTreeMap::new();
    for entry in held.into_values() {
        last.extend(entry.session.clone().map(|session| (session, entry)));
    }
    let mut holds = Vec::new();
    for (session, entry) in last.into_iter().filter(|(_, entry)| entry.code == HELD) {
        let why: Option<Why> = serde_json::from_str(&entry.event).ok();
        let listed = store.listed_recording(&session).await.map_err(CliError::failed)?;
        holds.push(Hold {
            since: entry.time(),
            by: entry.actor,
            reason: why.map(|why| why.reason).unwrap_or_default(),
            fault: match &listed {
                None => Some("the catalogue has no such recording"),
                Some(listed) if !listed.recording.legal_hold => Some("the catalogue has it not held"),
                Some(_) => None,
            },
            identity: listed.as_ref().map(|listed| listed.identity.clone()),
            asset: listed.map(|listed| listed.asset),
            session,
        });
    }
    context.print_list(&holds)
}

const HELD: &str = "SP-4005";
const RELEASED: &str = "SP-4006";
