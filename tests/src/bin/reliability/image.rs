//! A disk of the broker's own: an ext4 file system in a file.

use std::path::{Path, PathBuf};
use std::process::Command;

use sallyport_tests::{Setup, finish};
use tempfile::TempDir;

/// The file, in a folder of its own.
pub(crate) struct Image {
    path: PathBuf,
    folder: TempDir,
}

/// Of it: enough for the recordings of fifty sessions.
const MIB: u32 = 96;

impl Image {
    /// Makes one; `options` are of `mkfs.ext4`.
    pub(crate) fn new(options: &[&str]) -> Image {
        let folder = tempfile::Builder::new().prefix("sallyport-disk-").tempdir_in("/tmp").expect("a folder");
        let path = folder.path().join("image");
        let mut make = Command::new("mkfs.ext4");
        make.args(["-q", "-F", "-m", "0"]).args(options).arg(&path).arg(format!("{MIB}M"));
        finish(make, b"").ok();
        Image { path, folder }
    }

    /// Puts the recordings on it; only the broker sees it mounted.
    pub(crate) fn hold_recordings(&self, setup: Setup, durability: &str) -> Setup {
        let image = self.path.display();
        let mount =
            format!("mkdir -p \"${{3%/*}}\" && mount -o loop {image} \"${{3%/*}}\" && mkdir -p -m 700 \"$3\" && ");
        let settings = format!(
            "[recording]\ndir = \"disk/recordings\"\ndurability = \"{durability}\"\nreserve = \"4MiB\"\n\
             warn_below = \"0\"\nlow_below = \"0\"\ncritical_below = \"0\""
        );
        setup.setting(&settings).before_the_broker(&mount)
    }

    /// What the device holds now, without what the kernel has not written to it yet, mounted: the folder of the recordings. What a disk has
    /// after its power was cut.
    pub(crate) fn after_a_power_cut(&self) -> PathBuf {
        let (cut, mounted) = (self.folder.path().join("cut"), self.folder.path().join("mounted"));
        let script = format!(
            "cp --sparse=always {} {} && mkdir {} && mount -o loop {} {}",
            self.path.display(),
            cut.display(),
            mounted.display(),
            cut.display(),
            mounted.display()
        );
        let mut sh = Command::new("sh");
        sh.args(["-c", &script]);
        finish(sh, b"").ok();
        mounted.join("recordings")
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        let mounted: &Path = &self.folder.path().join("mounted");
        if mounted.exists() {
            let mut umount = Command::new("umount");
            umount.arg(mounted);
            finish(umount, b"");
        }
    }
}
