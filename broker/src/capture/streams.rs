//! The connections of a capture to one port, each put together from its segments.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use sallyport_protocol_filter::Side;

use super::half::{Half, Piece};
use super::packet::Segment;

/// Connections that are followed at once at most.
const MOST_CONNECTIONS: usize = 1024;
/// Servers at other addresses that are remembered at most, to be named.
const MOST_OTHERS: usize = 16;

/// A connection of a capture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Connection {
    /// Which, in the order in which they begin in the capture; from 1.
    pub(crate) number: u64,
    pub(crate) client: SocketAddr,
    pub(crate) server: SocketAddr,
    /// It had begun before the capture.
    pub(crate) midway: bool,
}

/// Something that happened on a connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Event<'a> {
    pub(crate) micros: i64,
    pub(crate) connection: &'a Connection,
    pub(crate) what: What<'a>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What<'a> {
    /// The next bytes of a side.
    Bytes(Side, &'a [u8]),
    /// A side has ended its direction.
    Finished(Side),
    /// Nothing more comes.
    Ended(Ending),
}

/// How it came that a connection is followed no further.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// It was closed, or the capture is over.
    Whole,
    /// Bytes of this side were not captured, so that nothing behind them can be told.
    Missing(Side),
    /// Too many connections were open at once.
    Crowded,
}

/// The connections to a port.
pub(crate) struct Streams {
    port: u16,
    server: Option<IpAddr>,
    live: BTreeMap<Ends, Stream>,
    begun: u64,
    segments: u64,
    micros: i64,
    others: BTreeSet<SocketAddr>,
}

/// Client and server.
type Ends = (SocketAddr, SocketAddr);

struct Stream {
    connection: Connection,
    client: Half,
    server: Half,
    /// Nothing more of it is told.
    over: bool,
    /// The number of the last segment that was its.
    touched: u64,
}

impl Streams {
    /// Connections to a port: of one server, or of every one.
    pub(crate) fn new(port: u16, server: Option<IpAddr>) -> Self {
        Self { port, server, live: BTreeMap::new(), begun: 0, segments: 0, micros: 0, others: BTreeSet::new() }
    }

    /// Takes the next segment of the capture, and tells what comes of it.
    pub(crate) fn take(&mut self, segment: Segment, hear: &mut dyn FnMut(Event<'_>)) {
        let Some((ends, from)) = self.ends(&segment) else { return };
        self.segments += 1;
        self.micros = self.micros.max(segment.micros);
        let micros = self.micros;
        if begins(&segment, from)
            && let Some(old) = self.live.get_mut(&ends)
            && !old.has_begun_with(&segment, from)
        {
            // The ports are used again.
            old.end(micros, hear);
            self.live.remove(&ends);
        }
        if !self.live.contains_key(&ends) {
            if !begins(&segment, from) && (from == Side::Server || segment.payload.is_empty()) {
                return;
            }
            self.make_room(hear);
            self.begun += 1;
            let midway = !segment.syn;
            let connection = Connection { number: self.begun, client: ends.0, server: ends.1, midway };
            let (client, server) = (Half::default(), Half::default());
            let stream = Stream { connection, client, server, over: false, touched: self.segments };
            self.live.insert(ends, stream);
        }
        if let Some(stream) = self.live.get_mut(&ends) {
            stream.touched = self.segments;
            if !stream.over {
                stream.take(segment, from, micros, hear);
            }
        }
    }

    /// The capture is over.
    pub(crate) fn end(mut self, hear: &mut dyn FnMut(Event<'_>)) {
        let mut rest: Vec<Stream> = std::mem::take(&mut self.live).into_values().collect();
        rest.sort_by_key(|stream| stream.connection.number);
        for stream in &mut rest {
            stream.end(self.micros, hear);
        }
    }

    /// How many connections were followed.
    pub(crate) const fn begun(&self) -> u64 {
        self.begun
    }

    /// Servers at other addresses that were spoken to on the port.
    pub(crate) fn others(&self) -> impl Iterator<Item = &SocketAddr> {
        self.others.iter()
    }

    /// Whose segment it is, and from which side; none if it belongs to no connection that is looked for.
    fn ends(&mut self, segment: &Segment) -> Option<(Ends, Side)> {
        let (there, back) = ((segment.from, segment.to), (segment.to, segment.from));
        let to_server = segment.to.port() == self.port;
        let to_client = segment.from.port() == self.port;
        // Where both ports are the server's, a connection that is known tells.
        let from = match (to_server, to_client) {
            (true, true) if self.live.contains_key(&back) => Side::Server,
            (true, _) => Side::Client,
            (false, true) => Side::Server,
            (false, false) => return None,
        };
        let ends = if from == Side::Client { there } else { back };
        if self.server.is_some_and(|server| server != ends.1.ip()) {
            if self.others.len() < MOST_OTHERS {
                self.others.insert(ends.1);
            }
            return None;
        }
        Some((ends, from))
    }

    fn make_room(&mut self, hear: &mut dyn FnMut(Event<'_>)) {
        if self.live.len() < MOST_CONNECTIONS {
            return;
        }
        // One that is over goes first, then the one that was quiet for the longest time.
        let spare = self.live.iter().min_by_key(|(_, stream)| (!stream.over, stream.touched)).map(|(ends, _)| *ends);
        if let Some(stream) = spare.and_then(|ends| self.live.remove(&ends))
            && !stream.over
        {
            stream.tell(self.micros, What::Ended(Ending::Crowded), hear);
        }
    }
}

/// Does a connection begin with it?
fn begins(segment: &Segment, from: Side) -> bool {
    segment.syn && (from == Side::Server || segment.acknowledged.is_none())
}

impl Stream {
    /// Is it only the same beginning once more, or the answer to it?
    fn has_begun_with(&self, segment: &Segment, from: Side) -> bool {
        self.half(from).may_begin(segment.sequence.wrapping_add(1))
    }

    const fn half(&self, side: Side) -> &Half {
        match side {
            Side::Client => &self.client,
            Side::Server => &self.server,
        }
    }

    fn take(&mut self, segment: Segment, from: Side, micros: i64, hear: &mut dyn FnMut(Event<'_>)) {
        let Segment { mut sequence, acknowledged, syn, fin, rst, payload, cut, .. } = segment;
        if rst {
            // What it says of places need not be true.
            return self.end(micros, hear);
        }
        let (mine, other) = match from {
            Side::Client => (&mut self.client, &mut self.server),
            Side::Server => (&mut self.server, &mut self.client),
        };
        if syn {
            sequence = sequence.wrapping_add(1);
        }
        // A server's first bytes are those that its client waits for: what it said before that is an answer from before the capture.
        if syn || from == Side::Client {
            mine.begin(sequence);
        }
        if let Some(acknowledged) = acknowledged {
            other.begin(acknowledged);
            other.was_heard(acknowledged);
        }
        mine.hold(sequence, Piece { bytes: payload, heard: acknowledged }, cut, fin);
        self.drain(micros, hear);
        if self.client.is_crammed() || self.server.is_crammed() {
            self.end(micros, hear);
        } else if self.client.finished && self.server.finished {
            self.over(micros, Ending::Whole, hear);
        }
    }

    /// Tells everything that is next on either side.
    fn drain(&mut self, micros: i64, hear: &mut dyn FnMut(Event<'_>)) {
        loop {
            let mut quiet = true;
            for from in [Side::Client, Side::Server] {
                let (mine, other) = match from {
                    Side::Client => (&mut self.client, &self.server),
                    Side::Server => (&mut self.server, &self.client),
                };
                let taken = mine.take(other);
                let finished = taken.is_none() && mine.is_at_its_end() && !mine.finished;
                mine.finished |= finished;
                quiet &= taken.is_none() && !finished;
                if let Some(bytes) = taken {
                    self.tell(micros, What::Bytes(from, &bytes), hear);
                } else if finished {
                    self.tell(micros, What::Finished(from), hear);
                }
            }
            if quiet {
                return;
            }
        }
    }

    /// Nothing more comes: says whether that was all.
    fn end(&mut self, micros: i64, hear: &mut dyn FnMut(Event<'_>)) {
        let sides = [Side::Client, Side::Server];
        let missing = sides.into_iter().find(|side| self.half(*side).lacks_bytes());
        let missing = missing.or_else(|| sides.into_iter().find(|side| self.half(*side).has_rest()));
        self.over(micros, missing.map_or(Ending::Whole, Ending::Missing), hear);
    }

    fn over(&mut self, micros: i64, ending: Ending, hear: &mut dyn FnMut(Event<'_>)) {
        if !std::mem::replace(&mut self.over, true) {
            self.tell(micros, What::Ended(ending), hear);
        }
        // What was held is not needed any more; where the directions stand is, to know the same connection again.
        self.client.forget();
        self.server.forget();
    }

    fn tell(&self, micros: i64, what: What<'_>, hear: &mut dyn FnMut(Event<'_>)) {
        hear(Event { micros, connection: &self.connection, what });
    }
}
