//! The relay of one stream: both directions to their ends, each by itself, until one side is gone.

use std::io::ErrorKind;
use std::pin::pin;
use std::time::Duration;

use bytes::BytesMut;
use russh::{Channel, server};
use sallyport_session_recorder::Direction;
use serde_json::json;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedReadHalf;
use tokio_util::sync::CancellationToken;

use super::lane::{Fault, Lane, Outlet, ToAsset, ToPerson, Track};
use crate::ssh::Flow;
use crate::ssh::channel::reader::{Item, Received, batch_cost, joined, same_batch};

/// What is read from an asset at once.
const READ: usize = 64 * 1024;
/// What a person had sent before they left is passed on for so long.
const LEFTOVERS: Duration = Duration::from_secs(10);
/// What an asset had sent before it broke off is shown for so long, and its last words are awaited for so long.
pub(super) const LAST_WORDS: Duration = Duration::from_secs(2);
/// When the asset has ended its direction, the person's may go on; but not while nothing comes for so long.
const AFTER_ASSET: Duration = Duration::from_secs(10);

/// How a stream came to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The person ended it first.
    Left,
    /// The asset ended it first.
    AssetClosed,
    /// The asset broke it off.
    AssetReset(String),
    /// A side sent what is no message of the protocol.
    Malformed(String),
    /// The filter refused the connection, in the protocol's own words.
    Denied,
}

impl Outcome {
    pub(super) fn word(&self) -> &'static str {
        match self {
            Outcome::Left => "left",
            Outcome::AssetClosed => "asset-closed",
            Outcome::AssetReset(_) => "asset-reset",
            Outcome::Malformed(_) => "malformed",
            Outcome::Denied => "denied",
        }
    }
}

/// One stream between a person's channel and an asset's socket.
pub(crate) struct Relay {
    track: Track,
    from_person: Received,
    from_asset: OwnedReadHalf,
    input: Lane<ToAsset>,
    output: Lane<ToPerson>,
    stop: CancellationToken,
}

/// How the person's direction came to its end.
enum Ended {
    /// They have sent all they had to send.
    Finished,
    /// They have closed their channel.
    Closed,
}

impl Relay {
    /// Joins them; `flow` is that of the person's connection.
    pub(crate) fn new(track: Track, channel: Channel<server::Msg>, asset: TcpStream, flow: Flow) -> Self {
        let id = channel.id();
        let (read, write) = channel.split();
        let (from_asset, to_asset) = asset.into_split();
        let stop = CancellationToken::new();
        let from_person = Received::windowed(read, id, &flow, stop.clone());
        let input = Lane::new(Direction::Input, ToAsset::new(to_asset, from_person.clone()));
        let output = Lane::new(Direction::Output, ToPerson::new(write, flow, from_person.gone.clone()));
        Self { track, from_person, from_asset, input, output, stop }
    }

    /// Passes what comes until the stream is over. A caller that stops waiting closes it all the same.
    pub(crate) async fn run(&mut self) -> Outcome {
        let Self { track, from_person, from_asset, input, output, stop: _ } = self;
        tokio::select! {
            biased;
            outcome = both(track, from_person, from_asset, input, output) => outcome,
            () = too_late(&from_person.gone) => Outcome::Left,
        }
    }

    /// Puts the end on the track and closes both sides; `outcome` is how the stream itself ended, if it did.
    pub(crate) async fn close(mut self, outcome: Option<&Outcome>) {
        let mut body = json!({
            "end": outcome.map_or("cut", Outcome::word),
            "input_bytes": self.input.passed,
            "output_bytes": self.output.passed,
        });
        if let Some(Outcome::AssetReset(reason)) = outcome {
            body["reason"] = json!(reason);
        }
        self.track.closed(&body);
        if outcome.is_none() {
            // What the asset has not taken yet of a session that was ended must not reach it later.
            abandon(self.from_asset.as_ref());
        }
        let last_words = async {
            tokio::join!(self.output.to.close(), async {
                // A socket closed over unread bytes is reset, which could take back what was sent to it last.
                if matches!(outcome, Some(Outcome::Left)) && self.input.to.finish().await.is_ok() {
                    let mut unread = [0; 4096];
                    while self.from_asset.read(&mut unread).await.is_ok_and(|count| count > 0) {}
                }
            });
        };
        if tokio::time::timeout(LAST_WORDS, last_words).await.is_err() {
            tracing::debug!("A stream's sides did not close in time");
        }
        self.stop.cancel();
        self.from_person.queue.close();
    }
}

async fn both(
    track: &Track,
    from_person: &Received,
    from_asset: &OwnedReadHalf,
    input: &mut Lane<ToAsset>,
    output: &mut Lane<ToPerson>,
) -> Outcome {
    let mut input = pin!(pass_input(track, from_person, input));
    let mut output = pin!(pass_output(track, from_person, from_asset, output));
    let first = tokio::select! {
        ended = &mut input => Ok(ended),
        ended = &mut output => Err(ended),
    };
    match first {
        Ok(Ok(Ended::Closed)) => Outcome::Left,
        Ok(Ok(Ended::Finished)) => output.await.map_or_else(outcome, |()| Outcome::Left),
        Ok(Err(fault)) => {
            if tokio::time::timeout(LAST_WORDS, output).await.is_err() {
                tracing::debug!("An asset that takes nothing more had more to say");
            }
            outcome(fault)
        }
        Err(Ok(())) => {
            tokio::select! {
                _ = input => {}
                () = quiet(track) => {}
            }
            Outcome::AssetClosed
        }
        Err(Err(Fault::Person)) => {
            if let Err(fault) = input.await {
                tracing::debug!(%fault, "What a person had sent before they left was not all passed on");
            }
            Outcome::Left
        }
        Err(Err(fault)) => outcome(fault),
    }
}

fn outcome(fault: Fault) -> Outcome {
    match fault {
        Fault::Person | Fault::Recorder => Outcome::Left,
        Fault::Asset(error) => Outcome::AssetReset(error.to_string()),
    }
}

async fn pass_input(track: &Track, from: &Received, lane: &mut Lane<ToAsset>) -> Result<Ended, Fault> {
    while let Some(items) = from.queue.take(same_batch).await {
        lane.to.owe(batch_cost(&items));
        match items.first() {
            Some(Item::Data(_)) => {
                let bytes = joined(&items);
                drop(items);
                match lane.pass(track, bytes).await {
                    // The session ends, now or after its grace. Until then input is taken and dropped.
                    Ok(()) | Err(Fault::Recorder) => {}
                    Err(fault) => return Err(fault),
                }
            }
            // An end of input that was refused in part would pass for the end of the whole.
            Some(Item::Eof) if track.trouble.trouble().is_some() => {}
            Some(Item::Eof) => {
                from.queue.close();
                lane.to.finish().await?;
                return Ok(Ended::Finished);
            }
            Some(Item::Close) => return Ok(Ended::Closed),
            Some(Item::Extended(..) | Item::ExitStatus(_) | Item::ExitSignal { .. } | Item::Wake) | None => {}
        }
        lane.to.settle();
    }
    Ok(Ended::Closed)
}

async fn pass_output(
    track: &Track,
    person: &Received,
    from: &OwnedReadHalf,
    lane: &mut Lane<ToPerson>,
) -> Result<(), Fault> {
    loop {
        tokio::select! {
            ready = from.readable() => ready.map_err(Fault::Asset)?,
            () = person.gone.cancelled() => return Err(Fault::Person),
        }
        // Made anew each time: a stream that stands still holds no buffer.
        let mut buffer = BytesMut::with_capacity(READ);
        match from.try_read_buf(&mut buffer) {
            Ok(0) => return lane.to.finish().await,
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => continue,
            Err(error) => return Err(Fault::Asset(error)),
        }
        match lane.pass(track, buffer.freeze()).await {
            // Nothing more is shown; the session ends.
            Err(Fault::Recorder) => std::future::pending().await,
            passed => passed?,
        }
    }
}

/// A socket that is closed now is reset, and drops what it has not sent.
pub(super) fn abandon(socket: &TcpStream) {
    if let Err(error) = socket.set_zero_linger() {
        tracing::debug!(%error, "An asset's socket could not be told to drop what it holds");
    }
}

/// Resolves some time after the person has gone.
pub(super) async fn too_late(gone: &CancellationToken) {
    gone.cancelled().await;
    tokio::time::sleep(LEFTOVERS).await;
}

/// Resolves when nothing has moved for a while.
pub(super) async fn quiet(track: &Track) {
    while let Some(left) = AFTER_ASSET.checked_sub(track.activity.idle_for()).filter(|left| !left.is_zero()) {
        tokio::time::sleep(left).await;
    }
}
