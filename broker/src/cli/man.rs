//! `sallyport man`: the pages of the manual, made from the commands themselves.

use std::path::PathBuf;

use clap::CommandFactory;

use super::{Arguments, CliError, Context};

/// `sallyport man`
#[derive(Debug, clap::Args)]
pub struct Man {
    /// Folder to write the pages to, as `/usr/local/share/man/man1`; made if it does not exist
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
}

/// Writes a page for each command. Pages of an earlier release are replaced.
pub fn run(Man { dir }: Man, context: &Context) -> Result<(), CliError> {
    let failed = |error: std::io::Error| CliError::Failed(format!("cannot write to `{}`: {error}", dir.display()));
    std::fs::create_dir_all(&dir).map_err(failed)?;
    clap_mangen::generate_to(Arguments::command(), &dir).map_err(failed)?;
    context.print(&format!("The manual is in `{}`: `man sallyport`.\n", dir.display()))
}
