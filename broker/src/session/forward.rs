//! The last stage: what carries a session is given its record, and whatever it comes to is the session's one end.
//!
//! What ends a session from outside is in `limits.rs`. How an asset is reached and what passes is the affair of a
//! `Carrier`: channels over ssh, or one stream.

use std::time::Duration;

use sallyport_policy::{Protocol, RecorderTrouble};

use super::{Authorized, Leg, Recorded, Session, StartRefusal};
use crate::audit::AuditEvent;
use crate::live::End;
use crate::store::sessions::SessionEnd;

/// Carries one session between its person and its asset.
pub trait Carrier: Send {
    /// Reaches the asset and carries what passes until something ends the session; tells the person why, and closes both sides.
    /// What passes is on the session's record first.
    fn carry(self, session: &Recorded) -> impl Future<Output = End> + Send;

    /// Tells the person in one plain sentence that the session does not start, and closes their side.
    fn turn_away(self, sentence: String) -> impl Future<Output = ()> + Send;
}

impl Session<Authorized> {
    /// Records and forwards; where the record cannot be had, the person is told and nothing is sent anywhere.
    ///
    /// # Errors
    /// Why the session did not start: that is on the record, and the person has been told.
    pub async fn run(self, by: impl Carrier) -> Result<End, StartRefusal> {
        match self.record().await {
            Ok(recorded) => Ok(recorded.forward(by).await),
            Err(refusal) => {
                tracing::warn!(reason = %refusal, "A permitted session did not start");
                by.turn_away(refusal.sentence()).await;
                Err(refusal)
            }
        }
    }
}

impl Session<Recorded> {
    /// Carries the session to its one end, which is put on the record before this returns.
    pub async fn forward(self, by: impl Carrier) -> End {
        let end = by.carry(&self.stage).await;
        self.close(end).await
    }

    /// Seals the recording and puts the end into store and audit chain.
    async fn close(self, end: End) -> End {
        let Recorded { authorized, id, recording, registered, record } = self.stage;
        let broker = authorized.broker;
        let sealed = recording.seal(end.word(), &end.detail()).await;
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
            detail: end.detail().into_owned(),
            recording_head: head,
            recording_bytes: bytes,
            writes: matches!(authorized.leg, Leg::Stream { protocol: Protocol::Modbus })
                .then(|| record.operations.writes()),
            tolerated: record.operations.all_tolerated(),
        };
        if let Err(error) = broker.audit.record(event).await {
            tracing::error!(session = %id, %error, "The end of a session could not be audited");
        }
        let row = SessionEnd { at: broker.now(), word: end.word().to_owned(), detail: end.detail().into_owned() };
        match broker.store.end_session(&id, &row).await {
            // Its start is not there yet.
            Ok(false) if broker.live.owes_start(&id) => broker.live.owe(id.clone(), row),
            Ok(_) => {}
            Err(error) => {
                tracing::error!(session = %id, %error, "The end of a session could not be stored yet");
                broker.live.owe(id.clone(), row);
            }
        }
        metrics::counter!("sallyport_sessions_ended_total", "end" => end.word()).increment(1);
        tracing::info!(session = %id, end = end.word(), "Session ended");
        drop(registered);
        end
    }
}

impl Recorded {
    /// Puts on record what the broker itself has to say about the session.
    ///
    /// # Errors
    /// The end that it is when that fails.
    pub(crate) fn notice(&self, body: serde_json::Value) -> Result<(), End> {
        self.recording.notice(&body).map_err(|error| {
            tracing::error!(session = %self.id, %error, "The recorder failed");
            End::RecordingFailed
        })
    }

    /// No input passes any more (the relay saw to that); whether output may go on for a moment is for the terms to say.
    pub(crate) async fn recorder_trouble(&self, reason: &str) -> Result<RecorderTrouble, End> {
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

    /// Its time is over, and from now on it is for looking on only.
    ///
    /// # Errors
    /// The end that it is when that cannot be put on record.
    pub(crate) async fn view_only(&self, end: &End, grace: Duration) -> Result<(), End> {
        let seconds = grace.as_secs();
        self.notice(serde_json::json!({ "notice": "view-only", "reason": end.word(), "seconds": seconds }))?;
        self.audit(AuditEvent::SessionViewOnly {
            session: self.id.clone(),
            identity: self.authorized.subject.identity.to_string(),
            reason: end.word().to_owned(),
            seconds,
        })
        .await
    }

    /// Its time was extended, and input passes again.
    ///
    /// # Errors
    /// The end that it is when that cannot be put on record.
    pub(crate) async fn input_back(&self) -> Result<(), End> {
        self.notice(serde_json::json!({ "notice": "input-back" }))?;
        let identity = self.authorized.subject.identity.to_string();
        self.audit(AuditEvent::SessionInputBack { session: self.id.clone(), identity }).await
    }

    /// What cannot be audited, even on the spool, ends the session.
    pub(crate) async fn audit(&self, event: AuditEvent) -> Result<(), End> {
        self.authorized.broker.audit.record(event).await.map_err(|error| {
            tracing::error!(session = %self.id, %error, "An event of a live session could not be audited");
            End::RecordingFailed
        })
    }
}
