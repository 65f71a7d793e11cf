//! `sallyport policy explain`.

use std::path::PathBuf;

use jiff::{SignedDuration, Timestamp};
use sallyport_policy::{
    AccountName, AssetId, AtOnce, Decision, EmergencyExplanation, Explanation, FactorKind, ForbidRef, GrantExplanation,
    IdentityId, Proof, ResolvedFilter, ServiceName, Subject,
};
use serde::Serialize;

use super::asked::Asked;
use super::operation::{self, Judged};
use super::person::{Barred, Found, Person, look_up};
use super::{CliError, Context, lines, policy};
use crate::approval::Desk;
use crate::cli::printable;

/// `sallyport policy explain`
#[derive(Debug, clap::Args)]
pub struct Explain {
    /// Who asks
    #[arg(required_unless_present = "by_name")]
    identity: Option<IdentityId>,
    /// For which asset
    #[arg(required_unless_present = "of_name")]
    asset: Option<AssetId>,
    /// With which account; leave it out where the protocol has no logins
    account: Option<AccountName>,
    /// Who asks, by name instead of by place
    #[arg(long = "identity", id = "by_name", value_name = "IDENTITY", conflicts_with = "identity")]
    by_name: Option<IdentityId>,
    /// For which asset, by name instead of by place
    #[arg(long = "asset", id = "of_name", value_name = "ASSET", conflicts_with = "asset")]
    of_name: Option<AssetId>,
    /// With which account, by name instead of by place
    #[arg(long = "account", id = "with_name", value_name = "ACCOUNT", conflicts_with = "account")]
    with_name: Option<AccountName>,
    /// For which of its services
    #[arg(long, default_value = "ssh")]
    service: ServiceName,
    /// What would become of this operation in the session: `read 40101-40110`, `write TAG = 75.5`, `unit 5 write register 100 =
    /// 1600`, `mask register 64 and 0x00ff or 0`, `function 43/14`
    #[arg(long, value_name = "OPERATION")]
    operation: Option<String>,
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

/// The answer.
#[derive(Serialize)]
struct Answer {
    identity: Person,
    decision: Answered,
    filter: Option<ResolvedFilter>,
    forbids: Vec<ForbidRef>,
    grants: Vec<GrantExplanation>,
    at_once: AtOnce,
    emergencies: Vec<EmergencyExplanation>,
    /// Of somebody who is refused before the policy is asked: what that would say.
    #[serde(skip_serializing_if = "Option::is_none")]
    otherwise: Option<Explanation>,
    #[serde(skip_serializing_if = "Option::is_none")]
    operation: Option<Judged>,
}

/// What the gate answers.
#[derive(Serialize)]
#[serde(untagged)]
enum Answered {
    /// What the policy says.
    ByPolicy(Box<Decision>),
    /// Nobody asks the policy.
    Refused { decision: &'static str, reason: RefusedFor },
}

/// Beside what the policy denies for: the person themselves.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
enum RefusedFor {
    Identity(Barred),
}

pub(super) async fn explain(arguments: Box<Explain>, context: &Context) -> Result<(), CliError> {
    let policy = policy(&arguments.plant, context).await?;
    let (text, given) = (arguments.operation.clone(), !arguments.plant.is_empty());
    let mut asked = arguments.asked(Timestamp::now())?;
    let Found { person, groups } = look_up(&asked.subject.identity, asked.at, given, context).await?;
    asked.subject.groups.extend(groups);
    let approvals = match &person {
        Person::Active => {
            let desk = Desk::new(context.rows().await?, &policy, asked.at);
            desk.given(&asked.subject, Some(&asked.asset)).await.map_err(CliError::failed)?
        }
        Person::NotLookedUp | Person::Barred(_) => Vec::new(),
    };
    let explanation = asked.explain(&policy, &approvals);
    let operation = match text {
        // Plant files can be asked about where there is no broker, and so no windows.
        Some(text) => {
            let windows = operation::windows(&asked, &policy, given, context).await?;
            let decision = match &person {
                Person::Active | Person::NotLookedUp => Some(&explanation.decision),
                Person::Barred(_) => None,
            };
            Some(operation::judge(&text, &asked, &policy, decision, windows)?)
        }
        None => None,
    };
    match context.json() {
        true => context.print_json(&Answer::of(person, explanation, operation)),
        false => context.print(&text_of(&person, &explanation, operation.as_ref())),
    }
}

impl Answer {
    fn of(person: Person, explanation: Explanation, operation: Option<Judged>) -> Self {
        if let Person::Barred(barred) = &person {
            let reason = RefusedFor::Identity(barred.clone());
            return Self {
                decision: Answered::Refused { decision: "deny", reason },
                identity: person,
                filter: None,
                forbids: Vec::new(),
                grants: Vec::new(),
                at_once: explanation.at_once,
                emergencies: Vec::new(),
                otherwise: Some(explanation),
                operation,
            };
        }
        let Explanation { decision, filter, forbids, grants, at_once, emergencies } = explanation;
        let decision = Answered::ByPolicy(Box::new(decision));
        Self { identity: person, decision, filter, forbids, grants, at_once, emergencies, otherwise: None, operation }
    }
}

fn text_of(person: &Person, explanation: &Explanation, operation: Option<&Judged>) -> String {
    let mut text = match person {
        Person::Active | Person::NotLookedUp => lines(explanation),
        Person::Barred(barred) => {
            format!("deny: {}\nwithout that: {}", printable(&barred.says), lines(explanation))
        }
    };
    if matches!(person, Person::NotLookedUp) {
        text.push_str("  whether there is such a person is not looked at: there is no broker's configuration here\n");
    }
    text + &operation.map(Judged::to_string).unwrap_or_default()
}

impl Explain {
    fn asked(self, now: Timestamp) -> Result<Asked, CliError> {
        let missing = |what: &str| CliError::Usage(format!("name {what}"));
        let at = self.at.unwrap_or(now);
        let identity = self.identity.or(self.by_name).ok_or_else(|| missing("an identity"))?;
        let proven = at.checked_sub(SignedDuration::from_secs(self.age.into())).unwrap_or(Timestamp::MIN);
        Ok(Asked {
            subject: Subject { identity, groups: self.groups.into_iter().collect() },
            asset: self.asset.or(self.of_name).ok_or_else(|| missing("an asset"))?,
            service: self.service,
            account: self.account.or(self.with_name).unwrap_or_else(AccountName::none),
            proofs: self.factors.iter().map(|kind| Proof { kind: *kind, at: proven }).collect(),
            at,
            now,
        })
    }
}

pub(super) fn instant(text: &str) -> Result<Timestamp, String> {
    sallyport_policy::instant(text)
        .ok_or_else(|| "write it with its offset, as 2026-12-01T06:00:00+01:00, or as …[Europe/Oslo]".to_owned())
}
