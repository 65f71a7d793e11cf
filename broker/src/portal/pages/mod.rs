//! What lies where, and a file for each page. A page asks `login/`, `session/` and the policy, fills a struct of `look/`, and decides nothing.

mod home;
mod sessions;
mod sign_in;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;

use super::answer::{lead_to, page};
use super::look::{Frame, Person, Place};
use super::notice::bare_frame;
use super::signed_in::SignedIn;
use super::site::Site;
use super::{assets, next, notice};

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
