//! What a broker needs to break the glass, and what it knows of emergencies that are open: `recognising.rs` tells whose code it is that was
//! typed, `breaking.rs` opens, `refreshing.rs` keeps what is needed for that, `settling.rs` enters what the database missed.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use ed25519_dalek::SigningKey;
use jiff::Timestamp;
use sallyport_policy::IdentityId;

use super::kept::Kept;
use super::ledger::Ledger;
use super::opening::Opening;
use crate::audit::{Audit, AuditError, AuditEvent};
use crate::store::Store;
use crate::vault::Vault;

/// What is needed to break the glass. One for each broker.
pub(crate) struct Emergencies {
    pub(super) store: Store,
    pub(super) vault: Vault,
    pub(super) audit: Audit,
    pub(super) key: SigningKey,
    pub(super) snapshot: PathBuf,
    pub(super) state: Mutex<State>,
    /// The clock jumped since this broker began: what a clock says of an envelope's end is not believed.
    pub(super) clock_distrusted: AtomicBool,
    /// How often what is kept was read.
    pub(super) readings: AtomicU64,
    /// One reading at a time; when the last one began.
    pub(super) refreshing: tokio::sync::Mutex<Option<Instant>>,
}

pub(super) struct State {
    pub(super) kept: Option<Arc<Kept>>,
    pub(super) ledger: Ledger,
    pub(super) open: Vec<Open>,
    /// Openings that are in the ledger and came to nothing yet: who tries again, from the same place, goes on with the same.
    pub(super) begun: Vec<Begun>,
    /// What the snapshot on disk holds, and since when.
    pub(super) written: Option<(Arc<Kept>, Timestamp)>,
    /// When somebody known has broken the glass last.
    pub(super) known: BTreeMap<IdentityId, Instant>,
}

/// An opening that is in the ledger and nothing else yet.
pub(super) struct Begun {
    pub(super) envelopes: Vec<i64>,
    pub(super) opening: String,
    pub(super) source: IpAddr,
    /// Somebody is at it.
    pub(super) busy: bool,
}

/// An emergency, and the envelopes that opened it.
pub(super) struct Open {
    pub(super) envelopes: Vec<i64>,
    pub(super) opening: Arc<Opening>,
}

impl Emergencies {
    /// `folder`: where snapshot and ledger are. `kept`: what is kept, where the database cannot tell.
    ///
    /// # Errors
    /// When the ledger cannot be opened.
    pub(crate) fn new(
        folder: &std::path::Path,
        store: Store,
        vault: Vault,
        audit: Audit,
        key: SigningKey,
        kept: Option<Kept>,
    ) -> std::io::Result<Self> {
        let ledger = Ledger::open(&folder.join(LEDGER))?;
        let kept = kept.map(Arc::new);
        let written = kept.as_ref().map(|kept| (Arc::clone(kept), kept.made_at));
        let (open, begun, known) = (Vec::new(), Vec::new(), BTreeMap::new());
        let state = State { kept, ledger, open, begun, written, known };
        Ok(Self {
            store,
            vault,
            audit,
            key,
            snapshot: folder.join(SNAPSHOT),
            state: Mutex::new(state),
            clock_distrusted: AtomicBool::new(false),
            readings: AtomicU64::new(0),
            refreshing: tokio::sync::Mutex::default(),
        })
    }

    /// The clock jumped.
    pub(crate) fn distrust_the_clock(&self) {
        self.clock_distrusted.store(true, Ordering::Release);
    }

    /// The emergencies that somebody known has opened, from this address, and that go on.
    pub(crate) fn of_known(&self, identity: &IdentityId, source: IpAddr) -> Vec<Arc<Opening>> {
        let theirs =
            |opening: &Arc<Opening>| opening.known() == Some(identity) && opening.source() == source.to_canonical();
        self.going_on().into_iter().filter(theirs).collect()
    }

    /// How often what is kept was read from the database.
    pub(crate) fn readings(&self) -> u64 {
        self.readings.load(Ordering::Relaxed)
    }

    /// Emergencies that go on.
    pub(crate) fn going_on(&self) -> Vec<Arc<Opening>> {
        let state = self.state();
        state.open.iter().filter(|open| !open.opening.is_over()).map(|open| Arc::clone(&open.opening)).collect()
    }

    /// When what is on disk was written, if anything is.
    pub(crate) fn written_at(&self) -> Option<Timestamp> {
        self.state().written.as_ref().map(|(_, at)| *at)
    }

    /// Puts an event of the broker's own on record.
    pub(super) async fn put(&self, event: AuditEvent) -> Result<(), AuditError> {
        self.audit.record(event).await
    }

    pub(super) fn store(&self) -> &Store {
        &self.store
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Emergencies {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Emergencies").field("snapshot", &self.snapshot).finish_non_exhaustive()
    }
}

/// The files beside the audit spool.
pub(crate) const SNAPSHOT: &str = "emergency.snapshot";
const LEDGER: &str = "emergency.opened";
