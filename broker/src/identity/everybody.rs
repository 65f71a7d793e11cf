//! Everybody at a moment, with the kinds of factor that they could prove: whom a report on access speaks of.

use std::collections::BTreeSet;

use jiff::Timestamp;
use sallyport_policy::{FactorKind, IdentityId, Proof, Subject};

use super::Standing;
use super::relying_party::RelyingPartySettings;
use super::webauthn::{PasskeyWorth, worth};
use crate::config::Config;
use crate::store::everybody::Enrolled;
use crate::store::{Store, StoreError};

/// Somebody as the gate would find them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Somebody {
    /// The name and the groups, which hold also while they are locked.
    pub subject: Subject,
    /// The name for people.
    pub display_name: String,
    /// Whether they may be here.
    pub standing: Standing,
    /// The kinds of factor that they have.
    pub factors: BTreeSet<FactorKind>,
    /// Whether a passkey of theirs stands for both factors.
    pub by_passkey_alone: bool,
}

/// Which factors count, besides keys, passwords and codes: what the configuration says.
#[derive(Debug, Clone, Default)]
pub struct Accepted {
    /// For which portal passkeys count; without one none does.
    pub passkeys: Option<RelyingPartySettings>,
    /// Whether anybody may come with a certificate.
    pub certificates: bool,
}

impl Accepted {
    /// By a configuration.
    #[must_use]
    pub fn by(config: &Config) -> Self {
        let passkeys = config.portal.as_ref().map(RelyingPartySettings::from);
        Self { passkeys, certificates: !config.ssh.user_ca.is_empty() }
    }
}

impl Somebody {
    /// Everything that they could prove, proven at a moment.
    #[must_use]
    pub fn proofs(&self, at: Timestamp) -> Vec<Proof> {
        self.factors.iter().map(|kind| Proof { kind: *kind, at }).collect()
    }

    /// What they cannot log in without, and do not have.
    #[must_use]
    pub fn lacks(&self) -> Option<&'static str> {
        let first = self.by_passkey_alone || self.factors.iter().any(|kind| !kind.is_second());
        let second = self.factors.iter().any(|kind| kind.is_second());
        match (first, second) {
            (true, true) => None,
            (true, false) => Some("no second factor"),
            (false, true) => Some("no first factor"),
            (false, false) => Some("no factor"),
        }
    }
}

/// Everybody that there is at a moment, by name; not who was removed.
pub async fn everybody(store: &Store, accepted: &Accepted, at: Timestamp) -> Result<Vec<Somebody>, StoreError> {
    let everybody = store.everybody().await?;
    Ok(everybody.into_iter().filter_map(|enrolled| known(enrolled, accepted, at)).collect())
}

fn known(enrolled: Enrolled, accepted: &Accepted, at: Timestamp) -> Option<Somebody> {
    let identity = IdentityId::try_from(enrolled.id.as_str()).ok()?;
    let passkey = best_passkey(&enrolled, accepted);
    let factors = factors(&enrolled, passkey, accepted);
    let by_passkey_alone = passkey == Some(PasskeyWorth::BothFactors);
    let (subject, display_name, standing) = match enrolled.identity {
        Some(row) => {
            let subject = Subject { identity: identity.clone(), groups: row.member_of.clone() };
            (subject, row.display_name.clone(), Standing::of(&identity, row, at))
        }
        None => (Subject { identity, groups: BTreeSet::new() }, String::new(), Standing::Unknown),
    };
    let removed = standing == Standing::Removed;
    (!removed).then_some(Somebody { subject, display_name, standing, factors, by_passkey_alone })
}

fn best_passkey(enrolled: &Enrolled, accepted: &Accepted) -> Option<PasskeyWorth> {
    let settings = accepted.passkeys.as_ref()?;
    enrolled.passkeys.iter().filter_map(|row| worth(settings, row)).max()
}

fn factors(enrolled: &Enrolled, passkey: Option<PasskeyWorth>, accepted: &Accepted) -> BTreeSet<FactorKind> {
    let mut factors: BTreeSet<FactorKind> = enrolled.keys.iter().map(|key| key.kind).collect();
    let password = enrolled.identity.as_ref().is_some_and(|row| row.password_hash.is_some());
    let there = [
        (FactorKind::Password, password),
        (FactorKind::Certificate, accepted.certificates),
        (FactorKind::Totp, enrolled.totp.is_some()),
        (FactorKind::WebAuthn, passkey.is_some()),
        (FactorKind::RecoveryCode, enrolled.recovery_codes_left > 0),
    ];
    factors.extend(there.into_iter().filter(|(_, there)| *there).map(|(kind, _)| kind));
    factors
}
