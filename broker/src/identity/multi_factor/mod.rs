//! Two factors of different kinds, one of them TOTP or WebAuthn. Everything that makes a [`MultiFactor`] is in this folder, a file
//! for each way: the places to audit.

mod envelope;
mod lease;
mod passkey;
mod proven;
mod standing;

use std::net::IpAddr;
use std::sync::Arc;

use sallyport_policy::{IdentityId, Proof, Subject};

pub use lease::{GrantedLease, LeaseId};

use super::first_factor::Verified;
use crate::emergency::{Opened, Opening};

/// Two factors of different kinds were verified: a session may be authenticated with this, and with nothing else.
///
/// INVARIANT: `proofs` holds a first factor, and a second one that is TOTP, WebAuthn or a recovery code in place of TOTP; or a
/// passkey with user verification alone, which is both; or the code of an envelope, with the emergency that it has opened.
///
/// Whoever has one can read it:
///
/// ```
/// fn proofs(multi_factor: &sallyport::identity::MultiFactor) -> &[sallyport_policy::Proof] {
///     multi_factor.proofs()
/// }
/// ```
///
/// Nobody else can make one:
///
/// ```compile_fail
/// fn forge(verified: sallyport::identity::Verified) -> sallyport::identity::MultiFactor {
///     sallyport::identity::MultiFactor { first: verified, proofs: Vec::new(), lease: None, fresh: true, emergency: None }
/// }
/// ```
#[derive(Clone, Debug)]
pub struct MultiFactor {
    first: Verified,
    proofs: Vec<Proof>,
    lease: Option<LeaseId>,
    /// The second factor was proven itself, and no lease was granted for it yet.
    fresh: bool,
    /// What an envelope has opened.
    emergency: Option<Opened>,
}

impl MultiFactor {
    /// Who.
    #[must_use]
    pub fn identity(&self) -> &IdentityId {
        self.first.identity()
    }

    /// Who, with their groups as they were at the proof.
    #[must_use]
    pub fn subject(&self) -> &Subject {
        self.first.subject()
    }

    /// Everything that was proven, each with its own time. A lease keeps the time of the proof that began it.
    #[must_use]
    pub fn proofs(&self) -> &[Proof] {
        &self.proofs
    }

    /// The second factor that was proven last.
    #[must_use]
    pub fn second(&self) -> Option<Proof> {
        self.proofs.iter().filter(|proof| proof.kind.is_second()).max_by_key(|proof| proof.at).copied()
    }

    /// The emergency that this is the key to, and to nothing else.
    #[must_use]
    pub(crate) fn emergency(&self) -> Option<&Arc<Opening>> {
        self.emergency.as_ref().map(Opened::opening)
    }

    /// The lease that stood in for the second factor, or that was granted for it.
    #[must_use]
    pub fn lease(&self) -> Option<&LeaseId> {
        self.lease.as_ref()
    }

    /// Which credential was the first factor: the key's fingerprint, or `password`.
    #[must_use]
    pub fn credential(&self) -> &str {
        self.first.credential()
    }

    /// The first factor, as it was proven.
    #[must_use]
    pub fn first(&self) -> &Verified {
        &self.first
    }

    /// Where from.
    #[must_use]
    pub fn source(&self) -> IpAddr {
        self.first.source()
    }
}
