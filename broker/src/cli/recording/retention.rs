//! `sallyport recording retention`: what would go.

use jiff::Timestamp;
use serde::Serialize;

use super::{CliError, Context};
use crate::cli::Row;
use crate::recording::due;

#[derive(Debug, Serialize)]
struct Line {
    session: String,
    closed_at: Option<Timestamp>,
    identity: Option<String>,
    asset: Option<String>,
    zone: String,
    bytes: u64,
    reason: String,
}

impl Row for Line {
    const COLUMNS: &'static [&'static str] = &["session", "closed", "identity", "asset", "zone", "bytes", "because"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.session.clone(),
            self.closed_at.map(|at| format!("{at:.0}")).unwrap_or_default(),
            self.identity.clone().unwrap_or_default(),
            self.asset.clone().unwrap_or_default(),
            self.zone.clone(),
            self.bytes.to_string(),
            self.reason.clone(),
        ]
    }
}

pub(super) async fn show(at: Option<Timestamp>, context: &Context) -> Result<(), CliError> {
    let (config, store) = (context.config()?, context.store().await?);
    let recording = &config.recording;
    if !recording.removes() {
        eprintln!("sallyport: nothing is ever removed: `[recording]` has neither `keep_days` nor `keep_bytes`");
        return context.print_list::<Line>(&[]);
    }
    let keys = context.evidence_keys(&[]).await?;
    let due = due(recording, &config.name, &keys, store, at.unwrap_or_else(Timestamp::now)).await;
    let due = due.map_err(CliError::failed)?.map_err(|broken| {
        CliError::Failed(format!("retention removes nothing, since the audit chain does not verify: {broken}"))
    })?;
    let mut lines = Vec::new();
    for due in due {
        let listed = store.listed_recording(&due.session).await.map_err(CliError::failed)?;
        lines.push(Line {
            session: due.session,
            closed_at: due.closed_at,
            identity: listed.as_ref().map(|listed| listed.identity.clone()),
            asset: listed.map(|listed| listed.asset),
            zone: due.zone,
            bytes: due.bytes,
            reason: due.reason,
        });
    }
    context.print_list(&lines)
}
