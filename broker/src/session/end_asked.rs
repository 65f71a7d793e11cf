//! The end of live sessions that somebody asks for: on record, and the brokers that carry them are told, wherever they are.

use sallyport_policy::IdentityId;

use crate::audit::{Audit, AuditError, AuditEvent};
use crate::broker::Broker;
use crate::store::end_asked::{AskEnd, EndAsked};
use crate::store::sessions::{NewSession, SessionFilter};
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

/// Asks for the end of sessions, all of them in one transaction with what the record says of it. In the order of the sessions.
pub(crate) async fn ask_ends(
    store: &Store,
    audit: &Audit,
    sessions: &[NewSession],
    wish: &EndAsked,
) -> Result<Vec<AskEnd>, AskError> {
    let mut write = store.begin_write().await?;
    let mut done = Vec::with_capacity(sessions.len());
    for session in sessions {
        let asked = write.ask_session_end(&session.id, wish).await?;
        if asked == AskEnd::Asked {
            let event = AuditEvent::SessionEndRequested {
                session: session.id.clone(),
                identity: session.identity.clone(),
                reason: wish.reason.clone(),
            };
            audit.record_in(&mut write, event).await?;
        }
        done.push(asked);
    }
    write.commit().await?;
    Ok(done)
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
    let wish = EndAsked { at: broker.now(), by: identity.to_string(), reason: None };
    let asked = ask_ends(&broker.store, &broker.audit.by(identity.as_str()), &[session], &wish).await?;
    Ok(asked.iter().all(|asked| match asked {
        AskEnd::Asked | AskEnd::AskedBefore => true,
        AskEnd::Ended | AskEnd::Unknown => false,
    }))
}
