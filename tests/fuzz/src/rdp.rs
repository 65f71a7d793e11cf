//! The laws of the filter for the negotiation of RDP.

use sallyport_protocol_filter::rdp::{Ended, Filter, Operation, Require, Rules};
use sallyport_protocol_filter::rfb::Mode;
use sallyport_protocol_filter::{Journal, Outbound, ProtocolFilter as _};

use super::line::{Line, Seen};
use super::script::{Cut, Event, Script};

/// A connection, played whole, byte by byte, and cut anyhow.
pub fn hold(bytes: &[u8]) {
    let script = Script::read(bytes);
    let whole = watch(&script, Cut::Whole);
    for cut in [Cut::Single, Cut::Mixed(script.cut.into())] {
        assert_eq!(watch(&script, cut), whole, "it matters how the streams are cut");
    }
}

/// Everything that can be seen of the connection.
fn watch(script: &Script<'_>, cut: Cut) -> (Seen, Vec<String>, Option<Ended>) {
    let mut line = Line::new(Filter::new(rules(script.rules)), Notes::default(), cut);
    let mut outcome = Outcome { rules: rules(script.rules), asked: false, let_through: false };
    for event in &script.events {
        if let Event::Rules(number) = event {
            outcome.rules = rules(*number);
        }
        line.play(event, rules, |line| outcome.look(&line.sent));
    }
    let description = format!("{:?}", line.filter).len();
    assert!(description <= 2048, "the filter holds much: its description is {description} bytes long");
    let [client, server] = line.taken;
    assert!(line.sent.to_server.len() <= client && line.sent.to_client.len() <= server + FAILURE);
    let (seen, ended) = (line.seen(), line.filter.ended());
    match (ended, &line.malformed) {
        (None, None) if outcome.let_through => {
            assert_eq!([line.sent.to_server.len(), line.sent.to_client.len()], line.taken, "what is opaque is whole");
        }
        (None, None) => {}
        (Some(_), _) | (_, Some(_)) => line.is_over(),
    }
    (seen, line.journal.0, ended)
}

/// The longest that the filter says by itself: a connection confirmation with a failure.
const FAILURE: usize = 19;

#[derive(Default)]
struct Notes(Vec<String>);

impl Journal<Filter> for Notes {
    fn note(&mut self, operation: &Operation<'_>) {
        let Operation { side, phase, message, verdict, .. } = operation;
        self.0.push(format!("{side} {phase:?}: {message}: {verdict:?}"));
    }
}

fn rules(number: u8) -> Rules {
    let require = match number % 3 {
        0 => Require::Nla,
        1 => Require::Tls,
        _ => Require::Any,
    };
    Rules { require, mode: if number & 0x80 == 0 { Mode::Enforce } else { Mode::Observe } }
}

/// What has come out, read from the bytes without the filter's help.
struct Outcome {
    rules: Rules,
    /// The asset was asked: rules that come after that count for its answer alone.
    asked: bool,
    /// A choice that is good enough has reached the tool.
    let_through: bool,
}

impl Outcome {
    fn look(&mut self, sent: &Outbound) {
        if self.let_through {
            return;
        }
        let (to_server, to_client) = (&sent.to_server[..], &sent.to_client[..]);
        if let Some(asked) = tpkt(to_server, 0xe0).map(asked_for) {
            assert!(self.asked || good_enough(self.rules, asked), "a request that cannot end well: {asked:#x}");
            self.asked = true;
        }
        match tpkt(to_client, 0xd0).map(chosen) {
            None => assert!(to_client.is_empty(), "no confirmation: {to_client:02x?}"),
            Some(Choice::Failed) => {}
            Some(Choice::Of(protocol)) => {
                assert!(good_enough(self.rules, protocol), "too weak a choice reached the tool: {protocol:#x}");
                self.let_through = true;
            }
        }
        let (_, after_request) = to_server.split_at(length(to_server));
        let (_, after_confirm) = to_client.split_at(length(to_client));
        assert!(self.let_through || after_request.is_empty() && after_confirm.is_empty(), "bytes passed unread");
    }
}

enum Choice {
    Failed,
    /// 0: RDP's own encryption.
    Of(u32),
}

fn good_enough(rules: Rules, protocols: u32) -> bool {
    rules.mode == Mode::Observe
        || match rules.require {
            Require::Any => true,
            Require::Tls => protocols & 0b1_1111 != 0,
            Require::Nla => protocols & 0b0_1010 != 0,
        }
}

/// How long the first TPKT says it is.
fn length(bytes: &[u8]) -> usize {
    bytes.get(2..4).map_or(0, |two| usize::from(u16::from_be_bytes([two[0], two[1]])))
}

/// What the first message holds behind its X.224 header.
fn tpkt(bytes: &[u8], kind: u8) -> Option<&[u8]> {
    let message = bytes.get(..length(bytes)).filter(|message| !message.is_empty())?;
    assert!(message[..2] == [3, 0] && usize::from(message[4]) + 5 == message.len() && message[5] == kind);
    Some(&message[11..])
}

/// The protocols at the end of what a request holds; its correlation is behind them.
fn asked_for(data: &[u8]) -> u32 {
    let negotiation = match data.iter().position(|byte| *byte == b'\n') {
        Some(end) if data[0] != 1 => &data[end + 1..],
        _ => data,
    };
    negotiation.get(4..8).map_or(0, |four| u32::from_le_bytes([four[0], four[1], four[2], four[3]]))
}

fn chosen(data: &[u8]) -> Choice {
    match data {
        [3, _, 8, 0, ..] => Choice::Failed,
        [2, _, 8, 0, a, b, c, d] => Choice::Of(u32::from_le_bytes([*a, *b, *c, *d])),
        other => {
            assert!(other.is_empty(), "no negotiation: {other:02x?}");
            Choice::Of(0)
        }
    }
}
