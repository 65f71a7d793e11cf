//! Signing in, in two steps, and signing out. What is typed goes to `login/`; here is only which page follows.

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::body::Body;
use axum::extract::{Extension, Form, Query, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Response, StatusCode};
use axum::routing::{get, post};
use serde::Deserialize;

use super::{bare_frame, lead_to, next, notice, page};
use crate::identity::{MultiFactor, Offer};
use crate::login::{SecondStep, SigningIn};
use crate::portal::audience::{Audience, Pages};
use crate::portal::cookie::Cookie;
use crate::portal::jar::Taken;
use crate::portal::line::Line;
use crate::portal::look::{self, words};
use crate::portal::signed_in::SignedIn;
use crate::portal::site::{Pending, Site};
use crate::vault::Secret;

const SECOND: &str = "/sign-in/second";

pub(super) fn routes() -> Pages {
    let routes = Router::new()
        .route("/sign-in", get(begin).post(first))
        .route(SECOND, get(ask_second).post(second))
        .route("/sign-out", post(sign_out))
        .route("/lost", get(lost));
    Pages::of(Audience::Operators, routes)
}

#[derive(Deserialize)]
struct Wanted {
    next: Option<String>,
}

impl Wanted {
    fn page(&self) -> &str {
        next::wanted(self.next.as_deref().unwrap_or(next::START))
    }
}

#[derive(Deserialize)]
struct First {
    name: String,
    password: String,
    next: Option<String>,
}

#[derive(Deserialize)]
struct Code {
    code: String,
}

/// The form. Whoever has no cookie yet gets one: the form's token goes with it.
async fn begin(State(site): State<Arc<Site>>, Query(wanted): Query<Wanted>, request: Parts) -> Response<Body> {
    match SignedIn::find(&site, &request).await {
        Ok(Some(_)) => lead_to(wanted.page()),
        Ok(None) => {
            let known = Cookie::of(&request.headers);
            let cookie = known.clone().unwrap_or_else(Cookie::random);
            let mut answer =
                form(&site, &cookie, StatusCode::OK, Retry { next: wanted.page(), name: "", problem: None });
            if known.is_none() {
                cookie.set(answer.headers_mut());
            }
            answer
        }
        Err(_) => notice::failed(&site, StatusCode::SERVICE_UNAVAILABLE),
    }
}

/// What a form shows of what was tried before.
struct Retry<'a> {
    next: &'a str,
    name: &'a str,
    problem: Option<&'static str>,
}

fn form(site: &Site, cookie: &Cookie, status: StatusCode, retry: Retry<'_>) -> Response<Body> {
    let sign_in = look::SignIn {
        frame: look::Frame { csrf: site.tokens.token(cookie), ..bare_frame(site) },
        name: retry.name.into(),
        next: retry.next.to_owned(),
        problem: retry.problem.map(str::to_owned),
    };
    page(status, &sign_in)
}

/// Name and password.
async fn first(
    State(site): State<Arc<Site>>,
    Extension(line): Extension<Arc<Line>>,
    headers: HeaderMap,
    Form(typed): Form<First>,
) -> Response<Body> {
    let Some(before) = Cookie::of(&headers) else { return notice::stale(&site) };
    let First { name, password, next } = typed;
    let (password, wanted) = (Secret::new(password), Wanted { next });
    match SigningIn::begin(site.entrance(), line.source(), &name, password).await {
        Ok(signing_in) => {
            line.first_factor();
            // Whatever went with the cookie before is over, and nobody goes on under one that was known before.
            site.pending.end(&before);
            site.signed_in.end(&before);
            let pending = Pending { next: wanted.page().to_owned(), signing_in };
            let cookie = site.pending.keep(pending.signing_in.identity().clone(), pending, Instant::now());
            led(SECOND, &cookie)
        }
        Err(_) => {
            let retry = Retry { next: wanted.page(), name: &name, problem: Some(words::WRONG_SIGN_IN) };
            form(&site, &before, StatusCode::FORBIDDEN, retry)
        }
    }
}

/// Which second factors there are.
async fn ask_second(State(site): State<Arc<Site>>, headers: HeaderMap) -> Response<Body> {
    let now = Instant::now();
    let Some((cookie, pending)) = taken(&site, &headers, now) else { return lead_to("/sign-in") };
    let answer = second_form(&site, &cookie, &pending.thing, StatusCode::OK, None).await;
    site.pending.put_back(pending, now);
    answer
}

async fn second_form(
    site: &Site,
    cookie: &Cookie,
    pending: &Pending,
    status: StatusCode,
    problem: Option<&'static str>,
) -> Response<Body> {
    let (identities, identity) = (&site.broker().identities, pending.signing_in.identity());
    // Where it cannot be looked up, both are offered: what is not there is refused.
    let key = identities.has_passkey(identity).await.unwrap_or(identities.takes_passkeys());
    let code = !key || identities.has_authenticator(identity).await.unwrap_or(true);
    let second = look::Second {
        frame: look::Frame { csrf: site.tokens.token(cookie), ..bare_frame(site) },
        name: identity.as_str().into(),
        next: pending.next.clone(),
        key,
        code,
        problem: problem.map(str::to_owned),
    };
    page(status, &second)
}

fn taken(site: &Site, headers: &HeaderMap, now: Instant) -> Option<(Cookie, Taken<Pending>)> {
    let cookie = Cookie::of(headers)?;
    let pending = site.pending.take(&cookie, now)?;
    Some((cookie, pending))
}

/// A code.
async fn second(
    State(site): State<Arc<Site>>,
    Extension(line): Extension<Arc<Line>>,
    headers: HeaderMap,
    Form(Code { code }): Form<Code>,
) -> Response<Body> {
    let (code, now) = (Secret::new(code), Instant::now());
    let Some((cookie, pending)) = taken(&site, &headers, now) else { return over(&site, &headers) };
    line.first_factor();
    offered(&site, &cookie, pending, Offer::Code(code.expose())).await
}

/// What follows from a second factor, whichever it is.
async fn offered(site: &Site, cookie: &Cookie, pending: Taken<Pending>, offer: Offer<'_>) -> Response<Body> {
    let (Pending { signing_in, next }, kept) = pending.open();
    match signing_in.second(offer).await {
        SecondStep::SignedIn(proof) => enter(site, *proof, &next),
        SecondStep::Again { signing_in, sentence } => {
            let pending = Pending { signing_in: *signing_in, next };
            let answer = second_form(site, cookie, &pending, StatusCode::FORBIDDEN, Some(sentence)).await;
            site.pending.put_back(kept.with(pending), Instant::now());
            answer
        }
        SecondStep::Over { sentence } => {
            let retry = Retry { next: &next, name: "", problem: Some(sentence) };
            form(site, cookie, StatusCode::FORBIDDEN, retry)
        }
    }
}

/// Somebody is signed in from here on, under a new cookie.
fn enter(site: &Site, proof: MultiFactor, next: &str) -> Response<Body> {
    let cookie = site.signed_in.keep(proof.identity().clone(), Arc::new(proof), Instant::now());
    led(next, &cookie)
}

fn led(path: &str, cookie: &Cookie) -> Response<Body> {
    let mut answer = lead_to(path);
    cookie.set(answer.headers_mut());
    answer
}

/// The sign-in took too long, or a second answer came while the first was looked at.
fn over(site: &Site, headers: &HeaderMap) -> Response<Body> {
    let Some(cookie) = Cookie::of(headers) else { return notice::stale(site) };
    let retry = Retry { next: next::START, name: "", problem: Some(words::SIGN_IN_OVER) };
    form(site, &cookie, StatusCode::FORBIDDEN, retry)
}

async fn sign_out(State(site): State<Arc<Site>>, signed_in: SignedIn) -> Response<Body> {
    site.signed_in.end(&signed_in.cookie);
    signed_in.line.close();
    let mut answer = notice::signed_out(&site);
    Cookie::remove(answer.headers_mut());
    answer
}

async fn lost(State(site): State<Arc<Site>>) -> Response<Body> {
    page(StatusCode::OK, &look::Lost { frame: bare_frame(&site) })
}
