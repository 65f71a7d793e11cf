//! Zones that are isolated: nobody reaches them until two people have lifted that.
//!
//! ```text
//! isolated:  a row without a MAC, or an entry of the audit chain: either is enough, so that deleting one lifts nothing
//! lifted:    a row under a MAC, of just this isolation: proposed by one, confirmed by another
//! ```

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;
use sqlx::FromRow;

use super::genuine::Stored;
use super::witness::Witness;
use super::{Genuine, Store, StoreError, Write, micros, timestamp};
use crate::vault::RowText;

/// A zone that is isolated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Isolation {
    /// Its id: a ULID in lower case.
    pub id: String,
    /// The zone.
    pub zone: String,
    /// Since when.
    pub at: Timestamp,
    /// By whom.
    pub by: String,
    /// Why.
    pub reason: String,
}

/// That an isolation be lifted, as one person has proposed it, and maybe another confirmed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiftRow {
    /// Which isolation.
    pub isolation: String,
    /// Of which zone.
    pub zone: String,
    /// When it was proposed.
    pub proposed_at: Timestamp,
    /// By whom.
    pub proposed_by: String,
    /// Why.
    pub proposed_for: String,
    /// When another confirmed it: the isolation is over.
    pub lifted_at: Option<Timestamp>,
}

/// An isolation that stands, and what was proposed of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// What isolates.
    pub isolation: Isolation,
    /// Who proposes that it be lifted, where somebody does.
    pub proposed: Option<LiftRow>,
}

impl Store {
    /// Every isolation that stands, the oldest first.
    ///
    /// # Errors
    /// Also where the audit chain tells of one that cannot be read: nobody knows then which zone it was.
    pub async fn isolations(&self) -> Result<Vec<Standing>, StoreError> {
        let mut isolations = BTreeMap::new();
        let told: Vec<Told> = sqlx::query_as("SELECT at, actor, event FROM audit WHERE code = 'SP-5501' ORDER BY seq")
            .fetch_all(self.reader()?)
            .await?;
        let rows: Vec<Row> = sqlx::query_as("SELECT * FROM isolations ORDER BY id").fetch_all(self.reader()?).await?;
        for isolation in told.into_iter().map(Isolation::try_from).chain(rows.into_iter().map(Isolation::try_from)) {
            let isolation = isolation?;
            // Two that say otherwise of one id isolate both zones: whoever writes the database moves none away.
            isolations.entry((isolation.id.clone(), isolation.zone.clone())).or_insert(isolation);
        }
        let mut standing = Vec::new();
        for isolation in isolations.into_values() {
            match self.lift_of(&isolation).await? {
                Some(lift) if lift.lifted_at.is_some() => {}
                lift => standing.push(Standing { isolation, proposed: lift.map(Genuine::into_inner) }),
            }
        }
        Ok(standing)
    }

    async fn lift_of(&self, isolation: &Isolation) -> Result<Option<Genuine<LiftRow>>, StoreError> {
        let read = || async {
            let query = sqlx::query_as::<_, Lift>("SELECT * FROM isolation_lifts WHERE isolation = $1 AND zone = $2");
            Ok(query.bind(&isolation.id).bind(&isolation.zone).fetch_optional(self.reader()?).await?)
        };
        self.genuine(read).await
    }
}

impl Write {
    /// Isolates a zone. The caller commits, with the audit entry in the same write; brokers act on it at once.
    pub async fn isolate(&mut self, isolation: &Isolation) -> Result<(), StoreError> {
        sqlx::query("INSERT INTO isolations (id, zone, isolated_at, isolated_by, reason) VALUES ($1, $2, $3, $4, $5)")
            .bind(&isolation.id)
            .bind(&isolation.zone)
            .bind(micros(isolation.at))
            .bind(&isolation.by)
            .bind(&isolation.reason)
            .execute(&mut **self)
            .await?;
        Ok(())
    }

    /// Enters that somebody proposes to lift an isolation, in place of any proposal before. The row goes with the entry of this id.
    pub async fn propose_lift(&mut self, lift: &LiftRow, entry: &str) -> Result<(), StoreError> {
        let mac = self.row_mac().await?;
        let row = Lift {
            isolation: lift.isolation.clone(),
            zone: lift.zone.clone(),
            proposed_at: micros(lift.proposed_at),
            proposed_by: lift.proposed_by.clone(),
            proposed_for: lift.proposed_for.clone(),
            lifted_at: None,
            lifted_by: None,
            lifted_for: None,
            event: Some(entry.to_owned()),
            mac: None,
        };
        sqlx::query("DELETE FROM isolation_lifts WHERE isolation = $1 AND zone = $2")
            .bind(&row.isolation)
            .bind(&row.zone)
            .execute(&mut **self)
            .await?;
        sqlx::query(
            "INSERT INTO isolation_lifts (isolation, zone, proposed_at, proposed_by, proposed_for) VALUES ($1, $2, $3, $4, $5)",
        )
        .bind(&row.isolation)
        .bind(&row.zone)
        .bind(row.proposed_at)
        .bind(&row.proposed_by)
        .bind(&row.proposed_for)
        .execute(&mut **self)
        .await?;
        self.set_mac(&row, Some(mac.make(&row.text()))).await
    }

    /// Lifts an isolation, if `proposed` still is what was proposed of it. `false`: it is not.
    pub async fn lift(
        &mut self,
        proposed: &LiftRow,
        by: &str,
        reason: &str,
        at: Timestamp,
        entry: &str,
    ) -> Result<bool, StoreError> {
        let mac = self.row_mac().await?;
        let row: Option<Lift> = sqlx::query_as("SELECT * FROM isolation_lifts WHERE isolation = $1 AND zone = $2")
            .bind(&proposed.isolation)
            .bind(&proposed.zone)
            .fetch_optional(&mut **self)
            .await?;
        let Some(mut row) = row else { return Ok(false) };
        self.require_genuine(&row).await?;
        let same = (row.proposed_at, &row.proposed_by) == (micros(proposed.proposed_at), &proposed.proposed_by);
        if !same || row.lifted_at.is_some() {
            return Ok(false);
        }
        row.lifted_at = Some(micros(at));
        row.lifted_by = Some(by.to_owned());
        row.lifted_for = Some(reason.to_owned());
        row.event = Some(entry.to_owned());
        sqlx::query(
            "UPDATE isolation_lifts SET lifted_at = $3, lifted_by = $4, lifted_for = $5 WHERE isolation = $1 AND zone = $2",
        )
            .bind(&row.isolation)
            .bind(&row.zone)
            .bind(row.lifted_at)
            .bind(by)
            .bind(reason)
            .execute(&mut **self)
            .await?;
        self.set_mac(&row, Some(mac.make(&row.text()))).await?;
        Ok(true)
    }
}

/// An entry of the audit chain that tells of an isolation.
#[derive(FromRow)]
struct Told {
    at: i64,
    actor: String,
    event: String,
}

#[derive(FromRow)]
struct Row {
    id: String,
    zone: String,
    isolated_at: i64,
    isolated_by: String,
    reason: String,
}

#[derive(FromRow)]
pub(super) struct Lift {
    isolation: String,
    zone: String,
    proposed_at: i64,
    proposed_by: String,
    proposed_for: String,
    lifted_at: Option<i64>,
    lifted_by: Option<String>,
    lifted_for: Option<String>,
    event: Option<String>,
    mac: Option<Vec<u8>>,
}

/// No entry of the chain takes a lift away: another isolation of the zone has another id.
impl Stored for Lift {
    const TABLE: &'static str = "isolation_lifts";
    const ALL: &'static str = "SELECT * FROM isolation_lifts";
    const SET: &'static str = "UPDATE isolation_lifts SET event = $1, mac = $2 WHERE isolation = $3 AND zone = $4";

    fn key(&self) -> [String; 2] {
        [self.isolation.clone(), self.zone.clone()]
    }

    fn identity(&self) -> Option<&str> {
        None
    }

    fn text(&self) -> RowText {
        RowText::of(Self::TABLE)
            .text(&self.isolation)
            .text(&self.zone)
            .number(self.proposed_at)
            .text(&self.proposed_by)
            .text(&self.proposed_for)
            .maybe_number(self.lifted_at)
            .maybe_text(self.lifted_by.as_deref())
            .maybe_text(self.lifted_for.as_deref())
            .maybe_text(self.event.as_deref())
    }

    fn event(&self) -> Option<&str> {
        self.event.as_deref()
    }

    fn mac(&self) -> Option<&[u8]> {
        self.mac.as_deref()
    }

    fn is_last(&self, _witness: &Witness) -> bool {
        true
    }

    /// There are none from before there were MACs.
    fn adopt(&mut self, _witness: &Witness) -> bool {
        false
    }
}

impl TryFrom<Told> for Isolation {
    type Error = StoreError;

    fn try_from(told: Told) -> Result<Self, StoreError> {
        let event: Value = serde_json::from_str(&told.event).map_err(|error| StoreError::damaged("audit", error))?;
        let text = |name: &str| {
            let text = event.get(name).and_then(Value::as_str).map(ToOwned::to_owned);
            text.ok_or_else(|| StoreError::damaged("audit", format!("an isolation without `{name}`")))
        };
        Ok(Self {
            id: text("isolation")?,
            zone: text("zone")?,
            reason: text("reason")?,
            at: timestamp("audit", told.at)?,
            by: told.actor,
        })
    }
}

impl TryFrom<Row> for Isolation {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let at = timestamp("isolations", row.isolated_at)?;
        Ok(Self { id: row.id, zone: row.zone, at, by: row.isolated_by, reason: row.reason })
    }
}

impl TryFrom<Lift> for LiftRow {
    type Error = StoreError;

    fn try_from(row: Lift) -> Result<Self, StoreError> {
        Ok(Self {
            proposed_at: timestamp(Lift::TABLE, row.proposed_at)?,
            lifted_at: row.lifted_at.map(|at| timestamp(Lift::TABLE, at)).transpose()?,
            isolation: row.isolation,
            zone: row.zone,
            proposed_by: row.proposed_by,
            proposed_for: row.proposed_for,
        })
    }
}
