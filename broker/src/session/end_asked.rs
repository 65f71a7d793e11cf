//! The end of a live session that somebody asks for: the record first, then the broker that carries it is told, wherever it is.

use jiff::Timestamp;
use sallyport_policy::IdentityId;

use crate::audit::{Audit, AuditError, AuditEvent};
use crate::broker::Broker;
use crate::store::sessions::{AskEnd, NewSession, SessionFilter};
use crate::store::{Store, StoreError};

/// As many of somebody's own sessions as are told one by one.
const MOST_OWN: u32 = 500;

/// Why nobody was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AskError {
    /// It could not be put on record.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Asks for the end of a session in the name of `by`.
pub(crate) async fn ask_end(
    store: &Store,
    audit: &Audit,
    session: &NewSession,
    by: &str,
    now: Timestamp,
) -> Result<AskEnd, AskError> {
    let event = AuditEvent::SessionEndRequested { session: session.id.clone(), identity: session.identity.clone() };
    audit.record(event).await?;
    Ok(store.ask_session_end(&session.id, by, now).await?)
}

/// Somebody's own live sessions on every broker, the newest first.
pub(crate) async fn own_live(broker: &Broker, identity: &IdentityId) -> Result<Vec<NewSession>, StoreError> {
    let filter = SessionFilter {
        live: true,
        identity: Some(identity.to_string()),
        limit: Some(MOST_OWN),
        ..SessionFilter::default()
    };
    Ok(broker.store.sessions(&filter).await?.into_iter().map(|session| session.start).collect())
}

/// Asks for the end of one of somebody's own live sessions. Says whether there is one of this very id.
pub(crate) async fn end_own(broker: &Broker, identity: &IdentityId, id: &str) -> Result<bool, AskError> {
    let live = own_live(broker, identity).await?;
    let Some(session) = live.into_iter().find(|session| session.id == id) else { return Ok(false) };
    let (audit, by) = (broker.audit.by(identity.as_str()), identity.as_str());
    match ask_end(&broker.store, &audit, &session, by, broker.now()).await? {
        AskEnd::Asked | AskEnd::AskedBefore => Ok(true),
        AskEnd::Ended | AskEnd::Unknown => Ok(false),
    }
}
