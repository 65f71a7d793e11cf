//! The brokers that share this database, and when each was last heard of.

use jiff::Timestamp;

use super::{Store, StoreError, micros, timestamp};

/// A broker that has run on this database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerSeen {
    /// Its name.
    pub name: String,
    /// When it last started.
    pub started_at: Timestamp,
    /// When it last said that it lives.
    pub seen_at: Timestamp,
}

impl Store {
    /// Enters that a broker starts now; returns when it was last heard of, if ever.
    pub async fn broker_started(&self, name: &str, at: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        let mut write = self.begin_quiet_write().await?;
        write.lock("brokers").await?;
        let before: Option<(i64,)> = sqlx::query_as("SELECT seen_at FROM brokers WHERE name = $1")
            .bind(name)
            .fetch_optional(&mut *write)
            .await?;
        sqlx::query(
            "INSERT INTO brokers (name, started_at, seen_at) VALUES ($1, $2, $2)
             ON CONFLICT (name) DO UPDATE SET started_at = excluded.started_at, seen_at = excluded.seen_at",
        )
        .bind(name)
        .bind(micros(at))
        .execute(&mut *write)
        .await?;
        write.commit().await?;
        before.map(|(seen_at,)| timestamp("brokers", seen_at)).transpose()
    }

    /// Enters that a broker lives.
    pub async fn broker_heartbeat(&self, name: &str, at: Timestamp) -> Result<(), StoreError> {
        let mut write = self.begin_quiet_write().await?;
        let done = sqlx::query("UPDATE brokers SET seen_at = $2 WHERE name = $1")
            .bind(name)
            .bind(micros(at))
            .execute(&mut *write)
            .await?;
        if done.rows_affected() == 0 {
            return Err(StoreError::Missing { kind: "broker", key: name.to_owned() });
        }
        write.commit().await
    }

    /// Every broker that ever ran on this database, by name.
    pub async fn brokers(&self) -> Result<Vec<BrokerSeen>, StoreError> {
        let rows: Vec<(String, i64, i64)> =
            sqlx::query_as("SELECT name, started_at, seen_at FROM brokers ORDER BY name")
                .fetch_all(self.reader()?)
                .await?;
        rows.into_iter()
            .map(|(name, started_at, seen_at)| {
                Ok(BrokerSeen {
                    name,
                    started_at: timestamp("brokers", started_at)?,
                    seen_at: timestamp("brokers", seen_at)?,
                })
            })
            .collect()
    }
}
