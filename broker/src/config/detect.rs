//! `[detect]`: how much of what is worth telling.

use std::time::Duration;

use sallyport_policy::Network;
use toml::Spanned;

use super::check::Check;
use super::file;

/// `[detect]`: each number is told when it is met within its window.
#[derive(Debug, Clone)]
pub struct Detect {
    /// The window of scans.
    pub scan_window: Duration,
    /// Different targets or requests that one person or source is refused.
    pub scan_refused: u32,
    /// Different assets that one person reaches.
    pub scan_assets: u32,
    /// Different names that one source claims, none of them with success.
    pub scan_names: u32,
    /// Different units that one person asks for behind one asset.
    pub scan_units: u32,
    /// Different functions of a protocol that one person asks one asset for.
    pub scan_functions: u32,
    /// The window of storms.
    pub storm_window: Duration,
    /// Sessions of one person to one target, begun or refused.
    pub storm_sessions: u32,
    /// Requests in all sessions of one person with one asset.
    pub storm_requests: u32,
    /// The window of guesses.
    pub guess_window: Duration,
    /// Wrong passwords, codes and envelopes of one source, or under one name.
    pub guesses: u32,
    /// The window of first factors that no second one follows.
    pub alone_window: Duration,
    /// How many of them, of one person.
    pub alone: u32,
    /// Lists of networks; any two addresses of a list are one place.
    pub together: Vec<Vec<Network>>,
}

impl Check<'_> {
    pub(super) fn detect(&mut self, detect: file::DetectSection) -> Detect {
        Detect {
            scan_window: self.window(detect.scan_window, Duration::from_mins(5)),
            scan_refused: self.different(detect.scan_refused, 8),
            scan_assets: self.different(detect.scan_assets, 40),
            scan_names: self.different(detect.scan_names, 8),
            scan_units: self.different(detect.scan_units, 16),
            scan_functions: self.different(detect.scan_functions, 8),
            storm_window: self.window(detect.storm_window, Duration::from_mins(1)),
            storm_sessions: self.times(detect.storm_sessions, 60),
            storm_requests: self.times(detect.storm_requests, 12_000),
            guess_window: self.window(detect.guess_window, Duration::from_mins(10)),
            guesses: self.times(detect.guesses, 10),
            alone_window: self.window(detect.alone_window, Duration::from_hours(1)),
            alone: self.times(detect.alone, 3),
            together: detect
                .together
                .into_iter()
                .map(|list| list.iter().filter_map(|network| self.network(network)).collect())
                .collect(),
        }
    }

    fn window(&mut self, written: Option<Spanned<String>>, default: Duration) -> Duration {
        let place = written.as_ref().map(Spanned::span);
        let window = self.duration(written, default);
        if !(SHORTEST_WINDOW..=LONGEST_WINDOW).contains(&window) {
            let message = "a window of detection is as short as a second, or as long as a day".to_owned();
            self.problem_at(place, message, "write it as `90s`, `15m` or `8h`");
        }
        window
    }

    fn times(&mut self, written: Option<Spanned<u32>>, default: u32) -> u32 {
        let Some(written) = written else { return default };
        if *written.get_ref() == 0 {
            let message = "0 would tell of what does not happen".to_owned();
            self.problem(&written, message, &format!("the default is {default}"));
        }
        written.into_inner()
    }

    /// No more than are told apart.
    fn different(&mut self, written: Option<Spanned<u32>>, default: u32) -> u32 {
        let Some(written) = written else { return default };
        if !(2..=MOST_DIFFERENT).contains(written.get_ref()) {
            let message = format!("a scan is told at 2 to {MOST_DIFFERENT} different things");
            self.problem(&written, message, &format!("the default is {default}"));
        }
        written.into_inner()
    }

    fn network(&mut self, written: &Spanned<String>) -> Option<Network> {
        match written.get_ref().parse() {
            Ok(network) => Some(network),
            Err(error) => {
                let message = format!("{error}");
                self.problem(written, message, "write it as `10.10.0.0/16`");
                None
            }
        }
    }
}

const SHORTEST_WINDOW: Duration = Duration::from_secs(1);
const LONGEST_WINDOW: Duration = Duration::from_hours(24);
/// Half of what is remembered of anybody, so that a doubling is told.
const MOST_DIFFERENT: u32 = 256;
