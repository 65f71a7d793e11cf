//! One channel's two ends: its track, and the only ways to the asset and to the person.
use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use russh::{ChannelWriteHalf, client, server};
use sallyport_policy::RecorderTrouble;
use sallyport_session_recorder::{Budget, Direction, Kind};
use serde_json::Value;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::context::ChannelContext;
use super::reader::Received;
use crate::session::{Track, Unrecorded};
use crate::ssh::transfer::{FileOutcome, FileReport, Malformed, Step, Store, Via};

/// Why a channel ends before its time.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    /// The session is ending, or the channel's other pump has failed.
    #[error("the session is ending")]
    Ending,
    #[error(transparent)]
    Unrecorded(#[from] Unrecorded),
    #[error(transparent)]
    Malformed(#[from] Malformed),
    #[error("file transfers can no longer be reported")]
    Report,
}

/// One channel's two ends and what its tasks share.
pub(crate) struct Ends {
    pub(crate) context: ChannelContext,
    pub(crate) track: Track,
    pub(crate) client: ChannelWriteHalf<server::Msg>,
    /// For exit signals, which a channel's own half cannot send; a forwarded connection has none.
    pub(crate) handle: Option<server::Handle>,
    pub(crate) asset: ChannelWriteHalf<client::Msg>,
    pub(crate) from_client: Received,
    pub(crate) from_asset: Received,
    /// The person's side has ended; more may come from the asset.
    pub(crate) client_ended: AtomicBool,
    /// Told when the asset has answered something that a transfer asked.
    pub(crate) answered: Notify,
    /// Cancelled when this channel must stop where it stands.
    pub(crate) stop: CancellationToken,
    /// How the channel ended, for its `Closed` entry.
    pub(crate) exit: Mutex<Option<Value>>,
}

impl Ends {
    pub(crate) fn record_decoded(&self, direction: Direction, bytes: &Bytes, store: Store) -> Result<(), Unrecorded> {
        match store {
            Store::Message => self.track.append(direction.content(), bytes),
            Store::Content => self.track.append_bulk(direction, bytes, &mut Budget::none()),
            Store::File(run) => self.track.append_file(direction, run),
        }
    }

    /// Records input that has to be whole, as what is no terminal's has: while input is held it waits.
    pub(crate) async fn when_free(
        &self,
        mut record: impl FnMut() -> Result<(), Unrecorded> + Send,
    ) -> Result<(), Fault> {
        loop {
            match record() {
                Err(Unrecorded::Held) => self.input_free().await?,
                recorded => return Ok(recorded?),
            }
        }
    }

    /// Waits until input may pass.
    pub(crate) async fn input_free(&self) -> Result<(), Fault> {
        tokio::select! {
            biased;
            () = self.context.record.input.free() => Ok(()),
            () = self.stop.cancelled() => Err(Fault::Ending),
            () = self.from_client.gone.cancelled() => Err(Fault::Ending),
        }
    }

    pub(crate) async fn say_step(&self, step: Step) -> Result<(), Fault> {
        match step {
            Step::Forward(..) => Ok(()),
            Step::Operation(body) => Ok(self.track.append_json(Kind::Operation, &body)?),
            Step::File(via, path, outcome) => self.report(via, path, outcome).await,
        }
    }

    /// Records a file's operation and reports it.
    pub(crate) async fn report(&self, via: Via, path: String, outcome: FileOutcome) -> Result<(), Fault> {
        let report = FileReport { track: self.track.id(), via, path, outcome };
        self.track.append_json(Kind::Operation, &report.operation())?;
        self.context.report.send(report).await.map_err(|_| Fault::Report)
    }

    /// What becomes of a step's output: see `Record::shown`.
    pub(crate) fn shown(&self, recorded: Result<(), Fault>) -> Result<(), Fault> {
        match recorded {
            Err(Fault::Unrecorded(unrecorded)) => Ok(self.track.record().shown(Err(unrecorded))?),
            recorded => recorded,
        }
    }

    /// A recorder's failure refuses the input from then on; whether the channel goes on is for the terms to say. What is typed while
    /// input is held is refused; the session says so on every terminal.
    pub(crate) async fn unless_view_only(&self, outcome: Result<(), Fault>, told: &mut bool) -> Result<(), Fault> {
        match (outcome, self.context.terms.recorder_trouble) {
            (Err(Fault::Unrecorded(Unrecorded::Held)), _) => Ok(()),
            (Err(Fault::Unrecorded(Unrecorded::Failed)), RecorderTrouble::ViewOnly) => {
                if !std::mem::replace(told, true) {
                    self.say("recording failed: input is refused from now on, and the session will end").await;
                }
                Ok(())
            }
            (outcome, _) => outcome,
        }
    }

    /// Writes to the asset, unless it is gone (then there is nobody to write to) or the channel must stop.
    pub(crate) async fn to_asset(&self, write: impl Future<Output = Result<(), russh::Error>>) -> Result<(), Fault> {
        self.write(&self.from_asset.gone, write).await
    }

    /// The same towards the person.
    pub(crate) async fn to_client(&self, write: impl Future<Output = Result<(), russh::Error>>) -> Result<(), Fault> {
        self.write(&self.from_client.gone, write).await
    }

    async fn write(
        &self,
        gone: &CancellationToken,
        write: impl Future<Output = Result<(), russh::Error>>,
    ) -> Result<(), Fault> {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Err(Fault::Ending),
            sent = write => {
                if sent.is_err() {
                    gone.cancel();
                }
                Ok(())
            }
            () = gone.cancelled() => Ok(()),
        }
    }

    /// One sentence to the person, on standard error; given up soon if they do not read.
    pub(crate) async fn say(&self, sentence: &str) {
        const SOON: Duration = Duration::from_secs(1);
        let line = Bytes::from(format!("sallyport: {sentence}\r\n"));
        let write = self.client.extended_data_bytes(1, line);
        tokio::select! {
            said = tokio::time::timeout(SOON, write) => {
                if !matches!(said, Ok(Ok(()))) {
                    tracing::debug!(sentence, "The person could not be told");
                }
            }
            () = self.from_client.gone.cancelled() => {}
        }
    }

    pub(crate) fn note_exit(&self, exit: Value) {
        *self.exit.lock().unwrap_or_else(PoisonError::into_inner) = Some(exit);
    }

    pub(crate) fn take_exit(&self) -> Option<Value> {
        self.exit.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
