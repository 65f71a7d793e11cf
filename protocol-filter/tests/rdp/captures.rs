//! Real captures, read from the folder that `SALLYPORT_CAPTURES` names.
#![expect(clippy::disallowed_methods, reason = "captures are files outside the project, named by the environment")]

use std::path::Path;

use sallyport_protocol_filter::ProtocolFilter;
use sallyport_protocol_filter::Side;
use sallyport_protocol_filter::rdp::{Ended, Require};
use sallyport_protocol_filter::rfb::Mode;

use crate::wire::Wire;

/// The payloads of one stream of a capture, in order; `None` if there are no captures here.
fn segments(capture: &str, stream: u64) -> Option<Vec<(Side, Vec<u8>)>> {
    let Ok(folder) = std::env::var("SALLYPORT_CAPTURES") else {
        eprintln!("SALLYPORT_CAPTURES is not set: 1 check of the capture `{capture}` is left out");
        return None;
    };
    let path = Path::new(&folder).join("rdp/payloads").join(format!("{capture}.jsonl"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let segments = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let segments = segments.filter(|segment| segment["stream"] == stream).map(|segment| {
        let side = if segment["sport"] == 3389 { Side::Server } else { Side::Client };
        (side, unhex(segment["hex"].as_str().unwrap()))
    });
    Some(segments.collect())
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|place| u8::from_str_radix(&text[place..place + 2], 16).unwrap()).collect()
}

/// Does a stream come out as it went in, or is it denied?
fn check(capture: &str, stream: u64, require: Require, end: Option<Ended>, user: &str) {
    let Some(segments) = segments(capture, stream) else { return };
    for cut in [usize::MAX, 1, 7] {
        let mut wire = Wire::cut(require, Mode::Enforce, cut);
        let (mut to_client, mut to_server) = (Vec::new(), Vec::new());
        for (side, bytes) in &segments {
            wire.send(*side, bytes);
            match side {
                Side::Client => to_server.extend_from_slice(bytes),
                Side::Server => to_client.extend_from_slice(bytes),
            }
        }
        assert_eq!(wire.malformed, None);
        assert_eq!(wire.filter.ended(), end);
        let named = format!("(user `{}`)", user.escape_default());
        assert!(wire.notes[0].contains(&named), "{}", wire.notes[0]);
        if end == Some(Ended::Denied) {
            assert_eq!(wire.out.to_client.len(), 19);
            assert!(to_server.starts_with(&wire.out.to_server));
        } else {
            assert!(wire.out.to_client == to_client && wire.out.to_server == to_server, "{capture} {cut}");
        }
    }
}

#[test]
fn what_is_allowed_comes_out_as_it_went_in() {
    check("suriv__rdp-protocol__RDP-003.pcap", 0, Require::Any, None, "A70067");
    check("zeek__rdp-proprietary-encryption.pcap", 0, Require::Any, Some(Ended::Refused), "FTBCO\\A70");
    check("zeek__rdp-proprietary-encryption.pcap", 1, Require::Any, None, "FTBCO\\A70");
    check("zeek__rdp-to-ssl.pcap", 0, Require::Nla, None, "AWAKECODI");
    check("zeek__rdp-to-ssl.pcap", 1, Require::Nla, None, "AWAKECODI");
}

#[test]
fn what_falls_short_is_denied() {
    check("suriv__rdp-protocol__RDP-003.pcap", 0, Require::Tls, Some(Ended::Denied), "A70067");
    check("zeek__rdp-proprietary-encryption.pcap", 0, Require::Nla, Some(Ended::Denied), "FTBCO\\A70");
    check("zeek__rdp-proprietary-encryption.pcap", 1, Require::Tls, Some(Ended::Denied), "FTBCO\\A70");
}
