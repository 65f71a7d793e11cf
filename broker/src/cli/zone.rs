//! The kill switch: zones that nobody may reach.

use jiff::Timestamp;
use sallyport_policy::{Policy, ZoneId};
use serde::Serialize;

use super::{CliError, Context, Row, reason};
use crate::plant::{self, Lifting, TO_CONFIRM, Wish};
use crate::store::isolations::{Isolation, Standing};

/// `sallyport zone …`
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Isolate a zone: every session into it ends within a second, on every broker, and none begins
    Isolate(Words),
    /// List the zones that are isolated
    List,
    /// Propose that a zone be isolated no more, or confirm what another person has proposed within the last hour
    Lift(Words),
}

/// Which zone, and why.
#[derive(Debug, clap::Args)]
pub struct Words {
    /// The zone, as the plant file names it
    zone: ZoneId,
    /// Why, in a few words: it is on the record, and people who are kept out read it
    #[arg(long)]
    reason: String,
}

/// Runs one of them.
pub async fn run(command: Command, context: &Context) -> Result<(), CliError> {
    let now = Timestamp::now();
    match command {
        Command::Isolate(words) => {
            let wish = words.wish(context, now)?;
            known(context, &words.zone).await?;
            let (store, audit) = (context.store().await?, context.audit().await?);
            let isolation = plant::isolate(store, audit, wish).await.map_err(CliError::failed)?;
            context.print_list(&[View::new(Standing { isolation, proposed: None })])
        }
        Command::List => {
            let standing = context.rows().await?.isolations().await.map_err(CliError::failed)?;
            context.print_list(&standing.into_iter().map(View::new).collect::<Vec<_>>())
        }
        Command::Lift(words) => {
            let wish = words.wish(context, now)?;
            let (store, audit) = (context.store().await?, context.audit().await?);
            let zone = words.zone.clone();
            match plant::lift(store, audit, wish).await.map_err(CliError::failed)? {
                Lifting::Lifted => context.print(&format!("Zone {zone} is isolated no more.\n")),
                Lifting::Proposed { until } => {
                    let minutes = TO_CONFIRM.min(until.duration_since(now)).as_mins();
                    context.print(&format!(
                        "Zone {zone} stays isolated until another person confirms this within {minutes} minutes: \
                         sallyport zone lift {zone} --reason …\n"
                    ))
                }
            }
        }
    }
}

impl Words {
    fn wish<'a>(&'a self, context: &'a Context, at: Timestamp) -> Result<Wish<'a>, CliError> {
        Ok(Wish { zone: &self.zone, reason: reason::checked(&self.reason)?, by: context.actor(), at })
    }
}

/// A zone that is mistyped would isolate nothing. Where the plant itself cannot be read, whatever was asked for is isolated.
async fn known(context: &Context, zone: &ZoneId) -> Result<(), CliError> {
    let plant = match context.rows().await?.current_plant().await {
        Ok(Some(plant)) => Policy::parse(&plant.files).map_err(|errors| errors.to_string()),
        Ok(None) => Err("there is none, or it is not as it was applied".to_owned()),
        Err(error) => Err(error.to_string()),
    };
    match plant {
        Ok(policy) if policy.zone(zone).is_some() => Ok(()),
        Ok(policy) => {
            let zones: Vec<String> = policy.zones().map(|zone| format!("`{}`", zone.id)).collect();
            Err(CliError::Failed(format!("the plant has no zone `{zone}`; it has {}", zones.join(", "))))
        }
        Err(why) => {
            eprintln!(
                "sallyport: warning: the plant cannot be looked at, so that the name is not checked: {}",
                super::printable(&why)
            );
            Ok(())
        }
    }
}

#[derive(Serialize)]
struct View {
    zone: String,
    isolated_at: Timestamp,
    isolated_by: String,
    reason: String,
    isolation: String,
    lift_proposed_at: Option<Timestamp>,
    lift_proposed_by: Option<String>,
    lift_proposed_for: Option<String>,
}

impl View {
    fn new(standing: Standing) -> Self {
        let Standing { isolation: Isolation { id, zone, at, by, reason }, proposed } = standing;
        // What can no longer be confirmed is no proposal any more.
        let proposed = proposed.filter(|proposed| Timestamp::now().duration_since(proposed.proposed_at) < TO_CONFIRM);
        let (lift_proposed_at, lift_proposed_by, lift_proposed_for) = match proposed {
            Some(lift) => (Some(lift.proposed_at), Some(lift.proposed_by), Some(lift.proposed_for)),
            None => (None, None, None),
        };
        Self {
            zone,
            isolated_at: at,
            isolated_by: by,
            reason,
            isolation: id,
            lift_proposed_at,
            lift_proposed_by,
            lift_proposed_for,
        }
    }
}

impl Row for View {
    const COLUMNS: &'static [&'static str] = &["zone", "isolated since", "by", "reason", "lift proposed by", "until"];

    fn cells(&self) -> Vec<String> {
        let until = self.lift_proposed_at.and_then(|at| at.checked_add(TO_CONFIRM).ok());
        vec![
            self.zone.clone(),
            format!("{:.0}", self.isolated_at),
            self.isolated_by.clone(),
            self.reason.clone(),
            self.lift_proposed_by.clone().unwrap_or_default(),
            until.map(|until| format!("{until:.0}")).unwrap_or_default(),
        ]
    }
}
