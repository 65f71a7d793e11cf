//! Plant files to policy.

use crate::error::{PlantError, PlantErrors, PlantFile};
use crate::policy::Policy;

/// Reads the plant files.
pub(crate) fn policy(files: &[PlantFile]) -> Result<Policy, PlantErrors> {
    match files.iter().find(|file| !file.text.trim().is_empty()) {
        None => Ok(Policy::empty()),
        Some(file) => PlantErrors::check(vec![PlantError {
            file: file.name.clone(),
            line: 1,
            column: 1,
            message: "reading plant files is not available yet".to_owned(),
            suggestion: None,
        }])
        .map(|()| Policy::empty()),
    }
}
