//! The session is on the record: recording open, row in the store, event in the audit chain, place in the registry.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sallyport_policy::{Subject, Terms};
use sallyport_session_recorder::{Durability, Header};

use super::asked_for::AskedFor;
use super::emergency::opening_of;
use super::refusal::no_more_than;
use super::{Authorized, Leg, Record, Session, watch};
use crate::audit::{AuditError, AuditEvent};
use crate::broker::Broker;
use crate::live::{End, Live, Registered, Switch, Target, Times};
use crate::recording::{self, RecordingHandle};
use crate::store::StoreError;
use crate::store::sessions::{NewSession, SessionEnd};

/// Recorded: from here on, and only from here on, bytes may pass.
#[derive(Debug)]
pub struct Recorded {
    pub(super) authorized: Authorized,
    pub(super) id: String,
    pub(super) recording: RecordingHandle,
    pub(super) registered: Registered,
    /// The one way to that recording for what is carried.
    pub(super) record: Record,
}

impl Recorded {
    /// Its id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The one way to its recording for what is carried.
    #[must_use]
    pub fn record(&self) -> &Record {
        &self.record
    }

    pub(crate) fn broker(&self) -> &Arc<Broker> {
        &self.authorized.broker
    }

    /// Whose it is.
    pub(crate) fn subject(&self) -> &Subject {
        &self.authorized.subject
    }

    /// Where it goes.
    pub(crate) fn target(&self) -> &Target {
        &self.authorized.target
    }

    /// Whether it belongs to an emergency.
    pub(crate) fn in_emergency(&self) -> bool {
        self.registered.live().emergency.is_some()
    }

    pub(crate) fn terms(&self) -> &Terms {
        &self.authorized.permit.terms
    }

    /// Where the asset's service is.
    pub(crate) fn address(&self) -> SocketAddr {
        self.authorized.address
    }

    /// How the broker itself reaches it.
    pub(crate) fn leg(&self) -> &Leg {
        &self.authorized.leg
    }

    /// Its id and whose it is, as the audit has them.
    pub(crate) fn names(&self) -> (String, String) {
        (self.id.clone(), self.authorized.subject.identity.to_string())
    }

    /// Resolves when somebody has asked for its end.
    pub(crate) async fn end_asked(&self) -> End {
        self.registered.live().switch.asked().await
    }
}

/// Why a permitted session did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartRefusal {
    /// The disk is too full, or the recording could not be begun.
    #[error("the recording cannot be started: {0}")]
    Recording(String),
    /// As many sessions as the terms allow are live already.
    #[error("{0} sessions are live already")]
    Concurrent(u32),
    /// The person has as many sessions on this broker as all their roles allow.
    #[error("{0} sessions of theirs are live on this broker already, whatever they lead to")]
    Allowance(u32),
    /// The broker is about to stop.
    #[error("the broker is about to stop")]
    Draining,
    /// The session could not be entered into the store or the audit chain.
    #[error("the session cannot be entered into the record: {0}")]
    Record(String),
}

impl StartRefusal {
    /// One plain sentence for the person.
    #[must_use]
    pub fn sentence(&self) -> String {
        match self {
            StartRefusal::Concurrent(limit) => no_more_than(*limit),
            StartRefusal::Allowance(limit) => {
                format!("You have {limit} sessions open, and may have no more. End one first.")
            }
            StartRefusal::Draining => "The broker is about to restart. Try again in a few minutes.".to_owned(),
            StartRefusal::Recording(_) | StartRefusal::Record(_) => {
                "The session cannot be recorded now, so it does not start; tell your administrator.".to_owned()
            }
        }
    }
}

/// How long an emergency's session waits for the database.
const ENTERED_WITHIN: Duration = Duration::from_secs(2);

impl Session<Authorized> {
    /// Opens the record. Nothing has been sent to the asset yet, not even a SYN.
    ///
    /// # Errors
    /// Whatever part of the record cannot be had: then there is no session.
    pub async fn record(self) -> Result<Session<Recorded>, StartRefusal> {
        let broker = Arc::clone(&self.stage.broker);
        let asked = AskedFor::target(&self.stage.subject.identity, self.stage.source, &self.stage.target);
        let emergency = self.stage.proof.emergency().is_some();
        let recorded = self.stage.open_record().await;
        // The policy permitted, and the session did not start all the same.
        if let Err(refusal) = &recorded
            && let Err(error) = put_on_record(&broker, emergency, [asked.denied(refusal.to_string())]).await
        {
            tracing::error!(%error, "That a permitted session did not start could not be audited");
        }
        recorded
    }
}

/// In an emergency it waits on disk where there is no database.
async fn put_on_record(
    broker: &Broker,
    emergency: bool,
    events: impl IntoIterator<Item = AuditEvent>,
) -> Result<(), AuditError> {
    if emergency { broker.audit.record_all_enduring(events).await } else { broker.audit.record_all(events).await }
}

impl Authorized {
    async fn open_record(self) -> Result<Session<Recorded>, StartRefusal> {
        let authorized = self;
        let broker = Arc::clone(&authorized.broker);
        if broker.live.is_draining() {
            return Err(StartRefusal::Draining);
        }
        let most = broker.policy.current().sessions(&authorized.subject);
        let place = broker.live.allowances.place(&authorized.proof.counted_as(), most, Instant::now());
        let place = place.ok_or(StartRefusal::Allowance(most))?;
        let emergency = opening_of(&authorized);
        let room = match emergency {
            None => broker.recordings.may_start(),
            Some(_) => broker.recordings.may_start_in_emergency(),
        };
        room.map_err(|error| StartRefusal::Recording(error.to_string()))?;
        let id = ulid::Ulid::generate().to_string().to_ascii_lowercase();
        let row = authorized.row(&id).map_err(|error| StartRefusal::Record(error.to_string()))?;
        authorized.enter(&row).await?;
        let header = authorized.header(&row).map_err(|error| StartRefusal::Record(error.to_string()))?;
        let begun = match emergency {
            None => broker.recordings.start(header).await,
            Some(_) => broker.recordings.start_in_emergency(header).await,
        };
        let recording = match begun {
            Ok(recording) => recording,
            Err(error) => {
                let reason = error.to_string();
                authorized.withdraw(&id, &reason).await?;
                return Err(StartRefusal::Recording(reason));
            }
        };
        let events = authorized.begins(row);
        if let Err(error) = put_on_record(&broker, authorized.proof.emergency().is_some(), events).await {
            let reason = error.to_string();
            recording
                .seal(End::RecordingFailed.word(), &reason)
                .await
                .map_err(|e| StartRefusal::Recording(e.to_string()))?;
            authorized.withdraw(&id, &reason).await?;
            return Err(StartRefusal::Record(reason));
        }
        let record = Record::new(Arc::new(recording.clone()), authorized.permit.terms.recorder_trouble);
        let live = Live {
            id: id.clone(),
            subject: authorized.subject.clone(),
            source: authorized.source,
            proofs: authorized.proof.proofs().to_vec(),
            lease: authorized.proof.lease().map(ToString::to_string),
            started: authorized.at,
            begun: Instant::now(),
            emergency,
            target: authorized.target.clone(),
            zone: authorized.zone.clone(),
            permit: authorized.permit.clone(),
            times: tokio::sync::watch::Sender::new(Times::of(&authorized.permit.terms)),
            switch: Switch::new(),
            operations: Arc::clone(&record.operations),
        };
        let registered = broker.live.enter(live, place);
        watch::look_at_new(&broker, registered.live()).await;
        metrics::counter!("sallyport_sessions_started_total").increment(1);
        tracing::info!(session = %id, identity = %authorized.subject.identity, asset = %authorized.target.asset, "Session started");
        Ok(Session { stage: Recorded { authorized, id, recording, registered, record } })
    }

    /// What is told of its beginning.
    fn begins(&self, row: NewSession) -> Vec<AuditEvent> {
        let used = self.permit.approved.as_ref().map(|request| AuditEvent::RequestUsed {
            identity: row.identity.clone(),
            session: row.id.clone(),
            request: request.to_string(),
        });
        let started = AuditEvent::SessionStarted {
            session: row.id,
            identity: row.identity,
            source: row.source,
            asset: row.asset,
            zone: row.zone,
            service: row.service,
            account: row.account,
            form: row.form,
            rule: row.rule,
        };
        [started].into_iter().chain(used).collect()
    }

    fn row(&self, id: &str) -> Result<NewSession, serde_json::Error> {
        Ok(NewSession {
            id: id.to_owned(),
            broker: self.broker.config.name.clone(),
            identity: self.subject.identity.to_string(),
            asset: self.target.asset.to_string(),
            zone: self.zone.to_string(),
            service: self.target.service.to_string(),
            account: self.target.account.to_string(),
            form: self.target.form.word().to_owned(),
            source: self.source.to_string(),
            rule: self.permit.rule.to_string(),
            terms: serde_json::to_string(&self.permit.terms)?,
            started_at: self.at,
        })
    }

    fn header(&self, row: &NewSession) -> Result<Header, serde_json::Error> {
        Ok(Header {
            session: row.id.clone(),
            broker: row.broker.clone(),
            identity: row.identity.clone(),
            source: row.source.clone(),
            asset: row.asset.clone(),
            zone: row.zone.clone(),
            service: row.service.clone(),
            account: row.account.clone(),
            form: row.form.clone(),
            started: recording::clock::now(),
            rule: row.rule.clone(),
            terms: serde_json::to_value(&self.permit.terms)?,
            // What the recorder was started with is filled in there.
            durability: Durability::default(),
        })
    }

    /// The row is entered under the limit of the grant: of two that race for the last place, one gets it.
    async fn enter(&self, row: &NewSession) -> Result<(), StartRefusal> {
        let limit = self.permit.terms.concurrent;
        match self.start(row, limit).await {
            Ok(true) => Ok(()),
            Err(error) if self.proof.emergency().is_some() => {
                tracing::warn!(session = row.id, %error, "A session of an emergency is entered into the store later");
                self.broker.live.owe_start(row.clone());
                Ok(())
            }
            Ok(false) => Err(StartRefusal::Concurrent(limit.unwrap_or(0))),
            Err(error) => {
                // The row may be there all the same; it must not count as a live session.
                self.broker.live.owe(row.id.clone(), self.no_recording(&error.to_string()));
                Err(StartRefusal::Record(error.to_string()))
            }
        }
    }

    /// An emergency does not wait for a database that hangs.
    async fn start(&self, row: &NewSession, limit: Option<u32>) -> Result<bool, StoreError> {
        let starting = self.broker.store.start_session(row, limit);
        if self.proof.emergency().is_none() {
            return starting.await;
        }
        let late = |_| Err(StoreError::Unavailable("no answer in time".to_owned()));
        tokio::time::timeout(ENTERED_WITHIN, starting).await.unwrap_or_else(late)
    }

    async fn withdraw(&self, id: &str, reason: &str) -> Result<(), StartRefusal> {
        let end = self.no_recording(reason);
        match self.broker.store.end_session(id, &end).await {
            Ok(_) => Ok(()),
            Err(error) => {
                self.broker.live.owe(id.to_owned(), end);
                Err(StartRefusal::Record(format!("{reason}; {error}")))
            }
        }
    }

    fn no_recording(&self, reason: &str) -> SessionEnd {
        SessionEnd { at: self.broker.now(), word: End::RecordingFailed.word().to_owned(), detail: reason.to_owned() }
    }
}
