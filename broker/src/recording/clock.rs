//! The one place where the recorder's time comes from.

use std::sync::LazyLock;
use std::time::Instant;

use jiff::Timestamp;
use sallyport_session_recorder::Moment;

static ORIGIN: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Now, by the calendar and by a clock that never jumps.
#[must_use]
pub(crate) fn now() -> Moment {
    Moment {
        monotonic_micros: u64::try_from(ORIGIN.elapsed().as_micros()).unwrap_or(u64::MAX),
        unix_micros: Timestamp::now().as_microsecond(),
    }
}
