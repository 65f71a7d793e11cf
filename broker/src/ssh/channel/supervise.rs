//! What holds a channel's pumps together: both are joined, and whatever ends them, both ends are closed and recorded.
use std::sync::Arc;
use std::time::Duration;

use sallyport_session_recorder::Kind;
use serde_json::json;
use tokio::sync::oneshot;

use super::ends::{Ends, Fault};
use super::queue::STALLS_AFTER;
use super::traffic::Traffic;
use crate::session::{Seat, Unrecorded};

/// When the asset has closed already, the answer to the request that began it comes within this.
const START_WITHIN: Duration = Duration::from_secs(1);
/// What is left to say at the end is said within this.
const CLOSED_WITHIN: Duration = Duration::from_secs(2);

/// Waits for the channel's program, pumps until it is over, and closes.
///
/// The channel counts among its session's until then: what the person's connection still holds of it does not matter.
pub(crate) async fn supervise(ends: Arc<Ends>, started: oneshot::Receiver<Traffic>, seat: Seat) {
    let traffic = await_start(&ends, started).await;
    if let Some(traffic) = traffic {
        let traffic = Arc::new(traffic);
        let reason = run(&ends, &traffic).await;
        if let Err(fault) = ends.finish(&traffic).await {
            tracing::debug!(%fault, track = %ends.track.id(), "What a channel left unfinished was not reported");
        }
        if let Some(reason) = reason {
            ends.say(&reason).await;
        }
    }
    close(&ends).await;
    drop(seat);
}

async fn await_start(ends: &Ends, mut started: oneshot::Receiver<Traffic>) -> Option<Traffic> {
    tokio::select! {
        biased;
        () = ends.stop.cancelled() => None,
        traffic = &mut started => traffic.ok(),
        () = ends.from_client.gone.cancelled() => None,
        () = ends.from_asset.stalled.cancelled() => None,
        () = ends.from_asset.gone.cancelled() => {
            // A short program ends before the answer to its request has been passed on.
            tokio::time::timeout(START_WITHIN, started).await.ok().and_then(Result::ok)
        }
    }
}

/// Both pumps to their end. Gives the sentence that the person is owed if the channel was cut short.
async fn run(ends: &Arc<Ends>, traffic: &Arc<Traffic>) -> Option<String> {
    let mut input = tokio::spawn({
        let (ends, traffic) = (Arc::clone(ends), Arc::clone(traffic));
        async move { ends.pump_input(&traffic).await }
    });
    let mut output = tokio::spawn({
        let (ends, traffic) = (Arc::clone(ends), Arc::clone(traffic));
        async move { ends.pump_output(&traffic).await }
    });
    let reason = tokio::select! {
        () = ends.from_asset.stalled.cancelled() => Some(not_taken()),
        ended = &mut output => {
            input.abort();
            sentence(ended)
        }
        // The person has closed, and the asset with them: russh passes on nothing of a channel that was closed here.
        ended = &mut input => sentence(ended),
    };
    input.abort();
    output.abort();
    reason
}

fn not_taken() -> String {
    let seconds = STALLS_AFTER.as_secs();
    format!(
        "your side has not taken anything for {seconds} s; this channel was ended so that others of its session go on"
    )
}

fn sentence(ended: Result<Result<(), Fault>, tokio::task::JoinError>) -> Option<String> {
    match ended {
        Ok(Ok(()) | Err(Fault::Ending)) => None,
        Ok(Err(Fault::Unrecorded(Unrecorded::Failed))) => {
            Some("recording failed, so nothing more is passed on".to_owned())
        }
        Ok(Err(fault @ Fault::Unrecorded(Unrecorded::TooLong(_) | Unrecorded::Held))) => {
            Some(format!("the channel was ended: {fault}"))
        }
        Ok(Err(Fault::Malformed(malformed))) => Some(format!("the channel was ended: {malformed}")),
        Ok(Err(Fault::Report)) => Some("file transfers can no longer be reported; the channel was ended".to_owned()),
        Err(error) if error.is_cancelled() => None,
        Err(error) => {
            tracing::error!(%error, "A channel's pump failed");
            Some("the broker failed on this channel; it was ended".to_owned())
        }
    }
}

async fn close(ends: &Ends) {
    let exit = ends.take_exit().unwrap_or_else(|| json!({}));
    if let Err(fault) = ends.track.append_json(Kind::Closed, &exit) {
        tracing::debug!(%fault, track = %ends.track.id(), "A channel's end was not recorded");
    }
    let closed = async {
        // The other side's answer to this is taken by its drain task, which ends with the channel.
        if ends.client.close().await.is_err() {
            ends.from_client.gone.cancel();
        }
        if ends.asset.close().await.is_err() {
            ends.from_asset.gone.cancel();
        }
    };
    if tokio::time::timeout(CLOSED_WITHIN, closed).await.is_err() {
        tracing::debug!(track = %ends.track.id(), "A connection did not take a channel's close in time");
    }
    ends.stop.cancel();
    ends.from_client.queue.abandon();
    ends.from_asset.queue.abandon();
}
