//! What ends a session from outside, whatever it carries: time, a switch that somebody threw, the recorder's failure.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;

use super::{Activity, InputHold, Record, Recorded, Trouble};
use crate::live::{End, Live, Times};

/// Before the end by time, the person is told, this long ahead.
const WARNINGS: [Duration; 2] = [Duration::from_secs(300), Duration::from_secs(60)];
/// A clock that jumps must not carry a session over its limit: look at least this often.
const LOOK_AGAIN: Duration = Duration::from_secs(15);

/// The limits of one running session.
pub(crate) struct Limits<'a> {
    recorded: &'a Recorded,
    times: watch::Receiver<Times>,
    trouble: watch::Receiver<Option<Trouble>>,
    sentences: watch::Receiver<Arc<str>>,
    activity: Activity,
    clock: Clock,
    input: InputHold,
    /// Since when the session is for looking on only, because its time is over.
    view_only_since: Option<Instant>,
    /// That the recorder failed was said: it is not due again.
    failed: bool,
}

/// What is due.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// The session must end.
    End(End),
    /// It ends by time in about so many minutes.
    Warning(u64),
    /// Its time is over: no input passes any more, and it ends like this after so long.
    ViewOnly(End, Duration),
    /// Its time was extended: input passes again.
    InputBack,
    /// Something is said to everybody.
    Sentence(Arc<str>),
    /// The recorder has failed, for this reason.
    RecorderFailed(String),
}

impl<'a> Limits<'a> {
    /// Of a session that runs, whose record this is.
    pub(crate) fn new(recorded: &'a Recorded, record: &Record) -> Self {
        Self {
            recorded,
            times: recorded.registered.live().times.subscribe(),
            trouble: record.trouble.subscribe(),
            sentences: recorded.broker().live.hear(),
            activity: record.activity.clone(),
            clock: Clock { started: Instant::now(), warned: 0 },
            input: record.input.clone(),
            view_only_since: None,
            failed: false,
        }
    }

    /// Waits for what is due next. Whoever stops waiting and asks again misses nothing.
    pub(crate) async fn due(&mut self) -> Due {
        let live: &Live = self.recorded.registered.live();
        loop {
            let times = *self.times.borrow_and_update();
            let now = self.recorded.authorized.broker.now();
            let look = self.clock.look(times, self.activity.idle_for(), now);
            let wake = match (look, self.view_only_since) {
                (Look::End(end), since) => {
                    match after_time(times.view_only_for, &end, since.map(|since| since.elapsed())) {
                        AfterTime::ViewOnly(grace) => {
                            self.input.hold();
                            self.view_only_since = Some(Instant::now());
                            return Due::ViewOnly(end, grace);
                        }
                        AfterTime::Wake(left) => left.min(LOOK_AGAIN),
                        AfterTime::End => return Due::End(end),
                    }
                }
                (Look::Wake(_) | Look::Warn(_), Some(_)) => {
                    self.view_only_since = None;
                    self.clock.warned = 0;
                    self.input.release();
                    return Due::InputBack;
                }
                (Look::Wake(wake), None) => wake,
                (Look::Warn(minutes), None) => return Due::Warning(minutes),
            };
            tokio::select! {
                biased;
                end = live.switch.asked() => return Due::End(end),
                reason = failed(&mut self.trouble), if !self.failed => {
                    self.failed = true;
                    return Due::RecorderFailed(reason);
                }
                Ok(()) = self.sentences.changed() => return Due::Sentence(Arc::clone(&self.sentences.borrow_and_update())),
                _ = self.times.changed() => {}
                () = tokio::time::sleep(wake) => {}
            }
        }
    }
}

impl Limits<'_> {
    /// The grace after the recorder has failed: whatever else ends a session ends this too.
    pub(crate) async fn grace(&mut self, grace: Duration) -> End {
        let until = tokio::time::Instant::now() + grace;
        loop {
            tokio::select! {
                due = self.due() => match due {
                    Due::End(end) => return end,
                    Due::Warning(_)
                    | Due::ViewOnly(..)
                    | Due::InputBack
                    | Due::Sentence(_)
                    | Due::RecorderFailed(_) => {}
                },
                () = tokio::time::sleep_until(until) => return End::RecordingFailed,
            }
        }
    }
}

/// What a session whose time is over comes to.
#[derive(Debug, PartialEq, Eq)]
enum AfterTime {
    /// From now on it is for looking on only, for so long.
    ViewOnly(Duration),
    /// It is already, and for so long still.
    Wake(Duration),
    End,
}

/// `view_only`: for how long it has been for looking on only, if it is.
fn after_time(grace: Option<SignedDuration>, end: &End, view_only: Option<Duration>) -> AfterTime {
    let by_time = matches!(end, End::Expired | End::WindowClosed);
    let grace = grace.and_then(|grace| Duration::try_from(grace).ok()).filter(|grace| by_time && !grace.is_zero());
    match (grace, view_only) {
        (None, _) => AfterTime::End,
        (Some(grace), None) => AfterTime::ViewOnly(grace),
        (Some(grace), Some(so_far)) => match grace.checked_sub(so_far).filter(|left| !left.is_zero()) {
            Some(left) => AfterTime::Wake(left),
            None => AfterTime::End,
        },
    }
}

/// How long a session has lasted, and which warnings have been given.
struct Clock {
    started: Instant,
    warned: usize,
}

#[derive(Debug, PartialEq, Eq)]
enum Look {
    /// Nothing need be done about time for so long.
    Wake(Duration),
    /// The person should hear that it ends in so many minutes.
    Warn(u64),
    End(End),
}

impl Clock {
    fn look(&mut self, times: Times, quiet: Duration, now: Timestamp) -> Look {
        let mut wake = LOOK_AGAIN;
        if let Some(idle) = times.idle.and_then(|limit| Duration::try_from(limit).ok()) {
            match idle.checked_sub(quiet).filter(|left| !left.is_zero()) {
                Some(left) => wake = wake.min(left),
                None => return Look::End(End::Idle),
            }
        }
        let by_duration = times
            .max_duration
            .and_then(|limit| Duration::try_from(limit).ok())
            .map(|longest| (longest.checked_sub(self.started.elapsed()), End::Expired));
        let by_window = times.not_after.map(|end| {
            let left = now.duration_until(end);
            (Duration::try_from(left).ok().filter(|_| left > SignedDuration::ZERO), End::WindowClosed)
        });
        let mut nearest: Option<Duration> = None;
        for (left, end) in by_duration.into_iter().chain(by_window) {
            let Some(left) = left.filter(|left| !left.is_zero()) else { return Look::End(end) };
            nearest = Some(nearest.map_or(left, |other| other.min(left)));
        }
        let Some(left) = nearest else { return Look::Wake(wake) };
        // Only the nearest warning is given: a session that starts a minute before its end hears one sentence.
        let passed = WARNINGS.iter().filter(|ahead| left <= **ahead).count();
        // What was extended is announced again.
        self.warned = self.warned.min(passed);
        if passed > self.warned {
            self.warned = passed;
            return Look::Warn(left.as_secs().div_ceil(60));
        }
        wake = wake.min(left);
        if let Some(ahead) = WARNINGS.get(self.warned) {
            wake = wake.min(left.saturating_sub(*ahead).max(Duration::from_millis(10)));
        }
        Look::Wake(wake)
    }
}

/// Resolves when the recorder has failed.
async fn failed(trouble: &mut watch::Receiver<Option<Trouble>>) -> String {
    let reason = match trouble.wait_for(Option::is_some).await.as_deref() {
        Ok(Some(trouble)) => Some(trouble.reason.clone()),
        Ok(None) | Err(_) => None,
    };
    match reason {
        Some(reason) => reason,
        // The signal lives as long as the session's context, which outlives this wait.
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clock() -> Clock {
        Clock { started: Instant::now(), warned: 0 }
    }

    fn times(not_after: Option<i64>, max_duration: Option<i64>, idle: Option<i64>) -> Times {
        Times {
            not_after: not_after.map(|second| Timestamp::UNIX_EPOCH + SignedDuration::from_secs(second)),
            max_duration: max_duration.map(SignedDuration::from_secs),
            idle: idle.map(SignedDuration::from_secs),
            view_only_for: None,
        }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_secs(second)
    }

    #[test]
    fn a_window_ends_to_the_second_and_is_announced_once_for_each_warning() {
        let (mut clock, window) = (clock(), times(Some(1000), None, None));
        let quiet = Duration::ZERO;
        assert_eq!(clock.look(window, quiet, at(0)), Look::Wake(LOOK_AGAIN));
        assert_eq!(clock.look(window, quiet, at(690)), Look::Wake(Duration::from_secs(10)));
        assert_eq!(clock.look(window, quiet, at(700)), Look::Warn(5));
        assert_eq!(clock.look(window, quiet, at(700)), Look::Wake(LOOK_AGAIN));
        assert_eq!(clock.look(window, quiet, at(940)), Look::Warn(1));
        assert_eq!(clock.look(window, quiet, at(999)), Look::Wake(Duration::from_secs(1)));
        assert_eq!(clock.look(window, quiet, at(1000)), Look::End(End::WindowClosed));
    }

    #[test]
    fn a_session_that_starts_near_its_end_hears_one_sentence() {
        let (mut clock, window) = (clock(), times(Some(1000), None, None));
        assert_eq!(clock.look(window, Duration::ZERO, at(950)), Look::Warn(1));
        assert_eq!(clock.look(window, Duration::ZERO, at(950)), Look::Wake(LOOK_AGAIN));
    }

    #[test]
    fn only_what_ends_by_time_has_a_grace_and_not_a_second_one() {
        let (grace, seconds) = (Some(SignedDuration::from_secs(10)), Duration::from_secs);
        for end in [End::Expired, End::WindowClosed] {
            assert_eq!(after_time(grace, &end, None), AfterTime::ViewOnly(seconds(10)));
            assert_eq!(after_time(grace, &end, Some(seconds(7))), AfterTime::Wake(seconds(3)));
            assert_eq!(after_time(grace, &end, Some(seconds(10))), AfterTime::End);
            assert_eq!(after_time(None, &end, None), AfterTime::End);
        }
        for end in [End::Idle, End::RecordingFailed, End::BrokerStopping] {
            assert_eq!(after_time(grace, &end, None), AfterTime::End, "{end:?}");
        }
    }

    #[test]
    fn idleness_and_duration_end_it_whatever_the_window_says() {
        let idle = times(None, None, Some(30));
        assert_eq!(clock().look(idle, Duration::from_secs(29), at(0)), Look::Wake(Duration::from_secs(1)));
        assert_eq!(clock().look(idle, Duration::from_secs(30), at(0)), Look::End(End::Idle));
        assert_eq!(clock().look(times(Some(9), Some(0), None), Duration::ZERO, at(0)), Look::End(End::Expired));
        // A window moved behind us by a new plant file ends it too.
        assert_eq!(clock().look(times(Some(9), None, None), Duration::ZERO, at(20)), Look::End(End::WindowClosed));
    }
}
