//! A real program on the asset's side of a test.
use std::process::Stdio;

use russh::{Channel, server};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_util::sync::CancellationToken;

use crate::ssh::channel::flow::Flow;
use crate::ssh::channel::item::{Item, batch_cost, joined, same_batch};
use crate::ssh::channel::reader::Received;

/// Runs a real program with the channel as its standard input and output.
pub(super) async fn program_on_the_asset(program: &str, channel: Channel<server::Msg>, flow: &Flow) {
    let mut child = tokio::process::Command::new("/bin/sh")
        .args(["-c", program])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let (mut input, mut output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let channel_id = channel.id();
    let (read, write) = channel.split();
    let received = Received::windowed(read, channel_id, flow, CancellationToken::new());
    let feeding = tokio::spawn(async move {
        while let Some(items) = received.queue.take(same_batch).await {
            let Some(Item::Data(_)) = items.first() else { break };
            if input.write_all(&joined(&items)).await.is_err() {
                break;
            }
            received.queue.release(batch_cost(&items));
        }
    });
    let mut block = bytes::BytesMut::new();
    loop {
        block.reserve(64 * 1024);
        if output.read_buf(&mut block).await.unwrap() == 0 {
            break;
        }
        if write.data_bytes(block.split().freeze()).await.is_err() {
            break;
        }
    }
    let status = child.wait().await.unwrap().code().unwrap_or(255);
    let _the_person_may_be_gone = async {
        write.exit_status(u32::try_from(status).unwrap()).await?;
        write.eof().await?;
        write.close().await
    }
    .await;
    feeding.abort();
}
