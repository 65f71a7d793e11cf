//! Is another broker of this name alive? Whoever starts under a name first makes sure that nobody else bears it: it will
//! close what it takes for its own remains.
//!
//! A predecessor that stopped in good order said so. One that was killed on this machine, since this machine started and
//! beside this state, has let go of its lock. Of any other nobody can tell but by listening: a broker that lives moves its
//! heartbeat. No two clocks are compared.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tracing::{info, warn};
use ulid::Ulid;

use crate::store::brokers::BrokerSeen;
use crate::store::{Store, StoreError};

/// Why this broker does not run under its name.
#[derive(Debug, thiserror::Error)]
pub enum PresenceError {
    /// On this machine, beside the same state.
    #[error("another broker runs with the state beside `{lock}`: stop it first, or give this one a folder of its own")]
    SameState {
        /// The lock that it holds.
        lock: PathBuf,
    },
    /// Somewhere else.
    #[error(
        "another broker named `{name}` is alive (last heard of at {seen_at:.0}): give this one another `name` in `[broker]`, \
         or stop the other. Only if the other can never run again: `sallyport serve --takeover`, which closes its sessions"
    )]
    Alive {
        /// The name.
        name: String,
        /// Its last heartbeat, by its own clock.
        seen_at: Timestamp,
    },
    /// The lock cannot be had.
    #[error("cannot use the lock `{lock}`: {error}")]
    Lock {
        /// The file.
        lock: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// This broker bears its name: the table of brokers says so, and the lock is held for as long as this lives.
#[derive(Debug)]
pub(super) struct Presence {
    /// Which run of which installation this is.
    pub(super) instance: String,
    _lock: File,
}

/// The name was had.
#[derive(Debug)]
pub(super) struct Claimed {
    pub(super) presence: Presence,
    /// When a broker of this name was last heard of.
    pub(super) seen_before: Option<Timestamp>,
    /// Whether it was taken from one of which nobody knew whether it lives.
    pub(super) taken_over: bool,
}

/// Holds the lock beside this state, while nobody can be asked whether another bears the name.
#[derive(Debug)]
pub(super) struct Alone {
    _lock: File,
}

/// Makes sure that no other broker runs beside this state.
pub(super) fn alone(spool: &Path) -> Result<Alone, PresenceError> {
    let (_lock, _) = take_lock(&spool.with_file_name(LOCK))?;
    Ok(Alone { _lock })
}

/// Takes the name, once nobody else bears it; with `takeover`, whoever bears it.
pub(super) async fn claim(store: &Store, name: &str, spool: &Path, takeover: bool) -> Result<Claimed, PresenceError> {
    let lock = spool.with_file_name(LOCK);
    let (file, place) = take_lock(&lock)?;
    let instance = format!("{place}/{}", Ulid::generate());
    loop {
        let before = store.broker(name).await?;
        let free = before.as_ref().is_none_or(|seen| is_gone(seen, &place));
        if let Some(seen) = before.as_ref().filter(|_| !free && !takeover) {
            listen(store, seen).await?;
        }
        if store.broker_started(name, &instance, Timestamp::now(), before.as_ref()).await? {
            let presence = Presence { instance, _lock: file };
            let seen_before = before.map(|seen| seen.seen_at);
            return Ok(Claimed { presence, seen_before, taken_over: takeover && !free });
        }
        // Somebody was faster: then it is alive, or has stopped meanwhile.
    }
}

impl Presence {
    /// Says that this broker lives, for as long as the answer is kept: what is done before it serves can take long.
    pub(super) fn beat_meanwhile(&self, store: &Store, name: &str) -> JoinSet<()> {
        beat(store, name, &self.instance)
    }
}

/// Says that whoever bears this name lives, for as long as the answer is kept.
pub(super) fn beat(store: &Store, name: &str, instance: &str) -> JoinSet<()> {
    let (store, name, instance) = (store.clone(), name.to_owned(), instance.to_owned());
    let mut beating = JoinSet::new();
    beating.spawn(async move {
        loop {
            if let Err(error) = store.broker_heartbeat(&name, &instance, Timestamp::now()).await {
                warn!(%error, "The database does not take a heartbeat");
            }
            sleep(BEAT).await;
        }
    });
    beating
}

/// Makes sure that none of these brokers lives, by listening to all at once.
///
/// # Errors
/// One of them does, or the database cannot be read.
pub(crate) async fn all_silent(store: &Store, brokers: &[BrokerSeen]) -> Result<(), PresenceError> {
    let begun = Instant::now();
    while brokers.iter().any(|seen| !seen.instance.is_empty()) && begun.elapsed() < LISTEN {
        sleep(LISTEN_EVERY).await;
        for now in store.brokers().await? {
            let moved = brokers.iter().any(|seen| seen.name == now.name && *seen != now);
            if moved && !now.instance.is_empty() {
                return Err(PresenceError::Alive { name: now.name, seen_at: now.seen_at });
            }
        }
    }
    Ok(())
}

/// Stopped in good order; or ran here, since this machine started, with the lock that is ours now.
fn is_gone(seen: &BrokerSeen, place: &str) -> bool {
    seen.instance.is_empty() || seen.instance.rsplit_once('/').is_some_and(|(its, _)| its == place)
}

/// Waits for longer than a broker that lives is silent.
async fn listen(store: &Store, seen: &BrokerSeen) -> Result<(), PresenceError> {
    info!(name = seen.name, seconds = LISTEN.as_secs(), "Listening whether another broker of this name is alive");
    let begun = Instant::now();
    while begun.elapsed() < LISTEN {
        sleep(LISTEN_EVERY).await;
        match store.broker(&seen.name).await? {
            Some(now) if now.instance.is_empty() => return Ok(()),
            Some(now) if now != *seen => {
                return Err(PresenceError::Alive { name: now.name, seen_at: now.seen_at });
            }
            Some(_) | None => {}
        }
    }
    warn!(name = seen.name, last_heard_of = %seen.seen_at, "The broker that bore this name is silent; its name is taken");
    Ok(())
}

fn take_lock(path: &Path) -> Result<(File, String), PresenceError> {
    let failed = |error| PresenceError::Lock { lock: path.to_path_buf(), error };
    let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(PresenceError::SameState { lock: path.to_path_buf() }),
        Err(TryLockError::Error(error)) => return Err(failed(error)),
    }
    let metadata = file.metadata().map_err(failed)?;
    Ok((file, place(boot_id(), metadata.dev(), metadata.ino())))
}

/// A copy of this machine's disk has the same files, and another start of the machine. Without one, a place is like no other.
fn place(boot: Option<String>, device: u64, inode: u64) -> String {
    let boot = boot.unwrap_or_else(|| Ulid::generate().to_string());
    format!("{boot}/{device}:{inode}")
}

/// Which start of the machine this is: the kernel's word, or systemd's where the unit hides the kernel's.
fn boot_id() -> Option<String> {
    let text = std::fs::read_to_string(BOOT_ID).ok().or_else(|| std::env::var(BOOT_ID_VARIABLE).ok())?;
    let id: String = text.chars().filter(char::is_ascii_hexdigit).collect();
    (id.len() == 32).then_some(id)
}

const LOCK: &str = "broker.lock";
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";
const BOOT_ID_VARIABLE: &str = "SALLYPORT_BOOT_ID";
/// Two heartbeats and the patience with a database that hangs.
const LISTEN: Duration = Duration::from_secs(14);
const LISTEN_EVERY: Duration = Duration::from_millis(500);
const BEAT: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    use super::*;

    fn seen(instance: &str) -> BrokerSeen {
        let at = Timestamp::UNIX_EPOCH;
        BrokerSeen { name: "gate-1".to_owned(), started_at: at, seen_at: at, instance: instance.to_owned() }
    }

    #[test]
    fn only_a_predecessor_of_this_state_and_start_or_one_that_stopped_is_gone() {
        let here = place(Some("b".repeat(32)), 8, 42);
        assert!(is_gone(&seen(""), &here), "stopped");
        assert!(is_gone(&seen(&format!("{here}/01M8")), &here), "killed here");
        let elsewhere = [
            format!("{}/01M8", place(Some("c".repeat(32)), 8, 42)),
            format!("{}/01M8", place(Some("b".repeat(32)), 8, 43)),
            "unknown".to_owned(),
        ];
        for instance in elsewhere {
            assert!(!is_gone(&seen(&instance), &here), "{instance}");
        }
        assert_ne!(place(None, 8, 42), place(None, 8, 42), "without a start of the machine nobody is a predecessor");
    }

    #[test]
    fn one_state_serves_one_broker() {
        let folder = tempfile::tempdir().unwrap();
        let lock = folder.path().join(LOCK);
        let held = take_lock(&lock).unwrap();
        assert!(matches!(take_lock(&lock), Err(PresenceError::SameState { .. })));
        drop(held);
        take_lock(&lock).unwrap();
    }
}
