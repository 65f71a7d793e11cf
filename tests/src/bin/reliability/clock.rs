//! The broker's clock goes forward by a day, and back: nothing that is limited in time may last longer by it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use sallyport_session_recorder::Kind;
use sallyport_tests::{Evidence, Finished, Person, eventually, finish, recordings};

use crate::glass::Glass;
use crate::judge::{Judged, Recorded, verified};
use crate::load::Load;
use crate::options::Options;
use crate::report::Figure;
use crate::site::Site;

const PACE: Duration = Duration::from_millis(500);
/// Debian's package `faketime`.
const LIBRARY: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1";
const DAY: u64 = 86_400;
/// The longest session of `brief` in the plant file.
const BRIEF: Duration = Duration::from_secs(40);

pub(crate) fn run(options: &Options) -> Vec<Figure> {
    assert!(Path::new(LIBRARY).exists(), "this row needs Debian's package `faketime`: no {LIBRARY}");
    let clock = Clock::new();
    let site = Site::of(Site::setup().before_the_broker(&clock.before_the_broker()));
    let people = ["brief", "erin", "eve"].map(|name| site.plant.person(name));
    for name in ["lena", "rita"] {
        site.plant.person(name);
    }
    let glass = Glass::new(&site);
    let mut figures = Vec::new();
    let load = Load::start(&site, options.sessions(50), PACE);
    // Back first: what was given for hours would last a day longer.
    let [brief, erin, eve] = &people;
    for (word, offset, with_codes) in [("back", "-1d", erin), ("forward", "+1d", eve)] {
        figures.extend(shifted(&site, &glass, &clock, [brief, with_codes], word, offset));
        clock.set("+0d");
        // The windows that a jump closes are those that are open by the clock it jumps to.
        eventually("the jump back is on record", Duration::from_secs(30), || {
            site.events("SP-6003").len().is_multiple_of(2).then_some(())
        });
        let windows = site.plant.json(&["window", "list"]).as_array().map_or(0, Vec::len);
        figures.push(Figure::exactly(
            &format!("a day {word}, and the return: write windows that are open"),
            windows,
            0,
        ));
    }
    let ended = load.end();
    figures.push(Figure::exactly(
        "live sessions that ended by it",
        ended.iter().filter(|each| each.by_itself).count(),
        0,
    ));
    site.quiet();
    let told = notices(&site);
    figures.push(Figure::holds("recordings that say that the clock jumped", told >= ended.len(), told));
    figures.extend(Judged::of(&site, &ended, &Recorded::read(&site)).figures());
    figures.extend(verified(&site));
    figures
}

fn shifted(
    site: &Site,
    glass: &Glass,
    clock: &Clock,
    [brief, erin]: [&Person; 2],
    word: &str,
    offset: &str,
) -> Vec<Figure> {
    let envelope = glass.seal(&["--rule", "moment"]).remove(0);
    // Leases from now, a code that is used up, a window that is open for ten minutes, and a session that may last for so long.
    site.person(0, 0).take_lease("ews-1");
    brief.take_lease("ews-1");
    let used = erin.fresh_code();
    assert_eq!(with_code(erin, &used).ok(), "in\n");
    let window =
        ["window", "open", "--identity", "rita", "--asset", "plc-1", "--points", "register 100", "--for", "10"];
    site.plant.sallyport(&[&window[..], &["--by", "lena"]].concat()).ok();
    let mut limited = brief.leased("ssh");
    limited.arg("-F").arg(brief.config()).args(["ews-1.direct", "sleep 3600"]);
    let mut limited =
        limited.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("ssh starts");
    let begun = Instant::now();
    site.plant.settle();
    let (jumps, before) = (site.events("SP-6003").len(), site.events("SP-8001").len());
    clock.set(offset);
    let set = Instant::now();
    eventually("the jump is noticed", Duration::from_secs(30), || (site.events("SP-6003").len() > jumps).then_some(()));
    let noticed = set.elapsed();

    let leased = site.person(0, 0).leased_ssh(["ews-1.direct", "echo in"]);
    let replayed = with_code(erin, &used);
    let yesterday = with_code(erin, &erin.code_at(unix_seconds() - DAY));
    let of_real_time = with_code(erin, &erin.fresh_code());
    let mut stays = glass.command(&[&envelope, "a reason"], &["-l", "glass:operator@ews-1", "broker", "sleep 3600"]);
    stays.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut stays = stays.spawn().expect("ssh starts");
    let opened = eventually("the envelope opens", Duration::from_secs(20), || {
        (site.events("SP-8001").len() > before).then(Instant::now)
    });
    let trusted = site
        .events("SP-8001")
        .iter()
        .any(|entry| entry["event"]["rule"] == "moment" && entry["event"]["clock_trusted"] == true);
    let (mut limited_for, mut emergency_for) = (None, None);
    eventually("both sessions end", Duration::from_secs(120), || {
        if limited_for.is_none() && limited.try_wait().expect("a child can be waited for").is_some() {
            limited_for = Some(begun.elapsed());
        }
        if emergency_for.is_none() && stays.try_wait().expect("a child can be waited for").is_some() {
            emergency_for = Some(opened.elapsed());
        }
        limited_for.and(emergency_for)
    });
    let (limited, emergency) = (limited_for.unwrap_or_default(), emergency_for.unwrap_or_default());
    let of = |what: &str| format!("a day {word}: {what}");
    vec![
        Figure::within(&of("noticed after"), noticed, Duration::from_secs(10)),
        refused(&of("a lease"), &leased),
        refused(&of("a code that was used before"), &replayed),
        refused(&of("yesterday's code"), &yesterday),
        refused(&of("the code of the time that others have"), &of_real_time),
        Figure::within(&of("a session of 40 s at most ends after"), limited, BRIEF + Duration::from_secs(3)),
        Figure::holds(&of("an envelope opens, and its opening says that the clock was not believed"), !trusted, ""),
        Figure::holds(
            &of("an emergency of 60 s goes on"),
            emergency > Duration::from_secs(55),
            format!("for {} s", emergency.as_secs()),
        ),
        Figure::within(&of("and ends after"), emergency, Duration::from_secs(63)),
    ]
}

fn refused(what: &str, finished: &Finished) -> Figure {
    let held = !finished.status.success() && finished.text().is_empty();
    Figure::holds(&format!("{what} counts for nothing"), held, "")
}

fn with_code(person: &Person, code: &str) -> Finished {
    let mut command = person.command_answering("ssh", &[code.to_owned()]);
    command.arg("-F").arg(person.config()).args(["ews-1.direct", "echo in"]);
    finish(command, b"")
}

fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970").as_secs()
}

/// How many recordings say that the clock jumped.
fn notices(site: &Site) -> usize {
    let says = |path: &PathBuf| {
        let evidence = Evidence::read(path, &site.plant.auditor_key());
        evidence.entries.iter().any(|entry| {
            entry.kind == Kind::Notice && entry.json().is_some_and(|notice| notice["notice"] == "clock-jump")
        })
    };
    recordings(&site.plant.recordings_folder()).iter().filter(|path| says(path)).count()
}

/// What the broker's process takes for the time of day.
struct Clock {
    _folder: tempfile::TempDir,
    file: PathBuf,
}

impl Clock {
    fn new() -> Clock {
        let folder = tempfile::Builder::new().prefix("sallyport-clock-").tempdir_in("/tmp").expect("a folder");
        let file = folder.path().join("offset");
        let clock = Clock { _folder: folder, file };
        clock.set("+0d");
        clock
    }

    /// Sets it to so much from now.
    fn set(&self, offset: &str) {
        // In one step: the broker reads it at each look at its clock.
        let new = self.file.with_extension("new");
        fs::write(&new, format!("{offset}\n")).expect("an offset");
        fs::rename(&new, &self.file).expect("an offset in its place");
    }

    fn before_the_broker(&self) -> String {
        format!(
            "export LD_PRELOAD={LIBRARY} FAKETIME_TIMESTAMP_FILE={} FAKETIME_NO_CACHE=1 FAKETIME_DONT_FAKE_MONOTONIC=1; ",
            self.file.display()
        )
    }
}
