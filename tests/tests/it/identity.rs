//! Identities and the vault on both engines: what each rule promises, and attempts to break it.

use std::collections::BTreeSet;
use std::io::Read;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use sallyport::audit::{Audit, AuditConfig, AuditFilter};
use sallyport::identity::admin::{Admin, AdminError};
use sallyport::identity::{CertificateRules, Identities, MultiFactor, Offer, Refused, Settings, Standing, Verified};
use sallyport::store::Store;
use sallyport::totp::TotpSettings;
use sallyport::vault::{
    Credential, KeyName, MasterKey, MasterKeySource, RekeyError, Secret, Vault, VaultError, finish_rekey, rekey,
};
use sallyport_policy::{FactorKind, IdentityId};
use ssh_key::PrivateKey;
use ssh_key::certificate::{Builder, CertType};
use ssh_key::private::Ed25519Keypair;

use crate::store::{Database, on_both_engines};

pub(crate) const PASSWORD: &str = "correct horse battery";

/// One installation: a database, its master key, and alice.
pub(crate) struct Installation {
    pub(crate) database: Database,
    pub(crate) key_file: PathBuf,
    pub(crate) admin: Admin,
    pub(crate) alice: IdentityId,
    pub(crate) seed: Secret<Vec<u8>>,
    authority: PrivateKey,
}

impl Installation {
    pub(crate) async fn new(database: Database) -> Self {
        let key_file = database.directory.path().join("master.key");
        let master = MasterKey::create(&key_file).unwrap();
        let store = database.open().await;
        let (vault, made) = Vault::init(store.clone(), &master, now()).await.unwrap();
        assert!(made);
        let audit = audit(&store, &vault).await;
        let admin = Admin::new(store, vault, audit, "root");
        let alice: IdentityId = "alice".parse().unwrap();
        let groups = BTreeSet::from(["maintenance".to_owned()]);
        admin.add(&alice, "Alice", &groups, None, now()).await.unwrap();
        admin.set_password(&alice, secret(PASSWORD), now()).await.unwrap();
        let seed = enroll(&admin, &alice).await;
        Self { database, key_file, admin, alice, seed, authority: new_key() }
    }

    /// A broker of its own on this database.
    pub(crate) async fn broker(&self) -> Identities {
        let store = self.database.open().await;
        let vault = self.vault(&store).await.unwrap();
        let certificates = CertificateRules::new([self.authority.public_key()], []).unwrap();
        Identities::new(store, vault, Settings { issuer: "Plant".to_owned(), certificates, relying_party: None })
            .unwrap()
    }

    pub(crate) async fn vault(&self, store: &Store) -> Result<Vault, VaultError> {
        Vault::open(store.clone(), &MasterKey::load(&self.source())?).await
    }

    pub(crate) fn source(&self) -> MasterKeySource {
        MasterKeySource::File(self.key_file.clone())
    }

    pub(crate) fn code(&self, at: Timestamp) -> String {
        code(&self.seed, at)
    }

    pub(crate) async fn codes_in_audit(&self) -> Vec<String> {
        let store = self.database.open().await;
        let entries = store.audit_entries(&AuditFilter::default()).await.unwrap();
        entries.into_iter().map(|entry| entry.code).collect()
    }
}

pub(crate) async fn audit(store: &Store, vault: &Vault) -> Audit {
    let key = vault.evidence_key().unwrap();
    let config = AuditConfig { store: store.clone(), key, broker: "cli".into(), actor: "root".into(), spool: None };
    Audit::start(config).await.unwrap()
}

pub(crate) async fn enroll(admin: &Admin, identity: &IdentityId) -> Secret<Vec<u8>> {
    let enrollment = admin.enroll_totp(identity, TotpSettings::default(), "Plant", now()).await.unwrap();
    assert!(enrollment.uri.expose().starts_with(&format!("otpauth://totp/Plant:{identity}?secret=")));
    Secret::new(data_encoding::BASE32_NOPAD.decode(enrollment.secret.expose().as_bytes()).unwrap())
}

pub(crate) fn code(seed: &Secret<Vec<u8>>, at: Timestamp) -> String {
    let settings = TotpSettings::default();
    settings.code(seed, settings.step(at)).expose().clone()
}

pub(crate) fn now() -> Timestamp {
    "2026-11-23T08:00:00Z".parse().unwrap()
}

pub(crate) fn after(seconds: i64) -> Timestamp {
    now() + SignedDuration::from_secs(seconds)
}

pub(crate) fn secret(text: &str) -> Secret<String> {
    Secret::new(text.to_owned())
}

pub(crate) fn home() -> IpAddr {
    "192.0.2.7".parse().unwrap()
}

fn outside() -> IpAddr {
    "198.51.100.66".parse().unwrap()
}

pub(crate) fn new_key() -> PrivateKey {
    let mut seed = [0_u8; 32];
    std::fs::File::open("/dev/urandom").unwrap().read_exact(&mut seed).unwrap();
    PrivateKey::from(Ed25519Keypair::from_seed(&seed))
}

pub(crate) async fn password(
    broker: &Identities,
    name: &str,
    word: &str,
    source: IpAddr,
    at: Timestamp,
) -> Result<Verified, Refused> {
    broker.first_factor_password(name, secret(word), source, at).await
}

pub(crate) async fn alice(broker: &Identities, at: Timestamp) -> Verified {
    password(broker, "alice", PASSWORD, home(), at).await.unwrap()
}

fn kinds(multi_factor: &MultiFactor) -> Vec<FactorKind> {
    multi_factor.proofs().iter().map(|proof| proof.kind).collect()
}

pub(crate) fn word<T: std::fmt::Debug>(result: Result<T, Refused>) -> &'static str {
    result.unwrap_err().code()
}

on_both_engines! {
    async fn two_factors_of_different_kinds_make_a_multi_factor(database: Database) {
        let installation = Installation::new(database).await;
        let broker = installation.broker().await;
        let verified = alice(&broker, now()).await;
        assert_eq!(verified.credential(), "password");
        let multi_factor = broker.second_factor(&verified, Offer::Code(&installation.code(now())), now()).await.unwrap();
        assert_eq!(kinds(&multi_factor), [FactorKind::Password, FactorKind::Totp]);
        assert_eq!(multi_factor.subject().groups, BTreeSet::from(["maintenance".to_owned()]));
        assert!(multi_factor.lease().is_none());
    }

    async fn who_is_unknown_locked_removed_or_expired_gets_the_same_word_and_no_proof(database: Database) {
        let installation = Installation::new(database).await;
        let (broker, admin) = (installation.broker().await, &installation.admin);
        let (ida, finn): (IdentityId, IdentityId) = ("ida".parse().unwrap(), "finn".parse().unwrap());
        admin.add(&ida, "", &BTreeSet::new(), Some(after(10)), now()).await.unwrap();
        admin.set_password(&ida, secret(PASSWORD), now()).await.unwrap();
        admin.add(&finn, "", &BTreeSet::new(), None, now()).await.unwrap();

        let refused = [
            password(&broker, "nobody", PASSWORD, home(), now()).await.unwrap_err(),
            password(&broker, "no:body", PASSWORD, home(), now()).await.unwrap_err(),
            password(&broker, "alice", "wrong", home(), now()).await.unwrap_err(),
            password(&broker, "finn", PASSWORD, home(), now()).await.unwrap_err(),
            password(&broker, "ida", PASSWORD, home(), after(10)).await.unwrap_err(),
        ];
        let words: Vec<_> = refused.iter().map(Refused::code).collect();
        assert_eq!(words, ["unknown-identity", "unknown-identity", "wrong-password", "wrong-password", "expired"]);
        assert!(refused.iter().all(|refused| refused.sentence() == "Access denied."));

        admin.lock(&installation.alice, "left", now()).await.unwrap();
        assert_eq!(word(password(&broker, "alice", PASSWORD, home(), now()).await), "locked");
        admin.unlock(&installation.alice, now()).await.unwrap();
        assert!(password(&broker, "alice", PASSWORD, home(), now()).await.is_ok());
        admin.remove(&installation.alice, "left", now()).await.unwrap();
        // The password went with her, so nothing is right any more.
        assert_eq!(word(password(&broker, "alice", PASSWORD, home(), now()).await), "wrong-password");
        assert_eq!(broker.standing(&installation.alice, now()).await.unwrap(), Standing::Removed);
        let again = admin.add(&installation.alice, "", &BTreeSet::new(), None, now()).await;
        assert!(matches!(again, Err(AdminError::Store(_))), "a name is never given again");
    }

    async fn an_unknown_name_costs_the_same_as_a_known_one(database: Database) {
        let installation = Installation::new(database).await;
        let broker = installation.broker().await;
        // The work is what makes the time: without the hash for nobody an unknown name would answer at once.
        let spent = |name: &'static str| {
            let broker = broker.clone();
            async move {
                let mut times = Vec::new();
                for number in 0..5_u8 {
                    let source = IpAddr::from([203, 0, 113, number]);
                    let started = std::time::Instant::now();
                    assert!(password(&broker, name, "wrong", source, now()).await.is_err());
                    times.push(started.elapsed());
                }
                times.sort();
                times[0]
            }
        };
        let (known, unknown) = (spent("alice").await, spent("nobody").await);
        assert!(unknown > known / 3 && known > unknown / 3, "known {known:?}, unknown {unknown:?}");
        assert!(unknown > Duration::from_millis(3), "argon2 ran: {unknown:?}");
    }

    async fn each_code_counts_once(database: Database) {
        let installation = Installation::new(database).await;
        let (one, other) = (installation.broker().await, installation.broker().await);
        let code = installation.code(now());
        let verified = alice(&one, now()).await;
        assert!(one.second_factor(&verified, Offer::Code(&code), now()).await.is_ok());
        assert_eq!(word(one.second_factor(&verified, Offer::Code(&code), now()).await), "used-code");
        let elsewhere = alice(&other, now()).await;
        assert_eq!(word(other.second_factor(&elsewhere, Offer::Code(&code), now()).await), "used-code");
        // An earlier code, unused but older than the last one used, is void as well.
        assert_eq!(word(other.second_factor(&elsewhere, Offer::Code(&installation.code(after(-30))), now()).await), "used-code");
        assert!(other.second_factor(&elsewhere, Offer::Code(&installation.code(after(30))), now()).await.is_ok());
    }

    async fn the_same_code_on_two_brokers_at_the_same_instant_opens_one(database: Database) {
        let installation = Installation::new(database).await;
        let (one, other) = (installation.broker().await, installation.broker().await);
        for round in 0..10 {
            let at = after(round * 60);
            let code = installation.code(at);
            let (first, second) = (alice(&one, at).await, alice(&other, at).await);
            let mut tries = tokio::task::JoinSet::new();
            for (broker, verified) in [(&one, &first), (&other, &second), (&one, &first)] {
                let (broker, verified, code) = (broker.clone(), verified.clone(), code.clone());
                tries.spawn(async move { broker.second_factor(&verified, Offer::Code(&code), at).await });
            }
            let results = tries.join_all().await;
            let opened = results.iter().filter(|result| result.is_ok()).count();
            assert_eq!(opened, 1, "round {round}: {results:?}");
        }
    }

    async fn wrong_codes_get_slower_and_a_right_one_ends_that(database: Database) {
        let installation = Installation::new(database).await;
        let (one, other) = (installation.broker().await, installation.broker().await);
        let (first, second) = (alice(&one, now()).await, alice(&other, now()).await);
        for _ in 0..2 {
            assert_eq!(word(one.second_factor(&first, Offer::Code("000000"), now()).await), "wrong-code");
            assert_eq!(word(one.second_factor(&first, Offer::Code("zzzz-zzzz-zzzz-zzzz"), now()).await), "wrong-code");
        }
        assert_eq!(word(one.second_factor(&first, Offer::Code(&installation.code(now())), now()).await), "too-many-codes");
        assert_eq!(word(other.second_factor(&second, Offer::Code("000000"), now()).await), "wrong-code", "each broker counts");
        assert!(one.second_factor(&first, Offer::Code(&installation.code(after(2))), after(2)).await.is_ok());
        assert_eq!(word(one.second_factor(&first, Offer::Code("000000"), after(2)).await), "wrong-code", "looked at again");
    }

    async fn a_thief_who_guesses_codes_keeps_the_owner_waiting_nowhere_else(database: Database) {
        let installation = Installation::new(database).await;
        let broker = installation.broker().await;
        let thief = password(&broker, "alice", PASSWORD, "203.0.113.66".parse().unwrap(), now()).await.unwrap();
        let owner = alice(&broker, now()).await;
        for _ in 0..4 {
            assert_eq!(word(broker.second_factor(&thief, Offer::Code("000000"), now()).await), "wrong-code");
        }
        assert_eq!(word(broker.second_factor(&thief, Offer::Code(&installation.code(now())), now()).await), "too-many-codes");
        assert!(broker.second_factor(&owner, Offer::Code(&installation.code(now())), now()).await.is_ok(), "at once");
    }

    async fn a_right_code_of_another_hour_is_named_to_the_auditor_and_not_taken(database: Database) {
        let installation = Installation::new(database).await;
        let broker = installation.broker().await;
        let verified = alice(&broker, now()).await;
        let refused = broker.second_factor(&verified, Offer::Code(&installation.code(after(300))), now()).await.unwrap_err();
        assert_eq!(refused.to_string(), "wrong code, right 10 steps from now: is a clock wrong?");
        assert_eq!((refused.code(), refused.sentence()), ("wrong-code", "This code is not valid."));
    }

    async fn guesses_at_the_same_instant_all_count(database: Database) {
        let installation = Installation::new(database).await;
        let broker = installation.broker().await;
        let verified = alice(&broker, now()).await;
        let mut guesses = tokio::task::JoinSet::new();
        for guess in 0..40 {
            let (broker, verified) = (broker.clone(), verified.clone());
            guesses.spawn(async move { broker.second_factor(&verified, Offer::Code(&format!("{guess:06}")), now()).await });
        }
        let results = guesses.join_all().await;
        let looked_at = results.iter().filter(|result| !matches!(result, Err(Refused::TooManyCodes { .. }))).count();
        assert!(looked_at <= 4, "{looked_at} guesses were looked at");
    }

    async fn recovery_codes_stand_in_for_totp_and_count_once(database: Database) {
        let installation = Installation::new(database).await;
        let (one, other) = (installation.broker().await, installation.broker().await);
        let codes = installation.admin.new_recovery_codes(&installation.alice).await.unwrap();
        let (first, second) = (alice(&one, now()).await, alice(&other, now()).await);
        let typed = codes[3].expose().to_uppercase().replace('-', " ");
        let mut tries = tokio::task::JoinSet::new();
        for (broker, verified) in [(&one, &first), (&other, &second)] {
            let (broker, verified, typed) = (broker.clone(), verified.clone(), typed.clone());
            tries.spawn(async move { broker.second_factor(&verified, Offer::Code(&typed), now()).await });
        }
        let opened: Vec<_> = tries.join_all().await.into_iter().filter_map(Result::ok).collect();
        assert_eq!(opened.iter().map(kinds).collect::<Vec<_>>(), [[FactorKind::Password, FactorKind::RecoveryCode]]);
        assert_eq!(word(one.second_factor(&first, Offer::Code(codes[3].expose()), now()).await), "wrong-code");
        assert!(one.second_factor(&first, Offer::Code(codes[4].expose()), now()).await.is_ok());

        let renewed = installation.admin.new_recovery_codes(&installation.alice).await.unwrap();
        assert_eq!(word(one.second_factor(&first, Offer::Code(codes[5].expose()), now()).await), "wrong-code", "replaced");
        assert!(one.second_factor(&first, Offer::Code(renewed[0].expose()), now()).await.is_ok());
        let store = installation.database.open().await;
        installation.vault(&store).await.unwrap();
        assert_eq!(store.recovery_codes_left("alice").await.unwrap(), 9);
    }

    async fn the_first_factor_must_be_fresh_and_the_identity_must_still_stand(database: Database) {
        let installation = Installation::new(database).await;
        let broker = installation.broker().await;
        let verified = alice(&broker, now()).await;
        let code = |at| installation.code(at);
        assert_eq!(word(broker.second_factor(&verified, Offer::Code(&code(after(301))), after(301)).await), "stale");
        assert_eq!(word(broker.second_factor(&verified, Offer::Code(&code(after(-60))), after(-60)).await), "stale");
        installation.admin.lock(&installation.alice, "between the factors", now()).await.unwrap();
        assert_eq!(word(broker.second_factor(&verified, Offer::Code(&code(now())), now()).await), "locked");
    }

    async fn without_an_enrolled_factor_there_is_no_way_in(database: Database) {
        let installation = Installation::new(database).await;
        let (broker, admin) = (installation.broker().await, &installation.admin);
        let bob: IdentityId = "bob".parse().unwrap();
        admin.add(&bob, "", &BTreeSet::new(), None, now()).await.unwrap();
        admin.set_password(&bob, secret(PASSWORD), now()).await.unwrap();
        let verified = password(&broker, "bob", PASSWORD, home(), now()).await.unwrap();
        for code in ["000000", installation.code(now()).as_str()] {
            assert_eq!(word(broker.second_factor(&verified, Offer::Code(code), now()).await), "no-second-factor");
        }
        // Nothing typed is not even a guess.
        assert_eq!(word(broker.second_factor(&verified, Offer::Code(""), now()).await), "wrong-code");
        assert!(matches!(admin.new_recovery_codes(&bob).await, Err(AdminError::NoAuthenticator(_))));
    }

    async fn keys_are_somebodys_until_they_are_taken(database: Database) {
        let installation = Installation::new(database).await;
        let (broker, admin) = (installation.broker().await, &installation.admin);
        let (key, other) = (new_key(), new_key());
        let line = key.public_key().to_openssh().unwrap();
        let row = admin.add_key(&installation.alice, &line, now()).await.unwrap();
        assert!(broker.key_known("alice", key.public_key(), now()).await.unwrap());
        for (name, key) in [("alice", &other), ("bob", &key), ("no body", &key)] {
            assert!(!broker.key_known(name, key.public_key(), now()).await.unwrap());
            assert!(broker.first_factor_key(name, key.public_key(), home(), now()).await.is_err());
        }
        let verified = broker.first_factor_key("alice", key.public_key(), home(), now()).await.unwrap();
        assert_eq!((verified.proof().kind, verified.credential()), (FactorKind::Key, row.fingerprint.as_str()));

        let bob: IdentityId = "bob".parse().unwrap();
        admin.add(&bob, "", &BTreeSet::new(), None, now()).await.unwrap();
        assert!(admin.add_key(&bob, &line, now()).await.is_err(), "a key in use is not given to a second person");
        admin.remove_key(&installation.alice, &row.fingerprint, now()).await.unwrap();
        assert_eq!(word(broker.first_factor_key("alice", key.public_key(), home(), now()).await), "unknown-key");
        assert!(!broker.key_known("alice", key.public_key(), now()).await.unwrap());
        admin.add_key(&bob, &line, now()).await.unwrap();
        assert!(broker.first_factor_key("bob", key.public_key(), home(), now()).await.is_ok());
    }

    async fn a_certificate_is_a_first_factor_of_an_identity_that_exists(database: Database) {
        let installation = Installation::new(database).await;
        let broker = installation.broker().await;
        let key = new_key();
        let second = |at: Timestamp| u64::try_from(at.as_second()).unwrap();
        let certificate = |principal: &str, authority: &PrivateKey| {
            let public = key.public_key().key_data().clone();
            let mut builder = Builder::new([7; 16], public, second(after(-60)), second(after(60))).unwrap();
            builder.cert_type(CertType::User).unwrap().valid_principal(principal).unwrap();
            builder.sign(authority).unwrap()
        };
        let good = certificate("alice", &installation.authority);
        let verified = broker.first_factor_certificate("alice", &good, home(), now()).await.unwrap();
        assert_eq!(verified.proof().kind, FactorKind::Certificate);
        let check = |certificate, name| {
            let broker = broker.clone();
            async move { word(broker.first_factor_certificate(name, &certificate, home(), now()).await) }
        };
        assert_eq!(check(good.clone(), "bob").await, "certificate-principal");
        assert_eq!(check(certificate("alice", &new_key()), "alice").await, "certificate-authority");
        assert_eq!(check(certificate("nobody", &installation.authority), "nobody").await, "unknown-identity");
        let late = broker.first_factor_certificate("alice", &good, home(), after(60)).await;
        assert_eq!(word(late), "certificate-validity");
    }

    async fn a_lease_counts_for_its_identity_credential_source_and_time(database: Database) {
        let installation = Installation::new(database).await;
        let (one, other) = (installation.broker().await, installation.broker().await);
        let hour = SignedDuration::from_hours(1);
        let verified = alice(&one, now()).await;
        assert!(one.lease(&verified, hour, now()).await.unwrap().is_none());
        let mut fresh = one.second_factor(&verified, Offer::Code(&installation.code(now())), now()).await.unwrap();
        let granted = one.grant_lease(&mut fresh, hour, after(1)).await.unwrap().unwrap();
        assert_eq!((granted.factor, granted.expires_at), (FactorKind::Totp, after(3600)), "from the proof on");
        let id = granted.id;
        assert!(one.grant_lease(&mut fresh, hour, after(1)).await.unwrap().is_none(), "not twice");

        let later = alice(&other, after(1800)).await;
        let mut leased = other.lease(&later, hour, after(1800)).await.unwrap().unwrap();
        assert_eq!((leased.lease(), kinds(&leased)), (Some(&id), vec![FactorKind::Password, FactorKind::Totp]));
        assert_eq!(leased.proofs()[1].at, now(), "the proof keeps its age");
        assert!(other.grant_lease(&mut leased, hour, after(1800)).await.unwrap().is_none(), "a lease prolongs nothing");

        let half = SignedDuration::from_mins(30);
        assert!(other.lease(&later, half, after(1800)).await.unwrap().is_none(), "shorter for this grant");
        assert!(other.lease(&later, hour, after(3600)).await.unwrap().is_none(), "over");
        assert!(other.lease(&later, hour, after(-1)).await.unwrap().is_none(), "the clock went back");
        let elsewhere = password(&other, "alice", PASSWORD, outside(), after(1800)).await.unwrap();
        assert!(other.lease(&elsewhere, hour, after(1800)).await.unwrap().is_none(), "another source");
        let key = new_key();
        installation.admin.add_key(&installation.alice, &key.public_key().to_openssh().unwrap(), now()).await.unwrap();
        let by_key = other.first_factor_key("alice", key.public_key(), home(), after(1800)).await.unwrap();
        assert!(other.lease(&by_key, hour, after(1800)).await.unwrap().is_none(), "another credential");
    }

    async fn a_lease_ends_with_what_it_stands_on(database: Database) {
        let installation = Installation::new(database).await;
        let (broker, admin) = (installation.broker().await, &installation.admin);
        let hour = SignedDuration::from_hours(1);
        let mut minute = 0;
        let mut grant = async |seed: &Secret<Vec<u8>>| {
            minute += 1;
            let at = after(minute * 60);
            let verified = alice(&broker, at).await;
            let mut fresh = broker.second_factor(&verified, Offer::Code(&code(seed, at)), at).await.unwrap();
            let id = broker.grant_lease(&mut fresh, hour, at).await.unwrap().unwrap().id;
            assert!(broker.lease(&verified, hour, at).await.unwrap().is_some());
            (verified, id, at)
        };
        let (verified, id, at) = grant(&installation.seed).await;
        assert!(admin.revoke_lease(id.as_str(), at).await.unwrap().is_some());
        assert!(broker.lease(&verified, hour, at).await.unwrap().is_none(), "revoked");
        assert!(admin.revoke_lease(id.as_str(), at).await.unwrap().is_none(), "once");

        let (verified, _, at) = grant(&installation.seed).await;
        admin.set_password(&installation.alice, secret(PASSWORD), at).await.unwrap();
        assert!(broker.lease(&verified, hour, at).await.unwrap().is_none(), "a new password");

        let (verified, _, at) = grant(&installation.seed).await;
        assert_eq!(broker.clock_jumped(at).await.unwrap().len(), 1);
        assert!(broker.lease(&verified, hour, at).await.unwrap().is_none(), "a clock that jumped");

        let (verified, _, at) = grant(&installation.seed).await;
        admin.lock(&installation.alice, "for a moment", at).await.unwrap();
        admin.unlock(&installation.alice, at).await.unwrap();
        assert!(broker.lease(&verified, hour, at).await.unwrap().is_none(), "a lock in between");

        let (verified, _, at) = grant(&installation.seed).await;
        let seed = enroll(admin, &installation.alice).await;
        assert!(broker.lease(&verified, hour, at).await.unwrap().is_none(), "a new authenticator");
        let (_, _, at) = grant(&seed).await;
        assert_eq!(admin.revoke_leases(Some(&installation.alice), at).await.unwrap().len(), 1);
    }

    async fn wrong_codes_do_not_hold_up_who_has_a_lease(database: Database) {
        let installation = Installation::new(database).await;
        let broker = installation.broker().await;
        let hour = SignedDuration::from_hours(1);
        let verified = alice(&broker, now()).await;
        let mut fresh = broker.second_factor(&verified, Offer::Code(&installation.code(now())), now()).await.unwrap();
        broker.grant_lease(&mut fresh, hour, now()).await.unwrap();
        let thief = password(&broker, "alice", PASSWORD, outside(), now()).await.unwrap();
        for _ in 0..8 {
            assert!(broker.second_factor(&thief, Offer::Code("000000"), now()).await.is_err());
        }
        assert!(broker.lease(&alice(&broker, after(1)).await, hour, after(1)).await.unwrap().is_some());
    }

    async fn an_outsider_locks_nobody_out(database: Database) {
        let installation = Installation::new(database).await;
        let broker = installation.broker().await;
        for _ in 0..5 {
            assert_eq!(word(password(&broker, "alice", "wrong", outside(), now()).await), "wrong-password");
        }
        let throttled = password(&broker, "alice", PASSWORD, outside(), now()).await;
        assert_eq!(word(throttled), "too-many-passwords", "even with the right one");
        assert!(password(&broker, "alice", PASSWORD, home(), now()).await.is_ok());
        let key = new_key();
        installation.admin.add_key(&installation.alice, &key.public_key().to_openssh().unwrap(), now()).await.unwrap();
        assert!(broker.first_factor_key("alice", key.public_key(), outside(), now()).await.is_ok(), "keys never wait");
        for _ in 0..5 {
            assert_eq!(word(password(&broker, "nobody", "wrong", outside(), now()).await), "unknown-identity");
        }
        assert_eq!(word(password(&broker, "nobody", "wrong", outside(), now()).await), "too-many-passwords");
    }

    async fn step_up_brings_a_fresh_proof_and_keeps_the_rest(database: Database) {
        let installation = Installation::new(database).await;
        let broker = installation.broker().await;
        let verified = alice(&broker, now()).await;
        let before = broker.second_factor(&verified, Offer::Code(&installation.code(now())), now()).await.unwrap();
        let used = broker.prove_again(&before, Offer::Code(&installation.code(now())), after(1)).await;
        assert_eq!(word(used), "used-code");
        let after_step_up = broker.prove_again(&before, Offer::Code(&installation.code(after(600))), after(600)).await.unwrap();
        assert_eq!(kinds(&after_step_up), [FactorKind::Password, FactorKind::Totp]);
        assert_eq!((after_step_up.proofs()[0].at, after_step_up.proofs()[1].at), (now(), after(600)));
    }

    async fn a_wrong_or_missing_master_key_is_a_clear_refusal(database: Database) {
        let installation = Installation::new(database).await;
        let store = installation.database.open().await;
        let other_file = installation.key_file.with_file_name("other.key");
        let other = MasterKey::create(&other_file).unwrap();
        let error = Vault::open(store.clone(), &other).await.unwrap_err();
        assert!(matches!(error, VaultError::WrongKey { .. }));
        let text = error.to_string();
        assert!(text.contains("is sealed under master key `") && text.contains("other.key"), "{text}");
        assert!(matches!(Vault::init(store.clone(), &other, now()).await, Err(VaultError::WrongKey { .. })));
        std::fs::remove_file(&installation.key_file).unwrap();
        assert!(matches!(installation.vault(&store).await, Err(VaultError::MasterKey(_))));
    }

    async fn an_empty_database_asks_for_init_and_init_makes_keys_once(database: Database) {
        let store = database.open().await;
        let master = MasterKey::create(&database.directory.path().join("master.key")).unwrap();
        assert!(matches!(Vault::open(store.clone(), &master).await, Err(VaultError::NotInitialised)));
        let (first, made) = Vault::init(store.clone(), &master, now()).await.unwrap();
        let (second, again) = Vault::init(store, &master, now()).await.unwrap();
        assert!(made && !again);
        for name in KeyName::ALL {
            assert_eq!(first.public_key(name), second.public_key(name));
        }
    }

    async fn account_credentials_come_back_and_cannot_be_swapped(database: Database) {
        let installation = Installation::new(database).await;
        let store = installation.database.open().await;
        let vault = installation.vault(&store).await.unwrap();
        let (admin, key) = (&installation.admin, new_key());
        let text = Secret::new(key.to_openssh(ssh_key::LineEnding::LF).unwrap().to_string());
        admin.set_account("ews-1", "operator", &Credential::password(secret("hunter2")).unwrap(), now()).await.unwrap();
        admin.set_account("ews-1", "service", &Credential::key(&text, None).unwrap(), now()).await.unwrap();
        let operator = vault.account_credential("ews-1", "operator").await.unwrap();
        assert!(matches!(operator, Some(Credential::Password(word)) if word.expose() == "hunter2"));
        let service = vault.account_credential("ews-1", "service").await.unwrap();
        assert!(matches!(service, Some(Credential::Key(found)) if found.public_key() == key.public_key()));
        assert!(vault.account_credential("ews-2", "operator").await.unwrap().is_none());

        // Somebody with access to the database gives their own asset the other's password.
        let mut write = store.begin_quiet_write().await.unwrap();
        sqlx::query("UPDATE accounts SET asset = 'mine' WHERE account = 'operator'").execute(&mut *write).await.unwrap();
        write.commit().await.unwrap();
        let swapped = vault.account_credential("mine", "operator").await;
        assert!(matches!(swapped, Err(VaultError::Seal(_))), "{swapped:?}");
        admin.remove_account("ews-1", "service").await.unwrap();
        assert!(vault.account_credential("ews-1", "service").await.unwrap().is_none());
    }

    async fn rekey_seals_everything_anew_and_a_running_broker_follows(database: Database) {
        let installation = Installation::new(database).await;
        let store = installation.database.open().await;
        let vault = installation.vault(&store).await.unwrap();
        let audit = audit(&store, &vault).await;
        let credential = Credential::password(secret("hunter2")).unwrap();
        installation.admin.set_account("ews-1", "operator", &credential, now()).await.unwrap();
        let broker = installation.broker().await;
        let old = std::fs::read_to_string(&installation.key_file).unwrap();

        let done = rekey(&store, &audit, &installation.source(), None).await.unwrap();
        assert_eq!(done.values, 7, "check, four keys, a password, a seed");
        let new = std::fs::read_to_string(&installation.key_file).unwrap();
        assert_ne!(old, new);
        assert_eq!(std::fs::read_to_string(done.previous.unwrap()).unwrap(), old, "backups still open");
        assert!(installation.vault(&store).await.is_ok());
        let verified = alice(&broker, now()).await;
        assert!(broker.second_factor(&verified, Offer::Code(&installation.code(now())), now()).await.is_ok());
        let held = vault.account_credential("ews-1", "operator").await.unwrap();
        assert!(matches!(held, Some(Credential::Password(word)) if word.expose() == "hunter2"));
        assert!(installation.codes_in_audit().await.contains(&"SP-5302".to_owned()));
        // What was sealed before the change and is written after it would be lost: it is refused.
        let stale = installation.admin.set_account("ews-1", "late", &credential, now()).await.unwrap_err().to_string();
        assert!(stale.contains("the master key was changed by somebody else"), "{stale}");
        assert!(vault.account_credential("ews-1", "late").await.unwrap().is_none());
    }

    async fn a_crash_during_rekey_leaves_a_store_that_one_of_two_files_opens(database: Database) {
        let installation = Installation::new(database).await;
        let store = installation.database.open().await;
        let vault = installation.vault(&store).await.unwrap();
        let audit = audit(&store, &vault).await;
        let new_file = PathBuf::from(format!("{}.new", installation.key_file.display()));

        // After the new file, before the transaction: the old key opens, and the next try takes the new file up.
        let new = MasterKey::create(&new_file).unwrap();
        assert!(installation.vault(&store).await.is_ok());
        assert_eq!(finish_rekey(&store, &installation.source()).await.unwrap(), None);

        // After the transaction, before the renames: the refusal names the file and the command.
        rekey(&store, &audit, &installation.source(), Some(&new_file)).await.unwrap();
        let error = installation.vault(&store).await.unwrap_err().to_string();
        assert!(error.contains("master.key.new") && error.contains("`sallyport secrets rekey` to finish"), "{error}");
        let again = rekey(&store, &audit, &installation.source(), None).await;
        assert!(matches!(again, Err(RekeyError::Vault(VaultError::WrongKey { .. }))), "{again:?}");
        let finished = finish_rekey(&store, &installation.source()).await.unwrap().unwrap();
        assert_eq!(finished.values, 0);
        assert!(!new_file.exists());
        let master = MasterKey::load(&installation.source()).unwrap();
        assert_eq!(master.id().unwrap(), new.id().unwrap());
        assert!(installation.vault(&store).await.is_ok());

        // An older database under the new key: the refusal names the file that is kept for it.
        let previous = finished.previous.unwrap();
        std::fs::copy(&installation.key_file, installation.key_file.with_file_name("kept")).unwrap();
        rekey(&store, &audit, &installation.source(), None).await.unwrap();
        let newer = std::fs::read(&installation.key_file).unwrap();
        std::fs::remove_file(&installation.key_file).unwrap();
        std::fs::copy(&previous, &installation.key_file).unwrap();
        let error = installation.vault(&store).await.unwrap_err().to_string();
        assert!(error.contains("put the key of this database there"), "{error}");
        std::fs::write(&installation.key_file, newer).unwrap();
        assert!(installation.vault(&store).await.is_ok());
    }

    async fn every_change_is_on_record_and_none_is_made_without(database: Database) {
        let installation = Installation::new(database).await;
        let admin = &installation.admin;
        admin.lock(&installation.alice, "left", now()).await.unwrap();
        admin.unlock(&installation.alice, now()).await.unwrap();
        admin.set_groups(&installation.alice, &BTreeSet::from(["a".to_owned()]), now()).await.unwrap();
        admin.remove_password(&installation.alice, now()).await.unwrap();
        admin.remove(&installation.alice, "left", now()).await.unwrap();
        let codes = installation.codes_in_audit().await;
        for code in ["SP-5101", "SP-5102", "SP-5103", "SP-5104", "SP-5105", "SP-5106", "SP-5107"] {
            assert!(codes.contains(&code.to_owned()), "{code} in {codes:?}");
        }
        let before = codes.len();
        let nobody: IdentityId = "nobody".parse().unwrap();
        assert!(admin.lock(&nobody, "", now()).await.is_err());
        assert!(admin.set_password(&installation.alice, secret(PASSWORD), now()).await.is_err(), "removed");
        assert!(matches!(admin.set_password(&nobody, secret("short"), now()).await, Err(AdminError::Weak(_))));
        assert_eq!(installation.codes_in_audit().await.len(), before, "what did not happen is not on record");
    }
}
