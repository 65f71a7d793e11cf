//! `scripts/reliability`: what happens to a running broker and the sessions in it when things fail, judged from outside.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a measurement that fails has no result")]

mod clock;
mod controller;
mod disk;
mod envelopes;
mod glass;
mod image;
mod isolation;
mod judge;
mod kills;
mod load;
mod options;
mod panel;
mod postgres_stopped;
mod report;
mod session;
mod siem;
mod site;
mod soak;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use options::Options;
use report::{Figure, Report};

/// A row: its name, what is done to the broker, and what does it.
struct Row {
    name: &'static str,
    about: &'static str,
    run: fn(&Options) -> Vec<Figure>,
}

/// In the order in which they run.
const ROWS: &[Row] = &[
    Row {
        name: "isolation",
        about: "`zone isolate` under live sessions on two brokers: how long until the last byte",
        run: isolation::run,
    },
    Row {
        name: "postgres-stopped",
        about: "PostgreSQL away for minutes, stopped while what waited enters, and a standby in its place",
        run: postgres_stopped::run,
    },
    Row {
        name: "envelopes",
        about: "codes that are right, wrong, swapped, used, revoked, expired, halves, guessed, used twice",
        run: envelopes::run,
    },
    Row { name: "clock", about: "the broker's clock a day back, and a day forward", run: clock::run },
    Row {
        name: "disk",
        about: "the disk of the recordings full, read-only, stalled, without inodes, gone",
        run: disk::run,
    },
    Row { name: "siem", about: "receivers of events down, slow, and with another's certificate", run: siem::run },
    Row {
        name: "kills",
        about: "`kill -9` of the broker and of PostgreSQL at random moments; power cut",
        run: kills::run,
    },
    Row {
        name: "soak",
        about: "mixed sessions that work, come and go for a while: memory, descriptors and the record",
        run: soak::run,
    },
];

fn main() -> ExitCode {
    let options = match Options::parse(std::env::args().skip(1), ROWS.iter().map(|row| row.name)) {
        Ok(options) => options,
        Err(usage) => {
            eprintln!("{usage}");
            return ExitCode::from(64);
        }
    };
    if options.list {
        for row in ROWS {
            println!("{:18}{}", row.name, row.about);
        }
        return ExitCode::SUCCESS;
    }
    let mut all_met = true;
    for row in ROWS.iter().filter(|row| options.rows.is_empty() || options.rows.iter().any(|name| name == row.name)) {
        eprintln!("{}: {}", row.name, row.about);
        let begun = jiff::Timestamp::now();
        // One that cannot be finished is told, and the others go on.
        let Ok(figures) = catch_unwind(AssertUnwindSafe(|| (row.run)(&options))) else {
            println!("{}: NOT FINISHED", row.name);
            all_met = false;
            continue;
        };
        let report = Report { row: row.name, begun, command: options.command(row.name), figures };
        print!("{}", report.lines());
        all_met &= report.met();
        if options.write {
            report.write();
        }
    }
    if all_met { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
