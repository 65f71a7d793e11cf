//! `sallyport break-glass …`: envelopes are sealed, listed, revoked and sealed anew; their sheets are for one pair of eyes.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use sallyport::audit::{Audit, AuditConfig, AuditEvent};
use sallyport::store::{DatabaseConfig, Store};
use sallyport::vault::{MasterKey, MasterKeySource, Vault};
use sallyport_tests::{Finished, Postgres, finish, sallyport};
use serde_json::Value;
use tempfile::TempDir;

const PLANT: &str = r#"
[zone.cell-1]
level = 2
networks = ["10.10.1.0/24"]

[[conduit]]
to = "cell-1"
services = ["ssh", "modbus"]

[asset.ews-1]
zone = "cell-1"
address = "10.10.1.20"
services.ssh = { port = 22, host_key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ" }
accounts.operator = { auth = "prompt" }

[asset.plc-1]
zone = "cell-1"
address = "10.10.1.30"
services.modbus = { port = 502 }

[break_glass.control-room]
assets = ["zone:cell-1"]
services = ["ssh", "modbus"]
accounts = ["operator"]
max_duration = "1h"
review_within = "24h"
who = "The shift lead."
call = "Plant security, +47 22 00 00 00."
"#;

/// A broker's folder with a plant in force. No broker runs.
struct Desk {
    folder: TempDir,
    _server: Option<Arc<Postgres>>,
}

impl Desk {
    fn sqlite() -> Self {
        let folder = TempDir::new().unwrap();
        let url = format!("sqlite://{}/broker/store.db", folder.path().display());
        Self::init(folder, &url, None)
    }

    fn postgres() -> Self {
        let server = Postgres::shared();
        let url = server.database();
        Self::init(TempDir::new().unwrap(), &url, Some(server))
    }

    fn init(folder: TempDir, url: &str, server: Option<Arc<Postgres>>) -> Self {
        let mut command = Command::new(sallyport());
        command.args(["init", "--name", "b1", "--database", url, "--dir"]).arg(folder.path().join("broker"));
        finish(command, b"").ok();
        let desk = Self { folder, _server: server };
        desk.apply(PLANT);
        desk
    }

    fn apply(&self, plant: &str) {
        let file = self.path("plant.toml");
        fs::write(&file, plant).unwrap();
        // Nobody but an envelope's holder gets anywhere here, and in one test not even they.
        self.run(&["apply", "-f", file.to_str().unwrap(), "--yes", "--empty"]).ok();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn run(&self, arguments: &[&str]) -> Finished {
        let mut command = Command::new(sallyport());
        command.arg("--config").arg(self.path("broker/broker.toml")).args(arguments);
        finish(command, b"")
    }

    fn glass(&self, arguments: &[&str]) -> Finished {
        self.run(&[&["break-glass"], arguments].concat())
    }

    /// Seals into a new folder, and gives it.
    fn seal(&self, name: &str, arguments: &[&str]) -> PathBuf {
        let out = self.path(name);
        self.glass(&[&["seal", "--rule", "control-room", "--out", out.to_str().unwrap()], arguments].concat()).ok();
        out
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let said = self.run(&[arguments, &["--json"]].concat());
        serde_json::from_slice(&said.stdout).unwrap_or_else(|error| panic!("{error}: {said}"))
    }

    /// Enters an emergency that was opened two days ago and that nobody has looked at since.
    fn opened_long_ago(&self, opening: &str) {
        let now = jiff::Timestamp::now();
        let event = AuditEvent::GlassBroken {
            identity: "glass".to_owned(),
            source: "10.0.0.10".to_owned(),
            opening: opening.to_owned(),
            rule: "control-room".to_owned(),
            envelopes: vec![1],
            reason: "line 4 does not stop".to_owned(),
            ends_at: now - jiff::SignedDuration::from_hours(47),
            review_until: now - jiff::SignedDuration::from_hours(24),
            clock_trusted: true,
            database: true,
        };
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let url = format!("sqlite://{}", self.path("broker/store.db").display());
            let store = Store::open(&DatabaseConfig::url(url)).await.unwrap();
            let master = MasterKey::load(&MasterKeySource::File(self.path("broker/master.key"))).unwrap();
            let vault = Vault::open(store.clone(), &master).await.unwrap();
            let (broker, actor) = ("b1".to_owned(), "b1".to_owned());
            let config = AuditConfig { store, key: vault.evidence_key().unwrap(), broker, actor, spool: None };
            Audit::start(config).await.unwrap().record(event).await.unwrap();
        });
    }

    fn states(&self) -> Vec<String> {
        let listed = self.json(&["break-glass", "list"]);
        let first = |state: &str| state.split(' ').next().unwrap_or_default().to_owned();
        listed.as_array().unwrap().iter().map(|each| first(each["state"].as_str().unwrap())).collect()
    }

    fn checked(&self, what: &str) -> Vec<String> {
        let findings = self.json(&["check"]);
        let about = findings.as_array().unwrap().iter().filter(|finding| finding["what"] == what);
        about
            .map(|finding| format!("{}: {}", finding["state"].as_str().unwrap(), finding["says"].as_str().unwrap()))
            .collect()
    }
}

/// The code of a sheet: the letters of its five groups.
fn code(sheet: &Path) -> String {
    let text = fs::read_to_string(sheet).unwrap();
    let groups = text.lines().filter(|line| (1..=5).any(|number| line.starts_with(&format!("    group {number}:"))));
    groups.filter_map(|line| line.split_whitespace().nth(2)).collect()
}

#[test]
fn envelopes_are_sealed_listed_and_end() {
    for desk in [Desk::sqlite(), Desk::postgres()] {
        let out = desk.seal("first", &["--count", "3", "--holder", "control room, safe 2", "--expires", "180d"]);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&out), 0o700);
        let mut codes = Vec::new();
        for number in 1..=3 {
            let sheet = out.join(format!("envelope-{number}.txt"));
            assert_eq!((mode(&sheet), mode(&sheet.with_extension("pdf"))), (0o600, 0o600));
            codes.push(code(&sheet));
            assert_eq!(codes[number - 1].len(), 25, "{}", codes[number - 1]);
        }
        codes.dedup();
        assert_eq!(codes.len(), 3);

        let listed = desk.json(&["break-glass", "list"]);
        assert_eq!(listed[2]["number"], 3);
        assert_eq!(listed[2]["holder"], "control room, safe 2");
        assert!(listed[2]["expires_at"].is_string());
        desk.glass(&["revoke", "1", "--reason", "lost"]).ok();
        let again = desk.glass(&["revoke", "1", "--reason", "again"]);
        assert!(again.refused().contains("no envelope 1 that is sealed"), "{again}");
        desk.glass(&["expire", "2", "--at", "2026-01-01T00:00:00Z"]).ok();
        desk.glass(&["reseal", "3", "--out", desk.path("second").to_str().unwrap()]).ok();
        assert_eq!(desk.states(), ["revoked", "expired", "revoked", "sealed"]);
        let last = &desk.json(&["break-glass", "list"])[3];
        assert_eq!((&last["rule"], &last["holder"]), (&listed[2]["rule"], &listed[2]["holder"]));
        assert_ne!(code(&desk.path("second/envelope-4.txt")), codes[2]);

        let audit = desk.json(&["audit", "list"]);
        let told: Vec<_> = audit.as_array().unwrap().iter().filter_map(|entry| entry["code"].as_str()).collect();
        let about = |code: &str| told.iter().filter(|told| **told == code).count();
        assert_eq!((about("SP-8101"), about("SP-8102"), about("SP-8103")), (4, 2, 1), "{told:?}");
        desk.run(&["audit", "verify"]).ok();
    }
}

/// A code is on its sheet, and nowhere else.
#[test]
fn a_code_is_on_its_sheet_alone() {
    let desk = Desk::sqlite();
    let said = desk.glass(&["seal", "--rule", "control-room", "--out", desk.path("sheets").to_str().unwrap()]);
    let code = code(&desk.path("sheets/envelope-1.txt"));
    let listed = desk.glass(&["list"]);
    let mut seen = vec![said.to_string(), listed.to_string(), desk.run(&["audit", "list"]).to_string()];
    for file in fs::read_dir(desk.path("broker")).unwrap() {
        let file = file.unwrap().path();
        if file.is_file() {
            seen.push(String::from_utf8_lossy(&fs::read(file).unwrap()).into_owned());
        }
    }
    assert!(seen.len() > 5, "the files of the broker were not read");
    for text in seen {
        let letters: String = text.chars().filter(char::is_ascii_alphanumeric).collect();
        for group in 0..5 {
            assert!(!letters.contains(&code[group * 5..][..5]), "a group of the code is in: {text:.200}");
        }
    }
}

#[test]
fn what_cannot_be_sealed_is_said_and_leaves_nothing() {
    let desk = Desk::sqlite();
    let out = desk.path("sheets");
    let out = out.to_str().unwrap();
    let refused = |arguments: &[&str], why: &str| {
        let said = desk.glass(arguments);
        assert!(said.refused().contains(why), "{said}");
        assert!(!Path::new(out).exists() || fs::read_dir(out).unwrap().count() == 0);
    };
    refused(&["seal", "--rule", "control", "--out", out], "it has `control-room`");
    refused(&["seal", "--rule", "control-room", "--count", "0", "--out", out], "0 is not in 1..=100");
    refused(&["seal", "--rule", "control-room", "--count", "1000", "--out", out], "1000 is not in 1..=100");
    refused(&["seal", "--rule", "control-room"], "--out <FOLDER>");
    refused(&["seal", "--rule", "control-room", "--out", out, "--print"], "cannot be used with");
    refused(&["seal", "--rule", "control-room", "--expires", "soon", "--out", out], "write it as `180d`");
    refused(&["reseal", "7", "--out", out], "no envelope 7 that is sealed");
    refused(&["expire", "7", "--at", "2027-01-01T00:00:00Z"], "no envelope 7 that is sealed");
    refused(&["expire", "7", "--at", "tomorrow"], "invalid value 'tomorrow'");
    fs::create_dir(out).unwrap();
    fs::set_permissions(out, fs::Permissions::from_mode(0o755)).unwrap();
    refused(&["seal", "--rule", "control-room", "--out", out], "others than its owner can read");
    fs::set_permissions(out, fs::Permissions::from_mode(0o700)).unwrap();
    desk.seal("sheets", &[]);
    let said = desk.glass(&["seal", "--rule", "control-room", "--out", out]);
    assert!(said.refused().contains("there are files in"), "{said}");
    assert_eq!(desk.states(), ["sealed"]);
    desk.apply(&PLANT.replacen("services = [\"ssh\", \"modbus\"]", "services = [\"vnc\"]", 1));
    let more = desk.path("more");
    let said = desk.glass(&["seal", "--rule", "control-room", "--out", more.to_str().unwrap()]);
    assert!(said.refused().contains("opens nothing") && !more.exists(), "{said}");
}

#[test]
fn sheets_can_be_printed_and_say_where_and_what() {
    let desk = Desk::sqlite();
    let hosts = ["--broker", "gate-1.example", "--broker", "gate-2.example", "--port", "2200"];
    let said = desk.glass(&[&["seal", "--rule", "control-room", "--print"], hosts.as_slice()].concat()).ok();
    for needed in [
        "Envelope 1",
        "ews-1 (ssh as operator), plc-1 (modbus): for 1 hour.",
        "The shift lead.",
        "Plant security, +47 22 00 00 00.",
        "ssh -p 2200 glass@gate-1.example\n",
        "ssh -p 2200 glass@gate-2.example\n",
        "ssh -J glass@gate-1.example:2200 operator@ews-1\n",
        "ssh -N -p 2200 -L 5020:plc-1:502 glass@gate-1.example\n",
        "SHA256:",
    ] {
        assert!(said.contains(needed), "no {needed:?} in {said}");
    }
}

#[test]
fn a_sheet_is_a_pdf_that_others_read() {
    let desk = Desk::sqlite();
    let sheet = desk.seal("sheets", &[]).join("envelope-1.pdf");
    let mut command = Command::new("pdftotext");
    command.arg("-layout").arg(&sheet).arg("-");
    let text = finish(command, b"").ok();
    let code = code(&sheet.with_extension("txt"));
    for group in 0..5 {
        assert!(text.contains(&code[group * 5..][..5]), "{text}");
    }
    assert!(text.contains("EMERGENCY ACCESS") && text.contains("page 1 of 1"), "{text}");
}

#[test]
fn check_tells_which_rules_have_no_envelope_and_which_envelopes_end_soon() {
    let desk = Desk::sqlite();
    assert_eq!(desk.checked("envelopes"), ["warn: rule `control-room` has 0 sealed envelopes, and needs 1"]);
    desk.seal("one", &["--expires", "20d"]);
    assert_eq!(desk.checked("envelopes"), ["warn: envelope 1 of rule `control-room` ends within 20 days"]);
    desk.seal("two", &["--expires", "180d"]);
    desk.glass(&["revoke", "1", "--reason", "soon over"]).ok();
    assert_eq!(desk.checked("envelopes"), ["ok: 1 sealed"]);
    desk.apply(&PLANT.replace("[break_glass.control-room]", "[break_glass.other]"));
    assert_eq!(
        desk.checked("envelopes"),
        [
            "warn: rule `other` has 0 sealed envelopes, and needs 1",
            "warn: envelope 2 is of rule `control-room`, which the plant in force does not have: it opens nothing",
        ]
    );
}

#[test]
fn an_overdue_review_stops_new_envelopes_where_the_plant_file_says_so() {
    let desk = Desk::sqlite();
    let seals =
        |name: &str| desk.glass(&["seal", "--rule", "control-room", "--out", desk.path(name).to_str().unwrap()]);
    desk.opened_long_ago("late");
    assert!(desk.checked("reviews")[0].contains("emergency late by rule `control-room`: OVERDUE since"));
    seals("by-default").ok();
    desk.apply(&format!("{PLANT}overdue_stops_sealing = true\n"));
    let refused = seals("refused");
    assert!(refused.refused().contains("nobody has reviewed emergency late"), "{refused}");
    assert!(!desk.path("refused").exists());
    let refused = desk.glass(&["reseal", "1", "--print"]);
    assert!(refused.refused().contains("nobody has reviewed emergency late"), "{refused}");
    assert_eq!(desk.states(), ["sealed"], "the old one is not revoked for it");
    desk.glass(&["review", "late", "--verdict", "justified", "--note", "line 4 stood"]).ok();
    seals("reviewed").ok();
    assert_eq!(desk.checked("reviews"), Vec::<String>::new());
}
