//! Test and explain policy decisions.

use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};
use sallyport_policy::tables::{self, CaseResult};
use sallyport_policy::{
    AccountName, AssetId, Explanation, FactorKind, IdentityId, PlantFile, Policy, Proof, Request, ServiceName, Subject,
    explain,
};

use super::{CliError, Context, printable};
use crate::plant::read_files;

/// `sallyport policy …`
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Run a decision table against plant files
    Test(Test),
    /// Say what would be answered, by which rule, and which conditions fail
    Explain(Explain),
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

/// `sallyport policy explain`
#[derive(Debug, clap::Args)]
pub struct Explain {
    /// Who asks
    identity: IdentityId,
    /// For which asset
    asset: AssetId,
    /// With which account; leave it out where the protocol has no logins
    account: Option<AccountName>,
    /// For which of its services
    #[arg(long, default_value = "ssh")]
    service: ServiceName,
    /// A directory group of theirs
    #[arg(long = "group", value_name = "GROUP")]
    groups: Vec<String>,
    /// A factor they have just proven: key, security-key, certificate, password, totp, webauthn, recovery-code
    #[arg(long = "factor", value_name = "FACTOR")]
    factors: Vec<FactorKind>,
    /// How long ago, in seconds, they proved them
    #[arg(long, default_value_t = 0, value_name = "SECONDS", value_parser = clap::value_parser!(u32))]
    age: u32,
    /// When, as 2026-12-01T06:00:00Z or 2026-12-01T06:00:00[Europe/Oslo] [default: now]
    #[arg(long, value_name = "TIME", value_parser = instant)]
    at: Option<Timestamp>,
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
        Command::Explain(command) => {
            let explanation = command.explain(&policy(&command.plant, context).await?, Timestamp::now());
            match context.json() {
                true => context.print_json(&explanation),
                false => context.print(&lines(&explanation)),
            }
        }
    }
}

impl Explain {
    /// Answers by a policy, wherever it comes from. `now` is asked about if the arguments name no time.
    pub fn explain(&self, policy: &Policy, now: Timestamp) -> Explanation {
        let at = self.at.unwrap_or(now);
        let subject = Subject { identity: self.identity.clone(), groups: self.groups.iter().cloned().collect() };
        let proven = at.checked_sub(SignedDuration::from_secs(self.age.into())).unwrap_or(Timestamp::MIN);
        let proofs: Vec<Proof> = self.factors.iter().map(|kind| Proof { kind: *kind, at: proven }).collect();
        let account = self.account.clone().unwrap_or_else(AccountName::none);
        let (asset, service) = (&self.asset, &self.service);
        let request = Request { subject: &subject, asset, service, account: &account, proofs: &proofs, live: &[] };
        explain(policy, &request, at)
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

fn instant(text: &str) -> Result<Timestamp, String> {
    sallyport_policy::instant(text)
        .ok_or_else(|| "write it with its offset, as 2026-12-01T06:00:00+01:00, or as …[Europe/Oslo]".to_owned())
}

/// The policy of these plant files, or of the plant in force; warnings go to stderr.
async fn policy(paths: &[PathBuf], context: &Context) -> Result<Policy, CliError> {
    let files = match paths {
        [] => context.store().await?.current_plant().await.map_err(CliError::failed)?.map(|plant| plant.files),
        paths => Some(read_files(paths).map_err(CliError::setup)?.files),
    };
    let Some(files) = files else {
        return Err(CliError::Setup("no plant is in force yet; name plant files with `-f`".to_owned()));
    };
    let policy = Policy::parse(&files).map_err(|errors| CliError::Setup(errors.to_string()))?;
    for warning in policy.warnings() {
        eprintln!("sallyport: warning: {}", printable(&warning.to_string()));
    }
    Ok(policy)
}

fn read_table(path: &Path) -> Result<PlantFile, CliError> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| CliError::Setup(format!("cannot read `{}`: {error}", path.display())))?;
    Ok(PlantFile { name: path.display().to_string(), text })
}
