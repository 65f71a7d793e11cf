//! The store: one database, SQLite on one machine or PostgreSQL for several brokers.
//!
//! # Writing a query that works on both engines
//!
//! * Columns are TEXT, BIGINT and BLOB/BYTEA. Rust types are `String`, `i64`, `Vec<u8>` and `Option` of them. No booleans
//!   (flags are `i64` 0 or 1), no timestamps (microseconds as `i64`: [`micros`], [`timestamp`]), JSON as text.
//! * One literal SQL text with `$1`, `$2` …; an optional filter is `($1 IS NULL OR identity = $1)` with an `Option` bound.
//!   `NULL`s are typed: bind `None::<Vec<u8>>` for a BLOB/BYTEA column, `None::<String>` for TEXT, `None::<i64>` for BIGINT.
//! * `CAST(SUM(…) AS BIGINT)` and `CAST(COUNT(*) AS BIGINT)`; never select a bare comparison; no `FOR UPDATE`, no `LIKE` where
//!   case matters, no ordering of free text that must be the same on both.
//! * Rows are read with `#[derive(sqlx::FromRow)]` and `sqlx::query_as::<_, Row>`.
//!
//! ```no_run
//! # use sallyport::store::{Store, StoreError};
//! # async fn example(store: &Store) -> Result<(), StoreError> {
//! // Read: `reader()` refuses at once while the database is known to be away.
//! let seen: Vec<(String, i64)> =
//!     sqlx::query_as("SELECT name, seen_at FROM brokers WHERE seen_at > $1").bind(0_i64).fetch_all(store.reader()?).await?;
//!
//! // Write: begin, run, commit. Dropped without commit, it is rolled back.
//! let mut write = store.begin_write().await?;
//! let done = sqlx::query("UPDATE identities SET state = 'locked' WHERE id = $1 AND state = 'active'")
//!     .bind("alice")
//!     .execute(&mut *write)
//!     .await?;
//! write.commit().await?; // tells every broker on this database within a fraction of a second
//! # drop((seen, done)); Ok(()) }
//! ```
//!
//! * [`Store::begin_write`] is for what a running broker must act on (an identity locked, a lease revoked, a plant applied, an
//!   end asked for): its commit ticks [`Store::changes`] everywhere. [`Store::begin_quiet_write`] is the same without the tick:
//!   heartbeats, counters, sessions, used codes, audit.
//! * On SQLite one writer runs at a time. PostgreSQL runs them side by side at READ COMMITTED, so a read followed by a write of
//!   what was read is a race there. Either say it in one statement (`UPDATE … SET n = n + 1 WHERE … RETURNING`,
//!   `INSERT … ON CONFLICT … DO UPDATE … WHERE … RETURNING`, and look at `rows_affected()`), or call [`Write::lock`] first.
//! * A table whose rows let somebody in carries a MAC per row (`genuine.rs`): its rows are read with [`Store`]'s own methods, which
//!   check it, and a write calls `Write::row_mac` first, reads, changes and makes the MAC anew. What takes away needs none of this.
//! * Never begin a second write while one is held in the same task: on SQLite it waits for the first and then fails.

pub mod accounts;
mod adoption;
pub mod brokers;
mod changes;
pub mod confirmations;
pub mod end_asked;
pub mod envelopes;
mod error;
pub mod everybody;
pub mod factors;
pub mod files;
mod genuine;
mod grouped;
pub mod identities;
pub mod invitations;
pub mod isolations;
pub mod last_use;
pub mod leases;
mod open;
pub mod plants;
pub mod recordings;
pub mod requests;
pub mod secrets;
pub mod sessions;
mod state;
pub mod webauthn;
pub mod windows;
mod witness;

#[cfg(test)]
mod tests;

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, OnceLock, RwLock};
use std::time::Duration;

use jiff::Timestamp;
use sqlx::any::AnyConnectOptions;
use sqlx::{Any, AnyConnection, AnyPool, Transaction};
use tokio::sync::{Mutex, OwnedMutexGuard, mpsc, watch};

use crate::vault::RowKeys;

pub use adoption::{Adopted, ROWS_CHECKED_FROM_THE_START};
pub use error::StoreError;
pub use genuine::{AlteredRow, Genuine, Listed};
pub use open::{DatabaseConfig, Engine};

/// The database; a cheap clone.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    engine: Engine,
    pool: AnyPool,
    options: AnyConnectOptions,
    /// SQLite has one writer at a time; waiting here is fair, waiting in SQLite is not.
    writer: Arc<Mutex<()>>,
    changes: watch::Sender<u64>,
    available: watch::Sender<bool>,
    watcher: OnceLock<changes::Watcher>,
    group: OnceLock<mpsc::Sender<grouped::Job>>,
    /// What makes and checks the MACs of rows, once a vault was opened.
    row_keys: RwLock<Option<Arc<RowKeys>>>,
    altered: genuine::Altered,
}

impl Store {
    /// Opens the database, creating an SQLite file if there is none, and brings the schema up to date.
    pub async fn open(config: &DatabaseConfig) -> Result<Self, StoreError> {
        let (engine, options) = config.resolve()?;
        let pool = open::open(engine, &options).await?;
        Ok(Self::new(engine, options, pool))
    }

    /// Opens a database that must stay as it is: nothing is created or migrated.
    pub async fn look(config: &DatabaseConfig) -> Result<Self, StoreError> {
        let (engine, options) = config.resolve()?;
        let pool = open::look(engine, &options).await?;
        Ok(Self::new(engine, options, pool))
    }

    /// A database that did not answer when the broker started: every call says so, for as long as this lives, also when it is back.
    /// Nothing is created and nothing migrated; what it is then, the next start looks at.
    pub(crate) fn away(config: &DatabaseConfig) -> Result<Self, StoreError> {
        let (engine, options) = config.resolve()?;
        let store = Self::new(engine, options.clone(), open::away(engine, &options));
        store.inner.available.send_replace(false);
        store.inner.watcher.get_or_init(changes::Watcher::none);
        Ok(store)
    }

    fn new(engine: Engine, options: AnyConnectOptions, pool: AnyPool) -> Self {
        let inner = Inner {
            engine,
            pool,
            options,
            writer: Arc::default(),
            changes: watch::Sender::new(0),
            available: watch::Sender::new(true),
            watcher: OnceLock::new(),
            group: OnceLock::new(),
            row_keys: RwLock::default(),
            altered: genuine::Altered::new(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Which engine the database runs on.
    pub fn engine(&self) -> Engine {
        self.inner.engine
    }

    /// Where reads go. Refuses at once while the database is known to be away.
    pub fn reader(&self) -> Result<&AnyPool, StoreError> {
        self.check_available()?;
        Ok(&self.inner.pool)
    }

    /// Begins a write whose commit is announced to every broker on this database.
    pub async fn begin_write(&self) -> Result<Write, StoreError> {
        self.begin(true).await
    }

    /// Begins a write that no running broker has to act on.
    pub async fn begin_quiet_write(&self) -> Result<Write, StoreError> {
        self.begin(false).await
    }

    /// Ticks after every announced write by any process, and after every reconnection. The number itself means nothing.
    /// Must be called within the runtime; the first call starts the watching.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.watch();
        self.inner.changes.subscribe()
    }

    /// Whether the database answers. Must be called within the runtime; the first call starts the watching.
    pub fn available(&self) -> watch::Receiver<bool> {
        self.watch();
        self.inner.available.subscribe()
    }

    /// Ends the connections; every later call fails.
    pub async fn close(&self) {
        if let Some(watcher) = self.inner.watcher.get() {
            watcher.stop();
        }
        self.inner.pool.close().await;
    }

    fn watch(&self) {
        self.inner.watcher.get_or_init(|| {
            let Inner { engine, options, changes, available, .. } = &*self.inner;
            changes::Watcher::start(*engine, options.clone(), changes.clone(), available.clone())
        });
    }

    fn check_available(&self) -> Result<(), StoreError> {
        if *self.inner.available.borrow() {
            return Ok(());
        }
        Err(StoreError::Unavailable("it did not answer when last asked".to_owned()))
    }

    async fn begin(&self, announced: bool) -> Result<Write, StoreError> {
        self.check_available()?;
        let (transaction, turn) = match self.inner.engine {
            Engine::Sqlite => {
                let turn = tokio::time::timeout(WRITE_TURN, Arc::clone(&self.inner.writer).lock_owned())
                    .await
                    .map_err(|_| StoreError::Unavailable("another write of this process does not end".to_owned()))?;
                (self.inner.pool.begin_with("BEGIN IMMEDIATE").await?, Some(turn))
            }
            Engine::Postgres => (self.inner.pool.begin().await?, None),
        };
        Ok(Write { transaction, store: self.clone(), announced, _turn: turn })
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("engine", &self.inner.engine).finish_non_exhaustive()
    }
}

/// A write in progress: run statements on `&mut *write`, then [`Write::commit`]. Rolled back when dropped.
pub struct Write {
    transaction: Transaction<'static, Any>,
    store: Store,
    announced: bool,
    // Last: the turn passes on only after the transaction is gone.
    _turn: Option<OwnedMutexGuard<()>>,
}

impl Write {
    /// Waits until no other write holds the lock of this name, and holds it until this write ends: for a read that a later
    /// statement of the same write relies on. (On SQLite every write has the whole database to itself anyway.)
    pub async fn lock(&mut self, name: &str) -> Result<(), StoreError> {
        if self.store.engine() == Engine::Postgres {
            sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(lock_number(name)).execute(&mut **self).await?;
        }
        Ok(())
    }

    /// Makes the write last, and tells everybody when it is an announced one.
    pub async fn commit(mut self) -> Result<(), StoreError> {
        if self.announced {
            sqlx::query("UPDATE changes SET number = number + 1").execute(&mut *self).await?;
            if self.store.engine() == Engine::Postgres {
                sqlx::query("SELECT pg_notify($1, '')").bind(changes::CHANNEL).execute(&mut *self).await?;
            }
        }
        self.transaction.commit().await?;
        if self.announced {
            changes::tick(&self.store.inner.changes);
        }
        Ok(())
    }

    /// Ends a write that was begun to see whether one can write; it leaves everything as it was.
    pub(crate) async fn commit_nothing(mut self) -> Result<(), StoreError> {
        sqlx::query("UPDATE changes SET number = number").execute(&mut *self).await?;
        self.commit().await
    }

    /// Turns a quiet write into an announced one.
    pub fn announce(&mut self) {
        self.announced = true;
    }
}

impl Deref for Write {
    type Target = AnyConnection;

    fn deref(&self) -> &AnyConnection {
        &self.transaction
    }
}

impl DerefMut for Write {
    fn deref_mut(&mut self) -> &mut AnyConnection {
        &mut self.transaction
    }
}

/// A time as it is stored: microseconds since the Unix epoch, UTC.
pub fn micros(at: Timestamp) -> i64 {
    at.as_microsecond()
}

/// A stored time read back.
pub fn timestamp(table: &'static str, micros: i64) -> Result<Timestamp, StoreError> {
    Timestamp::from_microsecond(micros).map_err(|error| StoreError::damaged(table, error))
}

/// The number of an advisory lock: the first eight bytes of its name's hash.
fn lock_number(name: &str) -> i64 {
    let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, name.as_bytes());
    hash.as_ref().iter().take(8).fold(0_i64, |number, byte| (number << 8) | i64::from(*byte))
}

/// How long a write waits for the write of another task. Beyond the engine's own busy time-out, so that its error comes first.
const WRITE_TURN: Duration = Duration::from_secs(8);
