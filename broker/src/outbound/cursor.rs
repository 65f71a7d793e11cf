//! How far the chain has gone into the queues, in a file beside them.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// The last entry of the chain that went into the queues: it must be there still.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Reached {
    pub(super) seq: i64,
    pub(super) hash: String,
}

/// How far the queues are.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Progress {
    /// Nothing until the chain could be read for the first time.
    pub(super) reached: Option<Reached>,
    /// Ids of events that went ahead of their place in the chain.
    #[serde(default)]
    pub(super) ahead: BTreeSet<String>,
}

/// The file.
#[derive(Debug, Clone)]
pub(super) struct Cursor(PathBuf);

impl Cursor {
    pub(super) fn in_folder(folder: &Path) -> Self {
        Self(folder.join("chain.json"))
    }

    /// Nothing where there is none, or none that can be read: then it begins anew.
    pub(super) fn load(&self) -> Option<Progress> {
        let text = fs::read_to_string(&self.0).ok()?;
        match serde_json::from_str(&text) {
            Ok(progress) => Some(progress),
            Err(error) => {
                tracing::error!(%error, path = %self.0.display(), "How far receivers were told cannot be read");
                None
            }
        }
    }

    /// Whole and synced, or as before.
    pub(super) fn save(&self, progress: &Progress) -> io::Result<()> {
        let new = self.0.with_extension("new");
        let mut file = File::create(&new)?;
        file.write_all(&serde_json::to_vec(progress)?)?;
        file.sync_data()?;
        fs::rename(new, &self.0)
    }
}
