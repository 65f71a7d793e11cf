//! Signals: SIGTERM and SIGINT stop the broker; SIGHUP renews what can be renewed while it runs.

use std::sync::Arc;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::reload::reload;
use crate::broker::Broker;

/// The signals a broker listens to.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
    /// What is renewed.
    broker: Arc<Broker>,
}

impl Signals {
    pub(super) fn listen(broker: &Arc<Broker>) -> std::io::Result<Self> {
        Ok(Self {
            broker: Arc::clone(broker),
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
                _ = self.hang_up.recv() => reload(&self.broker).await,
            }
        }
    }
}
