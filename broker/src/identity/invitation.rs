//! What an invitation's link holds: 128 random bits, of which only a hash is kept.

use aws_lc_rs::digest;
use data_encoding::{BASE32_NOPAD, HEXLOWER};
use jiff::Timestamp;
use sallyport_policy::IdentityId;

use super::Identities;
use super::standing::Standing;
use crate::store::StoreError;
use crate::vault::Secret;

/// An invitation as the broker knows it: a hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invitation(String);

impl Invitation {
    /// A new one, and what opens it.
    pub(super) fn new() -> (Secret<String>, Self) {
        let mut random = [0_u8; 16];
        rand::fill(random.as_mut_slice());
        let secret = Secret::new(BASE32_NOPAD.encode(&random).to_lowercase());
        let invitation = Self::of(secret.expose());
        (secret, invitation)
    }

    /// The one that this opens.
    #[must_use]
    pub fn of(secret: &str) -> Self {
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(b"sallyport invitation v1\0");
        context.update(secret.as_bytes());
        Self(HEXLOWER.encode(context.finish().as_ref()))
    }

    /// SHA-256, in hex: what is stored, and what the audit names.
    #[must_use]
    pub fn hash(&self) -> &str {
        &self.0
    }
}

impl Identities {
    /// Who is invited, where the invitation still counts, and so does the person.
    pub async fn invited(&self, invitation: &Invitation, now: Timestamp) -> Result<Option<IdentityId>, StoreError> {
        let Some(row) = self.inner.store.invitation(invitation.hash(), now).await? else { return Ok(None) };
        let Ok(identity) = row.identity.parse::<IdentityId>() else { return Ok(None) };
        let Some(person) = self.inner.store.identity(identity.as_str()).await? else { return Ok(None) };
        Ok(Standing::of(&identity, person, now).subject().is_ok().then_some(identity))
    }
}
