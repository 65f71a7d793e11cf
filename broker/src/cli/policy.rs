//! Test and explain policy decisions.

use super::{CliError, Context};

/// `sallyport policy …`
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Whatever is asked: this version has none of it yet.
    #[command(external_subcommand)]
    Other(Vec<String>),
}

/// Runs one of them.
pub async fn run(command: Command, _context: &Context) -> Result<(), CliError> {
    match command {
        Command::Other(_) => Err(CliError::NotAvailable("sallyport policy")),
    }
}
