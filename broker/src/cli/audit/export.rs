//! `sallyport audit export`

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use jiff::Timestamp;

use crate::audit::{AuditEvent, entry_to_line};
use crate::cli::{CliError, Context};
use crate::store::Store;

/// Writes one stretch of the chain without gaps. It ends with a signed entry, so that it verifies: a little later than asked for
/// where a batch crosses the limit.
pub(super) async fn run(
    since: Option<Timestamp>,
    until: Option<Timestamp>,
    output: Option<&Path>,
    context: &Context,
) -> Result<(), CliError> {
    let store = context.store().await?;
    let range = store.audit_range(since, until).await.map_err(CliError::failed)?;
    let Some((first, last)) = range else {
        return Err(CliError::Failed("there are no entries of that time".to_owned()));
    };
    // Who takes the record away is on record before a line of it is out.
    let event = AuditEvent::AuditExported { first, last };
    context.audit().await?.record(event).await.map_err(CliError::failed)?;
    match output {
        None => write(store, first, last, |text| context.print(text)).await,
        Some(path) => {
            let failed = |error: std::io::Error| CliError::Failed(format!("`{}`: {error}", path.display()));
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(failed)?;
            write(store, first, last, |text| file.write_all(text.as_bytes()).map_err(failed)).await?;
            file.sync_all().map_err(failed)
        }
    }
}

async fn write(
    store: &Store,
    first: i64,
    last: i64,
    mut out: impl FnMut(&str) -> Result<(), CliError>,
) -> Result<(), CliError> {
    let mut after = first - 1;
    loop {
        let page = store.audit_page(after, PAGE).await.map_err(CliError::failed)?;
        let mut text = String::new();
        let mut ended = page.is_empty();
        for entry in page {
            text.push_str(&entry_to_line(&entry));
            text.push('\n');
            after = entry.seq;
            if entry.seq >= last && entry.signature.is_some() {
                ended = true;
                break;
            }
        }
        out(&text)?;
        if ended {
            return Ok(());
        }
    }
}

/// How many entries are read at once.
const PAGE: u32 = 1000;
