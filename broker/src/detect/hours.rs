//! The hours of the week in which somebody usually changes things, as the audit chain has them.

use jiff::tz::TimeZone;
use jiff::{Span, Timestamp, ToSpan as _};

/// Hours of the week, in UTC, from Monday 00:00.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hours([bool; HOURS]);

/// A session in which somebody may have changed something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Worked {
    pub(super) from: Timestamp,
    pub(super) until: Timestamp,
}

impl Hours {
    /// What is usual by these sessions, if they tell enough: as many as [`LEAST_SESSIONS`], the first of them [`LEAST_DAYS`] ago.
    pub(super) fn learned(sessions: &[Worked], now: Timestamp) -> Option<Self> {
        let first = sessions.iter().map(|session| session.from).min()?;
        if sessions.len() < LEAST_SESSIONS || now.duration_since(first).as_hours() < LEAST_DAYS * 24 {
            return None;
        }
        let mut hours = Self([false; HOURS]);
        for session in sessions {
            // A session that is left open over the weekend does not make the weekend usual.
            let mut at = session.from;
            for _ in 0..LONGEST_HOURS {
                hours.0[hour_of_week(at)] = true;
                at = at.checked_add(1.hour()).unwrap_or(session.until);
                if at > session.until {
                    break;
                }
            }
        }
        Some(hours)
    }

    /// Whether this hour, the one before it or the one after it has seen work: summer time moves everybody by one.
    pub(super) fn are_usual_at(&self, at: Timestamp) -> bool {
        let hour = hour_of_week(at);
        [HOURS - 1, 0, 1].iter().any(|step| self.0[(hour + step) % HOURS])
    }
}

/// The hour of the week in words.
pub(super) fn hour_in_words(at: Timestamp) -> String {
    at.to_zoned(TimeZone::UTC).strftime("%A %H:00 UTC").to_string()
}

/// From when on sessions are looked at.
pub(super) fn looked_back() -> Span {
    (LOOKED_BACK_DAYS * 24).hours()
}

/// Until when: what somebody does today is not usual today.
pub(super) fn not_of_today() -> Span {
    24.hours()
}

fn hour_of_week(at: Timestamp) -> usize {
    let at = at.to_zoned(TimeZone::UTC);
    let day = usize::try_from(at.weekday().to_monday_zero_offset()).unwrap_or(0);
    day * 24 + usize::try_from(at.hour()).unwrap_or(0)
}

const HOURS: usize = 7 * 24;
/// Fewer tell of no habit.
pub(super) const LEAST_SESSIONS: usize = 20;
/// Two weeks: each hour of the week was there twice.
const LEAST_DAYS: i64 = 14;
const LOOKED_BACK_DAYS: i64 = 90;
/// What of one session counts as work.
const LONGEST_HOURS: u32 = 12;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    /// Mornings of working days, 06:10 to 07:40, from Monday the 2nd of November on.
    fn mornings(count: i64) -> Vec<Worked> {
        let days = (0..).filter(|day| day % 7 < 5).take(usize::try_from(count).unwrap());
        days.map(|day: i64| {
            let from = at("2026-11-02T06:10:00Z").checked_add((day * 24).hours()).unwrap();
            Worked { from, until: from.checked_add(90.minutes()).unwrap() }
        })
        .collect()
    }

    #[test]
    fn too_few_sessions_and_too_short_a_time_tell_of_no_habit() {
        let now = at("2026-11-30T12:00:00Z");
        assert_eq!(Hours::learned(&mornings(19), now), None, "one too few");
        assert!(Hours::learned(&mornings(20), now).is_some());
        let (almost, fortnight) = (at("2026-11-16T06:09:59Z"), at("2026-11-16T06:10:00Z"));
        assert_eq!(Hours::learned(&mornings(20), almost), None, "not two weeks");
        assert!(Hours::learned(&mornings(20), fortnight).is_some());
        assert_eq!(Hours::learned(&[], now), None);
    }

    #[test]
    fn an_hour_beside_the_usual_ones_is_usual_and_two_hours_are_not() {
        let hours = Hours::learned(&mornings(20), at("2026-11-30T12:00:00Z")).unwrap();
        for (when, usual) in [
            ("2026-12-01T06:30:00Z", true),
            ("2026-12-01T05:00:00Z", true),
            ("2026-12-01T04:59:59Z", false),
            ("2026-12-01T08:59:59Z", true),
            ("2026-12-01T09:00:00Z", false),
            ("2026-12-05T06:30:00Z", false),
        ] {
            assert_eq!(hours.are_usual_at(at(when)), usual, "{when}: {}", hour_in_words(at(when)));
        }
        assert_eq!(hour_in_words(at("2026-12-05T03:30:00Z")), "Saturday 03:00 UTC");
    }

    #[test]
    fn the_week_is_a_ring_and_a_session_left_open_makes_nothing_usual() {
        let mut sessions = mornings(20);
        sessions.push(Worked { from: at("2026-11-06T06:10:00Z"), until: at("2026-11-09T06:10:00Z") });
        let hours = Hours::learned(&sessions, at("2026-11-30T12:00:00Z")).unwrap();
        assert!(hours.are_usual_at(at("2026-12-04T17:30:00Z")), "twelve hours of it count");
        assert!(!hours.are_usual_at(at("2026-12-06T12:00:00Z")), "Sunday");
        let mut late = mornings(20);
        late.push(Worked { from: at("2026-11-15T23:10:00Z"), until: at("2026-11-15T23:20:00Z") });
        let hours = Hours::learned(&late, at("2026-11-30T12:00:00Z")).unwrap();
        assert!(hours.are_usual_at(at("2026-11-30T00:30:00Z")), "Sunday 23:00 is beside Monday 00:00");
    }
}
