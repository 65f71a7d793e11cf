//! Whether an identity may be here.

/// Whether somebody may be here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// They may.
    Active,
    /// Not now.
    Locked,
    /// Never again.
    Removed,
}

impl State {
    /// The word in the store.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Locked => "locked",
            Self::Removed => "removed",
        }
    }
}
