//! `sallyport demo` and `sallyport demo-code`.

use std::path::PathBuf;

use super::{CliError, Context};
use crate::demo::{self, DemoError};

/// `sallyport demo`
#[derive(Debug, clap::Args)]
pub struct Demo {
    /// Folder of the demo; made the first time
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// Port of the broker, on loopback
    #[arg(long, value_name = "PORT", default_value_t = demo::SSH_PORT)]
    ssh_port: u16,
    /// Port of its portal, on loopback [default: 8443, or any free one]
    #[arg(long, value_name = "PORT")]
    portal_port: Option<u16>,
}

/// `sallyport demo-code`
#[derive(Debug, clap::Args)]
pub struct Code {
    /// Folder of the demo
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// Whose code
    #[arg(default_value = "alice")]
    name: String,
}

/// Runs the demo until SIGTERM or Ctrl-C.
pub async fn run(arguments: Demo, context: &Context) -> Result<(), CliError> {
    // A reader of standard output that has gone does not end the demo.
    let print = |text: &str| {
        if let Err(error) = context.print(text) {
            tracing::warn!(%error, "Nobody reads what to paste");
        }
    };
    demo::run(&arguments.dir, arguments.ssh_port, arguments.portal_port, print).await.map_err(|error| match error {
        DemoError::Start(error) => super::serve::start_error(error),
        DemoError::Config(error) => error.into(),
        error => CliError::failed(error),
    })
}

/// Prints a code that counts now.
pub async fn code(arguments: Code, context: &Context) -> Result<(), CliError> {
    let code = demo::current_code(&arguments.dir, &arguments.name).await.map_err(CliError::failed)?;
    context.print(&format!("{code}\n"))
}
