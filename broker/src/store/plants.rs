//! Plant files as they were applied, version by version. The newest is in force.

use std::sync::Arc;

use jiff::Timestamp;
use sallyport_policy::PlantFile;
use serde::{Deserialize, Serialize};
use sqlx::FromRow;

use super::genuine::Stored;
use super::witness::Witness;
use super::{Store, StoreError, Write, micros, timestamp};
use crate::vault::{RowFault, RowMac, RowText};

/// One applied version of the plant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plant {
    /// 1, 2, 3 …
    pub version: i64,
    /// Exactly what was applied.
    pub files: Vec<PlantFile>,
    /// See [`plant_sha256`].
    pub sha256: String,
    /// Who applied it.
    pub applied_by: String,
    /// When.
    pub applied_at: Timestamp,
}

/// A version without its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlantVersion {
    /// 1, 2, 3 …
    pub version: i64,
    /// See [`plant_sha256`].
    pub sha256: String,
    /// Who applied it.
    pub applied_by: String,
    /// When.
    pub applied_at: Timestamp,
}

/// A plant to apply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPlant {
    /// Its files.
    pub files: Vec<PlantFile>,
    /// The version that `diff` compares with; 0 when there was none. Another one in force by now is refused.
    pub after: i64,
    /// What changes, for the audit.
    pub diff: String,
    /// Who applies it.
    pub applied_by: String,
    /// When.
    pub applied_at: Timestamp,
}

/// The next version of the plant, before it is written. No other can be while this lives.
pub(crate) struct NextPlant {
    write: Write,
    mac: Arc<RowMac>,
    version: i64,
}

impl NextPlant {
    /// Its number.
    pub(crate) fn version(&self) -> i64 {
        self.version
    }

    /// Writes it. It is in force when the write that is given back is committed; `event` is the id of the entry of the audit
    /// chain that tells of it, which belongs into the same write.
    pub(crate) async fn enter(self, plant: &NewPlant, event: &str) -> Result<Write, StoreError> {
        let Self { mut write, mac, version } = self;
        let row = Row {
            version,
            files: to_json(&plant.files)?,
            sha256: plant_sha256(&plant.files),
            applied_by: plant.applied_by.clone(),
            applied_at: micros(plant.applied_at),
            event: Some(event.to_owned()),
            mac: None,
        };
        sqlx::query("INSERT INTO plants (version, files, sha256, applied_by, applied_at) VALUES ($1, $2, $3, $4, $5)")
            .bind(row.version)
            .bind(&row.files)
            .bind(&row.sha256)
            .bind(&row.applied_by)
            .bind(row.applied_at)
            .execute(&mut *write)
            .await?;
        write.set_mac(&row, Some(mac.make(&row.text()))).await?;
        Ok(write)
    }
}

impl Store {
    /// Takes the number of the next version, if the one in force still is `after`.
    pub(crate) async fn next_plant(&self, after: i64) -> Result<NextPlant, StoreError> {
        let mut write = self.begin_write().await?;
        write.lock("plants").await?;
        let mac = write.row_mac().await?;
        let rows: Vec<Row> =
            sqlx::query_as("SELECT * FROM plants ORDER BY version DESC LIMIT 8").fetch_all(&mut *write).await?;
        if self.newest_of(&rows)?.map_or(0, |row| row.version) != after {
            return Err(StoreError::Overtaken("the plant"));
        }
        // A row that is not genuine keeps its number: the new one comes after it all the same.
        let version = rows.first().map_or(0, |row| row.version).checked_add(1);
        let version = version.ok_or_else(|| StoreError::damaged("plants", "there is no version after the newest"))?;
        Ok(NextPlant { write, mac, version })
    }

    /// The plant in force, if one was ever applied: the newest genuine version, and the last that the audit chain tells of.
    ///
    /// # Errors
    /// [`StoreError::NotGenuine`] where the last that was applied is not there as it was: an older one is not in force again.
    pub async fn current_plant(&self) -> Result<Option<Plant>, StoreError> {
        let mut tries = READS;
        loop {
            let newest = self.newest_plant().await?;
            let applied = self.last_applied().await?;
            tries -= 1;
            match (newest, applied) {
                (None, None) => return Ok(None),
                (Some(row), applied) if applied.is_none() || applied == row.event => return row.try_into().map(Some),
                // One may have been applied between the two reads.
                _ if tries > 0 => {}
                (row, _) => {
                    let key = row.as_ref().map_or_else(|| "the newest".to_owned(), |row| row.version.to_string());
                    if let Some(row) = &row {
                        self.report(row, RowFault::Outdated);
                    }
                    return Err(StoreError::NotGenuine { table: Row::TABLE, key, fault: RowFault::Outdated });
                }
            }
        }
    }

    /// The newest genuine version, whether it is in force or not: what a new one is compared with.
    pub async fn latest_plant(&self) -> Result<Option<Plant>, StoreError> {
        self.newest_plant().await?.map(Plant::try_from).transpose()
    }

    /// One version of the plant.
    pub async fn plant(&self, version: i64) -> Result<Plant, StoreError> {
        let row: Option<Row> = sqlx::query_as("SELECT * FROM plants WHERE version = $1")
            .bind(version)
            .fetch_optional(self.reader()?)
            .await?;
        let row = row.ok_or_else(|| StoreError::Missing { kind: "plant version", key: version.to_string() })?;
        match self.fault_of(&row).await? {
            None => row.try_into(),
            Some(fault) => {
                self.report(&row, fault);
                Err(StoreError::NotGenuine { table: Row::TABLE, key: row.name(), fault })
            }
        }
    }

    async fn newest_plant(&self) -> Result<Option<Row>, StoreError> {
        let rows: Vec<Row> =
            sqlx::query_as("SELECT * FROM plants ORDER BY version DESC LIMIT 8").fetch_all(self.reader()?).await?;
        Ok(self.newest_of(&rows)?.cloned())
    }

    fn newest_of<'a>(&self, rows: &'a [Row]) -> Result<Option<&'a Row>, StoreError> {
        for row in rows {
            match self.check(row)? {
                Ok(()) => return Ok(Some(row)),
                Err(RowFault::OtherKey(id)) => return Err(StoreError::OtherMasterKey(id.to_string())),
                Err(fault) => self.report(row, fault),
            }
        }
        Ok(None)
    }

    /// The audit entry of the last plant that was applied.
    async fn last_applied(&self) -> Result<Option<String>, StoreError> {
        let query = sqlx::query_scalar("SELECT id FROM audit WHERE code = 'SP-5001' ORDER BY seq DESC LIMIT 1");
        Ok(query.fetch_optional(self.reader()?).await?)
    }

    /// The number of the version in force; 0 when none was ever applied.
    pub async fn current_plant_version(&self) -> Result<i64, StoreError> {
        Ok(sqlx::query_scalar("SELECT COALESCE(MAX(version), 0) FROM plants").fetch_one(self.reader()?).await?)
    }

    /// Every version, the newest first.
    pub async fn plant_versions(&self) -> Result<Vec<PlantVersion>, StoreError> {
        let rows: Vec<(i64, String, String, i64)> =
            sqlx::query_as("SELECT version, sha256, applied_by, applied_at FROM plants ORDER BY version DESC")
                .fetch_all(self.reader()?)
                .await?;
        rows.into_iter()
            .map(|(version, sha256, applied_by, at)| {
                Ok(PlantVersion { version, sha256, applied_by, applied_at: timestamp("plants", at)? })
            })
            .collect()
    }
}

/// The table's name.
pub(super) const TABLE: &str = "plants";

/// How often plant and chain are read before they are taken to differ.
const READS: u32 = 3;

/// What a workstation can compute too: for one file `sha256sum FILE`; for several the hash of what `sha256sum` prints for them,
/// in the order they were given.
pub fn plant_sha256(files: &[PlantFile]) -> String {
    let hash = |text: &str| {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
        data_encoding::HEXLOWER.encode(digest.as_ref())
    };
    match files {
        [file] => hash(&file.text),
        files => {
            let lines: Vec<String> =
                files.iter().map(|file| format!("{}  {}\n", hash(&file.text), file.name)).collect();
            hash(&lines.concat())
        }
    }
}

#[derive(Serialize, Deserialize)]
struct StoredFile {
    name: String,
    text: String,
}

fn to_json(files: &[PlantFile]) -> Result<String, StoreError> {
    let files: Vec<StoredFile> =
        files.iter().map(|file| StoredFile { name: file.name.clone(), text: file.text.clone() }).collect();
    serde_json::to_string(&files).map_err(|error| StoreError::damaged("plants", error))
}

#[derive(Clone, FromRow)]
pub(super) struct Row {
    version: i64,
    files: String,
    sha256: String,
    applied_by: String,
    applied_at: i64,
    event: Option<String>,
    mac: Option<Vec<u8>>,
}

impl Stored for Row {
    const TABLE: &'static str = TABLE;
    const ALL: &'static str = "SELECT * FROM plants";
    const SET: &'static str = "UPDATE plants SET event = $1, mac = $2 WHERE version = CAST($3 AS BIGINT) AND $4 = ''";

    fn key(&self) -> [String; 2] {
        [self.version.to_string(), String::new()]
    }

    /// Which plant is in force is asked of the chain as a whole.
    fn identity(&self) -> Option<&str> {
        None
    }

    fn text(&self) -> RowText {
        RowText::of(Self::TABLE)
            .number(self.version)
            .text(&self.files)
            .text(&self.sha256)
            .text(&self.applied_by)
            .number(self.applied_at)
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

    fn adopt(&mut self, _witness: &Witness) -> bool {
        false
    }

    fn adopt_plant(&mut self, told: &[(String, serde_json::Value)]) -> bool {
        let whole = Plant::try_from(self.clone()).is_ok();
        let tells = |event: &serde_json::Value| {
            event.get("version").and_then(serde_json::Value::as_i64) == Some(self.version)
                && event.get("sha256").and_then(serde_json::Value::as_str) == Some(&self.sha256)
        };
        let entry = told.iter().find(|(_, event)| tells(event)).map(|(id, _)| id.clone());
        self.event = entry.filter(|_| whole);
        self.event.is_some()
    }
}

impl TryFrom<Row> for Plant {
    type Error = StoreError;

    /// INVARIANT: what is read is what was applied: a text that does not match its hash is damage, not policy.
    fn try_from(row: Row) -> Result<Self, StoreError> {
        let damaged = |error: &dyn std::fmt::Display| StoreError::damaged("plants", error);
        let files: Vec<StoredFile> = serde_json::from_str(&row.files).map_err(|error| damaged(&error))?;
        let files: Vec<PlantFile> =
            files.into_iter().map(|StoredFile { name, text }| PlantFile { name, text }).collect();
        if plant_sha256(&files) != row.sha256 {
            return Err(damaged(&format!("version {} does not match its hash", row.version)));
        }
        Ok(Self {
            version: row.version,
            files,
            sha256: row.sha256,
            applied_by: row.applied_by,
            applied_at: timestamp("plants", row.applied_at)?,
        })
    }
}
