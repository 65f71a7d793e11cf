//! A person in the office with stock OpenSSH, an SSH key and an authenticator app.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use data_encoding::BASE32_NOPAD;
use totp_rs::{Builder, Secret};

use crate::process::{Finished, finish, finish_within};
use crate::terminal::Terminal;
use crate::{Network, Place};

/// How an asset is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `ssh -J broker operator@ews-1`
    Jump,
    /// `ssh alice:operator@ews-1@broker`
    Direct,
}

impl Form {
    /// Both of them.
    pub const BOTH: [Form; 2] = [Form::Jump, Form::Direct];

    /// The host of the person's ssh_config that reaches `asset` in this form.
    pub fn host(self, asset: &str) -> String {
        match self {
            Form::Jump => asset.to_owned(),
            Form::Direct => format!("{asset}.direct"),
        }
    }
}

/// Somebody with a key and, mostly, a second factor.
pub struct Person {
    /// The name of the identity.
    pub name: String,
    folder: PathBuf,
    place: Where,
    /// The seed of the authenticator app, base32.
    seed: Option<String>,
    /// The ssh_config of somebody else's making, if that is used.
    other_config: Option<PathBuf>,
    /// The last time step of which a code was given away: each counts once.
    last_step: Mutex<u64>,
}

/// Where a person's commands run.
#[derive(Clone)]
enum Where {
    Namespace(std::sync::Arc<Network>),
    Here,
}

/// What a client asked its user, prompt by prompt.
pub type Transcript = Vec<String>;

impl Person {
    /// Makes a folder with a key pair; the identity itself is made with the `sallyport` command.
    pub(crate) fn new(folder: &Path, name: &str, network: Option<std::sync::Arc<Network>>) -> Person {
        let own = folder.join(name.replace(':', "-"));
        fs::create_dir_all(&own).expect("a folder for a person");
        if !own.join("key").exists() {
            generate_key(&own.join("key"), name);
        }
        let answer = own.join("answer");
        fs::write(&answer, ANSWER).expect("the script that answers prompts");
        fs::set_permissions(&answer, fs::Permissions::from_mode(0o755)).expect("an executable script");
        let place = network.map_or(Where::Here, Where::Namespace);
        Person { name: name.to_owned(), folder: own, place, seed: None, other_config: None, last_step: Mutex::new(0) }
    }

    /// Somebody of `sallyport demo`: its ssh_config and key, and the seed that it printed.
    pub fn of_the_demo(folder: &Path, name: &str, seed: &str) -> Person {
        let mut person = Person::on_this_machine(&folder.join("test-people"), name);
        person.use_config(&folder.join("ssh_config"));
        person.enrol(seed);
        person
    }

    /// Somebody with a key whose commands run in no namespace.
    pub fn on_this_machine(folder: &Path, name: &str) -> Person {
        Person::new(folder, name, None)
    }

    /// Makes `-F` name an ssh_config of the caller's.
    pub fn use_config(&mut self, path: &Path) {
        self.other_config = Some(path.to_owned());
    }

    /// Gives the person an authenticator app with this base32 seed.
    pub fn enrol(&mut self, seed: &str) {
        self.seed = Some(seed.to_owned());
    }

    /// Writes what `ssh -F` reads: the broker at `address`, and `assets` in both forms.
    pub(crate) fn configure(&self, address: &str, port: u16, known_hosts: &str, assets: &[String]) {
        let folder = self.folder.display();
        let name = &self.name;
        let mut text = format!("Host broker\n    HostName {address}\n    Port {port}\n    User {name}\n");
        for asset in assets {
            text.push_str(&format!(
                "Host {asset}\n    User operator\n    ProxyJump broker\n\
                 Host {asset}.direct\n    HostName {address}\n    Port {port}\n    User {name}:operator@{asset}\n"
            ));
        }
        text.push_str(&format!(
            "Host *\n    IdentityFile {folder}/key\n    IdentitiesOnly yes\n    UserKnownHostsFile {folder}/known_hosts\n    \
             GlobalKnownHostsFile /dev/null\n    StrictHostKeyChecking yes\n    NumberOfPasswordPrompts 1\n    ConnectTimeout 20\n"
        ));
        fs::write(self.config(), text).expect("an ssh_config");
        fs::write(self.folder.join("known_hosts"), known_hosts).expect("a known_hosts");
    }

    /// A folder of their own.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The ssh_config.
    pub fn config(&self) -> PathBuf {
        self.other_config.clone().unwrap_or_else(|| self.folder.join("ssh_config"))
    }

    /// The private key.
    pub fn key(&self) -> PathBuf {
        self.folder.join("key")
    }

    /// The public key, as a line of `authorized_keys`.
    pub fn public_key(&self) -> String {
        fs::read_to_string(self.folder.join("key.pub")).expect("a public key").trim().to_owned()
    }

    /// The time step whose code comes next. Waits when the codes that would count now are used up.
    fn next_step(&self) -> u64 {
        let mut last = self.last_step.lock().expect("the last step");
        let step = loop {
            let step = (seconds() / STEP).max(*last + 1);
            // One step of drift is accepted, but the clock moves on until the code arrives: stay away from the far edge.
            if step <= seconds() / STEP + 1 {
                break step;
            }
            thread::sleep(Duration::from_millis(200));
        };
        *last = step;
        step
    }

    /// Takes the key of another app, in base32, in the place of the one before, and gives that back.
    pub fn with_key(&mut self, key: &str) -> Option<String> {
        *self.last_step.lock().expect("the last step") = 0;
        self.seed.replace(key.to_owned())
    }

    /// The code of the authenticator app for a time.
    pub fn code_at(&self, unix_seconds: u64) -> String {
        let seed = self.seed.as_deref().expect("this person has no second factor");
        let seed = BASE32_NOPAD.decode(seed.as_bytes()).expect("a base32 seed");
        let seed: [u8; 20] = seed.try_into().expect("a seed of 160 bits");
        let totp = Builder::new().with_secret(Secret::new_stack(seed)).build_noncompliant();
        totp.generate(unix_seconds).to_string()
    }

    /// A code that has not been used and counts now.
    pub fn fresh_code(&self) -> String {
        self.code_at(self.next_step() * STEP)
    }

    /// A stock client, in the office, that answers prompts with `answers` in order and then with nothing.
    pub fn command_answering(&self, program: &str, answers: &[String]) -> Command {
        let mut command = match &self.place {
            Where::Namespace(network) => network.command(Place::Office, program),
            Where::Here => {
                let mut command = Command::new("setpriv");
                command.args(["--pdeathsig", "KILL", "--", program]);
                command
            }
        };
        let asked = tempfile::Builder::new().prefix("asked-").tempdir_in(&self.folder).expect("a folder").keep();
        fs::write(asked.join("answers"), answers.join("\n") + "\n").expect("the answers");
        command
            .env("SSH_ASKPASS", self.folder.join("answer"))
            .env("SSH_ASKPASS_REQUIRE", "force")
            .env("ANSWERS", asked)
            .env("HOME", &self.folder)
            .env_remove("SSH_AUTH_SOCK")
            .env("GIT_SSH_COMMAND", format!("ssh -F {}", self.config().display()))
            .env("LC_ALL", "C.UTF-8");
        command
    }

    /// A stock client that answers the one prompt it should get with a fresh code (nothing, without an authenticator).
    pub fn command(&self, program: &str) -> Command {
        let answers: Vec<_> = self.seed.iter().map(|_| self.fresh_code()).collect();
        self.command_answering(program, &answers)
    }

    /// A client under the lease that an earlier login got: it gets no answer to any prompt.
    pub fn leased(&self, program: &str) -> Command {
        self.command_answering(program, &[])
    }

    /// `ssh` with this ssh_config and these arguments, and a fresh code.
    pub fn ssh<S: AsRef<std::ffi::OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Finished {
        let mut command = self.command("ssh");
        command.arg("-F").arg(self.config()).args(arguments);
        finish(command, b"")
    }

    /// `ssh` with this ssh_config and these arguments, under a lease.
    pub fn leased_ssh<S: AsRef<std::ffi::OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Finished {
        self.leased_ssh_with(b"", arguments)
    }

    /// `ssh` under a lease, with this input.
    pub fn leased_ssh_with<S: AsRef<std::ffi::OsStr>>(
        &self,
        input: &[u8],
        arguments: impl IntoIterator<Item = S>,
    ) -> Finished {
        let mut command = self.leased("ssh");
        command.arg("-F").arg(self.config()).args(arguments);
        finish_within(Duration::from_secs(120), command, input)
    }

    /// `program -F ssh_config arguments` under a lease: for `scp` and `sftp`.
    pub fn leased_tool(&self, program: &str, arguments: &[&str], input: &[u8]) -> Finished {
        let mut command = self.leased(program);
        command.arg("-F").arg(self.config()).args(arguments);
        finish_within(Duration::from_secs(240), command, input)
    }

    /// Logs in once with a code, so that the lease covers what follows.
    #[track_caller]
    pub fn take_lease(&self, asset: &str) {
        self.ssh([asset, "true"]).ok();
    }

    /// `ssh` on a terminal, under a lease.
    pub fn terminal(&self, arguments: &[&str], columns: u16, rows: u16) -> Terminal {
        let mut command = self.leased("ssh");
        command.arg("-F").arg(self.config()).args(arguments).env("TERM", "xterm-256color");
        Terminal::start(&command, columns, rows)
    }

    /// What the client that was started with this command asked.
    pub fn prompts(command: &Command) -> Transcript {
        let folder = command.get_envs().find(|(name, _)| *name == "ANSWERS").and_then(|(_, value)| value);
        let asked = Path::new(folder.expect("a command of a person")).join("asked");
        fs::read_to_string(asked).unwrap_or_default().lines().map(str::to_owned).collect()
    }
}

/// Makes an Ed25519 key pair without a passphrase.
pub(crate) fn generate_key(path: &Path, comment: &str) {
    let mut command = Command::new("ssh-keygen");
    command.args(["-q", "-t", "ed25519", "-N", "", "-C", comment, "-f"]).arg(path);
    finish(command, b"").ok();
}

fn seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970").as_secs()
}

const STEP: u64 = 30;

/// What OpenSSH runs to ask its user: keeps the prompt, gives the next answer, fails when there is none left.
const ANSWER: &str = r#"#!/bin/sh
printf '%s\n' "$1" >>"$ANSWERS/asked"
exec 9<"$ANSWERS/answers"
flock 9
answer=$(sed -n 1p "$ANSWERS/answers")
sed -i --follow-symlinks 1d "$ANSWERS/answers" 2>/dev/null
[ -n "$answer" ] || exit 1
printf '%s\n' "$answer"
"#;
