//! Modbus reads of 12 bytes: straight, through HAProxy, and through Sallyport.

pub(crate) mod broker;
mod load;
mod report;
mod ways;

use std::process::Command;
use std::time::Duration;

use crate::measure::{cpu_seconds, quantile, say};
use crate::site::{CONTROLLER, Site};
pub(crate) use report::SECTION;
pub(crate) use report::markdown;
use ways::{BETWEEN, ENDS, Open, PLAIN, UNRECORDED, Way};

/// How much of everything.
pub(crate) struct Amounts {
    rounds: usize,
    lasting: Duration,
    connections: usize,
}

impl Amounts {
    pub(crate) const FULL: Amounts = Amounts { rounds: 7, lasting: Duration::from_millis(1500), connections: 64 };
    pub(crate) const QUICK: Amounts = Amounts { rounds: 3, lasting: Duration::from_millis(700), connections: 64 };
}

/// What one way gave: medians of the rounds.
pub(crate) struct Figures {
    way: Way,
    p50: Duration,
    p99: Duration,
    per_second_one: f64,
    per_second_many: f64,
    /// Of the process between, where it is one.
    cpu_one: Option<Duration>,
    cpu_many: Option<Duration>,
}

/// Why there is nothing to measure with, in words.
pub(crate) fn missing() -> Option<&'static str> {
    if !broker::BUILT_IN {
        return Some("this bench was built without `--features bench-listener`; `make bench` builds it so");
    }
    let answers = |program: &str, argument: &str| Command::new(program).arg(argument).output().is_ok();
    match (answers("haproxy", "-v"), answers("taskset", "--version")) {
        (true, true) => None,
        (false, _) => Some("`haproxy` is missing; `scripts/install-tools bench` installs it"),
        (_, false) => Some("`taskset` is missing; it is in the package util-linux"),
    }
}

/// Measures every way in turns. The broker of the site is started anew, with the listeners that isolate the filter.
pub(crate) fn measure(site: &mut Site, amounts: &Amounts) -> Vec<Figures> {
    say("Modbus reads");
    load::serve((CONTROLLER.0, CONTROLLER.1), ENDS);
    site.serve_with(broker::command(site, BETWEEN, &[PLAIN, UNRECORDED]), &[PLAIN, UNRECORDED]);
    let haproxy = ways::haproxy(site.folder());
    let site = &*site;
    let tool = || {
        load::stay_on(ENDS);
        load::runtime().block_on(rounds(site, &haproxy, amounts))
    };
    // In a thread of its own: the one that is kept on a core is not this process's first.
    std::thread::scope(|scope| scope.spawn(tool).join().expect("the tool reads to the end"))
}

async fn rounds(site: &Site, haproxy: &sallyport_tests::Running, amounts: &Amounts) -> Vec<Figures> {
    let mut open = Vec::new();
    for way in Way::ALL {
        open.push((Open::new(way, site, haproxy, amounts.connections).await, Vec::new()));
    }
    for round in 0..=amounts.rounds {
        for (open, figures) in &mut open {
            let taken = one_round(open, amounts.lasting).await;
            // The first warms up.
            if round > 0 {
                figures.push(taken);
            }
        }
    }
    open.into_iter().map(|(_, figures)| median(&figures)).collect()
}

async fn one_round(open: &mut Open, lasting: Duration) -> Figures {
    let between = open.between;
    let cpu = || between.map(cpu_seconds);
    let spent = |before: Option<f64>, requests: u64| {
        before.zip(cpu()).map(|(before, after)| Duration::from_secs_f64((after - before).max(0.0) / requests as f64))
    };
    let before = cpu();
    let one = open.read_one(lasting).await;
    let cpu_one = spent(before, one.requests);
    let before = cpu();
    let many = open.read_many(lasting).await;
    let cpu_many = spent(before, many.requests);
    Figures {
        way: open.way,
        p50: quantile(one.round_trips.clone(), 50),
        p99: quantile(one.round_trips, 99),
        per_second_one: one.requests as f64 / one.lasting.as_secs_f64(),
        per_second_many: many.requests as f64 / many.lasting.as_secs_f64(),
        cpu_one,
        cpu_many,
    }
}

/// Each figure's own median.
fn median(rounds: &[Figures]) -> Figures {
    let time = |of: fn(&Figures) -> Duration| quantile(rounds.iter().map(of).collect(), 50);
    let number = |of: fn(&Figures) -> f64| {
        let mut numbers: Vec<f64> = rounds.iter().map(of).collect();
        numbers.sort_by(f64::total_cmp);
        numbers[numbers.len() / 2]
    };
    let maybe = |of: fn(&Figures) -> Option<Duration>| {
        rounds.iter().map(of).collect::<Option<Vec<_>>>().map(|times| quantile(times, 50))
    };
    Figures {
        way: rounds[0].way,
        p50: time(|round| round.p50),
        p99: time(|round| round.p99),
        per_second_one: number(|round| round.per_second_one),
        per_second_many: number(|round| round.per_second_many),
        cpu_one: maybe(|round| round.cpu_one),
        cpu_many: maybe(|round| round.cpu_many),
    }
}
