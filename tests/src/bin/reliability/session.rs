//! One live session: something is sent, and sent on only when it came back, until somebody ends it.

use std::fs::File;
use std::io::{Error, ErrorKind, Read, Result, Write};
use std::net::{Shutdown, TcpStream};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use sallyport_tests::{Person, eventually};

use crate::{controller, panel};

/// What passes in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A terminal at which somebody types; the asset keeps what came.
    Terminal,
    /// A controller is polled; each fifth time a register is written, one that no other session writes.
    Poll {
        /// The register.
        register: u16,
    },
    /// A panel is looked at.
    Screen,
}

/// What the person has done and seen.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    /// How often something was sent, and how often it came back.
    pub(crate) sent: u64,
    pub(crate) back: u64,
    /// When a byte of the asset came last.
    pub(crate) last: Instant,
    /// The longest time between something that was sent and its answer.
    pub(crate) longest: Duration,
    /// When it was over.
    pub(crate) over: Option<Instant>,
}

/// A session that goes on in a thread of its own.
pub(crate) struct Session {
    /// Of its own; what the asset keeps is named by it.
    pub(crate) name: String,
    pub(crate) kind: Kind,
    /// The broker that it goes through.
    pub(crate) broker: usize,
    seen: Arc<Mutex<Seen>>,
    stop: Arc<AtomicBool>,
    client: Client,
    thread: Option<JoinHandle<()>>,
}

/// What holds the connection.
enum Client {
    Ssh(Child),
    Stream(TcpStream),
}

impl Session {
    /// A terminal on `host`. Returns before it is open: see [`Session::opened`].
    pub(crate) fn terminal(person: &Person, host: &str, name: &str, broker: usize, pace: Duration) -> Session {
        let log = File::create(person.folder().join(format!("{name}.log"))).expect("a log");
        let mut ssh = person.leased("ssh");
        ssh.arg("-F").arg(person.config()).args(["-tt", host]);
        ssh.arg(format!("stty raw -echo; echo READY; exec tee -a received-{name}"));
        let mut child = ssh.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log).spawn().expect("ssh starts");
        let mut keys = child.stdin.take().expect("its input");
        let mut screen = Screen { from: child.stdout.take().expect("its output"), shown: Vec::new() };
        let (mut ready, token) = (false, name.to_owned());
        let act = move |number: u64| {
            if !ready {
                screen.await_text(b"READY")?;
                ready = true;
            }
            type_one(&mut keys, &mut screen, &line(&token, number))
        };
        Session::run(name, Kind::Terminal, broker, Client::Ssh(child), pace, act)
    }

    /// A controller through a tunnel's connection.
    pub(crate) fn poll(mut stream: TcpStream, register: u16, broker: usize, pace: Duration) -> Session {
        let client = Client::Stream(stream.try_clone().expect("a second handle"));
        let act = move |number: u64| {
            let transaction = number as u16;
            match written(number) {
                Some(value) if controller::write(&mut stream, transaction, register, value)? => Ok(()),
                // What a filter or a session in view-only denies did not reach the controller.
                Some(_) => Err(Error::new(ErrorKind::PermissionDenied, "a write was denied")),
                None => controller::read(&mut stream, transaction),
            }
        };
        Session::run(&format!("poll-{register}"), Kind::Poll { register }, broker, client, pace, act)
    }

    /// A panel through a tunnel's connection.
    pub(crate) fn screen(mut stream: TcpStream, number: usize, broker: usize, pace: Duration) -> Session {
        let client = Client::Stream(stream.try_clone().expect("a second handle"));
        let mut open = false;
        let act = move |_: u64| {
            if !open {
                panel::open(&mut stream)?;
                open = true;
            }
            panel::look(&mut stream)
        };
        Session::run(&format!("screen-{number}"), Kind::Screen, broker, client, pace, act)
    }

    fn run(
        name: &str,
        kind: Kind,
        broker: usize,
        client: Client,
        pace: Duration,
        mut act: impl FnMut(u64) -> Result<()> + Send + 'static,
    ) -> Session {
        let nothing = Seen { sent: 0, back: 0, last: Instant::now(), longest: Duration::ZERO, over: None };
        let (seen, stop) = (Arc::new(Mutex::new(nothing)), Arc::new(AtomicBool::new(false)));
        let (into, stopped) = (Arc::clone(&seen), Arc::clone(&stop));
        let change = move |how: &dyn Fn(&mut Seen)| how(&mut into.lock().unwrap_or_else(PoisonError::into_inner));
        let thread = thread::spawn(move || {
            for number in 1.. {
                if stopped.load(Ordering::Acquire) {
                    break;
                }
                let begun = Instant::now();
                change(&|seen| seen.sent = number);
                if act(number).is_err() {
                    break;
                }
                change(&|seen| {
                    (seen.back, seen.last) = (number, Instant::now());
                    // The first is the opening.
                    if number > 1 {
                        seen.longest = seen.longest.max(begun.elapsed());
                    }
                });
                thread::sleep(pace);
            }
            change(&|seen| seen.over = Some(Instant::now()));
        });
        Session { name: name.to_owned(), kind, broker, seen, stop, client, thread: Some(thread) }
    }

    /// What the person has seen so far.
    pub(crate) fn seen(&self) -> Seen {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it goes on.
    pub(crate) fn lives(&self) -> bool {
        self.seen().over.is_none()
    }

    /// Waits until something has come back.
    #[track_caller]
    pub(crate) fn opened(&self) {
        eventually(&format!("{} is open", self.name), Duration::from_secs(120), || {
            assert!(self.lives(), "{} ended before it began", self.name);
            (self.seen().back > 0).then_some(())
        });
    }

    /// Sends nothing more.
    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::Release);
    }

    /// Waits until what is under way has come back, and ends it. Gives what was seen.
    pub(crate) fn end(&mut self) -> Seen {
        self.stop();
        let patience = Instant::now();
        while self.lives() && patience.elapsed() < Duration::from_secs(20) {
            thread::sleep(Duration::from_millis(5));
        }
        self.cut();
        if let Some(thread) = self.thread.take() {
            thread.join().expect("its thread ends");
        }
        self.seen()
    }

    /// Ends it at once, as a line that is cut.
    fn cut(&mut self) {
        match &mut self.client {
            Client::Ssh(child) => {
                // It may be gone already.
                child.kill().ok();
                child.wait().expect("a child can be waited for");
            }
            Client::Stream(stream) => drop(stream.shutdown(Shutdown::Both)),
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.stop();
        self.cut();
    }
}

/// What is typed the so many-th time.
pub(crate) fn line(name: &str, number: u64) -> String {
    format!("{name}:{number:06}\n")
}

/// What is written to a register the so many-th time, if anything is.
pub(crate) fn written(number: u64) -> Option<u16> {
    number.is_multiple_of(5).then_some((number / 5 % 60_000) as u16)
}

/// What a terminal shows.
struct Screen {
    from: ChildStdout,
    shown: Vec<u8>,
}

impl Screen {
    /// Reads until this is shown; what the broker itself says goes by.
    fn await_text(&mut self, text: &[u8]) -> Result<()> {
        let mut buffer = [0; 4096];
        loop {
            if let Some(at) = self.shown.windows(text.len()).position(|window| window == text) {
                self.shown.drain(..at + text.len());
                return Ok(());
            }
            match self.from.read(&mut buffer)? {
                0 => return Err(ErrorKind::UnexpectedEof.into()),
                count => self.shown.extend_from_slice(&buffer[..count]),
            }
        }
    }
}

fn type_one(keys: &mut ChildStdin, screen: &mut Screen, line: &str) -> Result<()> {
    keys.write_all(line.as_bytes())?;
    screen.await_text(line.trim_end().as_bytes())
}
