//! The relay of one stream: both directions to their ends, each by itself, until one side is gone.

use std::io::{self, ErrorKind};
use std::pin::pin;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use sallyport_session_recorder::{Budget, Direction};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio_util::sync::CancellationToken;

use super::entries;
use super::person::{Gone, Hear, Heard, Person, Speak};
use crate::session::{Track, Unrecorded};

/// What is read from an asset at once.
const READ: usize = 64 * 1024;
/// What a person had sent before they left is passed on for so long.
const LEFTOVERS: Duration = Duration::from_secs(10);
/// What an asset had sent before it broke off is shown for so long, and its last words are awaited for so long.
pub(super) const ASSET_LAST_WORDS: Duration = Duration::from_secs(2);
/// When the asset has ended its direction, the person's may go on; but not while nothing comes for so long.
const AFTER_ASSET: Duration = Duration::from_secs(10);

/// How a stream came to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum StreamEnd {
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

impl StreamEnd {
    pub(super) fn word(&self) -> &'static str {
        match self {
            StreamEnd::Left => "left",
            StreamEnd::AssetClosed => "asset-closed",
            StreamEnd::AssetReset(_) => "asset-reset",
            StreamEnd::Malformed(_) => "malformed",
            StreamEnd::Denied => "denied",
        }
    }
}

/// One stream between a person and an asset's socket, that nobody looks into.
pub(crate) struct Relay<H, S> {
    track: Track,
    from_person: H,
    to_person: S,
    gone: CancellationToken,
    from_asset: OwnedReadHalf,
    to_asset: OwnedWriteHalf,
    input: Passed,
    output: Passed,
}

/// What has passed one way.
#[derive(Default)]
struct Passed {
    bytes: u64,
    budget: Budget,
}

impl Passed {
    /// What is to go on this way goes on record first.
    ///
    /// INVARIANT: no byte is sent that this has not let pass.
    fn record(&mut self, track: &Track, direction: Direction, bytes: &[u8]) -> Result<(), Unrecorded> {
        track.record().activity.touch();
        entries::record(track, direction, bytes, &mut self.budget)?;
        self.bytes += bytes.len() as u64;
        Ok(())
    }
}

/// Why a direction stops before its end.
#[derive(Debug, thiserror::Error)]
enum Broken {
    #[error(transparent)]
    Person(#[from] Gone),
    #[error("the asset broke the connection off: {0}")]
    Asset(#[source] io::Error),
}

/// How the person's direction came to its end.
enum Ended {
    /// They have sent all they had to send.
    Finished,
    /// They have left.
    Left,
}

impl<H: Hear, S: Speak> Relay<H, S> {
    /// Joins them.
    pub(crate) fn new(track: Track, person: Person<H, S>, asset: TcpStream) -> Self {
        let (from_asset, to_asset) = asset.into_split();
        let Person { from, to, gone } = person;
        let (input, output) = (Passed::default(), Passed::default());
        Self { track, from_person: from, to_person: to, gone, from_asset, to_asset, input, output }
    }

    /// Passes what comes until the stream is over. A caller that stops waiting closes it all the same.
    pub(crate) async fn run(&mut self) -> StreamEnd {
        let Self { track, from_person, to_person, gone, from_asset, to_asset, input, output } = self;
        let (track, gone) = (&*track, &*gone);
        let passing = async {
            let input = pass_input(track, from_person, gone, to_asset, input);
            let output = pass_output(track, from_asset, to_person, gone, output);
            both(track, input, output).await
        };
        tokio::select! {
            biased;
            outcome = passing => outcome,
            () = too_late(gone) => StreamEnd::Left,
        }
    }

    /// Puts the end on the track and closes both sides; `outcome` is how the stream itself ended, if it did.
    pub(crate) async fn close(mut self, outcome: Option<&StreamEnd>) {
        let mut body = json!({
            "end": outcome.map_or("cut", StreamEnd::word),
            "input_bytes": self.input.bytes,
            "output_bytes": self.output.bytes,
        });
        if let Some(StreamEnd::AssetReset(reason)) = outcome {
            body["reason"] = json!(reason);
        }
        entries::closed(&self.track, &body);
        if outcome.is_none() {
            // What the asset has not taken yet of a session that was ended must not reach it later.
            abandon(self.from_asset.as_ref());
        }
        let last_words = async {
            tokio::join!(self.to_person.close(), async {
                // A socket closed over unread bytes is reset, which could take back what was sent to it last.
                if matches!(outcome, Some(StreamEnd::Left)) && self.to_asset.shutdown().await.is_ok() {
                    let mut unread = [0; 4096];
                    while self.from_asset.read(&mut unread).await.is_ok_and(|count| count > 0) {}
                }
            });
        };
        if tokio::time::timeout(ASSET_LAST_WORDS, last_words).await.is_err() {
            tracing::debug!("A stream's sides did not close in time");
        }
        self.from_person.close();
    }
}

async fn both(
    track: &Track,
    input: impl Future<Output = Result<Ended, Broken>>,
    output: impl Future<Output = Result<(), Broken>>,
) -> StreamEnd {
    let (mut input, mut output) = (pin!(input), pin!(output));
    let first = tokio::select! {
        ended = &mut input => Ok(ended),
        ended = &mut output => Err(ended),
    };
    match first {
        Ok(Ok(Ended::Left)) => StreamEnd::Left,
        Ok(Ok(Ended::Finished)) => output.await.map_or_else(outcome, |()| StreamEnd::Left),
        Ok(Err(broken)) => {
            if tokio::time::timeout(ASSET_LAST_WORDS, output).await.is_err() {
                tracing::debug!("An asset that takes nothing more had more to say");
            }
            outcome(broken)
        }
        Err(Ok(())) => {
            tokio::select! {
                _ = input => {}
                () = quiet(track) => {}
            }
            StreamEnd::AssetClosed
        }
        Err(Err(Broken::Person(_))) => {
            if let Err(broken) = input.await {
                tracing::debug!(%broken, "What a person had sent before they left was not all passed on");
            }
            StreamEnd::Left
        }
        Err(Err(broken)) => outcome(broken),
    }
}

fn outcome(broken: Broken) -> StreamEnd {
    match broken {
        Broken::Person(_) => StreamEnd::Left,
        Broken::Asset(error) => StreamEnd::AssetReset(error.to_string()),
    }
}

async fn pass_input<H: Hear>(
    track: &Track,
    from: &mut H,
    gone: &CancellationToken,
    to: &mut OwnedWriteHalf,
    passed: &mut Passed,
) -> Result<Ended, Broken> {
    loop {
        match from.next().await {
            Heard::Bytes(bytes) => {
                // It has to be whole: while input is held it waits, and the person sends no more than there is room for.
                if !input_free(track, gone).await {
                    return Ok(Ended::Left);
                }
                // What is not recorded is taken and dropped: the session ends, now or after its grace.
                if passed.record(track, Direction::Input, &bytes).is_ok() {
                    send_to_asset(to, bytes, from).await.map_err(Broken::Asset)?;
                }
            }
            // An end of input that was refused in part would pass for the end of the whole.
            Heard::Finished if track.record().trouble.is_raised() => {
                gone.cancelled().await;
                return Ok(Ended::Left);
            }
            Heard::Finished => {
                if !input_free(track, gone).await {
                    return Ok(Ended::Left);
                }
                from.release(usize::MAX);
                to.shutdown().await.map_err(Broken::Asset)?;
                return Ok(Ended::Finished);
            }
            Heard::Left => return Ok(Ended::Left),
        }
    }
}

/// Waits until input may pass; not for somebody who is gone.
async fn input_free(track: &Track, gone: &CancellationToken) -> bool {
    tokio::select! {
        biased;
        () = track.record().input.free() => true,
        () = gone.cancelled() => false,
    }
}

/// The person may send as much more as the asset has taken.
async fn send_to_asset<H: Hear>(to: &mut OwnedWriteHalf, mut bytes: Bytes, from: &mut H) -> io::Result<()> {
    while !bytes.is_empty() {
        let taken = to.write_buf(&mut bytes).await?;
        from.release(taken);
    }
    Ok(())
}

async fn pass_output<S: Speak>(
    track: &Track,
    from: &OwnedReadHalf,
    to: &mut S,
    gone: &CancellationToken,
    passed: &mut Passed,
) -> Result<(), Broken> {
    loop {
        tokio::select! {
            ready = from.readable() => ready.map_err(Broken::Asset)?,
            () = gone.cancelled() => return Err(Gone.into()),
        }
        // Made anew each time: a stream that stands still holds no buffer.
        let mut buffer = BytesMut::with_capacity(READ);
        match from.try_read_buf(&mut buffer) {
            Ok(0) => return Ok(to.finish().await?),
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => continue,
            Err(error) => return Err(Broken::Asset(error)),
        }
        let bytes = buffer.freeze();
        if passed.record(track, Direction::Output, &bytes).is_err() {
            // Nothing more is shown; the session ends.
            std::future::pending::<()>().await;
        }
        to.send(bytes).await?;
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
    while let Some(left) = AFTER_ASSET.checked_sub(track.record().activity.idle_for()).filter(|left| !left.is_zero()) {
        tokio::time::sleep(left).await;
    }
}
