//! The relay between a client and an asset, in one process.

pub(crate) mod bed;
mod openssh;
mod relay;
mod slow;
