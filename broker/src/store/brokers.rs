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
    /// Which run of which installation bears the name; empty when that has stopped in good order.
    pub instance: String,
}

impl Store {
    /// What is known of a broker.
    pub async fn broker(&self, name: &str) -> Result<Option<BrokerSeen>, StoreError> {
        let row = sqlx::query_as("SELECT name, started_at, seen_at, instance FROM brokers WHERE name = $1")
            .bind(name)
            .fetch_optional(self.reader()?)
            .await?;
        row.map(broker_seen).transpose()
    }

    /// Enters that a broker starts now and bears its name; not (`false`) where that name's row is no longer as it was
    /// `before`.
    pub async fn broker_started(
        &self,
        name: &str,
        instance: &str,
        at: Timestamp,
        before: Option<&BrokerSeen>,
    ) -> Result<bool, StoreError> {
        let mut write = self.begin_quiet_write().await?;
        write.lock("brokers").await?;
        let row: Option<Row> =
            sqlx::query_as("SELECT name, started_at, seen_at, instance FROM brokers WHERE name = $1")
                .bind(name)
                .fetch_optional(&mut *write)
                .await?;
        if row.map(broker_seen).transpose()?.as_ref() != before {
            return Ok(false);
        }
        sqlx::query(
            "INSERT INTO brokers (name, started_at, seen_at, instance) VALUES ($1, $2, $2, $3)
             ON CONFLICT (name) DO UPDATE
             SET started_at = excluded.started_at, seen_at = excluded.seen_at, instance = excluded.instance",
        )
        .bind(name)
        .bind(micros(at))
        .bind(instance)
        .execute(&mut *write)
        .await?;
        write.commit().await?;
        Ok(true)
    }

    /// Enters that a broker lives. When another instance bears its name, there is no such broker.
    pub async fn broker_heartbeat(&self, name: &str, instance: &str, at: Timestamp) -> Result<(), StoreError> {
        self.broker_says(name, instance, instance, at).await
    }

    /// Enters that a broker has stopped in good order: the next of its name need not listen whether it lives.
    pub async fn broker_stopped(&self, name: &str, instance: &str, at: Timestamp) -> Result<(), StoreError> {
        self.broker_says(name, instance, "", at).await
    }

    async fn broker_says(&self, name: &str, instance: &str, then: &str, at: Timestamp) -> Result<(), StoreError> {
        let mut write = self.begin_quiet_write().await?;
        let done = sqlx::query("UPDATE brokers SET seen_at = $2, instance = $4 WHERE name = $1 AND instance = $3")
            .bind(name)
            .bind(micros(at))
            .bind(instance)
            .bind(then)
            .execute(&mut *write)
            .await?;
        if done.rows_affected() == 0 {
            return Err(StoreError::Missing { kind: "broker", key: name.to_owned() });
        }
        write.commit().await
    }

    /// Every broker that ever ran on this database, by name.
    pub async fn brokers(&self) -> Result<Vec<BrokerSeen>, StoreError> {
        let rows: Vec<Row> = sqlx::query_as("SELECT name, started_at, seen_at, instance FROM brokers ORDER BY name")
            .fetch_all(self.reader()?)
            .await?;
        rows.into_iter().map(broker_seen).collect()
    }
}

type Row = (String, i64, i64, String);

fn broker_seen(row: Row) -> Result<BrokerSeen, StoreError> {
    let (name, started_at, seen_at, instance) = row;
    let (started_at, seen_at) = (timestamp("brokers", started_at)?, timestamp("brokers", seen_at)?);
    Ok(BrokerSeen { name, started_at, seen_at, instance })
}
