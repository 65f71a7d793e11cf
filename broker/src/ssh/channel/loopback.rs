//! A connection to the asset's own loopback through the inner session: bytes both ways, recorded within a budget.
use std::sync::Arc;

use russh::{Channel, client, server};
use serde_json::json;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::context::ChannelContext;
use super::session_channel::{ChannelError, join};
use super::supervise::supervise;
use super::traffic::Traffic;

/// Relays a direct-tcpip channel that the asset has opened to `host` and `port` of its own, on a track of its own.
pub(crate) fn relay_forward(
    client: Channel<server::Msg>,
    asset: Channel<client::Msg>,
    context: ChannelContext,
    host: &str,
    port: u16,
) -> Result<JoinHandle<()>, ChannelError> {
    let track = context.record.open(&json!({ "channel": "forward", "host": host, "port": port }))?;
    let (seat, id) = (context.record.activity.seat(), track.id());
    let ends = Arc::new(join(client, None, asset, context, track, None));
    let (start, started) = oneshot::channel();
    let task = tokio::spawn(supervise(ends, started, seat));
    if start.send(Traffic::Bulk).is_err() {
        tracing::debug!(track = %id, "A forwarded connection ended as it began");
    }
    Ok(task)
}
