//! By a passkey alone: it is something that a person has, and unlocks it by something that they know or are (user verification). Both
//! were checked in one ceremony.

use std::net::IpAddr;

use jiff::Timestamp;
use sallyport_policy::FactorKind;
use webauthn_rs::prelude::WebauthnError;

use super::MultiFactor;
use crate::identity::webauthn::Asserted;
use crate::identity::{Identities, Refused};

impl Identities {
    /// Who has used a passkey, and was verified by it: one that verifies nobody is a single factor.
    pub async fn passkey_sign_in(
        &self,
        asserted: &Asserted,
        source: IpAddr,
        now: Timestamp,
    ) -> Result<MultiFactor, Refused> {
        if !asserted.is_verified() {
            return Err(WebauthnError::UserNotVerified.into());
        }
        let first = self.verified_by_passkey(asserted, source, now).await?;
        debug_assert_eq!(first.proof().kind, FactorKind::WebAuthn);
        self.inner.throttle.known_source(first.identity().as_str(), source, now);
        Ok(MultiFactor { proofs: vec![first.proof()], first, lease: None, fresh: true, emergency: None })
    }
}
