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
    /// The authenticator, where there is one.
    pub authenticator: Option<OwnAuthenticator>,
    /// How many recovery codes are left.
    pub recovery_codes_left: usize,
    /// SSH keys, the oldest first.
    pub keys: Vec<KeyRow>,
}

/// An authenticator as its owner sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OwnAuthenticator {
    /// Since when there is one.
    pub since: Timestamp,
    /// Of when the last code is that was used: the step that it spent says so.
    pub used_at: Option<Timestamp>,
}

impl Identities {
    /// What this person can prove themselves with.
    pub async fn own_factors(&self, identity: &IdentityId) -> Result<OwnFactors, Refused> {
        let (store, name) = (&self.inner.store, identity.as_str());
        let passkeys = store.passkeys(name).await?.into_iter().filter_map(Listed::genuine);
        let keys = store.keys(name).await?.into_iter().filter_map(Listed::genuine);
        Ok(OwnFactors {
            passkeys: passkeys.map(crate::store::Genuine::into_inner).collect(),
            authenticator: store
                .totp(name)
                .await?
                .map(|totp| OwnAuthenticator { since: totp.enrolled_at, used_at: totp.settings.begin(totp.last_step) }),
            recovery_codes_left: store.recovery_codes_left(name).await?,
            keys: keys.map(crate::store::Genuine::into_inner).collect(),
        })
    }
}
