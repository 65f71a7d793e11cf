//! The SSH legs: towards the person and towards the asset.
//!
//! ```text
//! listener ─► Person ─┬─ outer gate ─► lobby ──jump──► Person ── inner gate ─► bound ─► session
//!  (limits)  (russh)  │                    └──through──────────────────────► stream ─► session
//!                     └────────────────────── direct form ────────────────────► bound ─► session
//! ```

mod admission;
mod algorithms;
pub(crate) mod asset;
mod asset_handler;
mod backlog;
mod bound;
mod channel;
mod choosing;
mod command;
mod context;
mod cut;
pub(crate) mod drain;
mod ends;
pub(crate) mod flow;
mod forward;
mod front;
mod inner;
mod listener;
mod listing;
mod lobbies;
mod lobby;
mod login;
mod outer;
mod person;
mod pipe;
mod queue;
mod refusals;
mod relay;
mod renewal;
mod request;
mod scp;
mod sftp;
mod sftp_packet;
mod stream;
mod supervise;
mod through;
mod transfer;

pub use channel::{Answer, ChannelError, Sentence, SessionChannel};
pub use context::{Activity, ChannelContext, Evidence, RefusedRequest, Seat, Trouble, TroubleSignal, VIEW_ONLY_GRACE};
pub use flow::Flow;
pub use forward::relay_forward;
pub use pipe::pipe;
pub use queue::bytes_queued;
pub use request::ChannelRequest;
pub use transfer::{FileOutcome, FileReport, Transferred, Via, Way};

pub use listener::listen;

#[cfg(test)]
mod openssh_tests;
#[cfg(test)]
mod relay_tests;
#[cfg(test)]
mod slow_tests;
#[cfg(test)]
pub(crate) mod testbed;

use jiff::SignedDuration;
use russh::Channel;
use russh::server::Msg;
use sallyport_policy::Subject;

use crate::broker::Broker;

/// Answers a shell, a command or a subsystem with one plain sentence on stderr, if the channel is still open.
async fn say_and_close(channel: Option<Channel<Msg>>, sentence: String) {
    let Some(channel) = channel else { return };
    let (_, writer) = channel.split();
    let said = async {
        writer.extended_data_bytes(1, format!("sallyport: {sentence}\r\n")).await?;
        writer.exit_status(REFUSED).await?;
        writer.eof().await?;
        writer.close().await
    };
    if said.await.is_err() {
        tracing::debug!("The person left before the answer");
    }
}

/// The exit status of what was refused. 255 would look like a broken connection to scp and Ansible.
const REFUSED: u32 = 1;

/// The longest lease that any grant of theirs allows, within the broker's own bound.
fn longest_lease_of(broker: &Broker, subject: &Subject) -> SignedDuration {
    let bound = SignedDuration::try_from(broker.config.longest_lease).unwrap_or(SignedDuration::ZERO);
    broker.policy.current().longest_lease(subject).min(bound)
}
