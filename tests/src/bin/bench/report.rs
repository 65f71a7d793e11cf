//! The table: figures, ratios, and whether the aim is met.

use std::fmt::Write as _;
use std::fs;

use sallyport_tests::repository;

use crate::measure::{Amounts, Figures, Results, Transfer};
use crate::site::Way;

/// A measured part of docs/performance.md.
pub(crate) struct Section {
    pub(crate) begin: &'static str,
    pub(crate) end: &'static str,
}

/// The part that is about ssh.
pub(crate) const SSH: Section =
    Section { begin: "<!-- written by `make bench` -->", end: "<!-- end of what `make bench` writes -->" };

/// The part of docs/performance.md that is about ssh.
pub(crate) fn markdown(results: &Results, amounts: &Amounts) -> String {
    let mut text = String::new();
    writeln!(text, "{}\n\n{}\n", SSH.begin, circumstances(amounts)).unwrap();
    ratios(&mut text, results);
    figures(&mut text, results);
    broker(&mut text, results);
    writeln!(text, "{}", SSH.end).unwrap();
    text
}

/// Puts a measured part into docs/performance.md; what people wrote around it stays.
pub(crate) fn write(section: &Section, report: &str) {
    let path = repository().join("docs/performance.md");
    let old = fs::read_to_string(&path).expect("docs/performance.md");
    let (before, rest) = old.split_once(section.begin).expect("the mark where the measured part begins");
    let after = rest.split_once(section.end).expect("the mark where the measured part ends").1;
    fs::write(&path, format!("{before}{}{after}", report.trim_end())).expect("docs/performance.md can be written");
}

/// A figure, and what it ought to be.
pub(crate) struct Aim {
    pub(crate) what: &'static str,
    pub(crate) measured: f64,
    pub(crate) aim: f64,
    pub(crate) at_least: bool,
}

impl Aim {
    fn met(&self) -> bool {
        if self.at_least { self.measured >= self.aim } else { self.measured <= self.aim }
    }
}

fn ratios(text: &mut String, results: &Results) {
    let stock = results.of(Way::StockJump);
    let curve = results.of(Way::StockJumpCurve);
    let straight = results.of(Way::Straight);
    let (jump, direct) = (results.of(Way::Jump), results.of(Way::Direct));
    let time = |ours: &Figures| ours.run_true.as_secs_f64() / curve.run_true.as_secs_f64();
    let speed = |ours: Transfer, theirs: Transfer| theirs.seconds / ours.seconds;
    let most = |pick: fn(&Figures) -> f64| pick(jump).max(pick(direct));
    let cpu = most(|each| each.download.cpu_per_gib.max(each.upload.cpu_per_gib));
    let cpu_scp = most(|each| each.scp_download.cpu_per_gib.max(each.scp_upload.cpu_per_gib));
    let recorded = most(|each| each.scp_download.recorded_per_gib.max(each.scp_upload.recorded_per_gib));
    let added = |ours: &Figures| (ours.key_p99.as_secs_f64() - straight.key_p99.as_secs_f64()) * 1000.0;
    let (most_idle, idle) = *results.idle.last().expect("idle sessions were measured");
    let none = results.idle[0].1;
    let per_session = (idle.saturating_sub(none)) as f64 / 1024.0 / most_idle as f64;
    let growth = results.stalls.iter().map(|(_, before, most)| most - before).max().unwrap_or(0) as f64 / 1024.0;
    let aim = |what, measured, aim, at_least| Aim { what, measured, aim, at_least };
    let list = [
        aim("`true`, direct / OpenSSH `-J` curve25519", time(direct), 0.66, false),
        aim("`true`, `-J` / OpenSSH `-J` curve25519", time(jump), 0.8, false),
        aim("download speed, direct / OpenSSH `-J`", speed(direct.download, stock.download), 1.0, true),
        aim("upload speed, direct / OpenSSH `-J`", speed(direct.upload, stock.upload), 1.2, true),
        aim("download speed, `-J` / OpenSSH `-J`", speed(jump.download, stock.download), 0.85, true),
        aim("upload speed, `-J` / OpenSSH `-J`", speed(jump.upload, stock.upload), 1.0, true),
        aim("broker CPU s per GiB through exec, worst", cpu, 3.0, false),
        aim("broker CPU s per GiB by scp, worst", cpu_scp, 3.0, false),
        aim("MiB per idle recorded session", per_session, 0.3, false),
        aim("MiB of growth while a side does not read, worst", growth, 64.0, false),
        aim("MiB of recording per GiB by scp, worst", recorded / f64::from(1 << 20), 1.0, false),
        aim("ms added to a keystroke at p99, direct", added(direct), 1.0, false),
        aim("ms added to a keystroke at p99, `-J`", added(jump), 1.0, false),
        aim(
            "new sessions per second under a lease / sshd straight",
            results.our_logins / results.straight_logins,
            0.9,
            true,
        ),
    ];
    aims(text, &list);
}

/// What was measured beside what it ought to be.
pub(crate) fn aims(text: &mut String, aims: &[Aim]) {
    writeln!(text, "| what | measured | aim | |\n|---|---|---|---|").unwrap();
    for aim in aims {
        let (sign, word) = (if aim.at_least { "≥" } else { "≤" }, if aim.met() { "met" } else { "**missed**" });
        writeln!(text, "| {} | {:.2} | {sign} {} | {word} |", aim.what, aim.measured, aim.aim).unwrap();
    }
    text.push('\n');
}

fn figures(text: &mut String, results: &Results) {
    writeln!(text, "| way | `true` ms | key p50 / p99 ms | download / upload s | by scp, download / upload s |\n|---|---|---|---|---|").unwrap();
    let ms = |duration: std::time::Duration| duration.as_secs_f64() * 1000.0;
    for each in &results.ways {
        writeln!(
            text,
            "| {} | {:.0} | {:.2} / {:.2} | {:.2} / {:.2} | {:.2} / {:.2} |",
            each.way.title(),
            ms(each.run_true),
            ms(each.key_p50),
            ms(each.key_p99),
            each.download.seconds,
            each.upload.seconds,
            each.scp_download.seconds,
            each.scp_upload.seconds,
        )
        .unwrap();
    }
    writeln!(
        text,
        "\n| broker, per GiB | exec download | exec upload | scp download | scp upload |\n|---|---|---|---|---|"
    )
    .unwrap();
    for each in results.ways.iter().filter(|each| each.way.is_ours()) {
        let cell = |one: Transfer| {
            format!("{:.2} CPU s, {:.2} MiB recorded", one.cpu_per_gib, one.recorded_per_gib / f64::from(1 << 20))
        };
        writeln!(
            text,
            "| {} | {} | {} | {} | {} |",
            each.way.title(),
            cell(each.download),
            cell(each.upload),
            cell(each.scp_download),
            cell(each.scp_upload)
        )
        .unwrap();
    }
    text.push('\n');
}

fn broker(text: &mut String, results: &Results) {
    writeln!(text, "| idle recorded sessions with a terminal | broker's resident MiB |\n|---|---|").unwrap();
    for (count, kib) in &results.idle {
        writeln!(text, "| {count} | {:.1} |", *kib as f64 / 1024.0).unwrap();
    }
    writeln!(text, "\n| what does not read | resident MiB before | at most |\n|---|---|---|").unwrap();
    for (name, before, most) in &results.stalls {
        writeln!(text, "| {name} | {:.1} | {:.1} |", *before as f64 / 1024.0, *most as f64 / 1024.0).unwrap();
    }
    writeln!(
        text,
        "\nNew sessions per second, 16 clients at once, clients and asset on the same cores: {:.0} straight to sshd, {:.0} \
         through the broker under a lease, at {:.1} ms of the broker's CPU each.\n",
        results.straight_logins, results.our_logins, results.our_login_cpu
    )
    .unwrap();
}

/// When, and on what.
pub(crate) fn machine() -> String {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find(|line| line.starts_with("model name")).and_then(|line| line.split_once(": "));
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let date = jiff::Zoned::now().strftime("%-d %B %Y");
    format!("{date} on {cores} cores ({})", model.map_or("unknown", |(_, model)| model))
}

fn circumstances(amounts: &Amounts) -> String {
    format!(
        "Measured {} with `make bench`, everything on loopback, with recording on. \
         {} MiB of random bytes, the better of two runs; `true`: median of {} in turns; {} keystrokes.",
        machine(),
        amounts.bytes >> 20,
        amounts.runs,
        amounts.keystrokes
    )
}
