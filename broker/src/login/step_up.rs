//! A fresh second factor of somebody who has logged in: because a target asks for one, or for what they open next.

use std::net::IpAddr;
use std::time::Duration;

use jiff::SignedDuration;
use sallyport_policy::Proof;

use super::confirmation::{NoConfirmation, Outcome, Waiting, Wanted};
use super::lease;
use crate::audit::AuditEvent;
use crate::broker::Broker;
use crate::identity::{MultiFactor, Offer};
use crate::live::Target;
use crate::session::{Authenticated, Session};

/// However short the leases, a second factor counts for so long for what it was given for.
pub(crate) const JUST_GIVEN: SignedDuration = SignedDuration::from_mins(1);

/// Before the deadline of a login, so that whoever waits is told why it ends.
const LAST_WORDS: Duration = Duration::from_secs(5);

const CANNOT_CHECK: &str = "The broker cannot check this now. Try again later.";

/// Checks what is offered and puts the outcome on the record; what cannot be recorded does not count.
pub(crate) async fn prove_again(
    session: &Session<Authenticated>,
    offer: Offer<'_>,
) -> Result<MultiFactor, &'static str> {
    proven_again(session.broker(), session.proof(), session.source(), offer).await
}

/// The same of somebody who is signed in to the portal.
pub(crate) async fn proven_again(
    broker: &Broker,
    proof: &MultiFactor,
    source: IpAddr,
    offer: Offer<'_>,
) -> Result<MultiFactor, &'static str> {
    let (identity, source) = (proof.identity().to_string(), source.to_string());
    let factor = offer.word().to_owned();
    let proven = broker.identities.prove_again(proof, offer, broker.now()).await;
    let event = match &proven {
        Ok(_) => AuditEvent::FactorAccepted { identity, source, factor, credential: "step-up".to_owned() },
        Err(refused) => AuditEvent::FactorRefused { identity, source, factor, reason: refused.to_string() },
    };
    if let Err(error) = broker.audit.record(event).await {
        tracing::error!(%error, "A factor could not be audited, so it does not count");
        return Err(CANNOT_CHECK);
    }
    proven.map_err(|refused| refused.sentence())
}

/// Lets what somebody wants to reach wait for their confirmation in the portal.
pub(super) async fn wait(session: &Session<Authenticated>, target: &Target) -> Result<Waiting, NoConfirmation> {
    let words = format!("{} on {} ({})", target.account, target.asset, target.service);
    wait_for(session, words, &format!("an open login ({})", target.form.word())).await
}

/// The same for what somebody wants to do, in words.
pub(crate) async fn wait_for(
    session: &Session<Authenticated>,
    words: String,
    client: &str,
) -> Result<Waiting, NoConfirmation> {
    let (broker, now) = (session.broker(), session.broker().now());
    let left = broker.config.ssh.login_deadline.saturating_sub(LAST_WORDS);
    let until = SignedDuration::try_from(left).ok().and_then(|left| now.checked_add(left).ok()).unwrap_or(now);
    let wanted = Wanted { first: session.proof().first(), client, target: words, until, join: false };
    Waiting::ask(broker, wanted).await
}

/// Waits until what somebody wants to reach is confirmed in the portal, where nothing can be asked: they see it there at once.
pub(crate) async fn confirmed(
    session: &Session<Authenticated>,
    target: &Target,
) -> Result<Session<Authenticated>, &'static str> {
    let mut waiting = wait(session, target).await.map_err(|error| error.sentence())?;
    match waiting.outcome().await {
        Outcome::Confirmed => {
            let proof = prove_again(session, Offer::Confirmation(waiting.id())).await?;
            Ok(session.proven_again(proof))
        }
        outcome => Err(outcome.sentence()),
    }
}

/// Whether the login has just asked for a second factor: then nobody is asked again.
pub(crate) fn just_given(session: &Session<Authenticated>) -> bool {
    let now = session.broker().now();
    let lately = |proof: &Proof| proof.kind.is_second() && now.duration_since(proof.at) < JUST_GIVEN;
    session.proof().proofs().iter().any(lately)
}

/// Lets the second factor of this proof count for what follows from the same machine with the same credential. Both
/// outcomes are a sentence for the person.
pub(crate) async fn renew(
    session: &Session<Authenticated>,
    mut proof: MultiFactor,
) -> Result<&'static str, &'static str> {
    let broker = session.broker();
    let duration = lease::longest(broker, proof.subject()).max(JUST_GIVEN);
    let granted = lease::grant(broker, &mut proof, duration).await.map_err(|error| {
        tracing::warn!(%error, "A lease could not be granted");
        CANNOT_CHECK
    })?;
    if let Some(event) = granted {
        broker.audit.record(event).await.map_err(|error| {
            tracing::error!(%error, "A lease could not be audited");
            CANNOT_CHECK
        })?;
    }
    Ok(if duration > JUST_GIVEN {
        "Thank you. Connect again: the code counts for as long as your role allows."
    } else {
        "Thank you. Connect again within a minute."
    })
}

/// The same person, where a second factor counts that they have proven since, on another connection from the same machine
/// with the same credential.
pub(crate) async fn renewed(session: &Session<Authenticated>) -> Option<Session<Authenticated>> {
    let broker = session.broker();
    let longest = lease::longest(broker, session.proof().subject()).max(JUST_GIVEN);
    let newer = match broker.identities.newer_lease(session.proof(), longest, broker.now()).await {
        Ok(newer) => newer?,
        Err(error) => {
            tracing::warn!(%error, "Leases cannot be looked up");
            return None;
        }
    };
    if let Err(error) = broker.audit.record(lease::used(&newer)?).await {
        tracing::error!(%error, "The use of a lease could not be audited, so it does not count");
        return None;
    }
    Some(session.proven_again(newer))
}
