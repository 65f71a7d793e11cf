//! A folder of pictures in their order, and an index.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use sallyport_protocol_filter::rfb::Screen;
use serde::Serialize;

use super::picture::{self, Kept, Part};
use crate::cli::CliError;

/// Pictures of a screen: the session's time is cut into periods, and of each the last picture is kept, if it differs from the one
/// kept before. Holds one picture beside the screen itself.
pub(super) struct Album {
    folder: PathBuf,
    period_micros: u64,
    index: Option<File>,
    kept: Kept,
    /// When the screen changed in a period that is not over: by the calendar and from the start, in microseconds.
    changed: Option<(i64, u64)>,
    /// How many there are, and how many bytes they take.
    pub(super) frames: u64,
    pub(super) bytes: u64,
}

/// A line of the index.
#[derive(Debug, Serialize)]
struct Line<'a> {
    at: Timestamp,
    offset_micros: u64,
    file: &'a str,
    width: u16,
    height: u16,
    bytes: u64,
    changed: Part,
}

const INDEX: &str = "index.jsonl";

impl Album {
    /// An album in a folder that is empty or does not exist; nothing is made before the first picture is there.
    pub(super) fn new(folder: PathBuf, period: Duration) -> Result<Self, CliError> {
        match fs::read_dir(&folder).map(|mut entries| entries.next().is_some()) {
            Ok(false) => {}
            Ok(true) => {
                let folder = folder.display();
                return Err(CliError::Failed(format!("`{folder}` is not empty; give a folder that is, or a new one")));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(CliError::Failed(format!("cannot read `{}`: {error}", folder.display()))),
        }
        let period_micros = u64::try_from(period.as_micros()).unwrap_or(u64::MAX).max(1);
        Ok(Self { folder, period_micros, index: None, kept: Kept::default(), changed: None, frames: 0, bytes: 0 })
    }

    /// Something comes at that time: keeps what the screen showed before it, if a period ends between.
    pub(super) fn reach(&mut self, offset: u64, screen: &Screen) -> Result<(), CliError> {
        match self.changed {
            Some((_, changed)) if changed / self.period_micros != offset / self.period_micros => self.keep(screen),
            Some(_) | None => Ok(()),
        }
    }

    /// The screen may have changed.
    pub(super) fn changed(&mut self, unix_micros: i64, offset: u64) {
        self.changed = Some((unix_micros, offset));
    }

    /// Nothing comes any more.
    pub(super) fn end(&mut self, screen: &Screen) -> Result<(), CliError> {
        self.keep(screen)
    }

    fn keep(&mut self, screen: &Screen) -> Result<(), CliError> {
        let Some((unix_micros, offset_micros)) = self.changed.take() else { return Ok(()) };
        let (width, height) = screen.size();
        let visible = width > 0 && height > 0;
        let Some(changed) = self.kept.replace(screen).filter(|_| visible) else { return Ok(()) };
        let at = Timestamp::from_microsecond(unix_micros).unwrap_or_default();
        let file = format!("{:06}-{}.png", self.frames + 1, at.strftime("%Y%m%dT%H%M%S%.3fZ"));
        let bytes = self.write(screen, &file)?;
        let line = Line { at, offset_micros, file: &file, width, height, bytes, changed };
        let line = serde_json::to_string(&line).map_err(CliError::failed)? + "\n";
        let line = sallyport_plain::json(&line);
        self.index()?.write_all(line.as_bytes()).map_err(|error| cannot_write(&self.folder.join(INDEX), &error))?;
        self.frames += 1;
        self.bytes += bytes;
        Ok(())
    }

    /// Tells how many bytes it took.
    fn write(&self, screen: &Screen, name: &str) -> Result<u64, CliError> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.folder)
            .map_err(|error| cannot_write(&self.folder, &error))?;
        let path = self.folder.join(name);
        let mut out = BufWriter::new(new_file(&path)?);
        match picture::write(screen, &mut out) {
            Ok(()) => {}
            Err(png::EncodingError::IoError(error)) => return Err(cannot_write(&path, &error)),
            Err(error) => return Err(picture::error(error)),
        }
        let file = out.into_inner().map_err(|error| cannot_write(&path, error.error()))?;
        Ok(file.metadata().map_err(|error| cannot_write(&path, &error))?.len())
    }

    fn index(&mut self) -> Result<&mut File, CliError> {
        let index = match self.index.take() {
            Some(index) => index,
            None => new_file(&self.folder.join(INDEX))?,
        };
        Ok(self.index.insert(index))
    }
}

/// Pictures show what the recording does: nobody else may read them.
fn new_file(path: &Path) -> Result<File, CliError> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(|error| cannot_write(path, &error))
}

fn cannot_write(path: &Path, error: &io::Error) -> CliError {
    CliError::Failed(format!("cannot write `{}`: {error}", path.display()))
}
