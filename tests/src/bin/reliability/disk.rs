//! The disk of the recordings is full, read-only, stalled, without inodes, or gone, under live sessions.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use sallyport_tests::{eventually, finish};

use crate::image::Image;
use crate::judge::{Judged, Recorded};
use crate::load::Load;
use crate::options::Options;
use crate::report::Figure;
use crate::site::Site;

const PACE: Duration = Duration::from_millis(200);
/// How many files fit on the disk that has few inodes, beside what the file system itself has.
const INODES: u32 = 256;

/// What is done to the disk.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Trouble {
    Full,
    ReadOnly,
    Stalled,
    NoInodes,
    Gone,
}

pub(crate) fn run(options: &Options) -> Vec<Figure> {
    let all = [Trouble::Full, Trouble::ReadOnly, Trouble::Stalled, Trouble::NoInodes, Trouble::Gone];
    all.into_iter().flat_map(|trouble| under(trouble, options)).collect()
}

fn under(trouble: Trouble, options: &Options) -> Vec<Figure> {
    let few = INODES.to_string();
    let image = if trouble == Trouble::NoInodes { Image::new(&["-N", &few]) } else { Image::new(&[]) };
    let mut site = Site::of(image.hold_recordings(Site::setup(), "process"));
    let mut load = Load::start(&site, options.sessions(50), PACE);
    let count = load.sessions.len();
    let folder = site.plant.recordings_folder();
    let disk = Disk { pid: site.pid(0), seen: site.plant.as_the_broker_sees(&folder), mounted: folder };
    thread::sleep(5 * PACE);
    let lasting = Duration::from_secs(if options.quick { 5 } else { 30 });
    let name = trouble.name();
    eprintln!("disk: {name}");

    let began = Instant::now();
    disk.break_by(trouble);
    thread::sleep(lasting);
    let working = load.answered_since(began + lasting - 5 * PACE);
    let begins = || site.person(0, 0).leased_ssh(["ews-1.direct", "echo in"]).text() == "in\n";
    // A disk that hangs holds up whoever asks for it.
    let refused = trouble == Trouble::Stalled || !begins();
    disk.mend(trouble);
    let mended = Instant::now();
    let back = (trouble != Trouble::ReadOnly)
        .then(|| eventually("a new session begins", Duration::from_secs(60), || begins().then(|| mended.elapsed())));
    let worst = load.longest();
    let living = load.living();
    let ended = load.end_some(count);
    drop(load);
    // What the broker could not write while it could not write it, it writes now; what is on disk is judged.
    site.quiet();
    let mut recorded = Recorded::default();
    recorded.add(&disk.seen_or_moved(), &site.plant.auditor_key());
    let of = |what: &str| format!("{name}: {what}");
    let mut figures = vec![
        Figure::told(&of("live sessions that were still served at its end"), format!("{working} of {count}")),
        Figure::told(&of("sessions that went on afterwards"), living),
        Figure::told(&of("the longest wait for an answer"), format!("{:.2} s", worst.as_secs_f64())),
    ];
    if trouble != Trouble::Stalled {
        figures.push(Figure::holds(&of("no new session begins"), refused, ""));
    }
    if let Some(back) = back {
        figures.push(Figure::within(&of("after it was mended, a new session"), back, Duration::from_secs(30)));
    }
    figures
        .push(Figure::told(&of("files without a whole header, of sessions that did not begin"), recorded.not_begun()));
    let [unrecorded, lost] = Judged::of(&site, &ended, &recorded).figures();
    figures.extend([unrecorded.of(name), lost.of(name)]);
    figures
}

impl Trouble {
    fn name(self) -> &'static str {
        match self {
            Trouble::Full => "full",
            Trouble::ReadOnly => "read-only after an error",
            Trouble::Stalled => "stalled for 30 s",
            Trouble::NoInodes => "no inodes left",
            Trouble::Gone => "the folder moved away",
        }
    }
}

/// The mounted disk, which the broker alone sees.
struct Disk {
    pid: u32,
    /// The folder of the recordings, from here, and as the broker calls it.
    seen: PathBuf,
    mounted: PathBuf,
}

impl Disk {
    fn break_by(&self, trouble: Trouble) {
        let mount = self.mounted.parent().and_then(Path::to_str).expect("a path");
        match trouble {
            Trouble::Full => {
                let mut dd = Command::new("dd");
                dd.args(["if=/dev/zero", "bs=4k", "status=none"]).arg(format!("of={}", self.ballast().display()));
                finish(dd, b"").refused();
            }
            // As ext4 does by itself after an error of the device.
            Trouble::ReadOnly => self.inside(&["mount", "-o", "remount,abort", mount]),
            Trouble::Stalled => self.inside(&["fsfreeze", "-f", mount]),
            Trouble::NoInodes => {
                fs::create_dir(self.ballast()).expect("a folder");
                let full =
                    (0..2 * INODES).find(|number| fs::write(self.ballast().join(number.to_string()), "").is_err());
                assert!(full.is_some(), "there are inodes left");
            }
            Trouble::Gone => fs::rename(&self.seen, self.moved()).expect("the folder moves"),
        }
    }

    fn mend(&self, trouble: Trouble) {
        let mount = self.mounted.parent().and_then(Path::to_str).expect("a path");
        match trouble {
            Trouble::Full => fs::remove_file(self.ballast()).expect("the ballast goes"),
            // An aborted file system must be checked before it can be written: that is not done under a running broker.
            Trouble::ReadOnly => {}
            Trouble::Stalled => self.inside(&["fsfreeze", "-u", mount]),
            Trouble::NoInodes => fs::remove_dir_all(self.ballast()).expect("the ballast goes"),
            Trouble::Gone => {
                // The broker may have made a new one meanwhile: what is in it stays beside.
                fs::rename(&self.seen, self.seen.with_extension("new")).ok();
                fs::rename(self.moved(), &self.seen).expect("the folder comes back");
            }
        }
    }

    fn ballast(&self) -> PathBuf {
        self.seen.with_file_name("ballast")
    }

    fn moved(&self) -> PathBuf {
        self.seen.with_extension("away")
    }

    fn seen_or_moved(&self) -> PathBuf {
        if self.seen.exists() { self.seen.clone() } else { self.moved() }
    }

    /// Where the broker's mounts are.
    fn inside(&self, command: &[&str]) {
        let mut nsenter = Command::new("nsenter");
        nsenter.args(["-t", &self.pid.to_string(), "-m", "--"]).args(command);
        finish(nsenter, b"").ok();
    }
}
