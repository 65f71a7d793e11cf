//! VNC through `ssh -L`: what of a screen, keys, pointer and clipboard passes by which right, and what is on record.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use sallyport_session_recorder::Kind;
use sallyport_tests::{Evidence, Peer, Plant, Setup, Tunnel, ends_within, eventually, finish, recordings, the_end};
use serde_json::Value;

mod viewer;

const PANEL: &str = "10.10.1.39:5900";
/// The person's end of the tunnel to it.
const PORT: u16 = 5900;
/// Something that an administrator changed counts from then on.
const WITHIN: Duration = Duration::from_secs(1);

const WIDTH: u16 = 4;
const HEIGHT: u16 = 2;
/// 32 bits, true colour, little-endian.
const FORMAT: [u8; 16] = [32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 16, 8, 0, 0, 0, 0];
/// The picture is one colour.
const PIXEL: [u8; 4] = [0x30, 0x20, 0x10, 0];
const CUT_ON_PANEL: &[u8] = b"from the panel";

/// A panel that shows one picture, sends a cut text before each of them, and tells what it hears.
pub(super) fn panel(plant: &Plant) -> (Peer, Receiver<Vec<u8>>) {
    let (sender, heard) = mpsc::channel();
    let sender = std::sync::Mutex::new(sender);
    let peer = Peer::listen(plant.network(), PANEL, move |mut stream| {
        let sender = sender.lock().unwrap().clone();
        // A connection that breaks is the test's own doing.
        serve(&mut stream, |message| sender.send(message).is_ok()).ok();
    });
    (peer, heard)
}

fn serve(stream: &mut TcpStream, mut tell: impl FnMut(Vec<u8>) -> bool) -> std::io::Result<()> {
    stream.write_all(b"RFB 003.008\n")?;
    take::<12>(stream)?;
    // Types that cannot be followed beside one that can.
    stream.write_all(&[3, 16, 1, 19])?;
    assert_eq!(take::<1>(stream)?, [1], "a type that was taken out of the list");
    stream.write_all(&[0; 4])?;
    tell(take::<1>(stream)?.to_vec());
    stream.write_all(&server_init())?;
    loop {
        let [kind] = take::<1>(stream)?;
        let message = match kind {
            0 => [&[kind][..], &take::<19>(stream)?].concat(),
            2 => {
                let head = take::<3>(stream)?;
                let mut numbers = vec![0; 4 * usize::from(u16::from_be_bytes([head[1], head[2]]))];
                stream.read_exact(&mut numbers)?;
                [&[kind][..], &head, &numbers].concat()
            }
            3 => {
                let request = [&[kind][..], &take::<9>(stream)?].concat();
                stream.write_all(&cut_text(3, CUT_ON_PANEL))?;
                stream.write_all(&picture())?;
                request
            }
            4 => [&[kind][..], &take::<7>(stream)?].concat(),
            5 => [&[kind][..], &take::<5>(stream)?].concat(),
            6 => {
                let head = take::<7>(stream)?;
                let mut text = vec![0; usize::from(head[6])];
                stream.read_exact(&mut text)?;
                [&[kind][..], &head, &text].concat()
            }
            other => panic!("message {other}"),
        };
        if !tell(message) {
            return Ok(());
        }
    }
}

fn take<const N: usize>(stream: &mut TcpStream) -> std::io::Result<[u8; N]> {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes).map(|()| bytes)
}

fn server_init() -> Vec<u8> {
    let name = b"tank 1";
    [&WIDTH.to_be_bytes()[..], &HEIGHT.to_be_bytes(), &FORMAT, &[0, 0, 0, name.len() as u8], name].concat()
}

/// The whole screen, Raw.
fn picture() -> Vec<u8> {
    let pixels = PIXEL.repeat(usize::from(WIDTH * HEIGHT));
    [&[0, 0, 0, 1, 0, 0, 0, 0][..], &WIDTH.to_be_bytes(), &HEIGHT.to_be_bytes(), &[0; 4], &pixels].concat()
}

fn cut_text(kind: u8, text: &[u8]) -> Vec<u8> {
    [&[kind, 0, 0, 0, 0, 0, 0, text.len() as u8][..], text].concat()
}

const LOOK: [u8; 10] = [3, 0, 0, 0, 0, 0, 0, WIDTH as u8, 0, HEIGHT as u8];

pub(super) fn key(down: bool, keysym: u8) -> [u8; 8] {
    [4, u8::from(down), 0, 0, 0, 0, 0, keysym]
}

pub(super) fn pointer(buttons: u8) -> [u8; 6] {
    [5, buttons, 0, 1, 0, 1]
}

/// A viewer whose screen is open.
pub(super) struct Viewer {
    stream: TcpStream,
}

impl Viewer {
    #[track_caller]
    pub(super) fn connect(tunnel: &Tunnel) -> Viewer {
        let mut stream = tunnel.connect(PORT);
        assert_eq!(take::<12>(&mut stream).unwrap(), *b"RFB 003.008\n");
        stream.write_all(b"RFB 003.008\n").unwrap();
        assert_eq!(take::<2>(&mut stream).unwrap(), [1, 1], "only what can be followed is offered");
        stream.write_all(&[1]).unwrap();
        assert_eq!(take::<4>(&mut stream).unwrap(), [0; 4]);
        // Not shared: a panel would throw out everybody else.
        stream.write_all(&[0]).unwrap();
        let mut init = vec![0; server_init().len()];
        stream.read_exact(&mut init).unwrap();
        assert_eq!(init, server_init());
        Viewer { stream }
    }

    #[track_caller]
    pub(super) fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// Asks for the picture and gives what comes.
    #[track_caller]
    pub(super) fn look(&mut self, with_cut_text: bool) {
        self.send(&LOOK);
        let mut expected = if with_cut_text { cut_text(3, CUT_ON_PANEL) } else { Vec::new() };
        expected.extend(picture());
        let mut seen = vec![0; expected.len()];
        self.stream.read_exact(&mut seen).unwrap();
        assert_eq!(seen, expected);
    }
}

/// What the panel hears until it is asked for its picture; the request itself is left out.
#[track_caller]
pub(super) fn until_look(heard: &Receiver<Vec<u8>>) -> Vec<Vec<u8>> {
    let mut messages = Vec::new();
    loop {
        let message = heard.recv_timeout(Duration::from_secs(20)).expect("the panel hears something");
        if message == LOOK {
            return messages;
        }
        messages.push(message);
    }
}

fn plant_with_panel(name: &str) -> (Plant, Receiver<Vec<u8>>, Tunnel) {
    let plant = Setup::with_tcp().start();
    let (_peer, heard) = panel(&plant);
    let tunnel = Tunnel::open_with_code(&plant, &plant.person(name), &["-L", &format!("{PORT}:panel-1:5900")]);
    (plant, heard, tunnel)
}

#[track_caller]
fn named<'a>(operations: &'a [Value], name: &str) -> &'a Value {
    operations.iter().find(|operation| operation["name"] == name).unwrap_or_else(|| panic!("{name}: {operations:?}"))
}

#[test]
fn without_a_filter_a_screen_can_be_seen_and_not_touched() {
    let (plant, heard, tunnel) = plant_with_panel("vera");
    let mut viewer = Viewer::connect(&tunnel);
    assert_eq!(heard.recv().unwrap(), [1], "without input the connection is always shared");
    viewer.look(false);
    assert_eq!(until_look(&heard), Vec::<Vec<u8>>::new());
    viewer.send(&key(true, b'x'));
    viewer.send(&key(false, b'x'));
    viewer.send(&pointer(1));
    viewer.send(&pointer(0));
    viewer.send(&cut_text(6, b"to the panel"));
    // The picture goes on, and nothing has reached the panel in between.
    viewer.look(false);
    assert_eq!(until_look(&heard), Vec::<Vec<u8>>::new());
    drop(viewer);

    let (end, evidence) = the_end(&plant);
    assert_eq!(end, "left");
    let operations = evidence.operations();
    let init = named(&operations, "server-init");
    assert_eq!((&init["width"], &init["height"], &init["desktop"]), (&4.into(), &2.into(), &"tank 1".into()), "{init}");
    assert_eq!(init["format"], "2018000100ff00ff00ff100800000000");
    assert_eq!(named(&operations, "security-types")["kept"], serde_json::json!([1]));
    assert_eq!(named(&operations, "client-init")["used"], true);
    let dropped = |name: &str| -> u64 {
        let of = operations.iter().filter(|operation| operation["name"] == name);
        of.inspect(|operation| assert_eq!(operation["verdict"], "deny")).filter_map(|each| each["count"].as_u64()).sum()
    };
    let counts =
        ["keys", "pointer", "cut-text-to-asset", "cut-text-from-asset"].map(|what| dropped(&format!("dropped-{what}")));
    assert_eq!(counts, [2, 2, 1, 2], "{operations:?}");
    // Those, and to be alone with the panel. The list of security types is changed, not denied.
    assert_eq!(evidence.closed()["denied"], 8);
    // What the person did is on record although it was dropped, what they saw as they saw it.
    let input = evidence.content(Kind::Input);
    assert!(input.windows(12).any(|part| part == b"to the panel"));
    let output = evidence.content(Kind::Output);
    assert!(!output.windows(CUT_ON_PANEL.len()).any(|part| part == CUT_ON_PANEL));
    assert!(output.ends_with(&picture()));
}

#[test]
fn rights_are_given_one_by_one_and_can_end_in_mid_connection() {
    let (plant, heard, tunnel) = plant_with_panel("paul");
    let mut viewer = Viewer::connect(&tunnel);
    assert_eq!(heard.recv().unwrap(), [0], "who may press keys may ask to be alone");
    viewer.send(&key(true, b'x'));
    viewer.send(&pointer(1));
    viewer.send(&cut_text(6, b"paste"));
    viewer.look(false);
    assert_eq!(until_look(&heard), [key(true, b'x').to_vec(), pointer(1).to_vec(), cut_text(6, b"paste")]);

    // The key is still down when the right to press it ends: it is let go, and nothing more is pressed.
    let standard = plant.plant_file();
    let written = "vnc = { input = true, clipboard = [\"to-asset\"] }";
    assert!(standard.contains(written));
    plant.apply(&standard.replace(written, "vnc = { input = false, clipboard = [\"from-asset\"] }"));
    let let_go = |heard: &Receiver<Vec<u8>>| heard.recv_timeout(WITHIN).expect("it is let go within a second");
    assert_eq!([let_go(&heard), let_go(&heard)], [key(false, b'x').to_vec(), pointer(0).to_vec()]);
    viewer.send(&key(true, b'y'));
    viewer.send(&cut_text(6, b"again"));
    viewer.look(true);
    assert_eq!(until_look(&heard), Vec::<Vec<u8>>::new());
    drop(viewer);

    let (end, evidence) = the_end(&plant);
    assert_eq!(end, "left", "the session has gone on");
    let operations = evidence.operations();
    let pressed = named(&operations, "key");
    assert_eq!(
        (&pressed["keysym"], &pressed["down"], &pressed["verdict"]),
        (&120.into(), &true.into(), &"pass".into())
    );
    assert_eq!(named(&operations, "released")["keys"], 1);
    assert_eq!(evidence.closed()["denied"], 3, "a cut text from the panel, a key, a cut text to it");
}

#[test]
fn what_is_held_down_is_let_go_however_the_session_ends() {
    let (plant, heard, tunnel) = plant_with_panel("paul");
    let ends: [&dyn Fn(Viewer); 3] = [
        &|viewer| drop(viewer),
        &|viewer| {
            let session = plant.json(&["session", "list", "--live"])[0]["id"].as_str().unwrap().to_owned();
            plant.sallyport(&["session", "end", &session]).ok();
            drop(viewer);
        },
        &|viewer| {
            plant.sallyport(&["identity", "lock", "paul", "--reason", "left"]).ok();
            drop(viewer);
        },
    ];
    for end in ends {
        let mut viewer = Viewer::connect(&tunnel);
        assert_eq!(heard.recv().unwrap(), [0]);
        viewer.send(&key(true, b'j'));
        viewer.send(&pointer(1));
        viewer.look(false);
        assert_eq!(until_look(&heard), [key(true, b'j').to_vec(), pointer(1).to_vec()]);
        end(viewer);
        let heard = [(); 2].map(|()| heard.recv_timeout(Duration::from_secs(5)).expect("it is let go"));
        assert_eq!(heard, [key(false, b'j').to_vec(), pointer(0).to_vec()]);
        plant.quiet();
    }
    for evidence in Evidence::all(&plant) {
        assert_eq!(named(&evidence.operations(), "released")["buttons"], 1);
    }
}

#[test]
fn a_full_disk_lets_no_unrecorded_move_through() {
    let setup = Setup::with_tcp().setting("[recording]\nwarn_below = \"0\"\nlow_below = \"0\"\ncritical_below = \"0\"");
    let mut plant = setup.recordings_disk("2M").start();
    // With the picture going on, so that what is merely counted has no entry of its own to fail.
    let file = plant.plant_file();
    let grant = "filter = \"panel\"\nlease = \"1h\"\n";
    assert!(file.contains(grant));
    plant.apply(&file.replacen(grant, &format!("{grant}terms = {{ recorder_trouble = \"view-only\" }}\n"), 1));
    let (_peer, heard) = panel(&plant);
    let tunnel = Tunnel::open_with_code(&plant, &plant.person("paul"), &["-L", &format!("{PORT}:panel-1:5900")]);
    let mut viewer = Viewer::connect(&tunnel);
    assert_eq!(heard.recv().unwrap(), [0]);
    viewer.send(&pointer(0));
    viewer.look(false);
    until_look(&heard);
    let disk = plant.recordings_folder();
    let disk = plant.as_the_broker_sees(&disk);
    let mut dd = std::process::Command::new("dd");
    dd.args(["if=/dev/zero", "bs=4k", "status=none"]).arg(format!("of={}", disk.join("ballast").display()));
    finish(dd, b"").refused();
    // Numbered, and made until the session has ended.
    let started = std::time::Instant::now();
    for number in 0_u16.. {
        assert!(started.elapsed() < Duration::from_secs(40), "it goes on unrecorded");
        let [high, low] = number.to_be_bytes();
        if viewer.stream.write_all(&[5, 0, high, low, 0, 0]).is_err() {
            break;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    plant.quiet();
    let moves: Vec<u8> = heard.try_iter().filter(|message| message[0] == 5).flatten().collect();
    let path = recordings(&disk).pop().unwrap();
    let recorded = Evidence::read(&path, &plant.auditor_key()).content(Kind::Input);
    let begin = recorded.windows(6).position(|part| part == [5, 0, 0, 0, 0, 0]).unwrap_or(recorded.len());
    assert!(recorded[begin..].starts_with(&moves), "the panel has {} bytes of moves", moves.len());
    std::fs::remove_file(disk.join("ballast")).unwrap();
}

#[test]
fn what_is_no_rfb_or_cannot_be_followed_ends_the_session() {
    let plant = Setup::with_tcp().start();
    let peer = Peer::listen(plant.network(), PANEL, |mut stream| {
        stream.write_all(b"RFB 003.008\n").unwrap();
        take::<12>(&mut stream).unwrap();
        // VeNCrypt only: what passes inside could not be read.
        stream.write_all(&[1, 19]).unwrap();
        stream.read_to_end(&mut Vec::new()).ok();
    });
    let vera = plant.person("vera");
    let tunnel = Tunnel::open_with_code(&plant, &vera, &["-L", &format!("{PORT}:panel-1:5900")]);
    let mut stream = tunnel.connect(PORT);
    take::<12>(&mut stream).unwrap();
    stream.write_all(b"RFB 003.008\n").unwrap();
    let mut said = Vec::new();
    stream.read_to_end(&mut said).unwrap();
    assert_eq!(said[0], 0, "no type is left");
    assert!(String::from_utf8_lossy(&said[5..]).contains("security type"), "{said:?}");
    let (end, evidence) = the_end(&plant);
    assert_eq!((end.as_str(), &evidence.closed()["end"]), ("denied", &"denied".into()));
    assert_eq!(named(&evidence.operations(), "security-types")["verdict"], "deny");
    assert_eq!(peer.accepted(), 1);

    let mut stream = tunnel.connect(PORT);
    take::<12>(&mut stream).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    assert!(ends_within(Duration::from_secs(10), &mut stream), "another protocol is let through");
    plant.quiet();
    let evidence = eventually("both are on record", Duration::from_secs(10), || {
        Evidence::all(&plant).into_iter().find(|evidence| evidence.closed()["end"] == "malformed")
    });
    let malformed = evidence.operations().into_iter().find(|operation| operation["phase"] == "malformed").unwrap();
    assert_eq!((&malformed["operation"], &malformed["side"]), (&"vnc".into(), &"client".into()), "{malformed}");
}
