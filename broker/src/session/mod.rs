//! The trusted core: one session from connecting to its end.
