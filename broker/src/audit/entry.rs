//! One entry: its canonical JSON, its hash, its line in an export.

use data_encoding::HEXLOWER;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{AuditError, AuditEvent, Doer};
use crate::store::micros;

/// The `previous` of the first entry.
pub const GENESIS: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// What stands before an entry's hash in the text that is signed.
pub const SIGNED_PREFIX: &str = "sallyport audit v1 ";

/// An event that has happened and has no place in the chain yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Draft {
    pub(crate) id: String,
    pub(crate) at: i64,
    pub(crate) code: String,
    pub(crate) broker: String,
    pub(crate) actor: String,
    pub(crate) identity: Option<String>,
    pub(crate) session: Option<String>,
    pub(crate) event: Value,
}

/// An entry of the chain.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct AuditEntry {
    /// Its number: 1, 2, 3 …
    pub seq: i64,
    /// The event's own id, a ULID.
    pub id: String,
    /// When it happened, in microseconds since the Unix epoch.
    pub at: i64,
    /// The stable code.
    pub code: String,
    /// The broker, or `cli`.
    pub broker: String,
    /// Who did it.
    pub actor: String,
    /// Whom it is about.
    pub identity: Option<String>,
    /// The session it is about.
    pub session: Option<String>,
    /// The event, canonical JSON.
    pub event: String,
    /// The hash of the entry before.
    pub previous: String,
    /// SHA-256 over all of the above.
    pub hash: String,
    /// On the last entry of a batch: Ed25519 over [`SIGNED_PREFIX`] and `hash`, in hex.
    pub signature: Option<String>,
}

impl Draft {
    pub(crate) fn new(event: &AuditEvent, at: Timestamp, broker: &str, actor: &str) -> Result<Self, AuditError> {
        let kind = event.kind();
        let event = serde_json::to_value(event).map_err(|error| AuditError::Refused(error.to_string()))?;
        let length = canonical(&event).len();
        if length > MAX_EVENT {
            return Err(AuditError::TooLarge(length));
        }
        // These become columns of their own, and PostgreSQL takes no NUL there. The event keeps what was said.
        let text = |name: &str| event.get(name).and_then(Value::as_str).map(|text| text.replace('\0', "\u{fffd}"));
        let identity = text("identity");
        let actor = match (kind.doer, &identity) {
            (Doer::Identity, Some(identity)) => identity.clone(),
            _ => actor.to_owned(),
        };
        Ok(Self {
            id: ulid::Ulid::generate().to_string().to_ascii_lowercase(),
            at: micros(at),
            code: kind.code.to_owned(),
            broker: broker.to_owned(),
            actor,
            identity,
            session: text("session"),
            event,
        })
    }

    /// Gives the event its place after the entry `previous`.
    pub(super) fn enter(&self, seq: i64, previous: &str) -> AuditEntry {
        let mut entry = AuditEntry {
            seq,
            id: self.id.clone(),
            at: self.at,
            code: self.code.clone(),
            broker: self.broker.clone(),
            actor: self.actor.clone(),
            identity: self.identity.clone(),
            session: self.session.clone(),
            event: canonical(&self.event),
            previous: previous.to_owned(),
            hash: String::new(),
            signature: None,
        };
        entry.hash = entry.expected_hash();
        entry
    }
}

impl AuditEntry {
    /// The hash its content asks for.
    pub fn expected_hash(&self) -> String {
        sha256_hex(self.hashed_text().as_bytes())
    }

    /// The canonical JSON of everything but hash and signature. The event is taken as it is stored.
    fn hashed_text(&self) -> String {
        let Self { seq, id, at, code, broker, actor, identity, session, event, previous, hash: _, signature: _ } = self;
        let (id, code, broker, actor) = (quoted(id), quoted(code), quoted(broker), quoted(actor));
        let (identity, session, previous) = (nullable(identity), nullable(session), quoted(previous));
        format!(
            r#"{{"actor":{actor},"at":{at},"broker":{broker},"code":{code},"event":{event},"id":{id},"identity":{identity},"previous":{previous},"seq":{seq},"session":{session}}}"#
        )
    }

    /// When it happened.
    pub fn time(&self) -> Option<Timestamp> {
        Timestamp::from_microsecond(self.at).ok()
    }
}

/// An entry as one line of an export: its canonical JSON, in which what could act on the terminal of whoever reads it (a
/// name that somebody gave may hold anything) is written as `\uXXXX`. It means the same, and what is hashed stays as it was.
pub fn entry_to_line(entry: &AuditEntry) -> String {
    sallyport_plain::json(&canonical_line(entry)).into_owned()
}

/// As [`entry_to_line`], for an event that has no place in the chain yet: what it will have there is null.
pub(crate) fn draft_to_line(draft: &Draft) -> String {
    let Draft { id, at, code, broker, actor, identity, session, event } = draft;
    let (id, code, broker, actor) = (quoted(id), quoted(code), quoted(broker), quoted(actor));
    let (identity, session, event) = (nullable(identity), nullable(session), canonical(event));
    let line = format!(
        r#"{{"actor":{actor},"at":{at},"broker":{broker},"code":{code},"event":{event},"hash":null,"id":{id},"identity":{identity},"previous":null,"seq":null,"session":{session},"signature":null}}"#
    );
    sallyport_plain::json(&line).into_owned()
}

/// The canonical JSON of all its fields.
fn canonical_line(entry: &AuditEntry) -> String {
    let AuditEntry { seq, id, at, code, broker, actor, identity, session, event, previous, hash, signature } = entry;
    let (id, code, broker, actor) = (quoted(id), quoted(code), quoted(broker), quoted(actor));
    let (identity, session) = (nullable(identity), nullable(session));
    let (previous, hash, signature) = (quoted(previous), quoted(hash), nullable(signature));
    format!(
        r#"{{"actor":{actor},"at":{at},"broker":{broker},"code":{code},"event":{event},"hash":{hash},"id":{id},"identity":{identity},"previous":{previous},"seq":{seq},"session":{session},"signature":{signature}}}"#
    )
}

/// Reads a line of an export, with its characters escaped or as they are. Any other line that is not canonical is refused: two
/// readers could read it differently.
pub fn entry_from_line(line: &str) -> Result<AuditEntry, String> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Line {
        seq: i64,
        id: String,
        at: i64,
        code: String,
        broker: String,
        actor: String,
        identity: Option<String>,
        session: Option<String>,
        event: Value,
        previous: String,
        hash: String,
        signature: Option<String>,
    }
    let Line { seq, id, at, code, broker, actor, identity, session, event, previous, hash, signature } =
        serde_json::from_str(line).map_err(|error| format!("not an audit entry: {error}"))?;
    let event = canonical(&event);
    let entry = AuditEntry { seq, id, at, code, broker, actor, identity, session, event, previous, hash, signature };
    if entry_to_line(&entry) == line || canonical_line(&entry) == line {
        Ok(entry)
    } else {
        Err("not in canonical form".to_owned())
    }
}

/// JSON with sorted keys and no white space, whichever way the map type of this build keeps its order.
pub(super) fn canonical(value: &Value) -> String {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::String(text) => quoted(text),
        Value::Array(items) => format!("[{}]", items.iter().map(canonical).collect::<Vec<_>>().join(",")),
        Value::Object(map) => {
            let mut members: Vec<_> = map.iter().collect();
            members.sort_by_key(|(key, _)| *key);
            let members: Vec<_> =
                members.into_iter().map(|(key, value)| format!("{}:{}", quoted(key), canonical(value))).collect();
            format!("{{{}}}", members.join(","))
        }
    }
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

fn nullable(text: &Option<String>) -> String {
    text.as_deref().map_or_else(|| "null".to_owned(), quoted)
}

pub(super) fn sha256_hex(bytes: &[u8]) -> String {
    HEXLOWER.encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes).as_ref())
}

/// Room for the diff of a large plant; far more than any event made from what an outsider sends.
const MAX_EVENT: usize = 1024 * 1024;
