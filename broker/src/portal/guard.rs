//! What every request passes before a page sees it. Whatever is not just as our own pages ask is refused here.
//!
//! * The path is of plain letters, without anything that somebody on the way could read in two ways.
//! * The host is ours, and said once: what another name leads to is not for us.
//! * What changes something is a POST of our own origin, with the token of the cookie that it comes with.
//! * A body is small, soon here, and of a form or a script of ours; it is read before a page begins.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, HttpBody as _, to_bytes};
use axum::extract::{Form, FromRequest as _};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, HOST, ORIGIN, TRANSFER_ENCODING};
use axum::http::request::Parts;
use axum::http::uri::Scheme;
use axum::http::{HeaderMap, HeaderName, Method, Request, Response, StatusCode, Version};
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;
use serde::Deserialize;

use super::answer::plain;
use super::cookie::Cookie;
use super::line::Line;
use super::notice;
use super::served::Served;
use super::site::Site;

/// The largest body.
const LARGEST_BODY: usize = 64 << 10;
/// From a request's head to the end of its body.
const BODY_WITHIN: Duration = Duration::from_secs(10);
/// The longest path, and the longest that stands behind its `?`.
const LONGEST_PATH: usize = 512;

/// The token, where a script asks.
const TOKEN: HeaderName = HeaderName::from_static("x-csrf");
/// What a browser says of where a request comes from.
const SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Why a request was not looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    Version,
    Method,
    Path,
    Host,
    Malformed,
    TooLarge,
    TooSlow,
    Kind,
    /// It comes from elsewhere, or from a page of a stage that is over.
    Stale,
}

/// Lets a request through to its page, or says why not.
pub(super) async fn answer(served: &Served, line: &Arc<Line>, request: Request<Body>) -> Response<Body> {
    match pass(served, request).await {
        Ok(mut request) => {
            request.extensions_mut().insert(Arc::clone(line));
            // A page answers whatever comes; there is no error.
            TowerToHyperService::new(served.pages.clone()).call(request).await.unwrap_or_else(|never| match never {})
        }
        Err(fault) => {
            tracing::debug!(source = %line.source(), ?fault, "A request was refused unread");
            fault.answer(&served.site)
        }
    }
}

/// What is said when an answer took too long.
pub(super) fn too_slow(site: &Site) -> Response<Body> {
    notice::failed(site, StatusCode::SERVICE_UNAVAILABLE)
}

/// What is said to whoever asks for more at once than a browser does.
pub(super) fn too_many(site: &Site) -> Response<Body> {
    notice::too_many(site)
}

async fn pass(served: &Served, request: Request<Body>) -> Result<Request<Body>, Fault> {
    let (parts, body) = request.into_parts();
    head(served, &parts)?;
    let body = if parts.method == Method::POST {
        posted(served, &parts, body).await?
    } else if body.is_end_stream() {
        Body::empty()
    } else {
        return Err(Fault::Malformed);
    };
    Ok(Request::from_parts(parts, body))
}

fn head(served: &Served, parts: &Parts) -> Result<(), Fault> {
    if ![Version::HTTP_11, Version::HTTP_2].contains(&parts.version) {
        return Err(Fault::Version);
    }
    if ![Method::GET, Method::HEAD, Method::POST].contains(&parts.method) {
        return Err(Fault::Method);
    }
    host(served, parts)?;
    if !is_plain_path(parts.uri.path()) || !parts.uri.query().is_none_or(is_plain_query) {
        return Err(Fault::Path);
    }
    // No browser says how long it is in two ways, or in none.
    if parts.headers.contains_key(TRANSFER_ENCODING) || parts.headers.get_all(CONTENT_LENGTH).iter().count() > 1 {
        return Err(Fault::Malformed);
    }
    Ok(())
}

/// The host in the request's line, where one is, and in its header: whatever is said is ours, and it is said.
fn host(served: &Served, parts: &Parts) -> Result<(), Fault> {
    let ours = |said: &str| said.eq_ignore_ascii_case(served.authority());
    let in_line = parts.uri.authority().map(|authority| authority.as_str());
    let in_header = at_most_one(&parts.headers, &HOST)?;
    let https = parts.uri.scheme().is_none_or(|scheme| *scheme == Scheme::HTTPS);
    let said = in_line.is_some() || in_header.is_some();
    if said && https && in_line.is_none_or(ours) && in_header.is_none_or(ours) { Ok(()) } else { Err(Fault::Host) }
}

/// `/`, or parts of plain letters between single slashes.
fn is_plain_path(path: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '~' | '-');
    let part = |part: &str| !part.is_empty() && part != "." && part != ".." && part.chars().all(plain);
    let rest = path.strip_prefix('/');
    path.len() <= LONGEST_PATH && rest.is_some_and(|rest| rest.is_empty() || rest.split('/').all(part))
}

fn is_plain_query(query: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '~' | '-' | '/' | '=' | '&');
    query.len() <= LONGEST_PATH && query.chars().all(plain)
}

/// What a form or a script of ours sends. The cookie is looked for first: nothing is read of who has none.
async fn posted(served: &Served, parts: &Parts, body: Body) -> Result<Body, Fault> {
    let headers = &parts.headers;
    if at_most_one(headers, &ORIGIN)? != Some(&*served.origin) {
        return Err(Fault::Stale);
    }
    if at_most_one(headers, &SITE)?.is_some_and(|site| site != "same-origin") {
        return Err(Fault::Stale);
    }
    let cookie = Cookie::of(headers).ok_or(Fault::Stale)?;
    let kind = at_most_one(headers, &CONTENT_TYPE)?.map(|kind| kind.split(';').next().unwrap_or_default().trim());
    let form = match kind {
        Some("application/x-www-form-urlencoded") => true,
        Some("application/json") => false,
        Some(_) | None => return Err(Fault::Kind),
    };
    if body.size_hint().lower() > u64::try_from(LARGEST_BODY).unwrap_or(u64::MAX) {
        return Err(Fault::TooLarge);
    }
    let read = tokio::time::timeout(BODY_WITHIN, to_bytes(body, LARGEST_BODY)).await.map_err(|_| Fault::TooSlow)?;
    // Nothing else can go wrong that its sender would still hear of.
    let bytes = read.map_err(|_| Fault::TooLarge)?;
    let token = match at_most_one(headers, &TOKEN)? {
        Some(token) => token.to_owned(),
        None if form => in_form(parts, bytes.clone().into()).await.ok_or(Fault::Stale)?,
        None => return Err(Fault::Stale),
    };
    if served.site.tokens.fits(&cookie, &token) { Ok(bytes.into()) } else { Err(Fault::Stale) }
}

/// The token in a form, where it is there once.
async fn in_form(parts: &Parts, body: Body) -> Option<String> {
    #[derive(Deserialize)]
    struct Field {
        csrf: String,
    }
    let mut request = Request::new(body);
    *request.method_mut() = parts.method.clone();
    request.headers_mut().extend(parts.headers.get(CONTENT_TYPE).map(|kind| (CONTENT_TYPE, kind.clone())));
    Form::<Field>::from_request(request, &()).await.ok().map(|form| form.0.csrf)
}

/// A header that counts if it is there once.
fn at_most_one<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, Fault> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => value.to_str().map(Some).map_err(|_| Fault::Malformed),
        (Some(_), Some(_)) => Err(Fault::Malformed),
    }
}

impl Fault {
    fn answer(self, site: &Site) -> Response<Body> {
        let status = match self {
            Fault::Path => return notice::not_found(site),
            Fault::Stale => return notice::stale(site),
            Fault::Version => StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            Fault::Method => StatusCode::METHOD_NOT_ALLOWED,
            Fault::Host => StatusCode::MISDIRECTED_REQUEST,
            Fault::Malformed => StatusCode::BAD_REQUEST,
            Fault::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Fault::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Fault::Kind => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        };
        // No browser with a page of ours gets here: there is nobody to read a page.
        plain(status)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_could_be_read_in_two_ways_are_none() {
        for path in ["/", "/sign-in", "/sessions/01k/end", "/assets/a1~b_c.css", "/a..b"] {
            assert!(is_plain_path(path), "{path}");
        }
        for path in [
            "",
            "*",
            "sign-in",
            "//",
            "//evil.example",
            "/a//b",
            "/a/",
            "/a/../b",
            "/..",
            "/./a",
            "/%2e%2e/a",
            "/a;/b",
            "/a\\b",
            "/a%2fb",
            "/a b",
            "/a?b",
            "/ä",
            "/a:b",
            "/a@b",
            "/a+b",
        ] {
            assert!(!is_plain_path(path), "{path}");
        }
        assert!(!is_plain_path(&format!("/{}", "a".repeat(LONGEST_PATH))));
    }

    #[test]
    fn behind_a_path_stands_nothing_that_is_written_in_another_way() {
        assert!(is_plain_query("next=/sessions&a=b"));
        for query in ["next=%2F", "a=<b>", "a='b", "next=https:evil", "a;b"] {
            assert!(!is_plain_query(query), "{query}");
        }
    }
}
