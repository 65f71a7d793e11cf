//! What a script of ours is answered.

use axum::Json;
use axum::body::Body;
use axum::http::{Response, StatusCode};
use axum::response::IntoResponse as _;
use serde::Deserialize;
use serde_json::{Value, json};
use webauthn_rs::prelude::{PublicKeyCredential, RegisterPublicKeyCredential};

/// The fields of a form, as its script sends them.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Fields {
    #[serde(default)]
    pub(super) name: String,
    #[serde(default)]
    pub(super) number: String,
    #[serde(default)]
    pub(super) password: String,
    #[serde(default)]
    pub(super) next: String,
    #[serde(default)]
    pub(super) key: String,
    #[serde(default)]
    pub(super) until: String,
    #[serde(default)]
    pub(super) seen: String,
}

/// What an authenticator has signed, with the form that asked for it.
#[derive(Debug, Deserialize)]
pub(super) struct Signed {
    pub(super) credential: PublicKeyCredential,
    #[serde(default)]
    pub(super) fields: Fields,
}

/// What an authenticator has made.
#[derive(Debug, Deserialize)]
pub(super) struct Made {
    pub(super) credential: RegisterPublicKeyCredential,
}

/// What the browser is asked.
pub(super) fn options(options: Value) -> Response<Body> {
    Json(options).into_response()
}

/// It is done, and the person goes on there.
pub(super) fn next(path: &str) -> Response<Body> {
    Json(json!({ "next": path })).into_response()
}

/// It is not, and why.
pub(super) fn refused(sentence: &str) -> Response<Body> {
    (StatusCode::FORBIDDEN, Json(json!({ "error": sentence }))).into_response()
}

/// The number was wrong.
pub(super) fn wrong_number(left: i64) -> Response<Body> {
    (StatusCode::FORBIDDEN, Json(json!({ "error": "That is not the number.", "tries_left": left }))).into_response()
}

/// Something of ours failed: nothing was done.
pub(super) fn failed() -> Response<Body> {
    let sentence = "The broker cannot do this now. Nothing was changed. Try again later.";
    (StatusCode::SERVICE_UNAVAILABLE, Json(json!({ "error": sentence }))).into_response()
}

/// The page was older than what it asked for.
pub(super) fn stale() -> Response<Body> {
    refused("This page is out of date. Reload it, and try again.")
}
