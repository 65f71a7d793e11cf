//! Plant files as they were applied, version by version. The newest is in force.

use jiff::Timestamp;
use sallyport_policy::PlantFile;
use serde::{Deserialize, Serialize};
use sqlx::FromRow;

use super::{Store, StoreError, micros, timestamp};
use crate::audit::{Audit, AuditError, AuditEvent};

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

/// Why a plant was not applied. Nothing has changed then.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The store could not.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The event could not be put on record.
    #[error(transparent)]
    Audit(#[from] AuditError),
}

impl Store {
    /// Puts a plant in force: its files and the audit event in one transaction, announced. Returns the new version's number.
    pub async fn apply_plant(&self, plant: &NewPlant, audit: &Audit) -> Result<i64, ApplyError> {
        let sha256 = plant_sha256(&plant.files);
        let mut write = self.begin_write().await?;
        write.lock("plants").await?;
        let current: i64 = sqlx::query_scalar("SELECT COALESCE(MAX(version), 0) FROM plants")
            .fetch_one(&mut *write)
            .await
            .map_err(StoreError::from)?;
        if current != plant.after {
            return Err(StoreError::Overtaken("the plant").into());
        }
        let version = current + 1;
        sqlx::query("INSERT INTO plants (version, files, sha256, applied_by, applied_at) VALUES ($1, $2, $3, $4, $5)")
            .bind(version)
            .bind(to_json(&plant.files)?)
            .bind(&sha256)
            .bind(&plant.applied_by)
            .bind(micros(plant.applied_at))
            .execute(&mut *write)
            .await
            .map_err(StoreError::from)?;
        let event = AuditEvent::PlantApplied {
            version,
            sha256,
            files: plant.files.iter().map(|file| file.name.clone()).collect(),
            diff: plant.diff.clone(),
        };
        audit.record_in(&mut write, event).await?;
        write.commit().await?;
        Ok(version)
    }

    /// The plant in force, if one was ever applied.
    pub async fn current_plant(&self) -> Result<Option<Plant>, StoreError> {
        let row: Option<Row> =
            sqlx::query_as("SELECT * FROM plants ORDER BY version DESC LIMIT 1").fetch_optional(self.reader()?).await?;
        row.map(Plant::try_from).transpose()
    }

    /// One version of the plant.
    pub async fn plant(&self, version: i64) -> Result<Plant, StoreError> {
        let row: Option<Row> = sqlx::query_as("SELECT * FROM plants WHERE version = $1")
            .bind(version)
            .fetch_optional(self.reader()?)
            .await?;
        row.ok_or_else(|| StoreError::Missing { kind: "plant version", key: version.to_string() })?.try_into()
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

#[derive(FromRow)]
struct Row {
    version: i64,
    files: String,
    sha256: String,
    applied_by: String,
    applied_at: i64,
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
