//! What the process denies itself, and what it takes: no memory of keys in a core dump or a debugger, and every file
//! descriptor it may have.

use rustix::process::{DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit};

/// More than this many descriptors are never needed; the kernel gives none beyond it by default.
const MOST_FILES: u64 = 1 << 20;

/// Why the process could not be made safe.
#[derive(Debug, thiserror::Error)]
#[error("the process cannot switch off {what}: {source}")]
pub(crate) struct HardenError {
    what: &'static str,
    source: std::io::Error,
}

/// Switches off core dumps, and for other processes of the same user ptrace and the memory in /proc. What is swapped out is
/// not covered.
///
/// # Errors
/// The kernel refuses it; then no key may be read.
pub(crate) fn harden() -> Result<(), HardenError> {
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    setrlimit(Resource::Core, none).map_err(|error| HardenError { what: "core dumps", source: error.into() })?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .map_err(|error| HardenError { what: "ptrace", source: error.into() })
}

/// Raises the soft limit of open files to the hard one, and gives what holds then.
pub(crate) fn raise_open_files() -> u64 {
    let mut limit = getrlimit(Resource::Nofile);
    let most = limit.maximum.unwrap_or(MOST_FILES).min(MOST_FILES);
    if limit.current.is_some_and(|current| current < most) {
        limit.current = Some(most);
        if let Err(error) = setrlimit(Resource::Nofile, limit) {
            tracing::warn!(%error, "The limit of open files could not be raised");
        }
    }
    getrlimit(Resource::Nofile).current.unwrap_or(MOST_FILES)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    use super::*;

    #[test]
    fn a_hardened_process_cannot_be_dumped_and_has_all_the_files_it_may() {
        let hard = getrlimit(Resource::Nofile).maximum.unwrap_or(MOST_FILES).min(MOST_FILES);
        let low = Rlimit { current: Some(256), ..getrlimit(Resource::Nofile) };
        setrlimit(Resource::Nofile, low).unwrap();
        assert_eq!(raise_open_files(), hard);
        harden().unwrap();
        assert_eq!(getrlimit(Resource::Core), Rlimit { current: Some(0), maximum: Some(0) });
        assert_eq!(rustix::process::dumpable_behavior().unwrap(), DumpableBehavior::NotDumpable);
    }
}
