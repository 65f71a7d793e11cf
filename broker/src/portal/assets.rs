//! What every page loads: one stylesheet and two small scripts, within the binary. The hash of each is in its path, so that a browser may
//! keep it for good, and a new broker's pages load the new ones.

use std::sync::LazyLock;

use aws_lc_rs::digest;
use axum::Router;
use axum::body::Body;
use axum::extract::Path;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderValue, Response, StatusCode};
use axum::routing::get;
use data_encoding::HEXLOWER;

use super::answer::plain;
use super::audience::{Audience, Pages};
use super::look::Assets;

/// So much of a hash is enough to tell two versions of a file apart.
const HASH: usize = 16;

const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

/// Name, kind, and what lies there.
const FILES: [(&str, &str, &[u8]); 3] = [
    ("style.css", CSS, include_bytes!("../../assets/portal/style.css")),
    ("page.js", SCRIPT, include_bytes!("../../assets/portal/page.js")),
    ("webauthn.js", SCRIPT, include_bytes!("../../assets/portal/webauthn.js")),
];

static HASHES: LazyLock<[String; FILES.len()]> = LazyLock::new(|| FILES.map(|file| hash(file.2)));

pub(super) fn routes() -> Pages {
    let routes = Router::new().route("/assets/{hash}/{name}", get(asset));
    Pages::of(Audience::Operators, routes)
}

/// Where they lie.
pub(super) fn paths() -> Assets {
    let path = |at: usize| format!("/assets/{}/{}", HASHES[at], FILES[at].0);
    Assets { style: path(0), page: path(1), webauthn: path(2) }
}

async fn asset(Path(asked): Path<[String; 2]>) -> Response<Body> {
    let [hash, name] = asked;
    let found = FILES.iter().zip(HASHES.iter()).find(|(file, known)| file.0 == name && **known == hash);
    let Some(((_, kind, bytes), _)) = found else { return plain(StatusCode::NOT_FOUND) };
    let mut answer = Response::new(Body::from(*bytes));
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable"));
    answer
}

fn hash(bytes: &[u8]) -> String {
    let mut hash = HEXLOWER.encode(digest::digest(&digest::SHA256, bytes).as_ref());
    hash.truncate(HASH);
    hash
}
