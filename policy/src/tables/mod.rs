//! Decision tables: what an administrator expects of a policy, as data that stands beside it in version control.
//!
//! ```toml
//! [[case]]
//! name = "an engineer works by day"
//! identity = "alice"
//! asset = "ews-1"
//! service = "ssh"
//! account = "operator"
//! factors = ["key", "totp"]
//! at = "2026-11-23T10:00:00[Europe/Oslo]"
//! expect = "permit"
//! rule = "process-engineer"
//! terms = { file_transfer = "download", not_after = "2026-11-23T18:00:00[Europe/Oslo]" }
//! ```

mod read;

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::decision::{Decision, DenialReason};
use crate::error::{PlantErrors, PlantFile};
use crate::explain::{Explanation, explain};
use crate::factors::{FactorKind, Proof};
use crate::names::{AccountName, AssetId, RoleId, ServiceName};
use crate::policy::Policy;
use crate::request::{LiveSession, Request};
use crate::role::RuleRef;
use crate::subject::Subject;
use crate::terms::{ChannelKind, FileTransfer, RecorderTrouble, Terms};

/// How one case came out.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CaseResult {
    /// The case's name; if it has none, what it asks for.
    pub name: String,
    /// The table's file.
    pub file: String,
    /// The line the case begins on.
    pub line: usize,
    /// What differs from what is expected; nothing, if the case holds.
    pub failures: Vec<String>,
    /// Why the decision is what it is.
    pub explanation: Explanation,
}

impl CaseResult {
    /// Is everything as expected?
    pub fn passed(&self) -> bool {
        self.failures.is_empty()
    }
}

/// Decides every case of a table.
///
/// # Errors
///
/// Everything that is wrong with the table itself. A table without a case is wrong: it would pass by testing nothing.
pub fn run(policy: &Policy, table: &PlantFile) -> Result<Vec<CaseResult>, PlantErrors> {
    Ok(read::table(table)?.into_iter().map(|case| case.run(policy)).collect())
}

/// A case as written.
struct Case {
    name: String,
    file: String,
    line: usize,
    subject: Subject,
    asset: AssetId,
    service: ServiceName,
    account: AccountName,
    factors: BTreeSet<FactorKind>,
    /// How long before `at` the factors were proven.
    age: SignedDuration,
    /// How many sessions the person has live by each of their grants.
    live: usize,
    at: Timestamp,
    expected: Expected,
}

/// What a case expects.
enum Expected {
    Deny { reason: Option<String> },
    NeedFactors { needs: Option<BTreeSet<FactorKind>>, rule: Option<ExpectedRule> },
    NeedApproval { by: Option<RoleId>, rule: Option<ExpectedRule> },
    Permit { rule: Option<ExpectedRule>, terms: ExpectedTerms },
}

/// A role, or one of its grants: `process-engineer`, `process-engineer/1`.
struct ExpectedRule {
    role: RoleId,
    grant: Option<usize>,
}

/// The terms that a case names; what it does not name may be anything.
#[derive(Default)]
struct ExpectedTerms {
    not_after: Option<Option<Timestamp>>,
    max_duration: Option<Option<SignedDuration>>,
    idle: Option<Option<SignedDuration>>,
    concurrent: Option<Option<u32>>,
    channels: Option<BTreeSet<ChannelKind>>,
    file_transfer: Option<FileTransfer>,
    recorder_trouble: Option<RecorderTrouble>,
    filter: Option<Option<String>>,
}

impl Case {
    fn run(self, policy: &Policy) -> CaseResult {
        let proven = self.at.checked_sub(self.age).unwrap_or(Timestamp::MIN);
        let proofs: Vec<Proof> = self.factors.iter().map(|kind| Proof { kind: *kind, at: proven }).collect();
        let live: Vec<LiveSession> = policy
            .grants_of(&self.subject)
            .flat_map(|grant| std::iter::repeat_n(&grant.rule, self.live))
            .map(|rule| LiveSession {
                identity: self.subject.identity.clone(),
                asset: self.asset.clone(),
                rule: rule.clone(),
            })
            .collect();
        let request = Request {
            subject: &self.subject,
            asset: &self.asset,
            service: &self.service,
            account: &self.account,
            proofs: &proofs,
            live: &live,
            approvals: &[],
        };
        let explanation = explain(policy, &request, self.at);
        let failures = self.expected.failures(&explanation.decision);
        CaseResult { name: self.name, file: self.file, line: self.line, failures, explanation }
    }
}

impl Expected {
    fn failures(&self, decision: &Decision) -> Vec<String> {
        let mut failures = Vec::new();
        let mut differ = |what: &str, expected: String, found: String| {
            if expected != found {
                failures.push(format!("{what}: expected {expected}, found {found}"));
            }
        };
        match (self, decision) {
            (Self::Deny { reason }, Decision::Deny(denial)) => {
                if let Some(reason) = reason {
                    differ("reason", reason.clone(), denial.code().to_owned());
                }
            }
            (Self::NeedFactors { needs, rule }, Decision::NeedFactors(need)) => {
                if let Some(needs) = needs {
                    differ("needs", words(needs, FactorKind::as_str), words(&need.any_of, FactorKind::as_str));
                }
                if let Some(rule) = rule {
                    differ("rule", rule.to_string(), rule.like(&need.rule));
                }
            }
            (Self::NeedApproval { by, rule }, Decision::NeedApproval(approval)) => {
                if let Some(by) = by {
                    differ("by", by.to_string(), approval.by.to_string());
                }
                if let Some(rule) = rule {
                    differ("rule", rule.to_string(), rule.like(&approval.rule));
                }
            }
            (Self::Permit { rule, terms }, Decision::Permit(permit)) => {
                if let Some(rule) = rule {
                    let found = permit.rule.grant().map_or_else(|| permit.rule.to_string(), |found| rule.like(found));
                    differ("rule", rule.to_string(), found);
                }
                terms.compare(&permit.terms, differ);
            }
            (
                Self::Deny { .. } | Self::NeedFactors { .. } | Self::NeedApproval { .. } | Self::Permit { .. },
                Decision::Deny(_) | Decision::NeedFactors(_) | Decision::NeedApproval(_) | Decision::Permit(_),
            ) => {
                failures.push(format!("expected {}, found {decision}", self.word()));
            }
        }
        failures
    }

    fn word(&self) -> &'static str {
        match self {
            Self::Deny { .. } => "deny",
            Self::NeedFactors { .. } => "need factors",
            Self::NeedApproval { .. } => "need approval",
            Self::Permit { .. } => "permit",
        }
    }
}

impl ExpectedTerms {
    fn compare(&self, found: &Terms, mut differ: impl FnMut(&str, String, String)) {
        let duration = |limit: &Option<SignedDuration>| limit.map_or("unlimited".to_owned(), crate::duration::display);
        let or_none = |text: Option<String>| text.unwrap_or_else(|| "none".to_owned());
        if let Some(end) = &self.not_after {
            let text = |end: &Option<Timestamp>| or_none(end.map(|end| end.to_string()));
            differ("not_after", text(end), text(&found.not_after));
        }
        if let Some(limit) = &self.max_duration {
            differ("max_duration", duration(limit), duration(&found.max_duration));
        }
        if let Some(limit) = &self.idle {
            differ("idle", duration(limit), duration(&found.idle));
        }
        if let Some(limit) = &self.concurrent {
            let text = |limit: &Option<u32>| limit.map_or("unlimited".to_owned(), |limit| limit.to_string());
            differ("concurrent", text(limit), text(&found.concurrent));
        }
        if let Some(channels) = &self.channels {
            differ("channels", words(channels, ChannelKind::as_str), words(&found.channels, ChannelKind::as_str));
        }
        if let Some(files) = &self.file_transfer {
            differ("file_transfer", files.to_string(), found.file_transfer.to_string());
        }
        if let Some(trouble) = &self.recorder_trouble {
            differ("recorder_trouble", trouble.to_string(), found.recorder_trouble.to_string());
        }
        if let Some(filter) = &self.filter {
            differ("filter", or_none(filter.clone()), or_none(found.filter.clone()));
        }
    }
}

impl ExpectedRule {
    /// The rule that was found, as far as the expectation looks at it.
    fn like(&self, found: &RuleRef) -> String {
        let grant = self.grant.map(|_| found.grant);
        Self { role: found.role.clone(), grant }.to_string()
    }
}

impl std::fmt::Display for ExpectedRule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.grant {
            Some(grant) => write!(f, "{}/{grant}", self.role),
            None => write!(f, "{}", self.role),
        }
    }
}

/// The reasons of a denial that a case can expect.
fn denial_codes() -> impl Iterator<Item = &'static str> {
    DenialReason::CODES.into_iter()
}

fn words<T: Copy>(set: &BTreeSet<T>, as_str: impl Fn(T) -> &'static str) -> String {
    set.iter().map(|word| as_str(*word)).collect::<Vec<_>>().join("+")
}
