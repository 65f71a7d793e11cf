//! The master key: 32 bytes outside the database, without which nothing that is sealed in it can be read.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use data_encoding::{BASE64, HEXLOWER_PERMISSIVE};
use zeroize::Zeroize;

use super::row_mac::RowMac;
use super::seal::{KeyId, Sealer};
use super::sealed::{SealedCredential, SealedError};
use super::secret::Secret;

/// Where the master key is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MasterKeySource {
    /// A text file that nobody but the broker's user can read.
    File(PathBuf),
    /// A credential that systemd hands to the service; for root's commands it is opened where it is kept.
    Credential(Box<SealedCredential>),
}

/// The key that seals every secret in the database.
pub struct MasterKey {
    bytes: Secret<[u8; 32]>,
    source: MasterKeySource,
}

/// What is wrong with the master key, and what mends it.
#[derive(Debug, thiserror::Error)]
pub enum MasterKeyError {
    /// There is none.
    #[error(
        "no master key at `{path}`: `sallyport init` makes one for a new installation; an existing installation needs its own key back"
    )]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// Others can read or change it.
    #[error("`{path}` is open to others (mode {mode:03o}): run `chmod 600 {path}`")]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Its content is not a key.
    #[error("`{path}` does not hold a master key: expected 32 bytes as base64 or hex text")]
    Malformed {
        /// The file.
        path: PathBuf,
    },
    /// There is one already where a new one should go.
    #[error("there is a master key at `{path}` already; it is not replaced")]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The credential is sealed, and cannot be opened here.
    #[error("the master key is sealed: {0}")]
    Sealed(Box<SealedError>),
    /// The file system refused.
    #[error("cannot use the master key at `{path}`: {error}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
}

impl MasterKeySource {
    /// The file that holds the key.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        match self {
            Self::File(path) => path.clone(),
            Self::Credential(credential) => match credentials_directory() {
                Some(directory) => credential.in_directory(&directory),
                None => credential.sealed.clone(),
            },
        }
    }
}

impl MasterKey {
    /// Reads the key from where it is kept.
    pub fn load(source: &MasterKeySource) -> Result<Self, MasterKeyError> {
        let bytes = match source {
            MasterKeySource::File(path) => read(path, true)?,
            MasterKeySource::Credential(credential) => match credentials_directory() {
                // systemd keeps credentials in a directory of the service's own; their mode is its business.
                Some(directory) => read(&credential.in_directory(&directory), false)?,
                None => opened(credential)?,
            },
        };
        Ok(Self { bytes, source: source.clone() })
    }

    /// Makes a new key and writes it to `path`, which must not exist, for the owner's eyes only. It is on disk when this returns.
    pub fn create(path: &Path) -> Result<Self, MasterKeyError> {
        let mut bytes = [0_u8; 32];
        rand::fill(&mut bytes);
        let key = Self { bytes: Secret::new(bytes), source: MasterKeySource::File(path.to_owned()) };
        bytes.zeroize();
        write_new(path, &key).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => MasterKeyError::Exists { path: path.to_owned() },
            _ => MasterKeyError::Io { path: path.to_owned(), error },
        })?;
        Ok(key)
    }

    /// Seals this key to the machine, as what `credential` names.
    pub fn seal_to_machine(&self, credential: &SealedCredential) -> Result<(), SealedError> {
        credential.seal(Secret::new(BASE64.encode(self.bytes.expose())).expose().as_bytes())
    }

    /// Where it came from.
    #[must_use]
    pub fn source(&self) -> &MasterKeySource {
        &self.source
    }

    /// The key's name, which tells nothing about it.
    pub fn id(&self) -> Result<KeyId, aws_lc_rs::error::Unspecified> {
        Ok(self.sealer()?.id())
    }

    pub(super) fn row_mac(&self) -> Result<RowMac, aws_lc_rs::error::Unspecified> {
        RowMac::new(self.bytes.expose())
    }

    pub(super) fn sealer(&self) -> Result<Sealer, aws_lc_rs::error::Unspecified> {
        Sealer::new(self.bytes.expose())
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "MasterKey(… from {})", self.source)
    }
}

impl fmt::Display for MasterKeySource {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(formatter, "file `{}`", path.display()),
            Self::Credential(credential) => write!(formatter, "credential `{}`", credential.name),
        }
    }
}

/// Where systemd puts the credentials of the service that this is.
fn credentials_directory() -> Option<PathBuf> {
    std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from)
}

fn opened(credential: &SealedCredential) -> Result<Secret<[u8; 32]>, MasterKeyError> {
    let text = credential.open().map_err(|error| MasterKeyError::Sealed(Box::new(error)))?;
    decode(text.expose()).ok_or_else(|| MasterKeyError::Malformed { path: credential.sealed.clone() })
}

fn read(path: &Path, check_mode: bool) -> Result<Secret<[u8; 32]>, MasterKeyError> {
    let io_error = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => MasterKeyError::Missing { path: path.to_owned() },
        _ => MasterKeyError::Io { path: path.to_owned(), error },
    };
    let file = File::open(path).map_err(io_error)?;
    let mode = file.metadata().map_err(io_error)?.mode() & 0o7777;
    if check_mode && mode & 0o077 != 0 {
        return Err(MasterKeyError::Exposed { path: path.to_owned(), mode });
    }
    let mut text = Secret::new(Vec::with_capacity(LONGEST_FILE));
    file.take(LONGEST_FILE as u64).read_to_end(text.expose_mut()).map_err(io_error)?;
    decode(text.expose()).ok_or_else(|| MasterKeyError::Malformed { path: path.to_owned() })
}

fn decode(text: &[u8]) -> Option<Secret<[u8; 32]>> {
    let text = text.trim_ascii();
    let decoded = Secret::new(match text.len() {
        HEX_LEN => HEXLOWER_PERMISSIVE.decode(text).ok()?,
        BASE64_LEN => BASE64.decode(text).ok()?,
        _ => return None,
    });
    let bytes: [u8; 32] = decoded.expose().as_slice().try_into().ok()?;
    Some(Secret::new(bytes))
}

fn write_new(path: &Path, key: &MasterKey) -> io::Result<()> {
    let mut text = Secret::new(BASE64.encode(key.bytes.expose()));
    text.expose_mut().push('\n');
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.expose().as_bytes())?;
    file.sync_all()?;
    sync_directory(path)
}

/// Makes a created or renamed name durable.
pub(super) fn sync_directory(path: &Path) -> io::Result<()> {
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    File::open(parent)?.sync_all()
}

const HEX_LEN: usize = 64;
const BASE64_LEN: usize = 44;
const LONGEST_FILE: usize = 256;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn file(content: &str, mode: u32) -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("master.key");
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        (directory, path)
    }

    #[test]
    fn a_created_key_loads_again_and_nobody_else_can_read_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("master.key");
        let created = MasterKey::create(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        let loaded = MasterKey::load(&MasterKeySource::File(path.clone())).unwrap();
        assert_eq!(created.id().unwrap(), loaded.id().unwrap());
        assert!(matches!(MasterKey::create(&path), Err(MasterKeyError::Exists { .. })));
        assert_eq!(loaded.id().unwrap(), MasterKey::load(loaded.source()).unwrap().id().unwrap(), "left alone");
    }

    #[test]
    fn hex_and_base64_name_the_same_key() {
        let (_one, hex) = file(&"0a".repeat(32), 0o600);
        let (_two, base64) = file(&format!("{}\n", BASE64.encode(&[10; 32])), 0o400);
        let id = |path: PathBuf| MasterKey::load(&MasterKeySource::File(path)).unwrap().id().unwrap();
        assert_eq!(id(hex), id(base64));
    }

    #[test]
    fn each_fault_says_what_mends_it() {
        let load = |path: &Path| MasterKey::load(&MasterKeySource::File(path.to_owned())).unwrap_err().to_string();
        let (_directory, path) = file("AAAA", 0o600);
        assert!(load(&path).contains("expected 32 bytes as base64 or hex"));
        let (_directory, path) = file(&"0a".repeat(32), 0o640);
        assert!(load(&path).contains("(mode 640): run `chmod 600"));
        let absent = path.with_file_name("absent");
        assert!(load(&absent).contains("`sallyport init`"));
    }

    /// What stands in for systemd's program: it keeps what it seals as it is, under its name.
    fn credential(directory: &Path, program: &str) -> SealedCredential {
        let path = directory.join("systemd-creds");
        fs::write(&path, format!("#!/bin/sh\n{program}")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        SealedCredential { name: "master-key".to_owned(), sealed: directory.join("master-key.cred"), program: path }
    }

    #[test]
    fn a_sealed_key_is_opened_through_a_pipe() {
        let directory = tempfile::tempdir().unwrap();
        let program = "[ \"$2\" = --name=master-key ] || exit 9\ncase $1 in encrypt) exec /bin/cat >\"$4\";; decrypt) exec /bin/cat \"$3\";; esac\n";
        let credential = credential(directory.path(), program);
        let source = MasterKeySource::Credential(Box::new(credential.clone()));
        let missing = MasterKey::load(&source).unwrap_err().to_string();
        assert!(missing.contains("systemd-creds encrypt --name=master-key MASTER.KEY"), "{missing}");
        let key = MasterKey::create(&directory.path().join("master.key")).unwrap();
        key.seal_to_machine(&credential).unwrap();
        assert_eq!(MasterKey::load(&source).unwrap().id().unwrap(), key.id().unwrap());
        fs::write(&credential.sealed, "no key").unwrap();
        assert!(matches!(MasterKey::load(&source), Err(MasterKeyError::Malformed { .. })));
        fs::set_permissions(&credential.program, fs::Permissions::from_mode(0o775)).unwrap();
        assert!(MasterKey::load(&source).unwrap_err().to_string().contains("chmod go-w"));
    }

    #[test]
    fn a_key_that_cannot_be_opened_says_what_to_type() {
        let directory = tempfile::tempdir().unwrap();
        let mut refusing = credential(directory.path(), "echo 'no TPM here' >&2\nexit 3\n");
        fs::write(&refusing.sealed, "sealed").unwrap();
        let source = |credential: &SealedCredential| MasterKeySource::Credential(Box::new(credential.clone()));
        let said = MasterKey::load(&source(&refusing)).unwrap_err().to_string();
        assert!(said.contains("no TPM here") && said.contains("`sudo`"), "{said}");
        refusing.program = directory.path().join("absent");
        let said = MasterKey::load(&source(&refusing)).unwrap_err().to_string();
        assert!(said.contains("CREDENTIALS_DIRECTORY=FOLDER"), "{said}");
    }

    #[test]
    fn the_key_does_not_show_itself() {
        let (_directory, path) = file(&"0a".repeat(32), 0o600);
        let key = MasterKey::load(&MasterKeySource::File(path)).unwrap();
        assert!(!format!("{key:?}").contains("0a0a") && !format!("{key:?}").contains("10, 10"));
    }
}
