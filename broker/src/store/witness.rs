//! What the audit chain holds of one identity. A row's MAC tells that a broker wrote it; the chain tells whether it is the last
//! that was written, so that a key taken away, a person locked or a lease revoked does not come back with its old row.
//!
//! The chain is believed here as it stands. That nothing was cut from it is for `audit verify` to tell.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use sqlx::AnyConnection;

use super::state::State;
use super::{Store, StoreError};

/// What the chain holds of one identity and what it was given.
#[derive(Debug, Default)]
pub(super) struct Witness {
    /// The id of the last entry about the identity itself: its state, groups and password.
    pub(super) person: Option<String>,
    /// Whether it was added, and how it stands since.
    pub(super) state: Option<State>,
    /// Its groups, as the last change of them says.
    pub(super) groups: String,
    /// What was given, by fingerprint or kind, with the id of the entry; `None` where it was taken since.
    factors: BTreeMap<String, Option<String>>,
    /// What makes leases void, in order: the entry, and with which credential; `None` for all of them.
    voiding: Vec<(String, Option<String>)>,
    revoked_leases: BTreeSet<String>,
    /// Windows that were opened, as the chain tells of them.
    pub(super) windows: BTreeMap<String, (String, Value)>,
    closed_windows: BTreeSet<String>,
    /// Requests that were denied or withdrawn.
    closed_requests: BTreeSet<String>,
    /// An entry is not JSON, so it is no broker's: nothing of this identity is believed.
    damaged: bool,
}

impl Witness {
    /// Whether a row that goes with the entry `event` is the last about this credential. What the chain knows nothing of is not
    /// contradicted by it.
    pub(super) fn last_about(&self, credential: &str, event: Option<&str>) -> bool {
        !self.damaged && self.factors.get(credential).is_none_or(|last| last.is_some() && last.as_deref() == event)
    }

    /// The entry that gave this credential, if it was given and not taken since.
    pub(super) fn given(&self, credential: &str) -> Option<&str> {
        self.factors.get(credential).and_then(Option::as_deref)
    }

    /// Whether the row of the identity that goes with the entry `event` is the last.
    pub(super) fn last_of_person(&self, event: Option<&str>) -> bool {
        !self.damaged && (self.person.is_none() || self.person.as_deref() == event)
    }

    /// The last entry that makes leases void: what a new lease goes with.
    pub(super) fn before_lease(&self) -> Option<&str> {
        self.voiding.last().map(|(entry, _)| entry.as_str())
    }

    /// Whether a lease still counts that was granted after the entry `event`.
    pub(super) fn lease_counts(&self, lease: &str, credential: &str, event: Option<&str>) -> bool {
        // An entry that is not in the chain any more: everything counts as later.
        let later = self.voiding.iter().rposition(|(entry, _)| Some(entry.as_str()) == event).map_or(0, |at| at + 1);
        let void = |(_, of): &(String, Option<String>)| of.as_deref().is_none_or(|of| of == credential);
        !self.damaged && !self.revoked_leases.contains(lease) && !self.voiding.iter().skip(later).any(void)
    }

    /// Whether a window was not closed.
    pub(super) fn window_lasts(&self, window: &str) -> bool {
        !self.damaged && !self.closed_windows.contains(window)
    }

    /// Whether a request was neither denied nor withdrawn.
    pub(super) fn request_lasts(&self, request: &str) -> bool {
        !self.damaged && !self.closed_requests.contains(request)
    }

    fn hear(&mut self, id: &str, code: &str, event: &Value) {
        let text = |name: &str| event.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        match code {
            LEASE_REVOKED => {
                self.revoked_leases.insert(text("lease"));
            }
            ADDED | LOCKED | UNLOCKED | REMOVED => {
                self.person = Some(id.to_owned());
                self.state = Some(match code {
                    LOCKED => State::Locked,
                    REMOVED => State::Removed,
                    _ => State::Active,
                });
                if code == REMOVED {
                    self.factors.values_mut().for_each(|given| *given = None);
                }
                if matches!(code, LOCKED | REMOVED) {
                    self.voiding.push((id.to_owned(), None));
                }
            }
            CHANGED => {
                self.person = Some(id.to_owned());
                let change = text("change");
                if let Some((_, groups)) = change.strip_prefix("groups: ").and_then(|change| change.split_once(" -> "))
                {
                    self.groups = groups.to_owned();
                }
            }
            ENROLLED | FACTOR_REMOVED => {
                let credential = text("credential");
                if credential == PASSWORD {
                    self.person = Some(id.to_owned());
                }
                match (credential.starts_with(WEBAUTHN), code == ENROLLED) {
                    // One more takes nothing away.
                    (true, true) => {}
                    // Which leases a passkey proved is not known.
                    (true, false) => self.voiding.push((id.to_owned(), None)),
                    // What an authenticator proved before it was replaced counts with no credential any more.
                    (false, _) => {
                        let void = (credential != TOTP).then(|| credential.clone());
                        self.voiding.push((id.to_owned(), void));
                    }
                }
                self.factors.insert(credential, (code == ENROLLED).then(|| id.to_owned()));
            }
            INVITED => {
                // One at a time.
                let before = self.factors.iter_mut().filter(|(name, _)| name.starts_with(INVITATION));
                before.for_each(|(_, given)| *given = None);
                self.factors.insert(format!("{INVITATION}{}", text("invitation")), Some(id.to_owned()));
            }
            INVITATION_USED => {
                self.factors.insert(format!("{INVITATION}{}", text("invitation")), None);
            }
            ENVELOPE_SEALED | ENVELOPE_EXPIRES => {
                self.factors.insert(format!("{ENVELOPE}{}", number(event, "envelope")), Some(id.to_owned()));
            }
            ENVELOPE_REVOKED => {
                self.factors.insert(format!("{ENVELOPE}{}", number(event, "envelope")), None);
            }
            GLASS_BROKEN => {
                for envelope in event.get("envelopes").and_then(Value::as_array).into_iter().flatten() {
                    self.factors.insert(format!("{ENVELOPE}{envelope}"), None);
                }
            }
            WINDOW_OPENED => {
                self.windows.insert(text("window"), (id.to_owned(), event.clone()));
            }
            WINDOW_CLOSED => {
                self.closed_windows.insert(text("window"));
            }
            REQUEST_DENIED | REQUEST_WITHDRAWN => {
                self.closed_requests.insert(text("request"));
            }
            _ => {}
        }
    }
}

impl Store {
    pub(super) async fn witness(&self, identity: &str) -> Result<Witness, StoreError> {
        let mut connection = self.reader()?.acquire().await?;
        witness(&mut connection, identity).await
    }
}

/// What the chain holds of an identity, as this connection sees it.
pub(super) async fn witness(connection: &mut AnyConnection, identity: &str) -> Result<Witness, StoreError> {
    let entries: Vec<(String, String, String)> = sqlx::query_as(ENTRIES).bind(identity).fetch_all(connection).await?;
    let mut witness = Witness { groups: NO_GROUPS.to_owned(), ..Witness::default() };
    for (id, code, event) in entries {
        match serde_json::from_str(&event) {
            Ok(event) => witness.hear(&id, &code, &event),
            Err(_) => witness.damaged = true,
        }
    }
    Ok(witness)
}

/// Read for every login, of a person who may have a hundred thousand entries. The sign keeps SQLite from going through all of them
/// in their order (`audit_by_identity`), where a few of some codes are wanted (`audit_by_code`).
pub(super) const ENTRIES: &str =
    "SELECT id, code, event FROM audit WHERE identity = $1 AND code IN ('SP-1007', 'SP-5101',
    'SP-5102', 'SP-5103', 'SP-5104', 'SP-5105', 'SP-5106', 'SP-5107', 'SP-5108', 'SP-5109', 'SP-5401', 'SP-5402', 'SP-5603', 'SP-5604',
    'SP-8001', 'SP-8101', 'SP-8102', 'SP-8103') ORDER BY +seq";

const LEASE_REVOKED: &str = "SP-1007";
const ADDED: &str = "SP-5101";
const LOCKED: &str = "SP-5102";
const UNLOCKED: &str = "SP-5103";
const REMOVED: &str = "SP-5104";
const CHANGED: &str = "SP-5105";
const ENROLLED: &str = "SP-5106";
const FACTOR_REMOVED: &str = "SP-5107";
const INVITED: &str = "SP-5108";
const INVITATION_USED: &str = "SP-5109";
const GLASS_BROKEN: &str = "SP-8001";
const ENVELOPE_SEALED: &str = "SP-8101";
const ENVELOPE_REVOKED: &str = "SP-8102";
const ENVELOPE_EXPIRES: &str = "SP-8103";
const WINDOW_OPENED: &str = "SP-5401";
const WINDOW_CLOSED: &str = "SP-5402";
const REQUEST_DENIED: &str = "SP-5603";
const REQUEST_WITHDRAWN: &str = "SP-5604";
/// The credentials of which an identity has one at most, as events name them.
pub(super) const PASSWORD: &str = "password";
pub(super) const TOTP: &str = "totp";
pub(super) const RECOVERY: &str = "recovery-code";
/// What the names of passkeys begin with.
pub(super) const WEBAUTHN: &str = "webauthn:";
/// What the names of invitations begin with.
pub(super) const INVITATION: &str = "invitation:";
/// What the names of envelopes begin with.
pub(super) const ENVELOPE: &str = "envelope:";
/// How a change of groups names none.
const NO_GROUPS: &str = "none";

fn number(event: &Value, name: &str) -> i64 {
    event.get(name).and_then(Value::as_i64).unwrap_or_default()
}
