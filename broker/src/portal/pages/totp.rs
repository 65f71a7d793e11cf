//! `/factors/totp` and `/factors/recovery`: an authenticator app, which counts once a code of it was given, and the codes for the day it is lost.

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::body::Body;
use axum::extract::{Form, State};
use axum::http::{Response, StatusCode};
use axum::routing::{get, post};
use data_encoding::BASE32_NOPAD;
use serde::Deserialize;

use super::{factors, frame, lead_to, notice, page as draw};
use crate::identity::admin::AdminError;
use crate::portal::audience::{Audience, Pages};
use crate::portal::ceremonies::Ceremony;
use crate::portal::look::{Place, Qr, Recovery, Totp, words};
use crate::portal::signed_in::SignedIn;
use crate::portal::site::Site;
use crate::totp::TotpSettings;
use crate::vault::Secret;

/// What authenticator apps show.
const ISSUER: &str = "Sallyport";

pub(super) fn routes() -> Pages {
    let routes =
        Router::new().route("/factors/totp", get(begin).post(prove)).route("/factors/recovery", post(recovery));
    Pages::of(Audience::Operators, routes)
}

/// A new seed, which is kept nowhere until it is proven.
async fn begin(State(site): State<Arc<Site>>, person: SignedIn) -> Response<Body> {
    if !person.is_fresh(&site) {
        return lead_to(factors::HERE);
    }
    show(&site, &person, TotpSettings::default().new_seed(), None).await
}

async fn show(site: &Site, person: &SignedIn, seed: Secret<Vec<u8>>, problem: Option<&str>) -> Response<Body> {
    let (settings, broker) = (TotpSettings::default(), site.broker());
    let issuer = format!("{ISSUER} {}", broker.config.name);
    let uri = settings.uri(&issuer, person.identity().as_str(), &seed);
    let (Ok(qr), Ok(replaces)) = (Qr::of(uri.expose()), broker.identities.has_authenticator(person.identity()).await)
    else {
        return notice::failed(site, StatusCode::SERVICE_UNAVAILABLE);
    };
    let secret = BASE32_NOPAD.encode(seed.expose());
    let grouped = secret.as_bytes().chunks(4).map(|four| String::from_utf8_lossy(four).into_owned());
    let page = Totp {
        frame: frame(site, person, Place::Factors).await,
        qr,
        secret: grouped.collect::<Vec<_>>().join(" "),
        digits: 6,
        action: "/factors/totp".to_owned(),
        back: "/factors".to_owned(),
        replaces,
        problem: problem.map(ToOwned::to_owned),
    };
    site.ceremonies.keep(&person.cookie, Ceremony::Totp(seed), Instant::now());
    draw(StatusCode::OK, &page)
}

#[derive(Deserialize)]
struct Typed {
    code: String,
}

/// The code of it. What an authenticator before it proved counts no more, this sign-in with it. However long the page stood open: whoever
/// finds it so, and has scanned what it shows, adds nothing.
async fn prove(State(site): State<Arc<Site>>, person: SignedIn, Form(typed): Form<Typed>) -> Response<Body> {
    if !person.is_fresh(&site) {
        return lead_to(factors::HERE);
    }
    let Some(Ceremony::Totp(seed)) = site.ceremonies.take(&person.cookie, Instant::now()) else {
        return lead_to("/factors/totp");
    };
    let (admin, now) = (factors::admin(&site, &person), site.broker().now());
    match admin
        .enroll_proven_totp(person.identity(), TotpSettings::default(), &seed, Secret::new(typed.code).expose(), now)
        .await
    {
        Ok(()) => lead_to("/factors"),
        Err(AdminError::WrongCode) => show(&site, &person, seed, Some(words::WRONG_CODE)).await,
        Err(error) => {
            crate::logging::counted!(error, "An authenticator could not be enrolled", %error);
            notice::failed(&site, StatusCode::SERVICE_UNAVAILABLE)
        }
    }
}

/// New recovery codes, shown once.
async fn recovery(State(site): State<Arc<Site>>, person: SignedIn) -> Response<Body> {
    if !person.is_fresh(&site) {
        return lead_to(factors::HERE);
    }
    match factors::admin(&site, &person).new_recovery_codes(person.identity()).await {
        Ok(codes) => {
            let page = Recovery {
                frame: frame(&site, &person, Place::Factors).await,
                name: person.identity().as_str().into(),
                made: site.broker().now().into(),
                codes: codes.iter().map(|code| code.expose().clone()).collect(),
                next: "/factors".to_owned(),
            };
            draw(StatusCode::OK, &page)
        }
        // There is no authenticator that they could stand in for.
        Err(AdminError::NoAuthenticator(_)) => lead_to("/factors/totp"),
        Err(error) => {
            crate::logging::counted!(error, "Recovery codes could not be made", %error);
            notice::failed(&site, StatusCode::SERVICE_UNAVAILABLE)
        }
    }
}
