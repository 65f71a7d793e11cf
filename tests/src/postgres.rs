//! A private PostgreSQL for the tests: own data, own socket, own port; gone with the test.
//!
//! One server per test process (each test is one under nextest), a fresh database per test. `initdb` runs once per target
//! directory; its result is copied.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::{eventually, finish};

/// A running PostgreSQL server.
pub struct Postgres {
    home: TempDir,
    port: u16,
    server: Mutex<Option<Server>>,
    databases: Mutex<u32>,
}

/// The password of the role `sallyport`, which may connect over TCP with nothing else.
pub const PASSWORD: &str = "correct horse: battery/staple?&#%";

impl Postgres {
    /// The server of this process, started for the first that asks and stopped after the last.
    pub fn shared() -> Arc<Postgres> {
        static SHARED: Mutex<Weak<Postgres>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(running) = shared.upgrade() {
            return running;
        }
        let started = Arc::new(Postgres::start());
        *shared = Arc::downgrade(&started);
        started
    }

    /// A server of one's own, to be stopped and started at will.
    pub fn start() -> Postgres {
        let home = tempfile::Builder::new().prefix("sallyport-pg-").tempdir().expect("a directory for PostgreSQL");
        give_to_server(home.path());
        let template = template();
        let data = home.path().join("data");
        finish(command("cp", &["-a", "--reflink=auto", &text(&template), &text(&data)]), b"").ok();
        let postgres = Postgres { home, port: free_port(), server: Mutex::default(), databases: Mutex::new(0) };
        postgres.start_again();
        let role = format!("CREATE ROLE sallyport LOGIN PASSWORD '{PASSWORD}'");
        postgres.sql("postgres", &role);
        postgres
    }

    /// A new empty database; its URL, over the Unix socket, needs no password.
    pub fn database(&self) -> String {
        format!("postgres://postgres@localhost/{}?host={}&port={}", self.create(), text(self.home.path()), self.port)
    }

    /// A new empty database; its URL, over TCP, needs [`PASSWORD`].
    pub fn database_with_password(&self) -> String {
        let name = self.create();
        self.sql("postgres", &format!("ALTER DATABASE {name} OWNER TO sallyport"));
        format!("postgres://sallyport@127.0.0.1:{}/{name}", self.port)
    }

    /// Runs a statement as the superuser; gives what it printed.
    pub fn sql(&self, database: &str, statement: &str) -> String {
        let mut command = Command::new(binary("psql"));
        command.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-U", "postgres", "-d", database]);
        command.arg("-h").arg(self.home.path()).args(["-p", &self.port.to_string(), "-c", statement]);
        finish(command, b"").ok()
    }

    /// The name of the database in a URL of this server.
    pub fn name(url: &str) -> &str {
        let after = url.rsplit_once('/').filter(|_| !url.contains('?')).map(|(_, name)| name);
        after.or_else(|| url.split_once("localhost/")?.1.split('?').next()).expect("a URL of this server")
    }

    /// Ends the server at once, as a crash of its machine would, and waits until it is gone.
    pub fn crash(&self) {
        self.stop_with(Signal::QUIT);
    }

    /// Starts it again on the same data and port, and waits until it answers.
    pub fn start_again(&self) {
        let mut server = self.server.lock().unwrap_or_else(PoisonError::into_inner);
        assert!(server.is_none(), "PostgreSQL runs already");
        *server = Some(Server::start(self.home.path(), self.port));
        let mut ready = Command::new(binary("pg_isready"));
        ready.arg("-q").arg("-h").arg(self.home.path()).args(["-p", &self.port.to_string()]);
        eventually("PostgreSQL answers", Duration::from_secs(30), || {
            if let Some(status) = server.as_mut().and_then(Server::ended) {
                let log = fs::read_to_string(self.home.path().join("log")).unwrap_or_default();
                panic!("PostgreSQL ended by itself: {status}\n{log}");
            }
            ready.status().expect("pg_isready runs").success().then_some(())
        });
    }

    /// A server of its own that follows this one: from now on a commit counts when both have it.
    pub fn standby(&self) -> Postgres {
        let access = self.home.path().join("data/pg_hba.conf");
        let rules = fs::read_to_string(&access).expect("access rules");
        fs::write(&access, format!("{rules}local replication postgres trust\n")).expect("access rules");
        self.sql("postgres", "SELECT pg_reload_conf()");
        let home = tempfile::Builder::new().prefix("sallyport-pg-").tempdir().expect("a directory for PostgreSQL");
        give_to_server(home.path());
        let (from, port, data) = (text(self.home.path()), self.port.to_string(), text(&home.path().join("data")));
        let copy = ["-h", &from, "-p", &port, "-U", "postgres", "-R", "-X", "stream", "-c", "fast", "-D", &data];
        finish(as_server(&text(&binary("pg_basebackup")), &copy), b"").ok();
        let standby = Postgres { home, port: free_port(), server: Mutex::default(), databases: Mutex::new(0) };
        standby.start_again();
        eventually("the standby follows", Duration::from_secs(30), || {
            (self.sql("postgres", "SELECT state FROM pg_stat_replication").trim() == "streaming").then_some(())
        });
        self.sql("postgres", "ALTER SYSTEM SET synchronous_standby_names = '*'");
        self.sql("postgres", "SELECT pg_reload_conf()");
        eventually("commits wait for the standby", Duration::from_secs(30), || {
            (self.sql("postgres", "SELECT sync_state FROM pg_stat_replication").trim() == "sync").then_some(())
        });
        standby
    }

    /// Ends this server as a crash would and puts its standby in its place: whoever comes to this one's socket finds that.
    pub fn fail_over_to(&self, standby: &Postgres) {
        self.crash();
        standby.sql("postgres", "SELECT pg_promote()");
        let socket = |server: &Postgres| server.home.path().join(format!(".s.PGSQL.{}", server.port));
        // What a crash leaves.
        fs::remove_file(socket(self)).ok();
        std::os::unix::fs::symlink(socket(standby), socket(self)).expect("the socket of the standby");
    }

    fn create(&self) -> String {
        let mut databases = self.databases.lock().unwrap_or_else(PoisonError::into_inner);
        *databases += 1;
        let name = format!("test_{databases}");
        self.sql("postgres", &format!("CREATE DATABASE {name}"));
        name
    }

    fn stop_with(&self, signal: Signal) {
        if let Some(server) = self.server.lock().unwrap_or_else(PoisonError::into_inner).take() {
            server.stop(signal);
        }
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.stop_with(Signal::QUIT);
    }
}

/// The server process. The kernel ends it when the thread that started it ends, however that comes: nothing is left behind by
/// a test that is killed.
struct Server {
    child: Arc<Mutex<Child>>,
    done: Sender<()>,
    thread: JoinHandle<()>,
}

impl Server {
    fn start(home: &Path, port: u16) -> Server {
        let log = File::options().create(true).append(true).open(home.join("log")).expect("a log file");
        let mut command = as_server(
            &text(&binary("postgres")),
            &["-D", &text(&home.join("data")), "-k", &text(home), "-p", &port.to_string()],
        );
        // Tests lose nothing in a power failure.
        for setting in ["listen_addresses=127.0.0.1", "fsync=off", "shared_buffers=16MB", "max_connections=60"] {
            command.args(["-c", setting]);
        }
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("a second handle")).stderr(log);
        let (started, child) = channel();
        let (done, until_done): (Sender<()>, Receiver<()>) = channel();
        let thread = thread::spawn(move || {
            let child = command.spawn().unwrap_or_else(|error| panic!("PostgreSQL does not start: {error}"));
            started.send(child).expect("the test waits for it");
            // Ends when the sender is dropped.
            until_done.recv().unwrap_or_default();
        });
        let child = child.recv().expect("a started PostgreSQL");
        Server { child: Arc::new(Mutex::new(child)), done, thread }
    }

    fn ended(&mut self) -> Option<std::process::ExitStatus> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner).try_wait().expect("a child can be waited for")
    }

    fn stop(self, signal: Signal) {
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        if child.try_wait().expect("a child can be waited for").is_none() {
            let pid = Pid::from_raw(i32::try_from(child.id()).expect("a pid")).expect("a pid");
            kill_process(pid, signal).expect("PostgreSQL takes a signal");
            child.wait().expect("a child can be waited for");
        }
        drop(self.done);
        self.thread.join().expect("the starting thread ends");
    }
}

/// A fresh cluster, made once per target directory.
fn template() -> PathBuf {
    // target/debug/deps/it-… or target/debug/reliability -> target/tmp
    let this = std::env::current_exe().expect("a path of this binary");
    let profile = this.ancestors().skip(1).find(|folder| !folder.ends_with("deps")).expect("a target directory");
    let target = profile.parent().expect("a target directory").join("tmp");
    fs::create_dir_all(&target).expect("a directory for the template");
    let template = target.join("postgres-15");
    let lock = File::create(target.join("postgres-15.lock")).expect("a lock file");
    flock(&lock, FlockOperation::LockExclusive).expect("a lock");
    if !template.join("PG_VERSION").exists() {
        let fresh = tempfile::Builder::new().prefix("sallyport-pg-").tempdir().expect("a directory for initdb");
        give_to_server(fresh.path());
        let data = fresh.path().join("data");
        let arguments = ["--no-sync", "-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C.UTF-8", "-D"];
        let mut initdb = as_server(&text(&binary("initdb")), &arguments);
        initdb.arg(&data);
        finish(initdb, b"").ok();
        let access = "local all postgres trust\nhost all all 127.0.0.1/32 scram-sha-256\n";
        fs::write(data.join("pg_hba.conf"), access).expect("access rules");
        let new = target.join("postgres-15.new");
        if new.exists() {
            fs::remove_dir_all(&new).expect("what a killed run left goes away");
        }
        finish(command("cp", &["-a", &text(&data), &text(&new)]), b"").ok();
        fs::rename(&new, &template).expect("a template in its place");
    }
    template
}

/// Runs as the user of the server: PostgreSQL refuses to run as root.
fn as_server(program: &str, arguments: &[&str]) -> Command {
    let mut all = vec!["--pdeathsig=INT"];
    if rustix::process::geteuid().is_root() {
        all.extend(["--reuid=postgres", "--regid=postgres", "--clear-groups"]);
    }
    all.push(program);
    all.extend(arguments);
    command("setpriv", &all)
}

fn command(program: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).current_dir("/").env("LC_ALL", "C.UTF-8");
    command
}

fn give_to_server(directory: &Path) {
    if rustix::process::geteuid().is_root() {
        finish(command("chown", &["postgres:", &text(directory)]), b"").ok();
    }
}

fn binary(name: &str) -> PathBuf {
    let path = Path::new("/usr/lib/postgresql/15/bin").join(name);
    assert!(
        path.exists(),
        "the tests need PostgreSQL 15 (Debian: apt-get install postgresql-15): no {}",
        path.display()
    );
    path
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("an address").port()
}

fn text(path: &Path) -> String {
    path.to_str().expect("a path in UTF-8").to_owned()
}
