//! Sources from which somebody has logged in, or holds a lease: what is kept free is kept for them.
//!
//! In memory only: after a restart the leases of the database say who was here. A name is never asked for.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use crate::identity::network;

/// Sources that are remembered; the one that was longest away is forgotten first.
const MOST: usize = 1 << 14;

/// Where people come from.
#[derive(Debug, Default)]
pub(crate) struct Known {
    sources: Mutex<Sources>,
}

#[derive(Debug, Default)]
struct Sources {
    logged_in: HashMap<IpAddr, Instant>,
    leased: HashSet<IpAddr>,
}

impl Known {
    /// Whether people come from there.
    pub(crate) fn contains(&self, source: IpAddr) -> bool {
        let source = network(source);
        let sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        sources.leased.contains(&source) || sources.logged_in.contains_key(&source)
    }

    /// Somebody has proven both factors from there.
    pub(crate) fn logged_in(&self, source: IpAddr, now: Instant) {
        let source = network(source);
        let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        if sources.logged_in.len() >= MOST && !sources.logged_in.contains_key(&source) {
            let oldest = sources.logged_in.iter().min_by_key(|(_, at)| **at).map(|(source, _)| *source);
            if let Some(oldest) = oldest {
                sources.logged_in.remove(&oldest);
            }
        }
        sources.logged_in.insert(source, now);
    }

    /// The sources for which a lease counts now, in place of those before.
    pub(crate) fn leased(&self, leases: impl IntoIterator<Item = IpAddr>) {
        let leased = leases.into_iter().map(network).take(MOST).collect();
        self.sources.lock().unwrap_or_else(PoisonError::into_inner).leased = leased;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(n: u32) -> IpAddr {
        IpAddr::from(n.to_be_bytes())
    }

    #[test]
    fn a_lease_makes_a_source_known_as_long_as_it_counts_and_a_login_makes_it_known_for_good() {
        let known = Known::default();
        assert!(!known.contains(source(1)));
        known.leased([source(1)]);
        assert!(known.contains(source(1)));
        known.logged_in(source(2), Instant::now());
        known.leased([]);
        assert!(!known.contains(source(1)) && known.contains(source(2)));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let (known, start) = (Known::default(), Instant::now());
        for n in 0..20_000 {
            known.logged_in(source(n), start + std::time::Duration::from_millis(u64::from(n)));
        }
        assert!(!known.contains(source(0)) && known.contains(source(19_999)));
        assert_eq!(known.sources.lock().unwrap_or_else(PoisonError::into_inner).logged_in.len(), MOST);
    }
}
