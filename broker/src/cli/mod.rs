//! The command line: one file per noun.

pub mod account;
pub mod audit;
pub mod break_glass;
pub mod check;
mod context;
mod csv;
pub mod demo;
mod error;
mod evidence_key;
pub mod filter;
mod hidden_input;
pub mod identity;
pub mod init;
pub mod lease;
pub mod man;
mod output;
pub mod plan;
pub mod plant;
pub mod policy;
pub mod portal;
mod reason;
pub mod recording;
pub mod request;
pub mod restore;
pub mod secrets;
pub mod serve;
pub mod session;
pub mod window;
pub mod workstation;
pub mod zone;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

pub use context::Context;
pub use error::CliError;
pub use output::{Row, printable};

use crate::listen::Inherited;
use crate::redact::without_secrets;

/// How a row shows that counts as not there, because it is not as a broker wrote it.
const NOT_GENUINE: &str = "NOT GENUINE";

/// Arguments of `sallyport`.
#[derive(Debug, Parser)]
#[command(name = "sallyport", version, about = "Access broker for industrial plants", max_term_width = 110)]
pub struct Arguments {
    /// Configuration file [default: $SALLYPORT_CONFIG, then /etc/sallyport/broker.toml]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print JSON instead of a table
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

/// What `sallyport` does.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make everything a new broker needs, in one folder
    Init(init::Init),
    /// Run the broker until SIGTERM or Ctrl-C
    Serve(serve::Serve),
    /// Say whether configuration, database, keys, plant, disk, ports and clock hold
    Check(check::Check),
    /// Show what a plant file would change, for whom, and what would end; the exit code is 2 if anything would change
    Plan(plan::Files),
    /// Put a plant file in force
    Apply(plan::Apply),
    /// See the plant as it was applied
    #[command(subcommand)]
    Plant(plant::Command),
    /// See sessions and end them
    #[command(subcommand)]
    Session(session::Command),
    /// Test and explain policy decisions
    #[command(subcommand)]
    Policy(policy::Command),
    /// Bring people in and out, with their factors
    #[command(subcommand)]
    Identity(identity::Command),
    /// Keep the credentials of accounts on assets
    #[command(subcommand)]
    Account(account::Command),
    /// See and revoke second factors that still count
    #[command(subcommand)]
    Lease(lease::Command),
    /// Let somebody write certain points for a time
    #[command(subcommand)]
    Window(window::Command),
    /// See what people ask others to approve, and deny it
    #[command(subcommand)]
    Request(request::Command),
    /// Isolate a zone in an emergency, so that nobody reaches it, and lift that by two people
    #[command(subcommand)]
    Zone(zone::Command),
    /// Learn a filter from what was done, and try one on captured traffic
    #[command(subcommand)]
    Filter(filter::Command),
    /// Seal envelopes for emergencies, and look at what was opened
    #[command(subcommand)]
    BreakGlass(break_glass::Command),
    /// Find, replay, verify and export recordings
    #[command(subcommand)]
    Recording(recording::Command),
    /// Read, verify and export the audit chain
    #[command(subcommand)]
    Audit(audit::Command),
    /// Finish a restore from a backup, before the first broker starts
    #[command(subcommand)]
    Restore(restore::Command),
    /// Look after the pages for people
    #[command(subcommand)]
    Portal(portal::Command),
    /// Look after the master key and the broker's own keys
    #[command(subcommand)]
    Secrets(secrets::Command),
    /// Print `~/.ssh/config` for a workstation
    SshConfig(workstation::SshConfig),
    /// Print `known_hosts` for a workstation
    KnownHosts,
    /// Print the authority that assets must trust (`TrustedUserCAKeys`)
    UserCa,
    /// Run a broker with a simulated plant, to try things out
    Demo(demo::Demo),
    /// Print the current code of somebody of the demo
    DemoCode(demo::Code),
    /// Write the pages of the manual
    Man(man::Man),
    /// Print a completion script for a shell
    Completions {
        /// For which shell
        shell: clap_complete::Shell,
    },
}

/// Reads the arguments, or answers by itself (help, version, usage errors) and says with which exit code.
pub fn arguments() -> Result<Arguments, ExitCode> {
    Arguments::try_parse().map_err(|answer| {
        let code = if answer.use_stderr() { USAGE } else { 0 };
        let said = answer.render();
        // Help and version repeat nothing and keep their colours; an error may repeat a secret in the wrong place.
        let printed = match without_secrets(&said.to_string()) {
            text if answer.use_stderr() && text != said.to_string() => std::io::stderr().write_all(text.as_bytes()),
            _ => answer.print(),
        };
        match printed {
            Ok(()) => ExitCode::from(code),
            Err(_) => ExitCode::FAILURE,
        }
    })
}

/// Runs one command to its end.
pub fn run(command: Command, context: &Context) -> Result<(), CliError> {
    // Before anything secret is read: almost every command can touch a key.
    crate::process::harden().map_err(CliError::failed)?;
    // Before there are threads.
    let inherited = match &command {
        Command::Serve(_) => Inherited::take().map_err(CliError::setup)?,
        _ => Inherited::default(),
    };
    let runtime = crate::workers::runtime().map_err(CliError::failed)?;
    runtime.block_on(dispatch(command, inherited, context))
}

async fn dispatch(command: Command, inherited: Inherited, context: &Context) -> Result<(), CliError> {
    match command {
        Command::Init(arguments) => init::run(arguments, context).await,
        Command::Serve(arguments) => serve::run(arguments, inherited, context).await,
        Command::Check(arguments) => check::run(arguments, context).await,
        Command::Plan(files) => plan::plan(files, context).await,
        Command::Apply(arguments) => plan::apply(arguments, context).await,
        Command::Plant(command) => plant::run(command, context).await,
        Command::Session(command) => session::run(command, context).await,
        Command::SshConfig(arguments) => workstation::ssh_config(arguments, context).await,
        Command::KnownHosts => workstation::known_hosts(context).await,
        Command::UserCa => workstation::user_ca(context).await,
        Command::Policy(command) => policy::run(command, context).await,
        Command::Identity(command) => identity::run(command, context).await,
        Command::Account(command) => account::run(command, context).await,
        Command::Lease(command) => lease::run(command, context).await,
        Command::Window(command) => window::run(command, context).await,
        Command::Request(command) => request::run(command, context).await,
        Command::Zone(command) => zone::run(command, context).await,
        Command::Filter(command) => filter::run(command, context).await,
        Command::BreakGlass(command) => break_glass::run(command, context).await,
        Command::Recording(command) => recording::run(command, context).await,
        Command::Audit(command) => audit::run(command, context).await,
        Command::Restore(command) => restore::run(command, context).await,
        Command::Portal(command) => portal::run(command, context),
        Command::Secrets(command) => secrets::run(command, context).await,
        Command::Demo(arguments) => demo::run(arguments, context).await,
        Command::DemoCode(arguments) => demo::code(arguments, context).await,
        Command::Man(arguments) => man::run(arguments, context),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Arguments::command(), "sallyport", &mut script);
            context.print_bytes(&script)
        }
    }
}

/// Says on stderr what went wrong, if anything did, and gives the exit code.
#[must_use]
pub fn exit_code(result: Result<(), CliError>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        // The reader of a pipe has gone (`… | head`): nothing is wrong, and nobody is there to be told.
        Err(CliError::Output(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        // The plan was the answer.
        Err(error @ CliError::WouldChange) => ExitCode::from(error.exit_code()),
        Err(error) => {
            // Whatever it repeats of what was given: a secret in the wrong place is not printed.
            output::tell(&without_secrets(&error.to_string()));
            ExitCode::from(error.exit_code())
        }
    }
}

const USAGE: u8 = 64;
const CONFIGURATION: u8 = 78;
const FAILURE: u8 = 1;
const WOULD_CHANGE: u8 = 2;

#[cfg(test)]
mod tests;
