//! `sallyport serve`: the broker.

use tokio_util::sync::CancellationToken;

use super::{CliError, Context};
use crate::app::{App, StartError};
use crate::logging;

/// Serves until SIGTERM or SIGINT.
pub async fn run(context: &Context) -> Result<(), CliError> {
    let config = context.config()?.clone();
    logging::begin(&config.log).map_err(CliError::Setup)?;
    let app = App::start(config).await.map_err(start_error)?;
    app.run(CancellationToken::new()).await.map_err(CliError::failed)
}

/// A wrong configuration has its own exit code; a port or a database that is away now is no such thing.
pub(super) fn start_error(error: StartError) -> CliError {
    if error.is_configuration() { CliError::setup(error) } else { CliError::failed(error) }
}
