//! What does not hold yet. Each of these lists only shrinks: what holds must be struck, or its test fails.

/// File of the broker (without `.rs` or `/mod.rs`), and what it still names.
pub(super) const ARROWS: &[(&str, &str)] = &[
    ("session/forward", "crate::ssh"),
    ("session/forward/client", "crate::ssh"),
    ("session/forward/client", "russh"),
    ("session/forward/dial", "crate::ssh"),
    ("session/forward/filter", "crate::tcp"),
    ("session/forward/limits", "crate::ssh"),
    ("session/forward/ssh", "crate::ssh"),
    ("session/forward/ssh", "russh"),
    ("session/forward/stream", "crate::ssh"),
    ("session/forward/stream", "crate::tcp"),
    ("session/forward/stream", "russh"),
    ("session/forward/stream/plain", "crate::ssh"),
    ("session/forward/stream/plain", "crate::tcp"),
    ("tcp/lane", "crate::ssh"),
    ("tcp/lane", "russh"),
    ("tcp/person", "crate::ssh"),
    ("tcp/person", "russh"),
    ("tcp/relay", "crate::ssh"),
    ("tcp/relay", "russh"),
];

/// Folders and files in which there is still a circle.
pub(super) const CIRCLES: &[&[&str]] =
    &[&["broker/src/session", "broker/src/ssh", "broker/src/tcp", "broker/src/login"]];

/// Files that lie beside their folder.
pub(super) const LAYOUT: &[&str] =
    &["broker/src/session/forward/stream.rs", "broker/src/tcp/filtered.rs", "broker/src/tcp/journal.rs"];

/// Modules of tests of other names.
pub(super) const UNIT_TESTS: &[&str] = &[];

/// Files that bring in another by `#[path]`.
pub(super) const PATHS: &[&str] = &[];
