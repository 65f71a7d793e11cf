//! How much is logged, as it is written.

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;

/// Reads `info`, or `info,sallyport::ssh=debug`. A word alone is a level: as the name of a part it would leave out all others.
///
/// # Errors
/// Which word is none.
pub(crate) fn targets(wanted: &str) -> Result<Targets, String> {
    let alone = wanted.split(',').map(str::trim).filter(|part| !part.contains('='));
    for word in alone {
        if word.parse::<LevelFilter>().is_err() {
            return Err(format!("`{word}` is not a log level: it is one of off, error, warn, info, debug and trace"));
        }
    }
    wanted.parse().map_err(|error| format!("`{wanted}` is not a log level: {error}"))
}
