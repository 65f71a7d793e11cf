//! RFB, the protocol of VNC (RFC 6143): a screen to look at, and by right to type and click on.
//!
//! [`Filter`] stands on a connection: it follows the handshake (3.3, 3.7, 3.8; security types None and VNC authentication),
//! lets a tool ask only for encodings whose rectangles it can follow, and reads every message of both sides. [`Screen`]
//! draws what was on the screen from the bytes that a server sent, and [`Playback`] finds it in what a tool received from
//! its first byte on.

mod client;
mod colour;
mod encoding;
mod feed;
mod follow;
mod handshake;
mod held;
mod open;
mod operation;
mod pixel_format;
mod playback;
mod rectangle;
mod relay;
mod rules;
mod screen;
mod shown;
mod sink;
mod surface;
mod tally;
mod zrle;

pub use encoding::Encoding;
pub use operation::{Counted, Message, Operation, Security, Version};
pub use pixel_format::PixelFormat;
pub use playback::{Noted, Playback, PlaybackError};
pub use rules::Rules;
pub use screen::{Screen, ScreenError};

use feed::{Carry, Feed};
use handshake::{Handshake, Step};
use open::Open;
use sink::Reason;

pub use crate::{Ended, Mode};

use crate::{Journal, Malformed, Now, Outbound, ProtocolFilter, Side};

/// The filter of one RFB connection.
///
/// A side that speaks before its turn in the handshake is not heard: its bytes are not taken until then. Counts that were not
/// noted yet are noted by [`ProtocolFilter::tick`], which is due at once when a side has finished or the connection was
/// [`Malformed`].
#[derive(Debug)]
pub struct Filter {
    rules: Rules,
    stage: Stage,
    client: Carry,
    server: Carry,
    /// Nothing may be received any more.
    malformed: Option<Malformed>,
    /// A side has finished: what was counted is noted without delay.
    finished: bool,
}

#[derive(Debug)]
enum Stage {
    Handshake(Handshake),
    Open(Box<Open>),
    Ended(Ended),
}

/// What a step may use.
struct Desk<'a> {
    out: &'a mut Outbound,
    journal: &'a mut dyn Journal<Filter>,
    rules: Rules,
    now_ms: u64,
}

impl Filter {
    /// A filter for a connection that has just begun.
    #[must_use]
    pub fn new(rules: Rules) -> Self {
        Self {
            rules,
            stage: Stage::Handshake(Handshake::ServerVersion),
            client: Carry::default(),
            server: Carry::default(),
            malformed: None,
            finished: false,
        }
    }

    /// Takes what it can, and says how much.
    fn take(&mut self, from: Side, bytes: &[u8], mut desk: Desk<'_>) -> Result<usize, Reason> {
        let carry = match from {
            Side::Client => &mut self.client,
            Side::Server => &mut self.server,
        };
        let mut rest = bytes;
        loop {
            match &mut self.stage {
                Stage::Handshake(handshake) => {
                    if handshake.turn() != from {
                        return Ok(bytes.len() - rest.len());
                    }
                    let mut feed = Feed::new(carry, rest);
                    let step = handshake.step(&mut feed, &mut desk)?;
                    rest = &rest[rest.len() - feed.left()..];
                    match step {
                        Step::Wait => return Ok(bytes.len()),
                        Step::Next(next) => *handshake = next,
                        Step::Open(follow) => self.stage = Stage::Open(Box::new(Open::new(follow))),
                        Step::End(ended) => self.stage = Stage::Ended(ended),
                    }
                }
                Stage::Open(open) => {
                    open.take(from, rest, carry, &mut desk)?;
                    return Ok(bytes.len());
                }
                // Nothing passes any more, and nobody waits for it.
                Stage::Ended(_) => return Ok(bytes.len()),
            }
        }
    }

    fn fail(&mut self, side: Side, reason: Reason) -> Malformed {
        let carry = match side {
            Side::Client => &self.client,
            Side::Server => &self.server,
        };
        let malformed = Malformed::new(side, reason, carry.message());
        self.malformed = Some(malformed.clone());
        malformed
    }

    /// Nothing more will be counted.
    fn is_over(&self) -> bool {
        self.finished || self.malformed.is_some()
    }
}

impl ProtocolFilter for Filter {
    type Rules = Rules;
    type Operation<'a> = Operation<'a>;

    fn receive(
        &mut self,
        from: Side,
        bytes: &[u8],
        now: Now,
        out: &mut Outbound,
        journal: &mut dyn Journal<Self>,
    ) -> Result<usize, Malformed> {
        if let Some(malformed) = &self.malformed {
            return Err(malformed.clone());
        }
        let desk = Desk { out, journal, rules: self.rules, now_ms: now.monotonic_ms };
        self.take(from, bytes, desk).map_err(|reason| self.fail(from, reason))
    }

    fn finish(&mut self, side: Side) -> Result<(), Malformed> {
        self.finished = true;
        if let (Side::Client, Stage::Open(open)) = (side, &mut self.stage) {
            open.client_finished();
        }
        let partial = match side {
            Side::Client => self.client.is_partial(),
            Side::Server => self.server.is_partial(),
        };
        let within = match &self.stage {
            Stage::Handshake(handshake) => handshake.turn() == side && handshake.is_within_message(),
            Stage::Open(open) => open.is_within_message(side),
            Stage::Ended(_) => false,
        };
        if partial || within { Err(self.fail(side, "the stream ends in the middle of a message")) } else { Ok(()) }
    }

    fn deadline(&self) -> Option<u64> {
        match &self.stage {
            Stage::Open(open) => open.deadline(self.is_over()),
            Stage::Handshake(_) | Stage::Ended(_) => None,
        }
    }

    fn tick(&mut self, now: Now, out: &mut Outbound, journal: &mut dyn Journal<Self>) {
        let over = self.is_over();
        if let Stage::Open(open) = &mut self.stage {
            open.tick(over, &mut Desk { out, journal, rules: self.rules, now_ms: now.monotonic_ms });
        }
    }

    fn ended(&self) -> Option<Ended> {
        match self.stage {
            Stage::Ended(ended) => Some(ended),
            Stage::Handshake(_) | Stage::Open(_) => None,
        }
    }

    fn replace_rules(&mut self, rules: Rules) {
        self.rules = rules;
        if let Stage::Open(open) = &mut self.stage {
            open.replace_rules(rules);
        }
    }
}
