//! What several pages do with passkeys, and signing in with one.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Response};
use axum::routing::post;
use axum::{Extension, Json, Router};
use sallyport_policy::IdentityId;
use webauthn_rs::prelude::RegisterPublicKeyCredential;

use super::{json, next};
use crate::identity::admin::{Admin, AdminError};
use crate::identity::{Enrolling, Invitation, Offer, Refused};
use crate::login::{SecondStep, ceremony, signed_in_by_passkey};
use crate::portal::answer::too_many;
use crate::portal::audience::{Audience, Pages};
use crate::portal::ceremonies::Ceremony;
use crate::portal::cookie::Cookie;
use crate::portal::jar::Taken;
use crate::portal::line::Line;
use crate::portal::site::{Pending, Site};

/// The longest name of a passkey.
const LONGEST_NAME: usize = 64;

pub(super) fn routes() -> Pages {
    let routes = Router::new()
        .route("/sign-in/passkey/options", post(options))
        .route("/sign-in/passkey/finish", post(finish))
        .route("/sign-in/key/options", post(second_options))
        .route("/sign-in/key/finish", post(second_finish));
    Pages::of(Audience::Operators, routes)
}

/// How somebody calls their passkey.
///
/// # Errors
/// A sentence for them.
pub(super) fn name(typed: &str) -> Result<String, &'static str> {
    let name = typed.trim();
    if name.is_empty() {
        return Err("Give it a name, to know it by later.");
    }
    if name.chars().count() > LONGEST_NAME || !name.chars().all(sallyport_plain::is_plain) {
        return Err("That is no name for it: up to 64 letters, digits and signs.");
    }
    Ok(name.to_owned())
}

/// Begins to enrol a passkey.
pub(super) async fn begin(
    site: &Site,
    cookie: &Cookie,
    identity: IdentityId,
    name: String,
    invitation: Option<Invitation>,
) -> Response<Body> {
    let broker = site.broker();
    match broker.identities.begin_enrolment(&identity, "", broker.now()).await {
        Ok((options, enrolling)) => {
            let ceremony = Ceremony::Enrol { enrolling: Box::new(enrolling), name, invitation };
            site.ceremonies.keep(cookie, ceremony, Instant::now());
            json::options(options)
        }
        Err(refused) => json::refused(refused.sentence()),
    }
}

/// Stores what an authenticator has made.
pub(super) async fn enrol(
    site: &Site,
    enrolling: Enrolling,
    made: &RegisterPublicKeyCredential,
    name: &str,
    invitation: Option<(&Invitation, IpAddr)>,
    next: &str,
) -> Response<Body> {
    let broker = site.broker();
    let now = broker.now();
    let new = match broker.identities.finish_enrolment(enrolling, made, now).await {
        Ok(new) => new,
        Err(refused) => {
            tracing::info!(%refused, "A passkey was not enrolled");
            return if refused.is_trouble() { json::failed() } else { json::refused(refused.sentence()) };
        }
    };
    let by = new.identity.as_str();
    let admin = Admin::new(broker.store.clone(), broker.vault.clone(), broker.audit.by(by), by);
    match admin.add_passkey(&new, name, invitation, now).await {
        Ok(()) => json::next(next),
        Err(error @ AdminError::NotInvited) => json::refused(&error.to_string()),
        Err(error) if error.is_taken() => json::refused("This passkey is or was somebody's already. Use another one."),
        Err(error) => {
            crate::logging::counted!(error, "A passkey could not be stored", %error);
            json::failed()
        }
    }
}

/// Puts on the record that a passkey was refused, and says so.
pub(super) async fn refused(site: &Site, identity: &str, source: IpAddr, refused: &Refused) -> Response<Body> {
    tracing::info!(identity, %source, %refused, "A passkey was refused");
    match ceremony::refused(site.broker(), identity, source, refused).await {
        Ok(()) if refused.is_trouble() => json::failed(),
        Ok(()) => json::refused(refused.sentence()),
        Err(error) => {
            crate::logging::counted!(error, "That a passkey was refused could not be audited", %error);
            json::failed()
        }
    }
}

/// Whoever has a passkey is asked to use it.
async fn options(State(site): State<Arc<Site>>, headers: HeaderMap) -> Response<Body> {
    let Some(cookie) = Cookie::of(&headers) else { return json::stale() };
    match site.broker().identities.begin_discovery(site.broker().now()) {
        Ok((options, discovering)) => {
            site.ceremonies.keep(&cookie, Ceremony::SignIn(Box::new(discovering)), Instant::now());
            json::options(options)
        }
        Err(refused) => json::refused(refused.sentence()),
    }
}

/// Who has used one is signed in, under a new cookie.
async fn finish(
    State(site): State<Arc<Site>>,
    Extension(line): Extension<Arc<Line>>,
    headers: HeaderMap,
    Json(signed): Json<json::Signed>,
) -> Response<Body> {
    let Some(before) = Cookie::of(&headers) else { return json::stale() };
    let Some(Ceremony::SignIn(discovering)) = site.ceremonies.take(&before, Instant::now()) else {
        return json::stale();
    };
    let (broker, source) = (site.broker(), line.source());
    let asserted = match broker.identities.finish_discovery(*discovering, &signed.credential, broker.now()).await {
        Ok(asserted) => asserted,
        // Whose it would be, nobody has proven.
        Err(refusal) => {
            return match ceremony::stranger_refused(site.entrance(), source, &refusal).await {
                Ok(()) if !refusal.is_trouble() => json::refused(refusal.sentence()),
                Ok(()) | Err(_) => json::failed(),
            };
        }
    };
    line.first_factor();
    if !site.pace.take(asserted.identity(), Instant::now()) {
        return too_many();
    }
    match signed_in_by_passkey(broker, &asserted, source).await {
        Ok(proof) => {
            site.pending.end(&before);
            site.signed_in.end(&before);
            let cookie = site.signed_in.keep(proof.identity().clone(), Arc::new(proof), Instant::now());
            let mut answer = json::next(next::wanted(&signed.fields.next));
            cookie.set(answer.headers_mut());
            answer
        }
        Err(sentence) => json::refused(sentence),
    }
}

/// After the password: a passkey of that person.
async fn second_options(State(site): State<Arc<Site>>, headers: HeaderMap) -> Response<Body> {
    let now = Instant::now();
    let Some(cookie) = Cookie::of(&headers) else { return json::stale() };
    let Some(pending) = site.pending.take(&cookie, now) else { return json::stale() };
    let identity = pending.thing.signing_in.identity().clone();
    site.pending.put_back(pending, now);
    match site.broker().identities.begin_assertion(&identity, site.broker().now()).await {
        Ok((options, asserting)) => {
            site.ceremonies.keep(&cookie, Ceremony::Second(Box::new(asserting)), now);
            json::options(options)
        }
        Err(refused) => json::refused(refused.sentence()),
    }
}

/// What it has signed.
async fn second_finish(
    State(site): State<Arc<Site>>,
    Extension(line): Extension<Arc<Line>>,
    headers: HeaderMap,
    Json(signed): Json<json::Signed>,
) -> Response<Body> {
    let now = Instant::now();
    let Some(cookie) = Cookie::of(&headers) else { return json::stale() };
    let Some(Ceremony::Second(asserting)) = site.ceremonies.take(&cookie, now) else { return json::stale() };
    let Some(pending) = site.pending.take(&cookie, now) else { return json::stale() };
    let (broker, source) = (site.broker(), line.source());
    let asserted = match broker.identities.finish_assertion(*asserting, &signed.credential, broker.now()).await {
        Ok(asserted) => asserted,
        Err(refusal) if refusal.is_trouble() => {
            let identity = pending.thing.signing_in.identity().to_string();
            site.pending.put_back(pending, now);
            return refused(&site, &identity, source, &refusal).await;
        }
        Err(refusal) => {
            let (Pending { signing_in, next }, kept) = pending.open();
            return stepped(&site, signing_in.key_refused(&refusal).await, kept, next);
        }
    };
    if let Err(error) = ceremony::asserted(broker, &asserted, source, "to sign in to the portal".to_owned()).await {
        crate::logging::counted!(error, "A sign-in could not be audited, so it is refused", %error);
        return json::failed();
    }
    line.first_factor();
    let (Pending { signing_in, next }, kept) = pending.open();
    stepped(&site, signing_in.second(Offer::Assertion(&asserted)).await, kept, next)
}

/// What follows from a second factor that was a key.
fn stepped(site: &Site, step: SecondStep, kept: Taken<()>, next: String) -> Response<Body> {
    match step {
        SecondStep::SignedIn(proof) => {
            let cookie = site.signed_in.keep(proof.identity().clone(), Arc::new(*proof), Instant::now());
            let mut answer = json::next(next::wanted(&next));
            cookie.set(answer.headers_mut());
            answer
        }
        SecondStep::Again { signing_in, sentence } => {
            site.pending.put_back(kept.with(Pending { signing_in: *signing_in, next }), Instant::now());
            json::refused(sentence)
        }
        SecondStep::Over { sentence } => json::refused(sentence),
    }
}
