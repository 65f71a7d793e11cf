//! What was asked and is not answered: requests that went on, and denials that wait their turn.

use std::collections::VecDeque;

use super::address::Span;
use super::adu::{Adu, MOST_ADU};
use super::judge::{Past, collect, covered, masked};
use super::memory::{Memory, Rates};
use super::parts::{Change, Part};
use super::request::Request;
use super::rules::Rule;
use super::tag::Registers;
use crate::Kind;

/// How much may be in flight on one connection.
pub(super) const MOST_IN_FLIGHT: usize = 64;

/// One request that was judged and is not answered.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) number: u64,
    /// When it came, on the monotonic clock.
    pub(super) since: u64,
    pub(super) state: State,
    /// Was something answered that was asked later? Then nobody knows in which order the two took effect.
    pub(super) overtaken: bool,
    frame: [u8; MOST_ADU],
    len: usize,
}

/// What a slot waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// The asset's answer.
    Asked,
    /// Nothing: no answer need come, though one may.
    Unanswered,
    /// Its turn to be answered with this exception.
    Denied(u8),
}

impl Slot {
    pub(super) fn new(number: u64, since: u64, state: State, frame: &[u8]) -> Self {
        let mut held = [0; MOST_ADU];
        let len = frame.len().min(MOST_ADU);
        held[..len].copy_from_slice(&frame[..len]);
        Self { number, since, state, overtaken: false, frame: held, len }
    }

    /// The frame and its request. It was decoded before; nothing else is kept.
    pub(super) fn asked(&self) -> Option<(Adu<'_>, Request<'_>)> {
        let adu = Adu::decode(&self.frame[..self.len]).ok()?;
        Some((adu, Request::decode(adu.pdu).ok()?))
    }

    /// Its transaction identifier: the first two bytes of every frame.
    pub(super) fn transaction(&self) -> u16 {
        u16::from_be_bytes([self.frame[0], self.frame[1]])
    }

    /// May the asset still answer it?
    pub(super) fn is_open(&self) -> bool {
        !matches!(self.state, State::Denied(_))
    }

    /// The points that it writes, if the asset got it.
    pub(super) fn writes(&self) -> Option<(u8, Part<'_>)> {
        if !self.is_open() {
            return None;
        }
        let (adu, request) = self.asked()?;
        request.parts().find(|part| part.kind == Kind::Write).map(|part| (adu.unit, part))
    }
}

/// Everything in flight, in the order in which it was asked. Holds at most [`MOST_IN_FLIGHT`].
#[derive(Debug)]
pub(super) struct Flight {
    slots: VecDeque<Slot>,
}

impl Flight {
    pub(super) fn new() -> Self {
        Self { slots: VecDeque::with_capacity(MOST_IN_FLIGHT) }
    }

    pub(super) fn is_full(&self) -> bool {
        self.slots.len() >= MOST_IN_FLIGHT
    }

    pub(super) fn push(&mut self, slot: Slot) {
        self.slots.push_back(slot);
    }

    pub(super) fn remove(&mut self, index: usize) -> Option<Slot> {
        self.slots.remove(index)
    }

    pub(super) fn slots(&self) -> &VecDeque<Slot> {
        &self.slots
    }

    /// The slot at an index, with its frame and request.
    pub(super) fn asked(&self, index: usize) -> Option<(&Slot, Adu<'_>, Request<'_>)> {
        let slot = self.slots.get(index)?;
        let (adu, request) = slot.asked()?;
        Some((slot, adu, request))
    }

    /// The first slot in a state for which `is` holds.
    pub(super) fn position(&self, is: impl Fn(&Slot) -> bool) -> Option<usize> {
        self.slots.iter().position(is)
    }

    /// When the last request was asked whose answer a client could take that of the slot at an index for: one before it, under the same
    /// transaction identifier, that the asset has yet to answer.
    pub(super) fn held_since(&self, index: usize) -> Option<u64> {
        let slot = self.slots.get(index)?;
        let before = self.slots.iter().take(index);
        let meant = |other: &&Slot| other.state == State::Asked && other.transaction() == slot.transaction();
        before.filter(meant).map(|other| other.since).max()
    }

    /// Everything asked before the slot at an index was overtaken by its answer.
    pub(super) fn overtake(&mut self, index: usize) {
        for slot in self.slots.iter_mut().take(index) {
            slot.overtaken = true;
        }
    }
}

/// What rules and evidence may know of what was before.
pub(super) struct Before<'a> {
    pub(super) memory: &'a Memory,
    pub(super) flight: &'a Flight,
    pub(super) rates: &'a Rates,
    pub(super) monotonic_ms: u64,
    /// A request that is being told of itself, and is not before itself.
    pub(super) except: Option<u64>,
}

impl Past for Before<'_> {
    /// What was last read or confirmed, and whatever is being written: a write in flight may take effect or be refused, so both count.
    fn lasts(&self, unit: u8, span: Span, each: &mut dyn FnMut(Option<Registers>)) {
        let known = collect(span, |table, address| self.memory.last(unit, table, address, self.monotonic_ms));
        each(known);
        let writes = || {
            let slots = self.flight.slots().iter().filter(|slot| Some(slot.number) != self.except);
            slots.filter_map(Slot::writes).filter(|(of, part)| (*of == 0 || *of == unit) && part.span.meets(span))
        };
        let alone = writes().nth(1).is_none();
        for (_, part) in writes() {
            match part.change {
                Change::None => {}
                Change::Set(values) => each(covered(values, part.span, span)),
                // What several writes make of a register together depends on which of them are refused.
                Change::Mask { and, or } => each(known.filter(|_| alone && span.first == span.last).map(|known| {
                    let mut new = known;
                    new[0] = masked(known[0], and, or);
                    new
                })),
            }
        }
    }

    fn has_room(&self, rule: &Rule) -> bool {
        self.rates.has_room(rule, self.monotonic_ms)
    }
}
