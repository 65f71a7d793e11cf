//! What somebody can prove themselves with, as they see it themselves.

use jiff::Timestamp;
use sallyport_policy::IdentityId;

use super::{Identities, Refused};
use crate::store::Listed;
use crate::store::factors::KeyRow;
use crate::store::webauthn::PasskeyRow;

/// The factors of one person.
#[derive(Debug)]
pub struct OwnFactors {
    /// Passkeys and security keys, the oldest first.
    pub passkeys: Vec<OwnPasskey>,
    /// The authenticator, where there is one.
    pub authenticator: Option<OwnAuthenticator>,
    /// How many recovery codes are left.
    pub recovery_codes_left: usize,
    /// SSH keys, the oldest first.
    pub keys: Vec<KeyRow>,
}

/// A passkey or security key as its owner sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnPasskey {
    /// The credential's id, in base64url.
    pub credential: String,
    /// How its owner calls it.
    pub name: String,
    /// Since when.
    pub added_at: Timestamp,
    /// When it was last used.
    pub used_at: Option<Timestamp>,
    /// Whether it would be accepted. One that asks for no PIN need not be.
    pub counts: bool,
}

/// An authenticator as its owner sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OwnAuthenticator {
    /// Since when there is one.
    pub since: Timestamp,
    /// Of when the last code is that was used: the step that it spent says so.
    pub used_at: Option<Timestamp>,
}

impl OwnFactors {
    /// Whether a passkey of theirs would be accepted.
    #[must_use]
    pub fn has_passkey(&self) -> bool {
        self.passkeys.iter().any(|passkey| passkey.counts)
    }

    /// Whether another second factor than this passkey would be accepted.
    #[must_use]
    pub fn has_another_than(&self, passkey: &OwnPasskey) -> bool {
        let other = |known: &OwnPasskey| known.counts && known.credential != passkey.credential;
        self.authenticator.is_some() || self.passkeys.iter().any(other)
    }
}

impl Identities {
    /// What this person can prove themselves with.
    pub async fn own_factors(&self, identity: &IdentityId) -> Result<OwnFactors, Refused> {
        let (store, name) = (&self.inner.store, identity.as_str());
        let passkeys = store.passkeys(name).await?.into_iter().filter_map(Listed::genuine);
        let keys = store.keys(name).await?.into_iter().filter_map(Listed::genuine);
        Ok(OwnFactors {
            passkeys: passkeys.map(|row| self.own_passkey(row.into_inner())).collect(),
            authenticator: store
                .totp(name)
                .await?
                .map(|totp| OwnAuthenticator { since: totp.enrolled_at, used_at: totp.settings.begin(totp.last_step) }),
            recovery_codes_left: store.recovery_codes_left(name).await?,
            keys: keys.map(crate::store::Genuine::into_inner).collect(),
        })
    }

    fn own_passkey(&self, row: PasskeyRow) -> OwnPasskey {
        let counts = self.counts(&row);
        let PasskeyRow { credential, name, added_at, used_at, .. } = row;
        OwnPasskey { credential, name, added_at, used_at, counts }
    }
}
