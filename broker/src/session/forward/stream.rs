//! A session over one TCP stream: dial the asset, join it to the person's channel, and stop at the first reason to end.

#[cfg(feature = "bench-listener")]
mod plain;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use russh::server::{self, ChannelOpenHandle};
use russh::{Channel, ChannelOpenFailure};
use sallyport_policy::{Protocol, RecorderTrouble};
use sallyport_protocol_filter::{Journal, modbus, rdp, rfb};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::VIEW_ONLY_GRACE;
use super::filter::Ruled;
use super::limits::{Due, Limits};
use crate::live::End;
use crate::session::authorize::Leg;
use crate::session::{Authorized, Recorded, Session, StartRefusal};
use crate::ssh::{Activity, Flow, TroubleSignal};
use crate::tcp::{self, ConnectError, Filtered, Notes, Outcome, Person, Relay, Track};

/// The person's side of a stream: a channel whose opening has not been answered yet.
pub struct Caller {
    /// Their end.
    pub channel: Channel<server::Msg>,
    /// Opens it, or says why not.
    pub reply: ChannelOpenHandle,
    /// Where their client says the connection comes from. Nobody has checked it.
    pub originator: String,
    /// Cancelled when their connection is gone.
    pub gone: CancellationToken,
    /// What their connection holds.
    pub flow: Flow,
}

/// The person's end, once the answer is due.
struct Opening {
    channel: Channel<server::Msg>,
    reply: ChannelOpenHandle,
    flow: Flow,
}

/// A stream that is to be carried.
struct Stream {
    track: Track,
    protocol: Protocol,
    opening: Opening,
    socket: TcpStream,
}

impl Caller {
    /// Refuses the channel, with one plain sentence.
    pub async fn turn_away(self, sentence: String) {
        reject(self.reply, PROHIBITED, sentence).await;
    }
}

/// SSH_OPEN_ADMINISTRATIVELY_PROHIBITED
const PROHIBITED: u32 = 1;
/// SSH_OPEN_CONNECT_FAILED
const CONNECT_FAILED: u32 = 2;

async fn reject(reply: ChannelOpenHandle, code: u32, reason: String) {
    reply.reject(ChannelOpenFailure::Other { code, reason }).await;
}

impl Session<Authorized> {
    /// Records and forwards; where the record cannot be had, the person is told and nothing is sent anywhere.
    pub async fn run_stream(self, caller: Caller) -> Result<End, StartRefusal> {
        match self.record().await {
            Ok(recorded) => Ok(recorded.forward_stream(caller).await),
            Err(refusal) => {
                tracing::warn!(reason = %refusal, "A permitted session did not start");
                caller.turn_away(refusal.sentence()).await;
                Err(refusal)
            }
        }
    }
}

impl Session<Recorded> {
    /// Dials the asset and carries the stream until its one end, which is put on the record before this returns.
    pub async fn forward_stream(self, caller: Caller) -> End {
        let end = self.stage.stream(caller).await;
        self.close(end).await
    }
}

impl Recorded {
    async fn stream(&self, caller: Caller) -> End {
        let Caller { channel, reply, originator, gone, flow } = caller;
        let opening = Opening { channel, reply, flow };
        let asset = self.authorized.target.asset.as_str();
        let (socket, protocol) = match self.connect_stream(&gone).await {
            Ok(connected) => connected,
            Err(NotConnected { end, sentence }) => {
                let sentence = sentence.or_else(|| end.sentence(asset)).unwrap_or_default();
                reject(opening.reply, CONNECT_FAILED, sentence).await;
                return end;
            }
        };
        let track = match self.open_track(protocol, &originator) {
            Ok(track) => track,
            Err(end) => {
                reject(opening.reply, PROHIBITED, end.sentence(asset).unwrap_or_default()).await;
                return end;
            }
        };
        self.carry_stream(track, protocol, opening, socket).await
    }

    /// Connects to the asset, unless the person leaves or the session must end first.
    async fn connect_stream(&self, gone: &CancellationToken) -> Result<(TcpStream, Protocol), NotConnected> {
        let (address, protocol) = self.authorized.stream_address().ok_or(End::AssetUnreachable)?;
        let connected = tokio::select! {
            biased;
            end = self.registered.live().switch.asked() => return Err(end.into()),
            () = gone.cancelled() => return Err(End::Left.into()),
            connected = tcp::connect(address, self.authorized.broker.config.ssh.dial_timeout) => connected,
        };
        match connected {
            Ok(socket) => {
                self.notice(serde_json::json!({ "notice": "connected", "address": address.to_string() }))?;
                Ok((socket, protocol))
            }
            Err(error) => Err(self.not_connected(&error)),
        }
    }

    fn not_connected(&self, error: &ConnectError) -> NotConnected {
        let target = &self.authorized.target;
        tracing::warn!(session = %self.id, asset = %target.asset, %error, "No connection to the asset");
        let end = End::AssetUnreachable;
        match self.notice(serde_json::json!({ "notice": end.word(), "reason": error.to_string() })) {
            Ok(()) => {
                let sentence = error.sentence(target.asset.as_str(), target.service.as_str());
                NotConnected { end, sentence: Some(sentence) }
            }
            Err(unrecorded) => unrecorded.into(),
        }
    }

    fn open_track(&self, protocol: Protocol, originator: &str) -> Result<Track, End> {
        let opened = serde_json::json!({
            "channel": "stream",
            "service": self.authorized.target.service,
            "protocol": protocol,
            "originator": originator,
            "asset": self.authorized.target.asset,
            "address": self.authorized.address.to_string(),
        });
        let id = self.recording.opened(&opened).map_err(|error| {
            tracing::error!(session = %self.id, %error, "The recorder failed");
            End::RecordingFailed
        })?;
        Ok(Track {
            recording: Arc::new(self.recording.clone()),
            id,
            activity: Activity::new(),
            trouble: TroubleSignal::new(),
            recorder_trouble: self.authorized.permit.terms.recorder_trouble,
        })
    }

    /// Opens the person's channel and passes what comes until something ends the session.
    async fn carry_stream(&self, track: Track, protocol: Protocol, opening: Opening, socket: TcpStream) -> End {
        let stream = Stream { track, protocol, opening, socket };
        match protocol {
            Protocol::Modbus => self.filter_stream::<modbus::Filter>(stream).await,
            Protocol::Vnc => self.filter_stream::<rfb::Filter>(stream).await,
            Protocol::Rdp => self.filter_stream::<rdp::Filter>(stream).await,
            Protocol::Ssh | Protocol::Tcp => self.relay_stream(stream).await,
        }
    }

    /// Carries a stream of a decoded protocol, judged by the rules as they are at each moment.
    async fn filter_stream<F: Ruled>(&self, stream: Stream) -> End
    where
        F::Rules: Clone + PartialEq + Send + Sync,
        Notes: Journal<F>,
    {
        let Stream { track, protocol, opening, socket } = stream;
        let (first, _) = F::rules_of(self).await;
        opening.reply.accept().await;
        let person = Person::on_channel(opening.channel, opening.flow);
        self.filter_between::<F>(person, socket, (track, protocol), first).await
    }

    /// Carries it between two sides that are both there, from the rules of now on.
    async fn filter_between<F: Ruled>(
        &self,
        person: Person,
        asset: TcpStream,
        (track, protocol): (Track, Protocol),
        first: F::Rules,
    ) -> End
    where
        F::Rules: Clone + PartialEq + Send + Sync,
        Notes: Journal<F>,
    {
        let mut limits = Limits::new(self, &track.activity, &track.trouble);
        let (sender, receiver) = watch::channel(first.clone());
        let filter = (F::begin(first), F::budgets());
        let mut relay = Filtered::new(track, protocol.as_str(), filter, person, asset);
        let (end, outcome) = tokio::select! {
            ended = self.first_end(&mut limits, relay.run(receiver)) => ended,
            never = tcp::seldom(self.keep_rules::<F>(&sender)) => match never {},
        };
        relay.close(outcome.as_ref()).await;
        end
    }

    /// Carries a stream that nobody looks into.
    async fn relay_stream(&self, stream: Stream) -> End {
        let Stream { track, opening, socket, .. } = stream;
        let mut limits = Limits::new(self, &track.activity, &track.trouble);
        opening.reply.accept().await;
        let mut relay = Relay::new(track, opening.channel, socket, opening.flow);
        let (end, outcome) = self.first_end(&mut limits, relay.run()).await;
        relay.close(outcome.as_ref()).await;
        end
    }

    async fn first_end(
        &self,
        limits: &mut Limits<'_>,
        running: impl Future<Output = Outcome>,
    ) -> (End, Option<Outcome>) {
        let mut running = std::pin::pin!(running);
        loop {
            tokio::select! {
                biased;
                due = tcp::seldom(limits.due()) => match due {
                    Due::End(end) => return (end, None),
                    // A stream has no place for words; its end is the only message.
                    Due::Warning(_) => {}
                    Due::RecorderFailed(reason) => {
                        let grace = match self.recorder_trouble(&reason).await {
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
}

impl Authorized {
    fn stream_address(&self) -> Option<(SocketAddr, Protocol)> {
        match self.leg {
            Leg::Stream { protocol } => Some((self.address, protocol)),
            Leg::Ssh { .. } => None,
        }
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

fn end(outcome: &Outcome) -> End {
    match outcome {
        Outcome::Left => End::Left,
        Outcome::AssetClosed | Outcome::AssetReset(_) => End::AssetClosed,
        Outcome::Malformed(reason) => End::Malformed { reason: reason.clone() },
        Outcome::Denied => End::Denied,
    }
}
