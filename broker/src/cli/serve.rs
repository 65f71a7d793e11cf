//! `sallyport serve`: the broker.

use tokio_util::sync::CancellationToken;

use super::{CliError, Context};
use crate::app::{App, StartError};
use crate::listen::Inherited;
use crate::logging;

/// `sallyport serve`
#[derive(Debug, Clone, Copy, clap::Args)]
pub struct Serve {
    /// Take this broker's name from another of which nobody can tell whether it lives, and close its sessions
    #[arg(long)]
    pub takeover: bool,
}

/// Serves until SIGTERM or SIGINT.
pub async fn run(arguments: Serve, inherited: Inherited, context: &Context) -> Result<(), CliError> {
    let config = context.config()?.clone();
    logging::begin(&config.log).map_err(CliError::Setup)?;
    let app = App::start_on(config, arguments.takeover, inherited).await.map_err(start_error)?;
    app.run(CancellationToken::new()).await.map_err(CliError::failed)
}

/// A wrong configuration has its own exit code; a port or a database that is away now is no such thing.
pub(super) fn start_error(error: StartError) -> CliError {
    if error.is_configuration() { CliError::setup(error) } else { CliError::failed(error) }
}
