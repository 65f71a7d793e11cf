//! Serves one connection of a person until it is over: at the broker's own port, or inside a jump. Until the login, it may
//! be dismissed; a session's connection only ends with it, or when the broker stops.

use std::fmt;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;

use russh::server;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::handler::PersonHandler;
use super::jump_login::JumpLogin;
use super::shared::{Offers, Server};
use crate::listen::{Dismissal, Pass, Progress, Shared, dismissed, overdue};
use crate::logging::counted;
use crate::session::not_for_you;
use crate::ssh::abortable::{Abortable, Lifeline};
use crate::ssh::algorithms::Unmatched;
use crate::ssh::channel::flow::Flow;
use crate::ssh::lobby::Jump;
use crate::ssh::pipe;
use crate::ssh::proposal::hear;

/// A connection that is about to speak.
struct Connection<S> {
    offers: Offers,
    stream: S,
    handler: PersonHandler,
    line: Lifeline,
    /// Whoever has said nothing that is SSH by then is gone.
    speaks_by: Instant,
    name: String,
}

/// Serves a connection at the broker's own port.
pub(super) async fn outer(
    server: Arc<Server>,
    socket: TcpStream,
    peer: SocketAddr,
    pass: Pass,
    stop: CancellationToken,
) {
    let offers = match server.outer() {
        Ok(offers) => offers,
        Err(error) => return counted!(error, "No host certificate, so no connection", %error),
    };
    if let Err(error) = socket.set_nodelay(true) {
        return tracing::debug!(%peer, %error, "The connection was gone at once");
    }
    let limits = server.entrance.door.limits();
    let line = Lifeline::default();
    let begin = Instant::now();
    let handler = PersonHandler::outer(Arc::clone(&server), peer.ip(), pass.clone(), line.clone(), jump);
    let socket = Arc::new(socket);
    let dismissed = {
        let (pass, socket, logged_in) = (pass.clone(), Arc::clone(&socket), line.logged_in.clone());
        async move { dismissed(&pass, &socket, &logged_in, begin + limits.login, &stop).await }
    };
    let (speaks_by, name) = (begin + limits.silence, peer.to_string());
    let connection = Connection { offers, stream: Shared(socket), handler, line, speaks_by, name };
    serve(connection, dismissed, || pass.reached(Progress::Identified)).await;
}

/// Serves the connection inside a jump, in a task of its own: the handler that was asked for it runs inside the loop of the
/// connection around it, which must go on. No socket is opened before its login is through.
fn jump(server: Arc<Server>, jump: Jump) {
    tokio::spawn(async move {
        let Jump { asked, asset, service, session, outer, passage } = jump;
        let policy = server.broker.policy.current();
        let offers = match policy.asset(&asset).map(|asset| server.inner(asset)) {
            Some(Ok(offers)) => offers,
            Some(Err(error)) => {
                tracing::error!(%error, "No host certificate, so no jump");
                return asked.turn_away("the broker cannot answer for this asset now".to_owned()).await;
            }
            None => return asked.turn_away(not_for_you(asset.as_str())).await,
        };
        let line = Lifeline { flow: Flow::within_another(), ..Lifeline::default() };
        let name = format!("a jump to {asset}");
        let login = server.entrance.door.limits().login;
        let handler = PersonHandler::inner(server, JumpLogin::new(session, asset, service), line.clone(), self::jump);
        asked.reply.accept().await;
        let end = Instant::now() + login;
        let (stream, left) = pipe(asked.channel, outer);
        let logged_in = line.logged_in.clone();
        let connection = Connection { offers, stream, handler, line, speaks_by: end, name };
        serve(connection, overdue(&logged_in, &left, end), || {}).await;
        // It keeps its place until it is really over.
        drop(passage);
    });
}

/// Until login, deadline, dismissal or cut, whichever comes first; from the login on, until it ends.
async fn serve<S>(connection: Connection<S>, dismissed: impl Future<Output = Dismissal>, identified: impl FnOnce())
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let Connection { offers, stream, handler, line, speaks_by, name } = connection;
    let running = async {
        let (stream, proposal) = hear(stream, &line.client).await?;
        let stream = Abortable::new(line.flow.meter(stream), &line.cut);
        server::run_stream(offers.to(proposal), stream, handler).await
    };
    let mut dismissed = pin!(dismissed);
    let running = tokio::select! {
        running = tokio::time::timeout_at(speaks_by, running) => running,
        Dismissal { reason, .. } = &mut dismissed => return tracing::debug!(name, reason, "Dismissed before a word"),
    };
    let Ok(Ok(mut running)) = running else {
        return tracing::debug!(name, "Said nothing that is SSH");
    };
    identified();
    let handle = running.handle();
    let Dismissal { reason, patience } = tokio::select! {
        result = &mut running => return log_end(&name, &result),
        dismissal = &mut dismissed => dismissal,
    };
    // Sessions end by themselves when the broker stops, and say so; the cut is for what hangs.
    let closed = async {
        if handle.disconnect(russh::Disconnect::ByApplication, reason.to_owned(), "en".to_owned()).await.is_ok() {
            log_end(&name, &(&mut running).await);
        }
    };
    if tokio::time::timeout(patience, closed).await.is_err() {
        tracing::debug!(name, reason, "Connection cut");
        // The handler ends with it, wherever it waits, and leaves every queue.
        line.cut.cancel();
        log_end(&name, &running.await);
    }
}

/// How clients leave is their matter: most just close the socket.
fn log_end(name: impl fmt::Display, result: &Result<(), russh::Error>) {
    match result {
        Ok(()) => tracing::debug!(%name, "Connection closed"),
        Err(error) => match Unmatched::of(error) {
            Some(Unmatched { kind, theirs, ours }) => {
                counted!(warn, "A client has no algorithm in common with the broker", %name, kind, theirs, ours);
            }
            None => tracing::debug!(%name, %error, "Connection closed"),
        },
    }
}
