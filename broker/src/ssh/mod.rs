//! The SSH legs: towards the person and towards the asset.
mod channel;
mod command;
mod context;
mod drain;
mod forward;
mod pipe;
mod queue;
mod relay;
mod scp;
mod sftp;
mod sftp_packet;
mod supervise;
mod transfer;

pub use channel::{Answer, ChannelError, ChannelRequest, Sentence, SessionChannel};
pub use context::{Activity, ChannelContext, Evidence, Seat, Trouble, TroubleSignal};
pub use forward::relay_forward;
pub use pipe::pipe;
pub use queue::bytes_queued;
pub use transfer::{FileOutcome, FileReport, Transferred, Via, Way};

#[cfg(test)]
mod relay_tests;
#[cfg(test)]
mod testbed;
