//! The first factor: a password, a key or a certificate. The only maker of [`Verified`].

use std::net::IpAddr;

use jiff::Timestamp;
use sallyport_policy::{FactorKind, IdentityId, Proof, Subject};
use ssh_key::PublicKey;
use ssh_key::certificate::Certificate;

use super::hashing::Asker;
use super::password::PasswordVerdict;
use super::standing::Standing;
use super::throttle::Admission;
use super::webauthn::Asserted;
use super::{Identities, Refused, key, network};
use crate::store::identities::IdentityRow;
use crate::store::{Genuine, StoreError};
use crate::vault::Secret;

/// One factor was verified: this is who they say, as far as one factor tells. It opens nothing by itself.
///
/// Whoever has one can read it:
///
/// ```
/// fn who(verified: &sallyport::identity::Verified) -> &sallyport_policy::IdentityId {
///     verified.identity()
/// }
/// ```
///
/// Nobody else can make one:
///
/// ```compile_fail
/// fn forge(proof: sallyport_policy::Proof, subject: sallyport_policy::Subject) -> sallyport::identity::Verified {
///     sallyport::identity::Verified { subject, proof, credential: String::new(), source: [127, 0, 0, 1].into() }
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Verified {
    subject: Subject,
    proof: Proof,
    credential: String,
    source: IpAddr,
}

impl Verified {
    /// Who.
    #[must_use]
    pub fn identity(&self) -> &IdentityId {
        &self.subject.identity
    }

    /// Who, with their groups as they were at the proof.
    #[must_use]
    pub fn subject(&self) -> &Subject {
        &self.subject
    }

    /// What was proven, and when.
    #[must_use]
    pub fn proof(&self) -> Proof {
        self.proof
    }

    /// Which credential it was: the key's fingerprint, or `password`.
    #[must_use]
    pub fn credential(&self) -> &str {
        &self.credential
    }

    /// Where from.
    #[must_use]
    pub fn source(&self) -> IpAddr {
        self.source
    }

    /// The same proof with what the store says now. INVARIANT: of the same identity.
    pub(super) fn with_subject(self, subject: Subject) -> Self {
        debug_assert_eq!(self.subject.identity, subject.identity);
        Self { subject: Subject { identity: self.subject.identity, groups: subject.groups }, ..self }
    }
}

/// What somebody shows as their first factor.
#[derive(Debug)]
pub enum Claim<'a> {
    /// A password, as it was typed.
    Password(Secret<String>),
    /// A key, whose signature the door has verified.
    Key(&'a PublicKey),
    /// A certificate, for whose key the door has verified a signature.
    Certificate(&'a Certificate),
}

impl Claim<'_> {
    /// For the audit of a refusal: which kind it would have been is not known then.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Claim::Password(_) => PASSWORD,
            Claim::Key(_) => "key",
            Claim::Certificate(_) => "certificate",
        }
    }
}

impl Identities {
    /// Who has used a passkey, if they still stand. Their passkey is the credential.
    pub(super) async fn verified_by_passkey(
        &self,
        asserted: &Asserted,
        source: IpAddr,
        now: Timestamp,
    ) -> Result<Verified, Refused> {
        let row = self.inner.store.identity(asserted.identity().as_str()).await?.ok_or(Refused::Unknown)?;
        let subject = Standing::of(asserted.identity(), row, now).subject()?;
        let proof = Proof { kind: FactorKind::WebAuthn, at: asserted.at() };
        Ok(Verified { subject, proof, credential: asserted.credential(), source })
    }

    /// A name and what is shown for it.
    pub async fn first_factor(
        &self,
        name: &str,
        claim: Claim<'_>,
        source: IpAddr,
        now: Timestamp,
    ) -> Result<Verified, Refused> {
        match claim {
            Claim::Password(password) => self.first_factor_password(name, password, source, now).await,
            Claim::Key(key) => self.first_factor_key(name, key, source, now).await,
            Claim::Certificate(certificate) => self.first_factor_certificate(name, certificate, source, now).await,
        }
    }

    /// A name and a password. Takes as long for a name that nobody has.
    ///
    /// Wrong ones make the next from the same source wait; nobody else (see `throttle.rs`).
    pub async fn first_factor_password(
        &self,
        name: &str,
        password: Secret<String>,
        source: IpAddr,
        now: Timestamp,
    ) -> Result<Verified, Refused> {
        let throttle = &self.inner.throttle;
        match throttle.admit(name, source, now) {
            Admission::Now => {}
            Admission::After(delay) => tokio::time::sleep(delay).await,
            Admission::Refused { until } => return Err(Refused::TooManyPasswords { until }),
        }
        let row = self.row(name).await?;
        let stored = row.as_ref().and_then(|(_, row)| row.password_hash.clone());
        let asker = match throttle.is_known(name, source, now) {
            true => Asker::Known(network(source)),
            false => Asker::Stranger(network(source)),
        };
        let verdict = self.inner.passwords.check(stored.clone(), password, asker).await?;
        if let PasswordVerdict::Busy = verdict {
            throttle.not_looked_at(name, source);
            return Err(Refused::Busy);
        }
        let (identity, row) = row.ok_or(Refused::Unknown)?;
        let PasswordVerdict::Right { rehashed } = verdict else { return Err(Refused::WrongPassword) };
        let subject = Standing::of(&identity, row, now).subject()?;
        throttle.succeeded(name, source);
        if let (Some(new), Some(old)) = (rehashed, stored) {
            self.inner.store.replace_password_hash(identity.as_str(), &old, &new, now).await?;
        }
        Ok(verified(subject, FactorKind::Password, PASSWORD.to_owned(), source, now))
    }

    /// Whether a key is one of this name's: what a client may learn before it signs. Certificates are not asked here.
    pub async fn key_known(&self, name: &str, key: &PublicKey, now: Timestamp) -> Result<bool, StoreError> {
        if key::factor_of(key.key_data()).is_err() {
            return Ok(false);
        }
        let fingerprint = key::fingerprint(key.key_data());
        let Some((identity, row)) = self.row(name).await? else { return Ok(false) };
        let mine = self.inner.store.has_key(identity.as_str(), &fingerprint).await?;
        let active = matches!(Standing::of(&identity, row, now), Standing::Active { .. });
        Ok(mine && active && self.inner.certificates().key_revoked(&fingerprint).is_none())
    }

    /// A name and a key whose signature the SSH layer has verified. A key cannot be guessed, so nothing is throttled.
    pub async fn first_factor_key(
        &self,
        name: &str,
        key: &PublicKey,
        source: IpAddr,
        now: Timestamp,
    ) -> Result<Verified, Refused> {
        let kind = key::factor_of(key.key_data())?;
        let fingerprint = key::fingerprint(key.key_data());
        let (identity, row) = self.row(name).await?.ok_or(Refused::Unknown)?;
        if !self.inner.store.has_key(identity.as_str(), &fingerprint).await? {
            return Err(Refused::UnknownKey { fingerprint });
        }
        if self.inner.certificates().key_revoked(&fingerprint).is_some() {
            return Err(Refused::RevokedKey { fingerprint });
        }
        let subject = Standing::of(&identity, row, now).subject()?;
        Ok(verified(subject, kind, fingerprint, source, now))
    }

    /// A name and a certificate for whose key the SSH layer has verified a signature. Everything about the certificate
    /// itself is checked here.
    pub async fn first_factor_certificate(
        &self,
        name: &str,
        certificate: &Certificate,
        source: IpAddr,
        now: Timestamp,
    ) -> Result<Verified, Refused> {
        self.inner.certificates().check(certificate, name, source, now)?;
        let (identity, row) = self.row(name).await?.ok_or(Refused::Unknown)?;
        let subject = Standing::of(&identity, row, now).subject()?;
        let credential = key::fingerprint(certificate.public_key());
        Ok(verified(subject, FactorKind::Certificate, credential, source, now))
    }

    /// Whether any user certificate can be a first factor here.
    #[must_use]
    pub fn takes_certificates(&self) -> bool {
        self.inner.certificates().trusts_any()
    }

    async fn row(&self, name: &str) -> Result<Option<(IdentityId, Genuine<IdentityRow>)>, StoreError> {
        let Ok(identity) = IdentityId::try_from(name) else { return Ok(None) };
        let row = self.inner.store.identity(identity.as_str()).await?;
        Ok(row.map(|row| (identity, row)))
    }
}

/// Somebody who has opened an envelope: nobody that is known, under the one name that nobody has.
pub(super) fn verified_by_envelope(glass: IdentityId, opening: &str, source: IpAddr, at: Timestamp) -> Verified {
    let subject = Subject { identity: glass, groups: std::collections::BTreeSet::new() };
    verified(subject, FactorKind::Envelope, format!("opening {opening}"), source, at)
}

fn verified(subject: Subject, kind: FactorKind, credential: String, source: IpAddr, at: Timestamp) -> Verified {
    Verified { subject, proof: Proof { kind, at }, credential, source: source.to_canonical() }
}

/// The credential of a password login, in leases and in the audit.
pub(super) const PASSWORD: &str = "password";
