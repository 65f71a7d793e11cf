//! Figures for Prometheus, on a loopback listener unless the configuration says twice that it may be otherwise.

mod answer;
mod families;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::listen::{For, Inherited, InheritedError, accept};
use crate::logging::counted;

/// Connections at once. Whoever reads figures is done in a moment: of more, the oldest must go.
const MOST_SCRAPES: usize = 16;
/// From accept to the last byte of the answer.
const ANSWERED_WITHIN: Duration = Duration::from_secs(5);
/// Old samples of histograms are folded this often.
const UPKEEP: Duration = Duration::from_secs(5);

/// A bound metrics listener that does not serve yet.
pub(crate) struct MetricsServer {
    address: SocketAddr,
    listener: TcpListener,
    figures: PrometheusHandle,
}

/// What else is asked on this listener: an answer has a line for each thing that is not as it should be.
#[derive(Clone)]
pub(crate) struct Probes {
    /// Whether the broker's tasks live.
    pub(crate) alive: Arc<dyn Fn() -> Vec<String> + Send + Sync>,
    /// Whether it can take sessions.
    pub(crate) ready: Arc<dyn Fn() -> Looking + Send + Sync>,
}

/// A look that takes a moment.
pub(crate) type Looking = Pin<Box<dyn Future<Output = Vec<String>> + Send>>;

/// Why there are no metrics.
#[derive(Debug, thiserror::Error)]
pub enum MetricsError {
    /// The port cannot be had.
    #[error("metrics cannot listen on {address}: {source}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why not.
        source: std::io::Error,
    },
    /// More than one socket was inherited for them.
    #[error("metrics have one socket, and several were inherited for them")]
    Several,
    /// The one that was inherited.
    #[error(transparent)]
    Inherited(#[from] InheritedError),
    /// Another part of the process collects already.
    #[error("metrics are collected elsewhere in this process already")]
    Installed,
}

impl MetricsServer {
    /// Binds the listener and begins to collect.
    ///
    /// # Errors
    /// The port is taken, or metrics are collected already.
    pub(crate) async fn bind(
        address: SocketAddr,
        broker: &str,
        inherited: &mut Inherited,
    ) -> Result<Self, MetricsError> {
        let listening = inherited.listen(For::Metrics, &[address]).await;
        let listeners = listening.map_err(|(address, source)| MetricsError::Listen { address, source })?;
        let [listener] = <[TcpListener; 1]>::try_from(listeners).map_err(|_| MetricsError::Several)?;
        if let Ok(inherited) = listener.local_addr()
            && address.ip().is_loopback()
            && !inherited.ip().is_loopback()
        {
            return Err(InheritedError::BeyondLoopback(inherited).into());
        }
        let recorder = PrometheusBuilder::new().add_global_label("broker", broker).build_recorder();
        let figures = recorder.handle();
        metrics::set_global_recorder(recorder).map_err(|_| MetricsError::Installed)?;
        families::describe();
        Ok(Self { address, listener, figures })
    }

    /// Serves until `stop`.
    pub(crate) async fn serve(self, probes: Probes, stop: CancellationToken) {
        tracing::info!(address = %self.address, "Metrics are served");
        let figures = self.figures.clone();
        let mut open = VecDeque::new();
        let serving = accept(self.listener, stop.clone(), move |socket, _| {
            take(&mut open, socket, figures.clone(), probes.clone());
        });
        let upkeep = async {
            loop {
                tokio::time::sleep(UPKEEP).await;
                self.figures.run_upkeep();
            }
        };
        tokio::select! {
            () = serving => {}
            () = upkeep => {}
        }
    }
}

/// Serves a connection; of more than there may be, the oldest ends.
fn take(open: &mut VecDeque<AbortOnDropHandle<()>>, socket: TcpStream, figures: PrometheusHandle, probes: Probes) {
    open.retain(|connection| !connection.is_finished());
    if open.len() >= MOST_SCRAPES {
        counted!(warn, "As many connections for metrics as allowed were open, and the oldest was ended");
        open.pop_front();
    }
    open.push_back(AbortOnDropHandle::new(tokio::spawn(async move {
        let answering = answer::answer(socket, || figures.render(), &probes);
        match tokio::time::timeout(ANSWERED_WITHIN, answering).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "A reader of metrics has left"),
            Err(_) => tracing::debug!("A reader of metrics was too slow"),
        }
    })));
}

impl std::fmt::Debug for MetricsServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MetricsServer").field("address", &self.address).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    fn fine() -> Probes {
        Probes { alive: Arc::new(Vec::new), ready: Arc::new(|| Box::pin(async { Vec::new() })) }
    }

    #[tokio::test]
    async fn those_who_hold_connections_open_keep_nobody_from_reading_figures() {
        let figures = PrometheusBuilder::new().build_recorder().handle();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (server, stop) = (MetricsServer { address, listener, figures }, CancellationToken::new());
        let serving = tokio::spawn(server.serve(fine(), stop.clone()));
        let mut slow = Vec::new();
        for _ in 0..300 {
            let mut connection = TcpStream::connect(address).await.unwrap();
            connection.write_all(b"GET /metrics HTTP/1.1\r\n").await.unwrap();
            slow.push(connection);
        }
        let mut reader = TcpStream::connect(address).await.unwrap();
        reader.write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        let mut text = String::new();
        reader.read_to_string(&mut text).await.unwrap();
        assert!(text.starts_with("HTTP/1.1 200 OK\r\n"), "{text}");
        // Those that were too many are closed long before their time.
        let mut still_open = 0;
        for connection in &mut slow {
            let read = tokio::time::timeout(Duration::from_millis(5), connection.read(&mut [0; 1])).await;
            still_open += usize::from(read.is_err());
        }
        assert!(still_open < MOST_SCRAPES, "{still_open} connections are still open");
        stop.cancel();
        serving.await.unwrap();
    }
}
