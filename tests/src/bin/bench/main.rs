//! `make bench`: Sallyport beside OpenSSH and HAProxy, in one run, on loopback, against the same sshd and controller.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a measurement that fails has no result")]

mod client;
mod measure;
mod modbus;
mod report;
mod site;

use std::process::ExitCode;

use measure::{Amounts, Results};
use site::Site;

const USAGE: &str = "usage: bench [--quick | --print] [--only ssh | --only modbus]
  --quick  small amounts, prints only
  --print  full amounts, prints only
  --only   this part alone";

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|word| word == modbus::broker::WORD) {
        return modbus::broker::run(&arguments[1..]);
    }
    let Some(asked) = Asked::parse(&arguments) else {
        eprintln!("{USAGE}");
        return ExitCode::from(64);
    };
    if asked.modbus
        && let Some(missing) = modbus::missing()
    {
        eprintln!("Modbus cannot be measured: {missing}");
        return ExitCode::FAILURE;
    }
    let mut site = Site::start();
    if asked.ssh {
        let amounts = if asked.quick { Amounts::QUICK } else { Amounts::FULL };
        let report = report::markdown(&Results::measure(&site, &amounts), &amounts);
        asked.tell(&report::SSH, &report);
    }
    if asked.modbus {
        let amounts = if asked.quick { modbus::Amounts::QUICK } else { modbus::Amounts::FULL };
        let report = modbus::markdown(&modbus::measure(&mut site, &amounts), &amounts);
        asked.tell(&modbus::SECTION, &report);
    }
    ExitCode::SUCCESS
}

/// What the command line asks for.
struct Asked {
    quick: bool,
    write: bool,
    ssh: bool,
    modbus: bool,
}

impl Asked {
    fn parse(arguments: &[String]) -> Option<Asked> {
        let mut asked = Asked { quick: false, write: true, ssh: true, modbus: true };
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--quick" => (asked.quick, asked.write) = (true, false),
                "--print" => asked.write = false,
                "--only" => match arguments.next()?.as_str() {
                    "ssh" => asked.modbus = false,
                    "modbus" => asked.ssh = false,
                    _ => return None,
                },
                _ => return None,
            }
        }
        Some(asked)
    }

    fn tell(&self, section: &report::Section, report: &str) {
        println!("{report}");
        if self.write {
            report::write(section, report);
            println!("written to docs/performance.md");
        }
    }
}
