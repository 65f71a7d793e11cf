//! What every answer carries, whatever it is: what a browser may do with it, and may not.

use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, STRICT_TRANSPORT_SECURITY, VARY};
use axum::http::{HeaderName, HeaderValue, Response};

use super::site::Site;

/// Nothing from elsewhere, nothing inline, in nobody's frame, and forms lead here alone.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
                      form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// Of what a browser could do, a page needs passkeys alone.
const PERMISSIONS: &str = "accelerometer=(), camera=(), display-capture=(), geolocation=(), gyroscope=(), hid=(), \
                           magnetometer=(), microphone=(), midi=(), payment=(), serial=(), usb=(), \
                           publickey-credentials-create=(self), publickey-credentials-get=(self)";

const ALWAYS: [(&str, &str); 7] = [
    ("content-security-policy", POLICY),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    // Nobody else learns an address. Not `no-referrer`: under that a browser says `Origin: null` of our own forms.
    ("referrer-policy", "same-origin"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("permissions-policy", PERMISSIONS),
];

/// Puts the headers on an answer. What a page says of its cache stays; of all others nothing is kept anywhere.
pub(super) fn dress(site: &Site, mut answer: Response<Body>) -> Response<Body> {
    let headers = answer.headers_mut();
    for (name, value) in ALWAYS {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    debug_assert!(headers.contains_key(CONTENT_SECURITY_POLICY));
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.insert(VARY, HeaderValue::from_static("cookie"));
    // Of `localhost` a browser would remember it for whatever else is served there.
    if site.settings().name != LOCALHOST {
        headers.insert(STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000"));
    }
    answer
}

const LOCALHOST: &str = "localhost";
