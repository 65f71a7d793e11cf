//! The portal as authenticators know it (WebAuthn's relying party): its name, its origin, and which authenticators may be enrolled.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use aws_lc_rs::digest;
use sallyport_policy::IdentityId;
use serde_json::Value;
use webauthn_rs::prelude::{
    AttestationCaList, AttestationCaListBuilder, AuthenticationResult, Credential, CredentialID,
    DiscoverableAuthentication, Passkey, PasskeyAuthentication, PublicKeyCredential, RegisterPublicKeyCredential,
    SecurityKey, SecurityKeyAuthentication, SecurityKeyRegistration, Url, Uuid, WebauthnError,
};
use webauthn_rs::{Webauthn, WebauthnBuilder};

use super::Refused;
use crate::config::Portal;

/// The name that passkeys are bound to, and the origin that browsers must be at (WebAuthn section 5.1.2).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RelyingPartySettings {
    /// A domain: browsers refuse an address.
    pub name: String,
    /// `https://NAME[:PORT]`
    pub origin: String,
    /// The same at other ports, where browsers may be as well.
    pub other_origins: Vec<String>,
    /// Whether an authenticator counts that asks nobody for a PIN or finger: as a second factor, and never alone.
    pub unverified: bool,
    /// PEM files of who makes authenticators: only theirs are enrolled then. None: anybody's.
    pub roots: Vec<PathBuf>,
    /// Of those, only these models, by AAGUID. None: every one of theirs.
    pub models: Vec<String>,
}

impl From<&Portal> for RelyingPartySettings {
    fn from(portal: &Portal) -> Self {
        Self {
            name: portal.name.clone(),
            origin: portal.origin.clone(),
            other_origins: portal.management.iter().map(|management| management.origin.clone()).collect(),
            unverified: portal.unverified_keys,
            roots: portal.attestation_roots.clone(),
            models: portal.attested_models.clone(),
        }
    }
}

impl RelyingPartySettings {
    /// Whether passkeys can be used with these settings: a look, before a broker starts with them.
    ///
    /// # Errors
    /// They cannot.
    pub fn examine(&self) -> Result<(), RelyingPartyError> {
        RelyingParty::new(self).map(drop)
    }

    /// Whether a passkey counts with these settings.
    pub(super) fn takes(&self, passkey: &Passkey) -> bool {
        takes(self.unverified, passkey)
    }
}

/// Why passkeys cannot be used under this name.
#[derive(Debug, thiserror::Error)]
pub enum RelyingPartyError {
    /// The origin is not one.
    #[error("`{0}` is no origin such as https://gate.plant.example:8443")]
    Origin(String),
    /// The origin is not under the name, or the name is an address.
    #[error("passkeys cannot be bound to `{name}` at {origin}: the name must be a domain, and the origin at it")]
    Name {
        /// The name.
        name: String,
        /// The origin.
        origin: String,
    },
    /// A file of roots cannot be read.
    #[error("`attestation_roots` in `[portal]`: {path}: {source}")]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A file of roots holds none.
    #[error("`attestation_roots` in `[portal]`: {path} holds no certificate in PEM that can be read")]
    NoRoot {
        /// Which file.
        path: PathBuf,
    },
    /// A model that is not one.
    #[error("`attested_models` in `[portal]`: `{0}` is no AAGUID such as 2fc0579f-8113-47ea-b116-bb5a8db9202a")]
    Model(String),
}

/// Asks authenticators, and checks what they answer, for one name.
pub(super) struct RelyingParty {
    library: Webauthn,
    unverified: bool,
    roots: Option<AttestationCaList>,
}

/// A challenge to passkeys that are known.
pub(super) enum Challenge {
    /// All of them verify who uses them, so this one must.
    Verified(PasskeyAuthentication),
    /// Some of them do not. Each is held to what it did when it was enrolled.
    Present(SecurityKeyAuthentication),
}

impl RelyingParty {
    pub(super) fn new(settings: &RelyingPartySettings) -> Result<Self, RelyingPartyError> {
        let RelyingPartySettings { name, origin, other_origins, unverified, .. } = settings;
        let read = |origin: &String| Url::parse(origin).map_err(|_| RelyingPartyError::Origin(origin.clone()));
        let others: Vec<Url> = other_origins.iter().map(read).collect::<Result<_, _>>()?;
        let library = WebauthnBuilder::new(name, &read(origin)?)
            .map(|builder| others.iter().fold(builder, WebauthnBuilder::append_allowed_origin))
            .and_then(|builder| builder.rp_name("Sallyport").timeout(ANSWER_WITHIN).build())
            .map_err(|_| RelyingPartyError::Name { name: name.clone(), origin: origin.clone() })?;
        Ok(Self { library, unverified: *unverified, roots: roots(settings)? })
    }

    /// Whether this passkey counts here.
    pub(super) fn takes(&self, passkey: &Passkey) -> bool {
        takes(self.unverified, passkey)
    }

    /// What a browser is asked for a new passkey, and what waits for its answer.
    pub(super) fn begin_enrolment(
        &self,
        identity: &IdentityId,
        shown: &str,
        known: Vec<CredentialID>,
    ) -> Result<(Value, SecurityKeyRegistration), WebauthnError> {
        let (handle, roots) = (user_handle(identity), self.roots.clone());
        let (options, state) =
            self.library.start_securitykey_registration(handle, identity.as_str(), shown, Some(known), roots, None)?;
        let mut options = serde_json::to_value(options).map_err(WebauthnError::ParseJSONFailure)?;
        if let Some(selection) = options.pointer_mut("/publicKey/authenticatorSelection") {
            // So that it can be used without typing a name, where the authenticator has room for that.
            selection["residentKey"] = "preferred".into();
            selection["userVerification"] = if self.unverified { "preferred" } else { "required" }.into();
        }
        // A key without a PIN that took this to heart could never sign again.
        if let Some(extensions) = options.pointer_mut("/publicKey/extensions").filter(|_| self.unverified) {
            without(extensions, &["credentialProtectionPolicy", "enforceCredentialProtectionPolicy"]);
        }
        if let Some(asked) = options.get_mut("publicKey") {
            // A phone or the machine's own does as well as a key.
            without(asked, &["hints"]);
        }
        Ok((options, state))
    }

    /// The passkey that was made, if it is one that may be enrolled, and whether it verifies who uses it.
    pub(super) fn finish_enrolment(
        &self,
        answer: &RegisterPublicKeyCredential,
        state: &SecurityKeyRegistration,
    ) -> Result<(Passkey, bool), Refused> {
        let made = match self.library.finish_securitykey_registration(answer, state) {
            Ok(made) => Passkey::from(Credential::from(made)),
            Err(error) if self.roots.is_some() && is_of_its_maker(&error) => return Err(Refused::NotAttested(error)),
            Err(error) => return Err(error.into()),
        };
        if !self.takes(&made) {
            return Err(WebauthnError::UserNotVerified.into());
        }
        let verified = verifies(&made);
        Ok((made, verified))
    }

    /// Challenges somebody to use one of these.
    pub(super) fn challenge(&self, passkeys: &[Passkey]) -> Result<(Value, Challenge), WebauthnError> {
        let (options, challenge) = if passkeys.iter().all(verifies) {
            let (options, state) = self.library.start_passkey_authentication(passkeys)?;
            (options, Challenge::Verified(state))
        } else {
            let keys: Vec<SecurityKey> =
                passkeys.iter().map(|passkey| Credential::from(passkey.clone()).into()).collect();
            let (options, state) = self.library.start_securitykey_authentication(&keys)?;
            (options, Challenge::Present(state))
        };
        let mut options = serde_json::to_value(options).map_err(WebauthnError::ParseJSONFailure)?;
        if let Some(asked) = options.get_mut("publicKey") {
            without(asked, &["hints"]);
        }
        Ok((options, challenge))
    }

    /// What was answered to [`Self::challenge`].
    pub(super) fn check(
        &self,
        answer: &PublicKeyCredential,
        challenge: &Challenge,
    ) -> Result<AuthenticationResult, WebauthnError> {
        match challenge {
            Challenge::Verified(state) => self.library.finish_passkey_authentication(answer, state),
            Challenge::Present(state) => self.library.finish_securitykey_authentication(answer, state),
        }
    }

    /// Challenges whoever has a passkey of this broker. It is both factors in one, so it verifies who uses it.
    pub(super) fn discover(&self) -> Result<(Value, DiscoverableAuthentication), WebauthnError> {
        let (options, state) = self.library.start_discoverable_authentication()?;
        let mut options = serde_json::to_value(options).map_err(WebauthnError::ParseJSONFailure)?;
        // There is a button for it.
        without(&mut options, &["mediation"]);
        Ok((options, state))
    }

    /// What checks the answer to [`Self::discover`].
    pub(super) fn library(&self) -> &Webauthn {
        &self.library
    }
}

/// It verifies who uses it, or need not.
fn takes(unverified: bool, passkey: &Passkey) -> bool {
    unverified || verifies(passkey)
}

/// Whether it verified who uses it when it was enrolled. Then it must each time.
pub(super) fn verifies(passkey: &Passkey) -> bool {
    Credential::from(passkey.clone()).user_verified
}

/// What authenticators keep of a person beside the name (WebAuthn section 5.4.3): the same for every passkey of theirs.
pub(super) fn user_handle(identity: &IdentityId) -> Uuid {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in ["sallyport user handle v1", identity.as_str()] {
        context.update(part.as_bytes());
        context.update(&[0]);
    }
    let mut handle = [0; 16];
    handle.copy_from_slice(&context.finish().as_ref()[..16]);
    Uuid::from_bytes(handle)
}

/// Nothing where nobody is asked who made the authenticator.
fn roots(settings: &RelyingPartySettings) -> Result<Option<AttestationCaList>, RelyingPartyError> {
    let models =
        settings.models.iter().map(|model| Uuid::try_parse(model).map_err(|_| RelyingPartyError::Model(model.clone())));
    let models: Vec<Uuid> = models.collect::<Result<_, _>>()?;
    let mut all = AttestationCaList::default();
    for path in &settings.roots {
        let unreadable = |source| RelyingPartyError::Unreadable { path: path.clone(), source };
        let text = fs::read_to_string(path).map_err(unreadable)?;
        // What stands before and between them is for readers.
        let parts = text.split_inclusive(PEM_END).filter(|part| part.contains(PEM_END));
        let certificates: Vec<&str> = parts.filter_map(|part| part.get(part.rfind(PEM_BEGIN)?..)).collect();
        let no_root = || RelyingPartyError::NoRoot { path: path.clone() };
        if certificates.is_empty() {
            return Err(no_root());
        }
        for certificate in certificates {
            all.union(&trusted(certificate, &models).ok_or_else(no_root)?);
        }
    }
    Ok((!settings.roots.is_empty()).then_some(all))
}

/// One certificate, for every model or for these.
fn trusted(certificate: &str, models: &[Uuid]) -> Option<AttestationCaList> {
    if models.is_empty() {
        return AttestationCaList::try_from(certificate.as_bytes()).ok();
    }
    let mut builder = AttestationCaListBuilder::new();
    for model in models {
        builder.insert_device_pem(certificate.as_bytes(), *model, String::new(), BTreeMap::new()).ok()?;
    }
    Some(builder.build())
}

/// Whether it was refused for who made it, and not for what it signed.
fn is_of_its_maker(error: &WebauthnError) -> bool {
    matches!(
        error,
        WebauthnError::AttestationNotSupported
            | WebauthnError::AttestationNotVerifiable
            | WebauthnError::AttestationChainNotTrusted(_)
            | WebauthnError::AttestationUntrustedAaguid
            | WebauthnError::AttestationFormatMissingAaguid
            | WebauthnError::AttestationCertificateRequirementsNotMet
            | WebauthnError::AttestationCertificateAAGUIDMismatch
            | WebauthnError::AttestationLeafCertMissing
    )
}

fn without(options: &mut Value, names: &[&str]) {
    if let Some(options) = options.as_object_mut() {
        options.retain(|name, _| !names.contains(&name.as_str()));
    }
}

/// How long a browser waits for the authenticator.
const ANSWER_WITHIN: Duration = Duration::from_secs(5 * 60);
/// Where a certificate begins, and ends (RFC 7468).
const PEM_BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const PEM_END: &str = "-----END CERTIFICATE-----";
