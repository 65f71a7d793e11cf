//! Signals: SIGTERM and SIGINT stop the broker; SIGHUP changes nothing.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::info;

/// The signals a broker listens to.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    pub(super) fn listen() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    /// Resolves, with its name, when a signal asks for the end.
    pub(super) async fn stop(&mut self) -> &'static str {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return "SIGTERM",
                _ = self.interrupt.recv() => return "SIGINT",
                _ = self.hang_up.recv() => {
                    info!("SIGHUP: nothing to reload; a plant takes effect when applied, the configuration at the next start");
                }
            }
        }
    }
}
