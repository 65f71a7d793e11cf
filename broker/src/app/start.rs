//! From a configuration to a broker that is ready to serve: everything is opened, mended and bound, in this order.

use std::sync::Arc;
use std::time::Duration;

use ed25519_dalek::SigningKey;
use jiff::{SignedDuration, Timestamp};
use sallyport_session_recorder::Keys;
use tracing::{info, warn};

use super::ground::{Bound, ISSUER, emergencies};
use super::lost::interrupt;
use super::presence::{self, Claimed, PresenceError};
use super::start_error::StartError;
use super::{App, Mode, without_database};
use crate::audit::{Audit, AuditConfig, AuditEvent};
use crate::broker::Broker;
use crate::config::Config;
use crate::emergency::SNAPSHOT;
use crate::greeting::Greetings;
use crate::identity::{CertificateRules, Identities, RelyingPartySettings, Settings};
use crate::listen::{For, Inherited};
use crate::live::Registry;
use crate::metrics::MetricsServer;
use crate::outbound::Receivers;
use crate::plant::PolicyCell;
use crate::portal::Listening;
use crate::recording::{Found, Recordings};
use crate::store::{Store, StoreError};
use crate::vault::{MasterKey, Vault, adopt_once};

pub(super) async fn start(config: Config, takeover: bool, mut inherited: Inherited) -> Result<App, StartError> {
    let (files, wanted) = (crate::process::raise_open_files(), files_wanted(&config));
    if files < wanted {
        warn!(files, wanted, "Fewer files may be open than `max_connections` in `[ssh]` needs: raise the hard limit");
    }
    let kept_open = !inherited.is_empty();
    let metrics = match config.listen.metrics {
        Some(address) => Some(MetricsServer::bind(address, &config.name, &mut inherited).await?),
        None => None,
    };
    // First the ports: a second broker by mistake must not mend what the first is doing.
    let listening = inherited.listen(For::Ssh, &config.listen.ssh).await;
    let listeners = listening.map_err(|(address, source)| StartError::Listen { address, source })?;
    let portal = match config.portal.clone() {
        Some(settings) => Some(Listening::open(settings, &mut inherited).await?),
        None => None,
    };
    inherited.all_taken()?;

    let late = |_| Err(StoreError::Unavailable("it did not open in time".to_owned()));
    let opened = tokio::time::timeout(OPENED_WITHIN, Store::open(&config.database)).await.unwrap_or_else(late);
    let store = match opened {
        Err(error @ (StoreError::Unavailable(_) | StoreError::ReadOnly(_))) => {
            let bound = Bound { metrics, listeners, kept_open };
            return without_database::start(config, bound, error).await;
        }
        opened => opened?,
    };
    let master = MasterKey::load(&config.master_key)?;
    let vault = Vault::open(store.clone(), &master).await?;
    let evidence = vault.evidence_key()?;
    let claimed = match presence::claim(&store, &config.name, &config.audit_spool, takeover).await {
        Ok(claimed) => claimed,
        Err(refused) => {
            tell_refused(&store, &evidence, &config.name, &refused).await;
            return Err(refused.into());
        }
    };
    let keys = Keys::new(&config.recording.recipients, evidence.clone())?.with_earlier(vault.evidence_public_keys()?);
    let audit = Audit::start(AuditConfig {
        store: store.clone(),
        key: evidence,
        broker: config.name.clone(),
        actor: config.name.clone(),
        spool: Some(config.audit_spool.clone()),
    })
    .await?;
    // From here on, whatever is put on record is told.
    let outbound = Receivers::open(&config.outbound, &config.name, &store, &audit).await?;
    // Before anything is read that lets somebody in.
    adopt_once(&store, &audit).await?;
    let policy = PolicyCell::load(&store).await?;
    let certificates = CertificateRules::new(&config.ssh.user_ca, config.ssh.revoked.iter().cloned())?;
    let relying_party = config.portal.as_ref().map(RelyingPartySettings::from);
    let settings = Settings { issuer: ISSUER.to_owned(), certificates, relying_party };
    let identities = Identities::new(store.clone(), vault.clone(), settings)?;
    let recordings =
        Recordings::open(config.recording.clone(), &config.name, Arc::new(keys), store.clone(), audit.clone())?;
    let live = Arc::new(Registry::default());
    // Until the database has told anew, and if it never does.
    let kept = without_database::kept(&config.audit_spool.with_file_name(SNAPSHOT), &master).ok();
    if let Some(kept) = &kept {
        live.keep_isolated(kept.isolated());
    }
    let emergencies = emergencies(&config, &store, &vault, &audit, kept)?;
    let greetings = Greetings::new(&config.ssh);
    let broker =
        Arc::new(Broker { config, greetings, store, vault, audit, policy, recordings, identities, emergencies, live });

    {
        // To close what was open can take long: meanwhile nobody may think that this broker is silent.
        let _beating = claimed.presence.beat_meanwhile(&broker.store, &broker.config.name);
        close_what_was_open(&broker, &claimed).await?;
    }
    Ok(App { broker, listeners, portal, metrics, outbound, mode: Mode::Whole(claimed.presence), kept_open })
}

/// A broker that may not bear its name says so in the chain, if it can: it does not start either way, and its standard error
/// may be read by nobody. Without a spool: the one beside this state may be another's.
async fn tell_refused(store: &Store, key: &SigningKey, name: &str, refused: &PresenceError) {
    let broker_seen_at = match refused {
        PresenceError::Alive { seen_at, .. } => Some(*seen_at),
        PresenceError::SameState { .. } => None,
        // The file or the database is at fault, and no other broker.
        PresenceError::Lock { .. } | PresenceError::Store(_) => return,
    };
    let (store, key, broker) = (store.clone(), key.clone(), name.to_owned());
    let told = async {
        let audit = Audit::start(AuditConfig { store, key, actor: broker.clone(), broker, spool: None }).await?;
        audit.record(AuditEvent::BrokerRefused { broker_seen_at, reason: refused.to_string() }).await
    };
    if let Err(error) = told.await {
        warn!(%error, "That this broker was refused is not in the audit chain");
    }
}

/// Each connection has a socket of its own, and most have one to an asset and a recording.
fn files_wanted(config: &Config) -> u64 {
    u64::try_from(config.ssh.max_connections).unwrap_or(u64::MAX).saturating_mul(3).saturating_add(256)
}

/// What an earlier run of this broker left open gets its end, before anything new begins.
async fn close_what_was_open(broker: &Broker, claimed: &Claimed) -> Result<(), StartError> {
    let now = Timestamp::now();
    let seen_before = claimed.seen_before;
    // Switched off for long, or started with a clock that is wrong: nobody can tell yet.
    if seen_before.is_some_and(|seen| now.duration_since(seen) > LONG_AWAY || now < seen) {
        broker.recordings.distrust_the_clock();
    }
    let version = env!("CARGO_PKG_VERSION").to_owned();
    broker.audit.record(AuditEvent::BrokerStarted { version, broker_seen_at: seen_before }).await?;
    if claimed.taken_over {
        broker.audit.record(AuditEvent::BrokerTakenOver { broker_seen_at: seen_before }).await?;
    }
    for recovered in broker.recordings.recover().await? {
        match recovered.found {
            Found::Damaged(fault) => warn!(session = recovered.session, fault, "A recording does not verify"),
            found => info!(session = recovered.session, ?found, "A recording was found open and is closed"),
        }
    }
    let detail = "the broker was cut off; found open at its next start";
    interrupt(&broker.store, &broker.audit, &broker.config.name, detail, seen_before).await?;
    Ok(())
}

/// A database that takes a connection and then no more: longer than any migration of the schema takes.
const OPENED_WITHIN: Duration = Duration::from_secs(90);

/// A broker that was away for longer does not believe its clock about the age of recordings at once.
const LONG_AWAY: SignedDuration = SignedDuration::from_hours(7 * 24);
