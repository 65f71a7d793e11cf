//! `sallyport audit`: read, verify and export the audit chain.

mod export;
mod list;
mod verify;

pub(in crate::cli) use verify::head;

use std::path::PathBuf;

use jiff::Timestamp;

use super::{CliError, Context};

/// `sallyport audit …`
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// List entries, the oldest first
    List(list::List),
    /// Prove that the chain is whole: in the database, or in an export
    Verify {
        /// An export instead of the database; `-` reads standard input
        #[arg(long, value_name = "FILE")]
        file: Option<PathBuf>,
        /// Evidence key that must have signed: an OpenSSH line, hex, base64, or a file with such lines; may be given several
        /// times [default: this installation's]
        #[arg(long, value_name = "KEY")]
        public_key: Vec<String>,
        /// A head noted earlier, which must still be there
        #[arg(long, value_name = "NUMBER:HASH", value_parser = verify::head)]
        expect_head: Option<(i64, String)>,
        /// A log that a receiver of events has kept: every signed head in it must still be in the chain
        #[arg(long, value_name = "LOG")]
        witness: Option<PathBuf>,
        /// The export may begin later than with entry 1
        #[arg(long, requires = "file")]
        partial: bool,
    },
    /// Write entries as JSON lines, which `audit verify --file` proves without the database
    Export {
        /// From the first entry of this time on (as in `2026-11-23T06:00:00Z`)
        #[arg(long)]
        since: Option<Timestamp>,
        /// To the last entry before this time
        #[arg(long)]
        until: Option<Timestamp>,
        /// Where to write; it must not exist [default: standard output]
        #[arg(long, short, value_name = "FILE")]
        output: Option<PathBuf>,
    },
}

/// Runs one of them.
pub async fn run(command: Command, context: &Context) -> Result<(), CliError> {
    match command {
        Command::List(arguments) => list::run(arguments, context).await,
        Command::Verify { file, public_key, expect_head, witness, partial } => {
            let expected = crate::audit::Expected { head: expect_head, partial, ..Default::default() };
            let from = verify::From { file: file.as_deref(), keys: &public_key, witness: witness.as_deref() };
            verify::run(from, expected, context).await
        }
        Command::Export { since, until, output } => export::run(since, until, output.as_deref(), context).await,
    }
}
