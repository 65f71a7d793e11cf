//! All recordings of one broker.

use std::fs::File;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use sallyport_session_recorder::{Header, Keys, RecordError, Recorder};
use tokio_util::sync::CancellationToken;

use super::clock;
use super::disk::{DiskLow, DiskSpace, SpaceWatch};
use super::handle::{Open, RecordingHandle};
use super::history::History;
use super::path::{RecordingPath, of_broker};
use super::permits::{Permits, stepping_out};
use super::reports::Reports;
use super::reserve::{Claim, Reserve, Urgency};
use super::sink::{Disk, FileSink, FileSystem, make_folder};
use super::syncer::{Syncer, SyncerThread};
use crate::audit::Audit;
use crate::config::{self, RecordingConfig};
use crate::store::recordings::{NewRecording, RecordingClosed, RecordingState};
use crate::store::{Store, StoreError};

/// All recordings of one broker; a cheap clone.
#[derive(Clone)]
pub struct Recordings {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) config: RecordingConfig,
    pub(super) broker: String,
    pub(super) keys: Arc<Keys>,
    pub(super) store: Store,
    pub(super) audit: Audit,
    pub(super) space: SpaceWatch,
    reserve: Arc<Reserve>,
    syncer: SyncerThread,
    pub(super) permits: Permits,
    /// Where their bytes go.
    disk: Arc<dyn Disk>,
    live: Mutex<Vec<Weak<Open>>>,
    /// Recordings of emergencies that the catalogue does not know of yet, since the database was away.
    uncatalogued: Mutex<Vec<NewRecording>>,
    settling: tokio::sync::Mutex<()>,
    /// Closed recordings that the catalogue does not know of yet, since the database was away.
    unsettled: Mutex<Vec<RecordingClosed>>,
    /// Sessions whose recording could not be sealed: they are sealed as interrupted once the disk takes it.
    pub(super) unsealed: Mutex<Vec<String>>,
    written: AtomicU64,
    /// Before this, the calendar is not believed and nothing is removed.
    pub(super) retain_from: Mutex<Option<Instant>>,
    /// What the audit chain says, for retention.
    pub(super) history: tokio::sync::Mutex<History>,
    reports: Mutex<Reports>,
    /// Held as long as this broker lives: another with the same name would take live recordings for abandoned ones.
    _lock: File,
}

/// How long an emergency's recording waits for the database.
const CATALOGUED_WITHIN: Duration = Duration::from_secs(2);

/// Why there can be no recordings.
#[derive(Debug, thiserror::Error)]
pub enum RecordingsError {
    /// The folder cannot be made or read.
    #[error("the folder of recordings `{path}` cannot be used: {source}")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another broker of the same name is running on it.
    #[error("another broker named `{0}` is using the folder of recordings")]
    InUse(String),
    /// The threads that sync and watch cannot be started.
    #[error("the threads that sync and watch recordings cannot be started: {0}")]
    Thread(io::Error),
    /// The catalogue cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What was found or removed cannot be put on record.
    #[error(transparent)]
    Audit(#[from] crate::audit::AuditError),
}

impl Recordings {
    /// Takes the folder into use.
    ///
    /// # Errors
    /// When it cannot be written to, or another broker of the same name has it.
    pub fn open(
        config: RecordingConfig,
        broker: &str,
        keys: Arc<Keys>,
        store: Store,
        audit: Audit,
    ) -> Result<Self, RecordingsError> {
        Self::open_on(Arc::new(FileSystem), config, broker, keys, store, audit)
    }

    /// The same on another disk.
    pub(super) fn open_on(
        disk: Arc<dyn Disk>,
        config: RecordingConfig,
        broker: &str,
        keys: Arc<Keys>,
        store: Store,
        audit: Audit,
    ) -> Result<Self, RecordingsError> {
        let syncer = Syncer::start().map_err(RecordingsError::Thread)?;
        let refuse = |source| RecordingsError::Folder { path: config.dir.clone(), source };
        make_folder(&config.dir, config.durability, &syncer.syncer).map_err(refuse)?;
        let lock =
            lock(&config.dir, broker).map_err(refuse)?.ok_or_else(|| RecordingsError::InUse(broker.to_owned()))?;
        let space = SpaceWatch::new(&config);
        let reserve = Reserve::open(&config.dir, broker, config.reserve).map_err(refuse)?;
        reserve.fill(space.free().map_err(refuse)?, config.low_below);
        let permits = match config.durability {
            config::Durability::Process => Permits::of_this_runtime().map_err(RecordingsError::Thread)?,
            config::Durability::Power => Permits::none(),
        };
        let history = History::new(broker, &keys.trusted());
        let inner = Inner {
            space,
            reserve,
            config,
            broker: broker.to_owned(),
            keys,
            store,
            audit,
            syncer,
            permits,
            disk,
            live: Mutex::default(),
            uncatalogued: Mutex::default(),
            settling: tokio::sync::Mutex::default(),
            unsettled: Mutex::default(),
            unsealed: Mutex::default(),
            written: AtomicU64::new(0),
            retain_from: Mutex::new(None),
            history: tokio::sync::Mutex::new(history),
            reports: Mutex::default(),
            _lock: lock,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Whether the disk has room for another session.
    ///
    /// # Errors
    /// When free space is below the last mark, or cannot be told.
    pub fn may_start(&self) -> Result<(), DiskLow> {
        if self.inner.reserve.is_open() {
            return Err(DiskLow::Kept);
        }
        self.inner.space.may_start()
    }

    /// Whether an emergency can be recorded, from the reserve if need be.
    ///
    /// # Errors
    /// When even that is used up, or free space cannot be told.
    pub fn may_start_in_emergency(&self) -> Result<(), DiskLow> {
        match self.may_start() {
            Err(DiskLow::Critical { .. } | DiskLow::Kept) => self.inner.space.may_start_on(&self.inner.reserve),
            other => other,
        }
    }

    /// How full the disk is, and how fast it fills.
    ///
    /// # Errors
    /// When the file system does not answer.
    pub fn space(&self) -> io::Result<DiskSpace> {
        self.inner.space.space()
    }

    /// Begins the recording of a session. The header's broker, start and durability are set here.
    ///
    /// # Errors
    /// When the file or its entry in the catalogue cannot be made: there is no session then.
    pub async fn start(&self, header: Header) -> Result<RecordingHandle, RecordError> {
        self.may_start().map_err(|low| RecordError::Unavailable(low.to_string()))?;
        self.begin(header, Urgency::Ordinary).await
    }

    /// The same for a session of an emergency: it may spend the reserve, and where the database is away the catalogue gets its
    /// entry later.
    ///
    /// # Errors
    /// When the file cannot be made: there is no session then.
    pub(crate) async fn start_in_emergency(&self, header: Header) -> Result<RecordingHandle, RecordError> {
        self.may_start_in_emergency().map_err(|low| RecordError::Unavailable(low.to_string()))?;
        self.begin(header, Urgency::Emergency).await
    }

    async fn begin(&self, mut header: Header, urgency: Urgency) -> Result<RecordingHandle, RecordError> {
        let inner = &self.inner;
        let now = clock::now();
        header.broker.clone_from(&inner.broker);
        header.started = now;
        header.durability = match inner.config.durability {
            config::Durability::Process => sallyport_session_recorder::Durability::Process,
            config::Durability::Power => sallyport_session_recorder::Durability::Power,
        };
        let started_at = Timestamp::from_microsecond(now.unix_micros)
            .map_err(|error| RecordError::Unavailable(error.to_string()))?;
        let path = RecordingPath::new(&header.session, started_at)
            .map_err(|error| RecordError::Unavailable(error.to_string()))?;
        let recorder = stepping_out(|| -> Result<_, RecordError> {
            let sink = FileSink::create(
                &inner.config.dir,
                &path,
                inner.config.durability,
                &inner.syncer.syncer,
                Arc::clone(&inner.disk),
                Claim::new(&inner.reserve, urgency),
            )?;
            // Nothing of the session is in it, and no event will ever name it.
            Recorder::start(sink, &header, &inner.keys, now).inspect_err(|_| {
                if let Err(error) = path.remove(&inner.config.dir) {
                    tracing::warn!(session = header.session, %error, "The file of a recording that never began could not be removed");
                }
            })
        })?;
        let row = NewRecording {
            session: header.session.clone(),
            broker: inner.broker.clone(),
            path: path.to_string(),
            zone: header.zone.clone(),
            started_at,
        };
        let handle = RecordingHandle::new(header.session, inner.config.cap, recorder, Arc::clone(inner));
        let late = |_| Err(StoreError::Unavailable("no answer in time".to_owned()));
        let added = match urgency {
            Urgency::Ordinary => inner.store.add_recording(&row).await,
            Urgency::Emergency => {
                let adding = inner.store.add_recording(&row);
                tokio::time::timeout(CATALOGUED_WITHIN, adding).await.unwrap_or_else(late)
            }
        };
        if let Err(error) = added {
            if urgency == Urgency::Emergency {
                inner.uncatalogued.lock().unwrap_or_else(PoisonError::into_inner).push(row);
                return Ok(handle);
            }
            let reason = format!("the recording cannot be entered into the catalogue: {error}");
            return Err(match handle.seal("recording-failed", &reason).await {
                Ok(_) => RecordError::Unavailable(reason),
                Err(second) => second,
            });
        }
        Ok(handle)
    }

    /// Signs quiet recordings, watches the disk, removes what retention lets go, and enters late what the catalogue
    /// missed. Returns when told to stop.
    pub async fn look_after(&self, stop: CancellationToken) {
        tokio::join!(self.tend(&stop), self.keep_houses(&stop));
    }

    async fn tend(&self, stop: &CancellationToken) {
        const TICK: Duration = Duration::from_millis(500);
        const DISK_EVERY: u64 = 20;
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        for tick in 0_u64.. {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = ticks.tick() => {}
            }
            stepping_out(|| self.inner.checkpoints());
            self.inner.settle().await;
            if tick.is_multiple_of(DISK_EVERY) {
                self.watch_disk().await;
                self.mend().await;
            }
        }
    }

    /// Beside the rest: to read a long audit chain for the first time takes a while.
    async fn keep_houses(&self, stop: &CancellationToken) {
        const FIRST: Duration = Duration::from_secs(30);
        const EVERY: Duration = Duration::from_secs(600);
        let mut ticks = tokio::time::interval_at(tokio::time::Instant::now() + FIRST, EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = ticks.tick() => {}
            }
            tokio::select! {
                () = stop.cancelled() => return,
                read = self.read_history() => match read {
                    Ok(()) => self.keep_house().await,
                    Err(error) => tracing::error!(%error, "Retention cannot read the audit chain"),
                }
            }
        }
    }

    pub(super) async fn watch_disk(&self) {
        let inner = &self.inner;
        let looked = stepping_out(|| {
            let reserve = inner.space.tend(&inner.reserve)?;
            Ok::<_, io::Error>([inner.space.look(inner.written.load(Ordering::Relaxed))?, reserve])
        });
        let events = match looked {
            Ok(events) => events,
            Err(error) => return tracing::error!(%error, "The disk of recordings does not answer"),
        };
        for event in events.into_iter().flatten() {
            if let Err(error) = inner.audit.record(event).await {
                tracing::error!(%error, "What the disk of recordings has left could not be audited");
            }
        }
    }

    /// Seals, as interrupted, what this run could not seal while the disk refused.
    async fn mend(&self) {
        match self.seal_failed().await {
            Ok(mended) if mended.is_empty() => {}
            Ok(mended) => tracing::info!(recordings = mended.len(), "Failed recordings were sealed as interrupted"),
            Err(error) => tracing::error!(%error, "Failed recordings could not be closed"),
        }
    }

    async fn keep_house(&self) {
        if !self.trusts_the_clock() {
            return;
        }
        match self.retain(Timestamp::now()).await {
            Ok(removed) if removed.is_empty() => {}
            Ok(removed) => tracing::info!(recordings = removed.len(), "Retention removed recordings"),
            Err(error) => tracing::error!(%error, "Retention could not be carried out"),
        }
    }

    /// Enters into this database what the catalogue does not know of yet.
    pub(crate) async fn settle_into(&self, store: &Store) -> Result<(), StoreError> {
        self.inner.settle_into(store).await
    }

    /// The folder of recordings.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.inner.config.dir
    }

    /// Sessions being recorded now.
    #[must_use]
    pub fn live(&self) -> usize {
        self.inner.live().len()
    }
}

impl std::fmt::Debug for Recordings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recordings").field("folder", &self.inner.config.dir).finish_non_exhaustive()
    }
}

impl Inner {
    pub(super) fn enter(&self, open: &Arc<Open>) {
        let mut live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        live.retain(|open| open.strong_count() > 0);
        live.push(Arc::downgrade(open));
    }

    pub(super) fn grown(&self, bytes: u64) {
        self.written.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn reports(&self) -> MutexGuard<'_, Reports> {
        self.reports.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn live(&self) -> Vec<Arc<Open>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner).iter().filter_map(Weak::upgrade).collect()
    }

    fn checkpoints(&self) {
        for open in self.live() {
            open.checkpoint_if_due();
        }
    }

    /// Enters a closed recording into the catalogue, now or when the database is back.
    pub(super) async fn closed(&self, closed: RecordingClosed) {
        if closed.state == RecordingState::Failed {
            self.unsealed.lock().unwrap_or_else(PoisonError::into_inner).push(closed.session.clone());
        }
        self.unsettled.lock().unwrap_or_else(PoisonError::into_inner).push(closed);
        self.settle().await;
    }

    async fn settle(&self) {
        if let Err(error) = self.settle_into(&self.store).await {
            tracing::debug!(%error, "Recordings are catalogued later");
        }
    }

    /// What is new enters before what is closed, and each is kept until the database has it: whoever waits for this may give up in the
    /// middle. Of two at once, one waits.
    async fn settle_into(&self, store: &Store) -> Result<(), StoreError> {
        let _alone = self.settling.lock().await;
        for row in list(&self.uncatalogued) {
            match store.add_recording(&row).await {
                // What is there has entered by a write whose answer came too late.
                Ok(()) | Err(StoreError::Taken(_)) => {}
                Err(error) if error.is_unavailable() => return Err(error),
                // It has not heard of the session yet, which its own part enters.
                Err(_) => continue,
            }
            self.uncatalogued
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .retain(|other| other.session != row.session);
        }
        let uncatalogued = list(&self.uncatalogued);
        for closed in list(&self.unsettled) {
            if uncatalogued.iter().any(|row| row.session == closed.session) {
                continue;
            }
            match store.close_recording(&closed).await {
                Ok(_) => {}
                Err(error) if error.is_unavailable() => return Err(error),
                Err(error) => {
                    tracing::error!(session = %closed.session, %error, "A closed recording could not be catalogued");
                }
            }
            self.unsettled.lock().unwrap_or_else(PoisonError::into_inner).retain(|other| *other != closed);
        }
        Ok(())
    }
}

fn list<T: Clone>(kept: &Mutex<Vec<T>>) -> Vec<T> {
    kept.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// The lock of a broker on a folder, which ends with the process; `None` when another has it.
fn lock(folder: &Path, broker: &str) -> io::Result<Option<File>> {
    let path = of_broker(folder, broker, "lock");
    let file = std::fs::OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path)?;
    match rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(file)),
        Err(error) if error == rustix::io::Errno::WOULDBLOCK => Ok(None),
        Err(error) => Err(error.into()),
    }
}
