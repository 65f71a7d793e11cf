//! Test and explain policy decisions.

mod access;
mod asked;
mod explain;
mod operation;
mod person;

use std::path::{Path, PathBuf};

use sallyport_policy::tables::{self, CaseResult};
use sallyport_policy::{Explanation, PlantFile, Policy};

use super::output::tell;
use super::{CliError, Context, printable};
use crate::plant::read_files;
pub use access::Access;
pub use explain::Explain;

/// `sallyport policy …`
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Run a decision table against plant files
    Test(Test),
    /// Say what would be answered, by which rule, and which conditions fail
    Explain(Box<Explain>),
    /// Report who may reach what, by which rule, with which factors, and when they last did
    Access(Access),
}

/// `sallyport policy test`
#[derive(Debug, clap::Args)]
pub struct Test {
    /// Decision tables (see docs/plant-file.md)
    #[arg(required = true, value_name = "TABLE")]
    tables: Vec<PathBuf>,
    /// Plant file, or folder of plant files; may be given several times [default: the plant in force]
    #[arg(short = 'f', long = "file", value_name = "PATH")]
    plant: Vec<PathBuf>,
}

/// Runs one of them.
pub async fn run(command: Command, context: &Context) -> Result<(), CliError> {
    match command {
        Command::Test(test) => {
            let policy = policy(&test.plant, context).await?;
            let mut results = Vec::new();
            for path in &test.tables {
                results.extend(
                    tables::run(&policy, &read_table(path)?).map_err(|errors| CliError::Setup(errors.to_string()))?,
                );
            }
            report(&results, context)
        }
        Command::Explain(command) => explain::explain(command, context).await,
        Command::Access(command) => access::access(command, context).await,
    }
}

fn report(results: &[CaseResult], context: &Context) -> Result<(), CliError> {
    let failed = results.iter().filter(|case| !case.passed()).count();
    if context.json() {
        context.print_json(results)?;
    } else {
        let mut text = String::new();
        for case in results {
            let word = if case.passed() { "ok  " } else { "FAIL" };
            text.push_str(&format!("{word} {}:{} {}\n", case.file, case.line, printable(&case.name)));
            for failure in &case.failures {
                text.push_str(&format!("       {}\n", printable(failure)));
            }
            if !case.passed() {
                text.extend(lines(&case.explanation).lines().map(|line| format!("       | {line}\n")));
            }
        }
        text.push_str(&format!("{} of {} cases hold\n", results.len() - failed, results.len()));
        context.print(&text)?;
    }
    match failed {
        0 => Ok(()),
        count => Err(CliError::Failed(format!("{count} of {} cases do not hold", results.len()))),
    }
}

fn lines(explanation: &Explanation) -> String {
    explanation.to_string().lines().map(|line| printable(line) + "\n").collect()
}

/// The policy of these plant files, or of the plant in force; warnings go to stderr.
pub(super) async fn policy(paths: &[PathBuf], context: &Context) -> Result<Policy, CliError> {
    let files = match paths {
        [] => context.rows().await?.current_plant().await.map_err(CliError::failed)?.map(|plant| plant.files),
        paths => Some(read_files(paths).map_err(CliError::setup)?.files),
    };
    let Some(files) = files else {
        return Err(CliError::Setup("no plant is in force yet; name plant files with `-f`".to_owned()));
    };
    let policy = Policy::parse(&files).map_err(|errors| CliError::Setup(errors.to_string()))?;
    for warning in policy.warnings() {
        tell(&format!("warning: {warning}"));
    }
    Ok(policy)
}

fn read_table(path: &Path) -> Result<PlantFile, CliError> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| CliError::Setup(format!("cannot read `{}`: {error}", path.display())))?;
    Ok(PlantFile { name: path.display().to_string(), text })
}
