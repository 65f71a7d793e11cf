//! When a connection must go, why, and how long it may take to hear it.

use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::door::Pass;
use super::shared::gone;

/// How long connections may take to close when the broker stops.
pub(super) const STOPPED_WITHIN: Duration = Duration::from_secs(5);
/// How long somebody who has not logged in may take to hear that they must go. What is spoken may leave no moment to say
/// so, as ssh's key exchange does, and a stranger need never end that.
const DISMISSED_WITHIN: Duration = Duration::from_millis(50);

const TOO_LONG: &str = "the login took too long";
const GONE: &str = "the client has gone";

/// Why a connection must go, and how long it may take to hear that.
#[derive(Debug)]
pub(crate) struct Dismissal {
    pub(crate) reason: &'static str,
    pub(crate) patience: Duration,
}

/// Resolves when a connection must go: one that has not logged in when it is too late, when it has to make room or when
/// nobody is there any more; any when the broker stops.
pub(crate) async fn dismissed(
    pass: &Pass,
    socket: &TcpStream,
    logged_in: &CancellationToken,
    login_by: Instant,
    stop: &CancellationToken,
) -> Dismissal {
    let must_go = async {
        tokio::select! {
            biased;
            () = pass.must_make_room() => "too many connections wait for their login",
            () = tokio::time::sleep_until(login_by) => TOO_LONG,
            () = gone(socket) => GONE,
        }
    };
    tokio::select! {
        biased;
        () = stop.cancelled() => Dismissal { reason: "the broker is stopping", patience: STOPPED_WITHIN },
        dismissal = unless_logged_in(logged_in, must_go) => dismissal,
    }
}

/// Resolves when a connection within another has not logged in, and it is too late or nothing more comes of its client.
pub(crate) async fn overdue(logged_in: &CancellationToken, left: &CancellationToken, login_by: Instant) -> Dismissal {
    let must_go = async {
        tokio::select! {
            () = tokio::time::sleep_until(login_by) => TOO_LONG,
            () = left.cancelled() => GONE,
        }
    };
    unless_logged_in(logged_in, must_go).await
}

/// Never for one that has logged in.
async fn unless_logged_in(logged_in: &CancellationToken, must_go: impl Future<Output = &'static str>) -> Dismissal {
    tokio::select! {
        biased;
        () = logged_in.cancelled() => std::future::pending().await,
        reason = must_go => Dismissal { reason, patience: DISMISSED_WITHIN },
    }
}
