//! A broker without a listener: a database, a policy, and alice with everything that she can prove.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;
use sallyport_policy::{IdentityId, PlantFile, Policy};
use sallyport_session_recorder::Keys;
use ssh_key::PrivateKey;
use ssh_key::private::Ed25519Keypair;
use tempfile::TempDir;

use crate::audit::{Audit, AuditConfig, AuditFilter};
use crate::broker::Broker;
use crate::config::Config;
use crate::emergency::Emergencies;
use crate::greeting::Greetings;
use crate::identity::admin::Admin;
use crate::identity::tests::soft_key::SoftKey;
use crate::identity::{CertificateRules, Identities, RelyingPartySettings, Settings};
use crate::listen::Slot;
use crate::login::{Attempt, ClientName, Entrance};
use crate::plant::PolicyCell;
use crate::recording::Recordings;

use crate::store::{DatabaseConfig, Store};
use crate::totp::TotpSettings;
use crate::vault::{MasterKey, Secret, Vault};

pub(super) const PASSWORD: &str = "correct horse battery";

/// alice may enter ews-1, and have two connections open.
const PLANT: &str = r#"
[zone.cell-1]
level = 2
security_level = 2
networks = ["10.10.1.0/24"]
[[conduit]]
to = "cell-1"
services = ["ssh"]
[asset.ews-1]
zone = "cell-1"
address = "10.10.1.20"
services.ssh = { port = 22, host_key = "HOST_KEY" }
accounts.operator = { auth = "certificate" }
[role.engineer]
[[role.engineer.grant]]
assets = ["ews-1"]
services = ["ssh"]
accounts = ["operator"]
lease = "1h"
terms = { connections = 2 }
[role.engineer.members]
identities = ["alice"]
"#;

pub(super) struct Bed {
    pub(super) entrance: Arc<Entrance>,
    pub(super) admin: Admin,
    pub(super) alice: IdentityId,
    pub(super) key: PrivateKey,
    seed: Secret<Vec<u8>>,
    _folder: TempDir,
}

impl Bed {
    pub(super) async fn new() -> Self {
        Self::with("").await
    }

    /// With these lines in `[portal]`.
    pub(super) async fn with(portal: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let broker = broker(folder.path(), portal).await;
        let admin = Admin::new(broker.store.clone(), broker.vault.clone(), broker.audit.clone(), "root");
        let (alice, key, now): (IdentityId, _, _) = ("alice".parse().unwrap(), key(1), broker.now());
        admin.add(&alice, "Alice", &std::collections::BTreeSet::new(), None, now).await.unwrap();
        admin.set_password(&alice, Secret::new(PASSWORD.to_owned()), now).await.unwrap();
        admin.add_key(&alice, &key.public_key().to_openssh().unwrap(), now).await.unwrap();
        let enrolled = admin.enroll_totp(&alice, TotpSettings::default(), "Plant", now).await.unwrap();
        let seed = Secret::new(data_encoding::BASE32_NOPAD.decode(enrolled.secret.expose().as_bytes()).unwrap());
        Self { entrance: Entrance::new(broker), admin, alice, key, seed, _folder: folder }
    }

    /// Somebody at a door. Their place lasts as long as the slot.
    pub(super) fn attempt(&self) -> (Slot, Attempt) {
        let source: IpAddr = [192, 0, 2, 7].into();
        let slot = self.entrance.door.admit(source, Instant::now()).unwrap();
        let attempt = Attempt::new(Arc::clone(&self.entrance), source, slot.pass(), ClientName::default());
        (slot, attempt)
    }

    /// Alice with a passkey.
    pub(super) async fn passkey(&self) -> SoftKey {
        let mut key = SoftKey::new("gate.plant", "https://gate.plant:8443");
        let (identities, now) = (&self.entrance.broker.identities, self.entrance.broker.now());
        let (options, enrolling) = identities.begin_enrolment(&self.alice, "Alice", now).await.unwrap();
        let answer = serde_json::from_value(key.create(&options)).unwrap();
        let new = identities.finish_enrolment(enrolling, &answer, now).await.unwrap();
        self.admin.add_passkey(&new, "soft key", None, now).await.unwrap();
        key
    }

    /// Alice takes her authenticator away.
    pub(super) async fn without_authenticator(&self) {
        let broker = &self.entrance.broker;
        let mut write = broker.store.begin_write().await.unwrap();
        sqlx::query("DELETE FROM totp").execute(&mut *write).await.unwrap();
        write.commit().await.unwrap();
    }

    /// What the authenticator shows so many steps from now.
    pub(super) fn code(&self, steps: i64) -> String {
        let settings = TotpSettings::default();
        settings.code(&self.seed, settings.step(Timestamp::now()) + steps).expose().clone()
    }

    /// The codes of what has happened to alice's logins, in order.
    pub(super) async fn events(&self) -> Vec<String> {
        let entries = self.entrance.broker.store.audit_entries(&AuditFilter::default()).await.unwrap();
        let logins = entries.into_iter().map(|entry| entry.code);
        logins.filter(|code| code.starts_with("SP-1") || code.starts_with("SP-2")).collect()
    }

    /// The last event of this code: when, and what it says.
    pub(super) async fn last(&self, code: &str) -> (Timestamp, serde_json::Value) {
        let filter = AuditFilter { code: Some(code.to_owned()), ..AuditFilter::default() };
        let entry = self.entrance.broker.store.audit_entries(&filter).await.unwrap().pop().unwrap();
        (Timestamp::from_microsecond(entry.at).unwrap(), serde_json::from_str(&entry.event).unwrap())
    }
}

async fn broker(folder: &Path, portal: &str) -> Arc<Broker> {
    let recipient = age::x25519::Identity::generate().to_public().to_string();
    let text = format!(
        "[recording]\nrecipients = [\"{recipient}\"]\ndir = \"{}\"\n[lease]\nlongest = \"30m\"\n[portal]\nname = \"gate.plant\"\n{portal}\n",
        folder.join("recordings").display()
    );
    let config = Config::parse(&folder.join("broker.toml"), &text).unwrap();
    let url = format!("sqlite:{}", folder.join("gate.db").display());
    let store = Store::open(&DatabaseConfig::url(url)).await.unwrap();
    let master = MasterKey::create(&folder.join("master.key")).unwrap();
    let (vault, _) = Vault::init(store.clone(), &master, Timestamp::now()).await.unwrap();
    let evidence = vault.evidence_key().unwrap();
    let keys = Arc::new(Keys::new(&[recipient], evidence.clone()).unwrap());
    let (broker, actor) = (config.name.clone(), config.name.clone());
    let audit =
        Audit::start(AuditConfig { store: store.clone(), key: evidence, broker, actor, spool: None }).await.unwrap();
    let certificates = CertificateRules::new([], []).unwrap();
    let relying_party = config.portal.as_ref().map(RelyingPartySettings::from);
    let settings = Settings { issuer: "Plant".to_owned(), certificates, relying_party };
    let identities = Identities::new(store.clone(), vault.clone(), settings).unwrap();
    let recordings =
        Recordings::open(config.recording.clone(), &config.name, keys, store.clone(), audit.clone()).unwrap();
    let host_key = key(2).public_key().to_openssh().unwrap();
    let plant = PlantFile { name: "plant.toml".to_owned(), text: PLANT.replace("HOST_KEY", &host_key) };
    let policy = PolicyCell::new(Policy::parse(&[plant]).unwrap(), 1);
    let key = vault.evidence_key().unwrap();
    let emergencies = Emergencies::new(folder, store.clone(), vault.clone(), audit.clone(), key, None).unwrap();
    let (emergencies, live) = (Arc::new(emergencies), Arc::default());
    let greetings = Greetings::new(&config.ssh);
    Arc::new(Broker { config, greetings, store, vault, audit, policy, recordings, identities, emergencies, live })
}

fn key(seed: u8) -> PrivateKey {
    PrivateKey::from(Ed25519Keypair::from_seed(&[seed; 32]))
}
