//! Sealing: making codes, entering what they are checked against, and showing each once.

use jiff::{SignedDuration, Timestamp};
use sallyport_policy::{BreakGlass, Policy};
use serde::Serialize;

use super::not_sealed;
use crate::cli::{CliError, Context};
use crate::emergency::{EnvelopeCode, Sealing};

/// `sallyport break-glass seal`
#[derive(Debug, clap::Args)]
pub struct Seal {
    /// The break-glass section of the plant file
    #[arg(long)]
    rule: String,
    /// How many
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=100))]
    count: u16,
    /// Who keeps them, in words: where an emergency takes two envelopes, they must be of two holders
    #[arg(long)]
    holder: Option<String>,
    /// For how many days they can be opened [default: for ever]
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u16).range(1..=3650))]
    expires: Option<u16>,
}

/// `sallyport break-glass reseal`
#[derive(Debug, clap::Args)]
pub struct Reseal {
    /// The number of the envelope that is revoked
    number: i64,
    /// Why
    #[arg(long)]
    reason: String,
}

/// An envelope that was sealed just now. Its code is shown here and nowhere else.
#[derive(Serialize)]
struct Sealed {
    number: i64,
    rule: String,
    code: String,
}

impl Seal {
    pub(super) async fn run(self, context: &Context, now: Timestamp) -> Result<(), CliError> {
        let glass = section(context, &self.rule).await?;
        let after = |days: u16| now.saturating_add(SignedDuration::from_hours(24 * i64::from(days))).unwrap_or(now);
        let mut sealed = Vec::new();
        for _ in 0..self.count {
            sealed.push(seal(context, &glass, self.holder.clone(), self.expires.map(after), now).await?);
        }
        show(context, &sealed)
    }
}

impl Reseal {
    pub(super) async fn run(self, context: &Context, now: Timestamp) -> Result<(), CliError> {
        let rows = context.rows().await?.envelopes().await.map_err(CliError::failed)?;
        let row = rows.into_iter().map(|row| row.into_parts().0).find(|row| row.number == self.number);
        let row = row.ok_or_else(|| not_sealed(self.number))?;
        let glass = section(context, &row.rule).await?;
        // What was opened is over by itself; the new one takes its place.
        if row.opened.is_none() && row.revoked.is_none() {
            super::revoke(self.number, self.reason, context, now).await?;
        }
        show(context, &[seal(context, &glass, row.holder, row.expires_at.filter(|at| now < *at), now).await?])
    }
}

/// The section of the plant in force.
async fn section(context: &Context, rule: &str) -> Result<BreakGlass, CliError> {
    let plant = context.rows().await?.current_plant().await.map_err(CliError::failed)?;
    let files = plant.map(|plant| plant.files).unwrap_or_default();
    let policy = Policy::parse(&files).map_err(CliError::failed)?;
    policy.emergency(rule).cloned().ok_or_else(|| {
        let known: Vec<&str> = policy.break_glass().map(|glass| glass.rule.name.as_str()).collect();
        let known = match known.as_slice() {
            [] => "it has none: write one, and apply it".to_owned(),
            known => format!("it has {}", known.join(", ")),
        };
        CliError::Failed(format!("the plant in force has no section `[break_glass.{rule}]`: {known}"))
    })
}

/// Enters one envelope, together with the entry that tells of it.
async fn seal(
    context: &Context,
    glass: &BreakGlass,
    holder: Option<String>,
    expires_at: Option<Timestamp>,
    now: Timestamp,
) -> Result<Sealed, CliError> {
    let (store, audit) = (context.store().await?, context.audit().await?);
    let code = EnvelopeCode::generate();
    let mut write = store.begin_write().await.map_err(CliError::failed)?;
    let rule = glass.rule.name.as_str();
    let sealing = Sealing { rule, holder: holder.as_deref(), expires_at, by: context.actor(), at: now };
    let number = sealing.enter(&mut write, audit, &code).await.map_err(CliError::failed)?;
    write.commit().await.map_err(CliError::failed)?;
    Ok(Sealed { number, rule: rule.to_owned(), code: code.groups().expose().join("-") })
}

fn show(context: &Context, sealed: &[Sealed]) -> Result<(), CliError> {
    if context.json() {
        return context.print_json(sealed);
    }
    let mut text = String::new();
    for Sealed { number, rule, code } in sealed {
        text.push_str(&format!("Envelope {number} for {rule}\n\n    {code}\n\n"));
    }
    text.push_str("Each code is shown this once, and is kept nowhere. It opens an emergency with: ssh glass@broker\n");
    context.print(&text)
}
