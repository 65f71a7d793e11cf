//! What a receiver is told: an event as the chain has it, or a head of the chain.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use crate::audit::{AuditEntry, AuditEvent, Draft, EventKind, Severity, draft_to_line, entry_to_line};

/// One thing that a receiver is told.
#[derive(Debug, Clone)]
pub(super) struct Message {
    /// Canonical JSON, in one line.
    pub(super) body: String,
    pub(super) at: Timestamp,
    pub(super) broker: String,
    pub(super) what: What,
}

/// What it is.
#[derive(Debug, Clone)]
pub(super) enum What {
    Event(Box<Event>),
    Head(Head),
}

/// An event, as far as a receiver's own format asks for it.
#[derive(Debug, Clone)]
pub(super) struct Event {
    pub(super) id: String,
    pub(super) seq: Option<i64>,
    pub(super) hash: Option<String>,
    pub(super) code: String,
    pub(super) name: String,
    pub(super) severity: Severity,
    pub(super) actor: String,
    pub(super) identity: Option<String>,
    pub(super) session: Option<String>,
    pub(super) event: Value,
}

/// A signed head: whoever keeps it can show later that the chain was another then.
#[derive(Debug, Clone)]
pub(super) struct Head {
    pub(super) seq: i64,
    pub(super) hash: String,
    pub(super) signature: String,
}

/// Which events are alarms.
#[derive(Debug, Clone)]
pub(super) struct Alarms(BTreeSet<String>);

#[derive(Deserialize)]
struct Body {
    at: i64,
    broker: String,
    hash: Option<String>,
    signature: Option<String>,
    /// A head alone has it.
    head: Option<i64>,
    id: Option<String>,
    seq: Option<i64>,
    code: Option<String>,
    actor: Option<String>,
    identity: Option<String>,
    session: Option<String>,
    event: Option<Value>,
}

impl Alarms {
    /// All of severity `alert`, and these codes besides.
    pub(super) fn new(codes: BTreeSet<String>) -> Self {
        Self(codes)
    }

    pub(super) fn has(&self, code: &str) -> bool {
        self.0.contains(code) || kind(code).is_some_and(|kind| kind.severity == Severity::Alert)
    }
}

impl Message {
    /// The body for an entry of the chain.
    pub(super) fn of_entry(entry: &AuditEntry) -> String {
        entry_to_line(entry)
    }

    /// The body for an event that waits for its place in the chain.
    pub(super) fn of_draft(draft: &Draft) -> String {
        draft_to_line(draft)
    }

    /// The body for the head that a signed entry is.
    pub(super) fn of_head(entry: &AuditEntry, broker: &str) -> Option<String> {
        let signature = entry.signature.as_ref()?;
        let (broker, at) = (Value::from(broker), entry.at);
        let (head, hash, signature) = (entry.seq, Value::from(entry.hash.as_str()), Value::from(signature.as_str()));
        Some(format!(r#"{{"at":{at},"broker":{broker},"hash":{hash},"head":{head},"signature":{signature}}}"#))
    }

    /// What a body says.
    pub(super) fn read(body: String, alarms: &Alarms) -> Option<Self> {
        let read: Body = serde_json::from_str(&body).ok()?;
        let at = Timestamp::from_microsecond(read.at).ok()?;
        let what = match read.head {
            Some(seq) => What::Head(Head { seq, hash: read.hash?, signature: read.signature? }),
            None => {
                let (code, event) = (read.code?, read.event?);
                let severity = match kind(&code) {
                    _ if alarms.has(&code) => Severity::Alert,
                    Some(kind) => kind.severity,
                    // Of a newer broker on the same chain: somebody should look.
                    None => Severity::Warning,
                };
                What::Event(Box::new(Event {
                    id: read.id?,
                    seq: read.seq,
                    hash: read.hash,
                    name: event.get("event").and_then(Value::as_str).unwrap_or_default().to_owned(),
                    code,
                    severity,
                    actor: read.actor.unwrap_or_default(),
                    identity: read.identity,
                    session: read.session,
                    event,
                }))
            }
        };
        Some(Self { body, at, broker: read.broker, what })
    }

    /// The event's own id.
    pub(super) fn id(&self) -> Option<&str> {
        match &self.what {
            What::Event(event) => Some(&event.id),
            What::Head(_) => None,
        }
    }

    /// How much it matters.
    pub(super) fn severity(&self) -> Severity {
        match &self.what {
            What::Event(event) => event.severity,
            What::Head(_) => Severity::Info,
        }
    }
}

fn kind(code: &str) -> Option<&'static EventKind> {
    AuditEvent::KINDS.iter().find(|kind| kind.code == code)
}
