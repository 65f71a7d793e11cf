//! `/invitation/SECRET`: how somebody comes to their first factor of the portal.

use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Response, StatusCode};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};

use super::{bare_frame, json, notice, page as draw, passkeys};
use crate::identity;
use crate::login::ceremony;
use crate::portal::audience::{Audience, Pages};
use crate::portal::ceremonies::Ceremony;
use crate::portal::cookie::Cookie;
use crate::portal::line::Line;
use crate::portal::look::{self, Frame, Notice, Shown};
use crate::portal::site::Site;
use crate::vault::Secret;

pub(super) fn routes() -> Pages {
    let routes = Router::new()
        .route("/invitation/{secret}", get(page))
        .route("/invitation/{secret}/passkey/options", post(options))
        .route("/invitation/{secret}/passkey/finish", post(finish));
    Pages::of(Audience::Operators, routes)
}

/// The page.
async fn page(State(site): State<Arc<Site>>, Path(secret): Path<String>, headers: HeaderMap) -> Response<Body> {
    let broker = site.broker();
    let invitation = identity::Invitation::of(&secret);
    let row = match broker.store.invitation(invitation.hash(), broker.now()).await {
        Ok(row) => row,
        Err(error) => {
            crate::logging::counted!(error, "An invitation cannot be looked up", %error);
            return notice::failed(&site, StatusCode::SERVICE_UNAVAILABLE);
        }
    };
    let Some(row) = row else {
        return draw(StatusCode::NOT_FOUND, &Notice::invitation_over(bare_frame(&site)));
    };
    let known = Cookie::of(&headers);
    let cookie = known.clone().unwrap_or_else(Cookie::random);
    let frame = Frame { csrf: site.tokens.token(&cookie), ..bare_frame(&site) };
    let page = look::Invitation {
        frame,
        name: Shown::from(&row.identity),
        by: Shown::from(&row.made_by),
        until: row.expires_at.into(),
        path: format!("/invitation/{secret}"),
        password: has_password(&site, &row.identity).await,
        passkey: true,
        authenticator: false,
        problem: None,
    };
    let mut answer = draw(StatusCode::OK, &page);
    if known.is_none() {
        cookie.set(answer.headers_mut());
    }
    answer
}

/// What the browser is asked, for whoever holds the link, and knows the password where there is one.
async fn options(
    State(site): State<Arc<Site>>,
    Path(secret): Path<String>,
    Extension(line): Extension<Arc<Line>>,
    headers: HeaderMap,
    Json(fields): Json<json::Fields>,
) -> Response<Body> {
    let broker = site.broker();
    let invitation = identity::Invitation::of(&secret);
    let identity = match broker.identities.invited(&invitation, broker.now()).await {
        Ok(Some(identity)) => identity,
        Ok(None) => return json::stale(),
        Err(error) => {
            crate::logging::counted!(error, "An invitation cannot be looked up", %error);
            return json::failed();
        }
    };
    let name = match passkeys::name(&fields.name) {
        Ok(name) => name,
        Err(sentence) => return json::refused(sentence),
    };
    if has_password(&site, identity.as_str()).await {
        let password = Secret::new(fields.password);
        match ceremony::knows_password(site.entrance(), &identity, password, line.source()).await {
            Ok(true) => {}
            Ok(false) => return json::refused("That is not your password."),
            Err(error) => {
                crate::logging::counted!(error, "An invitation could not be audited, so it is refused", %error);
                return json::failed();
            }
        }
    }
    let Some(cookie) = Cookie::of(&headers) else { return json::stale() };
    passkeys::begin(&site, &cookie, identity, name, Some(invitation)).await
}

/// What the authenticator has made.
async fn finish(
    State(site): State<Arc<Site>>,
    Extension(line): Extension<Arc<Line>>,
    headers: HeaderMap,
    Path(secret): Path<String>,
    Json(made): Json<json::Made>,
) -> Response<Body> {
    let Some(cookie) = Cookie::of(&headers) else { return json::stale() };
    let taken = site.ceremonies.take(&cookie, Instant::now());
    let Some(Ceremony::Enrol { enrolling, name, invitation: Some(invitation) }) = taken else { return json::stale() };
    if invitation != identity::Invitation::of(&secret) {
        return json::stale();
    }
    let by = Some((&invitation, line.source()));
    passkeys::enrol(&site, *enrolling, &made.credential, &name, by, "/sign-in").await
}

async fn has_password(site: &Site, identity: &str) -> bool {
    let row = site.broker().store.identity(identity).await;
    // Where that cannot be looked up, a password is asked for, and nothing is accepted without it.
    row.map_or(true, |row| row.is_some_and(|row| row.password_hash.is_some()))
}
