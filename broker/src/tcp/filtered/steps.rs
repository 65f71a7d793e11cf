//! One step: the filter is given a piece, what comes of it is recorded, and then goes on.

use std::io::ErrorKind;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use bytes::Buf;
use sallyport_protocol_filter::{Ended, Journal, Malformed, ProtocolFilter, Side};

use super::{Core, Filtered};
use crate::session::Unrecorded;
use crate::tcp::entries;
use crate::tcp::journal::Notes;
use crate::tcp::person::{Hear, Speak};
use crate::tcp::relay::StreamEnd;

/// Why bytes were not taken.
pub(super) enum Fed {
    Malformed(Malformed),
    Unrecorded,
}

impl<F: ProtocolFilter, H: Hear, S: Speak> Filtered<F, H, S>
where
    Notes: Journal<F>,
{
    /// What a person says and the filter does not take yet.
    pub(super) fn record_input(&self, bytes: &[u8]) -> Result<(), Unrecorded> {
        if bytes.is_empty() {
            return Ok(());
        }
        let mut core = self.lock();
        entries::heard(&self.track, bytes, &mut core.budgets[0])?;
        core.passed[0] += bytes.len() as u64;
        Ok(())
    }

    /// Gives the filter a piece. What of `heard` is not on record yet goes there with what comes of it.
    pub(super) fn feed(&self, from: Side, piece: &[u8], heard: &[u8]) -> Result<usize, Fed> {
        let mut core = self.lock();
        self.look_on(&mut core);
        let Core { filter, out, notes, budgets, .. } = &mut *core;
        let deadline = filter.deadline();
        let received = catch_unwind(AssertUnwindSafe(|| filter.receive(from, piece, self.now(), out, notes)));
        let received = received.unwrap_or_else(|panic| {
            // What a filter broke on is the evidence that is wanted most.
            let recorded = entries::step(&self.track, heard, &mut Notes::default(), &[], budgets);
            tracing::error!(
                protocol = self.protocol,
                recorded = recorded.is_ok(),
                "A filter broke on what it was given"
            );
            resume_unwind(panic)
        });
        let ended = filter.ended();
        let earlier = due(filter.deadline()) < due(deadline);
        let settled = self.settle(&mut core, heard);
        drop(core);
        settled?;
        if earlier {
            self.timed.ring();
        }
        match (from, &received) {
            // An answer makes room in what is in flight.
            (Side::Server, _) => self.person_room.ring(),
            // It may be the asset's turn. Said only of progress: two sides that wait would wake each other for ever.
            (Side::Client, Ok(taken)) if *taken > 0 => self.asset_room.ring(),
            (Side::Client, _) => {}
        }
        match ended {
            Some(Ended::Denied) => self.end(StreamEnd::Denied),
            Some(Ended::Refused) => self.end(StreamEnd::AssetClosed),
            None => {}
        }
        received.map_err(Fed::Malformed)
    }

    /// Records what the filter has decided, and what goes to the person; only then is it pending, and sent at once where nothing is
    /// before it.
    pub(super) fn settle(&self, core: &mut Core<F>, heard: &[u8]) -> Result<(), Fed> {
        let first = core.to_asset.is_empty() && !core.asset_owed && !core.person_finished;
        self.record_step(core, heard)?;
        if first {
            self.send_at_once(core);
        }
        if !core.to_asset.is_empty() {
            self.asset_due.ring();
        }
        if !core.to_person.is_empty() {
            self.person_due.ring();
        }
        Ok(())
    }

    /// INVARIANT: the only place where bytes become pending, and all of what they come from is recorded then. After the recorder's first
    /// failure none become pending for the asset.
    pub(super) fn record_step(&self, core: &mut Core<F>, heard: &[u8]) -> Result<(), Fed> {
        let Core { out, notes, to_asset, to_person, budgets, passed, .. } = core;
        let recorded = entries::step(&self.track, heard, notes, &out.to_client, budgets);
        notes.clear();
        if recorded.is_ok() {
            passed[0] += heard.len() as u64;
            passed[1] += out.to_client.len() as u64;
            // What needs no entry of its own, like one of many pointer moves, is not stopped by one that fails.
            if !self.track.record().trouble.is_raised() {
                to_asset.extend_from_slice(&out.to_server);
            }
            to_person.extend_from_slice(&out.to_client);
        }
        out.to_server.clear();
        out.to_client.clear();
        recorded.map_err(|_: Unrecorded| Fed::Unrecorded)
    }

    /// Sends what the asset takes of what is pending; the rest has to wait until it takes more.
    fn send_at_once(&self, core: &mut Core<F>) {
        if core.to_asset.is_empty() {
            return;
        }
        match self.to_asset.try_write(&core.to_asset) {
            Ok(sent) => core.to_asset.advance(sent),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => self.conclude(core, StreamEnd::AssetReset(error.to_string())),
        }
    }
}

/// Never, if there is nothing to wait for.
fn due(deadline: Option<u64>) -> u64 {
    deadline.unwrap_or(u64::MAX)
}
