//! A broker tells what is on record: to a file and a socket, with the database and without, and to the last.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::Signal;
use sallyport::config::Config;
use sallyport_tests::{Finished, Postgres, Running, eventually, finish, repository, sallyport};
use serde_json::Value;
use tempfile::TempDir;

/// A broker's folder, on this machine's own network.
pub(super) struct Gate {
    folder: TempDir,
    metrics: u16,
}

impl Gate {
    pub(super) fn new(database: Option<&str>) -> Gate {
        let folder = TempDir::new().unwrap();
        let metrics = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let gate = Gate { folder, metrics };
        let mut init = Command::new(sallyport());
        init.args(["init", "--name", "b1", "--dir"]).arg(gate.path("broker"));
        if let Some(url) = database {
            init.args(["--database", url]);
        }
        finish(init, b"").ok();
        let mut config: toml::Table = fs::read_to_string(gate.config()).unwrap().parse().unwrap();
        let text = format!("ssh = [\"127.0.0.1:0\"]\nmetrics = \"127.0.0.1:{metrics}\"");
        config.insert("listen".into(), toml::Value::Table(text.parse().unwrap()));
        let siem: toml::Table = "siem = [{ name = \"log\", to = \"file:../told.jsonl\" }]".parse().unwrap();
        config.extend(siem);
        fs::write(gate.config(), toml::to_string(&config).unwrap()).unwrap();
        gate
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn config(&self) -> PathBuf {
        self.path("broker/broker.toml")
    }

    pub(super) fn run(&self, arguments: &[&str]) -> Finished {
        let mut command = Command::new(sallyport());
        command.arg("--config").arg(self.config()).args(arguments);
        finish(command, b"")
    }

    pub(super) fn serve(&self) -> Running {
        let mut command = Command::new(sallyport());
        command.arg("--config").arg(self.config()).arg("serve");
        self.ready(command)
    }

    fn ready(&self, command: Command) -> Running {
        let log = self.path("log");
        let before = fs::read_to_string(&log).unwrap_or_default().len();
        let mut running = Running::start("broker", command, &log);
        eventually("the broker is ready", Duration::from_secs(20), || {
            assert!(running.ended().is_none(), "the broker ended");
            running.log()[before..].contains("Broker is ready").then_some(())
        });
        running
    }

    fn told(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.path("told.jsonl")).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn codes(&self) -> Vec<String> {
        self.told().iter().filter_map(|line| line["code"].as_str().map(str::to_owned)).collect()
    }

    pub(super) fn ask(&self, path: &str) -> String {
        let mut socket = TcpStream::connect(("127.0.0.1", self.metrics)).unwrap();
        write!(socket, "GET {path} HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
        let mut text = String::new();
        socket.read_to_string(&mut text).unwrap();
        text
    }
}

#[test]
fn a_broker_tells_of_its_start_its_people_and_its_end_and_the_log_is_a_witness() {
    let gate = Gate::new(None);
    let mut broker = gate.serve();
    gate.run(&["identity", "add", "alice"]).ok();
    eventually("a command's event is told", Duration::from_secs(5), || {
        gate.codes().contains(&"SP-5101".to_owned()).then_some(())
    });
    let check = gate.run(&["check"]).text();
    assert!(check.contains("`log`: `") && check.contains("can be written; nothing waits"), "{check}");
    assert!(gate.ask("/metrics").contains("# HELP sallyport_outbound_sent_total "), "no help for figures");
    assert!(broker.terminate().success());
    let codes = gate.codes();
    assert_eq!((codes[0].as_str(), codes.last().unwrap().as_str()), ("SP-6001", "SP-6002"), "{codes:?}");

    let log = gate.path("told.jsonl");
    let verify = ["audit", "verify", "--witness", log.to_str().unwrap()];
    let whole = gate.run(&verify).ok();
    assert!(whole.contains(" heads of the witness"), "{whole}");
    // The same log behind what a relay puts before each message, and without line feeds.
    let relayed: String =
        fs::read_to_string(&log).unwrap().lines().map(|line| format!("42 <134>1 x [a b=\"c\"] {line}")).collect();
    fs::write(gate.path("relayed"), relayed).unwrap();
    let relay = gate.path("relayed");
    assert_eq!(gate.run(&["audit", "verify", "--witness", relay.to_str().unwrap()]).ok(), whole);

    // Somebody else's head, and one that was changed.
    let heads = gate.told().into_iter().filter(|line| !line["head"].is_null()).collect::<Vec<_>>();
    let forged = heads[0].to_string().replace("\"signature\":\"", "\"signature\":\"0");
    fs::write(gate.path("forged"), format!("\n{forged}\n")).unwrap();
    let refused = gate.run(&["audit", "verify", "--witness", gate.path("forged").to_str().unwrap()]);
    assert!(refused.refused().contains("the witness is not what a broker wrote"), "{refused}");
    assert!(refused.text().contains("line 2 of the witness"), "{refused}");

    // The chain is cut where it was signed: whole in itself, and shown by its witness.
    let cut = "import sqlite3, sys\nc = sqlite3.connect(sys.argv[1])\n\
               c.execute('DELETE FROM audit WHERE seq > (SELECT MAX(seq) FROM audit) - 1')\nc.commit()";
    let mut python = Command::new("/usr/bin/python3");
    python.args(["-c", cut]).arg(gate.path("broker/sallyport.db"));
    finish(python, b"").ok();
    gate.run(&["audit", "verify"]).ok();
    let refused = gate.run(&verify);
    assert_eq!(refused.code(), 1, "{refused}");
    let last = heads.last().unwrap()["head"].as_i64().unwrap();
    assert!(refused.text().contains(&format!("entry {last}, noted as head, is missing")), "{refused}");
}

#[test]
fn what_happens_without_a_database_is_told_at_once_and_once() {
    let postgres = Arc::new(Postgres::start());
    let gate = Gate::new(Some(&postgres.database()));
    let mut broker = gate.serve();
    assert!(gate.ask("/healthz").ends_with("\r\n\r\nok\n"));
    assert!(gate.ask("/readyz").ends_with("\r\n\r\nok\n"), "{}", gate.ask("/readyz"));
    postgres.crash();
    eventually("it says that it is not ready", Duration::from_secs(20), || {
        let text = gate.ask("/readyz");
        (text.starts_with("HTTP/1.1 503 ") && text.contains("the database does not answer")).then_some(())
    });
    assert!(gate.ask("/healthz").ends_with("\r\n\r\nok\n"));
    broker.signal(Signal::TERM);
    eventually("the broker's end is told", Duration::from_secs(25), || {
        let told = gate.told();
        told.iter().find(|line| line["code"] == "SP-6002" && line["seq"].is_null()).map(drop)
    });
    eventually("the broker ends", Duration::from_secs(30), || broker.ended());
    postgres.start_again();
    let mut broker = gate.serve();
    eventually("the next start is told", Duration::from_secs(10), || {
        let codes = gate.codes();
        (codes.iter().filter(|code| *code == "SP-6001").count() == 2).then_some(())
    });
    broker.terminate();
    let ids: Vec<String> = gate.told().iter().filter_map(|line| line["id"].as_str().map(str::to_owned)).collect();
    let unique: std::collections::BTreeSet<_> = ids.iter().collect();
    assert_eq!(ids.len(), unique.len(), "{:?}", gate.codes());
    let chain = gate.run(&["audit", "list", "--json"]).ok();
    for id in ids {
        assert!(chain.contains(&id), "{id} is not in the chain");
    }
}

#[test]
fn a_full_disk_of_the_queues_loses_for_the_receiver_alone_and_says_when_it_began_and_ended() {
    let gate = Gate::new(None);
    let queues = gate.path("broker/outbound");
    fs::create_dir(&queues).unwrap();
    let mut command = Command::new("unshare");
    let script = "mount -t tmpfs -o size=256k tmpfs \"$3\" && exec \"$1\" --config \"$2\" serve";
    command.args(["-m", "sh", "-c", script, "sh"]).arg(sallyport()).arg(gate.config()).arg(&queues);
    let mut broker = gate.ready(command);
    let seen = PathBuf::from(format!("/proc/{}/root", broker.pid())).join(queues.strip_prefix("/").unwrap());
    let ballast = seen.join("ballast");
    eventually("the disk is full", Duration::from_secs(10), || {
        let mut file = fs::File::options().append(true).create(true).open(&ballast).unwrap();
        file.write_all(&[0; 512]).is_err().then_some(())
    });
    // What fits into the last page of the queue's file may still go in.
    let mut number = 0;
    eventually("the loss is on record", Duration::from_secs(40), || {
        number += 1;
        gate.run(&["identity", "add", &format!("person-{number}")]).ok();
        gate.run(&["audit", "list", "--json"]).ok().contains("its queue cannot be written").then_some(())
    });
    fs::remove_file(&ballast).unwrap();
    gate.run(&["identity", "add", "the-last"]).ok();
    eventually("what comes then is told, and so is the end of the loss", Duration::from_secs(10), || {
        let told = gate.told();
        let last = told.iter().any(|line| line["identity"] == "the-last");
        (last && told.iter().any(|line| line["code"] == "SP-7102" && line["event"]["lost"].as_u64() > Some(0)))
            .then_some(())
    });
    assert!(broker.terminate().success());
}

#[test]
fn a_folder_that_cannot_be_written_is_told_by_readyz() {
    let gate = Gate::new(None);
    let mut broker = gate.serve();
    let folder = gate.path("broker/recordings");
    fs::rename(&folder, gate.path("away")).unwrap();
    let text = gate.ask("/readyz");
    assert!(text.starts_with("HTTP/1.1 503 ") && text.contains("recordings cannot be written"), "{text}");
    fs::rename(gate.path("away"), &folder).unwrap();
    assert!(gate.ask("/readyz").starts_with("HTTP/1.1 200 "));
    broker.terminate();
}

#[test]
fn a_receiver_that_cannot_be_set_up_keeps_the_broker_from_starting_and_its_name_is_said() {
    let gate = Gate::new(None);
    let text = fs::read_to_string(gate.config()).unwrap();
    let webhook =
        "\n[[alarm.webhook]]\nname = \"hook\"\nurl = \"https://localhost/x\"\nca = \"no.pem\"\nsecret_file = \"no\"\n";
    fs::write(gate.config(), text + webhook).unwrap();
    let refused = gate.run(&["serve"]);
    assert_eq!(refused.code(), 78, "{refused}");
    assert!(refused.stderr.contains("receiver `hook`: cannot read the secret `"), "{refused}");
}

#[test]
fn the_examples_hold() {
    let document = fs::read_to_string(repository().join("docs/administrators.md")).unwrap();
    let section = document.split_once("## Who is told").unwrap().1;
    let example = section.split_once("```toml\n").unwrap().1.split_once("```").unwrap().0;
    let file = fs::read_to_string(repository().join("deploy/broker.example.toml")).unwrap();
    let (before, commented) = file.split_once("# [outbound]").unwrap();
    let commented: String = format!("# [outbound]{commented}")
        .lines()
        .map(|line| line.strip_prefix("# ").unwrap_or(line).to_owned() + "\n")
        .filter(|line| line.starts_with(['[', '#']) || line.contains(" = ") || line.trim().is_empty())
        .collect();
    let recipients = "recording.recipients = [\"age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p\"]\n";
    for (text, receivers) in [(format!("{recipients}{example}"), 5), (format!("{before}{commented}"), 4)] {
        let config = Config::parse(&PathBuf::from("/etc/sallyport/broker.toml"), &text);
        let config = config.unwrap_or_else(|error| panic!("{error}\n{text}"));
        assert_eq!(config.outbound.receivers.len(), receivers, "{text}");
    }
}
