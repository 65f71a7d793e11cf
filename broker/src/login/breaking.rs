//! `ssh alice@broker break-glass ews-1 WHY`: somebody known breaks the glass with what they have proven. It lifts approval, window and number
//! of sessions of their own grants, where a section of the plant file names them, and nothing else.

use sallyport_policy::AssetId;

use super::requesting::how_to_ask;
use crate::audit::shortened;
use crate::emergency::Circumstances;
use crate::session::{Authenticated, Session, not_for_you};

/// A reason that says nothing is no reason.
const SHORTEST_WHY: usize = 4;

const USAGE: &str = "Say for which asset, and why: ssh alice@broker break-glass ews-1 line 4 does not stop";

/// What follows the word `break-glass`. Both outcomes are a sentence for the person.
pub(crate) async fn break_glass(session: &Session<Authenticated>, written: &str) -> Result<String, String> {
    let (host, reason) = written.trim().split_once(char::is_whitespace).unwrap_or((written.trim(), ""));
    let reason = sallyport_plain::printable(reason.trim()).into_owned();
    if host.is_empty() || reason.chars().count() < SHORTEST_WHY {
        return Err(USAGE.to_owned());
    }
    if session.proof().emergency().is_some() {
        return Err("An envelope is open already: what it gives is yours.".to_owned());
    }
    let (broker, proof) = (session.broker(), session.proof());
    let policy = broker.policy.current();
    let asset = policy.assets().find(|asset| asset.id.as_str().eq_ignore_ascii_case(host));
    let glass = asset.and_then(|asset| {
        let isolated = broker.live.isolated().reason(&asset.zone).is_some();
        let sections = policy.emergencies_of(proof.subject(), asset);
        // Into a zone that is isolated leads only a section that says so.
        sections.min_by_key(|glass| isolated && !glass.in_isolation)
    });
    let (Some(asset), Some(glass)) = (asset, glass) else {
        let recorded = session.refuse_on_record(host, "break-glass", "no break-glass section names them for it").await;
        return Err(recorded.map_or_else(|refusal| refusal.sentence(host), |()| not_for_you(host)));
    };
    let reason = shortened(&reason);
    let by = Circumstances { reason: &reason, source: session.source().to_canonical(), now: broker.now() };
    match broker.emergencies.break_known(glass, proof.identity(), by).await {
        Ok(None) => Err(
            "You have broken the glass a moment ago. Connect as usual; if it is refused, that is for another reason."
                .to_owned(),
        ),
        Ok(Some(opening)) => {
            broker.live.tell_everybody(&format!("ALARM: {} has broken the glass.", proof.identity()));
            let until = broker.now().saturating_add(opening.left()).unwrap_or(broker.now());
            Ok(format!(
                "The glass is broken: {} until {until:.0}. The alarm is raised, and somebody else will look at it. Approval, hours and \
                 number of sessions do not stand in your way now; connect as usual, from this computer, to {} for example.",
                glass.rule.name, asset.id
            ))
        }
        Err(error) => {
            tracing::error!(%error, "Breaking the glass could not be audited, so it is not broken");
            Err("It cannot be put on record now, so it does not count. If everything is down, take an envelope."
                .to_owned())
        }
    }
}

/// What somebody is told who needs an approval: how to ask for it, and also how to go without one, where the plant file lets them in an emergency.
pub(crate) async fn needs_approval(session: &Session<Authenticated>, asset: &AssetId) -> String {
    let sentence = format!("{asset} needs somebody's approval first. {}", how_to_ask(session, asset).await);
    let (policy, proof) = (session.broker().policy.current(), session.proof());
    let named = policy.asset(asset).is_some_and(|found| policy.emergencies_of(proof.subject(), found).next().is_some());
    if !named {
        return sentence;
    }
    format!("{sentence} In an emergency: ssh {}@broker break-glass {asset} WHY", proof.identity())
}
