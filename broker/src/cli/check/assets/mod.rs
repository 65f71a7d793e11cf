//! `sallyport check --assets`: each service of the plant is tried as the broker would reach it, and what came of it is on record.
//!
//! No channel is opened on an asset, and no byte is sent to a service that is not ssh. A zone that is isolated is left alone.

mod service;

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use sallyport_policy::{Asset, AssetId, Policy};
use serde::Serialize;
use tokio::task::JoinSet;

use super::State;
use crate::audit::AuditEvent;
use crate::cli::{CliError, Context, Row};
use service::{Came, Means, Outcome, Try, try_asset};

/// Tries these assets, or all of them; fails when one service is not as it must be.
pub(super) async fn run(names: &[AssetId], log_in: bool, context: &Context) -> Result<(), CliError> {
    // First what it is put on record by: whoever cannot do that need not try.
    let audit = context.audit().await?;
    let (assets, isolated) = (wanted(names, context).await?, isolated(context).await?);
    let trial = format!("check-{}", ulid::Ulid::generate().to_string().to_lowercase());
    let means = Arc::new(Means {
        vault: context.vault().await?.clone(),
        limit: context.config()?.ssh.dial_timeout,
        by: format!("(check by {})", context.actor()),
        trial: trial.clone(),
        log_in,
    });
    let mut tried = Vec::new();
    let (mut waiting, mut running): (VecDeque<Asset>, _) = (assets.into(), JoinSet::new());
    loop {
        while running.len() < AT_ONCE
            && let Some(asset) = waiting.pop_front()
        {
            if isolated.contains(asset.zone.as_str()) {
                tried.extend(asset.services.values().map(|service| Tried::isolated(&asset, service.name.as_str())));
            } else {
                running.spawn(try_asset(asset, Arc::clone(&means)));
            }
        }
        let Some(done) = running.join_next().await else { break };
        for outcome in done.map_err(CliError::failed)? {
            let one = Tried::from(outcome);
            audit.record(one.event(&trial)).await.map_err(CliError::failed)?;
            tried.push(one);
        }
    }
    tried.sort_by(|one, other| (&one.asset, &one.service).cmp(&(&other.asset, &other.service)));
    context.print_list(&tried)?;
    let failed = tried.iter().filter(|tried| tried.state == State::Fail).count();
    match failed {
        0 => Ok(()),
        _ => Err(CliError::Failed(format!("{failed} of {} services are not as they must be", tried.len()))),
    }
}

async fn wanted(names: &[AssetId], context: &Context) -> Result<Vec<Asset>, CliError> {
    let plant = context.rows().await?.current_plant().await.map_err(CliError::failed)?;
    let plant = plant.ok_or_else(|| CliError::Setup("no plant is in force yet".to_owned()))?;
    let policy = Policy::parse(&plant.files).map_err(|errors| CliError::Setup(errors.to_string()))?;
    if let Some(unknown) = names.iter().find(|name| policy.asset(name).is_none()) {
        return Err(CliError::Failed(format!("the plant has no asset `{unknown}`")));
    }
    Ok(policy.assets().filter(|asset| names.is_empty() || names.contains(&asset.id)).cloned().collect())
}

async fn isolated(context: &Context) -> Result<BTreeSet<String>, CliError> {
    let standing = context.rows().await?.isolations().await.map_err(CliError::failed)?;
    Ok(standing.into_iter().map(|standing| standing.isolation.zone).collect())
}

/// A service, and what came of trying it.
#[derive(Debug, Serialize)]
struct Tried {
    state: State,
    asset: String,
    service: String,
    address: String,
    tries: Vec<Try>,
}

impl From<Outcome> for Tried {
    fn from(Outcome { asset, service, address, tries }: Outcome) -> Self {
        let failed = tries.iter().any(|one| one.came == Came::Failed);
        let state = if failed { State::Fail } else { State::Ok };
        Self { state, asset: asset.to_string(), service: service.to_string(), address: address.to_string(), tries }
    }
}

impl Tried {
    /// Nothing goes into a zone that is isolated, whoever asks.
    fn isolated(asset: &Asset, service: &str) -> Self {
        Self {
            state: State::Warn,
            asset: asset.id.to_string(),
            service: service.to_owned(),
            address: asset.address.to_string(),
            tries: vec![Try::not_made("reach", format!("zone {} is isolated", asset.zone))],
        }
    }

    fn event(&self, trial: &str) -> AuditEvent {
        AuditEvent::AssetTried {
            asset: self.asset.clone(),
            service: self.service.clone(),
            address: self.address.clone(),
            fits: self.state == State::Ok,
            results: self.tries.iter().map(Try::line).collect(),
            trial: trial.to_owned(),
        }
    }
}

impl Row for Tried {
    const COLUMNS: &'static [&'static str] = &["", "asset", "service", "address", "what came of it"];

    fn cells(&self) -> Vec<String> {
        let came: Vec<String> = self.tries.iter().map(Try::line).collect();
        let cells = [self.state.word(), &self.asset, &self.service, &self.address, &came.join("; ")];
        cells.map(str::to_owned).to_vec()
    }
}

/// So many assets are tried at once.
const AT_ONCE: usize = 8;
