//! `docs/audit-events.md`, made from the events themselves.

use super::event::AuditEvent;
use super::kind::{Doer, Outage};

/// The text of `docs/audit-events.md`.
pub fn document() -> String {
    use std::fmt::Write as _;
    let mut text = String::from(PREFACE);
    for kind in AuditEvent::KINDS {
        let doer = match kind.doer {
            Doer::Identity => "the identity named",
            Doer::Process => "the broker, or the operating system user who ran the command",
        };
        let outage = match kind.outage {
            Outage::Spools => "waits on disk",
            Outage::Fails => "cannot happen",
        };
        let meaning: Vec<&str> = kind.meaning.iter().map(|line| line.trim()).collect();
        // Writing to a string cannot fail.
        let mut section = || -> std::fmt::Result {
            writeln!(text, "\n## {} `{}`\n\n{}\n", kind.code, kind.name, meaning.join("\n"))?;
            let (severity, serves) = (kind.severity.as_str(), served(kind.serves));
            writeln!(
                text,
                "Severity: {severity}. Actor: {doer}. Without a database: {outage}. Requirements: {serves}.\n"
            )?;
            if kind.fields.is_empty() {
                return writeln!(text, "No fields.");
            }
            writeln!(text, "| field | type | meaning |\n|---|---|---|")?;
            for (name, rust, about) in kind.fields {
                writeln!(text, "| `{name}` | {} | {} |", json_type(rust), about.trim())?;
            }
            Ok(())
        };
        if section().is_err() {
            text.push_str("\n(not written)\n");
        }
    }
    text
}

/// `SR 1.1, SR 2.1 RE 3`, or `none`, with the reason.
fn served(serves: &str) -> String {
    match serves.strip_prefix("none: ") {
        Some(reason) => format!("none ({reason})"),
        None => serves.split(", ").map(|requirement| format!("SR {requirement}")).collect::<Vec<_>>().join(", "),
    }
}

fn json_type(rust: &str) -> String {
    if let Some(inner) = rust.strip_prefix("Option<").and_then(|rest| rest.strip_suffix('>')) {
        return format!("{} or null", json_type(inner));
    }
    match rust {
        "String" => "text",
        "Vec<String>" => "list of text",
        "Timestamp" => "time (RFC 3339)",
        "bool" => "true or false",
        _ => "whole number",
    }
    .to_owned()
}

const PREFACE: &str = include_str!("preface.md");

#[cfg(test)]
mod tests {
    #[test]
    fn the_document_and_the_events_say_the_same() {
        // To write the document anew after a change of the events: UPDATE_EXPECT=1
        expect_test::expect_file!["../../../docs/audit-events.md"].assert_eq(&super::document());
    }
}
