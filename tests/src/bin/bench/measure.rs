//! The measurements, one function each.

use std::fs;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use sallyport_tests::{Sshd, finish, finish_within};

use crate::client::{IdleSessions, Target, sessions_per_second};
use crate::site::{BROKER, Site, Way};

/// How much of everything.
pub(crate) struct Amounts {
    pub(crate) runs: usize,
    pub(crate) bytes: u64,
    pub(crate) keystrokes: usize,
    pub(crate) idle: &'static [usize],
    pub(crate) stall: Duration,
    pub(crate) logins: Duration,
}

impl Amounts {
    pub(crate) const FULL: Amounts = Amounts {
        runs: 20,
        bytes: 1 << 30,
        keystrokes: 1000,
        idle: &[0, 1, 100, 500],
        stall: Duration::from_secs(10),
        logins: Duration::from_secs(10),
    };
    pub(crate) const QUICK: Amounts = Amounts {
        runs: 5,
        bytes: 1 << 27,
        keystrokes: 100,
        idle: &[0, 1, 20],
        stall: Duration::from_secs(3),
        logins: Duration::from_secs(3),
    };
}

/// One transfer.
#[derive(Clone, Copy, Default)]
pub(crate) struct Transfer {
    pub(crate) seconds: f64,
    /// Of the broker, per GiB; zero where there is none.
    pub(crate) cpu_per_gib: f64,
    /// Of recording, per GiB moved.
    pub(crate) recorded_per_gib: f64,
}

/// What one way gave.
pub(crate) struct Figures {
    pub(crate) way: Way,
    pub(crate) run_true: Duration,
    pub(crate) key_p50: Duration,
    pub(crate) key_p99: Duration,
    pub(crate) download: Transfer,
    pub(crate) upload: Transfer,
    pub(crate) scp_download: Transfer,
    pub(crate) scp_upload: Transfer,
}

/// Everything.
pub(crate) struct Results {
    pub(crate) ways: Vec<Figures>,
    /// Number of idle sessions, resident KiB of the broker.
    pub(crate) idle: Vec<(usize, u64)>,
    /// What does not read, resident KiB before, and at most.
    pub(crate) stalls: Vec<(&'static str, u64, u64)>,
    pub(crate) straight_logins: f64,
    pub(crate) our_logins: f64,
    /// The broker's CPU milliseconds per new session.
    pub(crate) our_login_cpu: f64,
}

impl Results {
    pub(crate) fn measure(site: &Site, amounts: &Amounts) -> Results {
        say("idle sessions");
        let idle = idle(site, amounts);
        say("new sessions per second");
        let ours = Target::new(BROKER, "alice:operator@ews-1", &site.alice.key());
        let straight = Target::new(22_101, "fitter", &Sshd::account_key(&site.folder().join("asset")));
        let straight_logins = sessions_per_second(&straight, 16, amounts.logins);
        let before = cpu_seconds(site.broker_pid());
        let our_logins = sessions_per_second(&ours, 16, amounts.logins);
        let our_login_cpu =
            (cpu_seconds(site.broker_pid()) - before) * 1000.0 / (our_logins * amounts.logins.as_secs_f64());
        say("time to run `true`");
        let run_true = run_true(site, amounts.runs);
        say("keystrokes");
        let keys: Vec<_> = Way::ALL.map(|way| keystrokes(site, way, amounts.keystrokes)).into();
        let file = noise_file(site, amounts.bytes);
        let mut ways = Vec::new();
        for (number, way) in Way::ALL.into_iter().enumerate() {
            say(way.title());
            ways.push(Figures {
                way,
                run_true: run_true[number],
                key_p50: keys[number].0,
                key_p99: keys[number].1,
                download: transfer(site, way, amounts.bytes, &format!("ssh $F {{}} 'cat {}' >/dev/null", file.display())),
                upload: transfer(site, way, amounts.bytes, &format!("ssh $F {{}} 'cat >/dev/null' <{}", file.display())),
                scp_download: transfer(site, way, amounts.bytes, &format!("scp -q $F {{}}:{} {}", file.display(), site.folder().join("copy").display())),
                scp_upload: transfer(site, way, amounts.bytes, &format!("scp -q $F {} {{}}:/dev/shm/sallyport-bench-copy-$$; s=$?; rm -f /dev/shm/sallyport-bench-copy-$$; exit $s", file.display())),
            });
        }
        fs::remove_file(&file).expect("the file goes");
        say("a side that does not read");
        let stalls = stalls(site, amounts.stall);
        Results { ways, idle, stalls, straight_logins, our_logins, our_login_cpu }
    }

    pub(crate) fn of(&self, way: Way) -> &Figures {
        self.ways.iter().find(|each| each.way == way).expect("every way was measured")
    }
}

/// The median for each way, taken in turns so that what else the machine does hits them alike.
fn run_true(site: &Site, runs: usize) -> Vec<Duration> {
    let mut taken = vec![Vec::new(); Way::ALL.len()];
    for _ in 0..=runs {
        for (number, way) in Way::ALL.into_iter().enumerate() {
            let started = Instant::now();
            let mut command = site.command("ssh");
            command.args([way.host(), "true"]).stdin(Stdio::null());
            assert!(command.status().expect("ssh starts").success());
            taken[number].push(started.elapsed());
        }
    }
    // The first warms up.
    taken.into_iter().map(|taken| quantile(taken[1..].to_vec(), 50)).collect()
}

/// Round trips of single keys on a raw terminal that `cat` echoes.
fn keystrokes(site: &Site, way: Way, count: usize) -> (Duration, Duration) {
    let mut command = site.command("ssh");
    command.args(["-tt", way.host(), "stty raw -echo; echo ready; exec cat"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("ssh starts");
    let mut keys = child.stdin.take().expect("its input");
    let mut screen = child.stdout.take().expect("its output");
    let mut seen = Vec::new();
    let mut byte = [0];
    while !seen.ends_with(b"ready\n") && !seen.ends_with(b"ready\r\n") {
        screen.read_exact(&mut byte).expect("a terminal");
        seen.push(byte[0]);
    }
    let mut taken = Vec::with_capacity(count);
    for _ in 0..count {
        thread::sleep(Duration::from_millis(5));
        let started = Instant::now();
        keys.write_all(b"k").expect("typing");
        screen.read_exact(&mut byte).expect("an echo");
        taken.push(started.elapsed());
    }
    drop(keys);
    child.kill().expect("ssh can be ended");
    child.wait().expect("ssh ends");
    (quantile(taken.clone(), 50), quantile(taken, 99))
}

fn transfer(site: &Site, way: Way, bytes: u64, line: &str) -> Transfer {
    let line = line.replace("{}", way.host());
    let gib = bytes as f64 / (1_u64 << 30) as f64;
    let mut best: Option<Transfer> = None;
    for _ in 0..2 {
        let (cpu, recorded) = (cpu_seconds(site.broker_pid()), site.recorded());
        let finished = finish_within(Duration::from_secs(900), site.shell(&line), b"");
        finished.ok();
        // The end of a session is recorded after the client has gone.
        thread::sleep(Duration::from_millis(300));
        let this = Transfer {
            seconds: finished.took.as_secs_f64(),
            cpu_per_gib: (cpu_seconds(site.broker_pid()) - cpu) / gib,
            recorded_per_gib: (site.recorded() - recorded) as f64 / gib,
        };
        if best.is_none_or(|best| this.seconds < best.seconds) {
            best = Some(this);
        }
    }
    best.expect("two runs")
}

fn idle(site: &Site, amounts: &Amounts) -> Vec<(usize, u64)> {
    let target = Target::new(BROKER, "alice:operator@ews-1", &site.alice.key());
    let mut sessions = IdleSessions::new();
    let mut figures = Vec::new();
    for count in amounts.idle {
        sessions.grow_to(*count, &target);
        thread::sleep(Duration::from_secs(1));
        figures.push((*count, resident_kib(site.broker_pid())));
    }
    figures
}

fn stalls(site: &Site, lasting: Duration) -> Vec<(&'static str, u64, u64)> {
    let cases = [
        ("asset, `-J`", format!("head -c 3G /dev/zero | ssh $F {} 'sleep 600'", Way::Jump.host())),
        ("asset, direct", format!("head -c 3G /dev/zero | ssh $F {} 'sleep 600'", Way::Direct.host())),
        ("client, `-J`", format!("ssh $F {} 'cat /dev/zero' | sleep 600", Way::Jump.host())),
        ("client, direct", format!("ssh $F {} 'cat /dev/zero' | sleep 600", Way::Direct.host())),
    ];
    cases
        .into_iter()
        .map(|(name, line)| {
            let before = resident_kib(site.broker_pid());
            let mut shell = site.shell(&line);
            let mut shell =
                shell.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("bash");
            let until = Instant::now() + lasting;
            let mut most = before;
            while Instant::now() < until {
                most = most.max(resident_kib(site.broker_pid()));
                thread::sleep(Duration::from_millis(50));
            }
            let mut members = Command::new("pgrep");
            members.args(["-P", &shell.id().to_string()]);
            for pid in finish(members, b"").text().split_whitespace() {
                finish_kill(pid);
            }
            shell.kill().expect("bash can be ended");
            shell.wait().expect("bash ends");
            (name, before, most)
        })
        .collect()
}

fn finish_kill(pid: &str) {
    let mut kill = Command::new("kill");
    kill.args(["-9", pid]);
    // It may have ended by itself.
    finish(kill, b"");
}

fn noise_file(site: &Site, bytes: u64) -> std::path::PathBuf {
    let path = Path::new("/dev/shm").join(site.folder().file_name().expect("a name"));
    let mut make = Command::new("bash");
    make.args(["-c", &format!("umask 022; head -c {bytes} /dev/urandom >{}", path.display())]);
    finish_within(Duration::from_secs(120), make, b"").ok();
    path
}

/// User and system time of a process.
pub(crate) fn cpu_seconds(pid: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("the broker runs");
    let after_name = stat.rsplit_once(") ").expect("a name").1;
    let fields: Vec<_> = after_name.split(' ').collect();
    let ticks: f64 = fields[11].parse::<f64>().expect("ticks") + fields[12].parse::<f64>().expect("ticks");
    ticks / 100.0
}

fn resident_kib(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("the broker runs");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("a resident size");
    line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).expect("a number")
}

pub(crate) fn quantile(mut taken: Vec<Duration>, percent: usize) -> Duration {
    taken.sort();
    taken[(taken.len() * percent / 100).min(taken.len() - 1)]
}

pub(crate) fn say(what: &str) {
    eprintln!("measuring: {what}");
}
