//! Log lines: for us, on stderr, without payload and without secrets. What auditors need is in the audit chain.

use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::{LogConfig, LogFormat};

/// The environment variable that outranks the configured level.
pub const LEVEL_VARIABLE: &str = "SALLYPORT_LOG";

/// Begins to log. Later calls in the same process change nothing.
///
/// # Errors
/// A level in the environment that is not one. (The configured one was checked when it was read.)
pub fn begin(config: &LogConfig) -> Result<(), String> {
    let wanted = std::env::var(LEVEL_VARIABLE).unwrap_or_else(|_| config.filter.clone());
    let filter: Targets =
        wanted.parse().map_err(|error| format!("`{wanted}` is not a log level ({LEVEL_VARIABLE}): {error}"))?;
    let filter = quiet_neighbours(filter);
    let registry = tracing_subscriber::registry().with(filter);
    let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let begun = match config.format {
        LogFormat::Text => registry.with(layer.with_target(false).with_ansi(false)).try_init(),
        LogFormat::Json => registry.with(layer.json().flatten_event(true)).try_init(),
    };
    if begun.is_err() {
        tracing::debug!("Logging had begun already");
    }
    Ok(())
}

/// russh and sqlx log peers' data and statements below warnings: unless somebody names them, they stay quiet.
fn quiet_neighbours(filter: Targets) -> Targets {
    let named: Vec<String> = filter.iter().map(|(target, _)| target.to_owned()).collect();
    ["russh", "sqlx", "hyper"].into_iter().fold(filter, |filter, neighbour| {
        if named.iter().any(|target| target.starts_with(neighbour)) {
            filter
        } else {
            filter.with_target(neighbour, tracing::level_filters::LevelFilter::ERROR)
        }
    })
}
