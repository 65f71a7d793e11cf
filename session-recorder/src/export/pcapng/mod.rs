//! pcapng, which Wireshark opens: each TCP connection of a recording as the packets that would have carried it.
//!
//! What is evidence in it: the bytes, their direction and their times. The headers around them are made here so that
//! dissectors find whole, consistent connections: the recording holds a stream, not the packets it came in. Written
//! by hand: three block types take less code than adopting `pcap-file`, whose current release is a candidate and which
//! brings no packet headers.
mod blocks;
mod ends;
mod messages;
mod tcp;

use super::ExportError;
use super::tracks::is_tcp;
use crate::entry::{Direction, Entry, Kind, TrackId};
use crate::header::Header;
use crate::read::ReadError;
use blocks::Capture;
use data_encoding::HEXLOWER;
use ends::Ends;
use messages::Messages;
use serde_json::Value;
use std::collections::{HashMap, HashSet};
use std::io::Write;
use std::net::SocketAddr;
use tcp::{Connection, Sender};

/// More connections than this cannot be open at a time: a session is one, an ssh session with as many forwards is hostile.
const MOST_OPEN: usize = 4096;

/// Writes the TCP connections of a recording, or the one on track `only`. Holds one entry at a time.
pub fn pcapng(
    header: &Header,
    only: Option<TrackId>,
    entries: impl Iterator<Item = Result<Entry, ReadError>>,
    out: impl Write,
) -> Result<(), ExportError> {
    let mut conversations = Conversations {
        header,
        capture: Capture::begin(out, &about(header))?,
        open: HashMap::new(),
        in_use: HashSet::new(),
    };
    for entry in entries {
        let entry = entry?;
        if only.is_none_or(|track| track == entry.track) {
            conversations.take(&entry)?;
        }
    }
    conversations.end()
}

fn about(header: &Header) -> String {
    format!(
        "Session {} of {} from {} to {} ({}), recorded by {}. Bytes, directions and times are the recording's, as the \
         client sent and received them; the IP and TCP headers were made for this file.",
        header.session, header.identity, header.source, header.asset, header.service, header.broker
    )
}

struct Conversations<'a, W> {
    header: &'a Header,
    capture: Capture<W>,
    open: HashMap<TrackId, Open>,
    /// Both ends of every open connection, in order, so that no two are mistaken for one.
    in_use: HashSet<(SocketAddr, SocketAddr)>,
}

impl<W: Write> Conversations<'_, W> {
    fn take(&mut self, entry: &Entry) -> Result<(), ExportError> {
        match entry.kind {
            Kind::Opened => self.open(entry),
            Kind::Closed => self.close(entry),
            Kind::Input | Kind::Output | Kind::ErrorOutput => self.carry(entry),
            Kind::InputDigest | Kind::OutputDigest | Kind::ErrorOutputDigest => self.skip(entry),
            // Files go within ssh, of which there is no capture.
            Kind::InputFile | Kind::OutputFile | Kind::ErrorOutputFile => Ok(()),
            Kind::Request | Kind::Operation | Kind::Notice => Ok(()),
        }
    }

    fn open(&mut self, entry: &Entry) -> Result<(), ExportError> {
        let Some(opened) = entry.json().filter(is_tcp) else { return Ok(()) };
        if self.open.contains_key(&entry.track) {
            return Ok(());
        }
        if self.open.len() >= MOST_OPEN {
            return Err(ExportError::Connections(MOST_OPEN));
        }
        let mut ends = Ends::of(self.header, &opened, entry.track);
        while ends.client == ends.server || self.in_use.contains(&ends.ordered()) {
            ends.take_next_port();
        }
        self.in_use.insert(ends.ordered());
        let mut connection = Connection::new(ends.client, ends.server, entry.track);
        let comment = self.introduction(&opened, &ends, entry.track);
        let at = entry.at.unix_micros;
        self.capture.packet(at, connection.syn(), Some(&comment))?;
        self.capture.packet(at, connection.syn_ack(), None)?;
        self.capture.packet(at, connection.ack(Sender::Client), None)?;
        let protocol = opened["protocol"].as_str().unwrap_or_default();
        let (from_client, from_server) = (Messages::of(protocol), Messages::of(protocol));
        self.open.insert(entry.track, Open { connection, from_client, from_server, last: at });
        Ok(())
    }

    fn introduction(&self, opened: &Value, ends: &Ends, track: TrackId) -> String {
        let told = |name: &str, otherwise: &str| opened[name].as_str().unwrap_or(otherwise).to_owned();
        let asset = told("asset", &self.header.asset);
        let protocol = told("protocol", "tcp");
        let mut text = format!("Track {track}: {} to {asset} at {}, {protocol}.", ends.client, ends.server);
        if let Some(stand_in) = &ends.stand_in {
            text.push(' ');
            text.push_str(stand_in);
        }
        text
    }

    fn carry(&mut self, entry: &Entry) -> Result<(), ExportError> {
        let (Some(open), Some(direction)) = (self.open.get_mut(&entry.track), entry.kind.direction()) else {
            return Ok(());
        };
        let from = sender(direction);
        open.last = entry.at.unix_micros;
        let ready = open.messages(from).push(&entry.body);
        send(&mut self.capture, open, from, &ready)
    }

    /// Bytes of which only the hash is there: a hole in the sequence numbers, and a comment that says why.
    fn skip(&mut self, entry: &Entry) -> Result<(), ExportError> {
        let (Some(open), Some(direction)) = (self.open.get_mut(&entry.track), entry.kind.direction()) else {
            return Ok(());
        };
        let Some((length, hash)) = entry.digest().filter(|(length, _)| *length > 0) else { return Ok(()) };
        let from = sender(direction);
        let way = match from {
            Sender::Client => "the client to the asset",
            Sender::Server => "the asset to the client",
        };
        let hash = HEXLOWER.encode(&hash);
        let comment =
            format!("{length} bytes from {way} are missing here: the recording holds only their SHA-256, {hash}.");
        let rest = open.messages(from).rest();
        send(&mut self.capture, open, from, &rest)?;
        open.last = entry.at.unix_micros;
        open.connection.skip(from, length);
        self.capture.packet(open.last, open.connection.ack(from.peer()), Some(&comment))?;
        Ok(())
    }

    fn close(&mut self, entry: &Entry) -> Result<(), ExportError> {
        let Some(mut open) = self.open.remove(&entry.track) else { return Ok(()) };
        self.in_use.remove(&open.connection.ordered());
        flush(&mut self.capture, &mut open)?;
        let (at, connection) = (entry.at.unix_micros, &mut open.connection);
        self.capture.packet(at, connection.fin(Sender::Client), None)?;
        self.capture.packet(at, connection.fin(Sender::Server), None)?;
        self.capture.packet(at, connection.ack(Sender::Client), None)?;
        Ok(())
    }

    /// The recording does not say that what is still open has ended.
    fn end(mut self) -> Result<(), ExportError> {
        for open in self.open.values_mut() {
            flush(&mut self.capture, open)?;
        }
        self.capture.end()?;
        Ok(())
    }
}

/// A connection that has begun and not ended.
struct Open {
    connection: Connection,
    from_client: Messages,
    from_server: Messages,
    /// When something passed on it last.
    last: i64,
}

impl Open {
    fn messages(&mut self, from: Sender) -> &mut Messages {
        match from {
            Sender::Client => &mut self.from_client,
            Sender::Server => &mut self.from_server,
        }
    }
}

/// Sends bytes in segments, acknowledged before the receiver's window is full.
fn send(capture: &mut Capture<impl Write>, open: &mut Open, from: Sender, bytes: &[u8]) -> Result<(), ExportError> {
    let connection = &mut open.connection;
    for window in bytes.chunks(connection.segment() * tcp::SEGMENTS_PER_ACK) {
        let mut segments = window.chunks(connection.segment()).peekable();
        while let Some(segment) = segments.next() {
            let last = segments.peek().is_none();
            capture.packet(open.last, connection.data(from, segment, last), None)?;
        }
        capture.packet(open.last, connection.ack(from.peer()), None)?;
    }
    Ok(())
}

/// Sends what waited to become a whole message and will not.
fn flush(capture: &mut Capture<impl Write>, open: &mut Open) -> Result<(), ExportError> {
    for from in [Sender::Client, Sender::Server] {
        let rest = open.messages(from).rest();
        send(capture, open, from, &rest)?;
    }
    Ok(())
}

fn sender(direction: Direction) -> Sender {
    match direction {
        Direction::Input => Sender::Client,
        Direction::Output | Direction::ErrorOutput => Sender::Server,
    }
}
