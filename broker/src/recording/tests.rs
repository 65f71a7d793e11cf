//! The recorder and the disk.
