//! Authenticators: in force when a code proves that their owner has them, or, on record, without that.

use data_encoding::BASE32_NOPAD;
use jiff::Timestamp;
use sallyport_policy::{FactorKind, IdentityId};

use super::{Admin, AdminError, removed};
use crate::audit::AuditEvent;
use crate::store::factors::NewTotp;
use crate::store::{StoreError, micros};
use crate::totp::{Match, TotpSettings};
use crate::vault::Secret;

/// A new authenticator, to be shown once.
#[derive(Debug)]
pub struct Enrollment {
    /// What a QR code holds.
    pub uri: Secret<String>,
    /// The seed in base 32, for typing it in.
    pub secret: Secret<String>,
}

impl Enrollment {
    /// What is shown of a seed.
    #[must_use]
    pub fn of(identity: &IdentityId, settings: TotpSettings, issuer: &str, seed: &Secret<Vec<u8>>) -> Self {
        Self {
            uri: settings.uri(issuer, identity.as_str(), seed),
            secret: Secret::new(BASE32_NOPAD.encode(seed.expose())),
        }
    }
}

impl Admin {
    /// Enrols a new authenticator in place of any before, though nobody has proven that its owner has it.
    pub async fn enroll_totp(
        &self,
        identity: &IdentityId,
        settings: TotpSettings,
        issuer: &str,
        now: Timestamp,
    ) -> Result<Enrollment, AdminError> {
        let seed = settings.new_seed();
        self.enter_totp(identity, settings, &seed, false, now).await?;
        Ok(Enrollment::of(identity, settings, issuer, &seed))
    }

    /// Enrols an authenticator that its owner has set up already: a code of it proves that, and is spent by it. Until then whatever was enrolled
    /// before is in force.
    pub async fn enroll_proven_totp(
        &self,
        identity: &IdentityId,
        settings: TotpSettings,
        seed: &Secret<Vec<u8>>,
        code: &str,
        now: Timestamp,
    ) -> Result<(), AdminError> {
        let Match::Step(step) = settings.matching(seed, code.trim(), now, NO_STEP) else {
            return Err(AdminError::WrongCode);
        };
        self.enter_totp(identity, settings, seed, true, now).await?;
        self.store.spend_step(identity.as_str(), step, micros(now)).await?;
        Ok(())
    }

    /// Takes the authenticator from somebody, with the recovery codes that stand in for it and every lease: without another second factor they come
    /// in nowhere.
    pub async fn remove_totp(&self, identity: &IdentityId, now: Timestamp) -> Result<(), AdminError> {
        let mut write = self.store.begin_write().await?;
        if !write.remove_totp(identity.as_str(), &self.by, now).await? {
            return Err(StoreError::Missing { kind: "authenticator of", key: identity.to_string() }.into());
        }
        let recovery = removed(identity, FactorKind::RecoveryCode, FactorKind::RecoveryCode.as_str());
        self.audit.record_in(&mut write, recovery).await?;
        let authenticator = removed(identity, FactorKind::Totp, FactorKind::Totp.as_str());
        self.finish(write, self.audit.prepare(&authenticator)?).await
    }

    async fn enter_totp(
        &self,
        identity: &IdentityId,
        settings: TotpSettings,
        seed: &Secret<Vec<u8>>,
        proven: bool,
        now: Timestamp,
    ) -> Result<(), AdminError> {
        let (sealed_seed, key_id) = self.vault.seal_totp_seed(identity.as_str(), seed)?;
        let new = NewTotp { identity: identity.to_string(), sealed_seed, settings, enrolled_at: now };
        let entry = self.audit.prepare(&AuditEvent::FactorEnrolled {
            identity: identity.to_string(),
            factor: FactorKind::Totp.to_string(),
            credential: FactorKind::Totp.to_string(),
            public_key: None,
            proven: Some(proven),
        })?;
        let mut write = self.store.begin_write().await?;
        write.enroll_totp(&new, &key_id.to_string(), &self.by, entry.id()).await?;
        self.finish(write, entry).await
    }
}

/// No code of an authenticator was used before it was enrolled.
const NO_STEP: i64 = -1;
