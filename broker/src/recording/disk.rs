//! How full the disk of the recordings is: three warnings, a forecast, and the mark below which nothing begins.

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::clock;
use super::reserve::Reserve;
use crate::audit::AuditEvent;
use crate::config::RecordingConfig;

/// How full the disk is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DiskLevel {
    /// Room enough.
    Ok,
    /// Below the first mark.
    Low,
    /// Below the second mark.
    VeryLow,
    /// Below the last mark: no session begins.
    Critical,
}

impl DiskLevel {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Low => "low",
            Self::VeryLow => "very-low",
            Self::Critical => "critical",
        }
    }

    fn gauged(self) -> f64 {
        match self {
            Self::Ok => 0.0,
            Self::Low => 1.0,
            Self::VeryLow => 2.0,
            Self::Critical => 3.0,
        }
    }
}

/// What is known about the space for recordings.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DiskSpace {
    /// How full it is.
    pub level: DiskLevel,
    /// Bytes that the broker may still write.
    pub free: u64,
    /// Bytes that the disk loses in an hour, as of late; zero when it does not fill.
    pub per_hour: u64,
    /// When no session can begin any more at this pace.
    pub full_at: Option<Timestamp>,
}

/// Why no session can begin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DiskLow {
    /// There is too little room.
    #[error("the disk of the recordings has {free} bytes left; new sessions need {needed}")]
    Critical {
        /// Bytes left.
        free: u64,
        /// The last mark.
        needed: u64,
    },
    /// What is left was kept for emergencies.
    #[error("what room is left on the disk of the recordings is kept for emergencies")]
    Kept,
    /// Nobody knows how much room there is.
    #[error("the disk of the recordings does not answer: {0}")]
    Unknown(String),
}

/// Looks at how full it is.
#[derive(Debug)]
pub(super) struct SpaceWatch {
    folder: PathBuf,
    low: u64,
    very_low: u64,
    critical: u64,
    trend: Mutex<Trend>,
}

#[derive(Debug)]
struct Trend {
    level: DiskLevel,
    reserve_open: bool,
    /// Free bytes at monotonic times, the oldest first, over at most an hour.
    samples: VecDeque<(u64, u64)>,
}

impl SpaceWatch {
    pub(super) fn new(config: &RecordingConfig) -> Self {
        Self {
            folder: config.dir.clone(),
            low: config.warn_below,
            very_low: config.low_below,
            critical: config.critical_below,
            trend: Mutex::new(Trend { level: DiskLevel::Ok, reserve_open: false, samples: VecDeque::new() }),
        }
    }

    pub(super) fn may_start(&self) -> Result<(), DiskLow> {
        let free = self.free().map_err(|error| DiskLow::Unknown(error.to_string()))?;
        if free < self.critical {
            return Err(DiskLow::Critical { free, needed: self.critical });
        }
        Ok(())
    }

    /// Whether an emergency can begin below the last mark, once the reserve has given what it has to give at first.
    pub(super) fn may_start_on(&self, reserve: &Reserve) -> Result<(), DiskLow> {
        const LEAST: u64 = 1 << 20;
        let free = reserve.make_room(|| self.free()).map_err(|error| DiskLow::Unknown(error.to_string()))?;
        if free < LEAST {
            return Err(DiskLow::Critical { free, needed: LEAST });
        }
        Ok(())
    }

    /// Looks after the reserve, and says what the auditor must know when it was opened.
    pub(super) fn tend(&self, reserve: &Reserve) -> io::Result<Option<AuditEvent>> {
        reserve.tend(|| self.free(), self.very_low, self.critical)?;
        let (left, open) = (reserve.left(), reserve.is_open());
        gauge("sallyport_recording_reserve_bytes", left);
        gauge("sallyport_recording_reserve_open", u64::from(open));
        let before = {
            let mut trend = self.trend.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut trend.reserve_open, open)
        };
        if before == open {
            return Ok(None);
        }
        if open {
            tracing::warn!(left, "The reserve for emergencies was opened: ordinary sessions cannot be recorded");
        } else {
            tracing::info!(left, "The reserve for emergencies is closed again");
        }
        Ok(open.then_some(AuditEvent::ReserveOpened { left_bytes: left }))
    }

    pub(super) fn space(&self) -> io::Result<DiskSpace> {
        let free = self.free()?;
        let trend = self.trend.lock().unwrap_or_else(PoisonError::into_inner);
        let per_hour = trend.per_hour();
        Ok(DiskSpace { level: self.level(free), free, per_hour, full_at: self.full_at(free, per_hour) })
    }

    /// Looks again, and says what the auditor must know when a mark was crossed.
    pub(super) fn look(&self, written: u64) -> io::Result<Option<AuditEvent>> {
        let free = self.free()?;
        let level = self.level(free);
        let (before, per_hour) = {
            let mut trend = self.trend.lock().unwrap_or_else(PoisonError::into_inner);
            trend.sample(clock::now().monotonic_micros, free);
            (std::mem::replace(&mut trend.level, level), trend.per_hour())
        };
        gauge("sallyport_recording_free_bytes", free);
        gauge("sallyport_recording_critical_bytes", self.critical);
        metrics::gauge!("sallyport_recording_disk_level").set(level.gauged());
        gauge("sallyport_recording_fill_bytes_per_hour", per_hour);
        metrics::counter!("sallyport_recording_written_bytes_total").absolute(written);
        if before == level {
            return Ok(None);
        }
        let full_at = self.full_at(free, per_hour);
        if level > before {
            let forecast = full_at.map(|at| at.to_string()).unwrap_or_default();
            tracing::warn!(level = level.as_str(), free, per_hour, full_at = forecast, "The disk of recordings fills");
        } else {
            tracing::info!(level = level.as_str(), free, "The disk of recordings has room again");
        }
        Ok(Some(AuditEvent::DiskWatermark { level: level.as_str().to_owned(), free_bytes: free, full_at }))
    }

    pub(super) fn free(&self) -> io::Result<u64> {
        let space = rustix::fs::statvfs(&self.folder)?;
        Ok(space.f_bavail.saturating_mul(space.f_frsize))
    }

    fn level(&self, free: u64) -> DiskLevel {
        if free < self.critical {
            DiskLevel::Critical
        } else if free < self.very_low {
            DiskLevel::VeryLow
        } else if free < self.low {
            DiskLevel::Low
        } else {
            DiskLevel::Ok
        }
    }

    fn full_at(&self, free: u64, per_hour: u64) -> Option<Timestamp> {
        const FAR: u64 = 10 * 365 * 24;
        let left = free.saturating_sub(self.critical);
        let hours = left.checked_div(per_hour).filter(|hours| *hours < FAR)?;
        let seconds = left.saturating_mul(3600) / per_hour;
        let seconds = if hours > 1000 { hours * 3600 } else { seconds };
        Timestamp::now().checked_add(SignedDuration::from_secs(i64::try_from(seconds).ok()?)).ok()
    }
}

impl Trend {
    fn sample(&mut self, now: u64, free: u64) {
        const EVERY: u64 = 60_000_000;
        const WINDOW: u64 = 3_600_000_000;
        if self.samples.back().is_some_and(|(at, _)| now.saturating_sub(*at) < EVERY) {
            return;
        }
        self.samples.push_back((now, free));
        while self.samples.front().is_some_and(|(at, _)| now.saturating_sub(*at) > WINDOW) {
            self.samples.pop_front();
        }
    }

    fn per_hour(&self) -> u64 {
        let (Some((from, before)), Some((to, after))) = (self.samples.front(), self.samples.back()) else { return 0 };
        let time = Duration::from_micros(to.saturating_sub(*from)).as_micros();
        let filled = u128::from(before.saturating_sub(*after));
        (filled * 3_600_000_000).checked_div(time).and_then(|rate| u64::try_from(rate).ok()).unwrap_or(0)
    }
}

fn gauge(name: &'static str, value: u64) {
    // Bytes beyond 2^53 lose their last digits in a gauge; nobody looks at those.
    #[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
    metrics::gauge!(name).set(value as f64);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk() -> SpaceWatch {
        SpaceWatch {
            folder: PathBuf::from("/"),
            low: 300,
            very_low: 200,
            critical: 100,
            trend: Mutex::new(Trend { level: DiskLevel::Ok, reserve_open: false, samples: VecDeque::new() }),
        }
    }

    #[test]
    fn three_marks_make_three_warnings() {
        let levels: Vec<&str> = [300, 299, 199, 99].into_iter().map(|free| disk().level(free).as_str()).collect();
        assert_eq!(levels, ["ok", "low", "very-low", "critical"]);
    }

    #[test]
    fn the_forecast_follows_the_last_hour() {
        let mut trend = Trend { level: DiskLevel::Ok, reserve_open: false, samples: VecDeque::new() };
        assert_eq!(trend.per_hour(), 0);
        for minute in 0..120 {
            trend.sample(minute * 60_000_000, 1_000_000 - minute * 100);
            trend.sample(minute * 60_000_000 + 1, 0);
        }
        assert_eq!(trend.per_hour(), 6000);
        assert!(trend.samples.len() <= 61);
        let disk = disk();
        let full_at = disk.full_at(12_100, 6000).map(|at| (at.duration_since(Timestamp::now()).as_secs() + 30) / 60);
        assert_eq!(full_at, Some(120));
        assert_eq!(disk.full_at(12_100, 0), None);
    }
}
