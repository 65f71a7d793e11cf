//! A session over SSH: dial the asset, carry channels, and stop at the first reason to end.

use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use russh::server::{self, ChannelOpenHandle};
use russh::{Channel, ChannelOpenFailure, client};
use sallyport_policy::{ChannelKind, RecorderTrouble, Terms};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::asset::AssetConnection;
use super::client::{Ask, Client, FIRST_CHANNEL, LEFT_WITHIN, Unopened, Voice, accept, refuse, refuse_waiting};
use super::dial::{connect, not_dialled};
use crate::audit::{AuditEvent, Tally, shortened};
use crate::live::End;
use crate::session::{Carrier, Due, Limits, Recorded, VIEW_ONLY_GRACE};
use crate::ssh::{
    ChannelContext, FileOutcome, FileReport, Flow, LOOKING_ON_ONLY, RefusedRequest, SessionChannel, relay_forward,
};
use crate::store::files::TransferredFile;
use crate::vault::Secret;

/// How many channels one session may have open at once.
const MOST_IN_SESSION: usize = 64;

impl Carrier for Client {
    /// Dials the asset and carries channels.
    async fn carry(self, session: &Recorded) -> End {
        let Client { asks, gone, voice, typed } = self;
        let mut run = Run::new(session, asks, gone, voice);
        match run.dial(session, typed).await {
            Ok(asset) => {
                let end = run.carry(session, &asset).await;
                run.leave(session, &end).await;
                asset.close().await;
                end
            }
            Err(end) => {
                run.leave(session, &end).await;
                end
            }
        }
    }

    /// Says it on the channel that the person opens, and closes the connection.
    async fn turn_away(mut self, sentence: String) {
        refuse_waiting(&mut self.asks, &self.gone, &sentence, FIRST_CHANNEL).await;
        self.voice.hang_up(&sentence, &self.gone).await;
    }
}

/// The running part of one session.
struct Run {
    asks: mpsc::Receiver<Ask>,
    gone: CancellationToken,
    voice: Voice,
    context: ChannelContext,
    files: mpsc::Receiver<FileReport>,
    refusals: mpsc::Receiver<RefusedRequest>,
    refused_files: Tally,
    refused_requests: Tally,
    /// Whether a channel was ever asked for.
    served: bool,
}

impl Run {
    fn new(recorded: &Recorded, asks: mpsc::Receiver<Ask>, gone: CancellationToken, voice: Voice) -> Self {
        let (report, files) = mpsc::channel(64);
        let (refused, refusals) = mpsc::channel(64);
        let context = ChannelContext {
            record: recorded.record().clone(),
            terms: Arc::new(recorded.terms().clone()),
            ending: CancellationToken::new(),
            report,
            refused,
            person: voice.flow().clone(),
            asset: Flow::default(),
        };
        let (refused_files, refused_requests) = (Tally::default(), Tally::default());
        Self { asks, gone, voice, context, files, refusals, refused_files, refused_requests, served: false }
    }

    /// Connects to the asset, unless the person leaves or the session must end first.
    async fn dial(&mut self, recorded: &Recorded, typed: Option<Secret<String>>) -> Result<AssetConnection, End> {
        let dialled = tokio::select! {
            biased;
            end = recorded.end_asked() => return Err(end),
            () = self.gone.cancelled() => return Err(End::Left),
            dialled = connect(recorded, typed, self.context.asset.clone()) => dialled,
        };
        let asset = match dialled {
            Ok(asset) => asset,
            Err(error) => return Err(not_dialled(recorded, &error).await),
        };
        recorded.notice(serde_json::json!({
            "notice": "connected",
            "address": recorded.address().to_string(),
            "strict_exchange": asset.strict_exchange(),
        }))?;
        Ok(asset)
    }

    /// Serves what the person asks for until something ends the session.
    async fn carry(&mut self, recorded: &Recorded, asset: &AssetConnection) -> End {
        let mut limits = Limits::new(recorded, recorded.record());
        let closed = asset.closed();
        loop {
            tokio::select! {
                biased;
                due = limits.due() => match due {
                    Due::End(end) => return end,
                    Due::Warning(minutes) => {
                        self.voice.say(&format!("this session ends in about {minutes} min.")).await;
                    }
                    Due::Sentence(sentence) => self.voice.say(&sentence).await,
                    Due::ViewOnly(end, grace) => {
                        if let Err(end) = recorded.view_only(&end, grace).await { return end }
                        self.voice.say(&looking_on(&end, grace)).await;
                    }
                    Due::InputBack => {
                        if let Err(end) = recorded.input_back().await { return end }
                        self.voice.say("the time of this session was extended: what you type is passed on again.").await;
                    }
                    Due::RecorderFailed(reason) => return self.recorder_failed(recorded, &mut limits, &reason).await,
                },
                () = closed.cancelled() => return asset_closed(recorded, asset).await,
                Some(report) = self.files.recv() => if let Err(end) = self.file(recorded, report).await { return end },
                Some(request) = self.refusals.recv() => {
                    if let Err(end) = self.refused(recorded, request).await { return end }
                }
                ask = self.asks.recv() => match ask {
                    None => return End::Left,
                    Some(ask) => {
                        self.served = true;
                        match self.permitted(recorded, ask).await {
                            Ok(None) => {}
                            Ok(Some(ask)) => {
                                serve(ask, asset.clone(), self.voice.handle().clone(), self.context.clone()).await;
                            }
                            Err(end) => return end,
                        }
                    }
                },
            }
        }
    }

    /// What was asked for, if the terms allow it; otherwise it is refused on the record.
    async fn permitted(&mut self, recorded: &Recorded, ask: Ask) -> Result<Option<Ask>, End> {
        let held = self
            .context
            .record
            .input
            .is_held()
            .then(|| RefusedRequest { request: "a channel".to_owned(), reason: LOOKING_ON_ONLY.to_owned() });
        let Some(request) = held.or_else(|| why_not(&ask, &self.context.terms)) else { return Ok(Some(ask)) };
        let sentence = request.reason.clone();
        self.refused(recorded, request).await?;
        refuse(ask, sentence).await;
        Ok(None)
    }

    async fn refused(
        &mut self,
        recorded: &Recorded,
        RefusedRequest { request, reason }: RefusedRequest,
    ) -> Result<(), End> {
        let (session, identity) = recorded.names();
        let event =
            AuditEvent::RequestRefused { session: Some(session), identity, request: shortened(&request), reason };
        self.refused_requests.audit(recorded, event).await
    }

    async fn file(&mut self, recorded: &Recorded, report: FileReport) -> Result<(), End> {
        let event = enter_file(recorded, report).await;
        match event {
            AuditEvent::FileRefused { .. } => self.refused_files.audit(recorded, event).await,
            transferred => recorded.audit(transferred).await,
        }
    }

    async fn recorder_failed(&self, recorded: &Recorded, limits: &mut Limits<'_>, reason: &str) -> End {
        let trouble = match recorded.recorder_trouble(reason).await {
            Ok(trouble) => trouble,
            Err(end) => return end,
        };
        match trouble {
            RecorderTrouble::End => End::RecordingFailed,
            RecorderTrouble::ViewOnly => {
                self.voice.say("this session can no longer be recorded: input is refused, and it ends shortly.").await;
                tokio::select! {
                    () = self.gone.cancelled() => End::RecordingFailed,
                    end = limits.grace(VIEW_ONLY_GRACE) => end,
                }
            }
        }
    }

    /// Tells the person why, stops the channels, closes both connections.
    async fn leave(&mut self, recorded: &Recorded, end: &End) {
        let sentence = end.sentence(recorded.target().asset.as_str());
        {
            let saying = async {
                if let Some(sentence) = &sentence {
                    self.voice.say(sentence).await;
                }
            };
            tokio::pin!(saying);
            // Whoever reads is told before their channels close; whoever does not keeps no channel open by that.
            let waits = std::future::poll_fn(|task| Poll::Ready(saying.as_mut().poll(task).is_pending())).await;
            self.context.ending.cancel();
            if waits {
                saying.await;
            }
        }
        if tokio::time::timeout(LEFT_WITHIN, self.channels_closed(recorded)).await.is_err() {
            tracing::debug!(session = recorded.id(), "Channels were still open at the end");
        }
        let words = sentence.unwrap_or_default();
        // A client whose asset is down has opened no channel yet, but will, and then hears why.
        let patience = if self.served { Duration::ZERO } else { FIRST_CHANNEL };
        refuse_waiting(&mut self.asks, &self.gone, &words, patience).await;
        self.voice.hang_up(&words, &self.gone).await;
    }

    /// Waits until the relay has closed every channel, taking the reports of what their files came to.
    async fn channels_closed(&mut self, recorded: &Recorded) {
        loop {
            while let Ok(report) = self.files.try_recv() {
                if self.file(recorded, report).await.is_err() {
                    tracing::error!(session = recorded.id(), "A file transfer could not be audited");
                }
            }
            while let Ok(request) = self.refusals.try_recv() {
                if self.refused(recorded, request).await.is_err() {
                    tracing::error!(session = recorded.id(), "A refused request could not be audited");
                }
            }
            if self.context.record.activity.channels() == 0 && self.files.is_empty() && self.refusals.is_empty() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// What somebody is told whose time is over.
fn looking_on(end: &End, grace: Duration) -> String {
    let why = if *end == End::WindowClosed { "its time window has closed" } else { "its longest duration is over" };
    format!(
        "this session is for looking on only, because {why}: what you type is refused, and it ends in {} s.",
        grace.as_secs()
    )
}

/// Which connection from the asset the terms do not allow, and why.
fn why_not(ask: &Ask, terms: &Terms) -> Option<RefusedRequest> {
    let Ask::Loopback { host, port, .. } = ask else { return None };
    let reason = if !matches!(host.as_str(), "localhost" | "127.0.0.1" | "::1") || u16::try_from(*port).is_err() {
        "only the asset's own loopback can be reached through it"
    } else if !terms.allows(ChannelKind::Forward) {
        "your role does not allow forwarded ports"
    } else {
        return None;
    };
    Some(RefusedRequest { request: format!("direct-tcpip to {host}:{port}"), reason: reason.to_owned() })
}

async fn serve(ask: Ask, asset: AssetConnection, handle: server::Handle, context: ChannelContext) {
    if context.record.activity.channels() >= MOST_IN_SESSION {
        return refuse(ask, format!("More than {MOST_IN_SESSION} channels in one session are not allowed.")).await;
    }
    // Taken here, so that a burst of asks cannot pass the limit while their channels are being opened.
    let seat = context.record.activity.seat();
    tokio::spawn(async move {
        match ask {
            Ask::Session { channel, opening, reply } => {
                let theirs = match asset.open_session().await {
                    Ok(theirs) => theirs,
                    Err(error) => return not_opened(error, Ask::Session { channel, opening, reply }).await,
                };
                accept(opening).await;
                if reply.send(open_session(channel, handle, theirs, context).await).is_err() {
                    tracing::debug!("The person left before their channel was open");
                }
            }
            Ask::Loopback { channel, reply, host, port } => {
                open_loopback(channel, reply, &host, port, &asset, context).await
            }
        }
        drop(seat);
    });
}

async fn open_session(
    channel: Channel<server::Msg>,
    handle: server::Handle,
    theirs: Channel<client::Msg>,
    context: ChannelContext,
) -> Result<SessionChannel, Unopened> {
    SessionChannel::open(channel, handle, theirs, context).await.map_err(|error| {
        tracing::error!(%error, "A channel could not be recorded, so it was not opened");
        Unopened { channel: None, sentence: "The channel could not be recorded, so it was not opened.".to_owned() }
    })
}

/// An asset that opens no more channels is passed on as that, so that a client that shares its connection makes another.
async fn not_opened(error: russh::Error, ask: Ask) {
    tracing::info!(%error, "The asset opened no channel");
    match (error, ask) {
        (russh::Error::ChannelOpenFailure(why), Ask::Session { opening: Some(opening), .. }) => {
            opening.reject(why).await
        }
        (_, ask) => refuse(ask, "The asset opened no channel.".to_owned()).await,
    }
}

async fn open_loopback(
    channel: Channel<server::Msg>,
    reply: ChannelOpenHandle,
    host: &str,
    port: u32,
    asset: &AssetConnection,
    context: ChannelContext,
) {
    // Judged before it came here; a port that is none has not passed there.
    let Ok(port) = u16::try_from(port) else { return };
    match asset.open_loopback(host, port).await {
        Ok(theirs) => {
            reply.accept().await;
            if let Err(error) = relay_forward(channel, theirs, context, host, port) {
                tracing::error!(%error, "A forwarded connection could not be recorded, so it was closed");
            }
        }
        Err(error) => {
            tracing::debug!(%error, "The asset did not connect to itself");
            let reason = format!("the asset did not connect to {host}:{port}");
            reply.reject(ChannelOpenFailure::Other { code: 2, reason }).await;
        }
    }
}

/// The connection to the asset is over. Where the asset itself was cut off for what it did, that is audited.
async fn asset_closed(recorded: &Recorded, asset: &AssetConnection) -> End {
    let Some(reason) = asset.misbehaved() else { return End::AssetClosed };
    let (session, identity) = recorded.names();
    let target = recorded.target().asset.to_string();
    tracing::warn!(session, asset = target, reason, "An asset was cut off");
    let event = AuditEvent::AssetMisbehaved { session, identity, asset: target, reason: reason.clone() };
    match recorded.audit(event).await {
        Ok(()) => End::AssetMisbehaved { reason },
        Err(unrecorded) => unrecorded,
    }
}

/// Enters a file into the index, and says what the auditor is told of it.
async fn enter_file(recorded: &Recorded, report: FileReport) -> AuditEvent {
    let broker = recorded.broker();
    let (session, identity) = recorded.names();
    let (asset, via) = (recorded.target().asset.to_string(), report.via.as_str().to_owned());
    match report.outcome {
        FileOutcome::Transferred(file) => {
            let row = TransferredFile {
                session: session.clone(),
                at: broker.now(),
                direction: file.way.as_str().to_owned(),
                via: via.clone(),
                path: report.path.clone(),
                size: file.size,
                sha256: file.sha256.clone(),
                complete: file.complete,
            };
            if let Err(error) = broker.store.add_file(&row).await {
                // The recording and the audit chain have it; the table is an index over them.
                tracing::warn!(session, %error, "A file could not be entered into the index");
            }
            AuditEvent::FileTransferred {
                session,
                identity,
                asset,
                direction: row.direction,
                via,
                path: report.path,
                size: file.size,
                sha256: file.sha256,
                complete: file.complete,
            }
        }
        FileOutcome::Refused(operation) => AuditEvent::FileRefused {
            session,
            identity,
            asset,
            via,
            operation: operation.to_owned(),
            path: shortened(&report.path),
        },
    }
}
