//! From where each person's sessions come that live now, on whichever broker: one person is in one place.

use std::collections::HashMap;
use std::net::IpAddr;

use sallyport_policy::Network;

use super::fact::Who;

/// The sessions that live now.
#[derive(Debug)]
pub(super) struct Places {
    /// Networks of which any two addresses are one place.
    together: Vec<Vec<Network>>,
    live: HashMap<String, Living>,
    /// What was told, and when, in microseconds.
    told: HashMap<String, i64>,
}

/// A live session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Living {
    pub(super) who: Who,
    pub(super) broker: String,
    /// When it began, in microseconds.
    pub(super) at: i64,
}

/// Somebody is in two places.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Elsewhere {
    pub(super) session: String,
    pub(super) source: String,
    pub(super) broker: String,
}

impl Places {
    /// `together`: lists of networks, each list one place.
    pub(super) fn new(together: Vec<Vec<Network>>) -> Self {
        Self { together, live: HashMap::new(), told: HashMap::new() }
    }

    /// A session began: another of the same person's in another place, unless these two places were told within a day.
    pub(super) fn began(&mut self, session: &str, living: Living) -> Option<Elsewhere> {
        let now = living.at;
        self.make_room(now);
        let elsewhere = self
            .live
            .iter()
            .filter(|(_, other)| other.who.identity == living.who.identity)
            .filter(|(_, other)| now.saturating_sub(other.at) < FORGOTTEN_AFTER)
            .find(|(_, other)| !self.is_one_place(&other.who.source, &living.who.source));
        let elsewhere = elsewhere.map(|(id, other)| Elsewhere {
            session: id.clone(),
            source: other.who.source.clone(),
            broker: other.broker.clone(),
        });
        let told = elsewhere.filter(|other| {
            let mut pair = [place(&other.source), place(&living.who.source)];
            pair.sort();
            let key = format!("{} {} {}", living.who.identity, pair[0], pair[1]);
            let again = self.told.get(&key).is_none_or(|before| now.saturating_sub(*before) >= TOLD_AGAIN_AFTER);
            if again {
                self.told.insert(key, now);
            }
            again
        });
        self.live.insert(session.to_owned(), living);
        told
    }

    /// A session is over.
    pub(super) fn ended(&mut self, session: &str) {
        self.live.remove(session);
    }

    fn is_one_place(&self, one: &str, other: &str) -> bool {
        let (Ok(one), Ok(other)) = (one.parse::<IpAddr>(), other.parse::<IpAddr>()) else { return true };
        let (one, other) = (one.to_canonical(), other.to_canonical());
        let within = |networks: &Vec<Network>, address| networks.iter().any(|network| network.contains(address));
        near(one) == near(other) || self.together.iter().any(|list| within(list, one) && within(list, other))
    }

    fn make_room(&mut self, now: i64) {
        if self.live.len() >= MOST_LIVE {
            self.live.retain(|_, living| now.saturating_sub(living.at) < FORGOTTEN_AFTER);
            // The oldest: of whom came last the others are looked for.
            while self.live.len() >= MOST_LIVE {
                let oldest = self.live.iter().min_by_key(|(_, living)| living.at).map(|(id, _)| id.clone());
                let Some(oldest) = oldest else { break };
                self.live.remove(&oldest);
            }
        }
        if self.told.len() >= MOST_TOLD {
            self.told.retain(|_, at| now.saturating_sub(*at) < TOLD_AGAIN_AFTER);
            if self.told.len() >= MOST_TOLD {
                self.told.clear();
            }
        }
    }
}

fn place(source: &str) -> String {
    source.parse::<IpAddr>().map_or_else(|_| source.to_owned(), |address| near(address.to_canonical()).to_string())
}

/// What is near: the /24 of an IPv4 address, the /48 of an IPv6 one, which is what one site is given.
fn near(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(address) => std::net::Ipv4Addr::from_bits(address.to_bits() & !0xFF).into(),
        IpAddr::V6(address) => std::net::Ipv6Addr::from_bits(address.to_bits() >> 80 << 80).into(),
    }
}

const MOST_LIVE: usize = 8192;
const MOST_TOLD: usize = 4096;
/// In microseconds: an end that never entered the chain must not keep somebody in a place for ever.
const FORGOTTEN_AFTER: i64 = 24 * 3600 * 1_000_000;
/// In microseconds.
const TOLD_AGAIN_AFTER: i64 = 24 * 3600 * 1_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3600 * 1_000_000;

    fn living(identity: &str, source: &str, at: i64) -> Living {
        let who = Who { identity: identity.to_owned(), source: source.to_owned() };
        Living { who, broker: "gate-1".to_owned(), at }
    }

    fn places(together: &[&[&str]]) -> Places {
        let lists = together.iter().map(|list| list.iter().filter_map(|text| text.parse().ok()).collect());
        Places::new(lists.collect())
    }

    #[test]
    fn two_places_at_once_are_told_once_a_day_and_one_place_is_not() {
        let mut places = places(&[]);
        assert_eq!(places.began("a", living("alice", "10.0.1.7", 0)), None);
        assert_eq!(places.began("b", living("alice", "10.0.1.200", 1)), None, "the same /24");
        assert_eq!(places.began("c", living("bob", "192.0.2.1", 1)), None, "somebody else");
        let told = places.began("d", living("alice", "192.0.2.1", HOUR));
        assert!(told.is_some_and(|other| other.source.starts_with("10.0.1.") && other.broker == "gate-1"));
        assert_eq!(places.began("e", living("alice", "192.0.2.9", 2 * HOUR)), None, "told already");
        places.ended("a");
        places.ended("b");
        assert_eq!(places.began("f", living("alice", "192.0.2.1", 25 * HOUR)), None, "the other place is left");
        assert_eq!(places.began("g", living("alice", "10.0.1.7", 25 * HOUR - 1)), None, "not yet a day");
        assert!(places.began("h", living("alice", "10.0.1.7", 25 * HOUR)).is_some(), "another day");
    }

    #[test]
    fn networks_that_belong_together_are_one_place_and_v6_is_told_apart_by_site() {
        let mut places = places(&[&["10.0.0.0/16", "192.0.2.0/24"], &["198.51.100.0/24"]]);
        assert_eq!(places.began("a", living("alice", "10.0.1.7", 0)), None);
        assert_eq!(places.began("b", living("alice", "192.0.2.1", 1)), None);
        assert!(places.began("c", living("alice", "198.51.100.1", 2)).is_some(), "another list");
        assert_eq!(places.began("d", living("bob", "2001:db8:1:2::1", 0)), None);
        assert_eq!(places.began("e", living("bob", "2001:db8:1:3::1", 1)), None);
        assert!(places.began("f", living("bob", "2001:db8:2:2::1", 2)).is_some());
        assert_eq!(places.began("g", living("carla", "10.0.1.7", 0)), None);
        assert_eq!(places.began("h", living("carla", "::ffff:10.0.1.8", 1)), None, "the same address in other words");
    }

    #[test]
    fn sessions_without_an_end_are_forgotten_and_none_of_it_grows_without_bound() {
        let mut places = places(&[]);
        assert_eq!(places.began("a", living("alice", "10.0.1.7", 0)), None);
        assert_eq!(places.began("b", living("alice", "192.0.2.1", 24 * HOUR)), None);
        for n in 0..MOST_LIVE + 100 {
            drop(places.began(&format!("s{n}"), living(&format!("i{n}"), "10.0.1.7", 24 * HOUR)));
        }
        assert!(places.live.len() <= MOST_LIVE);
    }
}
