//! What is refused, what the person hears, and that no socket was opened for it.

use std::fs;
use std::io::{Read, Write};

use sallyport_tests::{Peer, Place, Setup, Tunnel, echoed, ends, sockets_opened};

use super::{ECHO, RAW, live, plant_with_echo};

/// Targets that are no service of the plant file, or none that anybody is granted.
const NOWHERE: [&str; 16] = [
    "plc-1:8",
    "plc-1:22",
    "plc-1:9",
    "plc-2:502",
    "plc-99:502",
    "10.10.1.38:502",
    "10.10.1.37:80",
    "10.10.1.37.:7",
    "127.0.0.1:7",
    "localhost:2222",
    "[::1]:7",
    "0.0.0.0:7",
    "169.254.169.254:80",
    "example.com:443",
    "operator@plc-1:7",
    "plc-1@plc-1@plc-1:7",
];

#[test]
fn what_is_no_granted_service_never_opens_a_socket() {
    let (plant, echo, alice) = plant_with_echo();
    let modbus = Peer::echo(plant.network(), "10.10.1.38:502");
    let hidden = Peer::echo(plant.network(), "10.10.1.37:9");
    let before = sockets_opened(plant.network(), Place::Gate);
    for target in NOWHERE {
        let tried = alice.leased_ssh_with(b"let through", ["-W", target, "broker"]);
        assert_eq!(tried.text(), "", "{tried}");
        tried.refused();
    }
    assert_eq!(sockets_opened(plant.network(), Place::Gate), before, "the broker opened a socket or asked for a name");
    assert_eq!((echo.accepted(), modbus.accepted(), hidden.accepted()), (0, 0, 0));
    assert!(plant.recordings().is_empty());
    let denied = plant.audit().iter().filter(|event| event["code"] == "SP-2002").count();
    assert_eq!(denied, NOWHERE.len(), "every refusal is on the record");
    // The counter does count.
    alice.leased_ssh_with(b"x", ["-W", "plc-1:7", "broker"]).ok();
    assert_eq!(sockets_opened(plant.network(), Place::Gate).0, before.0 + 1);
}

#[test]
fn unknown_and_forbidden_sound_the_same() {
    let (plant, _echo, alice) = plant_with_echo();
    let said = |target: &str| {
        let tried = alice.leased_ssh(["-W", target, "broker"]);
        let host = target.split(':').next().unwrap();
        tried.refused().lines().find(|line| line.contains("open failed")).unwrap().replace(host, "X")
    };
    let unknown = said("plc-99:502");
    assert!(unknown.contains("You may not reach `X` now, or it does not exist."), "{unknown}");
    for forbidden in ["plc-2:502", "plc-1:9", "plc-1:8", "10.10.1.38:502", "10.10.1.77:502", "hmi-1:5900"] {
        assert_eq!(said(forbidden), unknown, "{forbidden}");
    }
    // What a forbid takes away sounds no different, though the role grants it.
    plant.apply(&format!("{}\n[[forbid]]\nassets = [\"plc-1\"]\nservices = [\"echo\"]\n", plant.plant_file()));
    plant.settle();
    assert_eq!(said("plc-1:7"), unknown);
    assert!(live(&plant).is_empty());
}

#[test]
fn what_is_missing_is_said_in_one_sentence() {
    let (plant, echo, _) = plant_with_echo();
    let sentence = |name: &str| {
        let person = plant.person(name);
        let tried = person.ssh(["-W", "plc-1:7", "broker"]);
        assert_eq!(tried.text(), "", "{tried}");
        tried.refused().to_owned()
    };
    let strong = sentence("frank");
    assert!(strong.contains("open failed") && strong.contains("plc-1 asks for webauthn"), "{strong}");
    let approval = sentence("nina");
    assert!(approval.contains("plc-1 needs somebody's approval first"), "{approval}");
    // Somebody without any grant there hears what they would hear of nothing.
    let stranger = sentence("victor");
    assert!(stranger.contains("You may not reach `plc-1` now, or it does not exist."), "{stranger}");
    assert_eq!(echo.accepted(), 0);
    let audit = plant.audit();
    for code in ["SP-2002", "SP-2003", "SP-2004"] {
        assert!(audit.iter().any(|event| event["code"] == code), "no {code}");
    }
}

const HELLO: &[u8] = b"RFB 003.008\n";

#[test]
fn an_account_is_named_where_several_are_granted() {
    let (plant, _echo, alice) = plant_with_echo();
    let vnc = Peer::listen(plant.network(), "10.10.1.39:5900", |mut stream| {
        stream.write_all(HELLO).unwrap();
        stream.read_to_end(&mut Vec::new()).ok();
    });
    let tried = alice.leased_ssh(["-W", "panel-1:5900", "broker"]);
    let said = tried.refused();
    assert!(said.contains("Several accounts are yours on panel-1: say which, as in keeper@panel-1:5900"), "{said}");
    assert_eq!(vnc.accepted(), 0);
    let tunnel = Tunnel::open(&plant, &alice, &["-L", "5900:viewer@panel-1:5900"]);
    let mut hello = vec![0; HELLO.len()];
    tunnel.connect(5900).read_exact(&mut hello).unwrap();
    assert_eq!(hello, HELLO);
    // One granted account need not be named, and no other can be.
    let victor = plant.person("victor");
    assert_eq!(victor.ssh(["broker", "ls"]).code(), 0);
    assert_eq!(victor.leased_ssh_with(b"", ["-W", "panel-1:5900", "broker"]).ok().as_bytes(), HELLO);
    victor.leased_ssh_with(b"", ["-W", "keeper@panel-1:5900", "broker"]).refused();
    plant.quiet();
    let accounts: Vec<_> = plant.recordings().iter().map(|row| row["account"].clone()).collect();
    assert_eq!(accounts, ["viewer", "viewer"]);
}

#[test]
fn an_asset_that_is_down_is_said_to_be() {
    let (plant, _echo, alice) = plant_with_echo();
    let tunnel = Tunnel::open(&plant, &alice, &["-L", "5020:plc-1:4000", "-L", "5008:down-2:7"]);
    let refused = tunnel.refused(5020);
    assert!(refused.contains("connect failed: plc-1 answers, but its raw service refuses connections."), "{refused}");
    let silent = tunnel.refused(5008);
    assert!(silent.contains("connect failed: down-2 does not answer."), "{silent}");
    for said in [refused, silent] {
        assert!(!said.contains("10.10.1."), "the person is told the address: {said}");
    }
    assert_eq!(ends(&plant), ["asset-unreachable", "asset-unreachable"]);
    // The tunnel goes on, and so does what comes up again.
    let _raw = Peer::echo(plant.network(), RAW);
    assert_eq!(echoed(&mut tunnel.connect(5020), b"up"), b"up");
}

#[test]
fn without_a_recorder_nothing_is_dialled() {
    let (plant, echo, alice) = plant_with_echo();
    let tunnel = Tunnel::open(&plant, &alice, &["-L", "5007:plc-1:7"]);
    let folder = plant.recordings_folder();
    fs::rename(&folder, folder.with_extension("away")).unwrap();
    fs::write(&folder, "").unwrap();
    let before = sockets_opened(plant.network(), Place::Gate);
    let said = tunnel.refused(5007);
    assert!(said.contains("The session cannot be recorded now, so it does not start"), "{said}");
    assert_eq!(sockets_opened(plant.network(), Place::Gate), before);
    assert_eq!(echo.accepted(), 0);
    fs::remove_file(&folder).unwrap();
    fs::rename(folder.with_extension("away"), &folder).unwrap();
    assert_eq!(echoed(&mut tunnel.connect(5007), b"again"), b"again");
}

#[test]
fn an_ssh_service_is_never_forwarded_as_a_stream() {
    let plant = Setup::with_tcp().start();
    let alice = plant.person("alice");
    alice.ssh(["broker", "ls"]).ok();
    // What answers there is the broker, with its own identification, and not the asset.
    let shown = alice.leased_ssh_with(b"SSH-2.0-test\r\n", ["-W", "ews-1:22", "broker"]);
    assert!(shown.text().starts_with("SSH-2.0-Sallyport"), "{shown}");
    alice.leased_ssh(["-W", "operator@ews-1:22", "broker"]).refused();
    assert!(plant.sshd().log().lines().all(|line| !line.contains("Connection from")), "{}", plant.sshd().log());
    let _ = ECHO;
}
