//! Who somebody is, and how sure the broker is of it.
//!
//! ```text
//! name + Claim (password, key, certificate) ──► Verified ──Offer (a code, a passkey, a confirmation) | lease──► MultiFactor
//! ```
//!
//! The two types are proofs. [`Verified`] is made in `first_factor.rs` and [`MultiFactor`] in `multi_factor/`, nowhere else:
//! those are the places to audit. A refusal says nothing to the outside ([`Refused::sentence`]) and everything to the log.
//!
//! What is proven here is put on record by `login/`, which knows the connection. What an administrator changes is in `admin.rs`.

pub mod admin;
mod certificate;
mod clock;
mod everybody;
mod first_factor;
mod hashing;
mod invitation;
mod key;
mod multi_factor;
mod own;
mod password;
mod refused;
mod relying_party;
mod second;
mod source;
mod standing;
#[cfg(test)]
pub(crate) mod tests;
mod throttle;
mod webauthn;

use std::fmt;
use std::net::IpAddr;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, PoisonError, RwLock};

pub use certificate::{CertificateFault, CertificateRules, CertificateRulesError, Revoked};
pub use clock::{CLOCK_JUMP, ClockWatch};
pub use everybody::{Accepted, Somebody, everybody};
pub use first_factor::{Claim, Verified};
pub use invitation::Invitation;
pub use key::{KeyFault, KeyLineError, factor_of, fingerprint, parse_line};
pub use multi_factor::{GrantedLease, LeaseId, MultiFactor};
pub use own::{OwnAuthenticator, OwnFactors, OwnPasskey};
pub use password::{PasswordError, WeakPassword, check_strength};
pub use refused::Refused;
pub use relying_party::{RelyingPartyError, RelyingPartySettings};
pub use second::Offer;
pub use source::network;
pub use standing::Standing;
pub use webauthn::{Asserted, Asserting, Discovering, Enrolling, NewPasskey, Signed};

use jiff::Timestamp;

use crate::store::Store;
use crate::vault::Vault;

/// What the configuration says about identities.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The name that authenticator apps show beside the identity.
    pub issuer: String,
    /// Which SSH user certificates are a first factor, and what is revoked.
    pub certificates: CertificateRules,
    /// The name that passkeys are bound to; without a portal there are none.
    pub relying_party: Option<RelyingPartySettings>,
}

/// Why nobody can be identified with these settings.
#[derive(Debug, thiserror::Error)]
pub enum IdentitiesError {
    /// Passwords could not be judged.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// Passkeys could not be checked.
    #[error(transparent)]
    RelyingParty(#[from] RelyingPartyError),
}

/// Everybody the broker knows, and what they can prove. A cheap clone.
#[derive(Clone)]
pub struct Identities {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    vault: Vault,
    /// Which SSH user certificates are a first factor, and what is revoked; renewed while the broker runs.
    certificates: RwLock<Arc<CertificateRules>>,
    passwords: password::Passwords,
    throttle: throttle::Throttle,
    relying_party: Option<relying_party::RelyingParty>,
    /// The clock jumped, and the store has not yet taken that all leases are void.
    clock_distrusted: AtomicBool,
}

impl Identities {
    /// The identities of one database.
    pub fn new(store: Store, vault: Vault, settings: Settings) -> Result<Self, IdentitiesError> {
        let relying_party = settings.relying_party.as_ref().map(relying_party::RelyingParty::new).transpose()?;
        let inner = Inner {
            store,
            vault,
            certificates: RwLock::new(Arc::new(settings.certificates)),
            passwords: password::Passwords::new()?,
            throttle: throttle::Throttle::new(),
            relying_party,
            clock_distrusted: AtomicBool::new(false),
        };
        Ok(Self { inner: Arc::new(inner) })
    }
}

impl Identities {
    /// From now on these certificates are a first factor, and this is revoked. What lives goes on.
    pub(crate) fn renew_certificates(&self, rules: CertificateRules) {
        *self.inner.certificates.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(rules);
    }

    /// Whether this person has lately proven both factors from this address.
    #[must_use]
    pub fn is_known_source(&self, identity: &sallyport_policy::IdentityId, source: IpAddr, now: Timestamp) -> bool {
        self.inner.throttle.is_known(identity.as_str(), source, now)
    }
}

impl Inner {
    fn certificates(&self) -> Arc<CertificateRules> {
        Arc::clone(&self.certificates.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl fmt::Debug for Identities {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Identities").finish_non_exhaustive()
    }
}
