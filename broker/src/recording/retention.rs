//! How long recordings are kept: by age and by size, per zone, unless they are held.

use std::io;
use std::path::Path;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};

use super::recordings::{Recordings, RecordingsError};
use crate::audit::AuditEvent;
use crate::store::recordings::Recording;

/// After a jump of the clock, an administrator has so long to mend it.
const DISTRUST: Duration = Duration::from_secs(24 * 3600);

/// One recording that retention removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removed {
    /// Its session.
    pub session: String,
    /// Which rule.
    pub reason: String,
}

impl Recordings {
    /// The calendar cannot be trusted: nothing is removed for a while, since no recording comes back.
    pub fn distrust_the_clock(&self) {
        let until = Instant::now() + DISTRUST;
        *self.inner.retain_from.lock().unwrap_or_else(PoisonError::into_inner) = Some(until);
        tracing::warn!(hours = DISTRUST.as_secs() / 3600, "Retention pauses: the clock has jumped");
    }

    /// Whether the calendar may be believed about the age of recordings.
    pub(super) fn trusts_the_clock(&self) -> bool {
        let from = *self.inner.retain_from.lock().unwrap_or_else(PoisonError::into_inner);
        from.is_none_or(|from| from <= Instant::now())
    }

    /// Removes what retention lets go. The audit chain has it before the file goes.
    ///
    /// # Errors
    /// When the catalogue or the audit chain cannot be written; nothing is removed then that is not on record.
    pub async fn retain(&self, now: Timestamp) -> Result<Vec<Removed>, RecordingsError> {
        let mut removed = Vec::new();
        for (zone, bytes) in self.inner.store.recorded_zones(&self.inner.broker).await? {
            let keep = self.inner.config.retention(&zone);
            let mut bytes = bytes;
            for recording in self.inner.store.removable_recordings(&self.inner.broker, &zone).await? {
                let Some(reason) = reason(&recording, &zone, keep, bytes, now) else { continue };
                if self.remove(&recording, &reason, now).await? {
                    bytes = bytes.saturating_sub(recording.bytes);
                    removed.push(Removed { session: recording.start.session, reason });
                }
            }
        }
        Ok(removed)
    }

    async fn remove(&self, recording: &Recording, reason: &str, now: Timestamp) -> Result<bool, RecordingsError> {
        let session = &recording.start.session;
        let mut write = self.inner.store.begin_quiet_write().await?;
        // A hold that was set since the list was read wins.
        if !self.inner.store.remove_recording(&mut write, session, now).await? {
            return Ok(false);
        }
        let event = AuditEvent::RecordingRemoved {
            session: session.clone(),
            reason: reason.to_owned(),
            recording_head: recording.head.clone(),
            recording_bytes: recording.bytes,
        };
        self.inner.audit.record_in(&mut write, event).await?;
        write.commit().await?;
        let path = self.inner.config.dir.join(&recording.start.path);
        for path in [path.clone(), path.with_extension("srec.torn")] {
            if let Err(error) = remove_file(&path) {
                tracing::error!(session, path = %path.display(), %error, "A recording's file could not be removed");
            }
        }
        Ok(true)
    }
}

fn reason(
    recording: &Recording,
    zone: &str,
    keep: crate::config::Retention,
    bytes: u64,
    now: Timestamp,
) -> Option<String> {
    let age = now.duration_since(recording.closed_at.unwrap_or(recording.start.started_at));
    if let Some(days) = keep.days
        && age > SignedDuration::from_hours(24 * i64::from(days))
    {
        return Some(format!("zone {zone} keeps recordings for {days} days"));
    }
    keep.bytes
        .filter(|most| bytes > *most)
        .map(|most| format!("zone {zone} keeps {most} bytes of recordings, the newest"))
}

fn remove_file(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
