//! The kill switch, under many sessions on two brokers.

use std::fs;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use sallyport_tests::{Postgres, eventually};

use crate::judge::{Judged, Recorded, verified};
use crate::load::Load;
use crate::options::Options;
use crate::report::Figure;
use crate::session::Session;
use crate::site::Site;

/// From the moment that the administrator's command has returned to the last byte.
const WITHIN: Duration = Duration::from_secs(1);
/// How often each session sends something.
const PACE: Duration = Duration::from_millis(100);

pub(crate) fn run(options: &Options) -> Vec<Figure> {
    let postgres = Arc::new(Postgres::start());
    let mut site = Site::start(Some(&postgres));
    site.join_second();
    let load = Load::start(&site, options.sessions(200), PACE);
    let count = load.sessions.len();
    let begun = Instant::now();
    thread::sleep(Duration::from_secs(2));
    let working = load.answered_since(begun);

    let asked = (Instant::now(), SystemTime::now());
    site.plant.sallyport(&["zone", "isolate", "cell-1", "--reason", "smoke in the hall"]).ok();
    let isolated = (Instant::now(), SystemTime::now());
    // Longer than anything may take: what still came would be seen.
    thread::sleep(Duration::from_secs(5));
    let mut figures = vec![
        Figure::told("live sessions on two brokers, all at work", format!("{working} of {count}")),
        Figure::told("the command took", format!("{:.2} s", isolated.0.duration_since(asked.0).as_secs_f64())),
    ];
    for broker in 0..site.brokers() {
        let last = load.sessions.iter().filter(|session| session.broker == broker).map(|session| session.seen().last);
        let after = last.max().unwrap_or(asked.0).saturating_duration_since(isolated.0);
        let what = format!("broker {}: the last byte that a person got, after the command returned", broker + 1);
        figures.push(Figure::within(&what, after, WITHIN));
    }
    figures.push(Figure::within(
        "the last byte that an asset got",
        last_at_an_asset(&site, &load.sessions, isolated),
        WITHIN,
    ));
    figures.push(Figure::exactly("sessions that go on", load.living(), 0));
    let refused = site.person(0, 0).leased_ssh(["ews-1.direct", "echo let through"]);
    let why = refused.stderr.contains("cell-1 is isolated: smoke in the hall") && refused.text().is_empty();
    figures.push(Figure::holds("a new session is refused, with the reason", why, ""));
    let elsewhere = site.person(1, 1).leased_ssh(["sis-1", "echo in"]);
    figures.push(Figure::holds("another zone is reached as before", elsewhere.text() == "in\n", ""));
    let ends = eventually("every end is on the record", Duration::from_secs(30), || {
        let ends = site.events("SP-3002").iter().filter(|entry| entry["event"]["end"] == "isolated").count();
        (ends >= count).then_some(ends)
    });
    figures.push(Figure::exactly("ends on record as `isolated`", ends, count));
    let ended = load.end();
    site.quiet();
    figures.extend(Judged::of(&site, &ended, &Recorded::read(&site)).figures());
    figures.extend(verified(&site));
    figures
}

/// After the command returned: by when the files that the terminals are kept in were written last, and when the controller was asked last.
fn last_at_an_asset(
    site: &Site,
    sessions: &[Session],
    (isolated, isolated_by_clock): (Instant, SystemTime),
) -> Duration {
    let home = site.plant.sshd().home("operator");
    let written = sessions.iter().filter_map(|session| {
        let file = fs::metadata(home.join(format!("received-{}", session.name))).ok()?;
        file.modified().ok()?.duration_since(isolated_by_clock).ok()
    });
    let polled = site.controller.last().map(|last| last.saturating_duration_since(isolated));
    written.chain(polled).max().unwrap_or_default()
}
