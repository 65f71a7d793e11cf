//! `make demo`, as a newcomer does it: with what `sallyport demo` leaves in its folder and nothing else.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use sallyport_tests::{Person, Running, eventually, finish, sallyport};
use serde_json::Value;

struct Demo {
    running: Running,
    folder: tempfile::TempDir,
    port: u16,
}

impl Demo {
    fn start() -> Demo {
        let folder = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let running = run(folder.path(), port);
        Demo { running, folder, port }
    }

    fn again(&mut self) {
        self.running = run(self.folder.path(), self.port);
    }

    fn facts(&self) -> Value {
        facts(self.folder.path())
    }

    /// What a simulated asset itself answers, asked without the broker.
    fn of_asset(&self, asset: &str, question: &[u8], length: usize) -> Vec<u8> {
        let facts = self.facts();
        let service = facts["services"].as_array().unwrap().iter().find(|each| each["asset"] == asset).unwrap();
        let port = u16::try_from(service["port"].as_u64().unwrap()).unwrap();
        let mut socket = TcpStream::connect((service["address"].as_str().unwrap(), port)).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        socket.write_all(question).unwrap();
        let mut answer = vec![0; length];
        socket.read_exact(&mut answer).unwrap();
        answer
    }

    /// Somebody with the key and seed that the demo made.
    fn person(&self, name: &str) -> Person {
        let facts = self.facts();
        let identity = facts["identities"].as_array().unwrap().iter().find(|each| each["name"] == name).unwrap();
        Person::of_the_demo(self.folder.path(), name, identity["totp_secret"].as_str().unwrap())
    }

    fn sallyport(&self, arguments: &[&str]) -> sallyport_tests::Finished {
        let mut command = Command::new(sallyport());
        command.args(arguments).env("SALLYPORT_CONFIG", self.facts()["config"].as_str().unwrap());
        finish(command, b"")
    }
}

fn facts(folder: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(folder.join("demo.json")).unwrap()).unwrap()
}

fn run(folder: &Path, port: u16) -> Running {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--"]).arg(sallyport()).args([
        "demo",
        "--ssh-port",
        &port.to_string(),
        "--dir",
    ]);
    command.arg(folder);
    let mut running = Running::start("the demo", command, &folder.join("test.log"));
    eventually("the demo is up", Duration::from_secs(30), || {
        assert!(running.ended().is_none(), "{}", running.log());
        // Whoever connects too often before everything is there is turned away for a while.
        let made = folder.join("demo.json").exists();
        (made && TcpStream::connect(("127.0.0.1", port)).is_ok()).then_some(())
    });
    running
}

#[test]
fn the_demo_shows_the_whole_thing() {
    let mut demo = Demo::start();
    assert_eq!(demo.facts()["ssh_port"], demo.port);
    let alice = demo.person("alice");
    let status = alice.ssh(["ews-1", "status"]);
    assert!(!status.ok().trim().is_empty());
    // Whoever tries it out is not alarmed by what is so for a moment.
    assert!(!demo.running.log().contains("WARN"), "{}", demo.running.log());
    assert_eq!(demo.of_asset("plc-1", b"\0\x01\0\0\0\x02\x01\x11", 14), b"\0\x01\0\0\0\x09\x01\x11\x06plc-1");
    assert_eq!(demo.of_asset("hmi-1", b"", 12), b"RFB 003.008\n");
    // Through the broker, by the name and the usual port that the demo prints: what reads passes, a write is denied.
    let modbus = |request: &[u8]| alice.leased_ssh_with(request, ["-W", "plc-1:502", "broker"]).stdout;
    assert!(modbus(b"\0\x01\0\0\0\x06\x01\x04\0\0\0\x02").starts_with(b"\0\x01\0\0\0\x07\x01\x04\x04"));
    assert_eq!(modbus(b"\0\x02\0\0\0\x06\x01\x06\0\x64\x05\xdc"), b"\0\x02\0\0\0\x03\x01\x86\x01");
    assert!(alice.leased_ssh_with(b"", ["-W", "hmi-1:5900", "broker"]).stdout.starts_with(b"RFB 003.008\n"));

    let mut shell = alice.terminal(&["ews-1"], 90, 30);
    shell.send("status\n");
    shell.send("exit\n");
    shell.ended();

    let note = alice.folder().join("note.txt");
    fs::write(&note, "check valve 17\n").unwrap();
    alice.leased_tool("scp", &["-q", note.to_str().unwrap(), "ews-1:note.txt"], b"").ok();
    let back = alice.folder().join("back.txt");
    alice.leased_tool("scp", &["-q", "ews-1:note.txt", back.to_str().unwrap()], b"").ok();
    assert_eq!(fs::read_to_string(&back).unwrap(), "check valve 17\n");
    let sftp = format!("put {} by-sftp.txt\nget by-sftp.txt {}\n", note.display(), back.display());
    alice.leased_tool("sftp", &["-q", "-b", "-", "ews-1"], sftp.as_bytes()).ok();
    assert!(alice.leased_ssh(["-o", "User=alice:ews-1", "broker", "status"]).status.success());
    let bob = demo.facts()["identities"][1]["key"].as_str().unwrap().to_owned();
    demo.person("bob").ssh(["-o", "IdentityFile=none", "-i", &bob, "bob:ews-1@broker", "status"]).refused();
    let config = fs::read_to_string(demo.facts()["config"].as_str().unwrap()).unwrap();
    assert!(config.contains("reserve = \"16MiB\""), "{config}");
    // The line for an emergency, and the code of an envelope: nobody's login.
    let sheet = fs::read_to_string(demo.folder.path().join("envelopes.txt")).unwrap();
    let code = sheet.lines().next().unwrap().split_whitespace().nth(1).unwrap().to_owned();
    let anybody = demo.person("bob");
    let mut command = anybody.command_answering("ssh", &[code, "line 3 must stop".to_owned()]);
    command.arg("-F").arg(anybody.config()).args(["glass@broker", "ls"]);
    let list = finish(command, b"").ok();
    assert!(list.contains("ews-1") && list.contains("plc-1") && list.contains("hmi-1"), "{list}");

    // Then the auditor.
    let list = demo.sallyport(&["recording", "list", "--json"]).ok();
    let list: Value = serde_json::from_str(&list).unwrap();
    assert!(list.as_array().unwrap().len() >= 5, "{list}");
    demo.sallyport(&["recording", "verify", "--all"]).ok();
    demo.sallyport(&["audit", "verify"]).ok();

    // It stops, and starts again with everything as it was.
    assert!(demo.running.terminate().success(), "{}", demo.running.log());
    let before = demo.facts();
    demo.again();
    assert_eq!(demo.facts(), before);
    assert!(demo.person("alice").ssh(["ews-1", "cat note.txt"]).ok().contains("check valve 17"));
    assert!(demo.running.terminate().success());
}
