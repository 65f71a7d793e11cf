//! The person's side of a decoded stream: where they are heard, and how they are spoken to.

use bytes::Bytes;
use russh::{Channel, server};
use tokio_util::sync::CancellationToken;

use super::lane::{Fault, Outlet, ToPerson};
use crate::ssh::Flow;
use crate::ssh::channel::reader::{Item, Received, batch_cost, joined, same_batch};

/// The person's side of a stream.
pub(crate) struct Person {
    pub(super) from: FromPerson,
    pub(super) to: IntoPerson,
    /// Nothing that is sent to them arrives any more.
    pub(super) gone: CancellationToken,
}

/// What a person does.
pub(super) enum Heard<'a> {
    /// They have sent these bytes.
    Bytes(&'a [u8]),
    /// They will send no more, and still listen.
    Finished,
    /// They have left.
    Left,
}

impl Person {
    /// On a channel of their ssh connection, which holds what `flow` says.
    pub(crate) fn on_channel(channel: Channel<server::Msg>, flow: Flow) -> Self {
        let id = channel.id();
        let (read, write) = channel.split();
        let stop = CancellationToken::new();
        let received = Received::windowed(read, id, &flow, stop.clone());
        let gone = received.gone.clone();
        let to = IntoPerson::Channel(ToPerson::new(write, flow, gone.clone()));
        let from = FromPerson::Channel(FromChannel { received, stop, held: Bytes::new(), owed: 0 });
        Self { from, to, gone }
    }
}

/// Where a person is heard.
pub(super) enum FromPerson {
    Channel(FromChannel),
    #[cfg(any(test, feature = "bench-listener"))]
    Socket(super::plain::FromSocket),
}

impl FromPerson {
    /// Waits for what they do next.
    pub(super) async fn next(&mut self) -> Heard<'_> {
        match self {
            FromPerson::Channel(channel) => channel.next().await,
            #[cfg(any(test, feature = "bench-listener"))]
            FromPerson::Socket(socket) => socket.next().await,
        }
    }

    /// What was heard last is dealt with.
    pub(super) fn release(&mut self) {
        match self {
            FromPerson::Channel(channel) => channel.release(),
            #[cfg(any(test, feature = "bench-listener"))]
            FromPerson::Socket(_) => {}
        }
    }

    /// Nobody will hear them any more.
    pub(super) fn close(&self) {
        match self {
            FromPerson::Channel(channel) => {
                channel.stop.cancel();
                channel.received.queue.close();
            }
            #[cfg(any(test, feature = "bench-listener"))]
            FromPerson::Socket(_) => {}
        }
    }
}

/// The queue that their channel is drained into.
pub(super) struct FromChannel {
    received: Received,
    stop: CancellationToken,
    held: Bytes,
    /// What `held` counts for in the queue.
    owed: usize,
}

impl FromChannel {
    async fn next(&mut self) -> Heard<'_> {
        loop {
            self.release();
            let Some(items) = self.received.queue.take(same_batch).await else { return Heard::Left };
            self.owed = batch_cost(&items);
            match items.first() {
                Some(Item::Data(_)) => {
                    self.held = joined(&items);
                    return Heard::Bytes(&self.held);
                }
                Some(Item::Eof) => return Heard::Finished,
                Some(Item::Close) => return Heard::Left,
                Some(Item::Extended(..) | Item::ExitStatus(_) | Item::ExitSignal { .. } | Item::Wake) | None => {}
            }
        }
    }

    fn release(&mut self) {
        self.held = Bytes::new();
        match std::mem::take(&mut self.owed) {
            0 => {}
            owed => self.received.queue.release(owed),
        }
    }
}

/// How a person is spoken to.
pub(super) enum IntoPerson {
    Channel(ToPerson),
    #[cfg(any(test, feature = "bench-listener"))]
    Socket(super::plain::ToSocket),
}

impl IntoPerson {
    pub(super) async fn close(&mut self) {
        match self {
            IntoPerson::Channel(channel) => channel.close().await,
            #[cfg(any(test, feature = "bench-listener"))]
            IntoPerson::Socket(socket) => socket.close().await,
        }
    }
}

impl Outlet for IntoPerson {
    async fn send(&mut self, bytes: Bytes) -> Result<(), Fault> {
        match self {
            IntoPerson::Channel(channel) => channel.send(bytes).await,
            #[cfg(any(test, feature = "bench-listener"))]
            IntoPerson::Socket(socket) => socket.send(bytes).await,
        }
    }

    async fn finish(&mut self) -> Result<(), Fault> {
        match self {
            IntoPerson::Channel(channel) => channel.finish().await,
            #[cfg(any(test, feature = "bench-listener"))]
            IntoPerson::Socket(socket) => socket.finish().await,
        }
    }
}
