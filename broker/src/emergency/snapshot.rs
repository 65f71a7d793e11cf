//! The snapshot: what is kept, on local disk, sealed under the master key and signed with the evidence key.
//!
//! The file is [`MAGIC`], the signature (64 bytes), and the sealed JSON of [`Kept`]. The signature is Ed25519 over [`SIGNED`] and the
//! SHA-256 of what is sealed: that it is a broker's can be checked without opening it.

use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use aws_lc_rs::digest;
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};

use super::kept::Kept;
use crate::vault::{SealError, Secret, Vault, VaultError};

/// Why there is no snapshot, or none that is believed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SnapshotError {
    /// The file cannot be read or written.
    #[error("the snapshot `{path}` cannot be used: {error}")]
    File {
        /// Where.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// It is not as a broker wrote it.
    #[error("the snapshot `{path}` is not as a broker wrote it: {fault}")]
    Damaged {
        /// Where.
        path: PathBuf,
        /// What is wrong.
        fault: String,
    },
    /// It does not open.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// It cannot be sealed.
    #[error(transparent)]
    Vault(#[from] VaultError),
}

/// Writes what is kept in place of what was: whole, or not at all.
pub(super) fn write(path: &Path, kept: &Kept, vault: &Vault, key: &SigningKey) -> Result<(), SnapshotError> {
    let damaged = |error: serde_json::Error| SnapshotError::Damaged { path: path.to_owned(), fault: error.to_string() };
    let plain = Secret::new(serde_json::to_vec(kept).map_err(damaged)?);
    let sealed = vault.seal_snapshot(&plain, &kept.secrets())?;
    let signature = key.sign(&signed(&sealed));
    let failed = |error| SnapshotError::File { path: path.to_owned(), error };
    let beside = path.with_extension("new");
    let written = (|| {
        let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
        file.write_all(MAGIC)?;
        file.write_all(&signature.to_bytes())?;
        file.write_all(&sealed)?;
        file.sync_all()?;
        std::fs::rename(&beside, path)?;
        std::fs::File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
    })();
    written.map_err(failed)
}

/// Reads what is kept, with what opens it. Whoever opened it knows the evidence key: [`Kept`] holds it, sealed.
///
/// # Errors
/// Whatever it is, nothing of it is believed.
pub(crate) fn read(
    path: &Path,
    open: impl FnOnce(&[u8]) -> Result<Secret<Vec<u8>>, SealError>,
    key: impl FnOnce(&Kept) -> Option<VerifyingKey>,
) -> Result<Kept, SnapshotError> {
    let damaged = |fault: &str| SnapshotError::Damaged { path: path.to_owned(), fault: fault.to_owned() };
    let bytes = read_bounded(path).map_err(|error| SnapshotError::File { path: path.to_owned(), error })?;
    let body = bytes.strip_prefix(MAGIC).ok_or_else(|| damaged("it does not begin as one"))?;
    let (signature, sealed) = body.split_at_checked(SIGNATURE_LEN).ok_or_else(|| damaged("it is cut off"))?;
    let signature = Signature::from_slice(signature).map_err(|error| damaged(&error.to_string()))?;
    let plain = open(sealed)?;
    let kept: Kept = serde_json::from_slice(plain.expose()).map_err(|error| damaged(&error.to_string()))?;
    let key = key(&kept).ok_or_else(|| damaged("it holds no evidence key"))?;
    key.verify_strict(&signed(sealed), &signature).map_err(|_| damaged("its signature is not of the evidence key"))?;
    Ok(kept)
}

fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(LARGEST + 1).read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > LARGEST {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is larger than any snapshot"));
    }
    Ok(bytes)
}

fn signed(sealed: &[u8]) -> Vec<u8> {
    let mut text = SIGNED.to_vec();
    text.extend_from_slice(digest::digest(&digest::SHA256, sealed).as_ref());
    text
}

const MAGIC: &[u8] = b"sallyport snapshot 1\n";
/// What stands before the hash in the text that is signed.
const SIGNED: &[u8] = b"sallyport snapshot v1 ";
const SIGNATURE_LEN: usize = 64;
/// A plant of many files, and all its accounts.
const LARGEST: u64 = 64 * 1024 * 1024;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    use jiff::Timestamp;

    use super::*;
    use crate::store::{DatabaseConfig, Store};
    use crate::vault::{MasterKey, evidence_key_of, open_snapshot};

    fn reread(path: &Path, master: &MasterKey) -> Result<Kept, SnapshotError> {
        read(path, |sealed| open_snapshot(master, sealed), |kept| evidence_key_of(&kept.secrets(), master))
    }

    #[tokio::test]
    async fn a_snapshot_is_read_as_it_was_written_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("gate.db").display());
        let store = Store::open(&DatabaseConfig::url(url)).await.unwrap();
        let master = MasterKey::create(&folder.path().join("master.key")).unwrap();
        let other = MasterKey::create(&folder.path().join("other.key")).unwrap();
        let (vault, _) = Vault::init(store.clone(), &master, Timestamp::now()).await.unwrap();
        let kept = Kept::read(&store, Timestamp::now()).await.unwrap();
        let (path, key) = (folder.path().join("snapshot"), vault.evidence_key().unwrap());
        write(&path, &kept, &vault, &key).unwrap();
        assert_eq!(reread(&path, &master).unwrap(), kept);
        assert!(matches!(reread(&path, &other), Err(SnapshotError::Seal(_))));
        let whole = std::fs::read(&path).unwrap();
        assert_eq!(
            std::fs::metadata(&path)
                .map(|file| std::os::unix::fs::PermissionsExt::mode(&file.permissions()) & 0o777)
                .unwrap(),
            0o600
        );
        for at in (0..whole.len()).step_by(61) {
            let mut flipped = whole.clone();
            flipped[at] ^= 1;
            std::fs::write(&path, &flipped).unwrap();
            assert!(reread(&path, &master).is_err(), "byte {at}");
            std::fs::write(&path, &whole[..at]).unwrap();
            assert!(reread(&path, &master).is_err(), "cut at {at}");
        }
        // Sealed rightly, and signed by somebody else.
        write(&path, &kept, &vault, &SigningKey::from_bytes(&[7; 32])).unwrap();
        assert!(matches!(reread(&path, &master), Err(SnapshotError::Damaged { .. })));
    }
}
