//! Who is signed in behind a request: asked anew for every one, so that whoever was locked out is out at once.

use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{Method, Response, StatusCode};
use jiff::SignedDuration;
use sallyport_policy::IdentityId;

use super::answer::{plain, to_sign_in, too_many};
use super::cookie::Cookie;
use super::line::Line;
use super::site::Site;
use super::{next, notice};
use crate::identity::{MultiFactor, Refused};

/// Somebody who is signed in. Whoever is not, never gets to a page that asks for this: they are led to the sign-in.
#[derive(Debug)]
pub(super) struct SignedIn {
    /// What they proved, and that it stands now.
    pub(super) proof: MultiFactor,
    /// Their cookie.
    pub(super) cookie: Cookie,
    /// Proves that a form was theirs.
    pub(super) token: String,
    /// The connection that they ask on.
    pub(super) line: Arc<Line>,
}

/// Whether a request is something that a person does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Use {
    Asks,
    Listens,
}

impl SignedIn {
    pub(super) fn identity(&self) -> &IdentityId {
        self.proof.identity()
    }

    /// Whether a second factor was given lately enough to change factors by it.
    pub(super) fn is_fresh(&self, site: &Site) -> bool {
        let longest = SignedDuration::try_from(site.settings().fresh).unwrap_or(SignedDuration::ZERO);
        let now = site.broker().now();
        // A proof from the future is a clock that went back.
        self.proof.second().is_some_and(|proof| proof.at <= now && now.duration_since(proof.at) < longest)
    }

    /// Who is signed in behind a request, if anybody is.
    pub(super) async fn find(site: &Site, parts: &Parts) -> Result<Option<Self>, Refused> {
        Self::behind(site, parts, Use::Asks).await
    }

    /// The same, for what a page asks by itself: that keeps nobody signed in.
    pub(super) async fn listening(site: &Site, parts: &Parts) -> Result<Option<Self>, Refused> {
        Self::behind(site, parts, Use::Listens).await
    }

    async fn behind(site: &Site, parts: &Parts, used: Use) -> Result<Option<Self>, Refused> {
        let Some(line) = parts.extensions.get::<Arc<Line>>() else { return Ok(None) };
        let Some(cookie) = Cookie::of(&parts.headers) else { return Ok(None) };
        let Some(proof) = site.signed_in.look(&cookie, Instant::now(), used == Use::Asks) else {
            line.nobody();
            return Ok(None);
        };
        let broker = site.broker();
        let proof = match broker.identities.still_proven(&proof, broker.now()).await {
            Ok(proof) => proof,
            // Whether they may stay cannot be asked: they may not go on, and are not sent away either.
            Err(refused) if refused.is_trouble() => return Err(refused),
            Err(refused) => {
                tracing::info!(identity = %proof.identity(), source = %line.source(), %refused, "Signed out");
                site.signed_in.end(&cookie);
                line.close();
                return Ok(None);
            }
        };
        line.signed_in(proof.identity(), broker.policy.current().connections(proof.subject()));
        Ok(Some(Self { proof, token: site.tokens.token(&cookie), cookie, line: Arc::clone(line) }))
    }
}

impl FromRequestParts<Arc<Site>> for SignedIn {
    type Rejection = Response<Body>;

    async fn from_request_parts(parts: &mut Parts, site: &Arc<Site>) -> Result<Self, Self::Rejection> {
        let by_script = parts.headers.contains_key("x-csrf");
        match Self::find(site, parts).await {
            Ok(Some(person)) if parts.method == Method::POST && !site.pace.take(person.identity(), Instant::now()) => {
                crate::logging::counted!(warn, "Somebody who is signed in does too much in a row", identity = %person.identity());
                Err(if by_script { too_many() } else { notice::too_many(site) })
            }
            Ok(Some(signed_in)) => Ok(signed_in),
            // What was posted is lost: nobody knows who would have done it. A script is told so in a way that it hears.
            Ok(None) if parts.method == Method::POST && by_script => Err(plain(StatusCode::UNAUTHORIZED)),
            Ok(None) => Err(to_sign_in(next::wanted(parts.uri.path()))),
            Err(trouble) => {
                crate::logging::counted!(warn, "Who is signed in cannot be looked at", %trouble);
                Err(notice::failed(site, StatusCode::SERVICE_UNAVAILABLE))
            }
        }
    }
}
