//! Mixed sessions for a long while, of which some come and go: nothing may grow.

use std::thread;
use std::time::{Duration, Instant};

use crate::judge::{Judged, Recorded, size_of, verified};
use crate::load::{Ended, Load};
use crate::options::Options;
use crate::report::Figure;
use crate::site::Site;

/// How often each session sends something.
const PACE: Duration = Duration::from_millis(500);
/// How often it is looked how large the broker is.
const LOOK: Duration = Duration::from_secs(5);
/// At each look one of so many ends, and another begins.
const OF_WHICH_ONE_GOES: usize = 40;
/// By how much a broker may be larger in the last quarter than in the second: what the allocator keeps differs by that.
const GROWTH: f64 = 8.0;

pub(crate) fn run(options: &Options) -> Vec<Figure> {
    let mut site = Site::start(None);
    let pid = site.pid(0);
    // What the first sessions make it take stays.
    let (_, descriptors_before) = size_of(pid);
    let count = options.sessions(200);
    let mut load = Load::start(&site, count, PACE);
    let (begun, lasting) = (Instant::now(), options.lasting(60));
    let mut sizes: Vec<(f64, usize)> = Vec::new();
    let mut ended: Vec<Ended> = Vec::new();
    while begun.elapsed() < lasting {
        thread::sleep(LOOK.min(lasting));
        sizes.push(size_of(pid));
        ended.extend(load.end_some((count / OF_WHICH_ONE_GOES).max(1)));
        load.add(&site, count - load.sessions.len());
    }
    let lasted = begun.elapsed();
    let longest = load.longest();
    let visits = ended.len();
    ended.extend(load.end());
    let died = ended.iter().filter(|each| each.by_itself).count();
    site.quiet();
    let recorded = Recorded::read(&site);
    let quarter = |number: usize| {
        let part = &sizes[sizes.len() * number / 4..(sizes.len() * (number + 1)).div_ceil(4)];
        let most = part.iter().map(|(_, open)| *open).max().unwrap_or_default();
        (part.iter().map(|(resident, _)| resident).sum::<f64>() / part.len() as f64, most)
    };
    let [(first, _), (second, open_second), (third, _), (last, open_last)] = [0, 1, 2, 3].map(quarter);
    let answers: u64 = ended.iter().map(|each| each.seen.back).sum();
    let mut figures = vec![
        Figure::told("lasted", format!("{:.0} min {} s", (lasted.as_secs() / 60) as f64, lasted.as_secs() % 60)),
        Figure::told(
            "live sessions: half terminals, four in ten poll a controller, one in ten looks at a panel",
            count,
        ),
        Figure::told("sessions that ended meanwhile, each followed by another", visits),
        Figure::told("answers that people waited for", answers),
        Figure::exactly("sessions that ended by themselves", died, 0),
        Figure::told("the longest wait for an answer", format!("{:.2} s", longest.as_secs_f64())),
        Figure::told("resident MiB, quarter by quarter", format!("{first:.1}, {second:.1}, {third:.1}, {last:.1}")),
        Figure::at_most("growth from the second quarter to the last", last - second, GROWTH, "MiB"),
        Figure::told("open descriptors at most, second quarter and last", format!("{open_second}, {open_last}")),
    ];
    let (_, descriptors_after) = size_of(pid);
    let more = descriptors_after.saturating_sub(descriptors_before) as f64;
    figures.push(Figure::at_most(
        "descriptors that are open after all sessions have ended and were not before",
        more,
        4.0,
        "",
    ));
    figures.extend(Judged::of(&site, &ended, &recorded).figures());
    figures.extend(verified(&site));
    figures
}
