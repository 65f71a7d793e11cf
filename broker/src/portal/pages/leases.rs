//! A lease that is opened beforehand: for tools that show no prompt.

use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use axum::extract::State;
use axum::http::Response;
use axum::routing::post;
use axum::{Json, Router};
use jiff::{SignedDuration, Timestamp};

use super::{json, passkeys};
use crate::identity::Refused;
use crate::login::{ceremony, lease};
use crate::portal::audience::{Audience, Pages};
use crate::portal::ceremonies::Ceremony;
use crate::portal::look::{Choice, NewLease};
use crate::portal::signed_in::SignedIn;
use crate::portal::site::Site;

/// What is offered to choose from, in minutes, as far as their roles allow.
const OFFERED: &[i64] = &[15, 60, 4 * 60, 8 * 60];

pub(super) fn routes() -> Pages {
    let routes = Router::new().route("/leases/new/options", post(options)).route("/leases/new/finish", post(finish));
    Pages::of(Audience::Operators, routes)
}

/// What somebody with a passkey can open a lease for.
pub(super) async fn choices(site: &Site, person: &SignedIn) -> Result<Option<NewLease>, Refused> {
    let own = site.broker().identities.own_factors(person.identity()).await?;
    if !own.has_passkey() {
        return Ok(None);
    }
    let choice = |fingerprint: &str| Choice { value: fingerprint.to_owned(), text: fingerprint.into() };
    Ok(Some(NewLease {
        source: person.line.source().to_string().into(),
        keys: own.keys.iter().map(|key| choice(&key.fingerprint)).collect(),
        until: durations(site, person)
            .into_iter()
            .map(|duration| Choice { value: duration.as_secs().to_string(), text: words(duration).into() })
            .collect(),
    }))
}

/// Within the longest lease that a role of theirs allows.
fn durations(site: &Site, person: &SignedIn) -> Vec<SignedDuration> {
    let longest = lease::longest(site.broker(), person.proof.subject());
    let mut offered: Vec<_> = OFFERED
        .iter()
        .map(|minutes| SignedDuration::from_mins(*minutes))
        .filter(|offered| *offered < longest)
        .collect();
    if longest.is_positive() {
        offered.push(longest);
    }
    offered
}

fn words(duration: SignedDuration) -> String {
    match (duration.as_hours(), duration.as_mins() % 60) {
        (0, minutes) => format!("{minutes} minutes"),
        (1, 0) => "1 hour".to_owned(),
        (hours, 0) => format!("{hours} hours"),
        (hours, minutes) => format!("{hours} hours {minutes} minutes"),
    }
}

async fn options(State(site): State<Arc<Site>>, person: SignedIn, Json(fields): Json<json::Fields>) -> Response<Body> {
    let broker = site.broker();
    let chosen = fields.until.parse().ok().map(SignedDuration::from_secs);
    let Some(duration) = chosen.filter(|chosen| durations(&site, &person).contains(chosen)) else {
        return json::refused("Choose how long it shall last.");
    };
    let now: Timestamp = broker.now();
    let until = now.saturating_add(duration).unwrap_or(now);
    match broker.identities.begin_assertion(person.identity(), now).await {
        Ok((options, asserting)) => {
            let ceremony = Ceremony::Lease { asserting: Box::new(asserting), credential: fields.key, until };
            site.ceremonies.keep(&person.cookie, ceremony, Instant::now());
            json::options(options)
        }
        Err(refused) => json::refused(refused.sentence()),
    }
}

async fn finish(State(site): State<Arc<Site>>, person: SignedIn, Json(signed): Json<json::Signed>) -> Response<Body> {
    let taken = site.ceremonies.take(&person.cookie, Instant::now());
    let Some(Ceremony::Lease { asserting, credential, until }) = taken else { return json::stale() };
    let (broker, source) = (site.broker(), person.line.source());
    let assertion = match broker.identities.finish_assertion(*asserting, &signed.credential, broker.now()).await {
        Ok(assertion) => assertion,
        Err(refusal) => return passkeys::refused(&site, person.identity().as_str(), source, &refusal).await,
    };
    match ceremony::lease_ahead(broker, &assertion, &credential, source, until).await {
        Ok(true) => json::next("/sessions"),
        Ok(false) => json::refused("That is no key of yours."),
        Err(error) => {
            crate::logging::counted!(error, "A lease could not be opened beforehand", %error);
            json::failed()
        }
    }
}
