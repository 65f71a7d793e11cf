//! What a page that is open hears: that a login of its person begins to wait, or waits no more.
//!
//! An `EventSource` asks with what it heard last. It is answered once there is something else to hear, or after a while with nothing,
//! and asks again: no answer stays open. Whoever only listens does nothing, so that a page that was left open signs nobody in for longer.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::http::{HeaderValue, Response, StatusCode};
use axum::routing::get;
use serde_json::json;
use tokio::time::{Instant, sleep, timeout_at};

use super::waiting;
use crate::portal::audience::{Audience, Pages};
use crate::portal::look::Waiting;
use crate::portal::signed_in::SignedIn;
use crate::portal::site::Site;

/// Where pages listen.
pub(super) const PATH: &str = "/events";

/// Below the time that a request may take.
const LISTENED: Duration = Duration::from_secs(25);
/// However much is changed: one look after another.
const BETWEEN_LOOKS: Duration = Duration::from_millis(200);
const NOTHING_NEW: &str = "retry: 500\n\n";
/// Whether a login waits cannot be looked up: neither that one does nor that none does. It has no id, so that what was heard last stays
/// so, and the page stays as it is.
const UNKNOWN: &str = "retry: 5000\nevent: unknown\ndata: null\n\n";
/// The id of what is heard while nothing waits.
const NOTHING: &str = "-";

pub(super) fn routes() -> Pages {
    let routes = Router::new().route(PATH, get(listen));
    Pages::of(Audience::Operators, routes)
}

async fn listen(State(site): State<Arc<Site>>, request: Parts) -> Response<Body> {
    let heard = request.headers.get("last-event-id").and_then(|id| id.to_str().ok());
    let until = Instant::now() + LISTENED;
    let mut changes = site.broker().store.changes();
    loop {
        changes.mark_unchanged();
        // Asked anew for every look: whoever was locked out hears nothing more.
        let signed_in = match SignedIn::listening(&site, &request).await {
            Ok(Some(signed_in)) => signed_in,
            Ok(None) => return over(),
            Err(_) => return said(UNKNOWN),
        };
        let Ok(now) = waiting(&site, &signed_in).await else { return said(UNKNOWN) };
        let id = now.as_ref().map_or(NOTHING, |login| login.path.trim_start_matches("/c/"));
        if heard != Some(id) {
            return said(&told(id, now.as_ref()));
        }
        match timeout_at(until, changes.changed()).await {
            Ok(Ok(())) => sleep(BETWEEN_LOOKS).await,
            // Nothing new, or nothing more to come: a line that says nothing.
            Ok(Err(_)) | Err(_) => return said(NOTHING_NEW),
        }
    }
}

/// INVARIANT: JSON of one line, so that nothing in it is an event of its own.
fn told(id: &str, login: Option<&Waiting>) -> String {
    let logins: Vec<_> =
        login.into_iter().map(|login| json!({ "path": login.path, "text": login.text.to_string() })).collect();
    format!("retry: 500\nid: {id}\nevent: waiting\ndata: {}\n\n", json!(logins))
}

fn said(text: &str) -> Response<Body> {
    let mut answer = Response::new(Body::from(text.to_owned()));
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    answer
}

/// A browser that hears this asks no more.
fn over() -> Response<Body> {
    let mut answer = Response::new(Body::empty());
    *answer.status_mut() = StatusCode::NO_CONTENT;
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_login_says_of_itself_is_no_event_of_its_own() {
        let text = "a\n\nevent: waiting\ndata: []\r\n\u{2028}".into();
        let login = Waiting { path: "/c/KQ7MXW2P".to_owned(), text };
        let told = told("KQ7MXW2P", Some(&login));
        let lines: Vec<&str> = told.lines().collect();
        assert_eq!(lines.len(), 5, "{told:?}");
        assert_eq!(lines[..3], ["retry: 500", "id: KQ7MXW2P", "event: waiting"]);
        assert!(lines[3].starts_with("data: [{") && lines[3].ends_with("}]") && lines[4].is_empty(), "{told:?}");
    }
}
