//! What lies where, and a file for each page. A page asks `login/`, `session/` and the policy, fills a struct of `look/`, and decides nothing.

mod assets;
mod home;
pub(super) mod next;
pub(super) mod notice;
mod sessions;
mod sign_in;

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::body::Body;
use axum::extract::DefaultBodyLimit;
use axum::http::header::{CONTENT_TYPE, LOCATION};
use axum::http::{HeaderValue, Response, StatusCode};

use super::look::{Frame, Person, Place};
use super::signed_in::SignedIn;
use super::site::Site;

/// Every page.
pub(super) fn all(site: Arc<Site>) -> Router {
    Router::new()
        .merge(home::routes())
        .merge(sessions::routes())
        .merge(sign_in::routes())
        .merge(assets::routes())
        .fallback(notice::nothing_here)
        .method_not_allowed_fallback(notice::nothing_here)
        // The guard has read the body, and bounds it.
        .layer(DefaultBodyLimit::disable())
        .with_state(site)
}

/// What is around a page of somebody who is signed in.
pub(super) fn frame(site: &Site, signed_in: &SignedIn, place: Place) -> Frame {
    let person = Person { name: signed_in.identity().as_str().into(), waiting: Vec::new(), events: None };
    Frame { csrf: signed_in.token.clone(), person: Some(person), place, ..bare_frame(site) }
}

/// What is around a page of nobody.
pub(super) fn bare_frame(site: &Site) -> Frame {
    Frame {
        broker: site.settings().name.clone(),
        csrf: String::new(),
        assets: assets::paths(),
        person: None,
        place: Place::Elsewhere,
        said: None,
    }
}

/// A page, as it is drawn.
pub(super) fn page(status: StatusCode, page: &impl Template) -> Response<Body> {
    match page.render() {
        Ok(text) => {
            let mut answer = Response::new(Body::from(text));
            *answer.status_mut() = status;
            answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
            answer
        }
        Err(error) => {
            tracing::error!(%error, "A page could not be drawn");
            notice::plain(StatusCode::INTERNAL_SERVER_ERROR)
        }
    }
}

/// Leads to another page of ours, by a GET. INVARIANT: what is led to is no text from outside.
pub(super) fn lead_to(path: &str) -> Response<Body> {
    let Ok(path) = HeaderValue::from_str(path) else { return notice::plain(StatusCode::INTERNAL_SERVER_ERROR) };
    let mut answer = Response::new(Body::empty());
    *answer.status_mut() = StatusCode::SEE_OTHER;
    answer.headers_mut().insert(LOCATION, path);
    answer
}

/// Leads to the sign-in, and from there to where somebody wanted to go.
pub(super) fn to_sign_in(next: &str) -> Response<Body> {
    if next == next::START { lead_to("/sign-in") } else { lead_to(&format!("/sign-in?next={next}")) }
}
