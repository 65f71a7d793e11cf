//! `sallyport plan` and `sallyport apply`: what a plant file would change, and making it so.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use sallyport_policy::{PlantFile, Policy};
use serde::Serialize;

use super::{CliError, Context, printable};
use crate::plant::{PlantDiff, PlantFiles, read_files};
use crate::store::plants::{NewPlant, plant_sha256};

/// Which plant files.
#[derive(Debug, clap::Args)]
pub struct Files {
    /// Plant file, or folder of plant files; may be given several times
    #[arg(short = 'f', long = "file", value_name = "PATH", required = true)]
    pub paths: Vec<PathBuf>,
}

/// `sallyport apply`
#[derive(Debug, clap::Args)]
pub struct Apply {
    #[command(flatten)]
    files: Files,
    /// Do not ask, also at a terminal
    #[arg(long)]
    yes: bool,
}

/// What would change, or has changed.
#[derive(Debug, Serialize)]
struct Plan {
    /// The version in force before; 0: none.
    from_version: i64,
    /// The version that was made, if one was.
    version: Option<i64>,
    sha256: String,
    changed: bool,
    warnings: Vec<String>,
    diff: PlantDiff,
}

/// Shows what would change.
pub async fn plan(files: Files, context: &Context) -> Result<(), CliError> {
    let (plan, _) = make_plan(&files, context).await?;
    if context.json() { context.print_json(&plan) } else { context.print(&describe(&plan)) }
}

/// Shows what changes and makes it so.
pub async fn apply(arguments: Apply, context: &Context) -> Result<(), CliError> {
    let (mut plan, files) = make_plan(&arguments.files, context).await?;
    if !context.json() {
        context.print(&describe(&plan))?;
    }
    if plan.changed {
        let ask = std::io::stdin().is_terminal() && !arguments.yes;
        if ask && !context.confirm("Apply?", "--yes")? {
            return Err(CliError::Failed("nothing was applied".to_owned()));
        }
        let new = NewPlant {
            files,
            after: plan.from_version,
            diff: plan.diff.to_string(),
            applied_by: context.actor().to_owned(),
            applied_at: Timestamp::now(),
        };
        let version = crate::plant::apply(&new, context.store().await?, context.audit().await?)
            .await
            .map_err(CliError::failed)?;
        plan.version = Some(version);
    }
    match (context.json(), plan.version) {
        (true, _) => context.print_json(&plan),
        (false, Some(version)) => {
            context.print(&format!("\nVersion {version} is in force (sha256 {}).\n", plan.sha256))
        }
        (false, None) => Ok(()),
    }
}

async fn make_plan(files: &Files, context: &Context) -> Result<(Plan, Vec<PlantFile>), CliError> {
    let PlantFiles { files, unnamed } = read_files(&files.paths).map_err(CliError::failed)?;
    let policy =
        Policy::parse(&files).map_err(|errors| CliError::Setup(format!("the plant does not hold:\n{errors}")))?;
    let current = context.rows().await?.latest_plant().await.map_err(CliError::failed)?;
    let (from_version, old_files) = current.map_or((0, Vec::new()), |plant| (plant.version, plant.files));
    let old_policy = Policy::parse(&old_files).ok();
    let diff = PlantDiff::between((old_policy.as_ref(), &old_files), (&policy, &files));
    let plan = Plan {
        from_version,
        version: None,
        sha256: plant_sha256(&files),
        changed: from_version == 0 || old_files != files,
        warnings: policy
            .warnings()
            .iter()
            .map(ToString::to_string)
            .chain(unnamed.iter().map(|path| left_out(path)))
            .collect(),
        diff,
    };
    Ok((plan, files))
}

fn left_out(path: &Path) -> String {
    format!("{}: no service names this tag list, so it is left out", path.display())
}

fn describe(plan: &Plan) -> String {
    let mut text = String::new();
    for warning in &plan.warnings {
        text.push_str(&format!("warning: {warning}\n"));
    }
    text.push_str(&plan.diff.to_string());
    text.lines().map(|line| printable(line) + "\n").collect()
}
