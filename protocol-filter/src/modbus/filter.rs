//! The filter: one connection, both directions.

use std::sync::Arc;

use super::adu::{Adu, Assembler, Frame, Framing};
use super::flight::{Before, Flight, Slot, State};
use super::judge::{Case, masked};
use super::memory::{Memory, Rates};
use super::operation::{Bore, Operation};
use super::pairing::{Heard, Paired, UNASKED, pair};
use super::parts::Change;
use super::request::Request;
use super::response::Response;
use super::rtu::begins_like_rtu;
use super::rules::Rules;
use super::tolerance::{Tolerance, Tolerances, Trimmed, decode_trimmed};
use super::values::Values;
use crate::{Cause, Journal, Kind, Malformed, Now, Outbound, Phase, ProtocolFilter, Side, Verdict};

/// For how long a request that is not answered holds back the denial of a later one under the same transaction identifier, in
/// milliseconds from when it was asked itself: the client could take the denial for its answer.
pub const DENIAL_PATIENCE: u64 = 1_000;
/// How long the asset has to answer, in milliseconds. What comes later was not asked for.
pub const ANSWER_PATIENCE: u64 = 30_000;

/// The name under which what could be a frame of Modbus RTU is denied. A tool that asks again does so under another transaction identifier.
const RTU: &str = "rtu";

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
    /// Was a request given up? Then an answer under another transaction identifier could be to that one.
    given_up: bool,
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
            given_up: false,
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
            let frame = match client.next(&mut rest, Framing::Field) {
                Ok(Some(frame)) => frame.bytes,
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
            let encode = |out: &mut Vec<u8>| Adu::encode(transaction, unit, out, |out| request.encode(out));
            let verdict = match rules.device.takes_rtu && verdict.passes() && could_be_rtu(encode) {
                true => rules.refused(RTU, Cause::Rate),
                false => verdict,
            };
            journal.note(&Operation {
                number,
                phase: Phase::Request,
                transaction,
                unit,
                request,
                answer: None,
                tolerated: Tolerances::default(),
                bore: None,
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
                encode(&mut out.to_server);
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
            let Self { rules, server, flight, memory, rates, given_up, .. } = self;
            let tolerances = rules.device.tolerances;
            let by_function = tolerances.holds(Tolerance::Length);
            let framing = if by_function { Framing::Function } else { Framing::Field };
            let Frame { bytes: frame, fits } = match server.next(&mut rest, framing) {
                Ok(Some(frame)) => frame,
                Ok(None) => return Ok(bytes.len()),
                Err(reason) => return Err(no_frame(Side::Server, reason, server.partial(), rest)),
            };
            let malformed = |reason| Malformed::new(Side::Server, reason, frame);
            let Adu { transaction, unit, pdu } = Adu::framed(frame).map_err(malformed)?;
            let Trimmed { response, cut } = match tolerances.holds(Tolerance::Surplus) {
                true => decode_trimmed(pdu).map_err(malformed)?,
                false => Trimmed { response: Response::decode(pdu).map_err(malformed)?, cut: false },
            };
            let bore = Bore { transaction, unit };
            let heard = Heard { bore, response, tolerances, given_up: *given_up };
            let Paired { index, response, certain, mut tolerated } = pair(flight, &heard).map_err(malformed)?;
            if cut {
                tolerated = tolerated.with(Tolerance::Surplus);
            }
            if !fits {
                tolerated = tolerated.with(Tolerance::Length);
            }
            let (slot, asked, request) = flight.asked(index).ok_or(UNASKED).map_err(malformed)?;
            let Adu { transaction, unit, .. } = asked;
            let before = Before { memory, flight, rates, monotonic_ms: now.monotonic_ms, except: Some(slot.number) };
            journal.note(&Operation {
                number: slot.number,
                phase: Phase::Response,
                transaction,
                unit,
                request,
                answer: Some(response),
                tolerated,
                bore: (bore != Bore { transaction, unit }).then_some(bore),
                verdict: Verdict::Pass { rule: Operation::ANSWER },
                rules,
                before: &before,
            });
            // What had to be put right tells nothing for certain.
            let certain = certain && !slot.overtaken && tolerated.is_empty();
            let answered = Answered { unit, request: &request, response: &response, certain };
            remember(memory, rules, &answered, now.monotonic_ms);
            Adu::encode(transaction, unit, &mut out.to_client, |out| response.encode(out));
            flight.overtake(index);
            flight.remove(index);
            self.send_denials(now, out);
        }
    }

    /// Is there room for one more in flight, or can it be made? Where transaction identifiers do not tell answers apart, for one that is
    /// answered.
    fn has_room(&self) -> bool {
        let alone = self.rules.device.tolerances.holds(Tolerance::Transaction);
        if alone && self.flight.position(|slot| slot.state == State::Asked).is_some() {
            return false;
        }
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
        self.given_up |= slot.is_open();
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

fn could_be_rtu(encode: impl FnOnce(&mut Vec<u8>)) -> bool {
    let mut frame = Vec::new();
    encode(&mut frame);
    begins_like_rtu(&frame)
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
