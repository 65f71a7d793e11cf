//! The vault: what must stay secret, sealed in the store under a master key that is not in it.
//!
//! Everything sealed is bound to its cell (`seal.rs`). The broker's own keys are opened once, when the vault opens; accounts'
//! credentials and authenticators' seeds only when they are used. Certificates are signed here, so that the private halves of
//! the authorities never leave.

mod adoption;
mod certificate;
mod credential;
mod host_certificates;
mod keys;
mod master_key;
mod rekey;
mod rotation;
mod row_keys;
mod row_mac;
mod seal;
mod sealed;
mod secret;

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use jiff::Timestamp;
use ssh_key::certificate::Certificate;
use ssh_key::{PrivateKey, PublicKey};

pub use adoption::{AdoptError, adopt_asked, adopt_once};
pub use certificate::{AssetLogin, Extension, SignError};
pub use credential::{Credential, CredentialError};
pub use keys::KeyName;
pub use master_key::{MasterKey, MasterKeyError, MasterKeySource};
pub use rekey::{RekeyError, Rekeyed, finish_rekey, rekey};
pub use rotation::{OtherKey, RotateError, Rotation, Turn};
pub(crate) use row_keys::RowKeys;
pub use row_mac::RowFault;
pub(crate) use row_mac::{RowMac, RowText};
pub use seal::{Cell, KeyId, SealError};
pub use sealed::{SealedCredential, SealedError};
pub use secret::Secret;

use crate::store::accounts::AccountRow;
use crate::store::secrets::SecretRow;
use crate::store::{Store, StoreError};
use host_certificates::HostCertificates;
use seal::Sealer;

/// The secrets of one database, opened. A cheap clone.
#[derive(Clone)]
pub struct Vault {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    source: MasterKeySource,
    /// Replaced when another process has changed the master key (`rekey`) and the new one is where the old one was.
    sealer: RwLock<Arc<Sealer>>,
    host_key: PrivateKey,
    host_ca: PrivateKey,
    user_ca: PrivateKey,
    evidence: PrivateKey,
    others: Others,
    host_certificates: HostCertificates,
    /// Credentials that emergencies need, for when the database is away.
    at_hand: RwLock<Vec<AccountRow>>,
}

/// Keys that are not in use yet, or not any more.
#[derive(Default)]
struct Others {
    keys: Vec<OtherKey>,
    /// What makes the next ones.
    next_seeds: Vec<(KeyName, Secret<[u8; 32]>)>,
}

/// Why the vault does not open, or something in it does not.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// The master key itself.
    #[error(transparent)]
    MasterKey(#[from] MasterKeyError),
    /// There are no keys in this database.
    #[error("this database has no keys yet: run `sallyport init`")]
    NotInitialised,
    /// One of the keys is missing.
    #[error("this database has lost its `{0}` key: restore it from a backup")]
    MissingKey(KeyName),
    /// The master key is another installation's, or an old one.
    #[error("this database is sealed under master key `{sealed_with}`, but {key} holds `{have}`: {mend}")]
    WrongKey {
        /// The key that is needed.
        sealed_with: String,
        /// The key at hand.
        have: KeyId,
        /// Where it came from.
        key: MasterKeySource,
        /// What to do.
        mend: String,
    },
    /// A sealed value does not open.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// A stored credential is not one.
    #[error("account `{account}` of `{asset}`: {error}")]
    Credential {
        /// The asset.
        asset: String,
        /// The login on it.
        account: String,
        /// What is wrong with it.
        error: CredentialError,
    },
    /// A key of the broker's own is not one.
    #[error("the stored key `{0}` is not an Ed25519 seed")]
    Key(KeyName),
    /// The cipher library refused a key.
    #[error("the cipher library refused the master key")]
    Cipher,
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Vault {
    /// Opens the vault of an initialised database. A wrong master key is told apart from a damaged database.
    pub async fn open(store: Store, master: &MasterKey) -> Result<Self, VaultError> {
        let rows = store.secrets().await?;
        Self::of_rows(store, &rows, master)
    }

    /// Opens the vault of a database that is away, by what was kept of it.
    pub(crate) fn of_rows(store: Store, rows: &[SecretRow], master: &MasterKey) -> Result<Self, VaultError> {
        let sealer = master.sealer().map_err(|_| VaultError::Cipher)?;
        check_key(rows, &sealer, master.source())?;
        store.trust_rows_of(RowKeys::new(master).map_err(|_| VaultError::Cipher)?);
        let key = |name: KeyName| open_key(rows, &sealer, name);
        let (host_key, host_ca) = (key(KeyName::HostKey)?, key(KeyName::HostCa)?);
        let (user_ca, evidence) = (key(KeyName::UserCa)?, key(KeyName::Evidence)?);
        let others = open_others(rows, &sealer)?;
        let inner = Inner {
            store,
            source: master.source().clone(),
            sealer: RwLock::new(Arc::new(sealer)),
            host_key,
            host_ca,
            user_ca,
            evidence,
            others,
            host_certificates: HostCertificates::default(),
            at_hand: RwLock::default(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Makes the keys of a new database, or opens the vault of one that has them; says whether it made them.
    pub async fn init(store: Store, master: &MasterKey, now: Timestamp) -> Result<(Self, bool), VaultError> {
        let sealer = master.sealer().map_err(|_| VaultError::Cipher)?;
        let mut rows = vec![SecretRow {
            name: CHECK.to_owned(),
            sealed: sealer.seal(&secret_place(&[CHECK]), CHECK.as_bytes())?,
            public_part: sealer.id().to_string(),
            created_at: now,
        }];
        for name in KeyName::ALL {
            let seed = keys::new_seed();
            let public =
                keys::ssh_key(name, seed.expose()).public_key().to_openssh().map_err(|_| VaultError::Key(name))?;
            rows.push(SecretRow {
                name: name.to_string(),
                sealed: sealer.seal(&secret_place(&[name.as_str()]), seed.expose())?,
                public_part: public,
                created_at: now,
            });
        }
        // Somebody else may have been first: then it is theirs that counts, and the master key must fit it.
        let mut write = store.begin_write().await?;
        let made = write.insert_first_secrets(&rows).await?;
        if made {
            write.commit().await?;
        } else {
            drop(write);
        }
        Ok((Self::open(store, master).await?, made))
    }

    /// The broker's SSH host key, with its private half: the SSH server needs it.
    #[must_use]
    pub fn host_key(&self) -> &PrivateKey {
        &self.inner.host_key
    }

    /// The public half of one of the broker's keys.
    #[must_use]
    pub fn public_key(&self, name: KeyName) -> &PublicKey {
        match name {
            KeyName::HostKey => self.inner.host_key.public_key(),
            KeyName::HostCa => self.inner.host_ca.public_key(),
            KeyName::UserCa => self.inner.user_ca.public_key(),
            KeyName::Evidence => self.inner.evidence.public_key(),
        }
    }

    /// The key that signs recordings and the audit chain.
    pub fn evidence_key(&self) -> Result<ed25519_dalek::SigningKey, VaultError> {
        let pair = self.inner.evidence.key_data().ed25519().ok_or(VaultError::Key(KeyName::Evidence))?;
        let seed = Secret::new(pair.private.to_bytes());
        Ok(ed25519_dalek::SigningKey::from_bytes(seed.expose()))
    }

    /// The public halves of all evidence keys that this installation has had: what may have signed its recordings and its chain.
    pub fn evidence_public_keys(&self) -> Result<Vec<ed25519_dalek::VerifyingKey>, VaultError> {
        let parse = |key: &&PublicKey| ed25519_dalek::VerifyingKey::from_bytes(&key.key_data().ed25519()?.0).ok();
        let all: Option<Vec<_>> = self.public_keys(KeyName::Evidence).iter().map(parse).collect();
        all.ok_or(VaultError::Key(KeyName::Evidence))
    }

    /// A key made for one login on an asset, and the certificate that lets it in, for a minute.
    pub fn asset_login(&self, login: &AssetLogin<'_>, now: Timestamp) -> Result<(PrivateKey, Certificate), SignError> {
        certificate::asset_login(&self.inner.user_ca, login, now)
    }

    /// A certificate for one login on an asset with a key of the caller's, for a minute.
    pub fn sign_user_certificate(
        &self,
        key: &PublicKey,
        login: &AssetLogin<'_>,
        now: Timestamp,
    ) -> Result<Certificate, SignError> {
        certificate::user_certificate(&self.inner.user_ca, key, login, now)
    }

    /// The certificate of the host key for the names under which it answers: the broker's own, or an asset's name and
    /// addresses. It does not end.
    pub fn host_certificate(&self, principals: &[String]) -> Result<Arc<Certificate>, SignError> {
        self.inner.host_certificates.certificate(principals, || {
            certificate::host_certificate(&self.inner.host_ca, self.inner.host_key.public_key(), principals)
        })
    }

    /// What opens an account on an asset, if the broker holds it.
    pub async fn account_credential(&self, asset: &str, account: &str) -> Result<Option<Credential>, VaultError> {
        let late = |_| Err(StoreError::Unavailable("no answer in time".to_owned()));
        let found = tokio::time::timeout(FOUND_WITHIN, self.inner.store.account(asset, account)).await;
        let row = match found.unwrap_or_else(late) {
            Err(error) if error.is_unavailable() => Some(self.at_hand(asset, account).ok_or(error)?),
            found => found?,
        };
        let Some(row) = row else { return Ok(None) };
        let bytes = self.open_cell(&account_place(&[asset, account]), &row.sealed)?;
        let credential = Credential::from_bytes(&row.kind, &bytes).map_err(|error| damaged(asset, account, error))?;
        Ok(Some(credential))
    }

    /// From now on these can be used while the database is away.
    pub(crate) fn keep_at_hand(&self, accounts: Vec<AccountRow>) {
        *self.inner.at_hand.write().unwrap_or_else(PoisonError::into_inner) = accounts;
    }

    fn at_hand(&self, asset: &str, account: &str) -> Option<AccountRow> {
        let rows = self.inner.at_hand.read().unwrap_or_else(PoisonError::into_inner);
        rows.iter().find(|row| row.asset == asset && row.account == account).cloned()
    }

    /// Seals what is kept on local disk for emergencies, under the master key that these secrets are under: it may have been changed
    /// since this vault was opened.
    pub(crate) fn seal_snapshot(&self, plain: &Secret<Vec<u8>>, secrets: &[SecretRow]) -> Result<Vec<u8>, VaultError> {
        let named = secrets.iter().find(|row| row.name == CHECK).map(|row| row.public_part.as_str());
        if named.is_some_and(|named| named != self.sealer().id().to_string()) {
            let master = MasterKey::load(&self.inner.source)?;
            let sealer = master.sealer().map_err(|_| VaultError::Cipher)?;
            check_key(secrets, &sealer, master.source())?;
            *self.inner.sealer.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(sealer);
        }
        Ok(self.sealer().seal(&SNAPSHOT, plain.expose())?)
    }

    /// Seals what opens an account on an asset; says under which master key.
    pub(crate) fn seal_account(
        &self,
        asset: &str,
        account: &str,
        credential: &Credential,
        now: Timestamp,
    ) -> Result<(AccountRow, KeyId), VaultError> {
        let fault = |error| damaged(asset, account, error);
        let sealer = self.sealer();
        let bytes = credential.to_bytes().map_err(fault)?;
        let row = AccountRow {
            asset: asset.to_owned(),
            account: account.to_owned(),
            kind: credential.kind().to_owned(),
            sealed: sealer.seal(&account_place(&[asset, account]), bytes.expose())?,
            public_part: credential.public_part().map_err(fault)?,
            changed_at: now,
        };
        Ok((row, sealer.id()))
    }

    /// Seals an authenticator's seed; says under which master key.
    pub(crate) fn seal_totp_seed(
        &self,
        identity: &str,
        seed: &Secret<Vec<u8>>,
    ) -> Result<(Vec<u8>, KeyId), VaultError> {
        let sealer = self.sealer();
        Ok((sealer.seal(&totp_place(&[identity]), seed.expose())?, sealer.id()))
    }

    /// Opens an authenticator's seed.
    pub(crate) fn open_totp_seed(&self, identity: &str, sealed: &[u8]) -> Result<Secret<Vec<u8>>, VaultError> {
        self.open_cell(&totp_place(&[identity]), sealed)
    }

    fn sealer(&self) -> Arc<Sealer> {
        Arc::clone(&self.inner.sealer.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Opens a cell. Where the master key was changed since, the new one is read from where the old one was.
    fn open_cell(&self, place: &Cell<'_>, sealed: &[u8]) -> Result<Secret<Vec<u8>>, VaultError> {
        match self.sealer().open(place, sealed) {
            Err(SealError::OtherKey { sealed_with, .. }) => {
                let master = MasterKey::load(&self.inner.source)?;
                let sealer = Arc::new(master.sealer().map_err(|_| VaultError::Cipher)?);
                if sealer.id() == sealed_with {
                    *self.inner.sealer.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&sealer);
                }
                Ok(sealer.open(place, sealed)?)
            }
            result => Ok(result?),
        }
    }
}

impl fmt::Debug for Vault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Vault({})", self.inner.source)
    }
}

fn check_key(rows: &[SecretRow], sealer: &Sealer, source: &MasterKeySource) -> Result<(), VaultError> {
    let check = rows.iter().find(|row| row.name == CHECK).ok_or(VaultError::NotInitialised)?;
    if check.public_part != sealer.id().to_string() {
        return Err(VaultError::WrongKey {
            sealed_with: check.public_part.clone(),
            have: sealer.id(),
            key: source.clone(),
            mend: rekey::mend(source, &check.public_part),
        });
    }
    sealer.open(&secret_place(&[CHECK]), &check.sealed)?;
    Ok(())
}

fn open_key(rows: &[SecretRow], sealer: &Sealer, name: KeyName) -> Result<PrivateKey, VaultError> {
    let row = rows.iter().find(|row| row.name == name.as_str()).ok_or(VaultError::MissingKey(name))?;
    let bytes = sealer.open(&secret_place(&[name.as_str()]), &row.sealed)?;
    let seed: &[u8; 32] = bytes.expose().as_slice().try_into().map_err(|_| VaultError::Key(name))?;
    Ok(keys::ssh_key(name, seed))
}

fn open_others(rows: &[SecretRow], sealer: &Sealer) -> Result<Others, VaultError> {
    let mut others = Others::default();
    for row in rows {
        let Some((name, turn)) = rotation::other_row(&row.name) else { continue };
        let opened = sealer.open(&secret_place(&[&row.name]), &row.sealed)?;
        let bytes: [u8; 32] = opened.expose().as_slice().try_into().map_err(|_| VaultError::Key(name))?;
        let public = match turn {
            Turn::Next => keys::ssh_key(name, &bytes).public_key().clone(),
            Turn::Retired => rotation::public_of(name, &bytes),
        };
        if turn == Turn::Next {
            others.next_seeds.push((name, Secret::new(bytes)));
        }
        others.keys.push(OtherKey { name, turn, public, since: row.created_at });
    }
    Ok(others)
}

fn damaged(asset: &str, account: &str, error: CredentialError) -> VaultError {
    VaultError::Credential { asset: asset.to_owned(), account: account.to_owned(), error }
}

fn secret_place<'a>(row: &'a [&'a str]) -> Cell<'a> {
    Cell { table: "secrets", row, column: "sealed" }
}

fn account_place<'a>(row: &'a [&'a str]) -> Cell<'a> {
    Cell { table: "accounts", row, column: "sealed" }
}

fn totp_place<'a>(row: &'a [&'a str]) -> Cell<'a> {
    Cell { table: "totp", row, column: "sealed_seed" }
}

/// Opens what is kept on local disk for emergencies, without a database.
pub(crate) fn open_snapshot(master: &MasterKey, sealed: &[u8]) -> Result<Secret<Vec<u8>>, SealError> {
    let sealer = master.sealer().map_err(|_| SealError::Cipher { place: SNAPSHOT.to_string() })?;
    sealer.open(&SNAPSHOT, sealed)
}

/// The public half of the evidence key among these secrets, if they open.
pub(crate) fn evidence_key_of(rows: &[SecretRow], master: &MasterKey) -> Option<ed25519_dalek::VerifyingKey> {
    let key = open_key(rows, &master.sealer().ok()?, KeyName::Evidence).ok()?;
    ed25519_dalek::VerifyingKey::from_bytes(&key.public_key().key_data().ed25519()?.0).ok()
}

/// How long an account's credential is waited for; then what is at hand is used, if it is.
const FOUND_WITHIN: std::time::Duration = std::time::Duration::from_secs(3);

/// No cell of the store: a file beside it.
const SNAPSHOT: Cell<'static> = Cell { table: "emergency", row: &["snapshot"], column: "sealed" };

/// The row that tells under which master key the store is.
const CHECK: &str = "check";

/// The files beside a master key file while and after it is changed.
fn beside(path: &std::path::Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}
