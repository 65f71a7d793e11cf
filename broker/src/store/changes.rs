//! Tells a running broker, within a fraction of a second, that somebody wrote; and notices when the database is away.
//!
//! SQLite: `PRAGMA data_version` on a held connection, every 100 ms (14 µs each); when it moved, the counter of announced
//! writes says whether it concerns a broker. PostgreSQL: LISTEN/NOTIFY, and the counter every half second as a net below it.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use sqlx::AnyConnection;
use sqlx::any::AnyConnectOptions;
use sqlx::postgres::PgListener;
use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tracing::{error, info, warn};

use super::open::{connect, sqlite_path};
use super::{Engine, StoreError};

/// The notification channel of announced writes.
pub(super) const CHANNEL: &str = "sallyport_changes";

/// Wakes everybody who waits for changes.
pub(super) fn tick(changes: &watch::Sender<u64>) {
    changes.send_modify(|number| *number = number.wrapping_add(1));
}

/// The watching task; ends when dropped.
pub(super) struct Watcher(Option<AbortHandle>);

impl Watcher {
    pub(super) fn start(
        engine: Engine,
        options: AnyConnectOptions,
        changes: watch::Sender<u64>,
        available: watch::Sender<bool>,
    ) -> Self {
        let seen = Seen { changes, available, number: None };
        let task = match engine {
            Engine::Sqlite => tokio::spawn(poll_sqlite(options, seen)),
            Engine::Postgres => tokio::spawn(follow_postgres(options, seen)),
        };
        Self(Some(task.abort_handle()))
    }

    /// Of a database that nobody watches.
    pub(super) fn none() -> Self {
        Self(None)
    }

    pub(super) fn stop(&self) {
        if let Some(task) = &self.0 {
            task.abort();
        }
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.stop();
    }
}

/// What is known of the database, and whom to tell.
struct Seen {
    changes: watch::Sender<u64>,
    available: watch::Sender<bool>,
    /// The counter of announced writes when last read; `None` after a gap, when anything may have happened.
    number: Option<i64>,
}

impl Seen {
    fn number(&mut self, number: i64) {
        if self.number != Some(number) {
            self.number = Some(number);
            tick(&self.changes);
        }
        if !self.available.send_replace(true) {
            info!("Database is back");
        }
        metrics::gauge!("sallyport_database_available").set(1.0);
    }

    fn away(&mut self, reason: &StoreError) {
        self.number = None;
        if self.available.send_replace(false) {
            warn!(%reason, "Database is unavailable");
        }
        metrics::gauge!("sallyport_database_available").set(0.0);
    }
}

async fn poll_sqlite(options: AnyConnectOptions, mut seen: Seen) {
    let path = sqlite_path(&options);
    let file = identity(&path);
    loop {
        let reason = match connect(&options).await {
            Ok(connection) => poll_sqlite_connection(connection, &mut seen, &path, file).await,
            Err(error) => error,
        };
        // Before anybody hears of it: by then something new may stand there.
        let replaced = identity(&path) != file;
        seen.away(&reason);
        if replaced {
            // The open connections hold the file that was. Only a restart can tell what the new one is.
            error!(path = %path.display(), "Database file was removed or replaced; restart the broker");
            return;
        }
        sleep(RETRY).await;
    }
}

async fn poll_sqlite_connection(
    mut connection: AnyConnection,
    seen: &mut Seen,
    path: &Path,
    file: Option<FileId>,
) -> StoreError {
    let mut turn = interval(SQLITE_POLL);
    turn.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut version = None;
    loop {
        turn.tick().await;
        if identity(path) != file {
            return StoreError::Unavailable("its file was removed or replaced".to_owned());
        }
        match sqlx::query_scalar::<_, i64>("PRAGMA data_version").fetch_one(&mut connection).await {
            Ok(now) if version == Some(now) => continue,
            Ok(now) => version = Some(now),
            Err(error) => return error.into(),
        }
        match read_number(&mut connection).await {
            Ok(number) => seen.number(number),
            Err(error) => return error,
        }
    }
}

/// Which file stands at a path: device, inode, and when it was made, since a free inode is soon given again.
type FileId = (u64, u64, Option<SystemTime>);

fn identity(path: &Path) -> Option<FileId> {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.dev(), metadata.ino(), metadata.created().ok()))
}

async fn follow_postgres(options: AnyConnectOptions, seen: Seen) {
    let ask = Arc::new(Notify::new());
    tokio::join!(listen(&options, &ask, seen.changes.clone()), poll_postgres(&options, &ask, seen));
}

/// Ticks on every notification. A lost connection makes the poll ask at once, and a new one ticks, for what was missed.
async fn listen(options: &AnyConnectOptions, ask: &Notify, changes: watch::Sender<u64>) {
    loop {
        let lost = async {
            let mut listener = timeout(STATEMENT, PgListener::connect(options.database_url.as_str()))
                .await
                .map_err(|_| sqlx::Error::PoolTimedOut)??;
            listener.eager_reconnect(false);
            listener.listen(CHANNEL).await?;
            tick(&changes);
            while listener.try_recv().await?.is_some() {
                tick(&changes);
            }
            Ok::<_, sqlx::Error>(())
        };
        match lost.await {
            Ok(()) => warn!("Change notification lost its connection"),
            Err(error) => warn!(%error, "Change notification lost its connection"),
        }
        ask.notify_one();
        sleep(RETRY).await;
    }
}

async fn poll_postgres(options: &AnyConnectOptions, ask: &Notify, mut seen: Seen) {
    let mut held: Option<AnyConnection> = None;
    loop {
        let answer = async {
            let mut connection = match held.take() {
                Some(connection) => connection,
                None => connect(options).await?,
            };
            let number = read_number(&mut connection).await?;
            Ok::<_, StoreError>((connection, number))
        };
        let pause = match timeout(STATEMENT, answer).await {
            Ok(Ok((connection, number))) => {
                held = Some(connection);
                seen.number(number);
                POSTGRES_POLL
            }
            Ok(Err(error)) => {
                seen.away(&error);
                RETRY
            }
            Err(_) => {
                seen.away(&StoreError::Unavailable(format!("no answer within {} s", STATEMENT.as_secs())));
                RETRY
            }
        };
        tokio::select! {
            () = sleep(pause) => {}
            () = ask.notified(), if pause == POSTGRES_POLL => {}
        }
    }
}

async fn read_number(connection: &mut AnyConnection) -> Result<i64, StoreError> {
    Ok(sqlx::query_scalar("SELECT number FROM changes").fetch_one(connection).await?)
}

/// How often SQLite is asked whether anything was written.
const SQLITE_POLL: Duration = Duration::from_millis(100);
/// How often PostgreSQL is asked, in case a notification was lost.
const POSTGRES_POLL: Duration = Duration::from_millis(500);
/// Pause before connecting again.
const RETRY: Duration = Duration::from_millis(200);
/// How long PostgreSQL may take to answer the smallest question.
const STATEMENT: Duration = Duration::from_secs(2);
