//! One sign-in over several requests that no connection holds together: a name and a password, then a second factor.
//!
//! It is an [`Attempt`](super::Attempt) for a door that answers and forgets: the same factors, throttled by the same counters, the same
//! on the record, and as long for a name that nobody has. What stands between the two steps is kept by the door, under something that
//! only the person's browser knows; whoever takes it out looks at one answer, and whoever comes at the same time finds nothing.
//!
//! A lease does not stand in for the second factor here, and none is granted that would count elsewhere: one is entered that is over at
//! once, so that whatever takes the factors away ends the sign-in too (see `still_proven`).

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use sallyport_policy::IdentityId;
use tokio::time::{Instant, sleep_until};

use super::abandoned::Alone;
use super::ceremony;
use super::entrance::Entrance;
use super::lease;
use super::name::LoginName;
use crate::audit::AuditEvent;
use crate::broker::Broker;
use crate::identity::{Asserted, Claim, MultiFactor, Offer, Refused, Verified};
use crate::logging::counted;
use crate::vault::Secret;

/// Wrong second factors of one sign-in.
const MOST_OFFERS: u8 = 3;
/// A refusal takes at least this long, whatever its reason, counted from the request.
pub(super) const REFUSAL_TAKES: Duration = Duration::from_millis(300);

/// What is said when the broker cannot judge.
const CANNOT_CHECK: &str = "The broker cannot check this now. Try again later.";

/// Somebody whose password was right.
#[derive(Debug)]
pub(crate) struct SigningIn {
    entrance: Arc<Entrance>,
    source: IpAddr,
    verified: Verified,
    offers: u8,
    /// Told when no second factor follows.
    alone: Option<Alone>,
}

/// What came of a second factor.
#[must_use]
#[derive(Debug)]
pub(crate) enum SecondStep {
    /// Both factors stand.
    SignedIn(Box<MultiFactor>),
    /// Not so; another may be offered.
    Again {
        /// The sign-in as it stands now.
        signing_in: Box<SigningIn>,
        /// What the person is told.
        sentence: &'static str,
    },
    /// The sign-in is over.
    Over {
        /// What the person is told.
        sentence: &'static str,
    },
}

impl SigningIn {
    /// A name and a password from a source.
    ///
    /// # Errors
    /// One sentence for the person, after as long whoever it is.
    pub(crate) async fn begin(
        entrance: &Arc<Entrance>,
        source: IpAddr,
        name: &str,
        password: Secret<String>,
    ) -> Result<Self, &'static str> {
        let begun = Instant::now();
        let begun_so = Self::first(entrance, source, name, password).await;
        if begun_so.is_err() {
            sleep_until(begun + REFUSAL_TAKES).await;
        }
        begun_so
    }

    async fn first(
        entrance: &Arc<Entrance>,
        source: IpAddr,
        name: &str,
        password: Secret<String>,
    ) -> Result<Self, &'static str> {
        let broker = &entrance.broker;
        let claim = Claim::Password(password);
        let word = claim.word();
        // A name outside the grammar, or one with a target, takes the way of an unknown one, and as long.
        let plain = LoginName::parse(name).is_ok_and(|login| login.target.is_none());
        let refused = match broker.identities.first_factor(name, claim, source, broker.now()).await {
            Ok(verified) if plain => return Self::first_stands(entrance, source, verified).await,
            Ok(_) => None,
            Err(refused) => Some(refused),
        };
        let sentence = refused.as_ref().map_or(Refused::Unknown.sentence(), Refused::sentence);
        let reason = refused.map_or_else(|| "not a login name".to_owned(), |refused| refused.to_string());
        tracing::debug!(name = %name.escape_debug(), %source, reason, "First factor refused");
        let event = entrance.first_refused(name, source, word, reason);
        audit(broker, event).await?;
        Err(sentence)
    }

    async fn first_stands(entrance: &Arc<Entrance>, source: IpAddr, verified: Verified) -> Result<Self, &'static str> {
        let alone = Some(Alone::after(verified.clone()));
        let signing_in = Self { entrance: Arc::clone(entrance), source, verified, offers: 0, alone };
        let accepted = AuditEvent::FactorAccepted {
            identity: signing_in.identity().to_string(),
            source: source.to_string(),
            factor: signing_in.verified.proof().kind.to_string(),
            credential: signing_in.verified.credential().to_owned(),
        };
        audit(&entrance.broker, [accepted]).await?;
        Ok(signing_in)
    }

    /// Who says they sign in.
    pub(crate) fn identity(&self) -> &IdentityId {
        self.verified.identity()
    }

    /// What is offered as the second factor.
    pub(crate) async fn second(self, offer: Offer<'_>) -> SecondStep {
        let (word, broker) = (offer.word(), Arc::clone(&self.entrance.broker));
        let refused = match broker.identities.second_factor(&self.verified, offer, broker.now()).await {
            Ok(proof) => return self.second_stands(proof).await,
            Err(refused) => refused,
        };
        tracing::info!(identity = %self.identity(), source = %self.source, %refused, "Second factor refused");
        if let Err(sentence) = audit(&broker, [self.refused(word, &refused)]).await {
            return SecondStep::Over { sentence };
        }
        self.wrong(&refused).await
    }

    /// A key was used that was not believed: it counts as a wrong code does.
    pub(crate) async fn key_refused(self, refused: &Refused) -> SecondStep {
        let broker = Arc::clone(&self.entrance.broker);
        tracing::info!(identity = %self.identity(), source = %self.source, %refused, "Second factor refused");
        if let Err(error) = ceremony::refused(&broker, self.identity().as_str(), self.source, refused).await {
            counted!(error, "That a passkey was refused could not be audited", %error);
            return SecondStep::Over { sentence: CANNOT_CHECK };
        }
        self.wrong(refused).await
    }

    /// What was offered did not count, which is on the record: so many may be offered in one sign-in.
    async fn wrong(mut self, refused: &Refused) -> SecondStep {
        let broker = Arc::clone(&self.entrance.broker);
        if let Some(alone) = &mut self.alone {
            alone.offered_wrong();
        }
        self.offers += 1;
        let sentence = refused.sentence();
        if self.offers < MOST_OFFERS && !matches!(refused, Refused::Stale { .. }) {
            return SecondStep::Again { signing_in: Box::new(self), sentence };
        }
        self.alone = None;
        let reason = format!("{} second factors in one sign-in did not count; the last: {refused}", self.offers);
        let (identity, source) = (self.identity().to_string(), self.source.to_string());
        match audit(&broker, [AuditEvent::LoginRefused { identity, source, reason }]).await {
            Ok(()) | Err(_) => SecondStep::Over { sentence },
        }
    }

    /// Both factors stand: that they do is entered, so that it can be withdrawn, and put on the record.
    async fn second_stands(mut self, proof: MultiFactor) -> SecondStep {
        let broker = Arc::clone(&self.entrance.broker);
        let factor = proof.second().map_or_else(String::new, |second| second.kind.to_string());
        let accepted = AuditEvent::FactorAccepted {
            identity: proof.identity().to_string(),
            source: self.source.to_string(),
            credential: factor.clone(),
            factor,
        };
        // Taken first: whatever fails from here on, a second factor did follow.
        self.alone = None;
        if let Err(sentence) = audit(&broker, [accepted]).await {
            return SecondStep::Over { sentence };
        }
        match signed_in(&broker, proof, self.source).await {
            Ok(proof) => SecondStep::SignedIn(Box::new(proof)),
            Err(sentence) => SecondStep::Over { sentence },
        }
    }

    fn refused(&self, word: &'static str, refused: &Refused) -> AuditEvent {
        AuditEvent::FactorRefused {
            identity: self.identity().to_string(),
            source: self.source.to_string(),
            factor: word.to_owned(),
            reason: refused.to_string(),
        }
    }
}

impl Drop for SigningIn {
    fn drop(&mut self) {
        if let Some(alone) = self.alone.take() {
            alone.tell(&self.entrance, "the sign-in was given up, or took too long");
        }
    }
}

/// Who has used a passkey alone: both factors stand.
///
/// # Errors
/// One sentence for the person.
pub(crate) async fn signed_in_by_passkey(
    broker: &Broker,
    asserted: &Asserted,
    source: IpAddr,
) -> Result<MultiFactor, &'static str> {
    if let Err(error) = ceremony::asserted(broker, asserted, source, "to sign in to the portal".to_owned()).await {
        counted!(error, "A sign-in could not be audited, so it is refused", %error);
        return Err(CANNOT_CHECK);
    }
    let proof = match broker.identities.passkey_sign_in(asserted, source, broker.now()).await {
        Ok(proof) => proof,
        Err(refused) => {
            let event = AuditEvent::LoginRefused {
                identity: asserted.identity().to_string(),
                source: source.to_string(),
                reason: refused.to_string(),
            };
            audit(broker, [event]).await?;
            return Err(refused.sentence());
        }
    };
    signed_in(broker, proof, source).await
}

/// Enters that both factors stand, and puts the login on the record.
///
/// # Errors
/// One sentence for the person: either cannot be done, so nobody is signed in.
async fn signed_in(broker: &Broker, mut proof: MultiFactor, source: IpAddr) -> Result<MultiFactor, &'static str> {
    if let Err(error) = lease::grant(broker, &mut proof, SignedDuration::ZERO).await {
        counted!(error, "A sign-in could not be entered, so it is refused", %error);
        return Err(CANNOT_CHECK);
    }
    let accepted = AuditEvent::LoginAccepted {
        identity: proof.identity().to_string(),
        source: source.to_string(),
        factors: proof.proofs().iter().map(|proof| proof.kind.to_string()).collect(),
        lease: proof.lease().map(ToString::to_string),
    };
    audit(broker, [accepted]).await?;
    Ok(proof)
}

/// What cannot be put on the record does not happen.
async fn audit(broker: &Broker, events: impl IntoIterator<Item = AuditEvent>) -> Result<(), &'static str> {
    broker.audit.record_all(events).await.map_err(|error| {
        counted!(error, "A sign-in could not be audited, so it is refused", %error);
        CANNOT_CHECK
    })
}
