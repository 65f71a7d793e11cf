//! `/events`: tells a page that is open which logins of its person wait, as soon as one does (server-sent events, HTML section 9.2).
//!
//! What is open is no act of a person: it does not prolong a sign-in, and it ends with it.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::http::{HeaderValue, Response, StatusCode};
use axum::routing::get;
use hyper::body::Frame;
use sallyport_policy::IdentityId;
use serde_json::json;
use tokio::sync::mpsc;

use crate::login::ceremony;
use crate::portal::answer::plain;
use crate::portal::cookie::Cookie;
use crate::portal::signed_in::SignedIn;
use crate::portal::site::Site;

/// A browser opens another stream after that.
const LONGEST: Duration = Duration::from_secs(10 * 60);
/// Whether the sign-in still stands is looked at so often, whatever changes.
const SIGN_IN_LOOK: Duration = Duration::from_secs(5);
/// Changes that come together are looked at once.
const TOGETHER: Duration = Duration::from_millis(100);

pub(super) fn routes() -> Router<Arc<Site>> {
    Router::new().route("/events", get(events))
}

async fn events(State(site): State<Arc<Site>>, request: Parts) -> Response<Body> {
    let (Some(cookie), Ok(Some(person))) = (Cookie::of(&request.headers), SignedIn::find(&site, &request, false).await)
    else {
        return plain(StatusCode::NO_CONTENT);
    };
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(tell(site, cookie, person.identity().clone(), sender));
    let mut answer = Response::new(Body::new(Told(receiver)));
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    answer
}

/// Until the page is closed, the sign-in is over, or it was long enough.
async fn tell(site: Arc<Site>, cookie: Cookie, identity: IdentityId, told: mpsc::Sender<Bytes>) {
    let until = Instant::now() + LONGEST;
    let mut changes = site.broker().store.changes();
    let mut shown: Option<Option<String>> = None;
    while Instant::now() < until && site.signed_in.look(&cookie, Instant::now(), false).is_some() {
        changes.mark_unchanged();
        let broker = site.broker();
        let Ok(row) = ceremony::waiting(broker, &identity, broker.now()).await else { return };
        let path = row.as_ref().map(|row| format!("/c/{}", row.code));
        if shown.as_ref() != Some(&path) {
            let before = shown.flatten().filter(|before| path.as_ref() != Some(before));
            let list: Vec<_> = row
                .iter()
                .map(|row| {
                    let text = format!("From {} to {}", row.source, row.target);
                    json!({ "path": path, "text": sallyport_plain::printable(&text) })
                })
                .collect();
            let mut text = format!("event: waiting\ndata: {}\n\n", json!(list));
            if let Some(before) = before {
                text.push_str(&format!("event: settled\ndata: {}\n\n", json!({ "path": before })));
            }
            if told.send(text.into()).await.is_err() {
                return;
            }
            shown = Some(path);
        }
        tokio::select! {
            () = told.closed() => return,
            _ = tokio::time::timeout(SIGN_IN_LOOK, changes.changed()) => tokio::time::sleep(TOGETHER).await,
        }
    }
}

/// What is told, as the body of an answer.
struct Told(mpsc::Receiver<Bytes>);

impl hyper::body::Body for Told {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.0.poll_recv(context).map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes))))
    }
}
