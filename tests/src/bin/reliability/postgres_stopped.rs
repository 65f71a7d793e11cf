//! PostgreSQL goes away and comes back, under live sessions: for minutes, again and again, and for good with a standby in its place.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::{Child, ChildStdin, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use sallyport_tests::{Postgres, eventually};

use crate::glass::Glass;
use crate::judge::{Judged, Recorded, verified};
use crate::load::{Ended, Load};
use crate::options::Options;
use crate::report::Figure;
use crate::site::Site;

const PACE: Duration = Duration::from_millis(500);
/// How often it is taken away while what has waited enters.
const AGAIN: u64 = 8;
/// Files that are put on an asset in each outage: each is an event.
const FILES: usize = 150;

pub(crate) fn run(options: &Options) -> Vec<Figure> {
    let postgres = Arc::new(Postgres::start());
    let site = Site::start(Some(&postgres));
    let glass = Glass::new(&site);
    let envelopes = glass.seal(&["--rule", "control-room", "--count", "2"]);
    let mut uploads = Uploads::start(&site);
    uploads.put(1);
    let mut load = Load::start(&site, options.sessions(50), PACE);
    // The snapshot holds the envelopes by then.
    site.plant.settle();

    let mut figures = for_minutes(options, &site, &postgres, &load, &mut uploads, &glass, &envelopes[0]);
    let mut ended = load.end_some(load.sessions.len() / 10);
    figures.extend(again_and_again(options, &site, &postgres, &mut load, &mut uploads, &mut ended));
    let in_its_place = postgres.standby();
    figures.extend(fail_over(&site, &postgres, &in_its_place, &load, &mut uploads));

    ended.extend(load.end());
    let files = uploads.end();
    site.quiet();
    figures.push(Figure::exactly(
        "sessions that ended by themselves",
        ended.iter().filter(|each| each.by_itself).count(),
        0,
    ));
    figures.extend(entered_once(&site, files));
    figures.extend(Judged::of(&site, &ended, &Recorded::read(&site)).figures());
    figures.extend(verified(&site));
    figures
}

fn for_minutes(
    options: &Options,
    site: &Site,
    postgres: &Postgres,
    load: &Load,
    uploads: &mut Uploads,
    glass: &Glass,
    envelope: &str,
) -> Vec<Figure> {
    let lasting = options.lasting(5);
    let (stopped, count) = (Instant::now(), load.sessions.len());
    postgres.crash();
    uploads.put(FILES);
    let refused = site.person(0, 0).leased_ssh(["ews-1.direct", "echo let through"]);
    let begun = Instant::now();
    let opened = glass.direct(envelope, "ews-1", "echo in");
    let took = begun.elapsed();
    thread::sleep(lasting.saturating_sub(stopped.elapsed()));
    let before_return = Instant::now();
    thread::sleep(3 * PACE);
    let living = load.answered_since(before_return);
    postgres.start_again();
    let back = Instant::now();
    let open = logs_in(site);
    vec![
        Figure::told("PostgreSQL was away for", format!("{} s", stopped.elapsed().as_secs())),
        Figure::exactly("of the live sessions went on all the time", living, count),
        Figure::told("the longest wait for an answer meanwhile", format!("{:.2} s", load.longest().as_secs_f64())),
        Figure::holds("a new session is refused, in one sentence", is_refused(&refused), sentence(&refused.stderr)),
        Figure::exactly("an envelope opens meanwhile", opened.text().trim(), "in"),
        Figure::told("it took", format!("{:.2} s", took.as_secs_f64())),
        Figure::within("after the return, a new session", open.duration_since(back), Duration::from_secs(30)),
    ]
}

/// Stopped, and stopped again while what has waited enters.
fn again_and_again(
    options: &Options,
    site: &Site,
    postgres: &Postgres,
    load: &mut Load,
    uploads: &mut Uploads,
    ended: &mut Vec<Ended>,
) -> Vec<Figure> {
    let rounds = if options.quick { 2 } else { AGAIN };
    for round in 0..rounds {
        postgres.crash();
        uploads.put(FILES);
        // Their ends wait, too.
        ended.extend(load.end_some(1));
        postgres.start_again();
        // From before the broker comes to after it has entered everything.
        thread::sleep(Duration::from_millis(round * 170));
        postgres.crash();
        postgres.start_again();
        logs_in(site);
    }
    vec![Figure::told("stopped again while what had waited was entering", format!("{rounds} times"))]
}

/// A standby takes the place of the server.
fn fail_over(site: &Site, postgres: &Postgres, standby: &Postgres, load: &Load, uploads: &mut Uploads) -> Vec<Figure> {
    uploads.put(FILES);
    let before = site.plant.audit().len();
    let begun = Instant::now();
    postgres.fail_over_to(standby);
    uploads.put(FILES);
    let open = logs_in(site);
    let (after, count) = (site.plant.audit().len(), load.sessions.len());
    thread::sleep(3 * PACE);
    vec![
        Figure::within(
            "a standby is promoted: until a new session",
            open.duration_since(begun),
            Duration::from_secs(30),
        ),
        Figure::holds("the chain goes on where it was", after > before, format!("{before} entries, then {after}")),
        Figure::exactly("of the live sessions went on", load.answered_since(open), count),
    ]
}

/// Every file and every end of a session is in the chain, once.
fn entered_once(site: &Site, files: usize) -> [Figure; 3] {
    let mut events: BTreeMap<String, usize> = BTreeMap::new();
    let mut order = Vec::new();
    for entry in site.plant.audit() {
        let event = &entry["event"];
        match entry["code"].as_str() {
            Some("SP-3005") => {
                let number = event["path"].as_str().and_then(|path| path.rsplit("file-").next()?.parse::<usize>().ok());
                order.push((entry["seq"].as_u64(), number));
            }
            Some(code @ ("SP-3001" | "SP-3002")) => {
                *events.entry(format!("{code} {}", event["session"].as_str().unwrap_or_default())).or_default() += 1;
            }
            _ => {}
        }
    }
    order.sort();
    let numbers: Vec<_> = order.iter().filter_map(|(_, number)| *number).collect();
    let (begun, over): (Vec<_>, Vec<_>) = events.keys().partition(|key| key.starts_with("SP-3001"));
    let twice = events.values().filter(|count| **count > 1).count();
    let reconciled = site.events("SP-7001").len();
    [
        Figure::holds(
            "every file that passed is in the chain, once, in its order",
            numbers == (1..=files).collect::<Vec<_>>(),
            format!("{} of {files}, entered by {reconciled} reconciliations", numbers.len()),
        ),
        Figure::exactly("ends in the chain, of sessions that began", over.len(), begun.len()),
        Figure::exactly("beginnings and ends that are there twice", twice, 0),
    ]
}

/// When a new session begins again.
fn logs_in(site: &Site) -> Instant {
    eventually("a new session begins", Duration::from_secs(60), || {
        (site.person(0, 0).leased_ssh(["ews-1.direct", "echo in"]).text() == "in\n").then(Instant::now)
    })
}

fn is_refused(finished: &sallyport_tests::Finished) -> bool {
    !finished.status.success() && finished.text().is_empty() && !sentence(&finished.stderr).is_empty()
}

/// What the broker said.
fn sentence(stderr: &str) -> String {
    stderr.lines().find(|line| line.contains("database")).unwrap_or_default().trim().to_owned()
}

/// Somebody's sftp that stays open, and puts one small file after the other.
struct Uploads {
    child: Child,
    lines: ChildStdin,
    from: String,
    home: std::path::PathBuf,
    put: usize,
}

impl Uploads {
    fn start(site: &Site) -> Uploads {
        let person = site.person(0, 3);
        let from = person.folder().join("small");
        std::fs::write(&from, "set point").expect("a file");
        let mut sftp = person.leased("sftp");
        sftp.args(["-q", "-b", "-"]).arg("-F").arg(person.config()).arg("ews-9.direct");
        let mut child = sftp.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("sftp starts");
        let lines = child.stdin.take().expect("its input");
        let from = from.to_str().expect("a path").to_owned();
        Uploads { child, lines, from, home: site.plant.sshd().home("operator"), put: 0 }
    }

    /// Puts so many more, and waits until the asset has them.
    fn put(&mut self, count: usize) {
        for _ in 0..count {
            self.put += 1;
            writeln!(self.lines, "put {} file-{}", self.from, self.put).expect("sftp reads");
        }
        let last = self.home.join(format!("file-{}", self.put));
        eventually("the asset has the files", Duration::from_secs(120), || last.exists().then_some(()));
    }

    fn end(self) -> usize {
        let Uploads { mut child, lines, put, .. } = self;
        drop(lines);
        child.wait().expect("sftp ends");
        put
    }
}
