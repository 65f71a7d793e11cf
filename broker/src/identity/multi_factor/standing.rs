//! By having proven both factors before, where what was proven still stands: asked again and again while somebody is signed in.

use jiff::Timestamp;

use super::MultiFactor;
use crate::identity::{Identities, Refused};

impl Identities {
    /// The same proof, of the same age, with the groups of now. Not for somebody who was locked out, and not where the lease that was
    /// entered with it was revoked: by hand, or with a factor that it was made with.
    pub async fn still_proven(&self, multi_factor: &MultiFactor, now: Timestamp) -> Result<MultiFactor, Refused> {
        self.settle_clock(now).await?;
        let first = self.still_standing(&multi_factor.first, now).await?;
        let lease = multi_factor.lease.as_ref().ok_or(Refused::Withdrawn)?;
        let entered = self.inner.store.find_lease(lease.as_str()).await?;
        match entered {
            Some(row) if row.revoked.is_none() => Ok(MultiFactor { first, ..multi_factor.clone() }),
            Some(_) | None => Err(Refused::Withdrawn),
        }
    }
}
