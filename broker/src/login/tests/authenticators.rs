//! Which authenticators are taken: those that verify nobody, and those of a maker.

use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;

use data_encoding::HEXLOWER;
use jiff::{SignedDuration, Timestamp};
use sallyport_policy::IdentityId;
use webauthn_rs::prelude::WebauthnError;

use super::bed::{Bed, PASSWORD};
use crate::identity::admin::AdminError;
use crate::identity::tests::maker::Maker;
use crate::identity::tests::soft_key::SoftKey;
use crate::identity::{
    CertificateRules, Claim, Identities, NewPasskey, Offer, OwnPasskey, Refused, RelyingPartySettings, Settings,
    Verified,
};
use crate::vault::Secret;

const UNVERIFIED: &str = "unverified_keys = true";

fn soft_key() -> SoftKey {
    SoftKey::new("gate.plant", "https://gate.plant:8443")
}

impl Bed {
    fn now(&self) -> Timestamp {
        self.entrance.broker.now()
    }

    async fn make(&self, key: &mut SoftKey) -> Result<NewPasskey, Refused> {
        self.make_for(&self.alice, key).await
    }

    async fn make_for(&self, identity: &IdentityId, key: &mut SoftKey) -> Result<NewPasskey, Refused> {
        let (identities, now) = (&self.entrance.broker.identities, self.now());
        let (options, enrolling) = identities.begin_enrolment(identity, "", now).await.unwrap();
        let answer = serde_json::from_value(key.create(&options)).unwrap();
        identities.finish_enrolment(enrolling, &answer, now).await
    }

    /// The same people, where keys that verify nobody count no more.
    fn demanding_verification(&self) -> Identities {
        let broker = &self.entrance.broker;
        let mut relying_party = RelyingPartySettings::from(broker.config.portal.as_ref().unwrap());
        relying_party.unverified = false;
        let certificates = CertificateRules::new([], []).unwrap();
        let settings = Settings { issuer: "Plant".to_owned(), certificates, relying_party: Some(relying_party) };
        Identities::new(broker.store.clone(), broker.vault.clone(), settings).unwrap()
    }

    async fn password(&self) -> Verified {
        let (claim, source) = (Claim::Password(Secret::new(PASSWORD.to_owned())), [192, 0, 2, 7].into());
        self.entrance.broker.identities.first_factor("alice", claim, source, self.now()).await.unwrap()
    }
}

#[tokio::test]
async fn a_key_that_verifies_nobody_is_not_enrolled_unless_it_is_configured() {
    let bed = Bed::new().await;
    let (mut key, identities) = (soft_key(), &bed.entrance.broker.identities);
    let (options, _) = identities.begin_enrolment(&bed.alice, "", bed.now()).await.unwrap();
    assert_eq!(options["publicKey"]["authenticatorSelection"]["userVerification"], "required");
    assert_eq!(options["publicKey"]["attestation"], "none", "nobody is asked who made it");
    key.verifies = false;
    let refused = bed.make(&mut key).await.unwrap_err();
    assert!(matches!(refused, Refused::WebAuthn(WebauthnError::UserNotVerified)), "{refused}");
    assert!(refused.sentence().contains("Set a PIN"));
}

#[tokio::test]
async fn where_it_is_configured_it_is_a_second_factor_and_never_both() {
    let bed = Bed::with(UNVERIFIED).await;
    let (mut key, identities) = (soft_key(), &bed.entrance.broker.identities);
    key.verifies = false;
    let (options, _) = identities.begin_enrolment(&bed.alice, "", bed.now()).await.unwrap();
    assert_eq!(options["publicKey"]["authenticatorSelection"]["userVerification"], "preferred");
    assert_eq!(options.pointer("/publicKey/extensions/credentialProtectionPolicy"), None);
    let new = bed.make(&mut key).await.unwrap();
    bed.admin.add_passkey(&new, "plain key", None, bed.now()).await.unwrap();

    // After the password it is the second factor.
    let (options, _) = identities.begin_assertion(&bed.alice, bed.now()).await.unwrap();
    assert_eq!(options["publicKey"]["userVerification"], "preferred");
    let asserted = bed.assert_with(&mut key).await.unwrap();
    let proof = identities.second_factor(&bed.password().await, Offer::Assertion(&asserted), bed.now()).await.unwrap();
    assert_eq!(proof.proofs().len(), 2);

    // Alone it is nothing: neither what it has signed already, nor what it signs for a sign-in without a password.
    let asserted = bed.assert_with(&mut key).await.unwrap();
    let alone = identities.passkey_sign_in(&asserted, [192, 0, 2, 7].into(), bed.now()).await;
    assert!(matches!(alone, Err(Refused::WebAuthn(WebauthnError::UserNotVerified))));
    let (options, discovering) = identities.begin_discovery(bed.now()).unwrap();
    assert_eq!(options["publicKey"]["userVerification"], "required");
    let answer = serde_json::from_value(key.get(&options)).unwrap();
    let alone = identities.finish_discovery(discovering, &answer, bed.now()).await;
    assert!(matches!(alone, Err(Refused::WebAuthn(WebauthnError::UserNotVerified))));
}

#[tokio::test]
async fn a_key_that_verified_at_first_must_each_time_beside_one_that_does_not() {
    let bed = Bed::with(UNVERIFIED).await;
    let (mut verifying, mut plain) = (bed.passkey().await, soft_key());
    plain.verifies = false;
    let new = bed.make(&mut plain).await.unwrap();
    bed.admin.add_passkey(&new, "plain key", None, bed.now()).await.unwrap();
    assert!(bed.assert_with(&mut verifying).await.is_ok() && bed.assert_with(&mut plain).await.is_ok());
    verifying.verifies = false;
    let stolen = bed.assert_with(&mut verifying).await;
    assert!(matches!(stolen, Err(Refused::WebAuthn(WebauthnError::UserNotVerified))), "{stolen:?}");
}

#[tokio::test]
async fn without_a_password_it_could_not_be_used_and_is_not_enrolled() {
    let bed = Bed::with(UNVERIFIED).await;
    let bob: IdentityId = "bob".parse().unwrap();
    bed.admin.add(&bob, "Bob", &BTreeSet::new(), None, bed.now()).await.unwrap();
    let mut key = soft_key();
    key.verifies = false;
    assert!(matches!(bed.make_for(&bob, &mut key).await, Err(Refused::NeedsPassword)));
    key.verifies = true;
    assert!(bed.make_for(&bob, &mut key).await.is_ok());
}

#[tokio::test]
async fn once_it_is_demanded_again_a_key_that_verifies_nobody_counts_no_more() {
    let bed = Bed::with(UNVERIFIED).await;
    let mut key = soft_key();
    key.verifies = false;
    let new = bed.make(&mut key).await.unwrap();
    bed.admin.add_passkey(&new, "plain key", None, bed.now()).await.unwrap();
    let broker = &bed.entrance.broker;
    assert!(broker.identities.has_passkey(&bed.alice).await.unwrap());
    let strict = bed.demanding_verification();
    assert!(!strict.has_passkey(&bed.alice).await.unwrap());
    assert!(matches!(strict.begin_assertion(&bed.alice, bed.now()).await, Err(Refused::NoPasskey)));
    // A challenge of before does not help.
    let (options, asserting) = broker.identities.begin_assertion(&bed.alice, bed.now()).await.unwrap();
    let answer = serde_json::from_value(key.get(&options)).unwrap();
    let late = strict.finish_assertion(asserting, &answer, bed.now() + SignedDuration::from_secs(1)).await;
    assert!(matches!(late, Err(Refused::WebAuthn(WebauthnError::UserNotVerified))), "{late:?}");
}

#[tokio::test]
async fn nobody_keeps_a_key_alone_that_would_not_be_accepted() {
    let bed = Bed::with(UNVERIFIED).await;
    let (_verifying, mut plain) = (bed.passkey().await, soft_key());
    plain.verifies = false;
    let new = bed.make(&mut plain).await.unwrap();
    bed.admin.add_passkey(&new, "plain key", None, bed.now()).await.unwrap();
    bed.without_authenticator().await;
    let (lax, strict) = (bed.entrance.broker.identities.clone(), bed.demanding_verification());
    let own = strict.own_factors(&bed.alice).await.unwrap();
    let counting: Vec<_> = own.passkeys.iter().map(|passkey| (passkey.name.as_str(), passkey.counts)).collect();
    assert_eq!(counting, [("soft key", true), ("plain key", false)]);
    let (verifying, plain) = (&own.passkeys[0], &own.passkeys[1]);
    assert!(!own.has_another_than(verifying) && own.has_another_than(plain));

    let remove = async |identities: &Identities, passkey: &OwnPasskey| {
        bed.admin.remove_own_passkey(identities, &bed.alice, &passkey.credential, bed.now()).await
    };
    let last = remove(&strict, verifying).await;
    assert!(matches!(last, Err(AdminError::LastFactor)), "{last:?}");
    // What counts for nothing may go; and where it counts, the other one may.
    remove(&lax, verifying).await.unwrap();
    let last = remove(&lax, plain).await;
    assert!(matches!(last, Err(AdminError::LastFactor)), "{last:?}");
}

#[tokio::test]
async fn where_makers_are_named_only_their_authenticators_are_enrolled() {
    let folder = tempfile::tempdir().unwrap();
    let (maker, other) = (Arc::new(Maker::new("Nordic Keys")), Arc::new(Maker::new("Other Keys")));
    // It calls itself like the one that is trusted.
    let impostor = Arc::new(Maker::new("Nordic Keys"));
    let model = [0x2f; 16];
    let path = folder.path().join("makers.pem");
    fs::write(&path, format!("Two of them:\n{}\n{}", Maker::new("Third Keys").root, maker.root)).unwrap();
    let roots = format!("attestation_roots = [\"{}\"]", path.display());
    let hex = HEXLOWER.encode(&model);
    let id = format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]);
    for (portal, other_models) in [(roots.clone(), true), (format!("{roots}\nattested_models = [\"{id}\"]"), false)] {
        let bed = Bed::with(&portal).await;
        let (options, _) = bed.entrance.broker.identities.begin_enrolment(&bed.alice, "", bed.now()).await.unwrap();
        assert_eq!(options["publicKey"]["attestation"], "direct");
        assert_eq!(options["publicKey"]["authenticatorSelection"]["userVerification"], "required");
        for maker in [None, Some(&other), Some(&impostor)] {
            let mut key = soft_key();
            (key.maker, key.model) = (maker.cloned(), model);
            let refused = bed.make(&mut key).await.unwrap_err();
            assert!(matches!(refused, Refused::NotAttested(_)), "{refused}");
            assert!(refused.sentence().contains("this make"));
        }
        let mut key = soft_key();
        (key.maker, key.model) = (Some(Arc::clone(&maker)), model);
        let new = bed.make(&mut key).await.unwrap();
        bed.admin.add_passkey(&new, "ours", None, bed.now()).await.unwrap();
        assert!(bed.assert_with(&mut key).await.is_ok());
        let mut another = soft_key();
        (another.maker, another.model) = (Some(Arc::clone(&maker)), [3; 16]);
        assert_eq!(bed.make(&mut another).await.is_ok(), other_models);
        // Who made it does not stand in for who uses it.
        let mut unverified = soft_key();
        (unverified.maker, unverified.model, unverified.verifies) = (Some(Arc::clone(&maker)), model, false);
        let refused = bed.make(&mut unverified).await.unwrap_err();
        assert!(matches!(refused, Refused::WebAuthn(WebauthnError::UserNotVerified)), "{refused}");
    }
}

#[test]
fn roots_that_are_none_are_told_before_anybody_is_let_in() {
    let folder = tempfile::tempdir().unwrap();
    let said = |text: Option<&str>, model: &str| {
        let path = folder.path().join("roots.pem");
        drop(fs::remove_file(&path));
        if let Some(text) = text {
            fs::write(&path, text).unwrap();
        }
        let (name, origin) = ("gate.plant".to_owned(), "https://gate.plant:8443".to_owned());
        let models = vec![model.to_owned()];
        let settings = RelyingPartySettings { name, origin, roots: vec![path], models, ..Default::default() };
        settings.examine().map_err(|error| error.to_string()).unwrap_err()
    };
    let id = "2fc0579f-8113-47ea-b116-bb5a8db9202a";
    assert!(said(None, id).contains("No such file"), "{}", said(None, id));
    for text in ["", "nothing", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        assert!(said(Some(text), id).contains("no certificate in PEM"), "{text}");
    }
    assert!(said(Some(&Maker::new("Nordic Keys").root), "blue").contains("`blue` is no AAGUID"));
}
