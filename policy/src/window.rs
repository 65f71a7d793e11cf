//! Time windows on the wall clock of a place, to the second and across daylight-saving changes.
//!
//! A window belongs to the day it begins on and is one unbroken stretch of time:
//!
//! * it begins at `from` and ends at the next `to`: on the same day, or on the day after if `to` is not later than `from`;
//! * a boundary that the wall clock skips that day (clocks go forward over it) is the instant of the change;
//! * a boundary that the wall clock shows twice that day (clocks go back over it) is its first showing.
//!
//! So windows that meet on the wall clock meet in time as well, every day of the year: nothing between them is lost or
//! doubled. The end itself is outside.

use std::fmt;

use jiff::civil::{Date, DateTime, Time, Weekday};
use jiff::tz::{AmbiguousOffset, Offset, TimeZone};
use jiff::{Span, Timestamp};
use serde::{Deserialize, Serialize};

/// The windows of a grant. It holds while one of them is open.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(transparent)]
pub struct When(Vec<Window>);

/// An unbroken stretch of time; its end is outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Stretch {
    /// The first moment of it.
    pub from: Timestamp,
    /// The first moment after it.
    pub until: Timestamp,
}

impl Stretch {
    /// All of time.
    pub const ALWAYS: Self = Self { from: Timestamp::MIN, until: Timestamp::MAX };

    /// Is this moment within?
    pub fn contains(self, at: Timestamp) -> bool {
        self.from <= at && at < self.until
    }
}

impl fmt::Display for Stretch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "from {} until {}", self.from, self.until)
    }
}

/// Steps taken to follow windows that meet, as night shift to day shift. A month of days; then the session ends or is decided anew.
const MEETING_WINDOWS: usize = 31;

impl When {
    /// These windows. Sorted, so that two that were written in another order are equal.
    pub(crate) fn new(mut windows: Vec<Window>) -> Self {
        windows.sort_by_key(ToString::to_string);
        windows.dedup();
        Self(windows)
    }

    /// When the time that is open now ends: to the second, and over windows that meet. `None` if none is open.
    pub fn open_until(&self, now: Timestamp) -> Option<Timestamp> {
        let mut end = self.end_of_latest_at(now)?;
        for _ in 0..MEETING_WINDOWS {
            match self.end_of_latest_at(end) {
                Some(later) => end = later,
                None => break,
            }
        }
        Some(end)
    }

    /// The stretch that is open now, or else the next one to open; to the second, and over windows that meet.
    ///
    /// A stretch that is open is given from the beginning of the window that began first: what met that one before is past.
    pub fn stretch(&self, now: Timestamp) -> Option<Stretch> {
        if let Some(until) = self.open_until(now) {
            let from = self.0.iter().flat_map(|window| window.around(now)).filter(|stretch| stretch.contains(now));
            return Some(Stretch { from: from.map(|stretch| stretch.from).min()?, until });
        }
        let next = self.0.iter().filter_map(|window| window.next(now)).min()?;
        Some(Stretch { from: next, until: self.open_until(next)? })
    }

    fn end_of_latest_at(&self, now: Timestamp) -> Option<Timestamp> {
        self.0.iter().filter_map(|window| window.open_until(now)).max()
    }
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, window) in self.0.iter().enumerate() {
            if number > 0 {
                f.write_str(", or ")?;
            }
            write!(f, "{window}")?;
        }
        Ok(())
    }
}

/// Certain hours on certain days of the week.
#[derive(Debug, Clone, PartialEq)]
pub struct Window {
    pub(crate) days: Days,
    pub(crate) from: DayTime,
    pub(crate) to: DayTime,
    pub(crate) timezone: TimeZone,
}

impl Window {
    /// When the window that is open now ends; `None` if it is shut. One that began on an earlier day counts too.
    fn open_until(&self, now: Timestamp) -> Option<Timestamp> {
        self.around(now).filter(|stretch| stretch.contains(now)).map(|stretch| stretch.until).max()
    }

    /// The next moment after now at which it opens.
    fn next(&self, now: Timestamp) -> Option<Timestamp> {
        let today = self.timezone.to_datetime(now).date();
        // A window of one day of the week opens within a week; or within two, if a place skips that very day.
        let days = (-1..=DAYS_AHEAD).filter_map(|days| today.checked_add(Span::new().days(days)).ok());
        days.filter_map(|day| self.on(day)).map(|stretch| stretch.from).find(|from| now < *from)
    }

    /// The stretches that can hold this moment, and some that cannot.
    fn around(&self, now: Timestamp) -> impl Iterator<Item = Stretch> {
        let today = self.timezone.to_datetime(now).date();
        // Two days back, since a place can skip a whole day (Samoa did); one ahead costs nothing and forgets nothing.
        let days = [today.checked_sub(Span::new().days(2)), today.yesterday(), Ok(today), today.tomorrow()];
        days.into_iter().flatten().filter_map(|day| self.on(day))
    }

    /// The stretch that begins on this day, if one does; a clock that skips all of it leaves none.
    fn on(&self, day: Date) -> Option<Stretch> {
        if !self.days.has(day.weekday()) {
            return None;
        }
        let last = if self.to.0 > self.from.0 { day } else { day.tomorrow().ok()? };
        let from = instant(&self.timezone, self.from.on(day)?)?;
        let until = instant(&self.timezone, self.to.on(last)?)?;
        (from < until).then_some(Stretch { from, until })
    }
}

/// How far to look for the next opening of a window.
const DAYS_AHEAD: i64 = 16;

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}-{} {}", self.days, self.from, self.to, self.timezone.iana_name().unwrap_or("UTC"))
    }
}

impl Serialize for Window {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The instant at which the wall clock of a place first reaches a reading, or passes over it. `None` beyond the calendar's ends.
fn instant(timezone: &TimeZone, reading: DateTime) -> Option<Timestamp> {
    let at = |offset: Offset| offset.to_timestamp(reading).ok();
    match timezone.to_ambiguous_timestamp(reading).offset() {
        AmbiguousOffset::Unambiguous { offset } => at(offset),
        AmbiguousOffset::Fold { before, .. } => at(before),
        // Read with the later offset, a skipped reading lies just before the change that skips it.
        AmbiguousOffset::Gap { after, .. } => timezone.following(at(after)?).next().map(|change| change.timestamp()),
    }
}

/// Days of the week.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Days(u8);

const WEEK: [(&str, Weekday); 7] = [
    ("Mon", Weekday::Monday),
    ("Tue", Weekday::Tuesday),
    ("Wed", Weekday::Wednesday),
    ("Thu", Weekday::Thursday),
    ("Fri", Weekday::Friday),
    ("Sat", Weekday::Saturday),
    ("Sun", Weekday::Sunday),
];

impl Days {
    /// Every day.
    pub const ALL: Self = Self(0b111_1111);

    /// Reads `Mon-Fri`, `Sat,Sun`, `Fri-Mon`, `Mon-Wed, Sat`; or says which words are no days.
    pub(crate) fn parse(text: &str) -> Result<Self, Vec<String>> {
        let mut days = 0;
        let mut wrong: Vec<String> = Vec::new();
        for part in text.split(',').map(str::trim) {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let ends = [first.trim(), last.trim()].map(|word| day_number(word).ok_or(word));
            let (Ok(mut day), Ok(last)) = (ends[0], ends[1]) else {
                wrong.extend(ends.into_iter().filter_map(Result::err).map(str::to_owned));
                continue;
            };
            loop {
                days |= 1 << day;
                if day == last {
                    break;
                }
                day = (day + 1) % 7;
            }
        }
        wrong.dedup();
        if wrong.is_empty() { Ok(Self(days)) } else { Err(wrong) }
    }

    /// Is this one of them?
    pub fn has(self, day: Weekday) -> bool {
        self.0 & (1 << day.to_monday_zero_offset()) != 0
    }
}

fn day_number(word: &str) -> Option<usize> {
    WEEK.iter().position(|(name, _)| name.eq_ignore_ascii_case(word))
}

impl fmt::Display for Days {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::ALL {
            return f.write_str("every day");
        }
        let names: Vec<&str> = WEEK.iter().filter(|(_, day)| self.has(*day)).map(|(name, _)| *name).collect();
        f.write_str(&names.join(","))
    }
}

/// A reading of the wall clock: seconds since midnight, `24:00` included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DayTime(u32);

impl DayTime {
    /// The end of the day, `24:00`.
    pub const END: Self = Self(86_400);
    /// The beginning of the day, `00:00`.
    pub const START: Self = Self(0);

    /// Reads `06:00` or `06:00:30`, up to `24:00`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let parts: Vec<u32> = text
            .split(':')
            .map(|part| {
                (part.len() == 2 && part.bytes().all(|b| b.is_ascii_digit())).then(|| part.parse().ok()).flatten()
            })
            .collect::<Option<_>>()?;
        let (hours, minutes, seconds) = match parts[..] {
            [hours, minutes] => (hours, minutes, 0),
            [hours, minutes, seconds] => (hours, minutes, seconds),
            _ => return None,
        };
        let total = hours * 3_600 + minutes * 60 + seconds;
        (minutes < 60 && seconds < 60 && total <= Self::END.0).then_some(Self(total))
    }

    fn on(self, day: Date) -> Option<DateTime> {
        if self == Self::END {
            return Some(day.tomorrow().ok()?.to_datetime(Time::midnight()));
        }
        let part = |n: u32| i8::try_from(n).ok();
        let time = Time::new(part(self.0 / 3_600)?, part(self.0 / 60 % 60)?, part(self.0 % 60)?, 0).ok()?;
        Some(day.to_datetime(time))
    }
}

impl fmt::Display for DayTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.0 / 3_600, self.0 / 60 % 60)?;
        if self.0.is_multiple_of(60) { Ok(()) } else { write!(f, ":{:02}", self.0 % 60) }
    }
}
