//! What came to the asset, read from the bytes without the filter's help.

use sallyport_protocol_filter::Outbound;
use sallyport_protocol_filter::rfb::{Encoding, Mode, Rules};

/// A message, and where in the stream it begins.
pub(super) struct Heard {
    /// What the tool's connection is to be: 0 ends those of others.
    shared: Option<u8>,
    messages: Vec<(usize, Vec<u8>)>,
}

impl Heard {
    /// Everything that went to the asset.
    pub(super) fn of(sent: &Outbound) -> Self {
        let mut heard = Self { shared: None, messages: Vec::new() };
        let stream = &sent.to_server[..];
        let Some(mut at) = handshake(stream, &sent.to_client) else { return heard };
        heard.shared = stream.get(at).copied();
        at += 1;
        while at < stream.len() {
            let length = length(&stream[at..]);
            let end = stream.len().min(at + length);
            // A cut text goes out piece by piece, everything else as a whole.
            assert!(end == at + length || stream[at] == 6, "half a message: {:02x?}", &stream[at..]);
            heard.messages.push((at, stream[at..end].to_vec()));
            at = end;
        }
        heard
    }

    /// Nothing came that the rules do not allow which were in force when it was sent. `rules`: from which place on which.
    pub(super) fn is_within(&self, rules: &[(usize, Rules)]) {
        let allows =
            |has: fn(&Rules) -> bool| move |(_, rules): &(usize, Rules)| has(rules) || rules.mode == Mode::Observe;
        let input = allows(|rules| rules.input);
        let text = allows(|rules| rules.clipboard_to_asset);
        assert!(
            self.shared != Some(0) || rules.iter().any(input),
            "others lose their connections to somebody who looks"
        );
        for (at, message) in &self.messages {
            // Of rules that came into force at one place the last decides; a byte that is there already was sent before.
            let then = || rules.iter().rev().filter(|(from, _)| from <= at).take(1);
            match message[0] {
                0 => {}
                2 => ask_for_what_may_pass(message),
                3 => {}
                4 => assert!(then().any(input) || message[1] == 0, "a key of somebody who looks: {message:02x?}"),
                5 => assert!(then().any(input) || message[1] == 0, "the pointer of somebody who looks: {message:02x?}"),
                6 => assert!(then().any(text), "a text for the asset's clipboard: {message:02x?}"),
                other => panic!("a message of type {other}"),
            }
        }
        if !rules.iter().any(input) {
            assert!(!self.messages.iter().any(|(_, message)| matches!(message[0], 4 | 5)), "nothing was ever pressed");
        }
    }
}

/// Where the handshake of the tool's side ends: behind version, choice and password. 3.3 leaves the choice to the server.
fn handshake(to_server: &[u8], to_client: &[u8]) -> Option<usize> {
    let version = to_server.get(..12)?;
    let (security, at) = match version {
        b"RFB 003.003\n" => (*to_client.get(15)?, 12),
        b"RFB 003.007\n" | b"RFB 003.008\n" => (*to_server.get(12)?, 13),
        other => panic!("a version of the tool's own: {other:02x?}"),
    };
    match security {
        1 => Some(at),
        2 => Some(at + 16).filter(|at| *at <= to_server.len()),
        // Refused before there was a choice.
        0 => None,
        other => panic!("security type {other} was chosen"),
    }
}

/// How long the message is that begins so (RFC 6143, section 7.5).
fn length(message: &[u8]) -> usize {
    let number = |place: usize, bytes: usize| {
        message
            .get(place..place + bytes)
            .map_or(0, |field| field.iter().fold(0, |all, byte| all << 8 | usize::from(*byte)))
    };
    match message[0] {
        0 => 20,
        2 => 4 + 4 * number(2, 2),
        3 => 10,
        4 => 8,
        5 => 6,
        6 => 8 + number(4, 4),
        other => panic!("a message of type {other}"),
    }
}

fn ask_for_what_may_pass(message: &[u8]) {
    let (numbers, rest) = message[4..].as_chunks::<4>();
    assert!(rest.is_empty());
    for (place, number) in numbers.iter().enumerate() {
        let number = i32::from_be_bytes(*number);
        assert!(Encoding::ALL.iter().any(|encoding| encoding.number() == number), "encoding {number} was asked for");
        assert!(!numbers[..place].contains(&number.to_be_bytes()), "encoding {number} was asked for twice");
    }
}
