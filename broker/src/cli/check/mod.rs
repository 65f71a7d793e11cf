//! `sallyport check`: does everything hold that a broker needs? Each line says ok, warn or fail, and how to mend it.

mod assets;
mod envelopes;
mod live;
mod look;
mod outbound;
mod portal;
mod snapshot;

use jiff::Timestamp;
use sallyport_policy::AssetId;
use serde::Serialize;

use super::{CliError, Context, Row};
use crate::redact::without_secrets;

/// How one thing is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Ok,
    Warn,
    Fail,
}

impl State {
    fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "FAIL",
        }
    }
}

/// One thing that was looked at.
#[derive(Debug, Serialize)]
struct Finding {
    state: State,
    what: &'static str,
    says: String,
    mend: Option<String>,
}

impl Finding {
    fn ok(what: &'static str, says: impl Into<String>) -> Self {
        Self::of(State::Ok, what, says.into(), None)
    }

    fn warn(what: &'static str, says: impl Into<String>, mend: impl Into<String>) -> Self {
        Self::of(State::Warn, what, says.into(), Some(mend.into()))
    }

    fn fail(what: &'static str, says: impl Into<String>, mend: impl Into<String>) -> Self {
        Self::of(State::Fail, what, says.into(), Some(mend.into()))
    }

    /// What is wrong repeats what somebody wrote: it may be a secret in the wrong place.
    fn of(state: State, what: &'static str, says: String, mend: Option<String>) -> Self {
        Self { state, what, says: without_secrets(&says), mend: mend.as_deref().map(without_secrets) }
    }
}

impl Row for Finding {
    const COLUMNS: &'static [&'static str] = &["", "what", "is"];

    fn cells(&self) -> Vec<String> {
        let state = self.state.word();
        let says = match &self.mend {
            Some(mend) => format!("{} -> {mend}", self.says),
            None => self.says.clone(),
        };
        vec![state.to_owned(), self.what.to_owned(), says]
    }
}

/// `sallyport check`
#[derive(Debug, clap::Args)]
pub struct Check {
    /// Try, on a canary that goes with this command, what must fail, and put on record what came of it
    #[arg(long)]
    live: bool,
    /// Try the assets of the plant, those named or all, and put on record what came of it: whether each service answers, shows the pinned host key
    /// and takes the credential of each account
    #[arg(long, num_args = 0.., value_name = "NAME", conflicts_with = "live")]
    assets: Option<Vec<AssetId>>,
    /// Log in nowhere: send no credential to any asset
    #[arg(long, requires = "assets")]
    no_login: bool,
}

/// Looks at everything, or tries it; fails when one thing does.
pub async fn run(check: Check, context: &Context) -> Result<(), CliError> {
    match check {
        Check { live: true, .. } => live::run(context).await,
        Check { assets: Some(names), no_login, .. } => assets::run(&names, !no_login, context).await,
        Check { live: false, assets: None, .. } => look_at_everything(context).await,
    }
}

async fn look_at_everything(context: &Context) -> Result<(), CliError> {
    // Without a configuration there is nothing to look at: that is its own error, with its own exit code.
    let config = context.config()?;
    let mut findings = vec![Finding::ok("configuration", config.path.display().to_string())];
    findings.extend(look::own_files(config));
    findings.extend(look::master_key(config));
    findings.extend(look::database(context).await);
    findings.extend(snapshot::look(config, Timestamp::now()));
    findings.extend(look::recordings(config));
    findings.extend(look::ports(config, look::broker_lives(config).await));
    findings.extend(look::names(config));
    if let Some(portal) = &config.portal {
        findings.extend(portal::look(portal, Timestamp::now()));
    }
    findings.extend(outbound::look(&config.outbound).await);
    findings.push(look::clock());
    tell(context, &findings)
}

/// `sallyport portal check`: the portal alone.
pub(super) fn portal_alone(context: &Context) -> Result<(), CliError> {
    let config = context.config()?;
    let Some(portal) = &config.portal else {
        let path = config.path.display();
        return Err(CliError::Failed(format!("there is no portal: `{path}` has no section `[portal]`")));
    };
    tell(context, &portal::look(portal, Timestamp::now()))
}

/// Shows what was found; fails when one thing does.
fn tell(context: &Context, findings: &[Finding]) -> Result<(), CliError> {
    context.print_list(findings)?;
    let failed = findings.iter().filter(|finding| finding.state == State::Fail).count();
    if failed == 0 { Ok(()) } else { Err(CliError::Failed(format!("{failed} of {} checks failed", findings.len()))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_finding_repeats_is_no_secret() {
        let secret = "AGE-SECRET-KEY-1HUNTER2HUNTER2";
        for finding in [
            Finding::ok("configuration", secret),
            Finding::warn("plant", format!("`{secret}` is not known"), secret),
            Finding::fail("plant", format!("version 2 does not hold: `{secret}`"), format!("see {secret}")),
        ] {
            let json = serde_json::to_string(&finding).unwrap_or_default();
            let told = finding.cells().join(" ") + &json;
            assert!(told.contains(finding.what) && !told.contains("HUNTER2"), "{told}");
        }
    }
}
