//! `/factors`: what somebody proves themselves with.

use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{Response, StatusCode};
use axum::routing::{get, post};
use axum::{Json, Router};

use super::{frame, json, lead_to, notice, page as draw, passkeys};
use crate::identity::Refused;
use crate::identity::admin::{Admin, AdminError};
use crate::portal::audience::{Audience, Pages};
use crate::portal::ceremonies::Ceremony;
use crate::portal::look::{Authenticator, Factors, Passkey, Place, ProveAgain, Shown, SshKey, words};
use crate::portal::signed_in::SignedIn;
use crate::portal::site::Site;

/// Where they are shown, and where a second factor is asked for before any is changed.
pub(super) const HERE: &str = "/factors";

pub(super) fn routes() -> Pages {
    let routes = Router::new()
        .route(HERE, get(page))
        .route("/factors/passkey/options", post(passkey_options))
        .route("/factors/passkey/finish", post(passkey_finish))
        .route("/factors/passkey/{credential}/remove", post(passkey_remove));
    Pages::of(Audience::Operators, routes)
}

/// The page.
async fn page(State(site): State<Arc<Site>>, person: SignedIn) -> Response<Body> {
    show(&site, &person, StatusCode::OK, None).await
}

/// The page, with why the last proof did not do.
pub(super) async fn show(site: &Site, person: &SignedIn, status: StatusCode, problem: Option<&str>) -> Response<Body> {
    match shown(site, person, problem).await {
        Ok(page) => draw(status, &page),
        Err(error) => {
            crate::logging::counted!(error, "Somebody's factors cannot be looked up", %error);
            notice::failed(site, StatusCode::SERVICE_UNAVAILABLE)
        }
    }
}

async fn shown(site: &Site, person: &SignedIn, problem: Option<&str>) -> Result<Factors, Refused> {
    let own = site.broker().identities.own_factors(person.identity()).await?;
    Ok(Factors {
        frame: frame(site, person, Place::Factors).await,
        prove: (!person.is_fresh(site)).then(|| ProveAgain {
            key: own.has_passkey(),
            code: own.authenticator.is_some(),
            problem: problem.map(str::to_owned),
        }),
        passkeys: own
            .passkeys
            .iter()
            .map(|passkey| Passkey {
                id: passkey.credential.clone(),
                name: Shown::from(&passkey.name),
                added: passkey.added_at.into(),
                used: passkey.used_at.map(Into::into),
                counts: passkey.counts,
                removable: own.has_another_than(passkey),
            })
            .collect(),
        authenticator: own
            .authenticator
            .map(|app| Authenticator { added: app.since.into(), used: app.used_at.map(Into::into) }),
        recovery_left: own.recovery_codes_left,
        ssh_keys: own
            .keys
            .iter()
            .map(|key| SshKey { fingerprint: Shown::from(&key.fingerprint), added: key.added_at.into() })
            .collect(),
    })
}

/// One more passkey: asked of somebody who has lately proven two factors.
async fn passkey_options(
    State(site): State<Arc<Site>>,
    person: SignedIn,
    Json(fields): Json<json::Fields>,
) -> Response<Body> {
    if !person.is_fresh(&site) {
        return json::refused(words::PROVE_AGAIN);
    }
    match passkeys::name(&fields.name) {
        Ok(name) => passkeys::begin(&site, &person.cookie, person.identity().clone(), name, None).await,
        Err(sentence) => json::refused(sentence),
    }
}

/// What the authenticator has made.
async fn passkey_finish(
    State(site): State<Arc<Site>>,
    person: SignedIn,
    Json(made): Json<json::Made>,
) -> Response<Body> {
    match site.ceremonies.take(&person.cookie, Instant::now()) {
        Some(Ceremony::Enrol { enrolling, name, invitation: None }) => {
            passkeys::enrol(&site, *enrolling, &made.credential, &name, None, "/factors").await
        }
        _ => json::stale(),
    }
}

/// Takes a passkey away, unless it is the last second factor.
async fn passkey_remove(
    State(site): State<Arc<Site>>,
    Path(credential): Path<String>,
    person: SignedIn,
) -> Response<Body> {
    if !person.is_fresh(&site) {
        return lead_to(HERE);
    }
    let broker = site.broker();
    match admin(&site, &person)
        .remove_own_passkey(&broker.identities, person.identity(), &credential, broker.now())
        .await
    {
        // The last one stays, and the page says why.
        Ok(()) | Err(AdminError::LastFactor) => lead_to("/factors"),
        Err(error) if error.is_missing() => notice::not_found(&site),
        Err(error) => {
            tracing::warn!(%error, identity = %person.identity(), "A passkey was not removed");
            notice::failed(&site, StatusCode::SERVICE_UNAVAILABLE)
        }
    }
}

/// Somebody who changes their own factors.
pub(super) fn admin(site: &Site, person: &SignedIn) -> Admin {
    let (broker, by) = (site.broker(), person.identity().as_str());
    Admin::new(broker.store.clone(), broker.vault.clone(), broker.audit.by(by), by)
}
