//! The person is known, by two factors.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use super::{Connecting, Session};
use crate::broker::Broker;
use crate::identity::MultiFactor;

/// Denials at once on one connection, each of which is on the record. One a second is no flood: a tool that tries again and
/// again outside its window must not take the others on its connection down.
const MOST_DENIALS: u64 = 100;

/// Somebody, proven by two factors. One connection may open many sessions from here (`-J`).
#[derive(Debug, Clone)]
pub struct Authenticated {
    pub(super) broker: Arc<Broker>,
    pub(super) source: IpAddr,
    pub(super) proof: MultiFactor,
    /// What was denied on this connection lately.
    denials: Arc<Mutex<Denials>>,
}

impl Session<Connecting> {
    /// The one way in: a [`MultiFactor`], which only its own makers can make.
    #[must_use]
    pub fn authenticate(self, proof: MultiFactor) -> Session<Authenticated> {
        let Connecting { broker, source } = self.stage;
        Session { stage: Authenticated { broker, source, proof, denials: Arc::default() } }
    }
}

impl Session<Authenticated> {
    /// Who it is.
    #[must_use]
    pub fn proof(&self) -> &MultiFactor {
        &self.stage.proof
    }

    /// Where they come from.
    #[must_use]
    pub fn source(&self) -> IpAddr {
        self.stage.source
    }

    /// The same person after proving a factor once more (step-up).
    #[must_use]
    pub fn proven_again(&self, proof: MultiFactor) -> Session<Authenticated> {
        Session { stage: Authenticated { proof, ..self.stage.clone() } }
    }

    /// The same person, for another session of the same connection.
    #[must_use]
    pub fn another(&self) -> Session<Authenticated> {
        Session { stage: self.stage.clone() }
    }

    /// Whether so much was denied on this connection that it is no way to work any more, but a flood of the record.
    pub(crate) fn denied_too_often(&self) -> bool {
        self.stage.denials.lock().unwrap_or_else(PoisonError::into_inner).now(Instant::now()) >= MOST_DENIALS
    }

    pub(super) fn count_denial(&self) {
        self.stage.denials.lock().unwrap_or_else(PoisonError::into_inner).add(Instant::now());
    }

    pub(crate) fn broker(&self) -> &Arc<Broker> {
        &self.stage.broker
    }
}

/// A count that falls by one each second.
#[derive(Debug, Default)]
struct Denials {
    count: u64,
    since: Option<Instant>,
}

impl Denials {
    fn now(&mut self, now: Instant) -> u64 {
        let seconds = self.since.map_or(0, |since| now.saturating_duration_since(since).as_secs());
        if seconds > 0 || self.since.is_none() {
            self.since = Some(now);
        }
        self.count = self.count.saturating_sub(seconds);
        self.count
    }

    fn add(&mut self, now: Instant) {
        self.now(now);
        self.count += 1;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_flood_is_too_much_and_a_patient_tool_is_not() {
        let begin = Instant::now();
        let mut denials = Denials::default();
        (0..MOST_DENIALS).for_each(|_| denials.add(begin));
        assert_eq!(denials.now(begin), MOST_DENIALS);
        assert_eq!(denials.now(begin + Duration::from_secs(40)), MOST_DENIALS - 40);
        for second in 41..10_000 {
            denials.add(begin + Duration::from_secs(second));
        }
        assert!(denials.now(begin + Duration::from_secs(10_000)) < MOST_DENIALS);
    }
}
