//! One sentence, for whatever is no page of its own. Nobody is named on it: it is the same whoever asks.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{Response, StatusCode};

use super::answer::page;
use super::assets;
use super::look::{Frame, Notice, Place};
use super::site::Site;

/// There is no such page.
pub(super) async fn nothing_here(State(site): State<Arc<Site>>) -> Response<Body> {
    not_found(&site)
}

/// There is no such page, or not for this person.
pub(super) fn not_found(site: &Site) -> Response<Body> {
    page(StatusCode::NOT_FOUND, &Notice::not_found(bare_frame(site)))
}

/// What was sent came from elsewhere, or from a page of a stage that is over.
pub(super) fn stale(site: &Site) -> Response<Body> {
    page(StatusCode::FORBIDDEN, &Notice::stale(bare_frame(site)))
}

/// Too much at once.
pub(super) fn too_many(site: &Site) -> Response<Body> {
    page(StatusCode::TOO_MANY_REQUESTS, &Notice::too_many(bare_frame(site)))
}

/// Something of ours failed.
pub(super) fn failed(site: &Site, status: StatusCode) -> Response<Body> {
    page(status, &Notice::failed(bare_frame(site)))
}

/// Signed out, as they wished.
pub(super) fn signed_out(site: &Site) -> Response<Body> {
    page(StatusCode::OK, &Notice::signed_out(bare_frame(site)))
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
