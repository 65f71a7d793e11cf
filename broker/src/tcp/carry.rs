//! A session over one TCP stream: connect to the asset, join it to the person, and stop at the first reason to end.

use std::time::Duration;

use sallyport_policy::{Protocol, RecorderTrouble};
use sallyport_protocol_filter::{Journal, modbus, rdp, rfb};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::connect::{ConnectError, connect};
use super::filtered::Filtered;
use super::journal::Notes;
use super::keep_rules::{Ruled, keep_rules};
use super::person::{Hear, Person, Speak};
use super::relay::{Relay, StreamEnd};
use super::seldom::seldom;
use crate::live::End;
use crate::session::{Carrier, Due, Leg, Limits, Record, Recorded, Track, Unrecorded, VIEW_ONLY_GRACE};

/// Somebody who wants a stream, and has had no answer yet.
pub(crate) trait Caller: Send {
    /// Where they are heard.
    type From: Hear;
    /// How they are spoken to.
    type To: Speak;

    /// Where they say the connection comes from. Nobody has checked it.
    fn originator(&self) -> &str;

    /// Cancelled when they are gone.
    fn gone(&self) -> &CancellationToken;

    /// The stream begins.
    fn accept(self) -> impl Future<Output = Person<Self::From, Self::To>> + Send;

    /// There will be none; with one plain sentence.
    fn turn_away(self, why: NoStream, sentence: String) -> impl Future<Output = ()> + Send;
}

/// Why there is no stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoStream {
    /// It may not be, or cannot be recorded.
    Prohibited,
    /// The asset cannot be reached.
    Unreachable,
}

/// Carries a session over one stream.
pub(crate) struct Stream<C>(pub(crate) C);

impl<C: Caller> Carrier for Stream<C> {
    async fn carry(self, session: &Recorded) -> End {
        carry(self.0, session, session.record()).await
    }

    async fn turn_away(self, sentence: String) {
        self.0.turn_away(NoStream::Prohibited, sentence).await;
    }
}

/// Connects to the asset and carries the stream until something ends the session.
pub(super) async fn carry<C: Caller>(caller: C, session: &Recorded, record: &Record) -> End {
    let asset = session.target().asset.as_str();
    let gone = caller.gone().clone();
    let (socket, protocol) = match connected(session, &gone).await {
        Ok(connected) => connected,
        Err(NotConnected { end, sentence }) => {
            let sentence = sentence.or_else(|| end.sentence(asset)).unwrap_or_default();
            caller.turn_away(NoStream::Unreachable, sentence).await;
            return end;
        }
    };
    let Ok(track) = open_track(session, record, protocol, caller.originator()) else {
        let end = End::RecordingFailed;
        caller.turn_away(NoStream::Prohibited, end.sentence(asset).unwrap_or_default()).await;
        return end;
    };
    match protocol {
        Protocol::Modbus => filter::<modbus::Filter, C>(caller, socket, session, track, protocol).await,
        Protocol::Vnc => filter::<rfb::Filter, C>(caller, socket, session, track, protocol).await,
        Protocol::Rdp => filter::<rdp::Filter, C>(caller, socket, session, track, protocol).await,
        Protocol::Ssh | Protocol::Tcp => relay(caller, socket, session, track).await,
    }
}

/// Why there is no connection, and what the person is told where that is more than the end itself says.
struct NotConnected {
    end: End,
    sentence: Option<String>,
}

impl From<End> for NotConnected {
    fn from(end: End) -> Self {
        Self { end, sentence: None }
    }
}

/// Connects to the asset, unless the person leaves or the session must end first.
async fn connected(session: &Recorded, gone: &CancellationToken) -> Result<(TcpStream, Protocol), NotConnected> {
    let Leg::Stream { protocol } = session.leg() else { return Err(End::AssetUnreachable.into()) };
    let address = session.address();
    let connected = tokio::select! {
        biased;
        end = session.end_asked() => return Err(end.into()),
        () = gone.cancelled() => return Err(End::Left.into()),
        connected = connect(address, session.broker().config.ssh.dial_timeout) => connected,
    };
    match connected {
        Ok(socket) => {
            session.notice(serde_json::json!({ "notice": "connected", "address": address.to_string() }))?;
            Ok((socket, *protocol))
        }
        Err(error) => Err(not_connected(session, &error)),
    }
}

fn not_connected(session: &Recorded, error: &ConnectError) -> NotConnected {
    let target = session.target();
    tracing::warn!(session = session.id(), asset = %target.asset, %error, "No connection to the asset");
    let end = End::AssetUnreachable;
    match session.notice(serde_json::json!({ "notice": end.word(), "reason": error.to_string() })) {
        Ok(()) => {
            let sentence = error.sentence(target.asset.as_str(), target.service.as_str());
            NotConnected { end, sentence: Some(sentence) }
        }
        Err(unrecorded) => unrecorded.into(),
    }
}

fn open_track(session: &Recorded, record: &Record, protocol: Protocol, originator: &str) -> Result<Track, Unrecorded> {
    // However long the asset took to answer, the person was not idle.
    record.activity.touch();
    let opened = record.open(&serde_json::json!({
        "channel": "stream",
        "service": session.target().service,
        "protocol": protocol,
        "originator": originator,
        "asset": session.target().asset,
        "address": session.address().to_string(),
    }));
    opened.inspect_err(|unrecorded| {
        tracing::error!(session = session.id(), %unrecorded, "The beginning of a stream could not be recorded");
    })
}

/// Carries a stream of a decoded protocol, judged by the rules as they are at each moment.
async fn filter<F: Ruled, C: Caller>(
    caller: C,
    asset: TcpStream,
    session: &Recorded,
    track: Track,
    protocol: Protocol,
) -> End
where
    F::Rules: PartialEq + Send + Sync,
    Notes: Journal<F>,
{
    let mut limits = Limits::new(session, track.record());
    let (first, _) = F::rules_of(session).await;
    let person = caller.accept().await;
    let (sender, receiver) = watch::channel(first.clone());
    let filter = F::begin(first);
    let mut relay = Filtered::new(track, protocol.as_str(), filter, F::budgets(), person, asset).viewing(F::viewing);
    let (end, outcome) = tokio::select! {
        ended = first_end(session, &mut limits, relay.run(receiver)) => ended,
        never = seldom(keep_rules::<F>(session, &sender)) => match never {},
    };
    if let Some(StreamEnd::Malformed(malformed)) = &outcome {
        let asset = &session.target().asset;
        tracing::info!(session = session.id(), %asset, %protocol, malformed, "A stream was ended");
    }
    relay.close(outcome.as_ref()).await;
    end
}

/// Carries a stream that nobody looks into.
async fn relay<C: Caller>(caller: C, asset: TcpStream, session: &Recorded, track: Track) -> End {
    let mut limits = Limits::new(session, track.record());
    let mut relay = Relay::new(track, caller.accept().await, asset);
    let (end, outcome) = first_end(session, &mut limits, relay.run()).await;
    relay.close(outcome.as_ref()).await;
    end
}

async fn first_end(
    session: &Recorded,
    limits: &mut Limits<'_>,
    running: impl Future<Output = StreamEnd>,
) -> (End, Option<StreamEnd>) {
    let mut running = std::pin::pin!(running);
    loop {
        tokio::select! {
            biased;
            due = seldom(limits.due()) => match due {
                Due::End(end) => return (end, None),
                // A stream has no place for words; its end is the only message.
                Due::Warning(_) | Due::Sentence(_) => {}
                Due::ViewOnly(end, grace) => if let Err(end) = session.view_only(&end, grace).await { return (end, None) },
                Due::InputBack => if let Err(end) = session.input_back().await { return (end, None) },
                Due::RecorderFailed(reason) => {
                    let grace = match session.recorder_trouble(&reason).await {
                        Ok(RecorderTrouble::ViewOnly) => VIEW_ONLY_GRACE,
                        Ok(RecorderTrouble::End) => Duration::ZERO,
                        Err(end) => return (end, None),
                    };
                    return tokio::select! {
                        end = limits.grace(grace) => (end, None),
                        outcome = &mut running => (End::RecordingFailed, Some(outcome)),
                    };
                }
            },
            outcome = &mut running => return (end(&outcome), Some(outcome)),
        }
    }
}

fn end(outcome: &StreamEnd) -> End {
    match outcome {
        StreamEnd::Left => End::Left,
        StreamEnd::AssetClosed | StreamEnd::AssetReset(_) => End::AssetClosed,
        StreamEnd::Malformed(reason) => End::Malformed { reason: reason.clone() },
        StreamEnd::Denied => End::Denied,
    }
}
