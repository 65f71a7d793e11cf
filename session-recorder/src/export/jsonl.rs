//! JSON lines: everything in a recording that has a meaning of its own.
use super::ExportError;
use crate::entry::Entry;
use crate::read::Reader;
use data_encoding::{BASE64, HEXLOWER};
use serde_json::{Value, json};
use std::io::{Read, Write};

/// Whether the bytes of terminals and commands are part of the export.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// Requests, operations, notices; what opened and closed.
    Without,
    /// Also the raw bytes (base64) and the digests.
    With,
}

/// Writes the header, every entry, and how the recording ends, one JSON object a line.
pub fn jsonl<R: Read>(reader: &mut Reader<R>, content: Content, mut out: impl Write) -> Result<(), ExportError> {
    writeln!(out, "{}", plain(&json!({ "kind": "recording", "header": reader.header() })))?;
    let started = reader.header().started;
    while let Some(entry) = reader.next_entry()? {
        if !entry.kind.is_json() && content == Content::Without {
            continue;
        }
        let mut line = json!({
            "kind": entry.kind.word(),
            "at": entry.at.unix_micros,
            "offset_micros": entry.at.micros_since(started),
            "track": entry.track,
        });
        body(&entry, &mut line);
        writeln!(out, "{}", plain(&line))?;
    }
    let end = reader.verification();
    writeln!(out, "{}", plain(&json!({ "kind": "end", "state": end.state, "seal": end.seal, "head": end.head })))?;
    out.flush()?;
    Ok(())
}

/// One line in which nothing acts on a terminal.
fn plain(line: &Value) -> String {
    sallyport_plain::json(&line.to_string()).into_owned()
}

fn body(entry: &Entry, line: &mut Value) {
    if let Some((length, hash)) = entry.digest() {
        line["length"] = json!(length);
        line["sha256"] = json!(HEXLOWER.encode(&hash));
    } else if let Some(run) = entry.file_run() {
        line["length"] = json!(run.length);
        line["frame_sha256"] = json!(HEXLOWER.encode(&run.frame));
        line["content_size"] = json!(run.size);
        line["content_sha256"] = json!(HEXLOWER.encode(&run.content));
    } else if let Some(body) = entry.json() {
        line["body"] = body;
    } else {
        line["base64"] = json!(BASE64.encode(&entry.body));
    }
}
