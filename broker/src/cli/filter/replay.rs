//! A capture through the filter: every connection as if it had gone through the broker, at the times of the capture.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use sallyport_protocol_filter::modbus::Rules;
use sallyport_protocol_filter::{Now, Outbound};

use super::CliError;
use super::flow::{Live, Midway, Stop};
use super::told::{Cut, Listener, Told};
use crate::capture::{Capture, CaptureError, Connection, Ending, Event, Streams, What};
use crate::cli::output::tell;
use crate::tcp::rules::Dated;

/// Which connections of a capture count.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    pub(super) port: u16,
    pub(super) server: Option<IpAddr>,
}

/// What was found in a capture.
pub(super) struct Found {
    pub(super) connections: u64,
    /// Connections that began before the capture.
    pub(super) midway: u64,
    /// Answers to what was asked before it.
    pub(super) answers: u64,
    pub(super) fragments: u64,
    pub(super) foreign: u64,
    /// Bytes of connections behind what their sessions would have ended with.
    pub(super) unheard: u64,
    /// Why it was not read to its end.
    pub(super) fault: Option<CaptureError>,
}

impl Found {
    /// Says on stderr what of the capture was passed over.
    pub(super) fn notes(&self, path: &Path) {
        let note = |count: u64, what: &str| {
            if count > 0 {
                tell(&format!("`{}`: {what}: {count}", path.display()));
            }
        };
        note(self.midway, "connections that begin before the capture, so that no value is known at first");
        note(self.answers, "answers passed over, since what they answer was asked before the capture");
        note(self.fragments, "IP fragments passed over, whose connections lack their bytes");
        note(self.foreign, "packets passed over, of a link type that is not read");
        note(self.unheard, "bytes not looked at, behind what ends a session (malformed, or cut)");
    }
}

/// Replays captures. What already happened is only observed: what would be denied takes its course.
pub(super) struct Replay<'r, L> {
    dated: Box<dyn Fn(Timestamp) -> Dated + 'r>,
    rules: Arc<Rules>,
    /// When the rules change; before the first event they are none.
    until: Option<Timestamp>,
    flows: BTreeMap<u64, Flow>,
    midway: u64,
    answers: u64,
    unheard: u64,
    out: Outbound,
    listener: L,
}

/// A connection, as long as it is followed.
enum Flow {
    Live(Box<Live>),
    Over,
}

impl<'r, L: Listener> Replay<'r, L> {
    /// A replay through what `dated` says the rules are at a moment.
    pub(super) fn new(dated: impl Fn(Timestamp) -> Dated + 'r, listener: L) -> Self {
        Self {
            dated: Box::new(dated),
            rules: Arc::new(Rules::observe()),
            until: Some(Timestamp::MIN),
            flows: BTreeMap::new(),
            midway: 0,
            answers: 0,
            unheard: 0,
            out: Outbound::default(),
            listener,
        }
    }

    pub(super) fn listener(self) -> L {
        self.listener
    }

    /// Replays one file.
    pub(super) fn file(&mut self, path: &Path, wanted: Wanted) -> Result<Found, CliError> {
        (self.until, self.midway, self.answers, self.unheard) = (Some(Timestamp::MIN), 0, 0, 0);
        let found = walk(path, wanted, &mut |event| {
            self.event(event);
            !self.listener.is_done()
        })?;
        self.flows.clear();
        let Self { midway, answers, unheard, .. } = *self;
        Ok(Found { midway, answers, unheard, ..found })
    }

    fn event(&mut self, event: &Event<'_>) {
        let at = Timestamp::from_microsecond(event.micros).unwrap_or(Timestamp::MAX);
        let unix_ms = event.micros.div_euclid(1000);
        let now = Now { unix_ms, monotonic_ms: u64::try_from(unix_ms).unwrap_or(0) };
        self.keep_rules(at);
        let connection = event.connection;
        if let What::Ended(ending) = event.what {
            return self.ended(at, connection, ending);
        }
        let midway = &mut self.midway;
        let flow = self.flows.entry(connection.number).or_insert_with(|| {
            *midway += u64::from(connection.midway);
            Flow::Live(Box::new(Live::new(&self.rules, connection.midway.then(|| Midway::new(now)))))
        });
        let Flow::Live(live) = flow else {
            if let What::Bytes(_, bytes) = event.what {
                self.unheard += bytes.len() as u64;
            }
            return;
        };
        let Self { out, listener, answers, .. } = self;
        let left = live.left();
        let heard = live.hear(now, event.what, out, &mut |told| listener.hear(at, connection, told));
        *answers += left.saturating_sub(live.left()) as u64;
        match heard {
            Ok(()) => return,
            Err(Stop::Malformed(malformed)) => listener.hear(at, connection, Told::Malformed(&malformed)),
            Err(Stop::Unanswered) => listener.hear(at, connection, Told::Cut(Cut::Unanswered)),
        }
        *flow = Flow::Over;
    }

    fn keep_rules(&mut self, at: Timestamp) {
        if self.until.is_none_or(|until| at < until) {
            return;
        }
        let Dated { rules, until } = (self.dated)(at);
        (self.rules, self.until) = (Arc::new(rules.observing()), until);
        for flow in self.flows.values_mut() {
            if let Flow::Live(live) = flow {
                live.replace_rules(&self.rules);
            }
        }
    }

    fn ended(&mut self, at: Timestamp, connection: &Connection, ending: Ending) {
        let waits = match self.flows.remove(&connection.number) {
            Some(Flow::Over) => return,
            Some(Flow::Live(live)) => live.waits(),
            None => false,
        };
        let cut = match ending {
            Ending::Missing(side) => Cut::Missing(side),
            Ending::Crowded => Cut::Crowded,
            Ending::Whole if waits => Cut::Unanswered,
            Ending::Whole => return,
        };
        self.listener.hear(at, connection, Told::Cut(cut));
    }
}

/// Tells of every wanted connection of a capture, as long as somebody hears it.
pub(super) fn walk(path: &Path, wanted: Wanted, hear: &mut dyn FnMut(&Event<'_>) -> bool) -> Result<Found, CliError> {
    let mut capture = Capture::open(path).map_err(CliError::failed)?;
    let mut streams = Streams::new(wanted.port, wanted.server);
    let mut more = true;
    let fault = loop {
        match capture.next() {
            Ok(Some(segment)) if more => streams.take(segment, &mut |event| more &= hear(&event)),
            Ok(_) => break None,
            Err(fault) => break Some(fault),
        }
    };
    let connections = streams.begun();
    if connections == 0 && fault.is_none() {
        return Err(nothing(path, wanted, &streams, capture.foreign()));
    }
    streams.end(&mut |event| more &= hear(&event));
    let (fragments, foreign) = (capture.fragments(), capture.foreign());
    Ok(Found { connections, midway: 0, answers: 0, fragments, foreign, unheard: 0, fault })
}

/// No connection was found: says what there is instead.
fn nothing(path: &Path, wanted: Wanted, streams: &Streams, foreign: u64) -> CliError {
    let path = path.display();
    let port = wanted.port;
    let others: Vec<String> = streams.others().map(ToString::to_string).collect();
    CliError::Failed(match (wanted.server, others.is_empty()) {
        (Some(server), false) => format!(
            "`{path}` has no connection to {server}, port {port}, but to {}: name one with `--server`, or all with `--server any`",
            others.join(", ")
        ),
        _ if foreign > 0 => {
            format!("`{path}` has no connection to port {port}: {foreign} packets are of a link type that is not read")
        }
        _ => format!("`{path}` has no connection to port {port}; name another with `--port`"),
    })
}
