//! Captured VNC and RDP through their filter. What already happened is only observed: what would be denied takes its course.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::Timestamp;
use sallyport_policy::ResolvedFilter;
use sallyport_protocol_filter::{Ended, Journal, Malformed, Mode, Now, Outbound, ProtocolFilter, Side, rdp, rfb};

use super::CliError;
use super::listing::{Act, Counts, Listing};
use super::replay::{Found, Wanted, walk};
use super::told::Cut;
use crate::capture::{Connection, Ending, Event, What};
use crate::cli::output::tell;
use crate::tcp::journal::{rdp_entry, rfb_entry};
use crate::tcp::rules;

/// So much of one side may wait for its turn.
const MOST_WAITING: usize = 1024 * 1024;

/// Replays a capture through a filter for VNC or RDP.
pub(super) fn trial(
    filter: &ResolvedFilter,
    path: &Path,
    wanted: Wanted,
    mut listing: Listing,
) -> Result<(Found, Counts), CliError> {
    let found = if let Some(rules) = rules::vnc_of(filter) {
        let begin = || rfb::Filter::new(rfb::Rules { mode: Mode::Observe, ..rules });
        let (found, malformed) = replay(path, wanted, &begin, &mut listing)?;
        if malformed > 0 {
            tell(AGREED);
        }
        found
    } else if let Some(rules) = rules::rdp_of(filter) {
        let begin = || rdp::Filter::new(rdp::Rules { mode: Mode::Observe, ..rules });
        replay(path, wanted, &begin, &mut listing)?.0
    } else {
        return Err(CliError::Failed(format!("filter `{}` is neither for VNC nor for RDP", filter.name)));
    };
    let counts = listing.end(&found)?;
    Ok((found, counts))
}

const AGREED: &str = "a session agrees with viewer and server only on what it can follow: where a capture's sides agreed on another security type \
                      or encoding of VNC, it is malformed from there on, and tells nothing of what the session would have been";

/// Replays every connection through a filter of its own. Says how many were malformed.
fn replay<F: ProtocolFilter>(
    path: &Path,
    wanted: Wanted,
    begin: &dyn Fn() -> F,
    listing: &mut Listing,
) -> Result<(Found, u64), CliError>
where
    for<'e> Ear<'e>: Journal<F>,
{
    let mut flows = Flows { live: BTreeMap::new(), unheard: 0, midway: 0, malformed: 0 };
    let found = walk(path, wanted, &mut |event| flows.hear(event, begin, listing))?;
    let Flows { unheard, midway, malformed, .. } = flows;
    Ok((Found { unheard, midway, ..found }, malformed))
}

/// The connections of a capture.
struct Flows<F> {
    live: BTreeMap<u64, Flow<F>>,
    /// Bytes behind what a session would have ended with.
    unheard: u64,
    midway: u64,
    malformed: u64,
}

enum Flow<F> {
    Live(Box<Live<F>>),
    Over,
}

/// A filter, and what it has not taken of either side.
struct Live<F> {
    filter: F,
    client: Vec<u8>,
    server: Vec<u8>,
}

/// How it came that a connection is followed no further.
enum Stop {
    Malformed(Malformed),
    Cut(Cut),
    /// The protocol has ended it in its own words, which were told.
    Ended,
}

impl<F: ProtocolFilter> Flows<F>
where
    for<'e> Ear<'e>: Journal<F>,
{
    /// Says whether more is to be told.
    fn hear(&mut self, event: &Event<'_>, begin: &dyn Fn() -> F, listing: &mut Listing) -> bool {
        let at = Timestamp::from_microsecond(event.micros).unwrap_or(Timestamp::MAX);
        let unix_ms = event.micros.div_euclid(1000);
        let now = Now { unix_ms, monotonic_ms: u64::try_from(unix_ms).unwrap_or(0) };
        let connection = event.connection;
        let flow = self.live.entry(connection.number).or_insert_with(|| {
            if !connection.midway {
                return Flow::Live(Box::new(Live { filter: begin(), client: Vec::new(), server: Vec::new() }));
            }
            self.midway += 1;
            listing.cut(at, connection, Cut::Midway);
            Flow::Over
        });
        match (flow, event.what) {
            (Flow::Over, What::Bytes(_, bytes)) => self.unheard += bytes.len() as u64,
            (Flow::Over, What::Finished(_) | What::Ended(_)) => {}
            (Flow::Live(live), what) => {
                let heard = live.hear(now, what, &mut Ear { at, connection, listing: &mut *listing });
                match heard {
                    Ok(()) => return !listing.is_broken(),
                    Err(Stop::Malformed(malformed)) => {
                        self.malformed += 1;
                        listing.malformed(at, connection, &malformed);
                    }
                    Err(Stop::Cut(cut)) => listing.cut(at, connection, cut),
                    Err(Stop::Ended) => {}
                }
                self.live.insert(connection.number, Flow::Over);
            }
        }
        !listing.is_broken()
    }
}

impl<F: ProtocolFilter> Live<F> {
    fn hear(&mut self, now: Now, what: What<'_>, ear: &mut dyn Journal<F>) -> Result<(), Stop> {
        let mut out = Outbound::default();
        match what {
            What::Bytes(side, bytes) => self.waiting(side).extend_from_slice(bytes),
            What::Finished(side) => {
                // What the filter has not taken is no end within a message.
                if self.waiting(side).is_empty() {
                    self.filter.finish(side).map_err(Stop::Malformed)?;
                }
            }
            What::Ended(ending) => {
                // What was counted and not told is told now.
                for side in [Side::Client, Side::Server] {
                    tracing::trace!(whole = self.filter.finish(side).is_ok(), "A captured connection is over");
                }
                self.filter.tick(now, &mut out, ear);
                return match ending {
                    Ending::Missing(side) => Err(Stop::Cut(Cut::Missing(side))),
                    Ending::Crowded => Err(Stop::Cut(Cut::Crowded)),
                    Ending::Whole => Err(Stop::Ended),
                };
            }
        }
        if self.filter.deadline().is_some_and(|deadline| deadline <= now.monotonic_ms) {
            self.filter.tick(now, &mut out, ear);
        }
        // What one side says may be the other's turn.
        while self.offer(Side::Client, now, &mut out, ear)? + self.offer(Side::Server, now, &mut out, ear)? > 0 {}
        if self.client.len().max(self.server.len()) > MOST_WAITING {
            return Err(Stop::Cut(Cut::Unanswered));
        }
        match self.filter.ended() {
            Some(Ended::Denied | Ended::Refused) => Err(Stop::Ended),
            None => Ok(()),
        }
    }

    /// Offers the filter what waits of a side; gives how much it took.
    fn offer(&mut self, side: Side, now: Now, out: &mut Outbound, ear: &mut dyn Journal<F>) -> Result<usize, Stop> {
        let waiting = std::mem::take(self.waiting(side));
        if waiting.is_empty() {
            return Ok(0);
        }
        let taken = self.filter.receive(side, &waiting, now, out, ear).map_err(Stop::Malformed)?;
        // Nobody is at either end.
        out.to_client.clear();
        out.to_server.clear();
        *self.waiting(side) = waiting.get(taken..).unwrap_or_default().to_vec();
        Ok(taken)
    }

    fn waiting(&mut self, side: Side) -> &mut Vec<u8> {
        match side {
            Side::Client => &mut self.client,
            Side::Server => &mut self.server,
        }
    }
}

/// Hears the filter.
struct Ear<'e> {
    at: Timestamp,
    connection: &'e Connection,
    listing: &'e mut Listing,
}

impl Journal<rfb::Filter> for Ear<'_> {
    fn note(&mut self, operation: &rfb::Operation<'_>) {
        let entry = || rfb_entry(operation);
        let act = Act { verdict: operation.verdict, text: operation.message.to_string(), entry: &entry };
        self.listing.operation(self.at, self.connection, &act);
    }
}

impl Journal<rdp::Filter> for Ear<'_> {
    fn note(&mut self, operation: &rdp::Operation<'_>) {
        let entry = || rdp_entry(operation);
        let act = Act { verdict: operation.verdict, text: operation.message.to_string(), entry: &entry };
        self.listing.operation(self.at, self.connection, &act);
    }
}
