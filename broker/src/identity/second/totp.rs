//! A code of an authenticator app (RFC 6238). Each step counts once, on every broker of the installation.

use jiff::Timestamp;
use sallyport_policy::IdentityId;

use crate::identity::{Identities, Refused};
use crate::store::factors::TotpRow;
use crate::store::{StoreError, micros};
use crate::totp::Match;

impl Identities {
    /// Whether this identity has an authenticator that counts.
    pub async fn has_authenticator(&self, identity: &IdentityId) -> Result<bool, StoreError> {
        Ok(self.inner.store.totp(identity.as_str()).await?.is_some())
    }

    pub(super) async fn spend_totp(
        &self,
        identity: &IdentityId,
        totp: &TotpRow,
        code: &str,
        now: Timestamp,
    ) -> Result<(), Refused> {
        let seed = self.inner.vault.open_totp_seed(identity.as_str(), &totp.sealed_seed)?;
        match totp.settings.matching(&seed, code, now, totp.last_step) {
            // Looked for whatever was typed, and told the auditor alone.
            Match::None => Err(totp
                .settings
                .nearby(&seed, code, now)
                .map_or(Refused::WrongCode, |steps| Refused::WrongCodeByClock { steps })),
            Match::Used => Err(Refused::UsedCode),
            Match::Step(step) => {
                // The one statement that decides between two brokers that see the same code at the same instant.
                let spent = self.inner.store.spend_step(identity.as_str(), step, micros(totp.enrolled_at)).await?;
                if spent { Ok(()) } else { Err(Refused::UsedCode) }
            }
        }
    }
}
