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

pub use context::{ChannelContext, RefusedRequest};
pub use flow::Flow;
pub use loopback::relay_forward;
pub use pipe::pipe;
pub use queue::bytes_queued;
#[cfg(test)]
pub(in crate::ssh) use queue::{SLOW_ABOVE, STALLS_AFTER};
pub(in crate::ssh) use refusal::say_and_close;
pub use request::ChannelRequest;
pub use session_channel::{ChannelAnswer, ChannelError, SessionChannel};
pub(in crate::ssh) use stream_side::ChannelCaller;
