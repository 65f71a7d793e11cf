//! One direction of a stream: where its bytes are recorded, and where they go on.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use russh::{ChannelWriteHalf, server};
use sallyport_policy::RecorderTrouble;
use sallyport_session_recorder::{Budget, Direction, Kind, Part, RecordError, TrackId};
use tokio::io::AsyncWriteExt;
use tokio::net::tcp::OwnedWriteHalf;
use tokio_util::sync::CancellationToken;

use super::journal::Notes;
use crate::ssh::channel::reader::Received;
use crate::ssh::{Activity, Evidence, Flow, TroubleSignal, VIEW_ONLY_GRACE};

/// Bytes handed to russh at a time, so that a slow person's progress shows.
const PIECE: usize = 32 * 1024;

/// Why a direction stops before its end.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    /// Nothing more may pass. The session learns of it by its trouble signal and ends.
    #[error("recording failed")]
    Recorder,
    #[error("the person is gone")]
    Person,
    #[error("the asset broke the connection off: {0}")]
    Asset(#[source] io::Error),
}

/// The track that a stream is recorded on, and what goes with it.
pub(crate) struct Track {
    pub(crate) recording: Arc<dyn Evidence>,
    pub(crate) id: TrackId,
    /// When something last moved.
    pub(crate) activity: Activity,
    /// Raised when the recorder fails.
    pub(crate) trouble: TroubleSignal,
    /// What the terms say about that.
    pub(crate) recorder_trouble: RecorderTrouble,
}

impl Track {
    /// The one way to the recorder: after its first failure nothing gets past here, save output in the grace of `view-only`.
    pub(super) fn record(&self, direction: Direction, bytes: &[u8], budget: &mut Budget) -> Result<(), Fault> {
        if self.trouble.trouble().is_none() {
            match self.recording.append_bulk(self.id, direction, bytes, budget) {
                Ok(()) => return Ok(()),
                Err(error) => self.trouble.recorder_failed(&error),
            }
        }
        let since = self.trouble.trouble().map(|trouble| trouble.since);
        match (direction, self.recorder_trouble, since) {
            (Direction::Output, RecorderTrouble::ViewOnly, Some(since)) if since.elapsed() < VIEW_ONLY_GRACE => Ok(()),
            _ => Err(Fault::Recorder),
        }
    }

    /// Records one step of a filter at once: what it heard from the person, what it decided, and what it has for the person. Nothing
    /// of it may have been sent.
    pub(super) fn step(
        &self,
        heard: &[u8],
        notes: &mut Notes,
        said: &[u8],
        [input, output]: &mut [Budget; 2],
    ) -> Result<(), Fault> {
        let unwritable = notes.take_unwritable();
        let mut parts = Vec::new();
        if !heard.is_empty() {
            parts.push(Part::Bulk { direction: Direction::Input, body: heard, budget: input });
        }
        parts.extend(notes.entries().map(|body| Part::Whole { kind: Kind::Operation, body }));
        if parts.is_empty() && unwritable.is_none() {
            return if said.is_empty() { Ok(()) } else { self.record(Direction::Output, said, output) };
        }
        if self.trouble.trouble().is_some() {
            return Err(Fault::Recorder);
        }
        if !said.is_empty() && unwritable.is_none() {
            parts.push(Part::Bulk { direction: Direction::Output, body: said, budget: output });
        }
        let recorded = self.recording.append_all(self.id, &mut parts);
        // What cannot even be written down lets nothing pass either.
        let written = unwritable.map_or(Ok(()), |error| Err(RecordError::Sink(error.into())));
        recorded.and(written).map_err(|error| {
            self.trouble.recorder_failed(&error);
            Fault::Recorder
        })
    }

    /// The track ends: how, and how much passed.
    pub(super) fn closed(&self, body: &serde_json::Value) {
        if self.trouble.trouble().is_some() {
            return;
        }
        if let Err(error) = self.recording.append(self.id, Kind::Closed, body.to_string().as_bytes()) {
            self.trouble.recorder_failed(&error);
        }
    }
}

/// Where the bytes of a direction go.
pub(super) trait Outlet {
    /// Sends all of them.
    async fn send(&mut self, bytes: Bytes) -> Result<(), Fault>;
    /// Nothing more comes this way; the other direction goes on.
    async fn finish(&mut self) -> Result<(), Fault>;
}

/// One direction: what is recorded as what, and where it goes on.
pub(super) struct Lane<O> {
    direction: Direction,
    budget: Budget,
    /// How many bytes have passed.
    pub(super) passed: u64,
    pub(super) to: O,
}

impl<O: Outlet> Lane<O> {
    pub(super) fn new(direction: Direction, to: O) -> Self {
        Self { direction, budget: Budget::default(), passed: 0, to }
    }

    /// The one place where the received bytes of a direction go on. What decodes a protocol stands here, behind the record
    /// and before the wire.
    ///
    /// INVARIANT: no byte is sent that the recorder has not taken, save output in the grace of `view-only`.
    pub(super) async fn pass(&mut self, track: &Track, received: Bytes) -> Result<(), Fault> {
        track.activity.touch();
        track.record(self.direction, &received, &mut self.budget)?;
        self.passed += received.len() as u64;
        self.to.send(received).await
    }
}

/// The asset's socket, and the queue that is relieved as it takes.
pub(super) struct ToAsset {
    socket: OwnedWriteHalf,
    received: Received,
    /// What was taken from the queue and still counts there.
    owed: usize,
}

impl ToAsset {
    pub(super) fn new(socket: OwnedWriteHalf, received: Received) -> Self {
        Self { socket, received, owed: 0 }
    }

    /// A batch was taken that counts for so much.
    pub(super) fn owe(&mut self, cost: usize) {
        self.owed += cost;
    }

    /// The batch is dealt with, sent or not.
    pub(super) fn settle(&mut self) {
        self.pay(self.owed);
    }

    fn pay(&mut self, bytes: usize) {
        let bytes = bytes.min(self.owed);
        self.owed -= bytes;
        self.received.queue.release(bytes);
    }
}

impl Outlet for ToAsset {
    async fn send(&mut self, mut bytes: Bytes) -> Result<(), Fault> {
        while !bytes.is_empty() {
            let taken = self.socket.write_buf(&mut bytes).await.map_err(Fault::Asset)?;
            self.pay(taken);
        }
        Ok(())
    }

    async fn finish(&mut self) -> Result<(), Fault> {
        self.socket.shutdown().await.map_err(Fault::Asset)
    }
}

/// The person's channel.
pub(super) struct ToPerson {
    channel: ChannelWriteHalf<server::Msg>,
    flow: Flow,
    gone: CancellationToken,
}

impl ToPerson {
    pub(super) fn new(channel: ChannelWriteHalf<server::Msg>, flow: Flow, gone: CancellationToken) -> Self {
        Self { channel, flow, gone }
    }

    pub(super) async fn close(&self) {
        if self.write(self.channel.close()).await.is_err() {
            tracing::debug!("The person's connection was gone before its channel was closed");
        }
    }

    /// Waits for the channel's window, but not for somebody who is gone.
    async fn write(&self, write: impl Future<Output = Result<(), russh::Error>>) -> Result<(), Fault> {
        tokio::select! {
            biased;
            sent = write => sent.map_err(|_| Fault::Person),
            () = self.gone.cancelled() => Err(Fault::Person),
        }
    }
}

impl Outlet for ToPerson {
    async fn send(&mut self, mut bytes: Bytes) -> Result<(), Fault> {
        while !bytes.is_empty() {
            let piece = bytes.split_to(bytes.len().min(PIECE));
            self.write(self.flow.send(&self.channel, None, piece)).await?;
        }
        Ok(())
    }

    async fn finish(&mut self) -> Result<(), Fault> {
        self.write(self.channel.eof()).await
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    use std::collections::HashMap;

    use super::*;
    use crate::ssh::tests::bed::Notebook;

    #[test]
    fn after_an_operation_that_cannot_be_written_down_nothing_passes() {
        let notebook = Arc::new(Notebook::default());
        let track = Track {
            recording: notebook.clone(),
            id: TrackId(1),
            activity: Activity::new(),
            trouble: TroubleSignal::new(),
            recorder_trouble: RecorderTrouble::End,
        };
        let mut budgets = <[Budget; 2]>::default();
        let mut notes = Notes::default();
        notes.write(&"before");
        track.step(b"heard", &mut notes, b"said", &mut budgets).unwrap();
        notes.clear();
        let unwritable = HashMap::from([(vec![1], "a key that is no string")]);
        notes.write(&"with it");
        notes.write(&unwritable);
        notes.write(&"behind it");
        let failed = track.step(b"asked", &mut notes, b"never said", &mut budgets);
        assert!(matches!(failed, Err(Fault::Recorder)));
        assert!(track.trouble.trouble().is_some(), "the session has to hear of it");
        notes.clear();
        notes.write(&"after");
        assert!(matches!(track.step(b"", &mut notes, b"", &mut budgets), Err(Fault::Recorder)));
        assert!(matches!(track.step(b"more", &mut Notes::default(), b"", &mut budgets), Err(Fault::Recorder)));
        assert!(matches!(track.step(b"", &mut Notes::default(), b"more", &mut budgets), Err(Fault::Recorder)));
        for direction in [Direction::Input, Direction::Output] {
            let passed = track.record(direction, b"bytes", &mut Budget::default());
            assert!(matches!(passed, Err(Fault::Recorder)), "{direction:?}");
        }
        assert_eq!(notebook.json(Kind::Operation), ["before", "with it"]);
        assert_eq!(notebook.bytes(Kind::Input), b"heardasked");
        assert_eq!(notebook.bytes(Kind::Output), b"said");
    }
}
