//! Emergencies and their reviews, as the audit chain tells of them: there is no other list.

use jiff::Timestamp;

use crate::audit::AuditEvent;
use crate::cli::{CliError, Context, Row};
use crate::emergency::Emergency;
use crate::plant::person_of;
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

pub(super) async fn openings(context: &Context, now: Timestamp) -> Result<(), CliError> {
    let openings = Emergency::all(context.rows().await?, now).await.map_err(CliError::failed)?;
    context.print_list(&openings)
}

impl Review {
    pub(super) async fn run(self, context: &Context, now: Timestamp) -> Result<(), CliError> {
        let opening = self.opening.to_lowercase();
        let openings = Emergency::all(context.rows().await?, now).await.map_err(CliError::failed)?;
        let found = openings.into_iter().find(|found| found.opening == opening).ok_or_else(|| {
            CliError::Failed(format!(
                "there is no emergency `{opening}`: `sallyport break-glass openings` shows them all"
            ))
        })?;
        if found.who != GLASS && person_of(&found.who) == person_of(context.actor()) {
            return Err(CliError::Failed(
                "whoever has opened an emergency cannot review it: another person has to".to_owned(),
            ));
        }
        let event = AuditEvent::GlassReviewed { opening: opening.clone(), verdict: self.verdict, note: self.note };
        context.audit().await?.record(event).await.map_err(CliError::failed)?;
        context.print(&format!("Emergency {opening} is reviewed.\n"))
    }
}

impl Row for Emergency {
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
            self.review.to_string(),
        ]
    }
}
