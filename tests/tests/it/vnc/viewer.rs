//! A real VNC server and TigerVNC's viewer, with the broker between them.

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use sallyport_tests::{Network, Place, Plant, Running, Setup, Tunnel, eventually, finish, the_end};

use super::PORT;

const WIDTH: usize = 320;
const HEIGHT: usize = 200;
const SOON: Duration = Duration::from_secs(20);

/// An X server that is a VNC server as well.
struct Display {
    network: Arc<Network>,
    place: Place,
    number: u32,
    _process: Running,
}

impl Display {
    /// `listen` are the arguments that say where its VNC is.
    fn start(plant: &Plant, place: Place, geometry: &str, listen: &[&str]) -> Display {
        let network = Arc::clone(plant.network());
        // The sockets of X servers are files: no two on this machine may have a number in common.
        let kind = u32::from(place == Place::Plant);
        let number = 1000 + (std::process::id() % 20_000) * 2 + kind;
        let mut server = network.command(place, "Xtigervnc");
        server.arg(format!(":{number}")).args(["-geometry", geometry, "-depth", "24", "-SecurityTypes", "None", "-ac"]);
        server.args(listen);
        let log = plant.folder().join(format!("x-{number}.log"));
        let mut process = Running::start("Xtigervnc", server, &log);
        let display = |process| Display { network: Arc::clone(&network), place, number, _process: process };
        eventually("the X server answers", SOON, || {
            assert!(process.ended().is_none(), "{}", process.log());
            let mut ask = network.command(place, "xdotool");
            ask.arg("getmouselocation").env("DISPLAY", format!(":{number}"));
            (finish(ask, b"").code() == 0).then_some(())
        });
        display(process)
    }

    fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = self.network.command(self.place, program);
        command.args(arguments).env("DISPLAY", format!(":{}", self.number));
        command
    }

    #[track_caller]
    fn run(&self, program: &str, arguments: &[&str]) -> Vec<u8> {
        let finished = finish(self.command(program, arguments), b"");
        assert_eq!(finished.code(), 0, "{program} {arguments:?}: {}", finished.stderr);
        finished.stdout
    }

    /// Where the pointer is: `x:… y:…`.
    fn pointer(&self) -> String {
        let said = String::from_utf8(self.run("xdotool", &["getmouselocation"])).unwrap();
        said.split(" screen").next().unwrap().to_owned()
    }

    /// What the screen shows: red, green, blue of each pixel.
    fn screenshot(&self) -> Vec<[u8; 3]> {
        pixels(&self.run("xwd", &["-root", "-silent"]))
    }
}

/// The pixels of an X window dump (XWDFile.h, version 7): 24 bits deep, 32 bits a pixel, least significant byte first.
fn pixels(dump: &[u8]) -> Vec<[u8; 3]> {
    let field = |index: usize| u32::from_be_bytes(dump[4 * index..4 * index + 4].try_into().unwrap()) as usize;
    let (header, width, height, byte_order, bits, line, colours) =
        (field(0), field(4), field(5), field(7), field(11), field(12), field(19));
    assert_eq!((field(1), width, height, byte_order, bits), (7, WIDTH, HEIGHT, 0, 32));
    let image = &dump[header + 12 * colours..];
    let row = |y: usize| image[y * line..][..4 * width].chunks(4).map(|pixel| [pixel[2], pixel[1], pixel[0]]);
    (0..height).flat_map(row).collect()
}

/// The pixels of an exported picture.
fn exported(plant: &Plant, session: &str, at: &str) -> Vec<[u8; 3]> {
    let file = plant.folder().join("screen.png");
    let arguments = ["recording", "export", session, "--format", "png", "--at", at];
    let finished = plant.sallyport(&[&arguments[..], &["--output", file.to_str().unwrap()]].concat());
    finished.ok();
    let mut reader =
        png::Decoder::new(std::io::BufReader::new(std::fs::File::open(&file).unwrap())).read_info().unwrap();
    let mut bytes = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut bytes).unwrap();
    assert_eq!((info.width as usize, info.height as usize), (WIDTH, HEIGHT));
    let size = info.color_type.samples();
    bytes.chunks(size).map(|pixel| [pixel[0], pixel[1], pixel[2]]).collect()
}

/// A panel, and somebody's viewer that looks at it through the broker.
struct Looking {
    plant: Plant,
    panel: Display,
    desk: Display,
    window: String,
    keys: Running,
    viewer: Running,
    _tunnel: Tunnel,
}

impl Looking {
    fn start(name: &str) -> Looking {
        let plant = Setup::with_tcp().start();
        let geometry = format!("{WIDTH}x{HEIGHT}");
        let panel = Display::start(
            &plant,
            Place::Plant,
            &geometry,
            &["-rfbport", "5900", "-interface", "10.10.1.39", "-AlwaysShared"],
        );
        let desk = Display::start(&plant, Place::Office, "800x600", &["-rfbport", "5999", "-localhost"]);
        panel.run("xsetroot", &["-solid", "#204060"]);
        let keys = panel.command("stdbuf", &["-oL", "xev", "-root", "-event", "keyboard"]);
        let keys = Running::start("xev", keys, &plant.folder().join("keys.log"));
        let tunnel = Tunnel::open_with_code(&plant, &plant.person(name), &["-L", &format!("{PORT}:panel-1:5900")]);
        let lossless = ["-AutoSelect=0", "-PreferredEncoding=ZRLE", "-FullColor=1"];
        let address = format!("127.0.0.1::{PORT}");
        let options = [&["-SecurityTypes", "None", "-Shared"][..], &lossless, &[&address]].concat();
        let viewer = desk.command("xtigervncviewer", &options);
        let viewer = Running::start("xtigervncviewer", viewer, &plant.folder().join("viewer.log"));
        let window = eventually("the viewer has a window", SOON, || {
            let search = desk.command("xdotool", &["search", "--onlyvisible", "--class", "."]);
            finish(search, b"").text().lines().last().map(str::to_owned)
        });
        let looking = Looking { plant, panel, desk, window, keys, viewer, _tunnel: tunnel };
        looking.await_picture();
        looking
    }

    /// Until the viewer shows what the panel shows.
    #[track_caller]
    fn await_picture(&self) {
        let shown = self.panel.screenshot();
        eventually("the viewer shows the picture", SOON, || {
            let window = finish(self.desk.command("xwd", &["-silent", "-id", &self.window]), b"");
            (window.code() == 0 && pixels(&window.stdout) == shown).then_some(())
        });
    }

    /// Moves, clicks and types at the viewer.
    fn touch(&self) {
        self.desk.run("xdotool", &["windowfocus", "--sync", &self.window]);
        let at = ["mousemove", "--window", &self.window, "150", "120"];
        self.desk.run("xdotool", &[&at[..], &["click", "1", "key", "x"]].concat());
    }
}

#[test]
fn a_viewer_looks_and_does_not_touch_and_the_recording_shows_what_it_saw() {
    let mut looking = Looking::start("vera");
    let panel = &looking.panel;
    let before = panel.pointer();
    looking.touch();
    // The picture goes on.
    panel.run("xsetroot", &["-mod", "7", "5", "-fg", "#ffcc00", "-bg", "#902010"]);
    looking.await_picture();
    std::thread::sleep(Duration::from_millis(500));
    let (shown, at) = (panel.screenshot(), jiff::Timestamp::now().to_string());
    std::thread::sleep(Duration::from_millis(500));
    panel.run("xsetroot", &["-solid", "#00a000"]);
    looking.await_picture();
    assert_eq!(panel.pointer(), before);
    assert!(!looking.keys.log().contains("KeyPress"), "{}", looking.keys.log());
    looking.viewer.terminate();

    let (end, evidence) = the_end(&looking.plant);
    assert_eq!(end, "left");
    let dropped = evidence.operations();
    for name in ["dropped-keys", "dropped-pointer"] {
        assert_eq!(super::named(&dropped, name)["verdict"], "deny");
    }
    let seen = exported(&looking.plant, &evidence.session, &at);
    assert_eq!(shown.len(), seen.len());
    let differing = shown.iter().zip(&seen).filter(|(shown, seen)| shown != seen).count();
    assert_eq!(differing, 0, "the picture from the recording is not what was on the screen");
    assert!(shown.iter().any(|pixel| *pixel != shown[0]), "a picture with something on it");
}

#[test]
fn with_the_right_a_viewer_clicks_and_types() {
    let mut looking = Looking::start("paul");
    looking.touch();
    eventually("the pointer has moved", SOON, || (looking.panel.pointer() == "x:150 y:120").then_some(()));
    eventually("the key is pressed", SOON, || looking.keys.log().contains("KeyPress").then_some(()));
    looking.viewer.terminate();
    let (_, evidence) = the_end(&looking.plant);
    assert_eq!(super::named(&evidence.operations(), "key")["keysym"], u32::from(b'x'));
}
