//! What a code opens, and what none opens, under live sessions and while others guess.

use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use sallyport_tests::{Finished, Plant, Postgres, eventually};

use crate::glass::Glass;
use crate::judge::{Judged, Recorded, verified};
use crate::load::Load;
use crate::options::Options;
use crate::report::Figure;
use crate::site::Site;

const PACE: Duration = Duration::from_millis(500);
/// How many guess, and how soon the right one must be in.
const GUESSERS: usize = 10;
const IN_WITHIN: Duration = Duration::from_secs(5);
/// What the section `moment` gives.
const MOMENT: Duration = Duration::from_secs(60);

pub(crate) fn run(options: &Options) -> Vec<Figure> {
    let postgres = Arc::new(Postgres::start());
    let mut site = Site::start(Some(&postgres));
    site.join_second();
    let glass = Glass::new(&site);
    let load = Load::start(&site, options.sessions(50), PACE);
    let foreign = of_another_plant();

    let mut figures = attempts(&glass, &site, &foreign[0]);
    figures.extend(scope(&glass));
    figures.extend(guessers(&glass, &site, &foreign));
    if !options.quick {
        figures.push(duration(&glass, &site));
    }
    figures.extend(parted(&glass, &site, &postgres));

    let ended = load.end();
    figures.push(Figure::exactly(
        "live sessions that ended meanwhile",
        ended.iter().filter(|each| each.by_itself).count(),
        0,
    ));
    site.quiet();
    figures.extend(Judged::of(&site, &ended, &Recorded::read(&site)).figures());
    figures.extend(verified(&site));
    figures
}

/// Codes of the right form, which nobody sealed here.
fn of_another_plant() -> Vec<String> {
    let other: Plant = Site::setup().lay_out();
    let sealed = other.json(&["break-glass", "seal", "--print", "--rule", "control-room", "--count", "3"]);
    let codes =
        sealed.as_array().expect("envelopes").iter().map(|each| each["code"].as_str().expect("a code").to_owned());
    codes.collect()
}

fn refused(what: &str, finished: &Finished) -> Figure {
    // What is said first, but for the notice before a login; later it is of answers that were not given, or of the reason typed as a code.
    let passed_over = ["This system is", "nothing was typed"];
    let told = |line: &&str| line.ends_with('.') && !passed_over.iter().any(|text| line.contains(text));
    let said = finished.stderr.lines().find(told).unwrap_or_default().trim().to_owned();
    let held = !finished.status.success() && finished.text().is_empty();
    Figure::holds(&format!("{what} opens nothing"), held, said)
}

fn opens(what: &str, finished: &Finished) -> Figure {
    Figure::exactly(&format!("{what} opens"), finished.text().trim().to_owned(), "in".to_owned())
}

const LINE: [&str; 4] = ["-l", "glass:operator@ews-1", "broker", "echo in"];

fn attempts(glass: &Glass, site: &Site, foreign: &str) -> Vec<Figure> {
    let right = glass.seal(&["--rule", "control-room", "--count", "4"]);
    let mut swapped: Vec<&str> = right[0].split('-').collect();
    swapped.swap(1, 3);
    let swapped = swapped.join("-");
    let guesses = || site.events("SP-8003").len();
    let before = guesses();
    let mut figures = vec![
        refused("a code with one group swapped, alone,", &glass.with(&[&swapped], &LINE)),
        opens(
            "the same, and the right one when it is asked for again,",
            &glass.with(&[&swapped, &right[0], "a reason"], &LINE),
        ),
        Figure::exactly("guesses on record by then", guesses() - before, 0),
        opens("the same code again, from the same place,", &glass.direct(&right[0], "ews-2", "echo in")),
        refused(
            "the same code, from elsewhere,",
            &glass.with(&[&right[0], "a reason"], &[&["-b", "10.0.0.11"][..], &LINE].concat()),
        ),
        refused("the code of another plant", &glass.direct(foreign, "ews-1", "echo in")),
    ];
    let number = |at: usize| site.plant.json(&["break-glass", "list"])[at]["number"].to_string();
    site.plant.sallyport(&["break-glass", "revoke", &number(1), "--reason", "lost"]).ok();
    site.plant.sallyport(&["break-glass", "expire", &number(2), "--at", "2026-01-01T00:00:00Z"]).ok();
    site.plant.settle();
    figures.push(refused("one that was revoked", &glass.direct(&right[1], "ews-1", "echo in")));
    figures.push(refused("one that has expired", &glass.direct(&right[2], "ews-1", "echo in")));

    let halves = glass.seal(&["--rule", "two-keys", "--count", "2", "--holder", "shift lead"]);
    let other = glass.seal(&["--rule", "two-keys", "--holder", "plant manager"]).remove(0);
    figures.extend([
        refused("one half of two", &glass.with(&[&halves[0], "", "a reason"], &LINE)),
        refused("the same half twice", &glass.with(&[&halves[0], &halves[0], "a reason"], &LINE)),
        refused("two halves of one holder", &glass.with(&[&halves[0], &halves[1], "a reason"], &LINE)),
        opens("two halves of two holders", &glass.with(&[&halves[0], &other, "a reason"], &LINE)),
    ]);
    figures
}

/// Whatever the section does not write.
fn scope(glass: &Glass) -> Vec<Figure> {
    let code = glass.seal(&["--rule", "control-room"]).remove(0);
    let at = |target: &str| glass.with(&[&code, "a reason"], &["-l", target, "broker", "echo in"]);
    let inside = at("glass:operator@ews-1");
    let forward = glass.with(&[&code], &["-W", "plc-1:502", "-l", "glass", "broker"]);
    let through = glass.with(&[&code], &["-o", "ProxyJump=glass@broker", "operator@ews-3", "echo in"]);
    vec![
        opens("a code, for an asset of its section,", &inside),
        refused("the same, for another asset,", &at("glass:operator@ews-3")),
        refused("the same, for another asset by a jump,", &through),
        refused("the same, for another account,", &at("glass:root@ews-1")),
        refused("the same, for a service that its section does not name,", &forward),
    ]
}

fn guessers(glass: &Glass, site: &Site, foreign: &[String]) -> Vec<Figure> {
    let right = glass.seal(&["--rule", "control-room"]).remove(0);
    let before = site.events("SP-8001").len();
    let (over, guesses) = (AtomicBool::new(false), AtomicU32::new(0));
    let (opened, took) = thread::scope(|scope| {
        for _ in 0..GUESSERS {
            scope.spawn(|| {
                let answers: Vec<&str> = foreign.iter().map(String::as_str).collect();
                while !over.load(Ordering::Relaxed) {
                    glass.with(&answers, &LINE);
                    guesses.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        eventually("guesses", Duration::from_secs(60), || (guesses.load(Ordering::Relaxed) > 10).then_some(()));
        let begun = Instant::now();
        let opened = glass.direct(&right, "ews-1", "echo in");
        let took = begun.elapsed();
        over.store(true, Ordering::Relaxed);
        (opened, took)
    });
    let connections = guesses.load(Ordering::Relaxed);
    vec![
        opens(
            &format!("the right code, while {GUESSERS} clients guess ({connections} connections of three guesses),"),
            &opened,
        ),
        Figure::within("from the client's start to the asset's answer", took, IN_WITHIN),
        Figure::exactly("openings on record for it", site.events("SP-8001").len() - before, 1),
    ]
}

/// A session of an emergency ends when the emergency does.
fn duration(glass: &Glass, site: &Site) -> Figure {
    let code = glass.seal(&["--rule", "moment"]).remove(0);
    let before = site.events("SP-8001").len();
    let stay = ["-l", "glass:operator@ews-1", "broker", "sleep 3600"];
    let mut running = later(glass.command(&[&code, "a reason"], &stay));
    eventually("it is open", Duration::from_secs(20), || (site.events("SP-8001").len() > before).then_some(()));
    let opened = Instant::now();
    running.wait().expect("ssh ends");
    Figure::within(
        "an emergency of 60 s that nobody leaves ends after",
        opened.elapsed(),
        MOMENT + Duration::from_secs(2),
    )
}

/// One sheet, at two brokers that cannot see each other.
fn parted(glass: &Glass, site: &Site, postgres: &Postgres) -> Vec<Figure> {
    let code = glass.seal(&["--rule", "control-room"]).remove(0);
    // Both have it in their snapshot by then.
    thread::sleep(Duration::from_secs(4));
    let before = site.events("SP-8001").len();
    postgres.crash();
    let first = glass.direct(&code, "ews-1", "echo in");
    let unknown = ["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-p", "2223"];
    let second = glass.with(&[&code, "a reason"], &[&unknown[..], &LINE].concat());
    postgres.start_again();
    let begun = Instant::now();
    eventually("both openings have entered", Duration::from_secs(60), || {
        (site.events("SP-8001").len() == before + 2).then_some(())
    });
    eventually("the double use is found", Duration::from_secs(60), || {
        (!site.events("SP-8004").is_empty()).then_some(())
    });
    vec![
        opens("without the database, a code at one broker", &first),
        opens("the same code at another that cannot see the first", &second),
        Figure::within("when they meet again, the double use is found after", begun.elapsed(), Duration::from_secs(30)),
        Figure::exactly("times that it is raised", site.events("SP-8004").len(), 1),
    ]
}

fn later(mut command: Command) -> Child {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("ssh starts")
}
