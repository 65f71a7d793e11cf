//! The person's side of a stream on a channel of their ssh connection (`-L`, `-W`).

use bytes::Bytes;
use russh::server::{self, ChannelOpenHandle};
use russh::{Channel, ChannelOpenFailure, ChannelWriteHalf};
use tokio_util::sync::CancellationToken;

use super::flow::Flow;
use super::item::{Item, batch_cost, joined, same_batch};
use super::reader::Received;
use crate::tcp::{Caller, Gone, Hear, Heard, NoStream, Person, Speak};

/// Bytes handed to russh at a time, so that a slow person's progress shows.
const PIECE: usize = 32 * 1024;

/// A channel whose opening has not been answered yet.
pub(in crate::ssh) struct ChannelCaller {
    /// Their end.
    pub(in crate::ssh) channel: Channel<server::Msg>,
    /// Opens it, or says why not.
    pub(in crate::ssh) reply: ChannelOpenHandle,
    /// Where their client says the connection comes from. Nobody has checked it.
    pub(in crate::ssh) originator: String,
    /// Cancelled when their connection is gone.
    pub(in crate::ssh) gone: CancellationToken,
    /// What their connection holds.
    pub(in crate::ssh) flow: Flow,
}

impl Caller for ChannelCaller {
    type From = FromChannel;
    type To = ToChannel;

    fn originator(&self) -> &str {
        &self.originator
    }

    fn gone(&self) -> &CancellationToken {
        &self.gone
    }

    async fn accept(self) -> Person<FromChannel, ToChannel> {
        self.reply.accept().await;
        person(self.channel, self.flow)
    }

    async fn turn_away(self, why: NoStream, sentence: String) {
        // RFC 4254, 5.1: SSH_OPEN_ADMINISTRATIVELY_PROHIBITED and SSH_OPEN_CONNECT_FAILED.
        let code = match why {
            NoStream::Prohibited => 1,
            NoStream::Unreachable => 2,
        };
        self.reply.reject(ChannelOpenFailure::Other { code, reason: sentence }).await;
    }
}

fn person(channel: Channel<server::Msg>, flow: Flow) -> Person<FromChannel, ToChannel> {
    let id = channel.id();
    let (read, write) = channel.split();
    let stop = CancellationToken::new();
    let received = Received::windowed(read, id, &flow, stop.clone());
    let gone = received.gone.clone();
    let to = ToChannel { channel: write, flow, gone: gone.clone() };
    Person { from: FromChannel { received, stop, owed: 0 }, to, gone }
}

/// The queue that their channel is drained into.
pub(in crate::ssh) struct FromChannel {
    received: Received,
    stop: CancellationToken,
    /// What was heard last still counts for so much in the queue.
    owed: usize,
}

impl Hear for FromChannel {
    async fn next(&mut self) -> Heard {
        loop {
            self.release(usize::MAX);
            let Some(items) = self.received.queue.take(same_batch).await else { return Heard::Left };
            self.owed = batch_cost(&items);
            match items.first() {
                Some(Item::Data(_)) => return Heard::Bytes(joined(&items)),
                Some(Item::Eof) => return Heard::Finished,
                Some(Item::Close) => return Heard::Left,
                Some(Item::Extended(..) | Item::ExitStatus(_) | Item::ExitSignal { .. } | Item::Wake) | None => {}
            }
        }
    }

    fn release(&mut self, bytes: usize) {
        let bytes = bytes.min(self.owed);
        self.owed -= bytes;
        if bytes > 0 {
            self.received.queue.release(bytes);
        }
    }

    fn close(&mut self) {
        self.stop.cancel();
        self.received.queue.close();
    }
}

/// Their channel.
pub(in crate::ssh) struct ToChannel {
    channel: ChannelWriteHalf<server::Msg>,
    flow: Flow,
    gone: CancellationToken,
}

impl ToChannel {
    /// Waits for the channel's window, but not for somebody who is gone.
    async fn write(&self, write: impl Future<Output = Result<(), russh::Error>>) -> Result<(), Gone> {
        tokio::select! {
            biased;
            sent = write => sent.map_err(|_| Gone),
            () = self.gone.cancelled() => Err(Gone),
        }
    }
}

impl Speak for ToChannel {
    async fn send(&mut self, mut bytes: Bytes) -> Result<(), Gone> {
        while !bytes.is_empty() {
            let piece = bytes.split_to(bytes.len().min(PIECE));
            self.write(self.flow.send(&self.channel, None, piece)).await?;
        }
        Ok(())
    }

    async fn finish(&mut self) -> Result<(), Gone> {
        self.write(self.channel.eof()).await
    }

    async fn close(&mut self) {
        if self.write(self.channel.close()).await.is_err() {
            tracing::debug!("The person's connection was gone before its channel was closed");
        }
    }
}
