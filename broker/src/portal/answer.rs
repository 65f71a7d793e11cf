//! The answers that pages are made of: a page, a way to another, or a status alone.

use askama::Template;
use axum::Json;
use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, LOCATION};
use axum::http::{HeaderValue, Response, StatusCode};
use axum::response::IntoResponse as _;
use serde_json::json;

use super::look::words;
use super::next;

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
            plain(StatusCode::INTERNAL_SERVER_ERROR)
        }
    }
}

/// Leads to another page of ours, by a GET. INVARIANT: what is led to is no text from outside.
pub(super) fn lead_to(path: &str) -> Response<Body> {
    let Ok(path) = HeaderValue::from_str(path) else { return plain(StatusCode::INTERNAL_SERVER_ERROR) };
    let mut answer = Response::new(Body::empty());
    *answer.status_mut() = StatusCode::SEE_OTHER;
    answer.headers_mut().insert(LOCATION, path);
    answer
}

/// Leads to the sign-in, and from there to where somebody wanted to go.
pub(super) fn to_sign_in(next: &str) -> Response<Body> {
    if next == next::START { lead_to("/sign-in") } else { lead_to(&format!("/sign-in?next={next}")) }
}

/// What a script of ours is told of somebody who does too much in a row.
pub(super) fn too_many() -> Response<Body> {
    let said = Json(json!({ "error": format!("{}. {}", words::TOO_MANY.title, words::TOO_MANY.sentence) }));
    (StatusCode::TOO_MANY_REQUESTS, said).into_response()
}

/// A status, and no page at all.
pub(super) fn plain(status: StatusCode) -> Response<Body> {
    let mut answer = Response::new(Body::empty());
    *answer.status_mut() = status;
    answer
}
