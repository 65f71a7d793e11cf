//! A pseudo-terminal with a client in it, as a person sits before it.

use std::fs::File;
use std::io::{Read, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::process::eventually;

/// A command that runs on a terminal of its own.
pub struct Terminal {
    master: File,
    child: Child,
    seen: Arc<Mutex<Vec<u8>>>,
}

impl Terminal {
    /// Starts `command` (an [`std::process::Command`] without redirections) on a terminal of this size.
    pub fn start(command: &Command, columns: u16, rows: u16) -> Terminal {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("a terminal");
        grantpt(&master).expect("a terminal");
        unlockpt(&master).expect("a terminal");
        let name = ptsname(&master, Vec::new()).expect("a terminal's name");
        let name = name.to_str().expect("a path").to_owned();
        let end = || Stdio::from(File::options().read(true).write(true).open(&name).expect("the other end"));
        let mut on_terminal = Command::new("setsid");
        on_terminal.args(["--ctty", "--wait"]).arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            on_terminal.env(name, value.unwrap_or_default());
        }
        on_terminal.stdin(end()).stdout(end()).stderr(end());
        let master = File::from(master);
        resize(&master, columns, rows);
        let child = on_terminal.spawn().expect("setsid starts");
        // The command holds the other end; ours must close with it.
        drop(on_terminal);
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (mut from, into) = (master.try_clone().expect("a second handle"), Arc::clone(&seen));
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            // EIO is how a terminal says that the other end has closed.
            while let Ok(count @ 1..) = from.read(&mut buffer) {
                into.lock().expect("what was seen").extend_from_slice(&buffer[..count]);
            }
        });
        Terminal { master, child, seen }
    }

    /// Types.
    pub fn send(&mut self, text: &str) {
        self.master.write_all(text.as_bytes()).expect("typing");
    }

    /// Types, if anybody still listens.
    pub fn try_send(&mut self, text: &str) {
        self.master.write_all(text.as_bytes()).ok();
    }

    /// Closes the window.
    pub fn hang_up(mut self) {
        self.child.kill().expect("a child can be killed");
        self.child.wait().expect("a child can be waited for");
    }

    /// Waits until `text` has been shown.
    #[track_caller]
    pub fn expect(&self, text: &str) {
        self.expect_within(Duration::from_secs(20), text);
    }

    /// Waits until `text` has been shown, so long and no longer.
    #[track_caller]
    pub fn expect_within(&self, limit: Duration, text: &str) {
        let found = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            eventually(text, limit, || self.shown().contains(text).then_some(()));
        }));
        assert!(found.is_ok(), "`{text}` was not shown; this was:\n{}", self.shown());
    }

    /// Everything shown so far.
    pub fn shown(&self) -> String {
        String::from_utf8_lossy(&self.seen.lock().expect("what was seen")).into_owned()
    }

    /// Changes the size of the window.
    pub fn resize(&self, columns: u16, rows: u16) {
        resize(&self.master, columns, rows);
    }

    /// How the command ended, if it has.
    pub fn poll(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child can be waited for")
    }

    /// Waits until the command has ended.
    #[track_caller]
    pub fn ended(&mut self) -> ExitStatus {
        let started = std::time::Instant::now();
        loop {
            if let Some(status) = self.poll() {
                return status;
            }
            assert!(started.elapsed() < Duration::from_secs(20), "it did not end; it showed:\n{}", self.shown());
            thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            self.child.kill().ok();
            self.child.wait().ok();
        }
    }
}

fn resize(master: &File, columns: u16, rows: u16) {
    let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(master, size).expect("a window's size");
}
