//! Where a recording lies: `<UTC day>/<session>.srec` below the folder of recordings, and nowhere else.
//!
//! The catalogue's word for it is a text in a database that others may write. It is believed only in exactly this form and
//! with the session it stands beside; and no link leads out of the folder, neither in place of the file nor of its day.

use std::fmt;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use jiff::civil::Date;
use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, Mode, OFlags, open, openat, unlinkat};

/// The path of a recording below the folder of recordings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RecordingPath {
    day: Date,
    session: String,
}

/// What stands in the catalogue is not where a recording can lie.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadPath {
    /// No session has such an id.
    #[error("`{0}` is not a session id")]
    Session(String),
    /// The path leads elsewhere, or to another session's recording.
    #[error("the catalogue's path `{path}` is not that of recording `{session}`")]
    Elsewhere {
        /// What stands there, cut where it is long.
        path: String,
        /// Whose path it should be.
        session: String,
    },
}

impl RecordingPath {
    /// Where the recording of a session that starts now is to lie.
    ///
    /// # Errors
    /// When that is no session id.
    pub(crate) fn new(session: &str, started: Timestamp) -> Result<Self, BadPath> {
        if session.len() != SESSION_LENGTH || !session.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(BadPath::Session(cut(session)));
        }
        let day = started.to_zoned(jiff::tz::TimeZone::UTC).date();
        Ok(Self { day, session: session.to_owned() })
    }

    /// Reads what the catalogue has for this session.
    ///
    /// # Errors
    /// When it is anything but `<day>/<session>.srec`.
    pub(crate) fn parse(path: &str, session: &str) -> Result<Self, BadPath> {
        let elsewhere = || BadPath::Elsewhere { path: cut(path), session: cut(session) };
        let day = path.split('/').next().and_then(|day| day.parse::<Date>().ok()).ok_or_else(elsewhere)?;
        let parsed = Self { day, ..Self::new(session, Timestamp::UNIX_EPOCH)? };
        // A day can be written in more than one way; a path only in this one.
        if parsed.to_string() == path { Ok(parsed) } else { Err(elsewhere()) }
    }

    /// The folder of its day.
    pub(super) fn day(&self) -> String {
        self.day.to_string()
    }

    /// Opens the recording for reading.
    ///
    /// # Errors
    /// When it cannot be, or is a link or anything else than a file.
    pub(crate) fn open(&self, folder: &Path) -> io::Result<File> {
        // A pipe in place of the file must not keep us waiting for a writer.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = File::from(openat(&self.open_day(folder)?, self.file_name(), flags, Mode::empty())?);
        if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("it is not a file")) }
    }

    /// Makes the recording's file, which must not exist, in the folder of its day, which must; gives both.
    pub(super) fn create(&self, folder: &Path) -> io::Result<(File, File)> {
        let day = self.open_day(folder)?;
        let file = openat(&day, self.file_name(), OFlags::APPEND | NEW_FILE, OWNER)?;
        Ok((File::from(file), File::from(day)))
    }

    /// Opens the recording for its seal.
    pub(super) fn open_end(&self, folder: &Path) -> io::Result<File> {
        let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(File::from(openat(&self.open_day(folder)?, self.file_name(), flags, Mode::empty())?))
    }

    /// Makes the file for the torn end of a recording anew.
    pub(super) fn create_torn(&self, folder: &Path) -> io::Result<File> {
        let day = self.open_day(folder)?;
        let name = self.torn_name();
        unlink(&day, &name)?;
        Ok(File::from(openat(&day, name, NEW_FILE, OWNER)?))
    }

    /// Removes the recording's file, and what was torn off it. What is not there is no error.
    pub(super) fn remove(&self, folder: &Path) -> io::Result<()> {
        let day = self.open_day(folder)?;
        unlink(&day, &self.file_name())?;
        unlink(&day, &self.torn_name())
    }

    fn open_day(&self, folder: &Path) -> rustix::io::Result<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = open(folder, flags, Mode::empty())?;
        openat(&folder, self.day(), flags | OFlags::NOFOLLOW, Mode::empty())
    }

    fn file_name(&self) -> String {
        format!("{}.srec", self.session)
    }

    fn torn_name(&self) -> String {
        format!("{}.srec.torn", self.session)
    }
}

impl fmt::Display for RecordingPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.day, self.file_name())
    }
}

/// A file of a broker's own, beside the days.
pub(super) fn of_broker(folder: &Path, broker: &str, kind: &str) -> PathBuf {
    let name: String = broker.chars().map(|char| if char.is_alphanumeric() { char } else { '-' }).collect();
    folder.join(format!(".{name}.{kind}"))
}

fn unlink(day: &OwnedFd, name: &str) -> io::Result<()> {
    match unlinkat(day, name, AtFlags::empty()) {
        Err(error) if error != rustix::io::Errno::NOENT => Err(error.into()),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn cut(text: &str) -> String {
    const LONG: usize = 100;
    match text.char_indices().nth(LONG) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// A ULID's.
const SESSION_LENGTH: usize = 26;
/// A file that must not exist.
const NEW_FILE: OFlags =
    OFlags::WRONLY.union(OFlags::CREATE).union(OFlags::EXCL).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
/// Readable and writable for the broker alone.
const OWNER: Mode = Mode::RUSR.union(Mode::WUSR);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

    use std::os::unix::fs::{MetadataExt, symlink};

    use super::*;

    const SESSION: &str = "01jd0000000000000000000001";

    #[test]
    fn a_path_is_a_day_and_its_session_and_nothing_else() {
        let path = format!("2026-11-28/{SESSION}.srec");
        assert_eq!(RecordingPath::parse(&path, SESSION).map(|path| path.to_string()), Ok(path.clone()));
        let started: Timestamp = "2026-11-28T23:59:59Z".parse().unwrap();
        assert_eq!(RecordingPath::new(SESSION, started).map(|path| path.to_string()), Ok(path));
        for bad in [
            "../../decoy/victim.key".to_owned(),
            format!("/2026-11-28/{SESSION}.srec"),
            format!("2026-11-28/../{SESSION}.srec"),
            format!("2026-11-28//{SESSION}.srec"),
            format!("./2026-11-28/{SESSION}.srec"),
            format!("20261128/{SESSION}.srec"),
            format!("2026-02-30/{SESSION}.srec"),
            format!("2026-11-28/{SESSION}.srec.torn"),
            format!("2026-11-28/{SESSION}.srec\0"),
            format!("2026-11-28/{}.srec", SESSION.replace('1', "2")),
            format!("{SESSION}.srec"),
            String::new(),
            "x".repeat(5000),
        ] {
            assert!(matches!(RecordingPath::parse(&bad, SESSION), Err(BadPath::Elsewhere { .. })), "{bad}");
        }
        for id in ["", "../../../../etc/cron.d/abc", "a/b"] {
            let path = format!("2026-11-28/{id}.srec");
            assert!(RecordingPath::parse(&path, id).is_err(), "{id}");
        }
    }

    #[test]
    fn no_link_leads_out_of_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let (inside, outside) = (folder.path().join("recordings"), folder.path().join("outside"));
        let path = RecordingPath::parse(&format!("2026-11-28/{SESSION}.srec"), SESSION).unwrap();
        let victim = outside.join(format!("{SESSION}.srec"));
        std::fs::create_dir(&inside).unwrap();
        std::fs::create_dir(&outside).unwrap();
        std::fs::write(&victim, "precious").unwrap();

        // The day is a link.
        let day = inside.join("2026-11-28");
        symlink(&outside, &day).unwrap();
        assert!(path.open(&inside).is_err());
        assert!(path.open_end(&inside).is_err());
        assert!(path.create_torn(&inside).is_err());
        assert!(path.remove(&inside).is_err());
        assert!(victim.exists());

        // The file is a link: only the link goes.
        std::fs::remove_file(&day).unwrap();
        std::fs::create_dir(&day).unwrap();
        symlink(&victim, day.join(format!("{SESSION}.srec"))).unwrap();
        symlink(&victim, day.join(format!("{SESSION}.srec.torn"))).unwrap();
        assert!(path.open(&inside).is_err());
        assert!(path.open_end(&inside).is_err());
        let torn = path.create_torn(&inside).unwrap();
        assert_eq!(torn.metadata().unwrap().mode() & 0o777, 0o600);
        path.remove(&inside).unwrap();
        assert_eq!(std::fs::read_to_string(&victim).unwrap(), "precious");
        assert_eq!(std::fs::read_dir(&day).unwrap().count(), 0);
        path.remove(&inside).unwrap();
    }
}
