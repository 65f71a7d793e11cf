//! A session channel of the workstation: what comes in, and what goes out.

use bytes::Bytes;
use russh::{Channel, ChannelWriteHalf, server};
use tokio_util::sync::CancellationToken;

use crate::ssh::drain::{Drain, Item, Received, batch_cost, joined, same_batch};

/// What the client sends, in order.
#[derive(Debug)]
pub(super) struct Input {
    received: Received,
    stop: CancellationToken,
}

/// What the client gets.
#[derive(Debug)]
pub(super) struct Output {
    half: ChannelWriteHalf<server::Msg>,
    /// On a terminal, a new line needs its carriage return.
    terminal: bool,
}

/// The client has gone.
#[derive(Debug, thiserror::Error)]
#[error("the client has gone")]
pub(super) struct Gone;

pub(super) fn split(channel: Channel<server::Msg>, terminal: bool) -> (Input, Output) {
    let (read, half) = channel.split();
    let stop = CancellationToken::new();
    let received = Received::start(read, None, Drain { stop: stop.clone(), impatient: Box::new(|| true) });
    (Input { received, stop }, Output { half, terminal })
}

impl Input {
    /// The next bytes; `None` at the end of input and when the client has gone.
    pub(super) async fn next(&mut self) -> Option<Bytes> {
        loop {
            let items = self.received.queue.take(same_batch).await?;
            self.received.queue.release(batch_cost(&items));
            match items.first() {
                Some(Item::Data(_)) => return Some(joined(&items)),
                Some(Item::Eof | Item::Close) => return None,
                _ => {}
            }
        }
    }

    /// Resolves when the client has closed the channel.
    pub(super) async fn gone(&self) {
        self.received.gone.cancelled().await;
    }
}

impl Drop for Input {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Output {
    pub(super) fn is_terminal(&self) -> bool {
        self.terminal
    }

    pub(super) async fn bytes(&self, bytes: impl Into<Bytes> + Send) -> Result<(), Gone> {
        self.half.data_bytes(bytes).await.map_err(|_| Gone)
    }

    pub(super) async fn text(&self, text: &str) -> Result<(), Gone> {
        if text.is_empty() {
            return Ok(());
        }
        self.bytes(self.lines(text)).await
    }

    pub(super) async fn error(&self, text: &str) -> Result<(), Gone> {
        if text.is_empty() {
            return Ok(());
        }
        // A terminal has one screen for both.
        if self.terminal {
            return self.text(text).await;
        }
        self.half.extended_data_bytes(1, self.lines(text)).await.map_err(|_| Gone)
    }

    /// The end: exit status, end of output, close.
    pub(super) async fn finish(self, status: u32) -> Result<(), Gone> {
        self.half.exit_status(status).await.map_err(|_| Gone)?;
        self.half.eof().await.map_err(|_| Gone)?;
        self.half.close().await.map_err(|_| Gone)
    }

    fn lines(&self, text: &str) -> String {
        if self.terminal { text.replace('\n', "\r\n") } else { text.to_owned() }
    }
}
