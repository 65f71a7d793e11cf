//! A credential that systemd keeps sealed to the machine: the service gets it opened; root opens it by `systemd-creds`.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use super::secret::Secret;

/// Where a sealed credential is, and what opens it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedCredential {
    /// Its name: the one in the unit's `LoadCredentialEncrypted=`, and the one it was sealed under.
    pub name: String,
    /// The sealed file.
    pub sealed: PathBuf,
    /// systemd's program, by its absolute path: no search path is believed for what root runs.
    pub program: PathBuf,
}

/// Why a credential could not be sealed or opened, and what to type.
#[derive(Debug, thiserror::Error)]
pub enum SealedError {
    /// There is nothing to open.
    #[error(
        "there is no sealed credential at `{sealed}`: seal the master key as root with \
         `systemd-creds encrypt --name={name} MASTER.KEY {sealed}`"
    )]
    Missing {
        /// The credential.
        name: String,
        /// Where it was looked for.
        sealed: PathBuf,
    },
    /// Others than its owner could exchange what root runs.
    #[error("`{program}` can be changed by others, so it is not run: `chmod go-w {program}`")]
    Exposed {
        /// The program.
        program: PathBuf,
    },
    /// The program does not start.
    #[error(
        "`{program}` does not start: {error}; it comes with systemd 250 or later. Elsewhere, put the key into a folder that \
         only you can read and type `CREDENTIALS_DIRECTORY=FOLDER sallyport …`"
    )]
    Program {
        /// The program.
        program: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The program refused.
    #[error(
        "`{program}` did not {act} `{sealed}` ({status}){said}; it is for root alone: put `sudo` before the command"
    )]
    Refused {
        /// The program.
        program: PathBuf,
        /// What it was to do.
        act: &'static str,
        /// The sealed file.
        sealed: PathBuf,
        /// How it ended.
        status: ExitStatus,
        /// Its own words.
        said: String,
    },
}

impl SealedCredential {
    /// The file in which systemd hands this credential to its service, within `directory`.
    #[must_use]
    pub fn in_directory(&self, directory: &Path) -> PathBuf {
        directory.join(&self.name)
    }

    /// What is sealed. It comes through a pipe: it is in no file and in no argument.
    pub fn open(&self) -> Result<Secret<Vec<u8>>, SealedError> {
        if !self.sealed.exists() {
            return Err(SealedError::Missing { name: self.name.clone(), sealed: self.sealed.clone() });
        }
        let mut child =
            self.start("decrypt", &[self.sealed.as_path(), Path::new("-")], Stdio::null(), Stdio::piped())?;
        let mut opened = Secret::new(Vec::with_capacity(LONGEST));
        if let Some(out) = child.stdout.take() {
            out.take(LONGEST as u64).read_to_end(opened.expose_mut()).map_err(|error| self.program_failed(error))?;
        }
        self.finish(child, "open")?;
        Ok(opened)
    }

    /// Seals `plain` to this machine.
    pub fn seal(&self, plain: &[u8]) -> Result<(), SealedError> {
        let mut child =
            self.start("encrypt", &[Path::new("-"), self.sealed.as_path()], Stdio::piped(), Stdio::null())?;
        // A program that ends before it has read says why by its status.
        let written = child.stdin.take().map_or(Ok(()), |mut input| input.write_all(plain));
        self.finish(child, "seal")?;
        written.map_err(|error| self.program_failed(error))
    }

    fn start(&self, act: &str, paths: &[&Path; 2], input: Stdio, output: Stdio) -> Result<Child, SealedError> {
        use std::os::unix::fs::PermissionsExt as _;
        let metadata = std::fs::metadata(&self.program).map_err(|error| self.program_failed(error))?;
        if metadata.permissions().mode() & 0o022 != 0 {
            return Err(SealedError::Exposed { program: self.program.clone() });
        }
        Command::new(&self.program)
            .arg(act)
            .arg(format!("--name={}", self.name))
            .args(paths)
            .env_clear()
            .env("SYSTEMD_LOG_LEVEL", "err")
            .stdin(input)
            .stdout(output)
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| self.program_failed(error))
    }

    fn finish(&self, mut child: Child, act: &'static str) -> Result<(), SealedError> {
        let mut said = Vec::new();
        if let Some(errors) = child.stderr.take() {
            errors.take(LONGEST as u64).read_to_end(&mut said).map_err(|error| self.program_failed(error))?;
        }
        let status = child.wait().map_err(|error| self.program_failed(error))?;
        if status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&said).split_whitespace().collect::<Vec<_>>().join(" ");
        let said = if said.is_empty() { said } else { format!(": {said}") };
        let (program, sealed) = (self.program.clone(), self.sealed.clone());
        Err(SealedError::Refused { program, act, sealed, status, said })
    }

    fn program_failed(&self, error: io::Error) -> SealedError {
        SealedError::Program { program: self.program.clone(), error }
    }
}

/// More than a key or a complaint needs.
const LONGEST: usize = 512;
