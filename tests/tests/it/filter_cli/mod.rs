//! `sallyport filter …` and `policy explain --operation`, on captures that the tests write and on real ones.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use sallyport_tests::{Finished, ModbusCapture, finish, repository, sallyport};
use serde_json::Value;
use tempfile::TempDir;

mod captures;
mod explain;
mod learn;
mod trial;

/// A plant's files, and perhaps a broker's folder in which they are in force.
struct Desk {
    folder: TempDir,
}

/// `plc-3` of the plant of the integration tests.
const PLC_3: &str = "10.10.1.40";
/// Monday, 23 November 2026, 10:00 UTC.
const MONDAY: u64 = 1_795_428_000;

impl Desk {
    fn new() -> Desk {
        let folder = TempDir::new().unwrap();
        let data = repository().join("tests/data");
        let plant: Vec<String> =
            ["plant.toml", "tcp.toml", "modbus.toml"].map(|name| fs::read_to_string(data.join(name)).unwrap()).into();
        let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDutvuvZv43Ml2u2bZ3vNtrVQALu4psB5dcXiez6JxQx";
        fs::create_dir(folder.path().join("plant")).unwrap();
        fs::write(folder.path().join("plant/plant.toml"), plant.join("\n").replace("@HOST_KEY@", key)).unwrap();
        fs::copy(data.join("plc-3.csv"), folder.path().join("plant/plc-3.csv")).unwrap();
        Desk { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a capture, and gives its path.
    fn capture(&self, name: &str, fill: impl FnOnce(&mut ModbusCapture) -> &mut ModbusCapture) -> String {
        let mut capture = ModbusCapture::begin(PLC_3, MONDAY);
        fill(&mut capture);
        let path = self.path(name);
        capture.save(&path);
        text(&path)
    }

    /// One more file of the plant.
    fn add(&self, name: &str, content: &str) {
        fs::write(self.path("plant").join(name), content).unwrap();
    }

    /// Makes a broker's folder, in which the plant is in force.
    fn broker(&self) {
        let mut init = Command::new(sallyport());
        init.args(["init", "--name", "b1", "--dir"]).arg(self.path("broker"));
        finish(init, b"").ok();
        self.run(&["apply", "-f", &text(&self.path("plant"))]).ok();
    }

    /// A command, with the configuration of the broker's folder, which need not be there.
    fn run(&self, arguments: &[&str]) -> Finished {
        let mut command = Command::new(sallyport());
        command.env_remove("SALLYPORT_CONFIG").arg("--config").arg(self.path("broker/broker.toml")).args(arguments);
        finish(command, b"")
    }

    /// The same on the plant's files, whatever is in force.
    fn on_files(&self, arguments: &[&str]) -> Finished {
        self.run(&[arguments, &["-f", &text(&self.path("plant"))]].concat())
    }

    /// The same, as JSON; and the exit code.
    fn json(&self, arguments: &[&str]) -> (Value, i32) {
        let finished = self.on_files(&[arguments, &["--json"]].concat());
        let value = serde_json::from_slice(&finished.stdout).unwrap_or_else(|error| panic!("{error}: {finished}"));
        (value, finished.code())
    }
}

fn text(path: &Path) -> String {
    path.to_str().expect("UTF-8").to_owned()
}

/// The operations of `filter test --json`, a line each: what, verdict, rule.
fn judged(answer: &Value) -> Vec<String> {
    let word = |entry: &Value, name: &str| entry[name].as_str().unwrap_or("-").to_owned();
    let line = |entry: &Value| {
        format!("{}: {} {} {}", word(entry, "text"), word(entry, "verdict"), word(entry, "cause"), word(entry, "rule"))
    };
    answer["operations"].as_array().expect("operations").iter().map(line).collect()
}
