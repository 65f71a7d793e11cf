//! Where an export goes.

use std::io::{BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use super::CliError;

/// A new file for its owner alone, or standard output.
pub(super) fn output(path: Option<PathBuf>) -> Result<Box<dyn Write>, CliError> {
    let Some(path) = path else { return Ok(Box::new(BufWriter::new(std::io::stdout().lock()))) };
    let file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
    let file = file.map_err(|error| CliError::Failed(format!("cannot make `{}`: {error}", path.display())))?;
    Ok(Box::new(BufWriter::new(file)))
}
