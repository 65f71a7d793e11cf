//! What an entry of the audit chain says, as far as it is watched for.

use serde_json::Value;

use crate::audit::AuditEntry;

/// What an entry says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fact {
    /// Something that was to be known or held is not right.
    Guessed { who: Who, factor: String },
    /// A key or certificate that counts for nothing: nobody guesses one, but names can be tried with it.
    NamedWrongly { who: Who },
    /// A first factor was right, and no second one followed.
    LeftAlone { who: Who },
    /// Somebody known was denied a target.
    Denied { who: Who, target: String },
    /// Somebody asked for something in a session that is carried for nobody, or not for them.
    RequestRefused { identity: String, request: String },
    /// So many refusals of one kind have come by now.
    RefusedOften { identity: String, kind: String, refusals: u64 },
    /// A session began.
    Began(Begun),
    /// A session is over; where its protocol was decoded, with how many writes.
    Ended { session: String, identity: String, writes: Option<u64> },
    /// The clock moved otherwise than time passed.
    ClockJumped,
}

/// Whose act it was: the name is proven only where the entry is of somebody who had logged in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Who {
    pub(super) identity: String,
    pub(super) source: String,
}

/// A session that began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Begun {
    pub(super) session: String,
    pub(super) who: Who,
    pub(super) asset: String,
    pub(super) service: String,
}

impl Fact {
    /// Nothing of an entry that is not watched for.
    pub(super) fn of(entry: &AuditEntry) -> Option<Self> {
        if !WATCHED.contains(&entry.code.as_str()) {
            return None;
        }
        let event: Value = serde_json::from_str(&entry.event).ok()?;
        let text = |name: &str| event.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let who = || Who { identity: text("identity"), source: text("source") };
        Some(match entry.code.as_str() {
            FACTOR_REFUSED => match text("factor").as_str() {
                "key" | "security-key" | "certificate" => Self::NamedWrongly { who: who() },
                factor => Self::Guessed { who: who(), factor: factor.to_owned() },
            },
            GLASS_REFUSED => Self::Guessed { who: who(), factor: "envelope".to_owned() },
            LOGIN_ABANDONED | CONFIRMATION_REFUSED => Self::LeftAlone { who: who() },
            DECISION_DENIED if event.get("session").is_none_or(Value::is_null) => {
                Self::Denied { who: who(), target: format!("{}:{}", text("asset"), text("service")) }
            }
            REQUEST_REFUSED => Self::RequestRefused { identity: text("identity"), request: text("request") },
            REFUSALS_COUNTED => Self::RefusedOften {
                identity: text("identity"),
                kind: text("kind"),
                refusals: event.get("refusals").and_then(Value::as_u64).unwrap_or(0),
            },
            SESSION_STARTED => Self::Began(Begun {
                session: text("session"),
                who: who(),
                asset: text("asset"),
                service: text("service"),
            }),
            SESSION_ENDED | SESSION_INTERRUPTED => Self::Ended {
                session: text("session"),
                identity: text("identity"),
                writes: event.get("writes").and_then(Value::as_u64),
            },
            CLOCK_JUMPED => Self::ClockJumped,
            // A live session that has lost its permit is nobody's attempt.
            _ => return None,
        })
    }
}

const FACTOR_REFUSED: &str = "SP-1004";
const CONFIRMATION_REFUSED: &str = "SP-1014";
const LOGIN_ABANDONED: &str = "SP-1020";
const DECISION_DENIED: &str = "SP-2002";
const SESSION_STARTED: &str = "SP-3001";
/// The end of a session.
pub(super) const SESSION_ENDED: &str = "SP-3002";
const SESSION_INTERRUPTED: &str = "SP-3004";
const REQUEST_REFUSED: &str = "SP-3007";
const REFUSALS_COUNTED: &str = "SP-3015";
const CLOCK_JUMPED: &str = "SP-6003";
const GLASS_REFUSED: &str = "SP-8003";

const WATCHED: [&str; 11] = [
    FACTOR_REFUSED,
    CONFIRMATION_REFUSED,
    LOGIN_ABANDONED,
    DECISION_DENIED,
    SESSION_STARTED,
    SESSION_ENDED,
    SESSION_INTERRUPTED,
    REQUEST_REFUSED,
    REFUSALS_COUNTED,
    CLOCK_JUMPED,
    GLASS_REFUSED,
];
