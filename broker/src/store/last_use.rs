//! When ways to services were last used, as the rows of sessions tell.

use jiff::Timestamp;

use super::{Store, StoreError, micros, timestamp};

/// When somebody last used a way to a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastUse {
    /// Who.
    pub identity: String,
    /// Which asset.
    pub asset: String,
    /// Which of its services.
    pub service: String,
    /// With which account.
    pub account: String,
    /// The rule that let them, where it was one for emergencies; else empty.
    pub emergency: String,
    /// When the last such session began.
    pub at: Timestamp,
}

impl Store {
    /// When each way was last used by each person, up to a moment; of one identity or asset, or of all.
    pub async fn last_uses(
        &self,
        identity: Option<&str>,
        asset: Option<&str>,
        until: Timestamp,
    ) -> Result<Vec<LastUse>, StoreError> {
        let rows: Vec<(String, String, String, String, String, i64)> = sqlx::query_as(
            "SELECT identity, asset, service, account,
                    CASE WHEN substr(rule, 1, 12) = 'break-glass ' THEN rule ELSE '' END AS emergency, MAX(started_at)
             FROM sessions
             WHERE ($1 IS NULL OR identity = $1) AND ($2 IS NULL OR asset = $2) AND started_at <= $3
             GROUP BY identity, asset, service, account, emergency",
        )
        .bind(identity)
        .bind(asset)
        .bind(micros(until))
        .fetch_all(self.reader()?)
        .await?;
        let uses = rows.into_iter().map(|(identity, asset, service, account, emergency, at)| {
            let at = timestamp("sessions", at)?;
            Ok(LastUse { identity, asset, service, account, emergency, at })
        });
        uses.collect()
    }
}
