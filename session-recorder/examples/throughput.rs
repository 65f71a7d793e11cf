//! What an append costs: `cargo run --release --example throughput [MiB]`, for pieces and contents that matter.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::cast_precision_loss,
    reason = "a measurement needs a clock and a file"
)]

use sallyport_session_recorder::{Budget, Direction, Durability, Header, Keys, Moment, Recorder, Sink, TrackId};
use std::fs::File;
use std::io::Write;
use std::sync::Arc;
use std::time::Instant;

fn main() {
    let mib: usize = std::env::args().nth(1).and_then(|size| size.parse().ok()).unwrap_or(512);
    println!(
        "{:<10} {:>8} {:>10} {:>12} {:>14} {:>9} {:>9}",
        "content", "piece", "MiB/s", "CPU s/GiB", "recorded/GiB", "p50 us", "p99 us"
    );
    for (name, content) in [("text", text()), ("random", noise()), ("zeros", vec![0; SOURCE])] {
        for piece in [64, 1024, 32 * 1024, 256 * 1024] {
            let bytes = (mib << 20).min(piece * 200_000);
            measure(name, &content, piece, bytes, &mut Budget::unlimited());
        }
        measure(&format!("{name} #"), &content, 256 * 1024, mib << 20, &mut Budget::none());
    }
}

const SOURCE: usize = 8 << 20;

struct Append(File);

impl Sink for Append {
    fn append(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.0.write_all(bytes)
    }
}

fn measure(name: &str, content: &[u8], piece: usize, bytes: usize, budget: &mut Budget) {
    let path = std::env::temp_dir().join(format!("throughput-{}.srec", std::process::id()));
    let reader = sallyport_session_recorder::types::Identity::generate();
    let signing = ed25519_dalek::SigningKey::from_bytes(&[7; 32]);
    let keys = Arc::new(Keys::new(&[reader.to_public().to_string()], signing).unwrap());
    let begin = Instant::now();
    let moment = || Moment {
        unix_micros: i64::try_from(begin.elapsed().as_micros()).unwrap(),
        monotonic_micros: u64::try_from(begin.elapsed().as_micros()).unwrap(),
    };
    let sink = Append(File::create(&path).unwrap());
    let mut recorder = Recorder::start(sink, &header(moment()), &keys, moment()).unwrap();
    let mut times = Vec::with_capacity(bytes / piece);
    let (cpu, start) = (cpu_seconds(), Instant::now());
    for number in 0..bytes / piece {
        let from = number * piece % (content.len() - piece + 1);
        let before = Instant::now();
        recorder.append_bulk(moment(), TrackId(1), Direction::Output, &content[from..from + piece], budget).unwrap();
        times.push(before.elapsed());
    }
    let (cpu, wall) = (cpu_seconds() - cpu, start.elapsed().as_secs_f64());
    times.sort();
    let gib = bytes as f64 / f64::from(1 << 30);
    let at = |share: usize| times[times.len() * share / 100].as_secs_f64() * 1e6;
    println!(
        "{name:<10} {piece:>8} {:>10.0} {:>12.2} {:>14.0} {:>9.1} {:>9.1}",
        gib * 1024.0 / wall,
        cpu / gib,
        recorder.len() as f64 / gib,
        at(50),
        at(99)
    );
    std::fs::remove_file(path).unwrap();
}

/// User and system time of this process, from the kernel's clock ticks of 10 ms.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

fn header(started: Moment) -> Header {
    let word = || "bench".to_owned();
    Header {
        session: word(),
        broker: word(),
        identity: word(),
        source: word(),
        asset: word(),
        zone: word(),
        service: word(),
        account: word(),
        form: word(),
        started,
        rule: word(),
        terms: serde_json::Value::Null,
        durability: Durability::Process,
    }
}

fn text() -> Vec<u8> {
    let mut out = String::new();
    let mut number = 1_u32;
    while out.len() < SOURCE {
        number = number.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        out += &format!(
            "Nov 23 08:{:02}:{:02} ews-1 control[{}]: tank {} level {:.2} m, valve {:08x} {}\n",
            number % 60,
            number / 60 % 60,
            number % 30_000,
            number % 12,
            f64::from(number % 1000) / 100.0,
            number,
            if number.is_multiple_of(7) { "closing" } else { "open" }
        );
    }
    out.into_bytes()
}

fn noise() -> Vec<u8> {
    let mut out = vec![0; SOURCE];
    aws_lc_rs::rand::fill(&mut out).unwrap();
    out
}
