//! Recorded terminals, as an auditor sees them: replayed in real terminals, searched, exported.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use sallyport_session_recorder::Kind;
use sallyport_tests::{Finished, Terminal, eventually, finish, finish_within, sallyport};
use serde_json::{Value, json};

use super::{Desk, SIGNER, Tape};

/// What an asset may send to whoever looks: each makes some terminal answer, remember, or be another than before.
const HOSTILE: [&[u8]; 38] = [
    b"\x1b[?1;1;0S",
    b"\x1b[?4m",
    b"\x1b[?1004h",
    b"\x1b[?1015h",
    b"\x1b[?9h",
    b"\x1b[?1000h\x1b[?1003h\x1b[?1006h",
    b"\x1bkPWNTITLE\x1b\\",
    b"\x1b]2;PWNTITLE\x07",
    b"\x9b6n",
    b"\x9d0;PWNTITLE\x9c",
    b"\xc2\x9b6n",
    b"\xe0\x82\x9b6n",
    b"\x1b]52;c;cHdu\x07",
    b"\x1b\x1b]52;c;cHdu\x07",
    b"\x1bPtmux;\x1b\x1b]52;c;cHdu\x07\x1b\\",
    b"\x1b[c",
    b"\x1b[>c",
    b"\x1b[6n",
    b"\x1b[?u\x1b[>1u",
    b"\x1bP$qm\x1b\\",
    b"\x1bc",
    b"A\x1b[2147483647b",
    b"\x1b[2147483647@",
    b"\x1b[?1$p",
    b"\x1b[21t\x1b[18t",
    b"\x1b[3\x1b[6n",
    b"\x1b[\n6n",
    b"\x1b[>4;2m",
    b"\x1b[x\x1b[2;1y",
    b"\x05\x1bZ",
    b"\x1b_Gi=1,a=q;AAAA\x1b\\",
    b"\x1b]10;?\x07\x1b]4;1;?\x07",
    b"\x1b%@\x1b#8\x1b[61\"p",
    b"\x1b[?2026h\x1b[?2004h",
    b"\x1b[?1h\x1b=",
    // These may pass, and are put back.
    b"\x1b(0\x1b)0\x0e\x1b[7m\x1b[4h",
    b"\x1b[?5h\x1b[?6h\x1b[?7l\x1b[?25l\x1b[5;6r",
    b"\x1b[?1049h",
];

fn hostile(tape: &mut Tape) {
    shell(tape, (80, 24));
    for sequence in HOSTILE {
        tape.bytes(1, Kind::Output, sequence);
    }
    tape.bytes(1, Kind::Output, b"LAST");
}

fn shell(tape: &mut Tape, (cols, rows): (u16, u16)) {
    tape.say(1, Kind::Opened, &json!({ "channel": "session" }));
    tape.say(
        1,
        Kind::Request,
        &json!({ "request": "pty", "term": "xterm", "cols": cols, "rows": rows, "allowed": true }),
    );
    tape.say(1, Kind::Request, &json!({ "request": "shell", "allowed": true }));
}

impl Desk {
    /// The command, as a shell has it.
    fn replay(&self, recording: &str) -> String {
        let key = ed25519_dalek::SigningKey::from_bytes(&SIGNER).verifying_key();
        let key = data_encoding::HEXLOWER.encode(key.as_bytes());
        let config = self.path("broker/broker.toml");
        format!(
            "{} --config {} recording replay {recording} --public-key {key}",
            sallyport().display(),
            config.display()
        )
    }

    fn hostile_as_it_is(&self) -> String {
        let path = self.path("hostile.bin");
        fs::write(&path, HOSTILE.concat()).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

#[test]
fn no_terminal_answers_a_replay() {
    let desk = Desk::new();
    let recording = desk.record("hostile.srec", hostile);
    let display = Display::start(desk.folder.path());
    // What the terminal sends back while it is shown comes in as if it were typed.
    let answers = |name: &str, show: &str| {
        let (to, script) = (desk.path(name), desk.path("script"));
        let to = to.display();
        fs::write(
            &script,
            format!("stty raw -echo\n{show} 2>{to}.err\ntimeout --foreground 2 cat >{to}\ntouch {to}.done\n"),
        )
        .unwrap();
        let mut xterm = Command::new("xterm");
        xterm.env("DISPLAY", &display.name).args(["-u8", "-e", "sh"]).arg(&script);
        finish_within(Duration::from_secs(60), xterm, b"");
        assert!(desk.path(&format!("{name}.done")).exists(), "xterm did not run the script");
        fs::read(desk.path(name)).unwrap()
    };
    let as_it_is = desk.hostile_as_it_is();
    assert!(!answers("raw", &format!("cat {as_it_is}")).is_empty(), "nothing here is ever answered");
    let answered = answers("replayed", &desk.replay(&recording));
    assert_eq!(String::from_utf8_lossy(&answered), "", "{}", fs::read_to_string(desk.path("replayed.err")).unwrap());
}

/// An X server of its own.
struct Display {
    server: std::process::Child,
    name: String,
}

impl Display {
    fn start(folder: &Path) -> Display {
        let told = folder.join("display");
        let file = fs::File::create(&told).unwrap();
        let mut server = Command::new("Xvfb");
        // It chooses a free number and says which.
        server.args(["-displayfd", "1", "-screen", "0", "1000x700x24", "-nolisten", "tcp"]);
        let server = server.stdout(file).stderr(std::process::Stdio::null()).spawn().unwrap();
        let number = eventually("a display", Duration::from_secs(20), || {
            fs::read_to_string(&told).ok().filter(|text| text.ends_with('\n'))
        });
        Display { server, name: format!(":{}", number.trim()) }
    }
}

impl Drop for Display {
    fn drop(&mut self) {
        self.server.kill().ok();
        self.server.wait().ok();
    }
}

#[test]
fn tmux_is_the_same_after_a_replay() {
    let desk = Desk::new();
    let recording = desk.record("hostile.srec", hostile);
    let tmux = |server: &str, arguments: &[&str]| {
        let mut command = Command::new("tmux");
        command
            .arg("-S")
            .arg(desk.path(server))
            .args(["-f", "/dev/null"])
            .args(arguments)
            .env("TERM", "xterm-256color")
            .env("LC_ALL", "C.UTF-8");
        finish(command, b"")
    };
    let state = |server: &str, show: &str| {
        let tmux = |arguments: &[&str]| tmux(server, arguments);
        let done = desk.path("tmux-done");
        fs::remove_file(&done).ok();
        let script = desk.path("tmux-script");
        fs::write(&script, format!("{show} >/dev/tty 2>/dev/null; touch {}; sleep 60\n", done.display())).unwrap();
        let command = format!("sh {}", script.display());
        tmux(&["new-session", "-d", "-s", "s", "-n", "auditor", "-x", "80", "-y", "24", "sleep 120"]).ok();
        tmux(&["set-option", "-g", "set-clipboard", "on"]).ok();
        tmux(&["set-option", "-g", "allow-rename", "on"]).ok();
        tmux(&["select-pane", "-T", "pane"]).ok();
        tmux(&["respawn-pane", "-k", "-t", "s", &command]).ok();
        eventually("the end of what is shown", Duration::from_secs(30), || done.exists().then_some(()));
        let flags = "#{window_name} #{pane_title} alternate=#{alternate_on} cursor=#{cursor_flag} insert=#{insert_flag} \
                     keys=#{keypad_cursor_flag}#{keypad_flag} mouse=#{mouse_any_flag} origin=#{origin_flag} wrap=#{wrap_flag} \
                     scroll=#{scroll_region_upper}-#{scroll_region_lower}";
        // What it was told last is worked through behind the last byte.
        std::thread::sleep(Duration::from_millis(500));
        let seen = tmux(&["display-message", "-p", "-t", "s", flags]).ok();
        let clipboard = tmux(&["show-buffer"]);
        tmux(&["kill-server"]).ok();
        (seen, clipboard)
    };
    let (raw, clipboard) = state("raw", &format!("cat {}", desk.hostile_as_it_is()));
    assert!(raw.contains("PWNTITLE") && clipboard.code() == 0, "nothing here ever acts: {raw} {clipboard}");
    let (seen, clipboard) = state("replayed", &desk.replay(&recording));
    let same = "auditor pane alternate=0 cursor=1 insert=0 keys=00 mouse=0 origin=0 wrap=1 scroll=0-23\n";
    assert_eq!(seen, same);
    assert_ne!(clipboard.code(), 0, "something is in the clipboard: {clipboard}");
}

#[test]
fn a_replay_that_is_stopped_puts_the_terminal_back() {
    let desk = Desk::new();
    let recording = desk.record("long.srec", |tape| {
        shell(tape, (80, 24));
        tape.bytes(1, Kind::Output, b"\x1b[?1049h\x1b[?25lBEGUN");
        tape.ms += 600_000;
        tape.bytes(1, Kind::Output, b"never");
    });
    let back = "\x1b[?1049l\x0f\x1b(B\x1b)B\x1b[0m\x1b[4l\x1b[?5l\x1b[?6l\x1b[?7h\x1b[r\x1b[?25h\x1b[9999;1H";
    for stop in ["INT", "TERM", "HUP"] {
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(format!("echo pid $$.; exec {}", desk.replay(&recording)));
        let mut terminal = Terminal::start(&shell, 80, 24);
        terminal.expect("BEGUN");
        let shown = terminal.shown();
        let pid = shown.split("pid ").nth(1).unwrap().split('.').next().unwrap();
        let mut kill = Command::new("kill");
        kill.args([&format!("-{stop}"), pid]);
        finish(kill, b"").ok();
        terminal.ended();
        terminal.expect(back);
        assert!(!terminal.shown().contains("never"));
    }
}

#[test]
fn a_larger_terminal_is_told_of_and_can_be_made_to_fit() {
    let desk = Desk::new();
    let recording = desk.record("large.srec", |tape| {
        shell(tape, (200, 60));
        let line = "0123456789".repeat(20);
        tape.bytes(1, Kind::Output, format!("\x1b[1;1H{line}\x1b[60;190HCORNER\x1b[1;1H").as_bytes());
    });
    let shown = |options: &str| {
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(format!("exec {}{options}", desk.replay(&recording)));
        let mut terminal = Terminal::start(&shell, 80, 24);
        assert!(terminal.ended().success(), "{}", terminal.shown());
        terminal.expect("[9999;1H");
        terminal.shown()
    };
    let whole = shown("");
    assert!(
        whole.contains("the terminal had up to 200x60, and this one has 80x24") && whole.contains("CORNER"),
        "{whole}"
    );
    let fitted = shown(" --fit");
    let first_row = format!("\x1b[1;1H\x1b[0m{}\x1b[0m\x1b[K", "0123456789".repeat(8));
    assert!(fitted.contains(&first_row) && !fitted.contains("CORNER") && !fitted.contains("up to"), "{fitted:?}");
}

#[test]
fn an_exported_asciicast_is_clean_unless_it_is_asked_for_raw() {
    let desk = Desk::new();
    let recording = desk.record("hostile.srec", hostile);
    let cast = |options: &[&str]| {
        let exported = desk.recording(&[&["export", &recording, "--format", "asciicast"], options].concat());
        let said = exported.stderr.clone();
        let lines = exported.ok();
        let shown: String = lines
            .lines()
            .skip(1)
            .map(|line| serde_json::from_str::<Value>(line).unwrap()[2].as_str().unwrap().to_owned())
            .collect();
        (shown, said)
    };
    let (clean, said) = cast(&[]);
    assert!(!clean.contains("52;c") && !clean.contains("PWNTITLE\u{1b}") && clean.contains("LAST"), "{clean:?}");
    assert_eq!(said, "");
    let (raw, said) = cast(&["--raw"]);
    assert!(raw.contains("\u{1b}]52;c;cHdu\u{7}") && said.contains("it acts on the terminal"), "{raw:?} {said}");
    assert!(desk.audited().contains("\"asciicast, raw\""));
    let refused = desk.recording(&["export", &recording, "--format", "jsonl", "--raw"]);
    assert_eq!(refused.code(), 64, "{refused}");
}

impl Desk {
    fn audited(&self) -> String {
        self.gate(&["audit", "list", "--json"]).ok()
    }

    fn gate(&self, arguments: &[&str]) -> Finished {
        let mut command = Command::new(sallyport());
        command.arg("--config").arg(self.path("broker/broker.toml")).args(arguments);
        finish(command, b"")
    }
}

/// A screen that fills with one line, over and over: a few kilobytes of recording.
#[test]
fn a_search_prints_as_it_finds_and_takes_no_memory_for_what_it_found() {
    const LINES: usize = 200_000;
    let desk = Desk::new();
    let recording = desk.record("flood.srec", |tape| {
        shell(tape, (80, 24));
        let piece = "setpoint\r\n".repeat(1000);
        (0..LINES / 1000).for_each(|_| tape.bytes(1, Kind::Output, piece.as_bytes()));
    });
    let (found, kib) = measured(&desk, &["search", "setpoint", &recording]);
    assert!(kib < 100 * 1024, "{kib} KiB");
    assert_eq!(found.text().lines().count(), 1001);
    assert!(found.stderr.contains(&format!("{} more in `flood` are not shown", LINES - 1000)), "{}", found.stderr);
    let found = desk.recording(&["search", "setpoint", &recording, "--limit", "7", "--json"]).ok();
    assert_eq!(serde_json::from_str::<Value>(&found).unwrap().as_array().unwrap().len(), 7);
}

/// Runs a command on recordings, and says how much memory it took at most.
fn measured(desk: &Desk, arguments: &[&str]) -> (Finished, u64) {
    const RUN: &str = "import resource, subprocess, sys\n\
                       code = subprocess.run(sys.argv[1:]).returncode\n\
                       print('KiB', resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr)\n\
                       sys.exit(code)";
    let key = ed25519_dalek::SigningKey::from_bytes(&SIGNER).verifying_key();
    let mut command = Command::new("python3");
    command.args(["-c", RUN]).arg(sallyport()).arg("--config").arg(desk.path("broker/broker.toml")).arg("recording");
    command.args(arguments).args(["--public-key", &data_encoding::HEXLOWER.encode(key.as_bytes())]);
    let finished = finish_within(Duration::from_secs(120), command, b"");
    let kib = finished.stderr.rsplit("KiB ").next().unwrap().trim().parse().unwrap();
    (finished, kib)
}

#[test]
fn what_was_searched_for_is_on_record_without_being_said() {
    let desk = Desk::new();
    let recording = desk.record("shell.srec", |tape| {
        shell(tape, (80, 24));
        tape.bytes(1, Kind::Output, b"the password is s3kr3t\r\n");
    });
    assert!(desk.recording(&["search", "s3kr3t", &recording]).ok().contains("the password is s3kr3t"));
    let audited = desk.audited();
    assert!(audited.contains("SP-4003") && !audited.contains("s3kr3t"), "{audited}");
    let events: Value = serde_json::from_str(&audited).unwrap();
    let searched = events.as_array().unwrap().iter().find(|event| event["code"] == "SP-4003").unwrap();
    assert_eq!((&searched["event"]["text"], &searched["event"]["length"]), (&json!(""), &json!(6)));
    assert_eq!(searched["event"]["digest"].as_str().map(str::len), Some(64));
    // Who knows the text can ask who looked for it.
    let asked = |text| desk.gate(&["audit", "list", "--searched", text]).ok().matches("SP-4003").count();
    assert_eq!((asked("s3kr3t"), asked("s3kr3T")), (1, 0));
}

#[test]
fn nothing_in_the_audit_chain_acts_on_the_terminal_of_its_reader() {
    let desk = Desk::new();
    let hostile = "x\u{9b}31m\u{202e}\u{2028}\u{9d}0;title\u{9c}";
    desk.gate(&["identity", "add", "bob"]).ok();
    desk.gate(&["identity", "lock", "bob", "--reason", hostile]).ok();
    let export = desk.path("audit.jsonl");
    let export = export.to_str().unwrap();
    desk.gate(&["audit", "export", "--output", export]).ok();
    let listed = desk.audited();
    for shown in [&listed, &desk.gate(&["audit", "list"]).ok(), &fs::read_to_string(export).unwrap()] {
        assert!(shown.contains("title"), "{shown}");
        assert!(shown.chars().all(|char| char == '\n' || sallyport_plain::is_plain(char)), "{shown:?}");
    }
    // It means what was said, and what was hashed.
    let events: Value = serde_json::from_str(&listed).unwrap();
    assert!(events.as_array().unwrap().iter().any(|event| event["event"]["reason"] == hostile), "{listed}");
    desk.gate(&["audit", "verify", "--file", export]).ok();
}

#[test]
fn a_file_is_taken_only_when_it_is_written_as_one_and_only_when_its_signer_is_known() {
    let desk = Desk::new();
    let recording = desk.record("s1", |tape| {
        shell(tape, (80, 24));
        tape.bytes(1, Kind::Output, b"forged\r\n");
    });
    // As `s1` in the current folder: it is a session, of which the catalogue knows nothing.
    let key = ed25519_dalek::SigningKey::from_bytes(&SIGNER).verifying_key();
    let key = data_encoding::HEXLOWER.encode(key.as_bytes());
    let in_folder = |arguments: &[&str]| {
        let mut command = Command::new(sallyport());
        command
            .current_dir(desk.folder.path())
            .arg("--config")
            .arg("broker/broker.toml")
            .arg("recording")
            .args(arguments);
        finish(command, b"")
    };
    let session = in_folder(&["search", "forged", "s1", "--public-key", &key]);
    assert!(session.refused().contains("s1") && session.text().is_empty(), "{session}");
    assert!(in_folder(&["search", "forged", "./s1", "--public-key", &key]).ok().contains("forged"));
    let named = in_folder(&["search", "forged", "s1.srec", "--public-key", &key]);
    assert!(named.refused().contains("as `./s1.srec`"), "{named}");

    // Away from an installation there is no key to hold it to.
    let away = |arguments: &[&str]| {
        let mut command = Command::new(sallyport());
        command.arg("--config").arg(desk.path("none.toml")).args(["recording", "search", "forged", &recording]);
        command.arg("--key-file").arg(desk.path("broker/recordings-reader.key")).args(arguments);
        finish(command, b"")
    };
    let refused = away(&[]);
    assert!(refused.refused().contains("--public-key KEY") && refused.stderr.contains("`--unverified`"), "{refused}");
    assert!(refused.text().is_empty() && !refused.stderr.contains("sallyport init"), "{refused}");
    let unverified = away(&["--unverified"]);
    assert!(unverified.stderr.contains("may be anybody's making"), "{unverified}");
    assert!(unverified.ok().contains("forged"));
    assert!(away(&["--public-key", &key]).ok().contains("forged"));
}
