//! The broker and its database are killed at any moment, and power is cut: what an asset got is on record.

use std::process::{Child, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rustix::process::Signal;
use sallyport_tests::{Evidence, Form, Postgres, eventually, recordings};

use crate::image::Image;
use crate::judge::{Judged, Recorded, verified};
use crate::load::{Ended, Load};
use crate::options::Options;
use crate::report::Figure;
use crate::session::Kind;
use crate::site::Site;

const ROUNDS: usize = 50;
const PACE: Duration = Duration::from_millis(50);
/// The interval of `durability = "process"`, and what a busy machine may add to it.
const WINDOW: Duration = Duration::from_millis(250 + 250);

pub(crate) fn run(options: &Options) -> Vec<Figure> {
    let mut figures = kills(options);
    figures.push(power_cut(options, "process", WINDOW));
    figures.push(power_cut(options, "power", Duration::ZERO));
    figures
}

fn kills(options: &Options) -> Vec<Figure> {
    let postgres = Arc::new(Postgres::start());
    let mut site = Site::start(Some(&postgres));
    let rounds = if options.quick { 2 } else { ROUNDS };
    let mut random = Random(u64::try_from(jiff::Timestamp::now().as_nanosecond() & 0xffff_ffff).unwrap_or(1) | 1);
    let mut ended: Vec<Ended> = Vec::new();
    let mut load = Load::start(&site, options.sessions(50), PACE);
    let (mut brokers, mut databases) = (0, 0);
    for round in 0..rounds {
        // Somebody who is on the way in, at work for a moment, or on the way out when it happens.
        let mut others: Vec<Child> = (0..4).map(|number| visitor(&site, round * 4 + number)).collect();
        thread::sleep(Duration::from_millis(random.below(700)));
        if random.below(4) == 0 {
            databases += 1;
            postgres.crash();
            thread::sleep(Duration::from_millis(random.below(500)));
            postgres.start_again();
        } else {
            brokers += 1;
            site.plant.broker().kill();
            ended.extend(load.end_some(usize::MAX));
            site.plant.serve();
        }
        others.iter_mut().for_each(|child| drop(child.wait()));
        let missing = options.sessions(50) - load.sessions.len();
        eventually("a new session begins", Duration::from_secs(60), || {
            (site.person(0, 0).leased_ssh(["ews-1.direct", "echo in"]).text() == "in\n").then_some(())
        });
        load.add(&site, missing);
    }
    ended.extend(load.end());
    site.quiet();
    let interrupted = site.events("SP-3004").len();
    let mut figures = vec![
        Figure::told("the broker was killed, at random moments", format!("{brokers} times")),
        Figure::told("PostgreSQL was killed, at random moments", format!("{databases} times")),
        Figure::told("sessions that were closed as interrupted", interrupted),
    ];
    let of = |figure: Figure| figure.of("killed");
    figures.extend(visitors(&site, rounds * 4).map(of));
    figures.extend(Judged::of(&site, &ended, &Recorded::read(&site)).figures().map(of));
    figures.extend(verified(&site).map(of));
    figures
}

/// Sends a line to an asset, which keeps it.
fn visitor(site: &Site, number: usize) -> Child {
    let person = site.person(0, number);
    let mut ssh = person.leased("ssh");
    ssh.arg("-F").arg(person.config()).arg(Form::BOTH[number % 2].host(&format!("ews-{}", 1 + number % 14)));
    ssh.arg(format!("cat >visited-{number}")).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = ssh.spawn().expect("ssh starts");
    let mut input = child.stdin.take().expect("its input");
    // Whoever is killed reads nothing.
    std::io::Write::write_all(&mut input, format!("visit {number};").as_bytes()).ok();
    child
}

/// Whatever a visitor's asset has is on record.
fn visitors(site: &Site, count: usize) -> [Figure; 1] {
    let home = site.plant.sshd().home("operator");
    let received = (0..count)
        .filter(|number| std::fs::read(home.join(format!("visited-{number}"))).is_ok_and(|text| !text.is_empty()));
    let key = site.plant.auditor_key();
    let inputs: Vec<Vec<u8>> = recordings(&site.plant.recordings_folder())
        .iter()
        .map(|path| Evidence::read(path, &key).content(sallyport_session_recorder::Kind::Input))
        .filter(|input| input.starts_with(b"visit "))
        .collect();
    let received: Vec<usize> = received.collect();
    let missing = received.iter().filter(|number| !inputs.contains(&format!("visit {number};").into_bytes())).count();
    let seen = format!("{missing} of {} ({count} tried)", received.len());
    [Figure::holds("short sessions of which an asset has what is not on record", missing == 0, seen)]
}

/// The broker's disk loses what the kernel had not written to it.
fn power_cut(options: &Options, durability: &str, most: Duration) -> Figure {
    let image = Image::new(&[]);
    let mut site = Site::of(image.hold_recordings(Site::setup(), durability));
    let load = Load::start(&site, options.sessions(50), PACE);
    thread::sleep(Duration::from_secs(4));
    let begun = std::time::Instant::now();
    let before: u64 = load.sessions.iter().map(|session| session.seen().back).sum();
    thread::sleep(Duration::from_secs(2));
    let after: u64 = load.sessions.iter().map(|session| session.seen().back).sum();
    // How often one of them did something, in a second.
    let rate = (after - before) as f64 / begun.elapsed().as_secs_f64() / load.sessions.len() as f64;
    site.plant.broker().signal(Signal::STOP);
    let disk = image.after_a_power_cut();
    // What was under way to the assets arrives.
    thread::sleep(Duration::from_millis(500));
    site.plant.broker().kill();
    let ended = load.end();
    let mut recorded = Recorded::default();
    recorded.add_what_is_left(&disk, &site.plant.auditor_key());
    let (lost, of) = ended
        .iter()
        .filter(|each| each.kind == Kind::Terminal)
        .map(|each| recorded.lines_lost(&site, &each.name))
        .fold((0, 0), |(most, count), lost| (lost.max(most), count + 1));
    let lost = Duration::from_secs_f64(lost as f64 / rate);
    let what = format!("power cut, durability = \"{durability}\": what is lost of a terminal at most, of {of}");
    Figure::within(&what, lost, most)
}

/// xorshift: enough to choose a moment.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}
