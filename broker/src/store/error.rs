//! What can go wrong with the store, told apart by what a caller does about it.

use std::borrow::Cow;
use std::path::PathBuf;

use crate::vault::RowFault;

/// Why the store could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database URL is not one this broker understands.
    #[error("database url is not usable: {0}")]
    Url(String),
    /// The database URL carries a password, which belongs into a file.
    #[error("the database url holds a password; put it into a file and name that as `password_file`")]
    PasswordInUrl,
    /// The password file cannot be read.
    #[error("cannot read the database password from `{path}`: {source}")]
    PasswordFile {
        /// The file.
        path: PathBuf,
        /// What reading it said.
        source: std::io::Error,
    },
    /// The database does not answer, or not in time. The same call may work later.
    #[error("the database is unavailable: {0}")]
    Unavailable(String),
    /// The database answers but takes no writes.
    #[error("the database is read-only: {0}")]
    ReadOnly(String),
    /// A later release of Sallyport has already changed this database.
    #[error("the database was migrated by a newer release (schema {0}); run that release, or restore a backup")]
    NewerSchema(i64),
    /// An earlier release made this database, and this call must not change it.
    #[error(
        "the database has schema {found}, this release needs {needed}; the broker's next start brings it up to date"
    )]
    OlderSchema {
        /// Its schema.
        found: i64,
        /// The schema of this release.
        needed: i64,
    },
    /// A migration could not be applied.
    #[error("the database schema cannot be brought up to date: {0}")]
    Migration(String),
    /// The row exists already.
    #[error("already exists: {0}")]
    Taken(String),
    /// The write names a row that does not exist.
    #[error("refers to something that does not exist: {0}")]
    Dangling(String),
    /// The row asked for does not exist.
    #[error("no {kind} `{key}`")]
    Missing {
        /// What kind of thing was looked for.
        kind: &'static str,
        /// The key it was looked for by.
        key: String,
    },
    /// A shortened id fits more than one row.
    #[error("{kind} `{prefix}` is ambiguous: {} of them begin so: {}", candidates.len(), candidates.join(", "))]
    Ambiguous {
        /// What kind of thing was looked for.
        kind: &'static str,
        /// The beginning that was given.
        prefix: String,
        /// The rows that it fits, up to a small limit.
        candidates: Vec<String>,
    },
    /// Somebody else changed the same thing first.
    #[error("{0} was changed by somebody else in the meantime")]
    Overtaken(&'static str),
    /// A stored row does not mean anything.
    #[error("a row of `{table}` is damaged: {detail}")]
    Damaged {
        /// The table.
        table: &'static str,
        /// What is wrong with it.
        detail: String,
    },
    /// A row that would let somebody in is not as a broker wrote it.
    #[error("the row `{key}` of `{table}` counts as not there: {fault}; `sallyport check` lists such rows")]
    NotGenuine {
        /// The table.
        table: &'static str,
        /// The row's key.
        key: String,
        /// What is wrong with it.
        fault: RowFault,
    },
    /// Rows that let somebody in are believed only with the master key at hand.
    #[error("rows of this database can be checked only with the master key")]
    NoRowKey,
    /// The master key was changed, and the new one is not where this process takes it from.
    #[error("rows of this database are under master key `{0}`, which is not the one at hand")]
    OtherMasterKey(String),
    /// The database refused the statement: a defect of this program.
    #[error("the database refused a statement: {0}")]
    Refused(#[source] sqlx::Error),
}

impl StoreError {
    /// True when the database is away and the same call may work later.
    pub fn is_unavailable(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }

    /// A row that cannot be understood.
    pub fn damaged(table: &'static str, detail: impl std::fmt::Display) -> Self {
        Self::Damaged { table, detail: detail.to_string() }
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        use sqlx::Error as E;
        match &error {
            E::Io(_) | E::Tls(_) | E::PoolTimedOut | E::PoolClosed | E::WorkerCrashed | E::BeginFailed => {
                Self::Unavailable(in_words(&error))
            }
            // A server that dies in the middle of an answer shows as a broken protocol.
            E::Protocol(_) => Self::Unavailable(in_words(&error)),
            E::Database(database) if database.is_unique_violation() => {
                Self::Taken(taken(database.table(), database.message()))
            }
            E::Database(database) if database.is_foreign_key_violation() => {
                Self::Dangling(database.message().to_owned())
            }
            E::Database(database) => match trouble(database.code()) {
                Trouble::Away => Self::Unavailable(database.message().to_owned()),
                Trouble::ReadOnly => Self::ReadOnly(database.message().to_owned()),
                Trouble::Other => Self::Refused(error),
            },
            _ => Self::Refused(error),
        }
    }
}

/// What the driver says, without where in its own source the server came upon it.
pub(super) fn in_words(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::Database(database) => database.message().to_owned(),
        sqlx::Error::Io(error) => error.to_string(),
        other => other.to_string(),
    }
}

/// What there is already. SQLite names `table.column` in its message, PostgreSQL the table beside it.
fn taken(table: Option<&str>, message: &str) -> String {
    let named = message.rsplit(": ").next().and_then(|rest| rest.split_once('.')).map(|(table, _)| table);
    match table.or(named) {
        Some("identities") => "somebody has or had this name, and a name is never given again".to_owned(),
        Some("secrets") => "the installation has these keys".to_owned(),
        Some(table) => format!("a row of `{table}`"),
        None => message.to_owned(),
    }
}

enum Trouble {
    Away,
    ReadOnly,
    Other,
}

/// Reads the engine's own code: five characters (SQLSTATE) from PostgreSQL, a shorter decimal number from SQLite.
fn trouble(code: Option<Cow<'_, str>>) -> Trouble {
    let Some(code) = code else { return Trouble::Other };
    if code.len() == 5 {
        return match (&code[..2], &*code) {
            // Connection lost, resources gone, shut down, starting up, I/O trouble; lock and deadlock victims.
            ("08" | "53" | "57" | "58", _) | (_, "40001" | "40P01" | "55P03") => Trouble::Away,
            (_, "25006") => Trouble::ReadOnly,
            _ => Trouble::Other,
        };
    }
    match code.parse::<u32>().map(|number| number & 0xff) {
        // BUSY, LOCKED, NOMEM, INTERRUPT, IOERR, CORRUPT, FULL, CANTOPEN, PROTOCOL, NOTADB
        Ok(5 | 6 | 7 | 9 | 10 | 11 | 13 | 14 | 15 | 26) => Trouble::Away,
        Ok(8) => Trouble::ReadOnly,
        _ => Trouble::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(code: &str) -> &'static str {
        match trouble(Some(Cow::Borrowed(code))) {
            Trouble::Away => "away",
            Trouble::ReadOnly => "read-only",
            Trouble::Other => "other",
        }
    }

    #[test]
    fn an_engine_code_says_whether_waiting_helps() {
        for (code, expected) in [
            ("5", "away"),
            ("517", "away"), // SQLITE_BUSY_SNAPSHOT
            ("13", "away"),  // SQLITE_FULL
            ("8", "read-only"),
            ("1032", "read-only"), // SQLITE_READONLY_DBMOVED
            ("1", "other"),
            ("57P01", "away"), // admin_shutdown
            ("57P03", "away"), // cannot_connect_now
            ("53300", "away"), // too_many_connections
            ("08006", "away"),
            ("25006", "read-only"),
            ("42601", "other"), // syntax_error
        ] {
            assert_eq!(word(code), expected, "{code}");
        }
    }
}
