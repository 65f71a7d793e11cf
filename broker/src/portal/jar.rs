//! What goes with a cookie: so many, and no longer than they may.
//!
//! A cookie is 32 random bytes. Here it is kept as SHA-256: neither a copy of this memory nor the time of a look tells one that counts.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sallyport_policy::IdentityId;

use super::cookie::{Cookie, Print};

/// How many, and for how long.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// In all; of more, the one that was used longest ago goes.
    pub(super) most: usize,
    /// Of one person, likewise.
    pub(super) most_of_one: usize,
    /// Since the last use.
    pub(super) idle: Duration,
    /// Since the begin.
    pub(super) longest: Duration,
}

/// Things that go with cookies.
#[derive(Debug)]
pub(super) struct Jar<T> {
    bounds: Bounds,
    kept: Mutex<HashMap<Print, Kept<T>>>,
}

#[derive(Debug)]
struct Kept<T> {
    identity: IdentityId,
    begun: Instant,
    used: Instant,
    thing: T,
}

impl<T> Jar<T> {
    pub(super) fn new(bounds: Bounds) -> Self {
        Self { bounds, kept: Mutex::default() }
    }

    /// Keeps a thing of somebody, under a cookie that nobody has had before.
    pub(super) fn keep(&self, identity: IdentityId, thing: T, now: Instant) -> Cookie {
        let cookie = Cookie::random();
        let mut kept = self.lock();
        let mut gone = Vec::new();
        while let Some(print) = self.bounds.crowded(&kept, &identity) {
            gone.extend(kept.remove(&print));
        }
        kept.insert(cookie.print(), Kept { identity, begun: now, used: now, thing });
        drop(kept);
        // What goes may say so, and not under the lock.
        drop(gone);
        cookie
    }

    /// What goes with a cookie, taken out. Whoever asks at the same time finds nothing.
    pub(super) fn take(&self, cookie: &Cookie, now: Instant) -> Option<Taken<T>> {
        let kept = self.lock().remove(&cookie.print())?;
        if !self.bounds.counts(&kept, now) {
            return None;
        }
        let Kept { identity, begun, thing, .. } = kept;
        Some(Taken { print: cookie.print(), identity, begun, thing })
    }

    /// Puts back what was taken out, under its cookie and with its age.
    pub(super) fn put_back(&self, taken: Taken<T>, now: Instant) {
        let Taken { print, identity, begun, thing } = taken;
        self.lock().insert(print, Kept { identity, begun, used: now, thing });
    }

    /// Ends what goes with a cookie.
    pub(super) fn end(&self, cookie: &Cookie) {
        let gone = self.lock().remove(&cookie.print());
        drop(gone);
    }

    /// Drops what has run out.
    pub(super) fn sweep(&self, now: Instant) {
        let mut kept = self.lock();
        let over: Vec<Print> =
            kept.iter().filter(|(_, kept)| !self.bounds.counts(kept, now)).map(|(print, _)| *print).collect();
        let gone: Vec<Kept<T>> = over.iter().filter_map(|print| kept.remove(print)).collect();
        drop(kept);
        drop(gone);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Print, Kept<T>>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Jar<T> {
    /// Puts another thing in the place of what goes with a cookie: it lasts no longer for that. Nothing where nothing goes with it.
    pub(super) fn replace(&self, cookie: &Cookie, thing: T, now: Instant) {
        let mut all = self.lock();
        let Some(kept) = all.get_mut(&cookie.print()).filter(|kept| self.bounds.counts(kept, now)) else { return };
        kept.used = now;
        let before = std::mem::replace(&mut kept.thing, thing);
        drop(all);
        drop(before);
    }
}

impl<T: Clone> Jar<T> {
    /// What goes with a cookie.
    pub(super) fn look(&self, cookie: &Cookie, now: Instant, used: bool) -> Option<T> {
        let mut all = self.lock();
        let kept = all.get_mut(&cookie.print())?;
        if !self.bounds.counts(kept, now) {
            let gone = all.remove(&cookie.print());
            drop(all);
            drop(gone);
            return None;
        }
        if used {
            kept.used = now;
        }
        Some(kept.thing.clone())
    }
}

/// What was taken out for a moment.
#[derive(Debug)]
pub(super) struct Taken<T> {
    print: Print,
    identity: IdentityId,
    begun: Instant,
    pub(super) thing: T,
}

impl<T> Taken<T> {
    /// The thing, and what is needed to put another in its place.
    pub(super) fn open(self) -> (T, Taken<()>) {
        let Self { print, identity, begun, thing } = self;
        (thing, Taken { print, identity, begun, thing: () })
    }

    /// The same place, with this in it.
    pub(super) fn with<Other>(self, thing: Other) -> Taken<Other> {
        Taken { print: self.print, identity: self.identity, begun: self.begun, thing }
    }
}

impl Bounds {
    fn counts<T>(&self, kept: &Kept<T>, now: Instant) -> bool {
        now.saturating_duration_since(kept.used) < self.idle && now.saturating_duration_since(kept.begun) < self.longest
    }

    /// Who must go before another of this person's can be kept, if anybody must.
    fn crowded<T>(&self, kept: &HashMap<Print, Kept<T>>, identity: &IdentityId) -> Option<Print> {
        let oldest = |of: Option<&IdentityId>| {
            let mine = kept.iter().filter(|(_, kept)| of.is_none_or(|of| kept.identity == *of));
            mine.min_by_key(|(print, kept)| (kept.used, **print)).map(|(print, _)| *print)
        };
        if kept.values().filter(|kept| kept.identity == *identity).count() >= self.most_of_one {
            return oldest(Some(identity));
        }
        if kept.len() >= self.most { oldest(None) } else { None }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    use super::*;

    const BOUNDS: Bounds =
        Bounds { most: 8, most_of_one: 3, idle: Duration::from_secs(60), longest: Duration::from_secs(600) };

    fn person(name: &str) -> IdentityId {
        name.parse().unwrap()
    }

    #[test]
    fn a_thing_counts_until_it_is_idle_or_old() {
        let (jar, begin) = (Jar::new(BOUNDS), Instant::now());
        let cookie = jar.keep(person("alice"), 7, begin);
        for minute in 1..=10 {
            let now = begin + Duration::from_secs(59 * minute);
            assert_eq!(jar.look(&cookie, now, true), Some(7));
        }
        assert_eq!(jar.look(&cookie, begin + Duration::from_secs(600), true), None, "old");
        let cookie = jar.keep(person("alice"), 8, begin);
        // Looking without use keeps nothing alive.
        assert_eq!(jar.look(&cookie, begin + Duration::from_secs(59), false), Some(8));
        assert_eq!(jar.look(&cookie, begin + Duration::from_secs(60), false), None, "idle");
        assert_eq!(jar.lock().len(), 0);
    }

    #[test]
    fn another_cookie_finds_nothing_and_what_was_ended_is_gone() {
        let (jar, now) = (Jar::new(BOUNDS), Instant::now());
        let cookie = jar.keep(person("alice"), 7, now);
        assert_eq!(jar.look(&Cookie::random(), now, true), None);
        jar.end(&cookie);
        assert_eq!(jar.look(&cookie, now, true), None);
    }

    #[test]
    fn of_too_many_the_one_used_longest_ago_goes_of_their_own_first() {
        let (jar, begin) = (Jar::new(BOUNDS), Instant::now());
        let at = |second| begin + Duration::from_secs(second);
        let bob = jar.keep(person("bob"), 0, at(0));
        let mine: Vec<Cookie> = (1..=3).map(|n| jar.keep(person("alice"), n, at(n))).collect();
        jar.look(&mine[0], at(4), true).unwrap();
        jar.keep(person("alice"), 4, at(5));
        assert_eq!(jar.look(&mine[1], at(6), false), None);
        assert!(jar.look(&mine[0], at(6), false).is_some() && jar.look(&bob, at(6), false).is_some());
        for n in 10..20 {
            jar.keep(person(&format!("p{n}")), n, at(n));
        }
        assert_eq!(jar.lock().len(), BOUNDS.most);
        assert_eq!(jar.look(&bob, at(21), false), None);
    }

    #[test]
    fn what_is_taken_out_is_there_for_nobody_else_and_keeps_its_age() {
        let (jar, begin) = (Jar::new(BOUNDS), Instant::now());
        let cookie = jar.keep(person("alice"), 7, begin);
        let taken = jar.take(&cookie, begin).unwrap();
        assert!(jar.take(&cookie, begin).is_none());
        jar.put_back(taken, begin + Duration::from_secs(599));
        assert!(jar.take(&cookie, begin + Duration::from_secs(600)).is_none());
    }

    #[test]
    fn what_is_put_in_the_place_of_another_lasts_no_longer_than_that() {
        let (jar, begin) = (Jar::new(BOUNDS), Instant::now());
        let cookie = jar.keep(person("alice"), 7, begin);
        jar.replace(&Cookie::random(), 9, begin);
        for minute in 1..=9 {
            jar.replace(&cookie, 8, begin + Duration::from_secs(59 * minute));
        }
        assert_eq!(jar.look(&cookie, begin + Duration::from_secs(599), false), None, "idle");
        let cookie = jar.keep(person("alice"), 7, begin);
        (1..=10).for_each(|minute| jar.replace(&cookie, minute, begin + Duration::from_secs(59 * minute)));
        assert_eq!(jar.look(&cookie, begin + Duration::from_secs(599), false), Some(10));
        assert_eq!(jar.look(&cookie, begin + Duration::from_secs(600), false), None, "old");
        jar.replace(&cookie, 11, begin + Duration::from_secs(600));
        assert_eq!(jar.lock().len(), 0);
    }

    #[test]
    fn what_has_run_out_is_swept() {
        let (jar, begin) = (Jar::new(BOUNDS), Instant::now());
        let cookie = jar.keep(person("alice"), 7, begin);
        jar.sweep(begin + Duration::from_secs(59));
        assert!(jar.look(&cookie, begin + Duration::from_secs(59), false).is_some());
        jar.sweep(begin + Duration::from_secs(60));
        assert_eq!(jar.lock().len(), 0);
    }
}
