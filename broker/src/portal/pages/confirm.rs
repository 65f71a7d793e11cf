//! `/c/CODE`: an ssh login waits, and its person confirms or refuses it.

use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{Response, StatusCode};
use axum::routing::{get, post};
use axum::{Json, Router};

use super::{frame, json, lead_to, notice, page as draw, passkeys};
use crate::login::ceremony::{self, CeremonyError, Stands, TypedNumber, WaitingLogin};
use crate::portal::audience::{Audience, Pages};
use crate::portal::ceremonies::Ceremony;
use crate::portal::look::{self, Confirm, Place, Shown};
use crate::portal::signed_in::SignedIn;
use crate::portal::site::Site;

/// How long the number is.
const DIGITS: u8 = 3;

pub(super) fn routes() -> Pages {
    let routes = Router::new()
        .route("/c/{code}", get(page))
        .route("/c/{code}/refuse", post(refuse))
        .route("/c/{code}/options", post(options))
        .route("/c/{code}/finish", post(finish));
    Pages::of(Audience::Operators, routes)
}

/// The page.
async fn page(State(site): State<Arc<Site>>, Path(code): Path<String>, person: SignedIn) -> Response<Body> {
    let row = match found(&site, &person, &code).await {
        Ok(Some(row)) => row,
        Ok(None) => return notice::not_found(&site),
        Err(_) => return notice::failed(&site, StatusCode::SERVICE_UNAVAILABLE),
    };
    let state = match row.stands {
        Stands::Waiting => look::State::Waiting(Box::new(login(&row))),
        Stands::Confirmed => look::State::Done,
        Stands::Guessed => look::State::Locked,
        Stands::Refused => look::State::Refused,
        Stands::Over => look::State::Expired,
    };
    let mut frame = frame(&site, &person, Place::Elsewhere).await;
    if let Some(person) = &mut frame.person {
        // It is on the page already.
        person.waiting.retain(|waiting| waiting.path != path(&row));
    }
    draw(StatusCode::OK, &Confirm { frame, state })
}

/// Refuses it: nothing is asked for that.
async fn refuse(State(site): State<Arc<Site>>, Path(code): Path<String>, person: SignedIn) -> Response<Body> {
    let row = match found(&site, &person, &code).await {
        Ok(Some(row)) => row,
        Ok(None) => return notice::not_found(&site),
        Err(_) => return notice::failed(&site, StatusCode::SERVICE_UNAVAILABLE),
    };
    match ceremony::refuse(site.broker(), &row).await {
        Ok(_) => lead_to(&path(&row)),
        Err(error) => {
            crate::logging::counted!(error, "A login could not be refused", %error);
            notice::failed(&site, StatusCode::SERVICE_UNAVAILABLE)
        }
    }
}

/// The number that the terminal shows; if it is right, what the passkey is to sign.
async fn options(
    State(site): State<Arc<Site>>,
    Path(code): Path<String>,
    person: SignedIn,
    Json(fields): Json<json::Fields>,
) -> Response<Body> {
    let row = match found(&site, &person, &code).await {
        Ok(Some(row)) => row,
        Ok(None) => return json::stale(),
        Err(_) => return json::failed(),
    };
    let broker = site.broker();
    match ceremony::number(broker, &row, &fields.number).await {
        Ok(TypedNumber::Right) => {}
        Ok(TypedNumber::Wrong(left)) => return json::wrong_number(left),
        Err(error) => {
            crate::logging::counted!(error, "A number cannot be checked", %error);
            return json::failed();
        }
    }
    match broker.identities.begin_assertion(person.identity(), broker.now()).await {
        Ok((options, asserting)) => {
            let ceremony = Ceremony::Confirm { asserting: Box::new(asserting), login: Box::new(row) };
            site.ceremonies.keep(&person.cookie, ceremony, Instant::now());
            json::options(options)
        }
        Err(refused) => json::refused(refused.sentence()),
    }
}

/// What the passkey has signed.
async fn finish(
    State(site): State<Arc<Site>>,
    Path(code): Path<String>,
    person: SignedIn,
    Json(signed): Json<json::Signed>,
) -> Response<Body> {
    let taken = site.ceremonies.take(&person.cookie, Instant::now());
    let Some(Ceremony::Confirm { asserting, login: row }) = taken else { return json::stale() };
    if row.code != code || row.identity != person.identity().as_str() {
        return json::stale();
    }
    let (broker, source) = (site.broker(), person.line.source());
    let assertion = match broker.identities.finish_assertion(*asserting, &signed.credential, broker.now()).await {
        Ok(assertion) => assertion,
        Err(refused) => return passkeys::refused(&site, person.identity().as_str(), source, &refused).await,
    };
    match ceremony::confirm(broker, &row, &assertion, source).await {
        // Whatever became of it, the page says it.
        Ok(_) => json::next(&path(&row)),
        Err(error) => {
            crate::logging::counted!(error, "A login could not be confirmed", %error);
            json::failed()
        }
    }
}

/// Nobody else's, and nobody learns whether there is one.
async fn found(site: &Site, person: &SignedIn, code: &str) -> Result<Option<WaitingLogin>, CeremonyError> {
    let found = ceremony::by_code(site.broker(), person.identity(), code).await;
    Ok(found.inspect_err(|error| crate::logging::counted!(error, "A login that waits cannot be looked up", %error))?)
}

fn path(row: &WaitingLogin) -> String {
    format!("/c/{}", row.code)
}

fn login(row: &WaitingLogin) -> look::Login {
    look::Login {
        path: path(row),
        name: Shown::from(&row.identity),
        source: Shown::from(&row.source),
        client: Shown::from(&row.client),
        target: Shown::from(&row.target),
        since: row.asked_at.into(),
        until: row.expires_at.into(),
        digits: DIGITS,
        tries_left: u32::try_from(row.tries_left).unwrap_or(0),
        problem: None,
        turned_away: u32::try_from(row.turned_away).unwrap_or(u32::MAX),
    }
}
