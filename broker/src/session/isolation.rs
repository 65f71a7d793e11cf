//! Zones that are isolated: whoever the policy would let in is told so, and what is live there ends. A break-glass section may open them
//! all the same (`in_isolation`).

use std::sync::Arc;
use std::time::Duration;

use sallyport_policy::{AssetId, Decision, Policy};

use super::{Authenticated, Refusal, Session};
use crate::broker::Broker;
use crate::live::{End, Isolated, Live};
use crate::store::StoreError;

/// In an emergency nobody waits longer for a database that may be away.
const KNOWN_WITHIN: Duration = Duration::from_secs(1);

/// Whether the zone of an asset is isolated for what was decided. Whoever may not reach it anyway learns nothing of it.
pub(super) async fn bars(
    session: &Session<Authenticated>,
    policy: &Policy,
    asset: &AssetId,
    decision: &Decision,
) -> Result<Option<Refusal>, Refusal> {
    match decision {
        Decision::Deny(_) => return Ok(None),
        Decision::Permit(permit) if policy.opens_isolated(&permit.rule) => return Ok(None),
        Decision::Permit(_) | Decision::NeedFactors(_) | Decision::NeedApproval(_) => {}
    }
    isolates(session, policy, asset).await
}

/// What is said of the zone of an asset, where it is isolated.
pub(super) async fn isolates(
    session: &Session<Authenticated>,
    policy: &Policy,
    asset: &AssetId,
) -> Result<Option<Refusal>, Refusal> {
    let emergency = session.proof().emergency().is_some();
    let isolated = known(session.broker(), emergency).await.map_err(|error| Refusal::Unavailable(error.to_string()))?;
    let zone = policy.asset(asset).map(|asset| &asset.zone);
    Ok(zone.and_then(|zone| {
        isolated.reason(zone).map(|reason| Refusal::Isolated { zone: zone.clone(), reason: reason.to_owned() })
    }))
}

/// Ends every session of this broker that goes into an isolated zone, and keeps which those are.
///
/// # Errors
/// Which zones are isolated cannot be looked up: live sessions go on under their terms.
pub(super) async fn end_all(broker: &Arc<Broker>) -> Result<(), StoreError> {
    let (isolated, policy) = (looked_up(broker).await?, broker.policy.current());
    for live in broker.live.snapshot() {
        end(&isolated, &policy, &live);
    }
    Ok(())
}

/// The same for one that has just been entered, which also ends where that cannot be looked up.
pub(super) async fn end_new(broker: &Arc<Broker>, live: &Live) {
    match known(broker, live.emergency.is_some()).await {
        Ok(isolated) => end(&isolated, &broker.policy.current(), live),
        Err(error) => live.switch.end(End::Revoked { reason: format!("it cannot be looked at: {error}") }),
    }
}

/// Where the asset lay when the session began, or where it lies now.
fn end(isolated: &Isolated, policy: &Policy, live: &Live) {
    if policy.opens_isolated(&live.permit.rule) {
        return;
    }
    let now = policy.asset(&live.target.asset).map(|asset| &asset.zone);
    let mut zones = [Some(&live.zone), now].into_iter().flatten();
    if let Some(zone) = zones.find(|zone| isolated.reason(zone).is_some()) {
        live.switch.end(End::Isolated { zone: zone.to_string() });
    }
}

/// As the store has it now. In an emergency without a database, as this broker saw it last.
async fn known(broker: &Broker, emergency: bool) -> Result<Arc<Isolated>, StoreError> {
    if !emergency {
        return looked_up(broker).await;
    }
    match tokio::time::timeout(KNOWN_WITHIN, looked_up(broker)).await {
        Ok(Ok(isolated)) => Ok(isolated),
        Ok(Err(_)) | Err(_) => Ok(broker.live.isolated()),
    }
}

async fn looked_up(broker: &Broker) -> Result<Arc<Isolated>, StoreError> {
    let standing = broker.store.isolations().await?;
    // Of several of one zone the first says why.
    let zones = standing.into_iter().rev().map(|standing| (standing.isolation.zone, standing.isolation.reason));
    Ok(broker.live.keep_isolated(Isolated::new(zones)))
}
