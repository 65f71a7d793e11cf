//! One connection of a capture on its way through the filter.

use std::collections::VecDeque;
use std::sync::Arc;

use sallyport_protocol_filter::modbus::{ANSWER_PATIENCE, Filter, HEADER, Operation, Rules, Tolerance};
use sallyport_protocol_filter::{Journal, Malformed, Now, Outbound, Phase, ProtocolFilter, Side};

use super::told::Told;
use crate::capture::What;

/// The filter, and what it has not taken or must not hear.
pub(super) struct Live {
    filter: Filter,
    /// Where an answer ends, the filter alone knows.
    whole: bool,
    /// What the client sent and the filter has not taken.
    waiting: Vec<u8>,
    /// The beginning of an answer.
    answer: Vec<u8>,
    /// Requests that the filter denied by the protocol's own limits: to it, their answers answer nothing.
    denied: VecDeque<Exchange>,
    /// Of a connection that began before the capture: what it was asked since.
    midway: Option<Midway>,
}

/// Transaction, unit and function.
type Exchange = (u16, u8, u8);

/// What is needed to know an answer to something that was asked before the capture.
pub(super) struct Midway {
    asked: VecDeque<Exchange>,
    /// Until then, on the monotonic clock, such an answer may come.
    until: u64,
    /// How many more may come: no more are in flight at once.
    left: usize,
}

/// So much of a client may wait for answers.
const MOST_WAITING: usize = 64 * 1024;
/// So many requests are remembered at most, to know their answers: as many as the filter lets be in flight.
const MOST_ASKED: usize = 64;

pub(super) enum Stop {
    Malformed(Malformed),
    Unanswered,
}

impl From<Malformed> for Stop {
    fn from(malformed: Malformed) -> Self {
        Self::Malformed(malformed)
    }
}

impl Live {
    pub(super) fn new(rules: &Arc<Rules>, midway: Option<Midway>) -> Self {
        let filter = Filter::new(Arc::clone(rules));
        let whole = rules.device().tolerances.holds(Tolerance::Length);
        Self { filter, whole, waiting: Vec::new(), answer: Vec::new(), denied: VecDeque::new(), midway }
    }

    /// Judges by other rules from now on.
    pub(super) fn replace_rules(&mut self, rules: &Arc<Rules>) {
        self.filter.replace_rules(Arc::clone(rules));
    }

    /// Does the client wait for answers that do not come?
    pub(super) fn waits(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// How many answers to something from before the capture may still come.
    pub(super) fn left(&self) -> usize {
        self.midway.as_ref().map_or(0, |midway| midway.left)
    }

    pub(super) fn hear(
        &mut self,
        now: Now,
        what: What<'_>,
        out: &mut Outbound,
        tell: &mut dyn FnMut(Told<'_>),
    ) -> Result<(), Stop> {
        if self.filter.deadline().is_some_and(|deadline| deadline <= now.monotonic_ms) {
            let mut ear = Ear { tell, denied: &mut self.denied, midway: &mut self.midway };
            self.filter.tick(now, out, &mut ear);
            self.offer(now, out, tell)?;
        }
        match what {
            What::Bytes(Side::Client, bytes) => self.waiting.extend_from_slice(bytes),
            What::Bytes(Side::Server, bytes) if self.whole => {
                self.receive(Side::Server, bytes, now, out, tell)?;
            }
            What::Bytes(Side::Server, bytes) => {
                self.answer.extend_from_slice(bytes);
                while let Some(length) = frame(&self.answer) {
                    let frame: Vec<u8> = self.answer.drain(..length).collect();
                    if !self.answers_nothing(&frame, now) {
                        self.receive(Side::Server, &frame, now, out, tell)?;
                    }
                }
            }
            What::Finished(side) => {
                let rest = std::mem::take(&mut self.answer);
                if side == Side::Server && !rest.is_empty() {
                    self.receive(Side::Server, &rest, now, out, tell)?;
                }
                // What the filter has not taken is no end within a frame.
                if side == Side::Server || self.waiting.is_empty() {
                    self.filter.finish(side)?;
                }
            }
            What::Ended(_) => {}
        }
        self.offer(now, out, tell)
    }

    /// Offers the filter what waits.
    fn offer(&mut self, now: Now, out: &mut Outbound, tell: &mut dyn FnMut(Told<'_>)) -> Result<(), Stop> {
        let waiting = std::mem::take(&mut self.waiting);
        let mut rest = waiting.as_slice();
        while !rest.is_empty() {
            match self.receive(Side::Client, rest, now, out, tell)? {
                0 => break,
                taken => rest = rest.get(taken..).unwrap_or_default(),
            }
        }
        self.waiting = rest.to_vec();
        if self.waiting.len() > MOST_WAITING { Err(Stop::Unanswered) } else { Ok(()) }
    }

    fn receive(
        &mut self,
        from: Side,
        bytes: &[u8],
        now: Now,
        out: &mut Outbound,
        tell: &mut dyn FnMut(Told<'_>),
    ) -> Result<usize, Malformed> {
        let mut ear = Ear { tell, denied: &mut self.denied, midway: &mut self.midway };
        let taken = self.filter.receive(from, bytes, now, out, &mut ear);
        // Nobody is at either end.
        out.to_client.clear();
        out.to_server.clear();
        taken
    }

    /// Is it the device's answer to what the filter itself has answered, or to something from before the capture? The filter knows
    /// of neither.
    fn answers_nothing(&mut self, frame: &[u8], now: Now) -> bool {
        let &[t1, t2, _, _, _, _, unit, function, ..] = frame else { return false };
        let of = (u16::from_be_bytes([t1, t2]), unit, function & 0x7F);
        if forget(&mut self.denied, of) {
            return true;
        }
        let Some(midway) = &mut self.midway else { return false };
        let before = midway.left > 0 && now.monotonic_ms <= midway.until && !midway.asked.contains(&of);
        midway.left -= usize::from(before);
        before
    }
}

impl Midway {
    pub(super) fn new(now: Now) -> Self {
        let until = now.monotonic_ms.saturating_add(ANSWER_PATIENCE);
        Self { asked: VecDeque::new(), until, left: MOST_ASKED }
    }
}

/// The length of the frame that begins so, once it is whole. What is no frame is left to the filter to refuse, all of it.
fn frame(bytes: &[u8]) -> Option<usize> {
    let &[_, _, p1, p2, l1, l2, ..] = bytes else { return None };
    let length = usize::from(u16::from_be_bytes([l1, l2]));
    if [p1, p2] != [0, 0] || length < 2 {
        return Some(bytes.len());
    }
    let whole = HEADER - 1 + length;
    (bytes.len() >= whole).then_some(whole)
}

/// Hears the filter.
struct Ear<'e> {
    tell: &'e mut dyn FnMut(Told<'_>),
    denied: &'e mut VecDeque<Exchange>,
    midway: &'e mut Option<Midway>,
}

impl Journal<Filter> for Ear<'_> {
    fn note(&mut self, operation: &Operation<'_>) {
        let of = (operation.transaction, operation.unit, operation.request.function().code);
        match (operation.phase, operation.verdict.passes(), &mut *self.midway) {
            (Phase::Request, false, _) => remember(self.denied, of),
            (Phase::Request, true, Some(midway)) => remember(&mut midway.asked, of),
            (Phase::Response, _, Some(midway)) => {
                forget(&mut midway.asked, of);
            }
            (Phase::Request | Phase::Response, _, None) | (Phase::Notice, _, _) => {}
        }
        (self.tell)(Told::Operation(operation));
    }
}

fn remember(exchanges: &mut VecDeque<Exchange>, of: Exchange) {
    if exchanges.len() >= MOST_ASKED {
        exchanges.pop_front();
    }
    exchanges.push_back(of);
}

/// Was it remembered?
fn forget(exchanges: &mut VecDeque<Exchange>, of: Exchange) -> bool {
    let found = exchanges.iter().position(|exchange| *exchange == of);
    found.and_then(|index| exchanges.remove(index)).is_some()
}
