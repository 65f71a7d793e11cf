//! Entry point: arguments, configuration, application, exit code.

#[cfg(feature = "bench-listener")]
compile_error!("the bench listener asks nobody who they are: no broker is built with it, only the benchmark");

use std::process::ExitCode;

use sallyport::cli::{self, Context};

fn main() -> ExitCode {
    let arguments = match cli::arguments() {
        Ok(arguments) => arguments,
        Err(answered) => return answered,
    };
    let (command, context) = Context::from_arguments(arguments);
    cli::exit_code(cli::run(command, &context))
}
