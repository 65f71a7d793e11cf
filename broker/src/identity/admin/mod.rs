//! What an administrator changes about people, accounts and leases.
//!
//! Every change and its audit event are one transaction: both last, or neither does.

mod authenticator;
mod change;

use std::collections::BTreeSet;
use std::net::IpAddr;

pub use authenticator::Enrollment;
pub use change::{Changed, IdentityChange};
use jiff::{SignedDuration, Timestamp};
use sallyport_policy::{FactorKind, IdentityId};

use change::IDENTITIES;

use super::invitation::Invitation;
use super::password::{Passwords, check_strength};
use super::second::recovery;
use super::{Identities, KeyLineError, NewPasskey, PasswordError, WeakPassword, key};
use crate::audit::{Audit, AuditError, AuditEvent, Prepared};
use crate::store::envelopes::GLASS;
use crate::store::factors::KeyRow;
use crate::store::identities::{NewIdentity, shown_groups};
use crate::store::invitations::InvitationRow;
use crate::store::leases::LeaseRow;
use crate::store::webauthn::{PasskeyRow, chain_name};
use crate::store::{Store, StoreError, Write};
use crate::vault::{Credential, Secret, Vault, VaultError};

/// An administrator at work.
#[derive(Debug)]
pub struct Admin {
    store: Store,
    vault: Vault,
    audit: Audit,
    by: String,
}

/// Why nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// The password breaks a rule.
    #[error(transparent)]
    Weak(#[from] WeakPassword),
    /// The password cannot be hashed.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// The key cannot be used.
    #[error(transparent)]
    Key(#[from] KeyLineError),
    /// Recovery codes stand in for an authenticator; there is none.
    #[error(
        "`{0}` has no authenticator that recovery codes could stand in for: enrol one first (`sallyport identity totp`)"
    )]
    NoAuthenticator(IdentityId),
    /// Not a code of the authenticator that is to be enrolled.
    #[error("not a code of this authenticator")]
    WrongCode,
    /// Two names that people take for one.
    #[error(
        "`{new}` differs from `{known}` only in upper and lower case, and nobody could tell them apart: give another name"
    )]
    Alike {
        /// The name that was to be given.
        new: IdentityId,
        /// The one that is there, or was.
        known: String,
    },
    /// Whoever is added with a bound that has passed cannot come in.
    #[error("`{0}` is in the past: nobody could log in")]
    Past(Timestamp),
    /// Nobody is called as whoever opens an envelope.
    #[error("nobody can be called `{0}`: under this name envelopes are opened in an emergency")]
    Reserved(IdentityId),
    /// Nobody takes their own last second factor away.
    #[error("this is the last second factor: add another one first")]
    LastFactor,
    /// The invitation was used, or its time is over.
    #[error("this invitation was used before, or its time is over: ask for another one")]
    NotInvited,
    /// The change could not be put on record, so it was not made.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The vault.
    #[error(transparent)]
    Vault(#[from] VaultError),
}

impl AdminError {
    /// What was to be changed is not there.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Store(StoreError::Missing { .. }))
    }

    /// What was to be given is somebody's already.
    #[must_use]
    pub fn is_taken(&self) -> bool {
        matches!(self, Self::Store(StoreError::Taken(_)))
    }
}

impl Admin {
    /// An administrator by this name (leases say who revoked them).
    pub fn new(store: Store, vault: Vault, audit: Audit, by: impl Into<String>) -> Self {
        Self { store, vault, audit, by: by.into() }
    }

    /// Adds somebody, without any factor yet.
    pub async fn add(
        &self,
        identity: &IdentityId,
        display_name: &str,
        groups: &BTreeSet<String>,
        valid_until: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<(), AdminError> {
        if identity.as_str() == GLASS {
            return Err(AdminError::Reserved(identity.clone()));
        }
        if let Some(past) = valid_until.filter(|until| *until <= now) {
            return Err(AdminError::Past(past));
        }
        let new = NewIdentity {
            id: identity.to_string(),
            display_name: display_name.to_owned(),
            member_of: groups.clone(),
            valid_until,
        };
        let mut entry = self.audit.prepare(&AuditEvent::IdentityAdded { identity: new.id.clone() })?;
        let mut write = self.store.begin_write().await?;
        write.lock(IDENTITIES).await?;
        if let Some(known) = write.identity_alike(&new.id).await? {
            return Err(AdminError::Alike { new: identity.clone(), known });
        }
        if !groups.is_empty() {
            let change = format!("groups: none -> {}", shown_groups(groups));
            let changed = AuditEvent::IdentityChanged { identity: new.id.clone(), change };
            let added = std::mem::replace(&mut entry, self.audit.prepare(&changed)?);
            write.insert_identity(&new, now, entry.id()).await?;
            self.audit.record_prepared_in(&mut write, added).await?;
        } else {
            write.insert_identity(&new, now, entry.id()).await?;
        }
        self.finish(write, entry).await
    }

    /// Locks somebody out: no login, no lease, and every broker ends their live sessions. Works whatever their row holds.
    pub async fn lock(&self, identity: &IdentityId, reason: &str, now: Timestamp) -> Result<(), AdminError> {
        let event = AuditEvent::IdentityLocked { identity: identity.to_string(), reason: reason.to_owned() };
        let entry = self.audit.prepare(&event)?;
        let mut write = self.store.begin_write().await?;
        found(identity, write.lock_identity(identity.as_str(), reason, &self.by, now, entry.id()).await?)?;
        self.finish(write, entry).await
    }

    /// Lets somebody in again.
    pub async fn unlock(&self, identity: &IdentityId, now: Timestamp) -> Result<(), AdminError> {
        let entry = self.audit.prepare(&AuditEvent::IdentityUnlocked { identity: identity.to_string() })?;
        let mut write = self.store.begin_write().await?;
        found(identity, write.unlock_identity(identity.as_str(), now, entry.id()).await?)?;
        self.finish(write, entry).await
    }

    /// Removes somebody for good. The name stays taken: in old recordings it means them.
    pub async fn remove(&self, identity: &IdentityId, reason: &str, now: Timestamp) -> Result<(), AdminError> {
        let event = AuditEvent::IdentityRemoved { identity: identity.to_string(), reason: reason.to_owned() };
        let entry = self.audit.prepare(&event)?;
        let mut write = self.store.begin_write().await?;
        found(identity, write.remove_identity(identity.as_str(), &self.by, now, entry.id()).await?)?;
        self.finish(write, entry).await
    }

    /// Sets the groups.
    pub async fn set_groups(
        &self,
        identity: &IdentityId,
        groups: &BTreeSet<String>,
        now: Timestamp,
    ) -> Result<(), AdminError> {
        let before = self.store.identity(identity.as_str()).await?.map(|row| row.member_of.clone()).unwrap_or_default();
        let change = format!("groups: {} -> {}", shown_groups(&before), shown_groups(groups));
        let entry = self.audit.prepare(&AuditEvent::IdentityChanged { identity: identity.to_string(), change })?;
        let mut write = self.store.begin_write().await?;
        found(identity, write.set_identity_groups(identity.as_str(), groups, now, entry.id()).await?)?;
        self.finish(write, entry).await
    }

    /// Sets a password. What was proven with the old one no longer counts.
    pub async fn set_password(
        &self,
        identity: &IdentityId,
        password: Secret<String>,
        now: Timestamp,
    ) -> Result<(), AdminError> {
        check_strength(&password, identity.as_str())?;
        let hash = Passwords::new()?.hash(password).await?;
        let entry = self.audit.prepare(&enrolled(identity, FactorKind::Password, FactorKind::Password.as_str()))?;
        let mut write = self.store.begin_write().await?;
        found(identity, write.set_password_hash(identity.as_str(), Some(&hash), &self.by, now, entry.id()).await?)?;
        self.finish(write, entry).await
    }

    /// Takes the password away.
    pub async fn remove_password(&self, identity: &IdentityId, now: Timestamp) -> Result<(), AdminError> {
        let entry = self.audit.prepare(&removed(identity, FactorKind::Password, FactorKind::Password.as_str()))?;
        let mut write = self.store.begin_write().await?;
        found(identity, write.set_password_hash(identity.as_str(), None, &self.by, now, entry.id()).await?)?;
        self.finish(write, entry).await
    }

    /// Gives somebody a key: a line of a `.pub` file. Returns it as stored.
    pub async fn add_key(&self, identity: &IdentityId, line: &str, now: Timestamp) -> Result<KeyRow, AdminError> {
        let (key, kind) = key::parse_line(line)?;
        let row = KeyRow {
            fingerprint: key::fingerprint(key.key_data()),
            identity: identity.to_string(),
            public_key: key.to_openssh().map_err(KeyLineError::Malformed)?,
            kind,
            added_at: now,
        };
        let entry = self.audit.prepare(&enrolled(identity, kind, &row.fingerprint))?;
        let mut write = self.store.begin_write().await?;
        write.add_key(&row, entry.id()).await?;
        self.finish(write, entry).await?;
        Ok(row)
    }

    /// Takes a key from somebody.
    pub async fn remove_key(&self, identity: &IdentityId, fingerprint: &str, now: Timestamp) -> Result<(), AdminError> {
        let mut write = self.store.begin_write().await?;
        if !write.remove_key(identity.as_str(), fingerprint, &self.by, now).await? {
            return Err(StoreError::Missing { kind: "key", key: fingerprint.to_owned() }.into());
        }
        let event = removed(identity, FactorKind::Key, fingerprint);
        self.finish(write, self.audit.prepare(&event)?).await
    }

    /// Gives somebody the passkey that they have just made. By an invitation, that is spent with it: both, or neither.
    pub async fn add_passkey(
        &self,
        new: &NewPasskey,
        name: &str,
        invitation: Option<(&Invitation, IpAddr)>,
        now: Timestamp,
    ) -> Result<(), AdminError> {
        let row = PasskeyRow {
            credential: new.credential.clone(),
            identity: new.identity.to_string(),
            name: name.to_owned(),
            passkey: new.passkey.clone(),
            added_at: now,
            used_at: None,
        };
        let entry = self.audit.prepare(&AuditEvent::FactorEnrolled {
            identity: row.identity.clone(),
            factor: FactorKind::WebAuthn.to_string(),
            credential: chain_name(&row.credential),
            public_key: Some(new.public_key.clone()),
            proven: None,
        })?;
        let mut write = self.store.begin_write().await?;
        if let Some((invitation, source)) = invitation {
            self.spend_invitation(&mut write, invitation, &new.identity, source, now).await?;
        }
        write.add_passkey(&row, entry.id()).await?;
        self.finish(write, entry).await
    }

    /// Takes a passkey from somebody, and what it proved with it.
    pub async fn remove_passkey(
        &self,
        identity: &IdentityId,
        credential: &str,
        now: Timestamp,
    ) -> Result<(), AdminError> {
        let mut write = self.store.begin_write().await?;
        if !write.remove_passkey(identity.as_str(), credential, &self.by, now).await? {
            return Err(StoreError::Missing { kind: "passkey", key: credential.to_owned() }.into());
        }
        let event = removed(identity, FactorKind::WebAuthn, &chain_name(credential));
        self.finish(write, self.audit.prepare(&event)?).await
    }

    /// Takes a passkey from its owner, who asks for it: never their last second factor that would still be accepted.
    pub async fn remove_own_passkey(
        &self,
        identities: &Identities,
        identity: &IdentityId,
        credential: &str,
        now: Timestamp,
    ) -> Result<(), AdminError> {
        let mut write = self.store.begin_write().await?;
        if !write.has_another_factor(identity.as_str(), credential, |row| identities.counts(row)).await? {
            return Err(AdminError::LastFactor);
        }
        if !write.remove_passkey(identity.as_str(), credential, &self.by, now).await? {
            return Err(StoreError::Missing { kind: "passkey", key: credential.to_owned() }.into());
        }
        let event = removed(identity, FactorKind::WebAuthn, &chain_name(credential));
        self.finish(write, self.audit.prepare(&event)?).await
    }

    /// Invites somebody to enrol a factor in the portal. What is returned opens it, once: it goes into the link, and is kept nowhere.
    pub async fn invite(
        &self,
        identity: &IdentityId,
        valid_for: SignedDuration,
        now: Timestamp,
    ) -> Result<Secret<String>, AdminError> {
        let (secret, invitation) = Invitation::new();
        let expires_at = now.saturating_add(valid_for).unwrap_or(now);
        let row = InvitationRow {
            hash: invitation.hash().to_owned(),
            identity: identity.to_string(),
            made_by: self.by.clone(),
            made_at: now,
            expires_at,
        };
        let event =
            AuditEvent::InvitationMade { identity: row.identity.clone(), invitation: row.hash.clone(), expires_at };
        let entry = self.audit.prepare(&event)?;
        let mut write = self.store.begin_write().await?;
        write.invite(&row, entry.id()).await?;
        self.finish(write, entry).await?;
        Ok(secret)
    }

    async fn spend_invitation(
        &self,
        write: &mut Write,
        invitation: &Invitation,
        identity: &IdentityId,
        source: IpAddr,
        now: Timestamp,
    ) -> Result<(), AdminError> {
        if !write.spend_invitation(invitation.hash(), identity.as_str(), now).await? {
            return Err(AdminError::NotInvited);
        }
        let event = AuditEvent::InvitationUsed {
            identity: identity.to_string(),
            source: source.to_string(),
            invitation: invitation.hash().to_owned(),
        };
        Ok(self.audit.record_in(write, event).await?)
    }

    /// New recovery codes in place of the old ones, to be shown once.
    pub async fn new_recovery_codes(&self, identity: &IdentityId) -> Result<Vec<Secret<String>>, AdminError> {
        if self.store.totp(identity.as_str()).await?.is_none() {
            return Err(AdminError::NoAuthenticator(identity.clone()));
        }
        let codes = recovery::new_codes();
        let hashes: Vec<String> =
            codes.iter().filter_map(|code| recovery::hash(identity.as_str(), code.expose())).collect();
        let kind = FactorKind::RecoveryCode;
        let entry = self.audit.prepare(&enrolled(identity, kind, kind.as_str()))?;
        let mut write = self.store.begin_write().await?;
        write.replace_recovery_codes(identity.as_str(), &hashes, entry.id()).await?;
        self.finish(write, entry).await?;
        Ok(codes)
    }

    /// Revokes a lease. `None` when there is none of that id that was not revoked before.
    pub async fn revoke_lease(&self, id: &str, now: Timestamp) -> Result<Option<LeaseRow>, AdminError> {
        let mut write = self.store.begin_write().await?;
        let Some(lease) = write.revoke_lease(id, &self.by, now).await? else { return Ok(None) };
        let event = AuditEvent::LeaseRevoked { identity: lease.identity.clone(), lease: lease.id.clone() };
        self.finish(write, self.audit.prepare(&event)?).await?;
        Ok(Some(lease))
    }

    /// Revokes every lease of somebody, or of everybody.
    pub async fn revoke_leases(
        &self,
        identity: Option<&IdentityId>,
        now: Timestamp,
    ) -> Result<Vec<LeaseRow>, AdminError> {
        let mut write = self.store.begin_write().await?;
        let revoked = write.revoke_leases(identity.map(IdentityId::as_str), None, &self.by, now).await?;
        for lease in &revoked {
            let event = AuditEvent::LeaseRevoked { identity: lease.identity.clone(), lease: lease.id.clone() };
            self.audit.record_in(&mut write, event).await?;
        }
        write.commit().await?;
        Ok(revoked)
    }

    /// Keeps what opens an account on an asset.
    pub async fn set_account(
        &self,
        asset: &str,
        account: &str,
        credential: &Credential,
        now: Timestamp,
    ) -> Result<(), AdminError> {
        let (row, key_id) = self.vault.seal_account(asset, account, credential, now)?;
        let mut write = self.store.begin_write().await?;
        write.set_account(&row, &key_id.to_string()).await?;
        let event = AuditEvent::AccountChanged { asset: row.asset, account: row.account, kind: row.kind };
        self.finish(write, self.audit.prepare(&event)?).await
    }

    /// Forgets what opens an account on an asset.
    pub async fn remove_account(&self, asset: &str, account: &str) -> Result<(), AdminError> {
        let mut write = self.store.begin_write().await?;
        if !write.remove_account(asset, account).await? {
            return Err(StoreError::Missing { kind: "account", key: format!("{account}@{asset}") }.into());
        }
        let event = AuditEvent::AccountRemoved { asset: asset.to_owned(), account: account.to_owned() };
        self.finish(write, self.audit.prepare(&event)?).await
    }

    async fn finish(&self, mut write: Write, entry: Prepared) -> Result<(), AdminError> {
        self.audit.record_prepared_in(&mut write, entry).await?;
        Ok(write.commit().await?)
    }
}

fn found(identity: &IdentityId, found: bool) -> Result<(), StoreError> {
    if found { Ok(()) } else { Err(missing(identity)) }
}

fn missing(identity: &IdentityId) -> StoreError {
    StoreError::Missing { kind: "identity", key: identity.to_string() }
}

fn enrolled(identity: &IdentityId, factor: FactorKind, credential: &str) -> AuditEvent {
    AuditEvent::FactorEnrolled {
        identity: identity.to_string(),
        factor: factor.to_string(),
        credential: credential.to_owned(),
        public_key: None,
        proven: None,
    }
}

fn removed(identity: &IdentityId, factor: FactorKind, credential: &str) -> AuditEvent {
    AuditEvent::FactorRemoved {
        identity: identity.to_string(),
        factor: factor.to_string(),
        credential: credential.to_owned(),
    }
}
