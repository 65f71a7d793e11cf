//! A session channel of the workstation: what comes in, and what goes out.

use std::time::Duration;

use bytes::Bytes;
use russh::{Channel, ChannelMsg, ChannelReadHalf, ChannelWriteHalf, server};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// What the client sends, in order.
#[derive(Debug)]
pub(super) struct Input {
    bytes: mpsc::Receiver<Bytes>,
    gone: CancellationToken,
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
    let (sender, bytes) = mpsc::channel(MOST_WAITING);
    let input = Input { bytes, gone: CancellationToken::new(), stop: CancellationToken::new() };
    tokio::spawn(input.stop.clone().run_until_cancelled_owned(receive(read, sender, input.gone.clone())));
    (input, Output { half, terminal })
}

/// Takes what comes as it comes, to know when the client has gone. Who sends on while nothing is read for long has gone too.
async fn receive(mut half: ChannelReadHalf, bytes: mpsc::Sender<Bytes>, gone: CancellationToken) {
    let mut bytes = Some(bytes);
    while let Some(message) = half.wait().await {
        let data = match message {
            ChannelMsg::Data { data } => data,
            ChannelMsg::Eof => {
                bytes = None;
                continue;
            }
            ChannelMsg::Close => break,
            _ => continue,
        };
        let Some(to) = &bytes else { continue };
        if !matches!(tokio::time::timeout(TAKEN_WITHIN, to.send(data)).await, Ok(Ok(()))) {
            break;
        }
    }
    gone.cancel();
}

/// So many packets of up to 32 KiB wait on a channel.
const MOST_WAITING: usize = 256;
/// How long they may wait.
const TAKEN_WITHIN: Duration = Duration::from_secs(30);

impl Input {
    /// The next bytes; `None` at the end of input and when the client has gone.
    pub(super) async fn next(&mut self) -> Option<Bytes> {
        self.bytes.recv().await
    }

    /// Resolves when the client has closed the channel.
    pub(super) async fn gone(&self) {
        self.gone.cancelled().await;
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
