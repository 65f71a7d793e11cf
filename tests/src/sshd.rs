//! A real OpenSSH sshd, with accounts of its own that exist only inside its mount namespace.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Signal;

use crate::process::{Running, eventually};
use crate::{Network, Place};

/// The accounts that every [`Sshd`] knows, and how each is entered.
pub struct Accounts;

impl Accounts {
    /// Entered with a certificate of the broker's user CA.
    pub const OPERATOR: &str = "operator";
    /// Entered with [`Accounts::PASSWORD`].
    pub const KEEPER: &str = "keeper";
    /// Entered with the key that [`Sshd::account_key`] names.
    pub const FITTER: &str = "fitter";
    /// The password of `keeper`.
    pub const PASSWORD: &str = "valve-17-open";
    /// What `openssl passwd -6` makes of it.
    const PASSWORD_HASH: &str =
        "$6$N1Y9BsqvsH40o3cN$/L.m6uZ3Qkkvwexf3jmuZVq8jUmmDexm8v8Sf..u41KpNsaP82VnmPXp3jhSkOBlcRzzDBj4OA769cCDy68xB1";
    const FIRST_ID: u32 = 42_420;
    const ALL: [&str; 3] = [Self::OPERATOR, Self::KEEPER, Self::FITTER];
}

/// Before it stand the lines that a test has added.
const ALSO: &str = "# also\n";

/// A running sshd.
pub struct Sshd {
    folder: PathBuf,
    process: Running,
}

impl Sshd {
    /// Writes host keys and accounts below `folder` and starts sshd in the plant, on port 22 of every asset's address.
    ///
    /// `user_ca` is the public key whose certificates it trusts.
    pub fn start(network: &Network, folder: &Path, user_ca: &str) -> Sshd {
        Self::prepare(folder, user_ca);
        Self::serve(network.command(Place::Plant, "sh"), folder, "0.0.0.0", 22)
    }

    /// The same on an address and port of the caller's choice, the command being how a shell is started there.
    pub fn start_at(shell: std::process::Command, folder: &Path, user_ca: &str, address: &str, port: u16) -> Sshd {
        Self::prepare(folder, user_ca);
        Self::serve(shell, folder, address, port)
    }

    /// Makes the host key and accounts without starting anything, for a plant file that must name the key first.
    pub fn host_key(folder: &Path) -> String {
        let key = folder.join("host_key");
        if !key.exists() {
            fs::create_dir_all(folder).expect("a folder for sshd");
            crate::person::generate_key(&key, "plant");
        }
        let line = fs::read_to_string(key.with_extension("pub")).expect("a public key");
        line.split_whitespace().take(2).collect::<Vec<_>>().join(" ")
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// The private key that opens the account `fitter`.
    pub fn account_key(folder: &Path) -> PathBuf {
        folder.join("fitter_key")
    }

    /// What it logged.
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// Serves by these lines of its configuration too, from the next connection on.
    pub fn also(&self, lines: &str) {
        let served = |log: String| log.matches("Server listening").count();
        let before = served(self.log());
        let path = self.folder.join("sshd_config");
        let config = fs::read_to_string(&path).expect("a configuration for sshd");
        let ours = config.rsplit(ALSO).next().unwrap_or_default();
        // Of two lines the first counts.
        fs::write(&path, format!("{lines}\n{ALSO}{ours}")).expect("a configuration for sshd");
        self.process.signal(Signal::HUP);
        eventually("sshd serves by the new lines", Duration::from_secs(10), || {
            (served(self.log()) > before).then_some(())
        });
    }

    /// The home of an account.
    pub fn home(&self, account: &str) -> PathBuf {
        self.folder.join("home").join(account)
    }

    /// Puts a file into the home of `operator`.
    pub fn put(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.home(Accounts::OPERATOR).join(name);
        fs::write(&path, content).expect("a file on the asset");
        chown(&path, Some(Accounts::FIRST_ID), Some(Accounts::FIRST_ID)).expect("giving it to operator");
        path
    }

    fn prepare(folder: &Path, user_ca: &str) {
        Self::host_key(folder);
        let write = |name: &str, text: &str| fs::write(folder.join(name), text).expect("a file for sshd");
        // Laid over /etc as a whole: over a single file it would vanish when the machine's own is replaced.
        fs::create_dir_all(folder.join("etc")).expect("a folder for accounts");
        let mut passwd = without_our_accounts("/etc/passwd");
        let mut group = without_our_accounts("/etc/group");
        let mut shadow = without_our_accounts("/etc/shadow");
        if !passwd.contains("\nsshd:") {
            passwd.push_str("sshd:x:42419:65534::/run/sshd:/usr/sbin/nologin\n");
        }
        for (id, name) in (Accounts::FIRST_ID..).zip(Accounts::ALL) {
            let home = folder.join("home").join(name);
            fs::create_dir_all(&home).expect("a home");
            chown(&home, Some(id), Some(id)).expect("giving a home to its account");
            writeln!(passwd, "{name}:x:{id}:{id}::{}:/bin/bash", home.display()).expect("a line");
            writeln!(group, "{name}:x:{id}:").expect("a line");
            let hash = if name == Accounts::KEEPER { Accounts::PASSWORD_HASH } else { "*" };
            writeln!(shadow, "{name}:{hash}:19000:0:99999:7:::").expect("a line");
        }
        let key = Self::account_key(folder);
        if !key.exists() {
            crate::person::generate_key(&key, "fitter");
        }
        let authorized = folder.join("authorized_keys");
        fs::create_dir_all(&authorized).expect("a folder");
        fs::copy(key.with_extension("pub"), authorized.join(Accounts::FITTER)).expect("an authorized key");
        write("etc/passwd", &passwd);
        write("etc/group", &group);
        write("etc/shadow", &shadow);
        write("user_ca.pub", user_ca);
        // Every account must be able to reach its home through these.
        for path in folder.ancestors().take_while(|path| *path != Path::new("/tmp")) {
            if path.starts_with("/tmp") {
                fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("an open folder");
            }
        }
    }

    fn serve(mut shell: std::process::Command, folder: &Path, address: &str, port: u16) -> Sshd {
        let at = folder.display();
        let config = format!(
            "ListenAddress {address}:{port}
HostKey {at}/host_key
TrustedUserCAKeys {at}/user_ca.pub
AuthorizedKeysFile {at}/authorized_keys/%u
PasswordAuthentication yes
KbdInteractiveAuthentication no
UsePAM no
StrictModes no
PermitRootLogin no
PidFile none
LogLevel VERBOSE
UseDNS no
PrintMotd no
PrintLastLog no
AcceptEnv LANG LC_* SITE_*
Subsystem sftp internal-sftp
MaxStartups 2000
MaxSessions 2000
AllowAgentForwarding yes
AllowTcpForwarding yes
X11Forwarding yes
"
        );
        fs::write(folder.join("sshd_config"), config).expect("a configuration for sshd");
        let start = format!(
            "mount -t overlay overlay -o ro,lowerdir={at}/etc:/etc /etc && mkdir -p /run/sshd && \
             exec /usr/sbin/sshd -D -e -f {at}/sshd_config"
        );
        shell.args(["-c", &start]);
        let mut process = Running::start("sshd", shell, &folder.join("sshd.log"));
        eventually("sshd listens", Duration::from_secs(10), || {
            assert!(process.ended().is_none(), "sshd ended: {}", process.log());
            process.log().contains("Server listening").then_some(())
        });
        Sshd { folder: folder.to_owned(), process }
    }
}

/// A table of the machine's accounts, without any that happen to have the names of ours.
fn without_our_accounts(path: &str) -> String {
    let table = fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let ours = |line: &&str| Accounts::ALL.iter().any(|name| line.split(':').next() == Some(name));
    table.lines().filter(|line| !ours(line)).map(|line| format!("{line}\n")).collect()
}
