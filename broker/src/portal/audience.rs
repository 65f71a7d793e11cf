//! For whom a page is, and so at which of the portal's addresses it lies.
//!
//! INVARIANT: where administrators' and auditors' pages have addresses of their own, none of them lies anywhere else: whoever asks for one
//! at the operators' address is answered as for a page that there is not.

use std::sync::Arc;

use axum::Router;

use super::site::Site;

/// For whom a page is; of an address, whose pages lie there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Audience {
    /// Whoever has something to reach: how they sign in, and what is their own.
    Operators,
    /// Administrators and auditors.
    Management,
}

/// Pages of one audience. A page lies nowhere but by one of these.
pub(super) struct Pages<S = Arc<Site>> {
    audience: Audience,
    routes: Router<S>,
}

impl Audience {
    /// Whether pages for these lie at an address for this audience. Administrators sign in where their pages are, and have things to reach
    /// themselves: all pages lie there.
    fn has(self, pages: Audience) -> bool {
        match (self, pages) {
            (Self::Management, Self::Operators | Self::Management) | (Self::Operators, Self::Operators) => true,
            (Self::Operators, Self::Management) => false,
        }
    }
}

impl<S: Clone + Send + Sync + 'static> Pages<S> {
    pub(super) fn of(audience: Audience, routes: Router<S>) -> Self {
        Self { audience, routes }
    }

    /// All that lie at an address for this audience.
    pub(super) fn at(address: Audience, all: impl IntoIterator<Item = Self>) -> Router<S> {
        let there = all.into_iter().filter(|pages| address.has(pages.audience));
        there.fold(Router::new(), |router, pages| router.merge(pages.routes))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    use axum::body::Body;
    use axum::http::{Request, StatusCode};
    use axum::routing::get;
    use hyper::service::Service as _;
    use hyper_util::service::TowerToHyperService;

    use super::*;

    async fn status(address: Audience, path: &str) -> StatusCode {
        let page = |audience, path| Pages::of(audience, Router::new().route(path, get(|| async { "a page" })));
        let all = [page(Audience::Operators, "/sessions"), page(Audience::Management, "/live")];
        let router: Router = Pages::at(address, all);
        let request = Request::get(path).body(Body::empty()).unwrap();
        TowerToHyperService::new(router).call(request).await.unwrap().status()
    }

    #[tokio::test]
    async fn a_page_of_administrators_lies_at_their_address_alone() {
        for (address, path, expected) in [
            (Audience::Operators, "/sessions", StatusCode::OK),
            (Audience::Operators, "/live", StatusCode::NOT_FOUND),
            (Audience::Operators, "/nothing", StatusCode::NOT_FOUND),
            (Audience::Management, "/sessions", StatusCode::OK),
            (Audience::Management, "/live", StatusCode::OK),
            (Audience::Management, "/nothing", StatusCode::NOT_FOUND),
        ] {
            assert_eq!(status(address, path).await, expected, "{path} at the address of {address:?}");
        }
    }
}
