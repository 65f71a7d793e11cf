//! Passkeys and security keys (W3C WebAuthn Level 3): enrolling one, and what it signs.
//!
//! Every ceremony asks for user verification (a PIN, a finger, a face), unless the configuration takes keys that verify nobody; those
//! are a second factor alone. What a browser answers is checked by `webauthn-rs` against the challenge that this broker made for it,
//! the origin, the enrolled key and its counter. [`Asserted`] is the proof of that; it is made here and nowhere else. A challenge is
//! answered once: what waits for the answer is taken by it.

use std::fmt;

use data_encoding::BASE64URL_NOPAD;
use jiff::{SignedDuration, Timestamp};
use sallyport_policy::IdentityId;
use serde_json::Value;
use webauthn_rs::prelude::{
    AuthenticationResult, DiscoverableAuthentication, DiscoverableKey, Passkey, PublicKeyCredential,
    RegisterPublicKeyCredential, SecurityKeyRegistration, WebauthnError,
};

use super::relying_party::{Challenge, RelyingParty, RelyingPartySettings, user_handle, verifies};
use super::{Identities, Refused};
use crate::store::StoreError;
use crate::store::webauthn::{PasskeyRow, chain_name};

/// An enrolment that waits for the browser.
pub struct Enrolling {
    identity: IdentityId,
    begun: Timestamp,
    state: SecurityKeyRegistration,
}

/// A challenge to somebody who is known already, that waits for the browser.
pub struct Asserting {
    identity: IdentityId,
    begun: Timestamp,
    challenge: Challenge,
    rows: Vec<PasskeyRow>,
}

/// A challenge to whoever has a passkey, that waits for the browser.
pub struct Discovering {
    begun: Timestamp,
    state: DiscoverableAuthentication,
}

/// A new passkey, as it is stored.
#[derive(Debug)]
pub struct NewPasskey {
    /// Whose.
    pub identity: IdentityId,
    /// The credential's id, in base64url.
    pub credential: String,
    /// Public key, counter and flags.
    pub passkey: String,
    /// The public key alone, as JSON of a COSE key: what assertions can be checked with.
    pub public_key: String,
}

/// A passkey of this identity has signed a challenge of this broker; with user verification, unless it is one that verifies nobody and
/// counts here nevertheless.
///
/// Whoever has one can read it:
///
/// ```
/// fn who(asserted: &sallyport::identity::Asserted) -> &sallyport_policy::IdentityId {
///     asserted.identity()
/// }
/// ```
///
/// Nobody else can make one:
///
/// ```compile_fail
/// use sallyport::identity::{Asserted, Signed};
///
/// fn forge(identity: sallyport_policy::IdentityId, credential: String, at: jiff::Timestamp, signed: Signed) -> Asserted {
///     Asserted { identity, credential, at, verified: true, signed }
/// }
/// ```
#[derive(Debug)]
pub struct Asserted {
    identity: IdentityId,
    credential: String,
    at: Timestamp,
    verified: bool,
    signed: Signed,
}

/// The three parts that prove an assertion to anybody who has the public key, in base64url.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    /// What the browser said: type, challenge, origin.
    pub client_data: String,
    /// What the authenticator said: relying party, flags, counter.
    pub authenticator_data: String,
    /// Its signature over both.
    pub signature: String,
}

impl Asserted {
    /// Whose passkey it is.
    #[must_use]
    pub fn identity(&self) -> &IdentityId {
        &self.identity
    }

    /// Which one, as the audit names it.
    #[must_use]
    pub fn credential(&self) -> String {
        chain_name(&self.credential)
    }

    /// When it was checked.
    #[must_use]
    pub fn at(&self) -> Timestamp {
        self.at
    }

    /// Whether it verified who used it: it is something that a person has, and something that they know or are.
    #[must_use]
    pub(super) fn is_verified(&self) -> bool {
        self.verified
    }

    /// What a third party can check.
    #[must_use]
    pub fn signed(&self) -> &Signed {
        &self.signed
    }
}

impl Identities {
    /// Whether passkeys can be used at all: there is a portal.
    #[must_use]
    pub fn takes_passkeys(&self) -> bool {
        self.inner.relying_party.is_some()
    }

    /// Whether this identity has a passkey that counts.
    pub async fn has_passkey(&self, identity: &IdentityId) -> Result<bool, StoreError> {
        let Some(party) = &self.inner.relying_party else { return Ok(false) };
        Ok(!self.that_count(party, identity).await?.is_empty())
    }

    /// Whether this passkey would be accepted here, by the configuration as it is now.
    #[must_use]
    pub(super) fn counts(&self, row: &PasskeyRow) -> bool {
        let party = self.inner.relying_party.as_ref();
        party.is_some_and(|party| parsed(row).is_ok_and(|passkey| party.takes(&passkey)))
    }

    /// Begins to enrol a passkey: what the browser is asked, as JSON, and what waits for its answer.
    pub async fn begin_enrolment(
        &self,
        identity: &IdentityId,
        display_name: &str,
        now: Timestamp,
    ) -> Result<(Value, Enrolling), Refused> {
        let known = self.passkeys_of(identity).await?;
        let known = known.iter().filter_map(|row| BASE64URL_NOPAD.decode(row.credential.as_bytes()).ok()).collect();
        let shown = if display_name.is_empty() { identity.as_str() } else { display_name };
        let (options, state) = self.party()?.begin_enrolment(identity, shown, known)?;
        Ok((options, Enrolling { identity: identity.clone(), begun: now, state }))
    }

    /// What the browser answered to an enrolment. It is stored by [`super::admin::Admin::add_passkey`].
    ///
    /// One that verifies nobody is for whoever has a password: without, they could not sign in to the portal to use it.
    pub async fn finish_enrolment(
        &self,
        enrolling: Enrolling,
        answer: &RegisterPublicKeyCredential,
        now: Timestamp,
    ) -> Result<NewPasskey, Refused> {
        in_time(enrolling.begun, now)?;
        bounded(&[
            (&answer.response.client_data_json, LONGEST_CLIENT_DATA),
            (&answer.response.attestation_object, LONGEST_ATTESTATION),
        ])?;
        let (passkey, verified) = self.party()?.finish_enrolment(answer, &enrolling.state)?;
        if !verified {
            let row = self.inner.store.identity(enrolling.identity.as_str()).await?.ok_or(Refused::Unknown)?;
            row.password_hash.as_ref().ok_or(Refused::NeedsPassword)?;
        }
        let damaged = |error| Refused::from(WebauthnError::ParseJSONFailure(error));
        Ok(NewPasskey {
            identity: enrolling.identity,
            credential: BASE64URL_NOPAD.encode(passkey.cred_id()),
            public_key: serde_json::to_string(passkey.get_public_key()).map_err(damaged)?,
            passkey: serde_json::to_string(&passkey).map_err(damaged)?,
        })
    }

    /// Challenges somebody to use a passkey of theirs.
    pub async fn begin_assertion(&self, identity: &IdentityId, now: Timestamp) -> Result<(Value, Asserting), Refused> {
        let party = self.party()?;
        let (rows, passkeys): (Vec<_>, Vec<_>) = self.that_count(party, identity).await?.into_iter().unzip();
        if passkeys.is_empty() {
            return Err(Refused::NoPasskey);
        }
        let (options, challenge) = party.challenge(&passkeys)?;
        Ok((options, Asserting { identity: identity.clone(), begun: now, challenge, rows }))
    }

    /// What the browser answered to [`Identities::begin_assertion`].
    pub async fn finish_assertion(
        &self,
        asserting: Asserting,
        answer: &PublicKeyCredential,
        now: Timestamp,
    ) -> Result<Asserted, Refused> {
        in_time(asserting.begun, now)?;
        assertion_bounded(answer)?;
        let result = self.party()?.check(answer, &asserting.challenge);
        let credential = BASE64URL_NOPAD.encode(answer.get_credential_id());
        let row = asserting.rows.into_iter().find(|row| row.credential == credential).ok_or(Refused::UnknownPasskey)?;
        self.asserted(asserting.identity, &row, result, answer, now).await
    }

    /// Challenges whoever has a passkey of this broker.
    pub fn begin_discovery(&self, now: Timestamp) -> Result<(Value, Discovering), Refused> {
        let (options, state) = self.party()?.discover()?;
        Ok((options, Discovering { begun: now, state }))
    }

    /// What the browser answered to [`Identities::begin_discovery`].
    pub async fn finish_discovery(
        &self,
        discovering: Discovering,
        answer: &PublicKeyCredential,
        now: Timestamp,
    ) -> Result<Asserted, Refused> {
        in_time(discovering.begun, now)?;
        assertion_bounded(answer)?;
        let library = self.party()?.library();
        let (handle, credential) = library.identify_discoverable_authentication(answer)?;
        let row = self.inner.store.passkey(&BASE64URL_NOPAD.encode(credential)).await?;
        let row = row.ok_or(Refused::UnknownPasskey)?.into_inner();
        let identity: IdentityId = row.identity.parse().map_err(|_| Refused::UnknownPasskey)?;
        if handle != user_handle(&identity) {
            return Err(Refused::UnknownPasskey);
        }
        let key = DiscoverableKey::from(&parsed(&row)?);
        let result = library.finish_discoverable_authentication_v2(answer, discovering.state, &key);
        self.asserted(identity, &row, result, answer, now).await
    }

    /// The one place where an assertion becomes a proof: its counter is on record before it counts.
    async fn asserted(
        &self,
        identity: IdentityId,
        row: &PasskeyRow,
        result: Result<AuthenticationResult, WebauthnError>,
        answer: &PublicKeyCredential,
        now: Timestamp,
    ) -> Result<Asserted, Refused> {
        let result = match result {
            Ok(result) => result,
            Err(WebauthnError::CredentialPossibleCompromise) => {
                let credential = chain_name(&row.credential);
                return Err(Refused::CounterWentBack { identity, credential });
            }
            Err(error) => return Err(error.into()),
        };
        let (mut passkey, verified) = (parsed(row)?, result.user_verified());
        if !verified && (verifies(&passkey) || !self.party()?.takes(&passkey)) {
            return Err(WebauthnError::UserNotVerified.into());
        }
        passkey.update_credential(&result);
        let passkey = serde_json::to_string(&passkey).map_err(WebauthnError::ParseJSONFailure)?;
        if !self.inner.store.passkey_used(row, &passkey, now).await? {
            return Err(Refused::UnknownPasskey);
        }
        let encode = |bytes: &[u8]| BASE64URL_NOPAD.encode(bytes);
        let signed = Signed {
            client_data: encode(&answer.response.client_data_json),
            authenticator_data: encode(&answer.response.authenticator_data),
            signature: encode(&answer.response.signature),
        };
        Ok(Asserted { identity, credential: row.credential.clone(), at: now, verified, signed })
    }

    async fn passkeys_of(&self, identity: &IdentityId) -> Result<Vec<PasskeyRow>, StoreError> {
        let rows = self.inner.store.passkeys(identity.as_str()).await?;
        Ok(rows.into_iter().filter_map(|row| row.genuine()).map(|row| row.into_inner()).collect())
    }

    /// Those of them that count here.
    async fn that_count(
        &self,
        party: &RelyingParty,
        identity: &IdentityId,
    ) -> Result<Vec<(PasskeyRow, Passkey)>, StoreError> {
        let mut counting = Vec::new();
        for row in self.passkeys_of(identity).await? {
            let passkey = parsed(&row)?;
            if party.takes(&passkey) {
                counting.push((row, passkey));
            }
        }
        Ok(counting)
    }

    fn party(&self) -> Result<&RelyingParty, Refused> {
        self.inner.relying_party.as_ref().ok_or(Refused::NoPasskey)
    }
}

#[cfg(test)]
impl Discovering {
    /// One that nobody answers.
    #[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    pub(crate) fn sample() -> Self {
        let (name, origin) = ("gate.plant".to_owned(), "https://gate.plant:8443".to_owned());
        let settings = RelyingPartySettings { name, origin, ..Default::default() };
        let (_, state) = RelyingParty::new(&settings).unwrap().discover().unwrap();
        Self { begun: Timestamp::UNIX_EPOCH, state }
    }
}

/// What waits for a browser holds a challenge: nothing to show.
macro_rules! hidden {
    ($($waiting:ident),*) => {$(
        impl fmt::Debug for $waiting {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.debug_struct(stringify!($waiting)).finish_non_exhaustive()
            }
        }
    )*};
}
hidden!(Enrolling, Asserting, Discovering);

/// What a passkey is worth at a portal with these settings; nothing, where it does not count there.
pub(super) fn worth(settings: &RelyingPartySettings, row: &PasskeyRow) -> Option<PasskeyWorth> {
    let passkey = parsed(row).ok().filter(|passkey| settings.takes(passkey))?;
    Some(if verifies(&passkey) { PasskeyWorth::BothFactors } else { PasskeyWorth::SecondFactor })
}

/// What a passkey stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum PasskeyWorth {
    /// A second factor, beside a first one.
    SecondFactor,
    /// It asks who uses it, and so is both.
    BothFactors,
}

fn parsed(row: &PasskeyRow) -> Result<Passkey, StoreError> {
    serde_json::from_str(&row.passkey).map_err(|error| StoreError::damaged("webauthn", error))
}

fn in_time(begun: Timestamp, now: Timestamp) -> Result<(), Refused> {
    let age = now.duration_since(begun);
    if age.is_negative() || age > CEREMONY { Err(Refused::Stale { at: begun }) } else { Ok(()) }
}

/// What is taken of a browser goes on the record, or into the store: no more of it than a browser says.
fn assertion_bounded(answer: &PublicKeyCredential) -> Result<(), Refused> {
    bounded(&[
        (&answer.response.client_data_json, LONGEST_CLIENT_DATA),
        (&answer.response.authenticator_data, LONGEST_AUTHENTICATOR_DATA),
        (&answer.response.signature, LONGEST_SIGNATURE),
    ])
}

fn bounded(parts: &[(&[u8], usize)]) -> Result<(), Refused> {
    if parts.iter().all(|(part, longest)| part.len() <= *longest) { Ok(()) } else { Err(Refused::TooLong) }
}

/// How long a browser may take for its answer.
const CEREMONY: SignedDuration = SignedDuration::from_mins(5);
/// Type, challenge and origin: some hundreds of bytes.
const LONGEST_CLIENT_DATA: usize = 2 << 10;
/// 37 bytes, and what extensions add.
const LONGEST_AUTHENTICATOR_DATA: usize = 1 << 10;
/// RSA with 4096 bits.
const LONGEST_SIGNATURE: usize = 512;
/// A new public key, with the certificates of who made the authenticator.
const LONGEST_ATTESTATION: usize = 16 << 10;
