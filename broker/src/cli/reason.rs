//! Why somebody does what keeps people out: it is on the record, and they read it.

use super::CliError;

/// A reason without blanks around it. Not an empty one, and none that nobody would read.
pub(super) fn checked(reason: &str) -> Result<&str, CliError> {
    let reason = reason.trim();
    if reason.is_empty() {
        return Err(CliError::Usage("say why: `--reason` is empty".to_owned()));
    }
    if reason.len() > LONGEST_REASON {
        return Err(CliError::Usage(format!("`--reason` is longer than {LONGEST_REASON} letters")));
    }
    Ok(reason)
}

/// So much is read in a sentence.
const LONGEST_REASON: usize = 500;
