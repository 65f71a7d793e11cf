//! From figures to the part of docs/performance.md that is about Modbus.

use std::fmt::Write;
use std::time::Duration;

use sallyport_tests::finish;

use super::ways::{HAPROXY_CONFIG, Way};
use super::{Amounts, Figures};
use crate::report::{Aim, Section, aims, machine};

/// Its place in docs/performance.md.
pub(crate) const SECTION: Section = Section {
    begin: "<!-- written by `make bench`: Modbus -->",
    end: "<!-- end of what `make bench` writes: Modbus -->",
};

pub(crate) fn markdown(figures: &[Figures], amounts: &Amounts) -> String {
    let mut text = format!("{}\n\n{}\n\n", SECTION.begin, circumstances(amounts));
    ratios(&mut text, figures);
    table(&mut text, figures);
    writeln!(text, "HAProxy's configuration:\n\n```text\n{}```\n\n{}", HAPROXY_CONFIG, SECTION.end).unwrap();
    text
}

fn of(figures: &[Figures], way: Way) -> &Figures {
    figures.iter().find(|each| each.way == way).expect("every way was measured")
}

fn ratios(text: &mut String, figures: &[Figures]) {
    let (haproxy, isolated) = (of(figures, Way::HaProxy), of(figures, Way::Isolated));
    let added = micros(isolated.p50) - micros(haproxy.p50);
    let aim = |what, measured, aim, at_least| Aim { what, measured, aim, at_least };
    aims(
        text,
        &[
            aim(
                "requests per second at 64 connections, filter and record / HAProxy",
                isolated.per_second_many / haproxy.per_second_many,
                0.95,
                true,
            ),
            aim(
                "requests per second at 1 connection, filter and record / HAProxy",
                isolated.per_second_one / haproxy.per_second_one,
                0.95,
                true,
            ),
            aim("µs of median round trip at 1 connection, filter and record − HAProxy", added, 5.0, false),
        ],
    );
    let (alone, sshd, forwarded) = (of(figures, Way::FilterAlone), of(figures, Way::Sshd), of(figures, Way::Forwarded));
    let cpu = |figures: &Figures| figures.cpu_many.map_or(0.0, micros);
    writeln!(
        text,
        "The record costs {:.1} µs of CPU per request at 64 connections ({:.1} with it, {:.1} without; HAProxy takes {:.1}) and {:.1} µs of \
         the median round trip at 1. The filter alone does {:.2} of HAProxy's requests per second at 64 connections. Inside ssh, Sallyport does {:.2} \
         of the requests per second of OpenSSH's sshd, which neither looks at them nor records them.\n",
        cpu(isolated) - cpu(alone),
        cpu(isolated),
        cpu(alone),
        cpu(haproxy),
        micros(isolated.p50) - micros(alone.p50),
        alone.per_second_many / haproxy.per_second_many,
        forwarded.per_second_many / sshd.per_second_many,
    )
    .unwrap();
}

fn table(text: &mut String, figures: &[Figures]) {
    writeln!(
        text,
        "| what is between | p50 / p99 µs, 1 connection | requests/s, 1 | requests/s, 64 | its CPU µs per request, 1 / 64 |\n|---|---|---|---|---|"
    )
    .unwrap();
    for each in figures {
        let cpu = match (each.cpu_one, each.cpu_many) {
            (Some(one), Some(many)) => format!("{:.1} / {:.1}", micros(one), micros(many)),
            _ => "–".to_owned(),
        };
        writeln!(
            text,
            "| {} | {:.1} / {:.1} | {:.0} | {:.0} | {cpu} |",
            each.way.title(),
            micros(each.p50),
            micros(each.p99),
            each.per_second_one,
            each.per_second_many
        )
        .unwrap();
    }
    text.push('\n');
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

fn circumstances(amounts: &Amounts) -> String {
    let mut version = std::process::Command::new("haproxy");
    version.arg("-v");
    let version = finish(version, b"").text();
    let version = version.split_whitespace().nth(2).unwrap_or("of unknown version").to_owned();
    format!(
        "Measured {} with `make bench`, everything on loopback. One core is for what stands between (HAProxy {version} with one thread, Sallyport with \
         as many workers as it starts on one core), the other for the tool and the controller, one thread each. A request is 12 bytes and reads one register; \
         the next is sent when its answer was checked. Sallyport judges by an identity's grant with a filter of seven rules and a tag list. \
         {} rounds in turns of {:.1} s each, medians of the rounds.",
        machine(),
        amounts.rounds,
        amounts.lasting.as_secs_f64(),
    )
}
