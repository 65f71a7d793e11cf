//! One sentence, for whatever is no page of its own. Nobody is named on it: it is the same whoever asks.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{Response, StatusCode};

use super::{bare_frame, page};
use crate::portal::look::Notice;
use crate::portal::site::Site;

/// There is no such page.
pub(super) async fn nothing_here(State(site): State<Arc<Site>>) -> Response<Body> {
    not_found(&site)
}

/// There is no such page, or not for this person.
pub(in crate::portal) fn not_found(site: &Site) -> Response<Body> {
    page(StatusCode::NOT_FOUND, &Notice::not_found(bare_frame(site)))
}

/// What was sent came from elsewhere, or from a page of a stage that is over.
pub(in crate::portal) fn stale(site: &Site) -> Response<Body> {
    page(StatusCode::FORBIDDEN, &Notice::stale(bare_frame(site)))
}

/// Something of ours failed.
pub(in crate::portal) fn failed(site: &Site, status: StatusCode) -> Response<Body> {
    page(status, &Notice::failed(bare_frame(site)))
}

/// Signed out, as they wished.
pub(super) fn signed_out(site: &Site) -> Response<Body> {
    page(StatusCode::OK, &Notice::signed_out(bare_frame(site)))
}

/// No page at all.
pub(in crate::portal) fn plain(status: StatusCode) -> Response<Body> {
    let mut answer = Response::new(Body::empty());
    *answer.status_mut() = status;
    answer
}
