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
mod sessions;
mod sign_in;
mod totp;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;

use super::answer::{lead_to, page};
use super::look::{Frame, Person, Place, Waiting};
use super::notice::bare_frame;
use super::signed_in::SignedIn;
use super::site::Site;
use super::{assets, next, notice};
use crate::logging::counted;
use crate::login::ceremony::{self, CeremonyError};

/// Every page.
pub(super) fn all(site: Arc<Site>) -> Router {
    Router::new()
        .merge(confirm::routes())
        .merge(events::routes())
        .merge(factors::routes())
        .merge(home::routes())
        .merge(invitation::routes())
        .merge(leases::routes())
        .merge(passkeys::routes())
        .merge(prove::routes())
        .merge(sessions::routes())
        .merge(sign_in::routes())
        .merge(totp::routes())
        .merge(assets::routes())
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
