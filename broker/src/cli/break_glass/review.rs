//! Emergencies and their reviews, as the audit chain tells of them: there is no other list.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::audit::{AuditEvent, AuditFilter};
use crate::cli::{CliError, Context, Row};
use crate::store::envelopes::GLASS;

/// `sallyport break-glass review`
#[derive(Debug, clap::Args)]
pub struct Review {
    /// The emergency, as listed by `sallyport break-glass openings`
    opening: String,
    /// What you think of it
    #[arg(long, value_parser = ["justified", "unjustified"])]
    verdict: String,
    /// What you have looked at, and found
    #[arg(long)]
    note: String,
}

/// An emergency, and what was said of it.
#[derive(Serialize)]
struct Opening {
    opening: String,
    opened_at: Timestamp,
    who: String,
    source: String,
    rule: String,
    envelopes: Vec<i64>,
    reason: String,
    review_until: Timestamp,
    review: String,
}

/// The entry that tells of an opening.
#[derive(Deserialize)]
struct Told {
    identity: String,
    source: String,
    opening: String,
    rule: String,
    envelopes: Vec<i64>,
    reason: String,
    review_until: Timestamp,
}

/// The entry that tells of a review.
#[derive(Deserialize)]
struct Reviewed {
    opening: String,
    verdict: String,
}

pub(super) async fn openings(context: &Context, now: Timestamp) -> Result<(), CliError> {
    let openings = read(context, now).await?;
    context.print_list(&openings)
}

impl Review {
    pub(super) async fn run(self, context: &Context, now: Timestamp) -> Result<(), CliError> {
        let opening = self.opening.to_lowercase();
        let openings = read(context, now).await?;
        let found = openings.into_iter().find(|found| found.opening == opening).ok_or_else(|| {
            CliError::Failed(format!(
                "there is no emergency `{opening}`: `sallyport break-glass openings` shows them all"
            ))
        })?;
        if found.who != GLASS && found.who == context.actor() {
            return Err(CliError::Failed(
                "whoever has opened an emergency cannot review it: another person has to".to_owned(),
            ));
        }
        let event = AuditEvent::GlassReviewed { opening: opening.clone(), verdict: self.verdict, note: self.note };
        context.audit().await?.record(event).await.map_err(CliError::failed)?;
        context.print(&format!("Emergency {opening} is reviewed.\n"))
    }
}

/// Every emergency, the newest first.
async fn read(context: &Context, now: Timestamp) -> Result<Vec<Opening>, CliError> {
    let store = context.rows().await?;
    let entries = |code: &str| {
        let filter = AuditFilter { code: Some(code.to_owned()), ..AuditFilter::default() };
        async move { store.audit_entries(&filter).await.map_err(CliError::failed) }
    };
    let mut reviews = BTreeMap::new();
    for entry in entries("SP-8006").await? {
        let told: Reviewed = serde_json::from_str(&entry.event).map_err(CliError::failed)?;
        reviews.insert(told.opening, format!("{} by {}", told.verdict, entry.actor));
    }
    let mut openings = Vec::new();
    for entry in entries("SP-8001").await? {
        let told: Told = serde_json::from_str(&entry.event).map_err(CliError::failed)?;
        let review = reviews.remove(&told.opening).unwrap_or_else(|| {
            if told.review_until < now { "OVERDUE".to_owned() } else { format!("due by {:.0}", told.review_until) }
        });
        openings.push(Opening {
            opened_at: Timestamp::from_microsecond(entry.at).map_err(CliError::failed)?,
            opening: told.opening,
            who: told.identity,
            source: told.source,
            rule: told.rule,
            envelopes: told.envelopes,
            reason: told.reason,
            review_until: told.review_until,
            review,
        });
    }
    openings.sort_by(|one, other| (other.opened_at, &other.opening).cmp(&(one.opened_at, &one.opening)));
    Ok(openings)
}

impl Row for Opening {
    const COLUMNS: &'static [&'static str] =
        &["opening", "opened", "who", "from", "rule", "envelopes", "reason", "review"];

    fn cells(&self) -> Vec<String> {
        let envelopes: Vec<String> = self.envelopes.iter().map(ToString::to_string).collect();
        vec![
            self.opening.clone(),
            format!("{:.0}", self.opened_at),
            self.who.clone(),
            self.source.clone(),
            self.rule.clone(),
            envelopes.join(", "),
            self.reason.clone(),
            self.review.clone(),
        ]
    }
}
