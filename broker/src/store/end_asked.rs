//! Asking for the end of a session: whoever asks writes it down, and the broker that carries the session reads it.

use jiff::Timestamp;

use super::{Store, StoreError, Write, micros, timestamp};

/// A request to end a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndAsked {
    /// When.
    pub at: Timestamp,
    /// By whom.
    pub by: String,
    /// Why, for the session's person.
    pub reason: Option<String>,
}

/// What became of asking for a session's end.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AskEnd {
    /// Its broker will end it.
    Asked,
    /// Somebody had asked before.
    AskedBefore,
    /// It has ended already.
    Ended,
    /// There is no such session.
    Unknown,
}

impl Write {
    /// Asks the broker of a live session to end it. Who asks second changes nothing.
    pub async fn ask_session_end(&mut self, id: &str, wish: &EndAsked) -> Result<AskEnd, StoreError> {
        let asked = sqlx::query(
            "UPDATE sessions SET end_asked_at = $2, end_asked_by = $3, end_asked_for = $4
             WHERE id = $1 AND ended_at IS NULL AND end_asked_at IS NULL",
        )
        .bind(id)
        .bind(micros(wish.at))
        .bind(&wish.by)
        .bind(&wish.reason)
        .execute(&mut **self)
        .await?;
        if asked.rows_affected() == 1 {
            return Ok(AskEnd::Asked);
        }
        let ended: Option<(Option<i64>,)> =
            sqlx::query_as("SELECT ended_at FROM sessions WHERE id = $1").bind(id).fetch_optional(&mut **self).await?;
        Ok(match ended {
            None => AskEnd::Unknown,
            Some((Some(_),)) => AskEnd::Ended,
            Some((None,)) => AskEnd::AskedBefore,
        })
    }
}

impl Store {
    /// The live sessions of a broker whose end somebody asked for.
    pub async fn session_ends_asked(&self, broker: &str) -> Result<Vec<(String, EndAsked)>, StoreError> {
        let rows: Vec<(String, i64, Option<String>, Option<String>)> = sqlx::query_as(
            "SELECT id, end_asked_at, end_asked_by, end_asked_for FROM sessions
             WHERE broker = $1 AND ended_at IS NULL AND end_asked_at IS NOT NULL ORDER BY end_asked_at",
        )
        .bind(broker)
        .fetch_all(self.reader()?)
        .await?;
        let asked = rows.into_iter().map(|(id, at, by, reason)| {
            Ok((id, EndAsked { at: timestamp("sessions", at)?, by: by.unwrap_or_default(), reason }))
        });
        asked.collect()
    }
}
