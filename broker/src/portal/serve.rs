//! Serves one connection of a browser until it is over. Until somebody is signed in behind it, it may be dismissed as any stranger's.
//!
//! TLS 1.3 or nothing; then HTTP/1.1 or 2, as was agreed within TLS. A connection carries one request of HTTP/1: nothing can hide
//! behind the first, and every browser speaks HTTP/2. What a connection may hold in memory is bounded by what is set here.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{Method, Request, Response};
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::certificate::HTTP2;
use super::line::{Line, Running, Weight};
use super::served::Served;
use super::strict::Strict;
use super::{guard, headers};
use crate::listen::{Dismissal, Pass, Progress, Shared, dismissed};

/// From the handshake to the last byte of a request's head, on HTTP/1.
const HEAD_WITHIN: Duration = Duration::from_secs(10);
/// From a request's head to its answer. A password that waits its turn takes half a minute (see `identity/throttle.rs`).
const REQUEST_WITHIN: Duration = Duration::from_secs(60);
/// How long a connection that is over may take to hear it.
const CLOSE_WITHIN: Duration = Duration::from_secs(5);
/// Between looks whether the other side is still there, on HTTP/2, and how long it may take to answer.
const PING_EVERY: Duration = Duration::from_secs(20);

/// The head of a request, as it is held.
const LARGEST_HEAD: u32 = 16 << 10;
const MOST_HEADERS: usize = 64;
/// A person's open pages have one each, for what begins to wait.
const MOST_STREAMS: u32 = 100;
const STREAM_WINDOW: u32 = 64 << 10;
const CONNECTION_WINDOW: u32 = 256 << 10;
const SEND_BUFFER: usize = 64 << 10;
/// Streams that were opened and given up before they were looked at; more end the connection.
const MOST_GIVEN_UP: usize = 20;

/// Serves a connection at the portal's port.
pub(super) async fn serve(served: Served, socket: TcpStream, peer: SocketAddr, pass: Pass, stop: CancellationToken) {
    if let Err(error) = socket.set_nodelay(true) {
        return tracing::debug!(%peer, %error, "The connection was gone at once");
    }
    let (limits, begin) = (served.site.door().limits(), Instant::now());
    let (socket, line) = (Arc::new(socket), Arc::new(Line::new(peer.ip(), pass.clone())));
    let inside = line.inside().clone();
    let mut dismissed = pin!(dismissed(&pass, &socket, &inside, begin + limits.login, &stop));
    let accept = TlsAcceptor::from(served.site.tls()).accept(Shared(Arc::clone(&socket)));
    let stream = tokio::select! {
        accepted = tokio::time::timeout_at(begin + limits.silence, accept) => match accepted {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return tracing::debug!(%peer, %error, "Spoke no TLS that is spoken here"),
            Err(_) => return tracing::debug!(%peer, "Said nothing that is TLS"),
        },
        Dismissal { reason, .. } = &mut dismissed => return tracing::debug!(%peer, reason, "Dismissed before a word"),
    };
    pass.reached(Progress::Identified);
    let streams = Streams::default();
    speak(served, stream, &line, &streams, dismissed).await;
    streams.end().await;
    tracing::debug!(%peer, "Connection closed");
}

/// Answers requests until the connection is over or dismissed.
async fn speak(
    served: Served,
    stream: TlsStream<Shared>,
    line: &Arc<Line>,
    streams: &Streams,
    mut dismissed: impl Future<Output = Dismissal> + Unpin,
) {
    let two = stream.get_ref().1.alpn_protocol() == Some(HTTP2);
    let answering = Arc::clone(line);
    let service = service_fn(move |request: Request<Incoming>| {
        let (served, line) = (served.clone(), Arc::clone(&answering));
        async move { Ok::<_, Infallible>(answer(&served, &line, request).await) }
    });
    let stream = if two { Strict::lenient(stream) } else { Strict::new(stream) };
    let builder = builder(streams, two);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let patience = tokio::select! {
        _ = connection.as_mut() => return,
        Dismissal { reason, patience } = &mut dismissed => {
            tracing::debug!(reason, "Connection dismissed");
            patience
        }
        () = line.over() => CLOSE_WITHIN,
    };
    connection.as_mut().graceful_shutdown();
    if tokio::time::timeout(patience, connection).await.is_err() {
        tracing::debug!("Connection cut");
    }
}

fn builder(streams: &Streams, two: bool) -> Builder<Streams> {
    let mut builder = Builder::new(streams.clone());
    let head = usize::try_from(LARGEST_HEAD).unwrap_or(usize::MAX);
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WITHIN)
        .keep_alive(false)
        .max_headers(MOST_HEADERS)
        .max_buf_size(head);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_EVERY)
        .max_concurrent_streams(MOST_STREAMS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .max_header_list_size(LARGEST_HEAD)
        .max_pending_accept_reset_streams(MOST_GIVEN_UP)
        .max_local_error_reset_streams(MOST_GIVEN_UP);
    if two { builder.http2_only() } else { builder.http1_only() }
}

/// Whatever is asked, and whatever comes of it: the answer has the headers.
async fn answer(served: &Served, line: &Arc<Line>, request: Request<Incoming>) -> Response<Body> {
    let weight = if request.method() == Method::POST { Weight::WithBody } else { Weight::Bare };
    let running = line.begin(weight);
    let answered = if line.crowded() {
        Ok(guard::too_many(&served.site))
    } else {
        let answering = guard::answer(served, line, request.map(Body::new));
        tokio::time::timeout(REQUEST_WITHIN, answering).await
    };
    let answer = headers::dress(&served.site, answered.unwrap_or_else(|_| guard::too_slow(&served.site)));
    answer.map(|body| Body::new(Held { body, _running: running }))
}

/// A body that is sent, during which its request runs: nobody calls a connection quiet on which an answer is under way.
struct Held {
    body: Body,
    _running: Running,
}

impl hyper::body::Body for Held {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The requests of one connection that run beside it, on HTTP/2: none of them outlives it.
#[derive(Debug, Clone, Default)]
struct Streams {
    running: TaskTracker,
    cut: CancellationToken,
}

impl Streams {
    async fn end(&self) {
        self.cut.cancel();
        self.running.close();
        self.running.wait().await;
    }
}

impl<F> hyper::rt::Executor<F> for Streams
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, stream: F) {
        let cut = self.cut.clone();
        self.running.spawn(async move {
            tokio::select! {
                biased;
                () = cut.cancelled() => {}
                () = stream => {}
            }
        });
    }
}
