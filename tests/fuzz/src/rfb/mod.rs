//! The laws of the filter for RFB, and of the screen that is drawn from what it passed.

mod asset;
mod drawing;

use sallyport_protocol_filter::rfb::{Ended, Filter, Message, Mode, Operation, Rules};
use sallyport_protocol_filter::{Journal, Malformed, ProtocolFilter as _, Side};

use super::line::{Line, Seen};
use super::script::{Cut, Event, Script};
use asset::Heard;
use drawing::{Drawing, Piece};

/// A connection, played whole, byte by byte, and cut anyhow; then what passed is drawn.
pub fn hold(bytes: &[u8]) {
    let script = Script::read(bytes);
    let (whole, _) = watch(&script, Cut::Whole);
    let (single, drawing) = watch(&script, Cut::Single);
    assert_eq!(single, whole, "it matters how the streams are cut");
    assert_eq!(watch(&script, Cut::Mixed(script.cut.into())).0, whole, "it matters how the streams are cut");
    drawing.hold(script.cut & 0x80 != 0);
}

type Connection = (Seen, Vec<String>, Option<Ended>, Option<Malformed>);

/// Everything that can be seen of the connection.
fn watch(script: &Script<'_>, cut: Cut) -> (Connection, Drawing) {
    let first = rules(script.rules);
    let mut line = Line::new(Filter::new(first), Notes::default(), cut);
    let (mut released, mut in_force) = (0, vec![(0, first)]);
    if script.rules & OPEN != 0 {
        for (side, bytes) in HANDSHAKE {
            line.play(&Event::Bytes(side, bytes), rules, |line| line.journal.follow(&line.sent.to_client));
        }
    }
    for event in &script.events {
        line.play(event, rules, |line| line.journal.follow(&line.sent.to_client));
        if let Event::Rules(number) = event {
            in_force.push((line.sent.to_server.len(), rules(*number)));
            released += MOST_RELEASED;
        }
    }
    Heard::of(&line.sent).is_within(&in_force);
    let description = format!("{:?}", line.filter).len();
    assert!(description < 1 << 15, "the filter holds much: its description is {description} bytes long");
    let [client, server] = line.taken;
    assert!(line.sent.to_server.len() <= client + released && line.sent.to_client.len() <= server + MOST_SAID);
    let (seen, ended, malformed) = (line.seen(), line.filter.ended(), line.malformed.clone());
    if ended.is_some() || malformed.is_some() {
        line.is_over();
    }
    let Notes { lines, drawing, .. } = line.journal;
    ((seen, lines, ended, malformed), drawing)
}

/// Keys and buttons that are let go when the right to press them ends.
const MOST_RELEASED: usize = 64 * 8 + 6;
/// A refusal in the filter's own words.
const MOST_SAID: usize = 128;

/// In the rules of a script: the connection is open already.
const OPEN: u8 = 0x10;

/// 3.8 without authentication, 64 by 48 pixels of 32 bits, every encoding that may pass.
const HANDSHAKE: [(Side, &[u8]); 8] = [
    (Side::Server, b"RFB 003.008\n"),
    (Side::Client, b"RFB 003.008\n"),
    (Side::Server, &[1, 1]),
    (Side::Client, &[1]),
    (Side::Server, &[0; 4]),
    (Side::Client, &[1]),
    (Side::Server, b"\0\x40\0\x30\x20\x18\0\x01\0\xff\0\xff\0\xff\x10\x08\0\0\0\0\0\0\0\x05tank1"),
    (
        Side::Client,
        b"\x02\0\0\x0a\0\0\0\0\0\0\0\x01\0\0\0\x02\0\0\0\x05\0\0\0\x10\
          \xff\xff\xff\x21\xff\xff\xff\x20\xff\xff\xff\x11\xff\xff\xff\x10\xff\xff\xfe\xcd",
    ),
];

fn rules(number: u8) -> Rules {
    let has = |bit: u8| number & bit != 0;
    Rules {
        input: has(1),
        clipboard_to_asset: has(2),
        clipboard_from_asset: has(4),
        mode: if has(8) { Mode::Observe } else { Mode::Enforce },
    }
}

#[derive(Default)]
struct Notes {
    lines: Vec<String>,
    drawing: Drawing,
    /// How much went to the tool when something was noted last.
    followed: usize,
    /// What was noted since, as far as a drawing has to know it.
    news: Vec<Piece>,
}

impl Journal<Filter> for Notes {
    fn note(&mut self, operation: &Operation<'_>) {
        let Operation { side, kind, phase, message, verdict } = operation;
        self.lines.push(format!("{side} {kind} {phase:?}: {message}: {verdict:?}"));
        match *message {
            Message::ServerInit { width, height, format, .. } => self.news.push(Piece::Begin(width, height, format)),
            Message::SetPixelFormat(format) => self.news.push(Piece::Format(format)),
            Message::SetEncodings { kept, .. } => self.drawing.may_use(kept),
            Message::DesktopSize { width, height } => self.drawing.resized(width, height),
            _ => {}
        }
    }
}

impl Notes {
    /// Keeps what goes to the tool in its place between the notes.
    fn follow(&mut self, to_client: &[u8]) {
        let new = &to_client[self.followed..];
        self.followed = to_client.len();
        self.drawing.add(&mut self.news, new);
    }
}
