//! `sallyport plan` and `sallyport apply`: what a plant file would change, and making it so.

mod shown;

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use sallyport_policy::{PlantFile, Policy};
use serde::Serialize;

use super::{CliError, Context, printable};
use crate::access::{Consequences, consequences, doubts};
use crate::identity::{Accepted, everybody};
use crate::plant::{PlantDiff, PlantFiles, read_files};
use crate::store::plants::{NewPlant, plant_sha256};
use shown::{Summary, people, summary};

/// `sallyport plan`: which plant files, and in place of which version.
#[derive(Debug, clap::Args)]
pub struct Files {
    /// Plant file, or folder of plant files; may be given several times
    #[arg(short = 'f', long = "file", value_name = "PATH", required = true)]
    pub paths: Vec<PathBuf>,
    /// Only if this version of the plant is in force, as `plan` and `plant history` tell it (0: none)
    #[arg(long, value_name = "VERSION")]
    expect_version: Option<i64>,
}

/// `sallyport apply`
#[derive(Debug, clap::Args)]
pub struct Apply {
    #[command(flatten)]
    files: Files,
    /// Do not ask, also at a terminal
    #[arg(long)]
    yes: bool,
    /// Also a plant without assets, or by which nobody may do anything
    #[arg(long)]
    empty: bool,
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
    /// Why by this plant nobody may do anything.
    #[serde(skip_serializing_if = "Option::is_none")]
    empty: Option<&'static str>,
    warnings: Vec<String>,
    diff: PlantDiff,
    summary: Summary,
    consequences: Consequences,
}

/// Shows what would change; with an exit code of its own, if anything would.
pub async fn plan(files: Files, context: &Context) -> Result<(), CliError> {
    let (plan, _) = make_plan(&files, context).await?;
    match context.json() {
        true => context.print_json(&plan)?,
        false => context.print(&describe(&plan))?,
    }
    if plan.changed { Err(CliError::WouldChange) } else { Ok(()) }
}

/// Shows what changes and makes it so.
pub async fn apply(arguments: Apply, context: &Context) -> Result<(), CliError> {
    let Apply { files, yes, empty } = arguments;
    let (mut plan, files) = make_plan(&files, context).await?;
    if !context.json() {
        context.print(&describe(&plan))?;
    }
    if plan.changed {
        if let Some(why) = plan.empty.filter(|_| !empty) {
            let message =
                format!("{why}, so nobody could reach anything: nothing was applied. If that is meant, give `--empty`");
            return Err(CliError::Failed(message));
        }
        let ask = std::io::stdin().is_terminal() && !yes;
        let agreed = !ask || context.confirm("Apply?", "--yes")?;
        let sure = !ask || plan.empty.is_none() || (agreed && context.confirm(EMPTY_TOO, "--yes")?);
        if !agreed || !sure {
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

/// Asked after the first question: what takes everything from everybody is not done by a habit.
const EMPTY_TOO: &str = "By this plant nobody can reach anything, and every live session ends. Really?";

async fn make_plan(files: &Files, context: &Context) -> Result<(Plan, Vec<PlantFile>), CliError> {
    let expected = files.expect_version;
    let PlantFiles { files, unnamed } = read_files(&files.paths).map_err(CliError::failed)?;
    let policy =
        Policy::parse(&files).map_err(|errors| CliError::Setup(format!("the plant does not hold:\n{errors}")))?;
    let store = context.rows().await?;
    let current = store.latest_plant().await.map_err(CliError::failed)?;
    let (from_version, old_files) = current.map_or((0, Vec::new()), |plant| (plant.version, plant.files));
    if let Some(expected) = expected.filter(|expected| *expected != from_version) {
        return Err(CliError::Failed(format!(
            "version {from_version} of the plant is in force, and not {expected}: somebody has applied another since; make a new plan"
        )));
    }
    let old_policy = Policy::parse(&old_files).ok();
    let diff = PlantDiff::between((old_policy.as_ref(), &old_files), (&policy, &files));
    let (now, nothing) = (Timestamp::now(), Policy::empty());
    let accepted = Accepted::by(context.config()?);
    let people = everybody(store, &accepted, now).await.map_err(CliError::failed)?;
    let old = old_policy.as_ref().unwrap_or(&nothing);
    let consequences = consequences(old, &policy, &people, store, now).await.map_err(CliError::failed)?;
    let plan = Plan {
        from_version,
        version: None,
        sha256: plant_sha256(&files),
        changed: from_version == 0 || old_files != files,
        empty: emptiness(&policy),
        warnings: policy
            .warnings()
            .iter()
            .map(ToString::to_string)
            .chain(unnamed.iter().map(|path| left_out(path)))
            .chain(doubts(&policy, &people, &accepted, now))
            .collect(),
        diff,
        summary: Summary::of(&consequences),
        consequences,
    };
    Ok((plan, files))
}

/// Why nobody may do anything by this plant, if nobody may.
fn emptiness(policy: &Policy) -> Option<&'static str> {
    if policy.assets().next().is_none() {
        return Some("this plant has no assets");
    }
    (!policy.lets_anybody_in())
        .then_some("no grant and no break-glass section of this plant lets anybody into anything")
}

fn left_out(path: &Path) -> String {
    format!("{}: no service names this tag list, so it is left out", path.display())
}

fn describe(plan: &Plan) -> String {
    let mut text = String::new();
    for warning in &plan.warnings {
        text.push_str(&format!("warning: {warning}\n"));
    }
    if let Some(why) = plan.empty {
        text.push_str(&format!("warning: {why}; `apply` needs `--empty`\n"));
    }
    text.push_str(&plan.diff.to_string());
    text.push_str(&people(&plan.consequences));
    if plan.changed {
        text.push_str(&format!("\nFrom version {}: {}.\n", plan.from_version, summary(&plan.summary)));
    }
    text.lines().map(|line| printable(line) + "\n").collect()
}
