//! How a command fails, and with which exit code.

use std::error::Error;

use super::{CONFIGURATION, FAILURE, USAGE, WOULD_CHANGE};
use crate::config::ConfigError;

/// Why a command did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// The arguments contradict each other in a way that the parser cannot see.
    #[error("{0}")]
    Usage(String),
    /// The configuration (or the plant file) is missing or wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// What the configuration points to is missing or does not fit: master key, plant, database.
    #[error("{0}")]
    Setup(String),
    /// A noun or an option that this version does not have yet.
    #[error("`{0}` is not available yet")]
    NotAvailable(&'static str),
    /// Standard output is gone.
    #[error("cannot write the answer: {0}")]
    Output(std::io::Error),
    /// A plan that would change something: no failure, and nothing is said of it beside the plan.
    #[error("the plant would change")]
    WouldChange,
    /// The act itself failed; one plain sentence.
    #[error("{0}")]
    Failed(String),
}

impl CliError {
    /// A failure with its causes, in one line.
    pub fn failed(error: impl Error) -> Self {
        Self::Failed(with_causes(&error))
    }

    /// The same, for what makes a start impossible (exit code 78).
    pub fn setup(error: impl Error) -> Self {
        Self::Setup(with_causes(&error))
    }

    /// 1, 2 (a plan that changes something), 64 (usage) or 78 (configuration).
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => USAGE,
            Self::Config(_) | Self::Setup(_) => CONFIGURATION,
            Self::WouldChange => WOULD_CHANGE,
            Self::NotAvailable(_) | Self::Output(_) | Self::Failed(_) => FAILURE,
        }
    }
}

fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        // `#[error(transparent)]` and "…: {source}" already say it.
        if !text.contains(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        cause = error.source();
    }
    text
}
