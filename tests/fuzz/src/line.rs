//! A filter between two ends that a script plays.

use sallyport_protocol_filter::{Journal, Malformed, Now, Outbound, ProtocolFilter, Side};

use super::script::{Cut, Event};

/// A connection through a filter, and all that went on on it.
pub(crate) struct Line<F, J> {
    pub(crate) filter: F,
    pub(crate) journal: J,
    pub(crate) now: Now,
    /// All that was sent.
    pub(crate) sent: Outbound,
    /// How many bytes of the client, of the server were taken.
    pub(crate) taken: [usize; 2],
    pub(crate) malformed: Option<Malformed>,
    /// What each side has said and the filter has not taken.
    waiting: [Waiting; 2],
    cut: Cut,
}

#[derive(Default)]
struct Waiting {
    bytes: Vec<u8>,
    taken: usize,
}

/// What can be seen of a connection from outside, but for the journal.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    to_client: Vec<u8>,
    to_server: Vec<u8>,
    taken: [usize; 2],
    /// Whose bytes, and why. How many of them were kept depends on how many had come.
    malformed: Option<(Side, &'static str)>,
    deadline: Option<u64>,
    /// May the client's stream, the server's end here?
    may_end: [bool; 2],
}

impl<F: ProtocolFilter, J: Journal<F>> Line<F, J> {
    pub(crate) fn new(filter: F, journal: J, cut: Cut) -> Self {
        Self {
            filter,
            journal,
            now: Now { unix_ms: 1_000_000, monotonic_ms: 5_000 },
            sent: Outbound::default(),
            taken: [0; 2],
            malformed: None,
            waiting: Default::default(),
            cut,
        }
    }

    /// Plays one event; `each` looks after everything that the filter did. Nothing happens on a connection that has ended.
    pub(crate) fn play(&mut self, event: &Event<'_>, rules: impl Fn(u8) -> F::Rules, mut each: impl FnMut(&mut Self)) {
        if self.malformed.is_some() {
            return;
        }
        match *event {
            Event::Bytes(side, bytes) => {
                self.waiting[side as usize].bytes.extend_from_slice(bytes);
                self.offer(side, &mut each);
            }
            Event::Later(milliseconds) => {
                self.now.monotonic_ms += milliseconds;
                self.now.unix_ms += i64::try_from(milliseconds).unwrap_or_default();
                self.filter.tick(self.now, &mut self.sent, &mut self.journal);
                let due = self.filter.deadline();
                assert!(due.is_none_or(|due| due > self.now.monotonic_ms), "what was due is not done: {due:?}");
                each(self);
                self.offer(Side::Client, &mut each);
            }
            Event::Rules(number) => {
                self.filter.replace_rules(rules(number));
                each(self);
            }
        }
    }

    /// As the caller of a filter does it: what is not taken is offered again once the other side was heard.
    fn offer(&mut self, first: Side, each: &mut impl FnMut(&mut Self)) {
        let other = if first == Side::Client { Side::Server } else { Side::Client };
        while self.offer_all_of(first, each) | self.offer_all_of(other, each) {}
    }

    fn offer_all_of(&mut self, side: Side, each: &mut impl FnMut(&mut Self)) -> bool {
        let mut progress = false;
        loop {
            let Waiting { bytes, taken } = &self.waiting[side as usize];
            let left = &bytes[*taken..];
            if left.is_empty() || self.malformed.is_some() {
                return progress;
            }
            let offered = &left[..self.cut.next().min(left.len())];
            let result = self.filter.receive(side, offered, self.now, &mut self.sent, &mut self.journal);
            let taken = match result {
                Ok(taken) => {
                    assert!(taken <= offered.len(), "{taken} of {} bytes were taken", offered.len());
                    taken
                }
                Err(malformed) => {
                    assert_eq!(malformed.side, side, "the one is blamed for what the other sent");
                    assert!(malformed.bytes.len() <= Malformed::MOST_BYTES && !malformed.reason.is_empty());
                    self.malformed = Some(malformed);
                    self.taken[side as usize] += offered.len();
                    0
                }
            };
            self.waiting[side as usize].taken += taken;
            self.taken[side as usize] += taken;
            each(self);
            if taken == 0 {
                return progress;
            }
            progress = true;
        }
    }

    /// Nothing passes any more, whoever sends what, and whatever time brings.
    pub(crate) fn is_over(&mut self) {
        let mut out = Outbound::default();
        self.now.monotonic_ms += 3_600_000;
        for side in [Side::Client, Side::Server, Side::Client] {
            if let Ok(taken) = self.filter.receive(side, &[0; 32], self.now, &mut out, &mut self.journal) {
                assert!(self.malformed.is_none(), "{taken} bytes were taken after malformed ones");
            }
            self.filter.tick(self.now, &mut out, &mut self.journal);
        }
        assert!(out.to_client.is_empty() && out.to_server.is_empty(), "something passed after the end: {out:?}");
    }

    /// All that can be seen.
    pub(crate) fn seen(&mut self) -> Seen {
        // How much of a frame is taken before it is found to be none depends on the cut, and means nothing.
        let taken = if self.malformed.is_some() { [0; 2] } else { self.taken };
        let deadline = self.filter.deadline();
        let may_end =
            [Side::Client, Side::Server].map(|side| self.malformed.is_none() && self.filter.finish(side).is_ok());
        Seen {
            to_client: self.sent.to_client.clone(),
            to_server: self.sent.to_server.clone(),
            taken,
            malformed: self.malformed.as_ref().map(|malformed| (malformed.side, malformed.reason)),
            deadline,
            may_end,
        }
    }
}
