//! The workstation's files: one folder, and no way out of it. The kernel resolves every path below the folder
//! (`openat2` with `RESOLVE_IN_ROOT`), so neither `..` nor a symbolic link leads elsewhere.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{AtFlags, Dir, Mode, OFlags, ResolveFlags, Stat};

/// The root of the simulated file system; a cheap clone.
#[derive(Debug, Clone)]
pub(super) struct Root {
    folder: Arc<OwnedFd>,
}

/// One entry of a folder.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) name: Vec<u8>,
    pub(super) stat: Stat,
}

impl Root {
    pub(super) fn open_folder(path: &Path) -> io::Result<Self> {
        let folder = rustix::fs::open(path, OFlags::DIRECTORY | OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
        let root = Self { folder: Arc::new(folder) };
        // Says at once when the kernel is too old for `openat2`.
        root.stat("/", true)?;
        Ok(root)
    }

    /// Opens a regular file.
    pub(super) fn open(&self, path: &str, flags: OFlags, mode: Mode) -> io::Result<File> {
        // A FIFO must not make the server wait for its other end.
        let opened = self.resolve(path, flags | OFlags::NONBLOCK | OFlags::NOCTTY, mode)?;
        let file = File::from(opened);
        if !file.metadata()?.is_file() {
            return Err(io::Error::other("not a regular file"));
        }
        Ok(file)
    }

    pub(super) fn stat(&self, path: &str, follow: bool) -> io::Result<Stat> {
        let flags = if follow { OFlags::PATH } else { OFlags::PATH | OFlags::NOFOLLOW };
        Ok(rustix::fs::fstat(self.resolve(path, flags, Mode::empty())?)?)
    }

    /// The entries of a folder by name, without `.` and `..`.
    pub(super) fn list(&self, path: &str) -> io::Result<Vec<Entry>> {
        let folder = self.resolve(path, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty())?;
        let mut entries = Vec::new();
        for entry in Dir::read_from(&folder)? {
            let name = entry?.file_name().to_bytes().to_vec();
            if name == b"." || name == b".." {
                continue;
            }
            let stat = rustix::fs::statat(&folder, name.as_slice(), AtFlags::SYMLINK_NOFOLLOW)?;
            entries.push(Entry { name, stat });
        }
        entries.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(entries)
    }

    pub(super) fn remove_file(&self, path: &str) -> io::Result<()> {
        let (folder, name) = self.parent(path)?;
        Ok(rustix::fs::unlinkat(folder, name, AtFlags::empty())?)
    }

    pub(super) fn remove_folder(&self, path: &str) -> io::Result<()> {
        let (folder, name) = self.parent(path)?;
        Ok(rustix::fs::unlinkat(folder, name, AtFlags::REMOVEDIR)?)
    }

    pub(super) fn make_folder(&self, path: &str) -> io::Result<()> {
        let (folder, name) = self.parent(path)?;
        Ok(rustix::fs::mkdirat(folder, name, Mode::from_raw_mode(0o755))?)
    }

    /// Gives a file a new name that nothing has yet.
    pub(super) fn rename(&self, from: &str, to: &str, replace: bool) -> io::Result<()> {
        let (from_folder, from_name) = self.parent(from)?;
        let (to_folder, to_name) = self.parent(to)?;
        let flags = if replace { rustix::fs::RenameFlags::empty() } else { rustix::fs::RenameFlags::NOREPLACE };
        Ok(rustix::fs::renameat_with(from_folder, from_name, to_folder, to_name, flags)?)
    }

    /// The folder in which a path's last part lies, and that part: a plain name.
    fn parent<'a>(&self, path: &'a str) -> io::Result<(OwnedFd, &'a str)> {
        let path = path.trim_end_matches('/');
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        if name.is_empty() || name == "." || name == ".." {
            return Err(io::Error::from(io::ErrorKind::InvalidInput));
        }
        Ok((self.resolve(folder, OFlags::PATH | OFlags::DIRECTORY, Mode::empty())?, name))
    }

    fn resolve(&self, path: &str, flags: OFlags, mode: Mode) -> io::Result<OwnedFd> {
        let below = path.trim_start_matches('/');
        let below = if below.is_empty() { "." } else { below };
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        Ok(rustix::fs::openat2(&*self.folder, below, flags | OFlags::CLOEXEC, mode, resolve)?)
    }
}

/// A path as the client means it: absolute, without `.`, `..` and doubled slashes.
pub(super) fn absolute(folder: &str, path: &str) -> String {
    let whole = if path.starts_with('/') { path.to_owned() } else { format!("{folder}/{path}") };
    let mut parts: Vec<&str> = Vec::new();
    for part in whole.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    use super::*;

    #[test]
    fn paths_are_made_absolute() {
        assert_eq!(absolute("/home/operator", "a/./b//../c"), "/home/operator/a/c");
        assert_eq!(absolute("/home/operator", "../../../../etc"), "/etc");
        assert_eq!(absolute("/", "."), "/");
    }

    #[test]
    fn no_path_leads_out_of_the_folder() {
        let outside = tempfile::tempdir().unwrap();
        std::fs::write(outside.path().join("secret"), "s").unwrap();
        let inside = outside.path().join("root");
        std::fs::create_dir_all(inside.join("home")).unwrap();
        for (link, target) in [("up", ".."), ("file", "../secret"), ("absolute", outside.path().to_str().unwrap())] {
            std::os::unix::fs::symlink(target, inside.join(link)).unwrap();
        }
        let root = Root::open_folder(&inside).unwrap();
        let write = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC;
        for path in [
            "../secret",
            "/../secret",
            "up/secret",
            "file",
            "absolute/secret",
            "home/../../secret",
            "/proc/self/root/etc/passwd",
        ] {
            assert!(root.open(path, OFlags::RDONLY, Mode::empty()).is_err(), "{path} was opened");
        }
        // Below the root these are new files of its own, or errors; the file outside is not touched.
        for path in ["../secret", "up/secret", "absolute/secret", "file"] {
            if root.open(path, write, Mode::from_raw_mode(0o600)).is_ok() {
                assert!(inside.join("secret").exists(), "{path}");
            }
            let removed = root.remove_file(path).is_ok();
            assert!(removed || path.starts_with("absolute"), "{path}");
        }
        assert_eq!(std::fs::read_to_string(outside.path().join("secret")).unwrap(), "s");
        assert!(root.rename("home", "up/moved", true).is_ok());
        assert!(inside.join("moved").exists());
        assert!(!outside.path().join("moved").exists());
    }
}
