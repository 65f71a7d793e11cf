//! One channel of a person, joined to one of the asset: read, recorded, sent on; and what a connection holds meanwhile.
//!
//! ```text
//! reader ─► queue ─► pumps ─► ends: recorded, then sent ─► the other side
//! ```

mod context;
mod ends;
pub(crate) mod flow;
pub(crate) mod item;
mod loopback;
mod pipe;
mod pumps;
mod queue;
pub(crate) mod reader;
mod refusal;
mod request;
mod session_channel;
mod stream_side;
mod supervise;
mod traffic;

pub(crate) use context::{ChannelContext, RefusedRequest};
pub(crate) use flow::Flow;
pub(crate) use loopback::relay_forward;
pub(crate) use pipe::pipe;
#[cfg(test)]
pub(in crate::ssh) use queue::{SLOW_ABOVE, STALLS_AFTER, bytes_queued};
pub(in crate::ssh) use refusal::say_and_close;
pub(crate) use request::ChannelRequest;
pub(crate) use session_channel::{ChannelAnswer, LOOKING_ON_ONLY, SessionChannel};
pub(in crate::ssh) use stream_side::ChannelCaller;
