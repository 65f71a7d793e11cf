//! `make bench`: Sallyport beside OpenSSH, in one run, on loopback, against the same sshd.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a measurement that fails has no result")]

mod client;
mod measure;
mod report;
mod site;

use std::process::ExitCode;

use measure::{Amounts, Results};
use site::Site;

fn main() -> ExitCode {
    let mut amounts = Amounts::FULL;
    let mut write = true;
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            "--quick" => (amounts, write) = (Amounts::QUICK, false),
            "--print" => write = false,
            _ => {
                eprintln!(
                    "usage: bench [--quick | --print]\n  --quick  small amounts, prints only\n  --print  full amounts, prints only"
                );
                return ExitCode::from(64);
            }
        }
    }
    let site = Site::start();
    let results = Results::measure(&site, &amounts);
    let report = report::markdown(&results, &amounts);
    println!("{report}");
    if write {
        report::write(&report);
        println!("written to docs/performance.md");
    }
    ExitCode::SUCCESS
}
