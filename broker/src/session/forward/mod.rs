//! The last stage: dial the asset, carry what passes, and stop at the first reason to end.
//!
//! What every session has in common is here and in [`limits`]: what ends it, and the one end that is put on record. How an
//! asset is dialled and what is carried is the affair of [`ssh`] and of [`stream`].

mod client;
mod dial;
mod filter;
mod limits;
mod ssh;
mod stream;
mod tally;

use std::time::Duration;

use sallyport_policy::RecorderTrouble;

pub use client::{Ask, Client, Refused, Voice};
pub use stream::Caller;

use super::{Recorded, Session};
use crate::audit::AuditEvent;
use crate::live::End;
use crate::ssh::VIEW_ONLY_GRACE;
use crate::store::sessions::SessionEnd;

/// How long channels may take to close after the end.
const FAREWELL: Duration = Duration::from_secs(2);

impl Session<Recorded> {
    /// Seals the recording and puts the end into store and audit chain.
    async fn close(self, end: End) -> End {
        let Recorded { authorized, id, recording, registered } = self.stage;
        let broker = authorized.broker;
        let sealed = recording.seal(end.word(), end.detail()).await;
        let (head, bytes) = match &sealed {
            Ok(sealed) => (Some(sealed.head_hex()), Some(sealed.bytes)),
            Err(error) => {
                tracing::error!(session = %id, %error, "The recording could not be sealed");
                (None, None)
            }
        };
        let event = AuditEvent::SessionEnded {
            session: id.clone(),
            identity: authorized.subject.identity.to_string(),
            asset: authorized.target.asset.to_string(),
            end: end.word().to_owned(),
            detail: end.detail().to_owned(),
            recording_head: head,
            recording_bytes: bytes,
        };
        if let Err(error) = broker.audit.record(event).await {
            tracing::error!(session = %id, %error, "The end of a session could not be audited");
        }
        let row = SessionEnd { at: broker.now(), word: end.word().to_owned(), detail: end.detail().to_owned() };
        if let Err(error) = broker.store.end_session(&id, &row).await {
            tracing::error!(session = %id, %error, "The end of a session could not be stored yet");
            broker.live.owe(id.clone(), row);
        }
        metrics::counter!("sallyport_sessions_ended_total", "end" => end.word()).increment(1);
        tracing::info!(session = %id, end = end.word(), "Session ended");
        drop(registered);
        end
    }
}

impl Recorded {
    fn notice(&self, body: serde_json::Value) -> Result<(), End> {
        self.recording.notice(&body).map_err(|error| {
            tracing::error!(session = %self.id, %error, "The recorder failed");
            End::RecordingFailed
        })
    }

    /// No input passes any more (the relay saw to that); whether output may go on for a moment is for the terms to say.
    async fn recorder_trouble(&self, reason: &str) -> Result<RecorderTrouble, End> {
        tracing::error!(session = %self.id, reason, "The recorder failed");
        let trouble = self.authorized.permit.terms.recorder_trouble;
        let event = AuditEvent::RecorderTrouble {
            session: self.id.clone(),
            identity: self.authorized.subject.identity.to_string(),
            detail: reason.to_owned(),
            action: trouble.to_string(),
        };
        self.audit(event).await.map(|()| trouble)
    }

    /// What cannot be audited, even on the spool, ends the session.
    async fn audit(&self, event: AuditEvent) -> Result<(), End> {
        self.authorized.broker.audit.record(event).await.map_err(|error| {
            tracing::error!(session = %self.id, %error, "An event of a live session could not be audited");
            End::RecordingFailed
        })
    }
}
