//! The page on backup and restore, word for word, to a broker of another name; and what a broker leaves open that does not come back.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use sallyport_tests::{
    Finished, Place, Plant, Postgres, Second, Setup, Terminal, finish, finish_within, repository, sallyport,
};
use serde_json::Value;

/// The blocks of the page that are marked as tried, by their names.
fn blocks() -> BTreeMap<String, String> {
    let page = fs::read_to_string(repository().join("docs/backup.md")).unwrap();
    let mut found: BTreeMap<String, String> = BTreeMap::new();
    let mut inside: Option<String> = None;
    for line in page.lines() {
        match (&inside, line.strip_prefix("```sh tried=")) {
            (None, Some(name)) => inside = Some(name.to_owned()),
            (Some(_), _) if line == "```" => inside = None,
            (Some(name), _) => *found.entry(name.clone()).or_default() += &format!("{line}\n"),
            (None, None) => {}
        }
    }
    found
}

/// A machine on which the page's commands are typed.
struct Machine<'a> {
    plant: &'a Plant,
    folder: PathBuf,
    backup: PathBuf,
    database: String,
}

impl Machine<'_> {
    fn config(&self) -> PathBuf {
        self.folder.join("broker.toml")
    }

    /// Types a block. Only what the page says is the reader's own, the names, are others.
    fn types(&self, block: &str) {
        let blocks = blocks();
        let names: Vec<&str> = blocks["names"].lines().map(|line| line.split('=').next().unwrap()).collect();
        assert_eq!(names, ["ETC", "STATE", "BACKUP", "DATABASE"]);
        let folder = self.folder.display();
        let names =
            format!("ETC={folder}\nSTATE={folder}\nBACKUP={}\nDATABASE='{}'", self.backup.display(), self.database);
        let mut bash = self.plant.network().command(Place::Gate, "bash");
        bash.args(["-euo", "pipefail", "-c", &format!("{names}\n{}", blocks[block])]);
        let own = sallyport().parent().unwrap().display();
        let path = std::env::var("PATH").unwrap();
        bash.env("PATH", format!("{own}:/usr/lib/postgresql/15/bin:{path}")).env("SALLYPORT_CONFIG", self.config());
        finish_within(Duration::from_secs(120), bash, b"").ok();
    }

    fn sallyport(&self, arguments: &[&str]) -> Finished {
        let mut command = Command::new(sallyport());
        command.arg("--config").arg(self.config()).args(arguments);
        finish(command, b"")
    }

    fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.sallyport(&[arguments, &["--json"]].concat()).ok()).unwrap()
    }
}

fn edit(path: &Path, change: impl FnOnce(&mut toml::Table)) {
    let mut config: toml::Table = fs::read_to_string(path).unwrap().parse().unwrap();
    change(&mut config);
    fs::write(path, toml::to_string(&config).unwrap()).unwrap();
}

/// A backup of a broker at work, restored as another one: everything proves, and nothing stays live.
fn restored_under_another_name(mut plant: Plant, engine: &str, there: Option<String>) {
    let alice = plant.person("alice");
    alice.take_lease("ews-1");
    let mut terminal = alice.terminal(&["ews-1"], 80, 24);
    terminal.expect("$");
    terminal.send("echo before-$((40+2))\n");
    terminal.expect("before-42");
    let live = plant.json(&["session", "list", "--live"])[0]["id"].as_str().unwrap().to_owned();
    let before = plant.recordings().len();

    let backup = plant.folder().join("backup");
    let database = plant.database_url().unwrap_or_default().to_owned();
    let folder = plant.folder().join("broker");
    Machine { plant: &plant, folder, backup: backup.clone(), database }.types(&format!("{engine}-take"));
    plant.broker().kill();
    drop(terminal);

    let new = Machine {
        plant: &plant,
        folder: plant.folder().join("newbox"),
        backup,
        database: there.clone().unwrap_or_default(),
    };
    new.types(&format!("{engine}-restore"));
    edit(&new.config(), |config| {
        config["broker"]["name"] = "newbox".into();
        if let Some(url) = there {
            config["database"]["url"] = url.into();
        }
    });
    assert_eq!(new.json(&["lease", "list"]).as_array().unwrap().len(), 1, "the backup brings the lease back to life");
    assert_eq!(new.json(&["session", "close-lost"])[0]["broker"], "gate-1");
    new.types("finish");
    assert_eq!(new.json(&["lease", "list"]), Value::Array(vec![]));
    assert_eq!(new.json(&["session", "list", "--live"]), Value::Array(vec![]));

    let mut broker = plant.start_broker(&new.config(), &plant.folder().join("newbox.log"));
    plant.await_listening(&mut broker, Plant::BROKER.1);
    alice.leased_ssh(["ews-1", "echo let through"]).refused();
    assert_eq!(alice.ssh(["ews-1", "echo in"]).ok(), "in\n");
    assert!(broker.terminate().success());
    new.types("prove");
    let recordings = new.json(&["recording", "list"]);
    assert_eq!(recordings.as_array().unwrap().len(), before + 1, "{recordings}");
    let state =
        |id: &str| recordings.as_array().unwrap().iter().find(|each| each["session"] == id).unwrap()["state"].clone();
    assert_eq!(state(&live), "interrupted");
    assert!(recordings.as_array().unwrap().iter().all(|each| each["state"] != "open"), "{recordings}");
    let told = new.json(&["audit", "list"]);
    let of =
        |code: &str| -> Vec<&Value> { told.as_array().unwrap().iter().filter(|entry| entry["code"] == code).collect() };
    assert_eq!(of("SP-3004").iter().map(|entry| &entry["session"]).collect::<Vec<_>>(), [&Value::from(live)]);
    assert_eq!(of("SP-1007").len(), 1);
    let restored = of("SP-6010");
    assert_eq!((restored.len(), &restored[0]["event"]["leases"]), (1, &1.into()));
    assert!(restored[0]["event"]["backup_of"].is_string(), "{restored:?}");
}

#[test]
fn the_page_brings_a_broker_on_sqlite_back_under_another_name() {
    let plant = Setup::standard().start();
    // The suite also runs as a whole on PostgreSQL.
    if plant.database_url().is_none() {
        restored_under_another_name(plant, "sqlite", None);
    }
}

#[test]
fn the_page_brings_a_broker_on_postgresql_back_under_another_name() {
    let server = Arc::new(Postgres::start());
    let there = server.database();
    restored_under_another_name(Setup::standard().on(&server).start(), "postgres", Some(there));
}

#[test]
fn nothing_is_closed_of_a_broker_that_lives_and_all_of_one_that_is_gone() {
    let plant = Setup::standard().on(&Arc::new(Postgres::start())).start();
    let mut second = Second::beside(&plant, "");
    let ada = plant.person("ada");
    let config = Second::config(&ada);
    ada.take_lease("ews-1");
    let mut here = ada.terminal(&["ews-1"], 80, 24);
    here.expect("$");
    let mut command = ada.leased("ssh");
    command.arg("-F").arg(&config).arg("ews-2");
    let there = Terminal::start(&command, 80, 24);
    there.expect("$");
    let live = |plant: &Plant| plant.json(&["session", "list", "--live"]).as_array().unwrap().len();
    assert_eq!(live(&plant), 2);

    for refused in [
        plant.sallyport(&["session", "close-lost", "--broker", "gate-2"]),
        plant.sallyport(&["restore", "finish", "--yes"]),
    ] {
        assert!(refused.refused().contains("is alive"), "{refused}");
    }
    let unknown = plant.sallyport(&["session", "close-lost", "--broker", "gate-7"]);
    assert!(unknown.refused().contains("there were: gate-1, gate-2"), "{unknown}");
    assert!(plant.sallyport(&["restore", "finish"]).refused().contains("--yes"));
    assert_eq!(live(&plant), 2);

    second.broker.kill();
    let listed = plant.json(&["session", "close-lost"]);
    assert_eq!(listed.as_array().unwrap().len(), 2, "{listed}");
    let closed = plant.json(&["session", "close-lost", "--broker", "gate-2"]);
    assert_eq!(closed[0]["sessions"].as_array().unwrap().len(), 1, "{closed}");
    assert_eq!(closed[0]["elsewhere"], closed[0]["sessions"], "its recording is on the other's disk: {closed}");
    assert_eq!(live(&plant), 1);
    here.send("echo still-$((40+2))\n");
    here.expect("still-42");
    let verified = plant.sallyport(&["recording", "verify", "--all", "--allow-unsealed"]);
    assert!(verified.ok().contains("elsewhere (gate-2)"), "{verified}");
    plant.sallyport(&["audit", "verify"]).ok();
}
