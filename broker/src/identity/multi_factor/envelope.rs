//! By opening a sealed envelope: it stands in for both factors, for what its section names and for as long as that says.

use jiff::Timestamp;
use sallyport_policy::{IdentityId, NameError};

use super::MultiFactor;
use crate::emergency::Opened;
use crate::identity::first_factor::verified_by_envelope;
use crate::store::envelopes::GLASS;

impl MultiFactor {
    /// Whoever has opened an emergency. [`Opened`] is made of nothing less than the codes of its envelopes, after that is on record.
    ///
    /// # Errors
    /// Never, as long as the name of whoever opens one is a name.
    pub(crate) fn by_envelope(opened: Opened, source: std::net::IpAddr, now: Timestamp) -> Result<Self, NameError> {
        let glass = IdentityId::try_from(GLASS)?;
        let first = verified_by_envelope(glass, opened.opening().id(), source, now);
        Ok(Self { proofs: vec![first.proof()], first, lease: None, fresh: false, emergency: Some(opened) })
    }

    /// By whose name connections and sessions are counted. An opening is somebody of its own: what one takes leaves another's alone.
    pub(crate) fn counted_as(&self) -> IdentityId {
        let own = self.emergency.as_ref().and_then(|opened| format!("{GLASS}.{}", opened.opening().id()).parse().ok());
        own.unwrap_or_else(|| self.identity().clone())
    }
}
