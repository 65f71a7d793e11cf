//! Changing the master key, so that a crash at any point leaves a store that one of two files opens.
//!
//! ```text
//! 1. KEY.new is made and on disk         the store is under KEY:     KEY opens it; rekey again goes on with KEY.new
//! 2. one transaction seals all anew,     the store is under KEY.new: KEY does not; the refusal says to run rekey again
//! 3. KEY is kept as KEY.<its id>,        the store is under KEY:     done
//!    KEY.new becomes KEY
//! ```
//!
//! The old key stays: backups of the database from before need it. A running broker reads the new key by itself when it meets
//! the first value that is under it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::master_key::sync_directory;
use super::seal::{Cell, SealError, Sealer};
use super::{MasterKey, MasterKeyError, MasterKeySource, RowMac, VaultError, beside, check_key};
use crate::audit::{Audit, AuditError, AuditEvent};
use crate::store::Store;
use crate::store::secrets::{ResealError, SealedCell};

/// What changing the master key did.
#[derive(Debug, PartialEq, Eq)]
pub struct Rekeyed {
    /// How many sealed values are now under the new key. None, if only an interrupted change was finished.
    pub values: usize,
    /// Where the new key is.
    pub key: PathBuf,
    /// Where the old key is, for backups from before.
    pub previous: Option<PathBuf>,
}

/// Why the master key was not changed.
#[derive(Debug, thiserror::Error)]
pub enum RekeyError {
    /// The vault or a key.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// A credential's file is systemd's: only its owner can replace it.
    #[error("the master key is {0}, which sallyport cannot replace: name a file for the new key with `--to FILE`")]
    Credential(MasterKeySource),
    /// Nothing would change.
    #[error("{0} holds the master key that is in use: name another file, or a file that does not exist")]
    SameKey(MasterKeySource),
    /// The change could not be put on record, so it was not made.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// Files could not be renamed. Everything is sealed under the new key already.
    #[error(
        "the database is under the new master key in `{new}`, but that could not be renamed to `{key}`: {error}; run `sallyport secrets rekey` again, or rename it by hand"
    )]
    Rename {
        /// Where the new key is.
        new: PathBuf,
        /// Where it should be.
        key: PathBuf,
        /// What the system said.
        error: io::Error,
    },
}

/// Seals everything under a new master key. `to` is the file for the new key where the old one is not a file. The audit
/// event is part of the transaction.
pub async fn rekey(
    store: &Store,
    audit: &Audit,
    source: &MasterKeySource,
    to: Option<&Path>,
) -> Result<Rekeyed, RekeyError> {
    let old = load(source)?;
    match (source, to) {
        (_, Some(to)) => {
            let values = reseal(store, audit, &old, &new_key(to)?).await?;
            Ok(Rekeyed { values, key: to.to_owned(), previous: None })
        }
        (MasterKeySource::File(path), None) => {
            let new = beside(path, NEW);
            let values = reseal(store, audit, &old, &new_key(&new)?).await?;
            replace(path, &new, values)
        }
        (MasterKeySource::Credential(_), None) => Err(RekeyError::Credential(source.clone())),
    }
}

/// Finishes a change of the master key that was interrupted after the transaction. Nothing, if there was none. Needs no
/// vault: that does not open before this.
pub async fn finish_rekey(store: &Store, source: &MasterKeySource) -> Result<Option<Rekeyed>, RekeyError> {
    let MasterKeySource::File(path) = source else { return Ok(None) };
    let under = store.secrets().await.map_err(VaultError::from)?.into_iter().find(|row| row.name == super::CHECK);
    let under = under.ok_or(VaultError::NotInitialised)?.public_part;
    let new = beside(path, NEW);
    let interrupted = key_id(&new).as_ref() == Some(&under) && key_id(path).as_ref() != Some(&under);
    if interrupted { replace(path, &new, 0).map(Some) } else { Ok(None) }
}

/// What to do about a master key that is not the one the store is under.
pub(super) fn mend(source: &MasterKeySource, wanted: &str) -> String {
    let beside = |suffix: &str| Some(beside(&source.path(), suffix));
    let right = |path: &PathBuf| key_id(path).is_some_and(|id| id == wanted);
    if let Some(path) = beside(NEW).filter(right) {
        return format!(
            "a change of the master key was interrupted, and `{}` is the right one: run `sallyport secrets rekey` to finish",
            path.display()
        );
    }
    match beside(&format!(".{wanted}")).filter(right) {
        Some(path) => {
            format!("the database is from before a change of the key; `{}` is the one it needs", path.display())
        }
        None => "put the key of this database there, or restore the database that belongs to the key".to_owned(),
    }
}

fn replace(path: &Path, new: &Path, values: usize) -> Result<Rekeyed, RekeyError> {
    let previous = key_id(path).map(|id| beside(path, &format!(".{id}")));
    swap(path, new, previous.as_deref()).map_err(|error| RekeyError::Rename {
        new: new.to_owned(),
        key: path.to_owned(),
        error,
    })?;
    Ok(Rekeyed { values, key: path.to_owned(), previous })
}

/// The new key: the one an interrupted change left, where it is whole, or a fresh one.
fn new_key(path: &Path) -> Result<MasterKey, VaultError> {
    match MasterKey::load(&MasterKeySource::File(path.to_owned())) {
        Ok(key) => return Ok(key),
        Err(MasterKeyError::Missing { .. }) => {}
        // Cut off while it was written: nothing can be under it.
        Err(MasterKeyError::Malformed { .. }) if path.extension().is_some_and(|extension| extension == "new") => {
            fs::remove_file(path).map_err(|error| MasterKeyError::Io { path: path.to_owned(), error })?;
        }
        Err(error) => return Err(error.into()),
    }
    Ok(MasterKey::create(path)?)
}

async fn reseal(store: &Store, audit: &Audit, old: &MasterKey, new: &MasterKey) -> Result<usize, RekeyError> {
    let (from, to) = (sealer(old)?, sealer(new)?);
    if from.id() == to.id() {
        return Err(RekeyError::SameKey(new.source().clone()));
    }
    check_key(&store.secrets().await.map_err(VaultError::from)?, &from, old.source())?;
    let reseal = |cell: &SealedCell| -> Result<Vec<u8>, SealError> {
        let (table, column) = cell.table.cell();
        let row: Vec<&str> = cell.row.iter().map(String::as_str).collect();
        let place = Cell { table, row: &row, column };
        to.seal(&place, from.open(&place, &cell.sealed)?.expose())
    };
    let mut write = store.begin_write().await.map_err(VaultError::from)?;
    // The MAC of an authenticator covers its sealed seed: what is genuine is told before, and the MACs are made after.
    let genuine = write.rows_under(&row_mac(old)?).await.map_err(VaultError::from)?;
    let done = write.reseal(&from.id().to_string(), &to.id().to_string(), reseal).await;
    let values = done.map_err(|error| match error {
        ResealError::Store(error) => VaultError::from(error),
        ResealError::Cell(error) => error.into(),
    })?;
    write.put_rows_under(&row_mac(new)?, &genuine).await.map_err(VaultError::from)?;
    let count = u64::try_from(values).unwrap_or(u64::MAX);
    audit.record_in(&mut write, AuditEvent::SecretsRekeyed { count }).await?;
    write.commit().await.map_err(VaultError::from)?;
    Ok(values)
}

/// KEY is one or the other at every moment, never missing.
fn swap(key: &Path, new: &Path, previous: Option<&Path>) -> io::Result<()> {
    if let Some(previous) = previous {
        match fs::hard_link(key, previous) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => sync_directory(key)?,
        }
    }
    fs::rename(new, key)?;
    sync_directory(key)
}

fn load(source: &MasterKeySource) -> Result<MasterKey, VaultError> {
    Ok(MasterKey::load(source)?)
}

fn sealer(key: &MasterKey) -> Result<Sealer, VaultError> {
    key.sealer().map_err(|_| VaultError::Cipher)
}

fn row_mac(key: &MasterKey) -> Result<RowMac, VaultError> {
    key.row_mac().map_err(|_| VaultError::Cipher)
}

fn key_id(path: &Path) -> Option<String> {
    let key = MasterKey::load(&MasterKeySource::File(path.to_owned())).ok()?;
    Some(key.id().ok()?.to_string())
}

const NEW: &str = ".new";
