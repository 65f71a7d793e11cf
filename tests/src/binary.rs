//! Where things are: the repository and the `sallyport` under test.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The root of the repository.
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the workspace")
}

/// The `sallyport` under test: `SALLYPORT_BIN`, or the one that lies beside this test binary.
///
/// nextest's set-up script has built it; anybody else gets it built here, once per process.
pub fn sallyport() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| match std::env::var_os("SALLYPORT_BIN") {
        Some(path) => PathBuf::from(path),
        None => beside_this_binary(),
    })
}

fn beside_this_binary() -> PathBuf {
    let this = std::env::current_exe().expect("this binary has a path");
    // target/debug/deps/it-0123 or target/release/bench
    let folder = this.ancestors().skip(1).find(|folder| !folder.ends_with("deps")).expect("a target folder");
    let binary = folder.join("sallyport");
    if std::env::var_os("NEXTEST").is_none() && folder.ends_with("debug") {
        let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
        let status = Command::new(cargo)
            .args(["build", "--quiet", "--workspace", "--all-targets"])
            .current_dir(repository())
            .status()
            .expect("cargo starts");
        assert!(status.success(), "the sallyport under test does not build");
    }
    assert!(binary.is_file(), "{} was not built", binary.display());
    binary
}
