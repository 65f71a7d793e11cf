//! `sallyport portal`: the pages for people.

use super::{CliError, Context, check};

/// `sallyport portal …`
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Say whether certificate, name and origin hold, and what a browser will say
    Check,
}

/// Runs one of them.
pub fn run(command: Command, context: &Context) -> Result<(), CliError> {
    match command {
        Command::Check => check::portal_alone(context),
    }
}
