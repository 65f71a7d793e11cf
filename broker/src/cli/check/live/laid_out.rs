//! The canary: a broker of this very program, with everything that a broker has, in a folder of its own that goes with it. Nothing of it is the
//! plant's: not a key, not a row, not an address beyond loopback.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use data_encoding::BASE32_NOPAD;
use jiff::{SignedDuration, Timestamp};
use sallyport_policy::{IdentityId, Opening, PlantFile, Policy, Subject, WriteWindow, may_open};
use ssh_key::PrivateKey;
use ssh_key::private::Ed25519Keypair;

use super::asset::Assets;
use crate::app::{App, ISSUER};
use crate::audit::AuditEvent;
use crate::broker::Broker;
use crate::config::Config;
use crate::emergency::{EnvelopeCode, Sealing};
use crate::identity::admin::Admin;
use crate::install::{Wanted, install};
use crate::plant::apply;
use crate::store::plants::NewPlant;
use crate::totp::TotpSettings;
use crate::vault::Secret;

/// The folder of a canary: removed with it.
#[derive(Debug)]
pub(super) struct Nest(PathBuf);

/// What somebody of the canary has.
#[derive(Debug)]
pub(super) struct Keeping {
    pub(super) key: PrivateKey,
    pub(super) seed: Secret<Vec<u8>>,
    /// The code of an envelope that was sealed.
    pub(super) envelope: Secret<String>,
}

/// Why there is no canary.
#[derive(Debug, thiserror::Error)]
#[error("the canary cannot be laid out: {0}")]
pub(super) struct NotLaidOut(String);

/// Whatever it was.
pub(super) fn not_laid_out(error: impl ToString) -> NotLaidOut {
    NotLaidOut(error.to_string())
}

impl Nest {
    /// A folder that nobody else can read.
    pub(super) fn make(within: &Path) -> Result<Self, NotLaidOut> {
        let name = format!("sallyport-canary-{}", ulid::Ulid::generate().to_string().to_ascii_lowercase());
        let path = within.join(name);
        DirBuilder::new().mode(0o700).create(&path).map_err(not_laid_out)?;
        Ok(Self(path))
    }

    /// A broker that has opened everything and listens on loopback, with the plant in force, and its people.
    pub(super) async fn lay_out(&self, plant: &str, assets: &Assets) -> Result<(App, Keeping), NotLaidOut> {
        let folder = self.0.join("broker");
        let wanted = Wanted { name: Some(CANARY.to_owned()), ..Wanted::default() };
        install(&folder, &wanted, CANARY).await.map_err(not_laid_out)?;
        let path = folder.join("broker.toml");
        let mut text: toml::Table = fs::read_to_string(&path).map_err(not_laid_out)?.parse().map_err(not_laid_out)?;
        set(&mut text, "listen", "ssh", vec![toml::Value::from("127.0.0.1:0")]);
        // Each login is asked for all of its factors.
        set(&mut text, "lease", "longest", "0s");
        for (key, value) in RECORDING {
            set(&mut text, "recording", key, value);
        }
        let text = toml::to_string(&text).map_err(not_laid_out)?;
        let config = Config::parse(&path, &text).map_err(not_laid_out)?;
        let app = App::start(config, false).await.map_err(not_laid_out)?;
        let broker = app.broker();
        put_in_force(broker, &plant_of(plant, assets)).await?;
        let keeping = people(broker).await?;
        Ok((app, keeping))
    }
}

impl Drop for Nest {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            tracing::error!(%error, folder = %self.0.display(), "The folder of a canary is left");
        }
    }
}

/// Lets the canary's person write a register for a while, as an administrator does.
pub(super) async fn open_window(broker: &Broker, lasts: SignedDuration) -> Result<Timestamp, NotLaidOut> {
    let now = Timestamp::now();
    let id = ulid::Ulid::generate().to_string().to_lowercase();
    let window = WriteWindow {
        id: id.parse().map_err(not_laid_out)?,
        identity: named(CANARY)?,
        asset: "canary-1".parse().map_err(not_laid_out)?,
        service: "modbus".parse().map_err(not_laid_out)?,
        points: format!("register {WINDOWED}").parse().map_err(not_laid_out)?,
        unit: None,
        from: now,
        until: now.checked_add(lasts).map_err(not_laid_out)?,
        opened_by: named(KEEPER)?,
        ticket: None,
    };
    let subject = |identity: &IdentityId| Subject { identity: identity.clone(), groups: BTreeSet::new() };
    let policy = broker.policy.current();
    let (opener, person) = (subject(&window.opened_by), subject(&window.identity));
    let rule = match may_open(&policy, &opener, &person, &window, now) {
        Opening::Permit(rule) => rule.to_string(),
        Opening::Deny(denial) => return Err(not_laid_out(denial)),
    };
    let event = AuditEvent::WindowOpened {
        window: id,
        identity: window.identity.to_string(),
        asset: window.asset.to_string(),
        service: window.service.to_string(),
        points: window.points.to_string(),
        from: window.from,
        until: window.until,
        opened_by: window.opened_by.to_string(),
        ticket: None,
        rule,
    };
    let entry = broker.audit.prepare(&event).map_err(not_laid_out)?;
    let mut write = broker.store.begin_write().await.map_err(not_laid_out)?;
    write.open_window(&window, entry.id()).await.map_err(not_laid_out)?;
    broker.audit.record_prepared_in(&mut write, entry).await.map_err(not_laid_out)?;
    write.commit().await.map_err(not_laid_out)?;
    Ok(window.until)
}

/// A key that nobody has seen before.
pub(super) fn new_key() -> PrivateKey {
    let mut seed = [0_u8; 32];
    rand::fill(&mut seed);
    let key = PrivateKey::from(Ed25519Keypair::from_seed(&seed));
    zeroize::Zeroize::zeroize(&mut seed);
    key
}

fn plant_of(text: &str, assets: &Assets) -> String {
    text.replace("@CONTROLLER@", &assets.controller.port().to_string())
        .replace("@SWALLOWS@", &assets.swallows.port().to_string())
        .replace("@FORBIDDEN@", &assets.forbidden.port().to_string())
}

async fn put_in_force(broker: &Broker, text: &str) -> Result<(), NotLaidOut> {
    let files = vec![PlantFile { name: "plant.toml".to_owned(), text: text.to_owned() }];
    let policy = Policy::parse(&files).map_err(not_laid_out)?;
    let now = Timestamp::now();
    let new = NewPlant { files, after: 0, diff: String::new(), applied_by: CANARY.to_owned(), applied_at: now };
    apply(&new, &broker.store, &broker.audit).await.map_err(not_laid_out)?;
    // It follows by itself within a second; this does not wait for it.
    broker.policy.replace(policy);
    Ok(())
}

async fn people(broker: &Broker) -> Result<Keeping, NotLaidOut> {
    let admin = Admin::new(broker.store.clone(), broker.vault.clone(), broker.audit.clone(), CANARY);
    let (identity, key, now) = (named(CANARY)?, new_key(), Timestamp::now());
    for person in [&identity, &named(KEEPER)?] {
        admin.add(person, "", &BTreeSet::new(), None, now).await.map_err(not_laid_out)?;
    }
    let line = key.public_key().to_openssh().map_err(not_laid_out)?;
    admin.add_key(&identity, &line, now).await.map_err(not_laid_out)?;
    let enrolled = admin.enroll_totp(&identity, TotpSettings::default(), ISSUER, now).await.map_err(not_laid_out)?;
    let seed = BASE32_NOPAD.decode(enrolled.secret.expose().as_bytes()).map_err(not_laid_out)?;
    let code = EnvelopeCode::generate();
    let mut write = broker.store.begin_write().await.map_err(not_laid_out)?;
    let sealing = Sealing { rule: CANARY, holder: None, expires_at: None, by: CANARY, at: now };
    sealing.enter(&mut write, &broker.audit, &code).await.map_err(not_laid_out)?;
    write.commit().await.map_err(not_laid_out)?;
    let envelope = Secret::new(code.groups().expose().join("-"));
    Ok(Keeping { key, seed: Secret::new(seed), envelope })
}

fn named(name: &str) -> Result<IdentityId, NotLaidOut> {
    IdentityId::try_from(name).map_err(not_laid_out)
}

fn set(table: &mut toml::Table, section: &str, key: &str, value: impl Into<toml::Value>) {
    let section = table.entry(section).or_insert_with(|| toml::Value::Table(toml::Table::new()));
    if let Some(section) = section.as_table_mut() {
        section.insert(key.to_owned(), value.into());
    }
}

/// The broker, its one person, their role and the section of its envelope are called so.
pub(super) const CANARY: &str = "canary";
/// Who opens windows there.
const KEEPER: &str = "keeper";
/// The register that a window opens.
pub(super) const WINDOWED: u16 = 300;
/// What one recording holds at most, in bytes.
pub(super) const CAP: u64 = 1 << 20;
/// A canary needs little room, and keeps none.
const RECORDING: [(&str, &str); 5] =
    [("cap", "1MiB"), ("warn_below", "8MiB"), ("low_below", "8MiB"), ("critical_below", "8MiB"), ("reserve", "0")];
