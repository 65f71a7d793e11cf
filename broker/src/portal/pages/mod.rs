//! What lies where, and a file for each page. A page asks `login/`, `session/` and the policy, fills a struct of `look/`, and decides nothing.

mod confirm;
mod events;
mod factors;
mod home;
mod invitation;
mod json;
mod leases;
mod passkeys;
mod prove;
mod requests;
mod sessions;
mod sign_in;
mod totp;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;

use super::answer::{lead_to, page};
use super::audience::{Audience, Pages};
use super::look::{Frame, Person, Place, Waiting};
use super::notice::bare_frame;
use super::signed_in::SignedIn;
use super::site::Site;
use super::{assets, next, notice};
use crate::logging::counted;
use crate::login::ceremony::{self, CeremonyError};

/// Every page that lies at an address for this audience.
pub(super) fn all(site: Arc<Site>, address: Audience) -> Router {
    let all = [
        confirm::routes(),
        events::routes(),
        factors::routes(),
        home::routes(),
        invitation::routes(),
        leases::routes(),
        passkeys::routes(),
        prove::routes(),
        requests::routes(),
        sessions::routes(),
        sign_in::routes(),
        totp::routes(),
        assets::routes(),
    ];
    Pages::at(address, all)
        .fallback(notice::nothing_here)
        .method_not_allowed_fallback(notice::nothing_here)
        // The guard has read the body, and bounds it.
        .layer(DefaultBodyLimit::disable())
        .with_state(site)
}

/// What is around a page of somebody who is signed in: a login of theirs that waits is on every one.
pub(super) async fn frame(site: &Site, signed_in: &SignedIn, place: Place) -> Frame {
    // A page that cannot know shows none; what is open hears of one as soon as it can be known (`events`).
    let waiting = waiting(site, signed_in).await.ok().flatten();
    let name = signed_in.identity().as_str().into();
    let person = Person { name, waiting: waiting.into_iter().collect(), events: Some(events::PATH.to_owned()) };
    Frame { csrf: signed_in.token.clone(), person: Some(person), place, ..bare_frame(site) }
}

/// The login of theirs that waits, if one does.
///
/// # Errors
/// Nobody can say whether one does.
async fn waiting(site: &Site, signed_in: &SignedIn) -> Result<Option<Waiting>, CeremonyError> {
    let broker = site.broker();
    let row = ceremony::waiting(broker, signed_in.identity(), broker.now()).await;
    let row = row.inspect_err(|error| counted!(warn, "Logins that wait cannot be looked up", %error))?;
    Ok(row.map(|row| Waiting {
        path: format!("/c/{}", row.code),
        text: format!("From {} to {}", row.source, row.target).into(),
    }))
}
