//! `sallyport check --live`: tries what must fail, on a canary, and puts on record what came of it.
//!
//! The canary is a broker of this very program with everything that a broker has, in this process and on loopback, with assets that are this
//! process's own. So the login, the policy, the filter, the recorder and the envelopes that are tried are those that this machine runs, and no
//! asset of the plant is touched. What it cannot prove: that the broker which runs now is of this program, and that its configuration and its
//! plant say what they should. Of the plant in force one thing is tried: that it permits nothing to whoever has proven nothing.

mod asset;
mod laid_out;
mod person;
#[cfg(test)]
mod tests;
mod tried;
mod tries;

use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use sallyport_policy::{AccountName, Decision, Place, Policy, Request, Subject, decide};
use tokio_util::sync::CancellationToken;

use super::{CliError, Context};
use crate::audit::AuditEvent;
use asset::Assets;
use laid_out::{Nest, NotLaidOut, not_laid_out};
use tried::{Must, Tried, Try};
use tries::Ground;

/// Tries everything, puts it on record, shows it; fails when something came otherwise than it must.
pub(super) async fn run(context: &Context) -> Result<(), CliError> {
    // First what it is put on record by: whoever cannot do that need not try.
    let audit = context.audit().await?;
    let (mut tried, fault) = match on_canary(PLANT, &std::env::temp_dir()).await {
        Ok(tried) => (tried, None),
        Err(error) => (Vec::new(), Some(error.to_string())),
    };
    tried.extend(plant_in_force(context).await?);
    let failed: Vec<String> =
        fault.into_iter().chain(tried.iter().filter(|tried| !tried.held).map(|tried| tried.what.to_owned())).collect();
    let (count, results) = (u64::try_from(tried.len()).unwrap_or(u64::MAX), tried.iter().map(Tried::line).collect());
    let version = env!("CARGO_PKG_VERSION").to_owned();
    let event = match failed.is_empty() {
        true => AuditEvent::LiveCheckHeld { version, tried: count, results },
        false => AuditEvent::LiveCheckFailed { version, tried: count, failed: failed.clone(), results },
    };
    audit.record(event).await.map_err(CliError::failed)?;
    context.print_list(&tried)?;
    match failed.is_empty() {
        true => Ok(()),
        false => Err(CliError::Failed(format!("{} of {count} tries failed: {}", failed.len(), failed.join("; ")))),
    }
}

/// Lays a canary out with this plant, tries everything on it, and leaves nothing of it.
async fn on_canary(plant: &str, within: &Path) -> Result<Vec<Tried>, NotLaidOut> {
    let nest = Nest::make(within)?;
    let assets = Assets::listen().await.map_err(not_laid_out)?;
    let (app, keeping) = nest.lay_out(plant, &assets).await?;
    let broker = Arc::clone(app.broker());
    let door = app.addresses().first().copied().ok_or_else(|| not_laid_out("it listens nowhere"))?;
    let stop = CancellationToken::new();
    let trying = async {
        let ground = Ground { broker: &broker, door, keeping: &keeping, assets: &assets };
        let tried = ground.try_everything().await;
        stop.cancel();
        tried
    };
    let (ended, tried) = tokio::join!(Box::pin(app.run(stop.clone())), Box::pin(trying));
    ended.map_err(not_laid_out)?;
    Ok(tried)
}

/// The plant in force permits nothing to whoever has proven nothing.
async fn plant_in_force(context: &Context) -> Result<Option<Tried>, CliError> {
    let plant = context.rows().await?.current_plant().await.map_err(CliError::failed)?;
    let Some(plant) = plant else { return Ok(None) };
    let policy = Policy::parse(&plant.files).map_err(|errors| CliError::Setup(errors.to_string()))?;
    let rows = context.rows().await?.identities().await.map_err(CliError::failed)?;
    let people: Vec<Subject> = rows
        .into_iter()
        .filter_map(|row| {
            let (row, _) = row.into_parts();
            Some(Subject { identity: row.id.parse().ok()?, groups: row.member_of })
        })
        .take(MOST_PEOPLE)
        .collect();
    Ok(Some(nothing_for_nobody(&policy, &people, Timestamp::now())))
}

fn nothing_for_nobody(policy: &Policy, people: &[Subject], now: Timestamp) -> Tried {
    let (mut asked, mut permitted) = (0_u64, Vec::new());
    let none = AccountName::none();
    for subject in people {
        for Place { asset, service } in policy.places() {
            for account in asset.accounts.keys().chain([&none]) {
                let (asset, service) = (&asset.id, &service.name);
                let request = Request { subject, asset, service, account, proofs: &[], live: &[], approvals: &[] };
                asked += 1;
                match decide(policy, &request, now) {
                    Decision::Permit(_) => permitted.push(format!("{} to {asset}:{service}", subject.identity)),
                    Decision::Deny(_) | Decision::NeedApproval(_) | Decision::NeedFactors(_) => {}
                }
            }
        }
    }
    match permitted.first() {
        None => UNPROVEN.came_to(false, &format!("{asked} requests of {} people were refused", people.len())),
        Some(first) => UNPROVEN.came_to(true, &format!("{} were permitted, the first {first}", permitted.len())),
    }
}

/// People for whom everything is asked: enough for every role that people have.
const MOST_PEOPLE: usize = 200;
const UNPROVEN: Try = Try {
    what: "a session under the plant in force of somebody who has proven nothing",
    must: Must::Fail,
    serves: "1.1, 2.1",
};
const PLANT: &str = include_str!("canary.toml");
