//! From a database URL to a pool with an up-to-date schema.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::{AnyConnection, AnyPool, ConnectOptions, Connection};

use super::StoreError;
use super::error::in_words;

static SQLITE: Migrator = sqlx::migrate!("../migrations/sqlite");
static POSTGRES: Migrator = sqlx::migrate!("../migrations/postgres");

/// Which database to open.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseConfig {
    /// `sqlite:/path/to/file` or `sqlite://path/to/file` (all that follows is the path), or `postgres://user@host/database?sslmode=verify-full`.
    pub url: String,
    /// A file whose content, without its line end, is the PostgreSQL password.
    pub password_file: Option<PathBuf>,
}

/// A database engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// One file on one machine.
    Sqlite,
    /// A server that several brokers share.
    Postgres,
}

impl DatabaseConfig {
    /// A database by URL, without a password.
    pub fn url(url: impl Into<String>) -> Self {
        Self { url: url.into(), password_file: None }
    }

    pub(super) fn resolve(&self) -> Result<(Engine, AnyConnectOptions), StoreError> {
        if let Some(rest) = self.url.strip_prefix("sqlite:") {
            return sqlite(rest.strip_prefix("//").unwrap_or(rest)).map(|options| (Engine::Sqlite, options));
        }
        if self.url.starts_with("postgres://") || self.url.starts_with("postgresql://") {
            return self.postgres().map(|options| (Engine::Postgres, options));
        }
        Err(StoreError::Url("it must begin with `sqlite:` or `postgres://`".to_owned()))
    }

    fn postgres(&self) -> Result<AnyConnectOptions, StoreError> {
        let mut options = parse(&self.url)?;
        let url = &mut options.database_url;
        if url.password().is_some() || url.query_pairs().any(|(key, _)| key == "password") {
            return Err(StoreError::PasswordInUrl);
        }
        if let Some(path) = &self.password_file {
            let text = std::fs::read_to_string(path)
                .map_err(|source| StoreError::PasswordFile { path: path.clone(), source })?;
            url.query_pairs_mut().append_pair("password", text.trim_end_matches(['\r', '\n']));
        }
        url.query_pairs_mut().append_pair("application_name", "sallyport");
        Ok(options)
    }
}

/// Never shows the URL's query, where a password could hide.
impl std::fmt::Debug for DatabaseConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shown = self.url.split_once("://").map_or("?", |(scheme, _)| scheme);
        f.debug_struct("DatabaseConfig").field("engine", &shown).field("password_file", &self.password_file).finish()
    }
}

fn sqlite(path: &str) -> Result<AnyConnectOptions, StoreError> {
    if path.is_empty() || path == ":memory:" {
        return Err(StoreError::Url("an SQLite database is a file: `sqlite:///var/lib/sallyport/store.db`".to_owned()));
    }
    let path = std::path::absolute(path).map_err(|error| StoreError::Url(error.to_string()))?;
    let path = path.to_str().ok_or_else(|| StoreError::Url("the path is not UTF-8".to_owned()))?;
    // The driver decodes percent signs, so that every path can be said.
    let mut encoded = String::from("sqlite://");
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"/-_.~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded.push_str("?mode=rwc");
    parse(&encoded)
}

fn parse(url: &str) -> Result<AnyConnectOptions, StoreError> {
    sqlx::any::install_default_drivers();
    let options = AnyConnectOptions::from_str(url).map_err(|error| StoreError::Url(error.to_string()))?;
    Ok(options.disable_statement_logging())
}

/// The path of an SQLite database, as the options carry it.
pub(super) fn sqlite_path(options: &AnyConnectOptions) -> PathBuf {
    let mut bytes = Vec::new();
    let mut rest = options.database_url.path().bytes();
    while let Some(byte) = rest.next() {
        let digits = if byte == b'%' { rest.next().zip(rest.next()) } else { None };
        let decoded = digits.and_then(|(high, low)| data_encoding::HEXUPPER_PERMISSIVE.decode(&[high, low]).ok());
        match decoded {
            Some(decoded) => bytes.extend(decoded),
            None => bytes.push(byte),
        }
    }
    PathBuf::from(String::from_utf8_lossy(&bytes).into_owned())
}

/// The pool of a database that is left as it is.
///
/// # Errors
/// When it cannot be reached, or its schema is not this release's.
pub(super) async fn look(engine: Engine, options: &AnyConnectOptions) -> Result<AnyPool, StoreError> {
    let migrator = match engine {
        Engine::Sqlite => &SQLITE,
        Engine::Postgres => &POSTGRES,
    };
    let needed = migrator.iter().map(|migration| migration.version).max().unwrap_or(0);
    let mut connection = connect(options).await?;
    let found: Option<i64> =
        sqlx::query_scalar("SELECT MAX(version) FROM _sqlx_migrations").fetch_one(&mut connection).await?;
    connection.close().await?;
    match found.unwrap_or(0) {
        found if found < needed => Err(StoreError::OlderSchema { found, needed }),
        found if found > needed => Err(StoreError::NewerSchema(found)),
        _ => Ok(pool(engine, options)),
    }
}

/// Checks that the database can be reached and written, migrates it, and makes the pool.
pub(super) async fn open(engine: Engine, options: &AnyConnectOptions) -> Result<AnyPool, StoreError> {
    // The first connection stands outside the pool: a pool would hide why it cannot connect behind its time-out.
    let mut connection = match engine {
        Engine::Sqlite => {
            keep_private(&sqlite_path(options))?;
            let mut connection = connect(options).await?;
            write_ahead_log(&mut connection).await?;
            let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
            migrate(&SQLITE, &mut transaction).await?;
            transaction.commit().await?;
            connection
        }
        Engine::Postgres => {
            let mut connection = connect(options).await?;
            let migrated = migrate(&POSTGRES, &mut connection).await;
            if let Err(error) = migrated {
                // Closing gives the migration lock back.
                connection.close().await?;
                return Err(error);
            }
            let mut transaction = connection.begin().await?;
            sqlx::query("UPDATE changes SET number = number").execute(&mut *transaction).await?;
            transaction.rollback().await?;
            connection
        }
    };
    sqlx::query("SELECT number FROM changes").fetch_one(&mut connection).await?;
    connection.close().await?;
    Ok(pool(engine, options))
}

/// The pool of a database that does not answer now.
pub(super) fn away(engine: Engine, options: &AnyConnectOptions) -> AnyPool {
    pool(engine, options)
}

fn pool(engine: Engine, options: &AnyConnectOptions) -> AnyPool {
    let pool = AnyPoolOptions::new().max_connections(POOL).acquire_timeout(ACQUIRE);
    // A connection is tried when it is given back. Only what crosses a network can be lost while nobody uses it: to try a file again
    // before each query would cost as much as the query.
    pool.test_before_acquire(engine == Engine::Postgres).connect_lazy_with(options.clone())
}

pub(super) async fn connect(options: &AnyConnectOptions) -> Result<AnyConnection, StoreError> {
    match tokio::time::timeout(CONNECT, AnyConnection::connect_with(options)).await {
        Ok(connected) => connected.map_err(|error| match StoreError::from(error) {
            StoreError::Refused(error) => StoreError::Unavailable(at(options, &in_words(&error))),
            StoreError::Unavailable(reason) => StoreError::Unavailable(at(options, &reason)),
            other => other,
        }),
        Err(_) => Err(StoreError::Unavailable(at(options, &format!("no connection within {} s", CONNECT.as_secs())))),
    }
}

/// Which server that is about: nothing of the query, where a password is.
fn at(options: &AnyConnectOptions, reason: &str) -> String {
    let url = &options.database_url;
    if url.scheme() == "sqlite" {
        return format!("`{}`: {reason}", sqlite_path(options).display());
    }
    let socket = url.query_pairs().find(|(name, _)| name == "host").map(|(_, folder)| folder.into_owned());
    let named = url.query_pairs().find(|(name, _)| name == "port").and_then(|(_, port)| port.parse().ok());
    let host = socket.or_else(|| url.host_str().map(str::to_owned)).unwrap_or_else(|| "localhost".to_owned());
    format!("PostgreSQL at {host} port {}: {reason}", url.port().or(named).unwrap_or(5432))
}

/// Creates the file so that only its owner can read it: SQLite gives its log files the mode of the database.
fn keep_private(path: &Path) -> Result<(), StoreError> {
    use std::os::unix::fs::OpenOptionsExt as _;
    match std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(StoreError::Unavailable(format!("cannot create `{}`: {error}", path.display()))),
    }
}

/// Readers do not wait for the writer. The mode stays in the file; changing to it needs the file alone for a moment.
async fn write_ahead_log(connection: &mut AnyConnection) -> Result<(), StoreError> {
    let mut tries = 0;
    loop {
        let mode = sqlx::query_scalar::<_, String>("PRAGMA journal_mode = WAL").fetch_one(&mut *connection).await;
        match mode.map_err(StoreError::from) {
            Ok(mode) if mode == "wal" => return Ok(()),
            Ok(mode) => return Err(StoreError::Unavailable(format!("the file system allows no WAL (mode `{mode}`)"))),
            Err(error) if error.is_unavailable() && tries < 50 => tries += 1,
            Err(error) => return Err(error),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn migrate(migrator: &Migrator, connection: &mut AnyConnection) -> Result<(), StoreError> {
    migrator.run_direct(None, connection, false).await.map_err(|error| match error {
        MigrateError::VersionMissing(version) => StoreError::NewerSchema(version),
        MigrateError::VersionMismatch(version) => {
            StoreError::Migration(format!("schema {version} differs from the one in this release"))
        }
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => match StoreError::from(error) {
            StoreError::Refused(error) => StoreError::Migration(error.to_string()),
            other => other,
        },
        other => StoreError::Migration(other.to_string()),
    })
}

/// Connections of one broker: enough for bursts of logins, far below what one PostgreSQL allows in all.
const POOL: u32 = 8;
/// How long a statement waits for a connection.
const ACQUIRE: Duration = Duration::from_secs(3);
/// How long a new connection may take.
const CONNECT: Duration = Duration::from_secs(5);
