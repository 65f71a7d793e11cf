//! The relay of a decoded protocol: a filter stands between both directions, and what it decides is recorded before anything
//! of it is sent.
//!
//! ```text
//! person's channel ─► queue ─► filter ─► input and operations recorded ─► pending ─► asset's socket
//!                 ◄── pending ◄── operations and output recorded ◄── filter ◄──────
//! ```
//!
//! One lock holds the filter, the record and what is pending; nobody waits while holding it. What comes of one piece that was heard
//! is recorded in one write, and goes to the asset at once if nothing is before it. Four loops hear and speak on both sides, so
//! that no side that does not read can stop the other from being heard. They are one task, woken by what comes from outside alone.
//!
//! Of [`Filtered`], this file hears both sides and keeps time; `steps.rs` gives what was heard to the filter, and records what comes
//! of it; `speaking.rs` sends it; `closing.rs` says how it ended.

mod bells;
mod closing;
mod speaking;
mod steps;
#[cfg(test)]
pub(crate) mod tests;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use sallyport_protocol_filter::{Journal, Now, Outbound, ProtocolFilter, Side};
use sallyport_session_recorder::Budget;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use bells::{Bell, Ending, ringing};
use steps::Fed;

use super::journal::Notes;
use super::person::{Hear, Heard, Person, Speak};
use super::relay::{ASSET_LAST_WORDS, StreamEnd, quiet, too_late};
use super::seldom::seldom;
use crate::session::Track;

/// What is read from an asset at once.
const READ: usize = 16 * 1024;
/// What the filter is given at once: all that it makes of it is held until it is recorded, and nothing else is done meanwhile.
const PIECE: usize = 4 * 1024;
/// Nothing more is heard from one side while so much waits to be sent to the other.
const MOST_PENDING: usize = 64 * 1024;
/// Nothing more is heard from the person either while they leave so much unread: what an asset sends stops far below, so that this is
/// what their own requests are answered with.
const MOST_UNREAD: usize = 4 * MOST_PENDING;

/// A stream of a decoded protocol between a person and an asset's socket.
pub(crate) struct Filtered<F: ProtocolFilter, H, S> {
    track: Track,
    protocol: &'static str,
    from_person: tokio::sync::Mutex<H>,
    from_asset: tokio::sync::Mutex<OwnedReadHalf>,
    to_asset: OwnedWriteHalf,
    to_person: tokio::sync::Mutex<S>,
    /// The person is gone.
    gone: CancellationToken,
    core: Mutex<Core<F>>,
    /// The asset's, the person's pending bytes have become more, or the last.
    asset_due: Bell,
    person_due: Bell,
    /// There is room again for what the person, what the asset says; or the filter may take more.
    person_room: Bell,
    asset_room: Bell,
    /// The filter's deadline may have moved.
    timed: Bell,
    /// The asset has ended its direction.
    asset_over: Bell,
    ending: Ending,
    began: Instant,
    /// The rules that came last.
    rules: Option<watch::Receiver<F::Rules>>,
    /// What of the rules holds while input is held; nothing where a protocol cannot be judged so far: then the person waits.
    viewing: fn(&F::Rules) -> Option<F::Rules>,
}

struct Core<F> {
    filter: F,
    out: Outbound,
    notes: Notes,
    to_asset: BytesMut,
    to_person: BytesMut,
    budgets: [Budget; 2],
    /// Some of what was taken from what is pending for the asset is not sent.
    asset_owed: bool,
    /// It judges by rules that only look on.
    looks_on: bool,
    /// Bytes heard from the person, and sent to them.
    passed: [u64; 2],
    person_finished: bool,
    asset_finished: bool,
    /// How the stream came to its end: which side ended its direction first, unless worse came after it.
    outcome: Option<StreamEnd>,
}

impl<F: ProtocolFilter, H: Hear, S: Speak> Filtered<F, H, S>
where
    Notes: Journal<F>,
{
    /// Joins them, with a filter between.
    pub(crate) fn new(
        track: Track,
        protocol: &'static str,
        filter: F,
        budgets: [Budget; 2],
        person: Person<H, S>,
        asset: TcpStream,
    ) -> Self {
        let (from_asset, to_asset) = asset.into_split();
        let Person { from, to, gone } = person;
        let core = Core {
            filter,
            out: Outbound::default(),
            notes: Notes::counting(&track.record().operations),
            to_asset: BytesMut::new(),
            to_person: BytesMut::new(),
            budgets,
            asset_owed: false,
            looks_on: false,
            passed: [0; 2],
            person_finished: false,
            asset_finished: false,
            outcome: None,
        };
        Self {
            track,
            protocol,
            from_person: from.into(),
            from_asset: from_asset.into(),
            to_asset,
            to_person: to.into(),
            gone,
            core: core.into(),
            asset_due: Bell::default(),
            person_due: Bell::default(),
            person_room: Bell::default(),
            asset_room: Bell::default(),
            timed: Bell::default(),
            asset_over: Bell::default(),
            ending: Ending::default(),
            began: Instant::now(),
            rules: None,
            viewing: |_| None,
        }
    }

    /// The same, with what of its rules holds while input is held.
    pub(crate) fn viewing(mut self, viewing: fn(&F::Rules) -> Option<F::Rules>) -> Self {
        self.viewing = viewing;
        self
    }

    /// Passes what the filter passes until the stream is over. The rules that come count from then on.
    pub(crate) async fn run(&mut self, rules: watch::Receiver<F::Rules>) -> StreamEnd {
        self.rules = Some(rules.clone());
        let this = &*self;
        let all = async {
            tokio::join!(this.hear_person(), this.hear_asset(), this.speak_to_asset(), this.speak_to_person())
        };
        let loops = async {
            tokio::select! {
                biased;
                _ = all => {}
                () = this.keep_time() => {}
                () = seldom(this.keep_rules(rules)) => {}
                () = seldom(this.keep_hold()) => {}
                () = this.last_words() => tracing::debug!("What waited for a side of a stream was not all sent"),
                () = this.after_asset() => {}
                () = seldom(too_late(&this.gone)) => {}
            }
        };
        let bells =
            [&this.asset_due, &this.person_due, &this.person_room, &this.asset_room, &this.timed, &this.asset_over];
        ringing(loops, &bells, &this.ending).await;
        this.lock().outcome.clone().unwrap_or(StreamEnd::Left)
    }

    async fn hear_person(&self) {
        let mut from = self.from_person.lock().await;
        loop {
            let heard = tokio::select! {
                () = self.ending.begins() => return,
                heard = from.next() => heard,
            };
            match heard {
                Heard::Bytes(bytes) => self.take(Side::Client, &bytes).await,
                Heard::Finished => {
                    if !self.finished(Side::Client) {
                        return;
                    }
                    let mut core = self.lock();
                    core.person_finished = true;
                    core.outcome.get_or_insert(StreamEnd::Left);
                    drop(core);
                    self.asset_due.ring();
                    from.release(usize::MAX);
                    return;
                }
                Heard::Left => return self.person_left(),
            }
            from.release(usize::MAX);
        }
    }

    fn person_left(&self) {
        self.end(StreamEnd::Left);
    }

    async fn hear_asset(&self) {
        let mut from = self.from_asset.lock().await;
        loop {
            let mut buffer = BytesMut::new();
            tokio::select! {
                () = self.ending.begins() => return,
                ready = from.readable() => if let Err(error) = ready { return self.asset_failed(&error) },
            }
            // Made only now: a stream that stands still holds no buffer.
            buffer.reserve(READ);
            match from.read_buf(&mut buffer).await {
                Ok(0) => break,
                Ok(_) => self.take(Side::Server, &buffer).await,
                Err(error) => return self.asset_failed(&error),
            }
        }
        if !self.finished(Side::Server) {
            return;
        }
        let mut core = self.lock();
        core.asset_finished = true;
        core.outcome.get_or_insert(StreamEnd::AssetClosed);
        drop(core);
        self.person_due.ring();
        self.asset_over.ring();
    }

    /// A side has ended its direction, and not in the middle of a message. What the filter does then is done before that end is
    /// passed on.
    fn finished(&self, side: Side) -> bool {
        let finished = self.lock().filter.finish(side);
        if let Err(malformed) = finished {
            self.malformed(&malformed);
            return false;
        }
        if self.is_due() {
            self.tick();
        }
        true
    }

    fn is_due(&self) -> bool {
        self.lock().filter.deadline().is_some_and(|at| at <= self.now().monotonic_ms)
    }

    fn asset_failed(&self, error: &std::io::Error) {
        self.end(StreamEnd::AssetReset(error.to_string()));
    }

    /// Gives all bytes to the filter, as it takes them and as there is room for what comes of it.
    async fn take(&self, from: Side, mut bytes: &[u8]) {
        self.track.record().activity.touch();
        // What a person says goes on record with what the filter makes of its first piece; at once, if that has to wait.
        let mut heard = if from == Side::Client { bytes } else { &[] };
        let room = match from {
            Side::Client => &self.person_room,
            Side::Server => &self.asset_room,
        };
        while !bytes.is_empty() && !self.ending.has_begun() {
            if self.has_room(from) {
                match self.feed(from, &bytes[..bytes.len().min(PIECE)], std::mem::take(&mut heard)) {
                    Ok(0) => {}
                    Ok(taken) => {
                        bytes = &bytes[taken.min(bytes.len())..];
                        if !bytes.is_empty() {
                            // Limits, revocation and the other side have their turn.
                            tokio::task::yield_now().await;
                        }
                        continue;
                    }
                    Err(Fed::Malformed(malformed)) => return self.malformed(&malformed),
                    Err(Fed::Unrecorded) => return self.unrecorded().await,
                }
            }
            if self.record_input(std::mem::take(&mut heard)).is_err() {
                return self.unrecorded().await;
            }
            room.heard_before(&self.ending).await;
        }
        if self.record_input(heard).is_err() {
            self.unrecorded().await;
        }
    }

    /// A side that does not read must not keep what it says itself from being heard: with both waiting for each other, nothing
    /// would move again.
    fn has_room(&self, from: Side) -> bool {
        let mut core = self.lock();
        if from == Side::Client && self.track.record().input.is_held() && !self.look_on(&mut core) {
            return false;
        }
        match from {
            Side::Client => core.to_asset.len() < MOST_PENDING && core.to_person.len() < MOST_UNREAD,
            Side::Server => core.to_person.len() < MOST_PENDING,
        }
    }

    /// Nothing is sent any more; the session hears of it by its trouble signal, and ends.
    async fn unrecorded(&self) {
        self.lock().to_asset.clear();
        std::future::pending().await
    }

    fn room(&self) {
        self.person_room.ring();
        self.asset_room.ring();
    }

    /// Does what the filter has to do in time. Never returns.
    async fn keep_time(&self) {
        loop {
            let deadline = self.lock().filter.deadline();
            let until = deadline.map(|at| self.began + Duration::from_millis(at));
            tokio::select! {
                () = self.timed.heard() => {}
                () = sleep_until(until) => {}
            }
            if self.is_due() {
                self.tick();
            }
        }
    }

    fn tick(&self) {
        let mut core = self.lock();
        let Core { filter, out, notes, .. } = &mut *core;
        filter.tick(self.now(), out, notes);
        if self.settle(&mut core, &[]).is_err() {
            tracing::debug!("What time brought could not be recorded");
        }
        drop(core);
        self.room();
    }

    /// Never returns: rules that cannot change any more stay as they are.
    async fn keep_rules(&self, mut rules: watch::Receiver<F::Rules>) {
        while rules.changed().await.is_ok() {
            let new = rules.borrow_and_update().clone();
            let mut core = self.lock();
            core.filter.replace_rules(new);
            core.looks_on = false;
            self.look_on(&mut core);
            drop(core);
            // What was allowed until now may have to be undone at once.
            self.timed.ring();
        }
        std::future::pending().await
    }

    /// The same for whether input is held.
    async fn keep_hold(&self) {
        let mut held = self.track.record().input.subscribe();
        while held.changed().await.is_ok() {
            self.look_on(&mut self.lock());
            self.timed.ring();
            self.room();
        }
        std::future::pending().await
    }

    /// Has the filter judge by what holds now that input is held, or is free again. Says whether it judges so.
    fn look_on(&self, core: &mut Core<F>) -> bool {
        let held = self.track.record().input.is_held();
        if held != core.looks_on
            && let Some(rules) = &self.rules
        {
            let open = rules.borrow().clone();
            let rules = if held { (self.viewing)(&open) } else { Some(open) };
            if let Some(rules) = rules {
                core.filter.replace_rules(rules);
                core.looks_on = held;
            }
        }
        core.looks_on
    }

    /// Resolves some time after the end has come.
    async fn last_words(&self) {
        self.ending.begins().await;
        tokio::time::sleep(ASSET_LAST_WORDS).await;
    }

    /// Resolves when the asset has ended its direction and nothing has come from the person for a while.
    async fn after_asset(&self) {
        self.asset_over.heard().await;
        quiet(&self.track).await;
    }

    fn now(&self) -> Now {
        let monotonic_ms = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        Now { unix_ms: jiff::Timestamp::now().as_millisecond(), monotonic_ms }
    }

    fn lock(&self) -> MutexGuard<'_, Core<F>> {
        // A panic in a filter ends the task that runs it, and with it the stream.
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn sleep_until(instant: Option<Instant>) {
    match instant {
        Some(instant) => tokio::time::sleep_until(instant.into()).await,
        None => std::future::pending().await,
    }
}
