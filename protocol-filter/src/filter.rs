//! The trait that every decoded protocol implements, and what passes over its rim.

use std::fmt;

/// One end of the filtered connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// The person's tool.
    Client,
    /// The asset.
    Server,
}

/// The time, given by the caller: the calendar for rules that begin and end, a clock that never jumps for rates and patience.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Milliseconds since the Unix epoch, UTC.
    pub unix_ms: i64,
    /// Milliseconds of a monotonic clock with an arbitrary origin.
    pub monotonic_ms: u64,
}

/// What is to be sent. The caller empties both after each call; they keep their room.
#[derive(Debug, Default)]
pub struct Outbound {
    /// For the person's tool.
    pub to_client: Vec<u8>,
    /// For the asset.
    pub to_server: Vec<u8>,
}

impl Outbound {
    /// The buffer towards a side.
    pub fn to(&mut self, side: Side) -> &mut Vec<u8> {
        match side {
            Side::Client => &mut self.to_client,
            Side::Server => &mut self.to_server,
        }
    }
}

/// Hears every decoded message with its verdict, before it has any effect.
pub trait Journal<F: ProtocolFilter + ?Sized> {
    /// One message. Lives only for the call; nothing need be allocated to tell of it.
    fn note(&mut self, operation: &F::Operation<'_>);
}

/// A state machine on one connection: two directions of bytes in; judged and encoded messages out.
///
/// Shapes that the trait must carry, and how: a protocol that counts its messages (IEC 104, OPC UA) ends both sequences itself and
/// renumbers, since a refused request takes a number on one side only; jobs that the asset begins (S7 block download) are
/// messages from [`Side::Server`] with a verdict of their own; what is nested (CIP Multiple Service Packet) is noted service by
/// service and sent as one; timers (IEC 104 t1 to t3, a select that must be operated in time) are [`ProtocolFilter::deadline`]
/// and [`ProtocolFilter::tick`].
pub trait ProtocolFilter {
    /// The rules that it judges by.
    type Rules: Clone;
    /// One decoded message with its verdict, as the journal hears of it.
    type Operation<'a>;

    /// Takes bytes that came from one side, and says how many it took. Bytes that it did not take (too much is in flight) are
    /// to be offered again, together with what follows them, after the other side was heard or after [`ProtocolFilter::tick`].
    ///
    /// # Errors
    /// What is no message of the protocol, or none that may come now. Nothing may be received any more.
    fn receive(
        &mut self,
        from: Side,
        bytes: &[u8],
        now: Now,
        out: &mut Outbound,
        journal: &mut dyn Journal<Self>,
    ) -> Result<usize, Malformed>;

    /// A side will send no more.
    ///
    /// # Errors
    /// If it stopped in the middle of a message.
    fn finish(&mut self, side: Side) -> Result<(), Malformed>;

    /// When [`ProtocolFilter::tick`] is due, on the monotonic clock.
    fn deadline(&self) -> Option<u64>;

    /// Does what time has brought: for example sends denials that waited for an answer that does not come.
    fn tick(&mut self, now: Now, out: &mut Outbound, journal: &mut dyn Journal<Self>);

    /// Why the connection is over, if the protocol itself has ended it: what [`Outbound`] holds is to be sent then, and both
    /// sides are to be closed.
    fn ended(&self) -> Option<Ended> {
        None
    }

    /// Judges by other rules from now on. What is in flight stays judged as it was; memory of values and rates is kept.
    fn replace_rules(&mut self, rules: Self::Rules);
}

/// Why a connection is over that its protocol has ended in its own words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// The filter refused, and has told the tool why.
    Denied,
    /// The asset refused.
    Refused,
}

/// Bytes that are no message of the protocol, or one that may not come now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("malformed bytes from the {side}: {reason}")]
pub struct Malformed {
    /// Who sent them.
    pub side: Side,
    /// What is wrong with them, in words.
    pub reason: &'static str,
    /// The beginning of the offending message, at most [`Malformed::MOST_BYTES`].
    pub bytes: Vec<u8>,
}

impl Malformed {
    /// How much of the offending message is kept.
    pub const MOST_BYTES: usize = 64;

    /// Bytes from `side` that are wrong because of `reason`.
    #[must_use]
    pub fn new(side: Side, reason: &'static str, bytes: &[u8]) -> Self {
        Self { side, reason, bytes: bytes[..bytes.len().min(Self::MOST_BYTES)].to_vec() }
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Side::Client => "client",
            Side::Server => "server",
        })
    }
}
