//! Somebody's own live sessions and leases: to see, and to end.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{Response, StatusCode};
use axum::routing::{get, post};
use jiff::Timestamp;
use tokio::time::{sleep, timeout};

use super::{frame, lead_to, leases, notice, page};
use crate::identity::Refused;
use crate::logging::counted;
use crate::login::lease;
use crate::portal::audience::{Audience, Pages};
use crate::portal::look;
use crate::portal::signed_in::SignedIn;
use crate::portal::site::Site;
use crate::session;
use crate::store::leases::LeaseRow;
use crate::store::sessions::NewSession;

const HERE: &str = "/sessions";
/// What somebody ends has ended within a second; a page waits no longer for it.
const TO_END: Duration = Duration::from_secs(1);
const LOOK_FOR_THE_END: Duration = Duration::from_millis(50);

pub(super) fn routes() -> Pages {
    let routes = Router::new()
        .route(HERE, get(list))
        .route("/sessions/{id}/end", post(end_session))
        .route("/leases/{id}/end", post(end_lease));
    Pages::of(Audience::Operators, routes)
}

async fn list(State(site): State<Arc<Site>>, signed_in: SignedIn) -> Response<Body> {
    match own(&site, &signed_in).await {
        Ok(sessions) => page(StatusCode::OK, &sessions),
        Err(error) => {
            counted!(warn, "Somebody's own sessions could not be read", %error);
            notice::failed(&site, StatusCode::SERVICE_UNAVAILABLE)
        }
    }
}

async fn own(site: &Site, signed_in: &SignedIn) -> Result<look::Sessions, Refused> {
    let (broker, identity) = (site.broker(), signed_in.identity());
    let (sessions, leases) = (session::own_live(broker, identity).await?, lease::own(broker, identity).await?);
    let now = broker.now();
    Ok(look::Sessions {
        frame: frame(site, signed_in, look::Place::Sessions).await,
        sessions: sessions.iter().map(live).collect(),
        leases: leases.iter().map(|lease| mine(lease, now)).collect(),
        new: leases::choices(site, signed_in).await?,
    })
}

fn live(session: &NewSession) -> look::LiveSession {
    look::LiveSession {
        id: session.id.clone(),
        target: format!("{}@{}", session.account, session.asset).into(),
        service: (&session.service).into(),
        source: (&session.source).into(),
        since: session.started_at.into(),
        span: None,
    }
}

fn mine(lease: &LeaseRow, now: Timestamp) -> look::MyLease {
    look::MyLease {
        id: lease.id.clone(),
        credential: (&lease.credential).into(),
        source: (&lease.source).into(),
        factor: lease.factor.to_string().into(),
        span: look::Span::new(lease.proved_at, lease.expires_at, now),
    }
}

async fn end_session(State(site): State<Arc<Site>>, signed_in: SignedIn, Path(id): Path<String>) -> Response<Body> {
    match session::end_own(site.broker(), signed_in.identity(), &id).await {
        Ok(true) => {
            // In vain: it ends all the same, and is shown until it has.
            drop(timeout(TO_END, gone(&site, &signed_in, &id)).await);
            lead_to(HERE)
        }
        // One that has just ended by itself is as they wished; another person's is not there.
        Ok(false) => lead_to(HERE),
        Err(error) => {
            counted!(warn, "The end of somebody's own session could not be asked for", %error);
            notice::failed(&site, StatusCode::SERVICE_UNAVAILABLE)
        }
    }
}

/// Waits until a session lives no more, so that the page that follows does not show what was just ended.
async fn gone(site: &Site, signed_in: &SignedIn, id: &str) {
    // A failure is the page's to tell.
    while let Ok(live) = session::own_live(site.broker(), signed_in.identity()).await {
        if live.iter().all(|session| session.id != id) {
            return;
        }
        sleep(LOOK_FOR_THE_END).await;
    }
}

async fn end_lease(State(site): State<Arc<Site>>, signed_in: SignedIn, Path(id): Path<String>) -> Response<Body> {
    match lease::revoke_own(site.broker(), signed_in.identity(), &id).await {
        Ok(true | false) => lead_to(HERE),
        Err(error) => {
            counted!(warn, "Somebody's own lease could not be revoked", %error);
            notice::failed(&site, StatusCode::SERVICE_UNAVAILABLE)
        }
    }
}
