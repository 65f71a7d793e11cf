//! Real captures, read from the folder that `SALLYPORT_CAPTURES` names.
#![expect(clippy::disallowed_methods, reason = "captures are files outside the project, named by the environment")]

use std::path::Path;

use sallyport_protocol_filter::rfb::{Ended, Rules};
use sallyport_protocol_filter::{ProtocolFilter, Side};

use crate::wire::Wire;

/// One segment's payload.
pub(crate) struct Segment {
    side: Side,
    bytes: Vec<u8>,
}

/// The payloads of one stream of a capture, in order; `None` if there are no captures here.
pub(crate) fn segments(capture: &str, stream: u64) -> Option<Vec<Segment>> {
    let Ok(folder) = std::env::var("SALLYPORT_CAPTURES") else {
        eprintln!("SALLYPORT_CAPTURES is not set: 1 check of the capture `{capture}` is left out");
        return None;
    };
    let path = Path::new(&folder).join("rfb/payloads").join(format!("{capture}.jsonl"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let segments = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let segments = segments.filter(|segment| segment["stream"] == stream).map(|segment| Segment {
        side: if segment["sport"] == 5900 { Side::Server } else { Side::Client },
        bytes: unhex(segment["hex"].as_str().unwrap()),
    });
    Some(segments.collect())
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|place| u8::from_str_radix(&text[place..place + 2], 16).unwrap()).collect()
}

/// What a side sent.
fn sent(segments: &[Segment], side: Side) -> Vec<u8> {
    segments.iter().filter(|segment| segment.side == side).flat_map(|segment| segment.bytes.clone()).collect()
}

pub(crate) fn play(segments: &[Segment], rules: Rules, cut: usize) -> Wire {
    let mut wire = Wire::new(rules);
    wire.cut = Box::new(move || cut);
    for segment in segments {
        wire.send(segment.side, &segment.bytes);
    }
    wire
}

/// Plays a stream, cut in three ways, against what each side should get.
fn check(
    capture: &str,
    stream: u64,
    rules: Rules,
    expected: impl Fn(&[Segment]) -> (Vec<u8>, Vec<u8>),
    end: Option<Ended>,
) {
    let Some(segments) = segments(capture, stream) else { return };
    let (to_client, to_server) = expected(&segments);
    for cut in [usize::MAX, 1, 7] {
        let wire = play(&segments, rules, cut);
        assert_eq!(wire.malformed, None);
        assert_eq!(wire.to_client.escape_ascii().to_string(), to_client.escape_ascii().to_string());
        assert_eq!(wire.to_server.escape_ascii().to_string(), to_server.escape_ascii().to_string());
        assert_eq!(wire.filter.ended(), end);
    }
}

#[test]
fn what_need_not_be_stripped_comes_out_as_it_went_in() {
    let as_sent = |segments: &[Segment]| (sent(segments, Side::Server), sent(segments, Side::Client));
    check("suriv__rfb-parser__input.pcap", 0, Rules::view_only(), as_sent, None);
    check("suriv__rfb-failure__rfb_failure_16.pcap", 0, Rules::view_only(), as_sent, Some(Ended::Refused));
}

/// A session with a password, an update request and the pointer; TLS (18) is offered beside it.
#[test]
fn only_what_must_be_is_stripped() {
    let capture = "suriv__rfb-rules__00-vnc-openwall-3.7.pcap";
    let without_tls = |segments: &[Segment]| {
        let server = sent(segments, Side::Server);
        assert_eq!(server[12..15], [2, 18, 2]);
        [&server[..12], &[1, 2], &server[15..]].concat()
    };
    check(capture, 0, Rules::interactive(), |segments| (without_tls(segments), sent(segments, Side::Client)), None);
    let looking = |segments: &[Segment]| {
        let mut client = sent(segments, Side::Client);
        // The last message is the pointer's, and the connection is not to be shared.
        client.truncate(client.len() - 6);
        assert_eq!(client[29], 0);
        client[29] = 1;
        (without_tls(segments), client)
    };
    check(capture, 0, Rules::view_only(), looking, None);
}

/// macOS offers only its own security types.
#[test]
fn what_cannot_be_followed_is_denied() {
    for stream in 0..3 {
        let denied = |_: &[Segment]| {
            let reason = "Sallyport cannot follow any security type that this VNC server offers";
            let refusal = [&[0, 0, 0, 0, reason.len() as u8][..], reason.as_bytes()].concat();
            ([b"RFB 003.008\n", &refusal[..]].concat(), b"RFB 003.008\n".to_vec())
        };
        check("zeek__vncmac.pcap", stream, Rules::interactive(), denied, Some(Ended::Denied));
    }
}
