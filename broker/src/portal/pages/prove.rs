//! Before a factor is added or removed: whoever sits at a browser that was left open proves that it is they who are signed in.
//! It is asked for on the page of factors itself.

use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use axum::extract::{Form, State};
use axum::http::{Response, StatusCode};
use axum::routing::post;
use axum::{Json, Router};
use serde::Deserialize;

use super::{factors, json, lead_to, passkeys};
use crate::identity::{MultiFactor, Offer};
use crate::login::{ceremony, step_up};
use crate::portal::audience::{Audience, Pages};
use crate::portal::ceremonies::Ceremony;
use crate::portal::signed_in::SignedIn;
use crate::portal::site::Site;
use crate::vault::Secret;

pub(super) fn routes() -> Pages {
    let routes = Router::new()
        .route("/factors/prove", post(code))
        .route("/factors/prove/options", post(options))
        .route("/factors/prove/finish", post(finish));
    Pages::of(Audience::Operators, routes)
}

#[derive(Deserialize)]
struct Typed {
    code: String,
}

/// By a code.
async fn code(State(site): State<Arc<Site>>, person: SignedIn, Form(typed): Form<Typed>) -> Response<Body> {
    let code = Secret::new(typed.code);
    match prove(&site, &person, Offer::Code(code.expose())).await {
        Ok(()) => lead_to(factors::HERE),
        Err(sentence) => factors::show(&site, &person, StatusCode::FORBIDDEN, Some(sentence)).await,
    }
}

/// By a passkey: what it is to sign.
async fn options(State(site): State<Arc<Site>>, person: SignedIn) -> Response<Body> {
    let broker = site.broker();
    match broker.identities.begin_assertion(person.identity(), broker.now()).await {
        Ok((options, asserting)) => {
            site.ceremonies.keep(&person.cookie, Ceremony::Prove(Box::new(asserting)), Instant::now());
            json::options(options)
        }
        Err(refused) => json::refused(refused.sentence()),
    }
}

/// What it has signed.
async fn finish(State(site): State<Arc<Site>>, person: SignedIn, Json(signed): Json<json::Signed>) -> Response<Body> {
    let taken = site.ceremonies.take(&person.cookie, Instant::now());
    let Some(Ceremony::Prove(asserting)) = taken else { return json::stale() };
    let (broker, source) = (site.broker(), person.line.source());
    let assertion = match broker.identities.finish_assertion(*asserting, &signed.credential, broker.now()).await {
        Ok(assertion) => assertion,
        Err(refusal) => return passkeys::refused(&site, person.identity().as_str(), source, &refusal).await,
    };
    if let Err(error) = ceremony::asserted(broker, &assertion, source, "to change factors".to_owned()).await {
        crate::logging::counted!(error, "A proof could not be audited, so it does not count", %error);
        return json::failed();
    }
    match prove(&site, &person, Offer::Assertion(&assertion)).await {
        Ok(()) => json::next(factors::HERE),
        Err(sentence) => json::refused(sentence),
    }
}

/// What was proven takes the place of what was before; the sign-in lasts no longer for it.
async fn prove(site: &Site, person: &SignedIn, offer: Offer<'_>) -> Result<(), &'static str> {
    let proof: MultiFactor = step_up::proven_again(site.broker(), &person.proof, person.line.source(), offer).await?;
    site.signed_in.replace(&person.cookie, Arc::new(proof), Instant::now());
    Ok(())
}
