//! Recordings on disk: where they are, how full the disk is, how long they are kept.
