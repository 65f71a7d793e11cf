//! What is wrong with a plant file, and where.

use std::fmt;

use serde::Serialize;

/// A plant file as the administrator wrote it. A plant may be spread over several; one whose name ends in `.csv` is a tag list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlantFile {
    /// The name to use in messages, as `plant.toml` or `cells/cell-1.toml`.
    pub name: String,
    /// The text.
    pub text: String,
}

/// One thing that is wrong, or that is allowed but looks like a slip, in a plant file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct PlantError {
    /// The file's name.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The column, in characters from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// What may have been meant, as ``did you mean `cell-1`?``.
    pub suggestion: Option<String>,
}

impl fmt::Display for PlantError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}", self.file, self.line, self.column, self.message)?;
        match &self.suggestion {
            Some(suggestion) => write!(f, "; {suggestion}"),
            None => Ok(()),
        }
    }
}

/// Everything that is wrong with a plant, in the order of files and lines; never empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct PlantErrors(Vec<PlantError>);

impl PlantErrors {
    /// These errors: sorted, and each once.
    pub(crate) fn of(mut errors: Vec<PlantError>) -> Self {
        errors.sort();
        errors.dedup();
        Self(errors)
    }

    /// Each error.
    pub fn iter(&self) -> impl Iterator<Item = &PlantError> {
        self.0.iter()
    }
}

impl IntoIterator for PlantErrors {
    type Item = PlantError;
    type IntoIter = std::vec::IntoIter<PlantError>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl fmt::Display for PlantErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, error) in self.0.iter().enumerate() {
            if number > 0 {
                writeln!(f)?;
            }
            write!(f, "{error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for PlantErrors {}
