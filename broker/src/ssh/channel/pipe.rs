//! A channel as a byte stream for the SSH session inside it (`ssh -J`).
//!
//! Not russh's `into_stream`: two session loops that stand on each other must not wait for each other, so each way has
//! a task of its own and the incoming one a queue.
use std::sync::Arc;

use bytes::Bytes;
use russh::{Channel, ChannelWriteHalf, server};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadHalf, WriteHalf};
use tokio_util::sync::CancellationToken;

use super::flow::Flow;
use super::item::{Item, batch_cost, same_batch};
use super::reader::Received;

/// What may stand in each direction of the pipe itself.
const PIPE: usize = 256 * 1024;

/// The channel's bytes as a stream, which ends when either side ends; and what is cancelled when the client has ended its side. Whoever
/// reads the stream may not be reading at that moment.
pub(crate) fn pipe(
    channel: Channel<server::Msg>,
    flow: Flow,
) -> (impl AsyncRead + AsyncWrite + Unpin + Send + 'static, CancellationToken) {
    let (near, far) = tokio::io::duplex(PIPE);
    let (from_far, to_far) = tokio::io::split(far);
    let id = channel.id();
    let (read, write) = channel.split();
    let write = Arc::new(write);
    let (stop, left) = (CancellationToken::new(), CancellationToken::new());
    let received = Received::windowed(read, id, &flow, stop.clone());
    let comes = incoming(received.clone(), to_far, Arc::clone(&write), stop.clone());
    let ended = left.clone();
    tokio::spawn(async move {
        // Also where its task is cut short.
        let _ended = ended.drop_guard();
        comes.await;
    });
    tokio::spawn(outgoing(from_far, write, flow, received, stop));
    (near, left)
}

async fn incoming(
    received: Received,
    mut to_far: WriteHalf<DuplexStream>,
    write: Arc<ChannelWriteHalf<server::Msg>>,
    stop: CancellationToken,
) {
    let ended = async {
        while let Some(items) = received.queue.take(same_batch).await {
            let mut owed = batch_cost(&items);
            for item in &items {
                match item {
                    Item::Data(bytes) => {
                        to_far.write_all(bytes).await?;
                        owed = owed.saturating_sub(bytes.len());
                        received.queue.release(bytes.len());
                    }
                    Item::Eof | Item::Close => return Ok(()),
                    Item::Extended(..) | Item::ExitStatus(_) | Item::ExitSignal { .. } | Item::Wake => {}
                }
            }
            received.queue.release(owed);
        }
        Ok::<_, std::io::Error>(())
    };
    let outcome = tokio::select! {
        outcome = ended => outcome,
        () = stop.cancelled() => Ok(()),
    };
    if let Err(error) = outcome {
        tracing::debug!(%error, "An inner session ended before its stream");
    }
    if let Err(error) = to_far.shutdown().await {
        tracing::debug!(%error, "An inner session's stream was closed already");
    }
    if stop.is_cancelled() && write.close().await.is_err() {
        tracing::debug!("The connection around an inner session is gone");
    }
}

async fn outgoing(
    mut from_far: ReadHalf<DuplexStream>,
    write: Arc<ChannelWriteHalf<server::Msg>>,
    flow: Flow,
    received: Received,
    stop: CancellationToken,
) {
    let mut buffer = bytes::BytesMut::new();
    let copied = async {
        loop {
            buffer.reserve(PIPE / 4);
            if from_far.read_buf(&mut buffer).await? == 0 {
                return Ok::<_, std::io::Error>(());
            }
            let bytes: Bytes = buffer.split().freeze();
            if flow.send(&write, None, bytes).await.is_err() {
                return Ok(());
            }
        }
    };
    let outcome = tokio::select! {
        outcome = copied => outcome,
        () = received.gone.cancelled() => Ok(()),
        () = stop.cancelled() => Ok(()),
    };
    if let Err(error) = outcome {
        tracing::debug!(%error, "An inner session's stream failed");
    }
    let ended = async {
        write.eof().await?;
        write.close().await
    };
    if ended.await.is_err() {
        tracing::debug!("The connection around an inner session is gone");
    }
    stop.cancel();
}
