//! How a stream comes to its end, and what is still done then.

use bytes::BytesMut;
use sallyport_protocol_filter::{Journal, Malformed, ProtocolFilter, Side};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{Core, Filtered};
use crate::tcp::entries;
use crate::tcp::journal::Notes;
use crate::tcp::person::{Hear, Speak};
use crate::tcp::relay::{ASSET_LAST_WORDS, StreamEnd, abandon};

impl<F: ProtocolFilter, H: Hear, S: Speak> Filtered<F, H, S>
where
    Notes: Journal<F>,
{
    /// Puts the end on the track and closes both sides; `outcome` is how the stream itself ended, if it did.
    pub(crate) async fn close(self, outcome: Option<&StreamEnd>) {
        let last = self.last_acts(outcome);
        let (passed, denied) = {
            let core = self.lock();
            (core.passed, core.notes.denied)
        };
        let mut body = json!({
            "end": outcome.map_or("cut", StreamEnd::word),
            "input_bytes": passed[0],
            "output_bytes": passed[1],
            "denied": denied,
        });
        if let Some(StreamEnd::AssetReset(reason) | StreamEnd::Malformed(reason)) = outcome {
            body["reason"] = json!(reason);
        }
        let tolerated = self.track.record().operations.all_tolerated();
        if !tolerated.is_empty() {
            body["tolerated"] = json!(tolerated);
        }
        entries::closed(&self.track, &body);
        let (mut person, mut asset) = (self.to_person.into_inner(), self.from_asset.into_inner());
        let mut to_asset = self.to_asset;
        if outcome.is_none() && last.is_empty() {
            // What the asset has not taken yet of a session that was ended must not reach it later.
            abandon(to_asset.as_ref());
        }
        let last_words = async {
            tokio::join!(person.close(), async {
                if let Err(error) = to_asset.write_all(&last).await {
                    tracing::debug!(%error, "An asset was gone before it heard the last of a stream");
                }
                // Ends the direction to the asset, if nothing did before.
                drop(to_asset);
                // A socket closed over unread bytes is reset, which could take back what was sent to it last.
                if matches!(outcome, Some(StreamEnd::Left | StreamEnd::Malformed(_) | StreamEnd::Denied)) {
                    let mut unread = [0; 4096];
                    while asset.read(&mut unread).await.is_ok_and(|count| count > 0) {}
                }
            });
        };
        if tokio::time::timeout(ASSET_LAST_WORDS, last_words).await.is_err() {
            tracing::debug!("A stream's sides did not close in time");
        }
        self.from_person.into_inner().close();
    }

    /// What the filter has counted goes on record, and what it does at the end of a connection: what of that is for the asset is
    /// given back. Nothing else is sent any more.
    fn last_acts(&self, outcome: Option<&StreamEnd>) -> BytesMut {
        let mut core = self.lock();
        // In the middle of a message the asset would take it for the rest of that.
        let whole = core.to_asset.is_empty() && !core.asset_owed;
        core.to_asset.clear();
        let Core { filter, out, notes, .. } = &mut *core;
        for side in [Side::Client, Side::Server] {
            if let Err(malformed) = filter.finish(side) {
                tracing::debug!(%malformed, "A stream ended in the middle of a message");
            }
        }
        if filter.deadline().is_some_and(|at| at <= self.now().monotonic_ms) {
            filter.tick(self.now(), out, notes);
        }
        out.to_client.clear();
        if self.record_step(&mut core, &[]).is_err() {
            tracing::debug!("What a stream's filter had to say last could not be recorded");
        }
        match outcome {
            Some(StreamEnd::AssetClosed | StreamEnd::AssetReset(_)) => BytesMut::new(),
            _ if whole => core.to_asset.split(),
            _ => BytesMut::new(),
        }
    }

    pub(super) fn malformed(&self, malformed: &Malformed) {
        if self.ending.has_begun() {
            // Nothing more is heard: what was cut off by that end tells nothing.
            return;
        }
        let mut core = self.lock();
        core.notes.malformed(self.protocol, malformed);
        if self.settle(&mut core, &[]).is_err() {
            tracing::debug!("What was malformed could not be recorded");
        }
        drop(core);
        self.end(StreamEnd::Malformed(malformed.to_string()));
    }

    /// Ends both directions. One side may have ended its own before; that does not hide what the other does after it.
    pub(super) fn end(&self, outcome: StreamEnd) {
        self.conclude(&mut self.lock(), outcome);
    }

    pub(super) fn conclude(&self, core: &mut Core<F>, outcome: StreamEnd) {
        if !self.ending.has_begun() {
            core.outcome = Some(match (core.outcome.take(), outcome) {
                (
                    Some(StreamEnd::Left),
                    worse @ (StreamEnd::Malformed(_) | StreamEnd::Denied | StreamEnd::AssetReset(_)),
                )
                | (Some(StreamEnd::AssetClosed), worse @ (StreamEnd::Malformed(_) | StreamEnd::Denied)) => worse,
                (Some(first), _) => first,
                (None, only) => only,
            });
        }
        self.ending.begin();
    }
}
