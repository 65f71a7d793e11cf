//! The folder that sheets are written to: nobody else's, and empty before.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// A folder for sheets. What was written to it goes again, unless it is kept.
#[derive(Debug)]
pub(super) struct SheetFolder {
    path: PathBuf,
    written: Vec<PathBuf>,
}

/// Why sheets cannot be written there.
#[derive(Debug, thiserror::Error)]
pub(super) enum FolderError {
    #[error("`{path}` cannot be used: {source}")]
    Unusable { path: String, source: io::Error },
    #[error("`{0}` is not a folder; name a new one")]
    NotAFolder(String),
    #[error("others than its owner can read `{0}`; run `chmod 700` on it, or name a new folder")]
    Open(String),
    #[error("`{0}` belongs to somebody else; name a new folder")]
    NotOwn(String),
    #[error("there are files in `{0}`; name a new folder, so that sheets are not mixed up")]
    NotEmpty(String),
}

impl SheetFolder {
    /// Makes it, or takes it if it is empty and nobody else can look into it.
    pub(super) fn open(path: &Path) -> Result<Self, FolderError> {
        let shown = || path.display().to_string();
        let unusable = |source| FolderError::Unusable { path: shown(), source };
        match DirBuilder::new().mode(0o700).create(path) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let found = std::fs::symlink_metadata(path).map_err(unusable)?;
                if !found.is_dir() {
                    return Err(FolderError::NotAFolder(shown()));
                }
                if found.uid() != rustix::process::geteuid().as_raw() {
                    return Err(FolderError::NotOwn(shown()));
                }
                if found.mode() & 0o077 != 0 {
                    return Err(FolderError::Open(shown()));
                }
                if std::fs::read_dir(path).map_err(unusable)?.next().is_some() {
                    return Err(FolderError::NotEmpty(shown()));
                }
            }
            Err(error) => return Err(unusable(error)),
        }
        Ok(Self { path: path.to_owned(), written: Vec::new() })
    }

    /// Writes a file, so that it outlasts a power failure.
    pub(super) fn write(&mut self, name: &str, bytes: &[u8]) -> Result<PathBuf, FolderError> {
        let path = self.path.join(name);
        let write = || {
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
            file.write_all(bytes)?;
            file.sync_all()
        };
        let done = write();
        self.written.push(path.clone());
        done.and_then(|()| File::open(&self.path)?.sync_all())
            .map_err(|source| FolderError::Unusable { path: path.display().to_string(), source })?;
        Ok(path)
    }

    /// The sheets are good: they stay.
    pub(super) fn keep(mut self) {
        self.written.clear();
    }
}

/// Sheets of envelopes that were not sealed open nothing: nobody shall find one in an emergency.
impl Drop for SheetFolder {
    fn drop(&mut self) {
        for path in &self.written {
            if let Err(error) = std::fs::remove_file(path) {
                crate::cli::output::tell(&format!(
                    "`{}` opens nothing, and cannot be removed: {error}",
                    path.display()
                ));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn sheets_are_readable_for_their_owner_alone_and_stay_only_if_kept() {
        let above = tempfile::tempdir().unwrap();
        let path = above.path().join("sheets");
        let mut folder = SheetFolder::open(&path).unwrap();
        let sheet = folder.write("envelope-1.txt", b"sheet").unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().mode() & 0o777;
        assert_eq!((mode(&path), mode(&sheet)), (0o700, 0o600));
        drop(folder);
        assert!(!sheet.exists());
        let mut folder = SheetFolder::open(&path).unwrap();
        folder.write("envelope-1.txt", b"sheet").unwrap();
        folder.keep();
        assert_eq!(std::fs::read(sheet).unwrap(), b"sheet");
    }

    #[test]
    fn a_folder_that_others_read_or_that_is_not_empty_is_refused() {
        let above = tempfile::tempdir().unwrap();
        let refused = |path: &Path| SheetFolder::open(path).unwrap_err();
        let open = above.path().join("open");
        std::fs::create_dir(&open).unwrap();
        for mode in [0o755, 0o750, 0o701] {
            std::fs::set_permissions(&open, std::fs::Permissions::from_mode(mode)).unwrap();
            assert!(matches!(refused(&open), FolderError::Open(_)));
        }
        std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o700)).unwrap();
        SheetFolder::open(&open).unwrap();
        let file = open.join("envelope-1.txt");
        std::fs::write(&file, b"another's").unwrap();
        assert!(matches!(refused(&open), FolderError::NotEmpty(_)));
        assert!(matches!(refused(&file), FolderError::NotAFolder(_)));
        symlink(&open, above.path().join("link")).unwrap();
        assert!(matches!(refused(&above.path().join("link")), FolderError::NotAFolder(_)));
        assert!(matches!(refused(&above.path().join("no/such")), FolderError::Unusable { .. }));
        assert_eq!(std::fs::read(file).unwrap(), b"another's");
    }
}
