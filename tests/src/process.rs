//! Processes that end with their test, and waiting without guessing.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// A long-lived process, its output in a log file. Killed, by its pid, when dropped.
pub struct Running {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Running {
    /// Starts `command`, both its outputs going to the end of `log`.
    pub fn start(name: &str, mut command: Command, log: &Path) -> Running {
        let output = File::options().create(true).append(true).open(log).expect("a log file");
        let errors = output.try_clone().expect("a second handle");
        command.stdin(Stdio::null()).stdout(output).stderr(errors);
        let child = command.spawn().unwrap_or_else(|error| panic!("{name} does not start: {error}"));
        Running { name: name.to_owned(), child, log: log.to_owned() }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Everything it has said.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Waits until a broker that runs goes by this version of the plant, as its log says; one that keeps no such log is not waited for.
    pub fn awaits_plant(&self, version: i64) {
        if !self.works() || !self.log().contains("Broker is ready") {
            return;
        }
        let (text, json) = (format!(" version={version} "), format!("\"version\":{version},"));
        eventually(&format!("{} goes by version {version} of the plant", self.name), Duration::from_secs(10), || {
            let log = self.log();
            let said =
                log.lines().any(|line| line.contains("Plant ") && (line.contains(&text) || line.contains(&json)));
            (said || !self.works()).then_some(())
        });
    }

    /// Neither ended nor stopped.
    fn works(&self) -> bool {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid())).unwrap_or_default();
        // The state follows the name, which may hold anything but ends at the last bracket.
        stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with(['R', 'S', 'D']))
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child can be waited for")
    }

    /// `kill -9`, at once, and waits until it is gone.
    pub fn kill(&mut self) {
        if self.ended().is_none() {
            self.child.kill().expect("a child can be killed");
            self.child.wait().expect("a child can be waited for");
        }
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(pid(&self.child), signal).unwrap_or_else(|error| panic!("{} gets no signal: {error}", self.name));
    }

    /// SIGTERM; panics when it has not ended in ten seconds.
    pub fn terminate(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        let name = self.name.clone();
        eventually(&format!("{name} ends on SIGTERM"), Duration::from_secs(10), || self.ended())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
        if thread::panicking() {
            eprintln!("--- what {} said ---\n{}", self.name, last_lines(&self.log(), 60));
        }
    }
}

/// What a command said and how it ended.
#[derive(Debug)]
pub struct Finished {
    /// The command line, for messages.
    pub line: String,
    /// Its exit status.
    pub status: ExitStatus,
    /// Its standard output.
    pub stdout: Vec<u8>,
    /// Its standard error, as text.
    pub stderr: String,
    /// How long it took.
    pub took: Duration,
}

impl Finished {
    /// Panics unless it ended with 0; gives its output as text.
    #[track_caller]
    pub fn ok(&self) -> String {
        assert!(self.status.success(), "{self}");
        self.text()
    }

    /// Panics if it ended with 0; gives its standard error.
    #[track_caller]
    pub fn refused(&self) -> &str {
        assert!(!self.status.success(), "was let through: {self}");
        &self.stderr
    }

    /// Its standard output as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Its exit code, -1 when a signal ended it.
    pub fn code(&self) -> i32 {
        self.status.code().unwrap_or(-1)
    }
}

impl std::fmt::Display for Finished {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "`{}`: {} after {:?}\nstdout: {}\nstderr: {}",
            self.line,
            self.status,
            self.took,
            last_lines(&self.text(), 40),
            last_lines(&self.stderr, 40)
        )
    }
}

/// Runs a command to its end with this input; kills it after a minute.
#[track_caller]
pub fn finish(command: Command, input: &[u8]) -> Finished {
    finish_within(Duration::from_secs(60), command, input)
}

/// Runs a command to its end with this input; kills it (and panics) when it takes longer than `limit`.
#[track_caller]
pub fn finish_within(limit: Duration, mut command: Command, input: &[u8]) -> Finished {
    let line = line_of(&command);
    let started = Instant::now();
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("`{line}` does not start: {error}"));
    let (mut stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let input = input.to_vec();
    // A command need not read its input: a broken pipe here is its own affair.
    let feed = thread::spawn(move || stdin.take().map(|mut pipe| pipe.write_all(&input)));
    let stdout = thread::spawn(move || read_to_end(stdout));
    let stderr = thread::spawn(move || read_to_end(stderr));
    let mut nap = Duration::from_millis(1);
    let status = loop {
        if let Some(status) = child.try_wait().expect("a child can be waited for") {
            break Some(status);
        }
        if started.elapsed() > limit {
            child.kill().expect("a child can be killed");
            child.wait().expect("a child can be waited for");
            break None;
        }
        thread::sleep(nap);
        nap = (nap * 2).min(Duration::from_millis(20));
    };
    let took = started.elapsed();
    let stdout = stdout.join().expect("reading its output");
    let stderr = String::from_utf8_lossy(&stderr.join().expect("reading its errors")).into_owned();
    drop(feed);
    match status {
        Some(status) => Finished { line, status, stdout, stderr, took },
        None => panic!("`{line}` did not end in {limit:?}\nstdout: {}\nstderr: {stderr}", stdout.len()),
    }
}

/// Asks again and again until there is an answer; panics with `what` when there is none in time.
#[track_caller]
pub fn eventually<T>(what: &str, limit: Duration, mut ask: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(started.elapsed() < limit, "not within {limit:?}: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

fn read_to_end(from: Option<impl Read>) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Some(mut from) = from {
        from.read_to_end(&mut bytes).expect("reading from a child");
    }
    bytes
}

fn line_of(command: &Command) -> String {
    let arguments: Vec<_> = command.get_args().map(|each| each.to_string_lossy().into_owned()).collect();
    // Leave out how a namespace is entered.
    let from = arguments.iter().position(|each| each == "--").map_or(0, |at| at + 1);
    match from {
        0 => format!("{} {}", command.get_program().to_string_lossy(), arguments.join(" ")),
        _ => arguments[from..].join(" "),
    }
}

fn last_lines(text: &str, most: usize) -> String {
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(most)..].join("\n")
}

fn pid(child: &Child) -> Pid {
    Pid::from_child(child)
}
