//! Figures for Prometheus, on a loopback listener unless the configuration says twice that it may be otherwise.

use std::net::SocketAddr;

use metrics_exporter_prometheus::{BuildError, ExporterFuture, PrometheusBuilder};
use tokio_util::sync::CancellationToken;

/// A bound metrics listener that does not serve yet.
pub struct MetricsServer {
    address: SocketAddr,
    exporter: ExporterFuture,
}

/// Why there are no metrics.
#[derive(Debug, thiserror::Error)]
pub enum MetricsError {
    /// The port cannot be had.
    #[error("metrics cannot listen on {address}: {source}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why not.
        source: BuildError,
    },
    /// Another part of the process collects already.
    #[error("metrics are collected elsewhere in this process already")]
    Installed,
}

impl MetricsServer {
    /// Binds the listener and begins to collect. Must be called within the runtime.
    ///
    /// # Errors
    /// The port is taken, or metrics are collected already.
    pub fn bind(address: SocketAddr, broker: &str) -> Result<Self, MetricsError> {
        let (recorder, exporter) = PrometheusBuilder::new()
            .with_http_listener(address)
            .add_global_label("broker", broker)
            .build()
            .map_err(|source| MetricsError::Listen { address, source })?;
        metrics::set_global_recorder(recorder).map_err(|_| MetricsError::Installed)?;
        describe();
        Ok(Self { address, exporter })
    }

    /// Serves until `stop`.
    pub async fn serve(self, stop: CancellationToken) {
        tracing::info!(address = %self.address, "Metrics are served");
        tokio::select! {
            () = stop.cancelled() => {}
            ended = self.exporter => if let Err(error) = ended {
                tracing::error!(?error, "Metrics are no longer served");
            }
        }
    }
}

impl std::fmt::Debug for MetricsServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MetricsServer").field("address", &self.address).finish_non_exhaustive()
    }
}

fn describe() {
    metrics::describe_gauge!("sallyport_build_info", "Always 1; the version is a label");
    metrics::describe_gauge!("sallyport_sessions_live", "Sessions that live in this broker");
    metrics::describe_gauge!("sallyport_database_up", "1 while the database answers");
    metrics::describe_gauge!("sallyport_plant_version", "Version of the plant in force");
    metrics::describe_counter!("sallyport_plant_refused_total", "Applied plants that could not be put in force");
    metrics::describe_counter!("sallyport_clock_jumps_total", "Times the clock moved otherwise than time passed");
    metrics::gauge!("sallyport_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
}
