//! One asset, service by service: does it answer, by the pinned key, and does it take each account's credential.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use sallyport_policy::{Asset, AssetId, Protocol, Service, ServiceName};
use serde::Serialize;
use tokio::time::Instant;

use crate::ssh::session::SshTrial;
use crate::tcp::connect;
use crate::vault::Vault;

/// What all tries of one command have in common.
pub(super) struct Means {
    pub(super) vault: Vault,
    /// Each connection is given up after this.
    pub(super) limit: Duration,
    /// Who tries it, as an asset's log names them.
    pub(super) by: String,
    /// What stands for the session there.
    pub(super) trial: String,
    pub(super) log_in: bool,
}

/// One try of a service.
#[derive(Debug, Serialize)]
pub(super) struct Try {
    what: String,
    pub(super) came: Came,
    says: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Came {
    Ok,
    Failed,
    NotTried,
}

impl Try {
    fn made<E: std::fmt::Display>(what: impl Into<String>, result: Result<(), E>) -> Self {
        match result {
            Ok(()) => Self { what: what.into(), came: Came::Ok, says: "ok".to_owned() },
            Err(error) => Self { what: what.into(), came: Came::Failed, says: error.to_string() },
        }
    }

    pub(super) fn not_made(what: impl Into<String>, why: impl Into<String>) -> Self {
        Self { what: what.into(), came: Came::NotTried, says: why.into() }
    }

    /// In words, for table and record.
    pub(super) fn line(&self) -> String {
        let Self { what, says, .. } = self;
        match self.came {
            Came::Ok => format!("{what}: {says}"),
            Came::Failed => format!("{what}: FAILED, {says}"),
            Came::NotTried => format!("{what}: not tried, {says}"),
        }
    }
}

/// A service of an asset, where it is, and what came of trying it.
pub(super) struct Outcome {
    pub(super) asset: AssetId,
    pub(super) service: ServiceName,
    pub(super) address: SocketAddr,
    pub(super) tries: Vec<Try>,
}

/// One service after the other: equipment often takes few connections at once.
pub(super) async fn try_asset(asset: Asset, means: Arc<Means>) -> Vec<Outcome> {
    let until = Instant::now() + FOR_ONE_ASSET;
    let mut outcomes = Vec::new();
    for service in asset.services.values() {
        let address = SocketAddr::new(asset.address, service.port);
        let tries = try_service(&asset, service, address, &means, until).await;
        outcomes.push(Outcome { asset: asset.id.clone(), service: service.name.clone(), address, tries });
    }
    outcomes
}

async fn try_service(asset: &Asset, service: &Service, address: SocketAddr, means: &Means, until: Instant) -> Vec<Try> {
    if Instant::now() >= until {
        return vec![Try::made(REACH, Err(NO_TIME))];
    }
    let reached = connect(address, means.limit).await.map(drop);
    let mut tries = vec![Try::made(REACH, reached)];
    if service.protocol != Protocol::Ssh || tries.iter().any(|one| one.came == Came::Failed) {
        return tries;
    }
    let trial = SshTrial::of(&asset.id, address, service, means.limit);
    let shown = Try::made("host key", trial.shows_its_key().await);
    let is_itself = shown.came == Came::Ok;
    tries.push(shown);
    for account in asset.accounts.values() {
        let what = format!("login as {}", account.name);
        // INVARIANT: nothing goes to whoever did not prove to be the asset.
        if !is_itself {
            tries.push(Try::not_made(what, "it is not known who that is"));
        } else if !means.log_in {
            tries.push(Try::not_made(what, "as was asked for"));
        } else if Instant::now() >= until {
            tries.push(Try::made(what, Err(NO_TIME)));
        } else {
            let taken = trial.takes_login(account, &means.vault, &means.by, &means.trial, Timestamp::now()).await;
            tries.push(match taken {
                Some(taken) => Try::made(what, taken),
                None => Try::not_made(what, "its password is asked of the person"),
            });
        }
    }
    tries
}

const REACH: &str = "reach";
const NO_TIME: &str = "the time for this asset is over";
/// However many services and accounts it has.
const FOR_ONE_ASSET: Duration = Duration::from_secs(60);
