//! A start while the database is away: emergencies can be opened, by what was kept on local disk, and nothing else is served. It is said
//! loudly, and the broker ends when the database is back and no emergency goes on, so that its next start serves everybody.

use std::path::Path;
use std::sync::Arc;

use sallyport_policy::Policy;
use sallyport_session_recorder::Keys;
use tracing::{error, warn};

use super::ground::{Bound, ISSUER, emergencies};
use super::start_error::StartError;
use super::{App, Mode, presence};
use crate::audit::{Audit, AuditConfig, AuditEvent};
use crate::broker::Broker;
use crate::config::Config;
use crate::emergency::{Kept, SNAPSHOT, read};
use crate::greeting::Greetings;
use crate::identity::{CertificateRules, Identities, Settings};
use crate::live::Registry;
use crate::outbound::Receivers;
use crate::plant::PolicyCell;
use crate::recording::Recordings;
use crate::store::{Store, StoreError};
use crate::vault::{MasterKey, Vault, evidence_key_of, open_snapshot};

/// Starts for emergencies alone. Where there is no snapshot, the fault of the database is what ends the start.
pub(super) async fn start(config: Config, bound: Bound, away: StoreError) -> Result<App, StartError> {
    let path = config.audit_spool.with_file_name(SNAPSHOT);
    let master = MasterKey::load(&config.master_key)?;
    let kept = match kept(&path, &master) {
        Ok(kept) => kept,
        Err(reason) => {
            warn!(reason, "The database is away, and there is no snapshot to serve emergencies by");
            return Err(away.into());
        }
    };
    error!(
        database = %away, snapshot_of = %kept.made_at, plant = kept.plant_version,
        "The database is away: ONLY EMERGENCIES ARE SERVED, by the snapshot, until it is back"
    );
    let alone = presence::alone(&config.audit_spool)?;
    let store = Store::away(&config.database)?;
    let vault = Vault::of_rows(store.clone(), &kept.secrets(), &master)?;
    vault.keep_at_hand(kept.accounts());
    let evidence = vault.evidence_key()?;
    let keys = Keys::new(&config.recording.recipients, evidence.clone())?.with_earlier(vault.evidence_public_keys()?);
    let audit = Audit::start(AuditConfig {
        store: store.clone(),
        key: evidence,
        broker: config.name.clone(),
        actor: config.name.clone(),
        spool: Some(config.audit_spool.clone()),
    })
    .await?;
    // Whoever cannot be told must not keep anybody from an emergency.
    let outbound = Receivers::open(&config.outbound, &config.name, &store, &audit).await.unwrap_or_else(|error| {
        error!(%error, "Nobody is told of what happens");
        None
    });
    let policy = Policy::parse(&kept.plant()).unwrap_or_else(|errors| {
        error!(%errors, "The plant of the snapshot cannot be read by this version; nothing can be opened");
        Policy::empty()
    });
    let policy = PolicyCell::new(policy, kept.plant_version);
    let certificates = CertificateRules::new(&config.ssh.user_ca, config.ssh.revoked.iter().cloned())?;
    let settings = Settings { issuer: ISSUER.to_owned(), certificates, relying_party: None };
    let identities = Identities::new(store.clone(), vault.clone(), settings)?;
    let recordings =
        Recordings::open(config.recording.clone(), &config.name, Arc::new(keys), store.clone(), audit.clone())?;
    let (snapshot_of, isolated) = (kept.made_at, kept.isolated());
    let emergencies = emergencies(&config, &store, &vault, &audit, Some(kept))?;
    // Nothing says when this broker was last here, so no clock is believed about the age of recordings, or the end of an envelope.
    recordings.distrust_the_clock();
    emergencies.distrust_the_clock();
    let reason = away.to_string();
    audit.record_enduring(AuditEvent::EmergenciesOnly { reason, snapshot_of }).await?;
    let live = Arc::new(Registry::default());
    live.keep_isolated(isolated);
    let greetings = Greetings::new(&config.ssh);
    let broker =
        Arc::new(Broker { config, greetings, store, vault, audit, policy, recordings, identities, emergencies, live });
    let Bound { metrics, listeners, kept_open } = bound;
    let mode = Mode::EmergenciesOnly(alone);
    Ok(App { broker, listeners, portal: None, metrics, outbound, mode, kept_open })
}

/// What was kept, if it is as a broker wrote it.
pub(crate) fn kept(path: &Path, master: &MasterKey) -> Result<Kept, String> {
    let evidence = |kept: &Kept| evidence_key_of(&kept.secrets(), master);
    read(path, |sealed| open_snapshot(master, sealed), evidence).map_err(|error| error.to_string())
}
