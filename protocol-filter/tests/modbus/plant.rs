//! A connection through the filter, for the tests.

use std::sync::Arc;

use sallyport_protocol_filter::modbus::{DENIAL_PATIENCE, Filter, Operation, Rules};
use sallyport_protocol_filter::{Journal, Malformed, Now, Outbound, ProtocolFilter, Side};

/// Bytes written in hex, with blanks where they help.
pub(crate) fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u32> = text.chars().filter(|c| !c.is_whitespace()).map(|c| c.to_digit(16).unwrap()).collect();
    assert!(digits.len().is_multiple_of(2), "half a byte in {text}");
    digits.chunks(2).map(|pair| (pair[0] * 16 + pair[1]) as u8).collect()
}

pub(crate) fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A frame around a PDU in hex.
pub(crate) fn frame(transaction: u16, unit: u8, pdu: &str) -> Vec<u8> {
    let pdu = hex(pdu);
    let mut frame = transaction.to_be_bytes().to_vec();
    frame.extend([0, 0]);
    frame.extend((pdu.len() as u16 + 1).to_be_bytes());
    frame.push(unit);
    frame.extend(pdu);
    frame
}

/// A filter with a clock, what it sent, and what its journal heard.
pub(crate) struct Line {
    pub(crate) filter: Filter,
    pub(crate) now: Now,
    pub(crate) heard: Heard,
}

#[derive(Default)]
pub(crate) struct Heard(pub(crate) Vec<String>);

impl Journal<Filter> for Heard {
    fn note(&mut self, operation: &Operation<'_>) {
        self.0.push(format!("{} {:?}: {operation}", operation.number, operation.phase));
    }
}

/// What came out at one side or the other, in hex.
#[derive(Debug, PartialEq, Eq, Default)]
pub(crate) struct Sent {
    pub(crate) client: String,
    pub(crate) server: String,
}

impl Line {
    pub(crate) fn new(rules: Rules) -> Self {
        let now = Now { unix_ms: 1_000_000, monotonic_ms: 5_000 };
        Self { filter: Filter::new(Arc::new(rules)), now, heard: Heard::default() }
    }

    pub(crate) fn pass(&mut self, milliseconds: u64) -> Sent {
        self.now.monotonic_ms += milliseconds;
        self.now.unix_ms += milliseconds as i64;
        let mut out = Outbound::default();
        self.filter.tick(self.now, &mut out, &mut self.heard);
        sent(&out)
    }

    /// Everything must be taken.
    pub(crate) fn send(&mut self, from: Side, bytes: &[u8]) -> Result<Sent, Malformed> {
        let mut out = Outbound::default();
        let taken = self.filter.receive(from, bytes, self.now, &mut out, &mut self.heard)?;
        assert_eq!(taken, bytes.len(), "the filter holds back");
        Ok(sent(&out))
    }

    /// A request from the client; gives what became of it.
    pub(crate) fn ask(&mut self, transaction: u16, unit: u8, pdu: &str) -> Sent {
        self.send(Side::Client, &frame(transaction, unit, pdu)).unwrap()
    }

    pub(crate) fn answer(&mut self, transaction: u16, unit: u8, pdu: &str) -> Sent {
        self.send(Side::Server, &frame(transaction, unit, pdu)).unwrap()
    }

    /// A request that passes, and its answer.
    pub(crate) fn exchange(&mut self, unit: u8, request: &str, response: &str) {
        let asked = self.ask(7, unit, request);
        assert_eq!(asked, Sent { server: to_hex(&frame(7, unit, request)), ..Sent::default() });
        let answered = self.answer(7, unit, response);
        assert_eq!(answered, Sent { client: to_hex(&frame(7, unit, response)), ..Sent::default() });
    }

    /// The exception with which a request is denied, or nothing if it goes on. Waits if something unanswered holds it back.
    pub(crate) fn denial(&mut self, unit: u8, request: &str) -> Option<u8> {
        let mut sent = self.ask(9, unit, request);
        if sent == Sent::default() {
            sent = self.pass(DENIAL_PATIENCE);
        }
        if sent.server.is_empty() {
            let denial = hex(&sent.client);
            assert_eq!(denial[..7], hex(&format!("0009 0000 0003 {unit:02x}")), "no exception: {}", sent.client);
            assert_eq!(denial[7], hex(request)[0] | 0x80);
            return Some(denial[8]);
        }
        assert_eq!(sent, Sent { server: to_hex(&frame(9, unit, request)), ..Sent::default() });
        None
    }
}

fn sent(out: &Outbound) -> Sent {
    Sent { client: to_hex(&out.to_client), server: to_hex(&out.to_server) }
}
