//! What a broker has left open that will not start again under its name: its disk was restored on a machine of another name, or it
//! is gone for good. A start closes what was open under its own name; this does the same for another's.
//!
//! Nothing is closed of a broker that lives: its heartbeat is listened for as at a start, and the name is taken before.

use std::sync::Arc;

use jiff::Timestamp;
use sallyport_session_recorder::{KeyError, Keys};
use ulid::Ulid;

use super::presence::{self, PresenceError};
use crate::audit::{Audit, AuditError, AuditEvent};
use crate::config::{Config, RecordingConfig};
use crate::live::End;
use crate::recording::{Recordings, RecordingsError};
use crate::store::brokers::BrokerSeen;
use crate::store::sessions::SessionEnd;
use crate::store::{Store, StoreError};
use crate::vault::{Vault, VaultError};

/// What was closed of one broker.
#[derive(Debug)]
pub(crate) struct ClosedOut {
    /// Its name.
    pub(crate) broker: String,
    /// The sessions that have an end now.
    pub(crate) sessions: Vec<String>,
    /// The recordings that were looked at, and have an end now if they are sound.
    pub(crate) recordings: usize,
    /// The recordings whose files are not here.
    pub(crate) elsewhere: Vec<String>,
}

/// Why nothing of a broker is closed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LostError {
    /// It lives, or somebody was faster.
    #[error(transparent)]
    Presence(#[from] PresenceError),
    /// It was started while its sessions were to be closed.
    #[error("broker `{0}` was started meanwhile, and closes what is its own")]
    Started(String),
    /// Its recordings.
    #[error(transparent)]
    Recordings(#[from] RecordingsError),
    /// The recordings' recipients.
    #[error("`recipients` in `[recording]`: {0}")]
    Recipients(#[from] KeyError),
    /// The evidence key.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The audit chain.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Of what installation they are, and who closes.
pub(crate) struct Closing<'a> {
    /// The configuration of this machine: where recordings lie.
    pub(crate) config: &'a Config,
    /// The database.
    pub(crate) store: &'a Store,
    /// The key that seals recordings.
    pub(crate) vault: &'a Vault,
    /// The chain.
    pub(crate) audit: &'a Audit,
    /// Who asked for it.
    pub(crate) by: &'a str,
}

impl Closing<'_> {
    /// Gives an end to what these brokers have left open.
    ///
    /// # Errors
    /// One of them lives: then nothing is closed. Or something cannot be read, written or put on record.
    pub(crate) async fn close(&self, brokers: &[BrokerSeen]) -> Result<Vec<ClosedOut>, LostError> {
        presence::all_silent(self.store, brokers).await?;
        let mut closed = Vec::new();
        for seen in brokers {
            closed.push(self.close_one(seen).await?);
        }
        Ok(closed)
    }

    async fn close_one(&self, seen: &BrokerSeen) -> Result<ClosedOut, LostError> {
        let instance = format!("closing/{}", Ulid::generate());
        if !self.store.broker_started(&seen.name, &instance, Timestamp::now(), Some(seen)).await? {
            return Err(LostError::Started(seen.name.clone()));
        }
        let done = {
            let _beating = presence::beat(self.store, &seen.name, &instance);
            self.close_named(seen).await
        };
        self.store.broker_stopped(&seen.name, &instance, Timestamp::now()).await?;
        done
    }

    async fn close_named(&self, seen: &BrokerSeen) -> Result<ClosedOut, LostError> {
        let keys = Keys::new(&self.config.recording.recipients, self.vault.evidence_key()?)?;
        let keys = keys.with_earlier(self.vault.evidence_public_keys()?);
        // It takes no emergency any more.
        let recording = RecordingConfig { reserve: 0, ..self.config.recording.clone() };
        let (store, audit) = (self.store.clone(), self.audit.clone());
        let recordings = Recordings::open(recording, &seen.name, Arc::new(keys), store, audit)?;
        let (found, elsewhere) = recordings.recover_here().await?;
        let detail = format!("its broker `{}` does not come back; closed by {}", seen.name, self.by);
        let sessions = interrupt(self.store, self.audit, &seen.name, &detail, Some(seen.seen_at)).await?;
        Ok(ClosedOut { broker: seen.name.clone(), sessions, recordings: found.len(), elsewhere })
    }
}

/// Gives every open session of a broker the end of one that was cut off, each on record; gives their ids.
pub(super) async fn interrupt(
    store: &Store,
    audit: &Audit,
    broker: &str,
    detail: &str,
    broker_seen_at: Option<Timestamp>,
) -> Result<Vec<String>, AuditError> {
    let (word, detail) = (End::Interrupted.word().to_owned(), detail.to_owned());
    let end = SessionEnd { at: Timestamp::now(), word, detail };
    let mut closed = Vec::new();
    for session in store.interrupt_sessions(broker, &end).await? {
        let start = session.start;
        tracing::warn!(session = start.id, identity = start.identity, "A session was cut off by the broker's end");
        closed.push(start.id.clone());
        let (session, identity, asset) = (start.id, start.identity, start.asset);
        audit.record(AuditEvent::SessionInterrupted { session, identity, asset, broker_seen_at }).await?;
    }
    Ok(closed)
}
