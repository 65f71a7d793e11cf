//! The filter: one connection, both directions.

use std::sync::Arc;

use super::adu::{Adu, Assembler};
use super::flight::{Before, Flight, Slot, State};
use super::judge::{Case, masked};
use super::memory::{Memory, Rates};
use super::operation::Operation;
use super::parts::Change;
use super::request::Request;
use super::response::Response;
use super::rules::Rules;
use super::values::Values;
use crate::{Cause, Journal, Kind, Malformed, Now, Outbound, Phase, ProtocolFilter, Side, Verdict};

/// For how long a request that is not answered holds back the denial of a later one under the same transaction identifier, in
/// milliseconds from when it was asked itself: the client could take the denial for its answer.
pub const DENIAL_PATIENCE: u64 = 1_000;
/// How long the asset has to answer, in milliseconds. What comes later was not asked for.
pub const ANSWER_PATIENCE: u64 = 30_000;

/// A filter for Modbus/TCP on one connection.
#[derive(Debug)]
pub struct Filter {
    rules: Arc<Rules>,
    client: Assembler,
    server: Assembler,
    flight: Flight,
    memory: Memory,
    rates: Rates,
    /// Requests that were heard so far.
    requests: u64,
    /// The rules that are to count a request: room that is used again.
    charged: Vec<usize>,
    ended: bool,
}

impl Filter {
    /// A filter that judges by `rules`.
    #[must_use]
    pub fn new(rules: Arc<Rules>) -> Self {
        let mut rates = Rates::default();
        rates.adopt(&rules);
        Self {
            rules,
            client: Assembler::new(),
            server: Assembler::new(),
            flight: Flight::new(),
            memory: Memory::default(),
            rates,
            requests: 0,
            charged: Vec::new(),
            ended: false,
        }
    }
}

impl ProtocolFilter for Filter {
    type Rules = Arc<Rules>;
    type Operation<'a> = Operation<'a>;

    fn receive(
        &mut self,
        from: Side,
        bytes: &[u8],
        now: Now,
        out: &mut Outbound,
        journal: &mut dyn Journal<Self>,
    ) -> Result<usize, Malformed> {
        if self.ended {
            return Err(Malformed::new(from, "nothing may come any more", bytes));
        }
        let taken = match from {
            Side::Client => self.hear_client(bytes, now, out, journal),
            Side::Server => self.hear_server(bytes, now, out, journal),
        };
        self.ended = taken.is_err();
        taken
    }

    fn finish(&mut self, side: Side) -> Result<(), Malformed> {
        let partial = match side {
            Side::Client => self.client.partial(),
            Side::Server => self.server.partial(),
        };
        if partial.is_empty() { Ok(()) } else { Err(Malformed::new(side, "the stream ends within a frame", partial)) }
    }

    fn deadline(&self) -> Option<u64> {
        if self.ended { None } else { (0..self.flight.slots().len()).filter_map(|index| self.due(index)).min() }
    }

    fn tick(&mut self, now: Now, out: &mut Outbound, _journal: &mut dyn Journal<Self>) {
        if self.ended {
            return;
        }
        let over = |filter: &Self| {
            (0..filter.flight.slots().len()).find(|index| filter.due(*index).is_some_and(|due| due <= now.monotonic_ms))
        };
        while let Some(index) = over(self) {
            self.settle(index, out);
        }
    }

    fn replace_rules(&mut self, rules: Arc<Rules>) {
        self.rates.adopt(&rules);
        self.rules = rules;
    }
}

impl Filter {
    fn hear_client(
        &mut self,
        bytes: &[u8],
        now: Now,
        out: &mut Outbound,
        journal: &mut dyn Journal<Self>,
    ) -> Result<usize, Malformed> {
        let mut rest = bytes;
        while !rest.is_empty() && self.has_room() {
            let Self { rules, client, flight, memory, rates, requests, charged, .. } = self;
            let frame = match client.next(&mut rest) {
                Ok(Some(frame)) => frame,
                Ok(None) => break,
                Err(reason) => return Err(no_frame(Side::Client, reason, client.partial(), rest)),
            };
            let malformed = |reason| Malformed::new(Side::Client, reason, frame);
            let Adu { transaction, unit, pdu } = Adu::decode(frame).map_err(malformed)?;
            let request = Request::decode(pdu).map_err(malformed)?;
            *requests += 1;
            let number = *requests;
            let before = Before { memory, flight, rates, monotonic_ms: now.monotonic_ms, except: None };
            let verdict = Case { unit, request: &request, unix_ms: now.unix_ms, past: &before }.judge(rules, charged);
            journal.note(&Operation {
                number,
                phase: Phase::Request,
                transaction,
                unit,
                request,
                answer: None,
                verdict,
                rules,
                before: &before,
            });
            let state = match verdict {
                Verdict::Deny { cause, .. } => State::Denied(exception_of(cause)),
                Verdict::Pass { .. } | Verdict::WouldDeny { .. } if unit == 0 || request.silences() => {
                    State::Unanswered
                }
                Verdict::Pass { .. } | Verdict::WouldDeny { .. } => State::Asked,
            };
            if verdict.passes() {
                for index in charged.drain(..) {
                    rates.charge(&rules.rules[index], now.monotonic_ms);
                }
                Adu::encode(transaction, unit, &mut out.to_server, |out| request.encode(out));
            }
            let slot = Slot::new(number, now.monotonic_ms, state, frame);
            self.launch(slot, now, out);
        }
        Ok(bytes.len() - rest.len())
    }

    fn hear_server(
        &mut self,
        bytes: &[u8],
        now: Now,
        out: &mut Outbound,
        journal: &mut dyn Journal<Self>,
    ) -> Result<usize, Malformed> {
        let mut rest = bytes;
        loop {
            let Self { rules, server, flight, memory, rates, .. } = self;
            let frame = match server.next(&mut rest) {
                Ok(Some(frame)) => frame,
                Ok(None) => return Ok(bytes.len()),
                Err(reason) => return Err(no_frame(Side::Server, reason, server.partial(), rest)),
            };
            let malformed = |reason| Malformed::new(Side::Server, reason, frame);
            let Adu { transaction, unit, pdu } = Adu::decode(frame).map_err(malformed)?;
            let response = Response::decode(pdu).map_err(malformed)?;
            let Paired { index, response, certain } = pair(flight, (transaction, unit), response).map_err(malformed)?;
            let (slot, request) = flight.asked(index).ok_or(UNASKED).map_err(malformed)?;
            let before = Before { memory, flight, rates, monotonic_ms: now.monotonic_ms, except: Some(slot.number) };
            journal.note(&Operation {
                number: slot.number,
                phase: Phase::Response,
                transaction,
                unit,
                request,
                answer: Some(response),
                verdict: Verdict::Pass { rule: Operation::ANSWER },
                rules,
                before: &before,
            });
            let answered =
                Answered { unit, request: &request, response: &response, certain: certain && !slot.overtaken };
            remember(memory, rules, &answered, now.monotonic_ms);
            Adu::encode(transaction, unit, &mut out.to_client, |out| response.encode(out));
            flight.overtake(index);
            flight.remove(index);
            self.send_denials(now, out);
        }
    }

    /// Is there room for one more in flight, or can it be made?
    fn has_room(&self) -> bool {
        !self.flight.is_full() || self.flight.position(|slot| slot.state == State::Unanswered).is_some()
    }

    /// Puts a judged request in flight. If it is full, one that need not be answered makes room.
    fn launch(&mut self, slot: Slot, now: Now, out: &mut Outbound) {
        if self.flight.is_full()
            && let Some(index) = self.flight.position(|slot| slot.state == State::Unanswered)
        {
            self.settle(index, out);
        }
        self.flight.push(slot);
        self.send_denials(now, out);
    }

    /// Sends denials that nothing asked before them holds back any more.
    fn send_denials(&mut self, now: Now, out: &mut Outbound) {
        let mut index = 0;
        while let Some(slot) = self.flight.slots().get(index) {
            let denied = matches!(slot.state, State::Denied(_));
            if denied && self.due(index).is_some_and(|due| due <= now.monotonic_ms) {
                self.settle(index, out);
            } else {
                index += 1;
            }
        }
    }

    /// When a slot has waited long enough. A denial waits for what was asked before it under the same transaction identifier, for as
    /// long as a client may still expect that answer first: any other it can tell apart.
    fn due(&self, index: usize) -> Option<u64> {
        let slot = self.flight.slots().get(index)?;
        Some(match slot.state {
            State::Denied(_) => {
                self.flight.held_since(index).map_or(slot.since, |since| since.saturating_add(DENIAL_PATIENCE))
            }
            State::Asked | State::Unanswered => slot.since.saturating_add(ANSWER_PATIENCE),
        })
    }

    /// Ends the wait of a slot: a denial is sent, and of what was to be written nothing is known.
    fn settle(&mut self, index: usize, out: &mut Outbound) {
        let Some(slot) = self.flight.remove(index) else { return };
        if let Some((unit, part)) = slot.writes() {
            self.flight.overtake(index);
            self.memory.forget(unit, part.span);
        }
        if let (State::Denied(code), Some((Adu { transaction, unit, .. }, request))) = (slot.state, slot.asked()) {
            let denial = Response::Exception { function: request.function().code, code };
            Adu::encode(transaction, unit, &mut out.to_client, |out| denial.encode(out));
        }
    }
}

/// The exception with which a denial says why.
#[must_use]
pub const fn exception_of(cause: Cause) -> u8 {
    match cause {
        Cause::Function => 1,
        Cause::Address => 2,
        Cause::Value => 3,
        Cause::Rate | Cause::Window => 6,
    }
}

fn no_frame(side: Side, reason: &'static str, partial: &[u8], rest: &[u8]) -> Malformed {
    let mut bytes = partial.to_vec();
    bytes.extend(rest.iter().take(Malformed::MOST_BYTES));
    Malformed::new(side, reason, &bytes)
}

const UNASKED: &str = "nothing was asked that this would answer";

struct Paired<'a> {
    index: usize,
    response: Response<'a>,
    /// Could no other request have been meant?
    certain: bool,
}

/// The request that a response answers: the oldest with its transaction, unit and function that it fits.
fn pair<'a>(flight: &Flight, of: (u16, u8), response: Response<'a>) -> Result<Paired<'a>, &'static str> {
    let mut found: Option<(Paired<'a>, Request<'_>)> = None;
    let mut wrong = UNASKED;
    for (index, slot) in flight.slots().iter().enumerate() {
        let Some((adu, request)) = slot.asked() else { continue };
        let function = request.function().code;
        let meant = (adu.transaction, adu.unit) == of && function == response.code() & 0x7F;
        if !meant || matches!(slot.state, State::Denied(_)) {
            continue;
        }
        match (response.answers(&request), &mut found) {
            (Ok(response), None) => found = Some((Paired { index, response, certain: true }, request)),
            (Ok(_), Some((paired, first))) => paired.certain &= *first == request,
            (Err(reason), _) => wrong = reason,
        }
    }
    found.map(|(paired, _)| paired).ok_or(wrong)
}

/// A request and its answer.
struct Answered<'a> {
    unit: u8,
    request: &'a Request<'a>,
    response: &'a Response<'a>,
    /// Could no other request have been meant, and was no later one answered before?
    certain: bool,
}

/// Remembers what an answer tells of values. What it does not tell for certain is forgotten.
fn remember(memory: &mut Memory, rules: &Rules, answered: &Answered<'_>, now_ms: u64) {
    let Answered { unit, request, response, certain } = *answered;
    // These say that nothing was done; after others it may have been, wholly or in part.
    let undone = matches!(response, Response::Exception { code: 1 | 2 | 3 | 6 | 10, .. });
    let refused = matches!(response, Response::Exception { .. });
    // What is written takes effect before function 23 reads.
    let (write, read) =
        (request.parts().find(|part| part.kind == Kind::Write), request.parts().find(|part| part.kind == Kind::Read));
    if let Some(part) = write.filter(|_| !(undone && certain)) {
        let old = memory.last(unit, part.span.table, part.span.first, now_ms);
        memory.forget(unit, part.span);
        match part.change {
            Change::Set(values) if certain && !refused => memory.set(unit, part.span, values, rules, now_ms),
            Change::Mask { and, or } if certain && !refused => {
                if let Some(old) = old {
                    memory.set(unit, part.span, Values::One(masked(old, and, or)), rules, now_ms);
                }
            }
            Change::Set(_) | Change::Mask { .. } | Change::None => {}
        }
    }
    let values = match *response {
        Response::Bits { bits, .. } => Values::Bits(bits),
        Response::Words { words, .. } | Response::ReadWrite(words) => Values::Words(words),
        _ => return,
    };
    if let Some(part) = read {
        if certain {
            memory.set(unit, part.span, values, rules, now_ms);
        } else {
            memory.forget(unit, part.span);
        }
    }
}
