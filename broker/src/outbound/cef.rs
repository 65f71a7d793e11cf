//! ArcSight's Common Event Format, version 0.

use std::net::IpAddr;

use serde_json::Value;

use super::message::{Event, Message, What};
use crate::audit::Severity;

/// The message in one line.
pub(super) fn rendered(message: &Message) -> String {
    let (code, name, severity) = match &message.what {
        What::Event(event) => (event.code.as_str(), event.name.as_str(), severity(event.severity)),
        What::Head(_) => ("HEAD", "chain.head", 0),
    };
    let version = env!("CARGO_PKG_VERSION");
    let mut line = format!("CEF:0|Sallyport|Sallyport|{version}|{}|{}|{severity}|", header(code), header(name));
    let mut fields = vec![("rt", message.at.as_millisecond().to_string()), ("dvchost", message.broker.clone())];
    match &message.what {
        What::Event(event) => of_event(event, &mut fields),
        What::Head(head) => {
            fields.push(("cn1Label", "seq".to_owned()));
            fields.push(("cn1", head.seq.to_string()));
            fields.push(("cs2Label", "hash".to_owned()));
            fields.push(("cs2", head.hash.clone()));
            fields.push(("cs3Label", "signature".to_owned()));
            fields.push(("cs3", head.signature.clone()));
        }
    }
    let fields: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={}", extension(value))).collect();
    line.push_str(&fields.join(" "));
    line
}

fn of_event(event: &Event, fields: &mut Vec<(&'static str, String)>) {
    let text = |name: &str| event.event.get(name).and_then(Value::as_str).map(str::to_owned);
    fields.push(("externalId", event.id.clone()));
    fields.push(("suser", event.actor.clone()));
    if let Some(identity) = &event.identity {
        fields.push(("duser", identity.clone()));
    }
    if let Some(source) = text("source").filter(|source| source.parse::<IpAddr>().is_ok()) {
        fields.push(("src", source));
    }
    if let Some(asset) = text("asset") {
        fields.push(("dhost", asset));
    }
    if let Some(reason) = text("reason") {
        fields.push(("reason", cut(&reason, MOST_REASON)));
    }
    if let Some(session) = &event.session {
        fields.push(("cs1Label", "session".to_owned()));
        fields.push(("cs1", session.clone()));
    }
    if let (Some(seq), Some(hash)) = (event.seq, &event.hash) {
        fields.push(("cn1Label", "seq".to_owned()));
        fields.push(("cn1", seq.to_string()));
        fields.push(("cs2Label", "hash".to_owned()));
        fields.push(("cs2", hash.clone()));
    }
    fields.push(("msg", cut(&event.event.to_string(), MOST_MESSAGE)));
}

/// From 0 to 10.
fn severity(severity: Severity) -> u8 {
    match severity {
        Severity::Info => 2,
        Severity::Notice => 4,
        Severity::Warning => 7,
        Severity::Alert => 10,
    }
}

fn cut(text: &str, most: usize) -> String {
    text.chars().take(most).collect()
}

fn header(text: &str) -> String {
    sallyport_plain::printable(text).replace('\\', "\\\\").replace('|', "\\|")
}

fn extension(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' | '=' => escaped.extend(['\\', c]),
            '\n' => escaped.push_str("\\n"),
            '\r' => escaped.push_str("\\r"),
            c if sallyport_plain::acts(c) => escaped.push_str(&format!("\\\\u{{{:x}}}", u32::from(c))),
            c => escaped.push(c),
        }
    }
    escaped
}

/// Of `reason`, and of `msg`, by the format's own dictionary.
const MOST_REASON: usize = 1023;
const MOST_MESSAGE: usize = 1023;
