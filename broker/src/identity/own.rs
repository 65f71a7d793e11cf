//! What somebody can prove themselves with, as they see it themselves.

use jiff::Timestamp;
use sallyport_policy::IdentityId;

use super::{Identities, Refused};
use crate::store::Listed;
use crate::store::factors::KeyRow;
use crate::store::webauthn::PasskeyRow;

/// The factors of one person that count.
#[derive(Debug)]
pub struct OwnFactors {
    /// Passkeys and security keys, the oldest first.
    pub passkeys: Vec<PasskeyRow>,
    /// Since when there is an authenticator.
    pub authenticator_since: Option<Timestamp>,
    /// How many recovery codes are left.
    pub recovery_codes_left: usize,
    /// SSH keys, the oldest first.
    pub keys: Vec<KeyRow>,
}

impl Identities {
    /// What this person can prove themselves with.
    pub async fn own_factors(&self, identity: &IdentityId) -> Result<OwnFactors, Refused> {
        let (store, name) = (&self.inner.store, identity.as_str());
        let passkeys = store.passkeys(name).await?.into_iter().filter_map(Listed::genuine);
        let keys = store.keys(name).await?.into_iter().filter_map(Listed::genuine);
        Ok(OwnFactors {
            passkeys: passkeys.map(crate::store::Genuine::into_inner).collect(),
            authenticator_since: store.totp(name).await?.map(|totp| totp.enrolled_at),
            recovery_codes_left: store.recovery_codes_left(name).await?,
            keys: keys.map(crate::store::Genuine::into_inner).collect(),
        })
    }
}
