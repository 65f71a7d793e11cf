//! Other keys in the place of the broker's own, so that whoever relies on one has time to learn of the next.
//!
//! ```text
//! authorities   stage: NAME.next is made, and printed beside NAME     assets and workstations learn of it
//!               use:   NAME.next signs; NAME is printed beside it     brokers take it up when they start
//!               drop:  the old one is printed no more
//! host key      at once: it is vouched for by the host authority
//! evidence      at once: the old key's last entry of the chain names the new one; it verifies what it has signed for ever
//! ```
//!
//! Of a key that is not in use any more only the public half is kept, sealed so that it is known to be genuine.

use jiff::Timestamp;
use ssh_key::PublicKey;
use ssh_key::public::Ed25519PublicKey;

use super::keys::{self, KeyName};
use super::{SealError, Vault, VaultError, secret_place};
use crate::audit::{Audit, AuditError, AuditEvent};
use crate::store::StoreError;
use crate::store::secrets::SecretRow;

/// What is done about a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rotation {
    /// The next one is made, and not used yet.
    Stage,
    /// The next one is used from now on.
    Use,
    /// A new one is used from now on, and nobody is to rely on the old one.
    AtOnce,
    /// Nobody is to rely on old ones.
    Drop,
}

/// When another key of the broker's is used, or was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Not yet.
    Next,
    /// Not any more.
    Retired,
}

/// Another key, beside the one in use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtherKey {
    /// In whose place.
    pub name: KeyName,
    /// Whether it comes or was.
    pub turn: Turn,
    /// Its public half.
    pub public: PublicKey,
    /// Since when it stands so.
    pub since: Timestamp,
}

/// Why a key was not changed.
#[derive(Debug, thiserror::Error)]
pub enum RotateError {
    /// One is staged.
    #[error("the next `{0}` is made already: `sallyport secrets rotate {0} --use` takes it into use")]
    Staged(KeyName),
    /// None is staged.
    #[error("no next `{0}` is made: `sallyport secrets rotate {0}` makes one")]
    NotStaged(KeyName),
    /// There is nothing to wait for.
    #[error("a new `{0}` is in use at once: `sallyport secrets rotate {0}`, without options")]
    NotInSteps(KeyName),
    /// What it has signed is to be verified for ever.
    #[error("old evidence keys stay: what they have signed is verified with them")]
    Kept,
    /// None is there.
    #[error("there is no old `{0}` to drop")]
    NothingToDrop(KeyName),
    /// The vault.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// It cannot be sealed.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It could not be put on record, so it was not done.
    #[error(transparent)]
    Audit(#[from] AuditError),
}

/// The rows that a change writes and takes away.
#[derive(Default)]
struct Change {
    put: Vec<SecretRow>,
    remove: Vec<String>,
    old: Option<PublicKey>,
    new: Option<PublicKey>,
}

impl Vault {
    /// Keys beside those in use.
    #[must_use]
    pub fn other_keys(&self, name: KeyName) -> Vec<&OtherKey> {
        self.inner.others.keys.iter().filter(|other| other.name == name).collect()
    }

    /// Every public key of this name that somebody may have to rely on: the one in use, the next one, old ones.
    #[must_use]
    pub fn public_keys(&self, name: KeyName) -> Vec<&PublicKey> {
        let others = self.inner.others.keys.iter().filter(|other| other.name == name).map(|other| &other.public);
        std::iter::once(self.public_key(name)).chain(others).collect()
    }

    /// Changes a key, on record by the evidence key that was in use until then. Processes that run go on with what they have opened.
    ///
    /// # Errors
    /// The step does not fit, or cannot be written or put on record: then nothing is changed.
    pub async fn rotate(
        &self,
        audit: &Audit,
        name: KeyName,
        rotation: Rotation,
        now: Timestamp,
    ) -> Result<(), RotateError> {
        let in_steps = matches!(name, KeyName::HostCa | KeyName::UserCa);
        if matches!(rotation, Rotation::Stage | Rotation::Use) && !in_steps {
            return Err(RotateError::NotInSteps(name));
        }
        let change = match rotation {
            Rotation::Stage => self.stage(name, now)?,
            Rotation::Use => self.take_next(name, now)?,
            Rotation::AtOnce => self.replace(name, now)?,
            Rotation::Drop => self.drop_old(name)?,
        };
        let Change { put, remove, old, new } = change;
        let line = |key: Option<PublicKey>| key.and_then(|key| key.to_openssh().ok());
        let event = AuditEvent::SecretsRotated {
            key: name.to_string(),
            step: rotation.word().to_owned(),
            old: line(old),
            new: line(new),
        };
        let in_use = self.public_key(name).to_openssh().map_err(|_| VaultError::Key(name))?;
        let mut write = self.inner.store.begin_write().await?;
        write.change_secrets(&self.sealer().id().to_string(), (name.as_str(), &in_use), &put, &remove).await?;
        audit.record_in(&mut write, event).await?;
        write.commit().await?;
        Ok(())
    }

    fn stage(&self, name: KeyName, now: Timestamp) -> Result<Change, RotateError> {
        if self.next(name).is_some() {
            return Err(RotateError::Staged(name));
        }
        let seed = keys::new_seed();
        let (row, public) = self.key_row(name, &next_name(name), seed.expose(), now)?;
        Ok(Change { put: vec![row], old: Some(self.public_key(name).clone()), new: Some(public), ..Change::default() })
    }

    fn take_next(&self, name: KeyName, now: Timestamp) -> Result<Change, RotateError> {
        let seed = self.inner.others.next_seeds.iter().find(|(of, _)| *of == name).map(|(_, seed)| seed);
        let seed = seed.ok_or(RotateError::NotStaged(name))?;
        let (row, public) = self.key_row(name, name.as_str(), seed.expose(), now)?;
        let old = self.public_key(name).clone();
        let put = vec![row, self.retired_row(name, &old, now)?];
        Ok(Change { put, remove: vec![next_name(name)], old: Some(old), new: Some(public) })
    }

    fn replace(&self, name: KeyName, now: Timestamp) -> Result<Change, RotateError> {
        let seed = keys::new_seed();
        let (row, public) = self.key_row(name, name.as_str(), seed.expose(), now)?;
        let (old, mut put, mut remove) = (self.public_key(name).clone(), vec![row], Vec::new());
        match name {
            KeyName::Evidence => put.push(self.retired_row(name, &old, now)?),
            KeyName::HostKey | KeyName::HostCa | KeyName::UserCa => {
                remove.push(next_name(name));
                remove.extend(self.retired_names(name));
            }
        }
        Ok(Change { put, remove, old: Some(old), new: Some(public) })
    }

    fn drop_old(&self, name: KeyName) -> Result<Change, RotateError> {
        if name == KeyName::Evidence {
            return Err(RotateError::Kept);
        }
        let mut retired =
            self.inner.others.keys.iter().filter(|other| other.name == name && other.turn == Turn::Retired);
        let old = retired.next_back().map(|other| other.public.clone()).ok_or(RotateError::NothingToDrop(name))?;
        Ok(Change { remove: self.retired_names(name), old: Some(old), ..Change::default() })
    }

    fn next(&self, name: KeyName) -> Option<&OtherKey> {
        self.inner.others.keys.iter().find(|other| other.name == name && other.turn == Turn::Next)
    }

    /// A key under the name of its row.
    fn key_row(
        &self,
        name: KeyName,
        row: &str,
        seed: &[u8; 32],
        now: Timestamp,
    ) -> Result<(SecretRow, PublicKey), RotateError> {
        let public = keys::ssh_key(name, seed).public_key().clone();
        let public_part = public.to_openssh().map_err(|_| VaultError::Key(name))?;
        let sealed = self.sealer().seal(&secret_place(&[row]), seed)?;
        Ok((SecretRow { name: row.to_owned(), sealed, public_part, created_at: now }, public))
    }

    /// The public half of a key that was, sealed: nobody else could have written it.
    fn retired_row(&self, name: KeyName, key: &PublicKey, now: Timestamp) -> Result<SecretRow, RotateError> {
        let row = retired_name(name, self.retired(name) + 1);
        let bytes = key.key_data().ed25519().ok_or(VaultError::Key(name))?.0;
        let sealed = self.sealer().seal(&secret_place(&[&row]), &bytes)?;
        let public_part = key.to_openssh().map_err(|_| VaultError::Key(name))?;
        Ok(SecretRow { name: row, sealed, public_part, created_at: now })
    }

    fn retired(&self, name: KeyName) -> usize {
        self.inner.others.keys.iter().filter(|other| other.name == name && other.turn == Turn::Retired).count()
    }

    fn retired_names(&self, name: KeyName) -> Vec<String> {
        (1..=self.retired(name)).map(|number| retired_name(name, number)).collect()
    }
}

impl Rotation {
    fn word(self) -> &'static str {
        match self {
            Self::Stage => "staged",
            Self::Use => "in use",
            Self::AtOnce => "in use at once",
            Self::Drop => "old ones dropped",
        }
    }
}

/// Whose row this is, if it is that of a key beside those in use.
pub(super) fn other_row(row: &str) -> Option<(KeyName, Turn)> {
    let (name, rest) = row.split_once('.')?;
    let name = KeyName::ALL.into_iter().find(|known| known.as_str() == name)?;
    match rest.split_once('.') {
        None if rest == NEXT_KEY => Some((name, Turn::Next)),
        Some((RETIRED, number)) if number.parse::<usize>().is_ok() => Some((name, Turn::Retired)),
        _ => None,
    }
}

/// A public key of 32 bytes, with the comment that says what it is.
pub(super) fn public_of(name: KeyName, bytes: &[u8; 32]) -> PublicKey {
    PublicKey::new(Ed25519PublicKey(*bytes).into(), format!("sallyport-{name}"))
}

fn next_name(name: KeyName) -> String {
    format!("{name}.{NEXT_KEY}")
}

fn retired_name(name: KeyName, number: usize) -> String {
    format!("{name}.{RETIRED}.{number}")
}

const NEXT_KEY: &str = "next";
const RETIRED: &str = "retired";
