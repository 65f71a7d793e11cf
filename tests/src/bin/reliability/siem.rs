//! Whoever is told of events is down, slow, or somebody else: no session waits for them, and everything arrives later.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use sallyport_tests::{Place, Running, eventually, finish, repository};

use crate::judge::verified;
use crate::load::Load;
use crate::options::Options;
use crate::report::Figure;
use crate::site::Site;

const PACE: Duration = Duration::from_millis(200);
/// Where the receivers are.
const ADDRESS: &str = "10.10.1.35";
/// What people are alarmed of here: each identity that is added.
const ALARM: &str = "SP-5101";
const ALARMS: usize = 5;
/// How long an answer may take while a receiver does what it likes: as long as without it.
const WAIT: Duration = Duration::from_secs(2);

pub(crate) fn run(options: &Options) -> Vec<Figure> {
    let receivers = Receivers::new();
    let mut site = Site::of(Site::setup().setting(&receivers.settings()));
    let mut load = Load::start(&site, options.sessions(50), PACE);
    let lasting = Duration::from_secs(if options.quick { 5 } else { 30 });
    let mut figures = Vec::new();
    let troubles: [(&str, Option<(&str, f64)>); 3] = [
        ("down", None),
        ("slow, 2 s for each alarm,", Some(("right", 2.0))),
        ("of another authority", Some(("wrong", 0.0))),
    ];
    for (number, (what, how)) in troubles.into_iter().enumerate() {
        let told = receivers.told("syslog").len();
        let serving = how.map(|(whose, delay)| receivers.serve(&site, whose, delay));
        let begun = Instant::now();
        for each in 0..ALARMS {
            site.plant.sallyport(&["identity", "add", &format!("p-{number}-{each}")]).ok();
        }
        // Ends and beginnings are events, too.
        let count = load.sessions.len();
        let ended = load.end_some(count / 10);
        load.add(&site, ended.len());
        thread::sleep(lasting.saturating_sub(begun.elapsed()));
        let of = |text: &str| format!("receivers {what} {text}");
        figures.push(Figure::exactly(
            &of("live sessions at work"),
            load.answered_since(Instant::now() - 10 * PACE),
            count,
        ));
        figures.push(Figure::within(&of("the longest wait for an answer"), load.longest(), WAIT));
        if how.is_none_or(|(whose, _)| whose == "wrong") {
            figures.push(Figure::exactly(&of("got"), receivers.told("syslog").len() - told, 0));
        }
        drop(serving);
        let serving = receivers.serve(&site, "right", 0.0);
        let back = Instant::now();
        let arrived = eventually("everything arrives", Duration::from_secs(300), || {
            (receivers.missing(&site) == 0).then(|| back.elapsed())
        });
        figures.push(Figure::told(
            &of("then right: everything had arrived after"),
            format!("{:.1} s", arrived.as_secs_f64()),
        ));
        // What was sent counts as told by then.
        thread::sleep(Duration::from_secs(8));
        drop(serving);
    }
    drop(load.end());
    let serving = receivers.serve(&site, "right", 0.0);
    site.quiet();
    eventually("everything arrives", Duration::from_secs(300), || (receivers.missing(&site) == 0).then_some(()));
    site.plant.broker().terminate();
    drop(serving);
    for name in ["syslog", "webhook", "mail"] {
        figures.push(receivers.order(&site, name));
    }
    figures.extend(verified(&site));
    figures
}

/// Three receivers in one process, and what they have taken.
struct Receivers {
    folder: tempfile::TempDir,
}

impl Receivers {
    fn new() -> Receivers {
        let folder = tempfile::Builder::new().prefix("sallyport-siem-").tempdir_in("/tmp").expect("a folder");
        for whose in ["right", "wrong"] {
            certificate(folder.path(), whose);
        }
        fs::write(folder.path().join("secret"), "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef")
            .expect("a secret");
        fs::set_permissions(folder.path().join("secret"), fs::Permissions::from_mode(0o600)).expect("a secret");
        Receivers { folder }
    }

    fn settings(&self) -> String {
        let at = self.folder.path().display();
        format!(
            "[[siem]]\nname = \"siem\"\nto = \"tls://{ADDRESS}:6514\"\nca = \"{at}/right-ca.pem\"\n\
             [alarm]\ncodes = [\"{ALARM}\"]\n\
             [[alarm.webhook]]\nname = \"hook\"\nurl = \"https://{ADDRESS}:8443/x\"\nca = \"{at}/right-ca.pem\"\nsecret_file = \"{at}/secret\"\n\
             [[alarm.mail]]\nname = \"shift\"\nserver = \"{ADDRESS}:465\"\ntls = \"tls\"\nca = \"{at}/right-ca.pem\"\n\
             from = \"gate-1@plant.example\"\nto = [\"lead@plant.example\"]\n"
        )
    }

    /// Starts them, with this certificate, so slow.
    fn serve(&self, site: &Site, whose: &str, delay: f64) -> Running {
        let mut python = site.plant.network().command(Place::Plant, "/usr/bin/python3");
        python.arg(repository().join("tests/src/bin/reliability/receivers.py")).arg(ADDRESS);
        python.args(["pem", "key"].map(|kind| self.path(&format!("{whose}.{kind}"))));
        python.arg(self.folder.path()).arg(delay.to_string());
        let log = self.path("log");
        let before = fs::read_to_string(&log).unwrap_or_default().len();
        let mut running = Running::start("receivers", python, &log);
        eventually("the receivers serve", Duration::from_secs(20), || {
            assert!(running.ended().is_none(), "{}", running.log());
            running.log()[before..].contains("serving").then_some(())
        });
        running
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The ids of what a receiver took.
    fn told(&self, name: &str) -> Vec<String> {
        fs::read_to_string(self.path(name)).unwrap_or_default().lines().map(str::to_owned).collect()
    }

    /// How many events of the chain a receiver does not have.
    fn missing(&self, site: &Site) -> usize {
        let missing = |name: &str| {
            let told: BTreeSet<String> = self.told(name).into_iter().collect();
            expected(site, name).iter().filter(|id| !told.contains(*id)).count()
        };
        missing("syslog") + missing("webhook") + missing("mail")
    }

    /// Whether everything came, in the chain's order, and how often anything came again.
    fn order(&self, site: &Site, name: &str) -> Figure {
        let told = self.told(name);
        let mut seen = BTreeSet::new();
        let first: Vec<String> = told.iter().filter(|id| seen.insert((*id).clone())).cloned().collect();
        let expected = expected(site, name);
        // The broker's own end comes when nobody asks any more.
        let as_in_chain = expected.iter().filter(|id| seen.contains(*id)).eq(first.iter());
        let again = told.len() - first.len();
        // What was under way when a connection was cut comes again, with the same id.
        let held = as_in_chain && expected.len() <= first.len() + 1;
        let seen = format!(
            "{} of {}, {} of them again with the same id{}",
            first.len(),
            expected.len(),
            again,
            if as_in_chain { "" } else { ", in another order" }
        );
        Figure::holds(&format!("{name}: everything came, in the order of the chain"), held, seen)
    }
}

/// The ids that a receiver is to get: from the broker's first word on.
fn expected(site: &Site, name: &str) -> Vec<String> {
    let mut entries = site.plant.audit();
    entries.sort_by_key(|entry| entry["seq"].as_u64());
    let begun = entries.iter().position(|entry| entry["code"] == "SP-6001").unwrap_or_default();
    let alarms = name != "syslog";
    let wanted =
        entries[begun..].iter().filter(|entry| !alarms || entry["code"] == ALARM || entry["severity"] == "alert");
    wanted.filter_map(|entry| entry["id"].as_str().map(str::to_owned)).collect()
}

/// A certificate of an authority of its own.
fn certificate(folder: &Path, whose: &str) {
    let script = format!(
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN={whose}-ca -keyout {whose}-ca.key -out {whose}-ca.pem && \
         openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN={ADDRESS} -keyout {whose}.key -out {whose}.csr && \
         printf 'subjectAltName=IP:{ADDRESS}\\nextendedKeyUsage=serverAuth\\nbasicConstraints=CA:FALSE\\n' >{whose}.ext && \
         openssl x509 -req -days 2 -in {whose}.csr -CA {whose}-ca.pem -CAkey {whose}-ca.key -CAcreateserial -extfile {whose}.ext -out {whose}.pem"
    );
    let mut sh = Command::new("sh");
    sh.args(["-c", &script]).current_dir(folder);
    finish(sh, b"").ok();
}
