//! The last stage: dial the asset, carry channels, and stop at the first reason to end.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use russh::keys::HashAlg;
use russh::keys::ssh_key::PublicKey;
use russh::server::{self, ChannelOpenHandle};
use russh::{Channel, ChannelId, ChannelOpenFailure};
use sallyport_policy::{AccountAuth, ChannelKind, RecorderTrouble};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::registry::Times;
use super::{Authorized, End, Recorded, Session, StartRefusal};
use crate::audit::AuditEvent;
use crate::ssh::asset::{self, AssetConnection, Credential, DialError, Peer};
use crate::ssh::{
    Activity, ChannelContext, FileOutcome, FileReport, SessionChannel, Trouble, TroubleSignal, relay_forward,
};
use crate::store::files::TransferredFile;
use crate::store::sessions::SessionEnd;
use crate::vault::{AssetLogin, Extension, Secret};

/// Before the end by time, the person is told, this long ahead.
const WARNINGS: [Duration; 2] = [Duration::from_secs(300), Duration::from_secs(60)];
/// How long output goes on after the recorder has failed, where the terms say `view-only`.
const VIEW_ONLY_GRACE: Duration = Duration::from_secs(10);
/// How long channels may take to close after the end.
const FAREWELL: Duration = Duration::from_secs(2);
/// How long a client may take from login to its first channel, where that channel only hears why not.
const FIRST_CHANNEL: Duration = Duration::from_secs(10);
/// How long a terminal may take to take a sentence.
const SAYING: Duration = Duration::from_millis(200);
/// How many channels one session may have open at once.
const MOST_CHANNELS: usize = 64;

/// The person's side of a session: what their SSH connection asks for, and a voice to speak to them.
#[derive(Debug)]
pub struct Client {
    /// What they ask for; closed when they are gone.
    pub asks: mpsc::Receiver<Ask>,
    /// Cancelled when they are gone.
    pub gone: CancellationToken,
    /// Speaks to them.
    pub voice: Voice,
    /// What they typed for an account with `auth = "prompt"`.
    pub typed: Option<Secret<String>>,
}

/// One thing that a person's connection asks for.
pub enum Ask {
    /// A session channel. The answer comes once the asset has opened its own.
    Session {
        /// Their end.
        channel: Channel<server::Msg>,
        /// Where the answer goes.
        reply: oneshot::Sender<Result<SessionChannel, Refused>>,
    },
    /// A connection to the asset's own loopback.
    Loopback {
        /// Their end.
        channel: Channel<server::Msg>,
        /// Accepts or rejects it.
        reply: ChannelOpenHandle,
        /// `localhost`, `127.0.0.1` or `::1`, as written.
        host: String,
        /// The port on the asset.
        port: u16,
    },
}

/// A channel that was not opened: the person's own end, if it is still open, and the sentence for it.
#[derive(Debug)]
pub struct Refused {
    /// Their end, to say it on.
    pub channel: Option<Channel<server::Msg>>,
    /// One plain sentence.
    pub sentence: String,
}

/// Speaks to a person on the channels that they have open.
#[derive(Debug, Clone)]
pub struct Voice {
    handle: server::Handle,
    /// Cuts the connection of somebody who neither reads nor leaves.
    cut: CancellationToken,
    terminals: Arc<Mutex<BTreeSet<ChannelId>>>,
}

impl Voice {
    /// A voice for this connection, with no terminal yet.
    #[must_use]
    pub fn new(handle: server::Handle, cut: CancellationToken) -> Self {
        Self { handle, cut, terminals: Arc::default() }
    }

    /// The connection's handle.
    #[must_use]
    pub fn handle(&self) -> &server::Handle {
        &self.handle
    }

    /// A channel has got a terminal: warnings are shown on it.
    pub fn has_terminal(&self, channel: ChannelId) {
        self.terminals.lock().unwrap_or_else(PoisonError::into_inner).insert(channel);
    }

    /// A channel is closed.
    pub fn closed(&self, channel: ChannelId) {
        self.terminals.lock().unwrap_or_else(PoisonError::into_inner).remove(&channel);
    }

    /// Closes the connection: with words, and where nobody takes them, without.
    async fn hang_up(&self, words: &str, gone: &CancellationToken) {
        let told = self.handle.disconnect(russh::Disconnect::ByApplication, words.to_owned(), "en".to_owned());
        let closed = async {
            if told.await.is_ok() {
                gone.cancelled().await;
            }
        };
        if tokio::time::timeout(FAREWELL, closed).await.is_err() {
            tracing::debug!("The person's connection did not close by itself");
        }
        self.cut.cancel();
    }

    /// Says a sentence on every terminal. Commands and file transfers are not disturbed, and nobody is waited for.
    async fn say(&self, sentence: &str) {
        let terminals: Vec<_> = self.terminals.lock().unwrap_or_else(PoisonError::into_inner).iter().copied().collect();
        for channel in terminals {
            let said = self.handle.extended_data(channel, 1, format!("\r\nsallyport: {sentence}\r\n"));
            let said = tokio::time::timeout(SAYING, said).await;
            tracing::trace!(delivered = matches!(said, Ok(Ok(()))), "Spoke to a terminal");
        }
    }
}

impl Client {
    /// Says one plain sentence on the channel that the person opens, and closes the connection.
    pub async fn turn_away(mut self, sentence: &str) {
        refuse_waiting(&mut self.asks, &self.gone, sentence, FIRST_CHANNEL).await;
        self.voice.hang_up(sentence, &self.gone).await;
    }
}

impl Session<Authorized> {
    /// Records and forwards; where the record cannot be had, the person is told and nothing is sent anywhere.
    pub async fn run(self, client: Client) -> Result<End, StartRefusal> {
        match self.record().await {
            Ok(recorded) => Ok(recorded.forward(client).await),
            Err(refusal) => {
                tracing::warn!(reason = %refusal, "A permitted session did not start");
                client.turn_away(&refusal.sentence()).await;
                Err(refusal)
            }
        }
    }
}

impl Session<Recorded> {
    /// Dials the asset and carries the session until its one end, which is put on the record before this returns.
    pub async fn forward(self, client: Client) -> End {
        let Client { asks, gone, voice, typed } = client;
        let mut run = Run::new(&self.stage, asks, gone, voice);
        let end = match run.dial(&self.stage, typed).await {
            Ok(asset) => {
                let end = run.carry(&self.stage, &asset).await;
                run.leave(&self.stage, &end).await;
                asset.close().await;
                end
            }
            Err(end) => {
                run.leave(&self.stage, &end).await;
                end
            }
        };
        self.close(end).await
    }

    /// Seals the recording and puts the end into store and audit chain.
    async fn close(self, end: End) -> End {
        let Recorded { authorized, id, recording, registered } = self.stage;
        let broker = authorized.broker;
        let sealed = recording.seal(end.word(), end.detail()).await;
        let (head, bytes) = match &sealed {
            Ok(sealed) => (Some(sealed.head_hex()), Some(sealed.bytes)),
            Err(error) => {
                tracing::error!(session = %id, %error, "The recording could not be sealed");
                (None, None)
            }
        };
        let event = AuditEvent::SessionEnded {
            session: id.clone(),
            identity: authorized.subject.identity.to_string(),
            asset: authorized.target.asset.to_string(),
            end: end.word().to_owned(),
            detail: end.detail().to_owned(),
            recording_head: head,
            recording_bytes: bytes,
        };
        if let Err(error) = broker.audit.record(event).await {
            tracing::error!(session = %id, %error, "The end of a session could not be audited");
        }
        let row = SessionEnd { at: broker.now(), word: end.word().to_owned(), detail: end.detail().to_owned() };
        if let Err(error) = broker.store.end_session(&id, &row).await {
            tracing::error!(session = %id, %error, "The end of a session could not be stored yet");
            broker.live.owe(id.clone(), row);
        }
        metrics::counter!("sallyport_sessions_ended_total", "end" => end.word()).increment(1);
        tracing::info!(session = %id, end = end.word(), "Session ended");
        drop(registered);
        end
    }
}

/// The running part of one session.
struct Run {
    asks: mpsc::Receiver<Ask>,
    gone: CancellationToken,
    voice: Voice,
    context: ChannelContext,
    trouble: watch::Receiver<Option<Trouble>>,
    files: mpsc::Receiver<FileReport>,
    /// Whether a channel was ever asked for.
    served: bool,
    started: Instant,
    began: Timestamp,
}

impl Run {
    fn new(recorded: &Recorded, asks: mpsc::Receiver<Ask>, gone: CancellationToken, voice: Voice) -> Self {
        let trouble = TroubleSignal::new();
        let troubles = trouble.subscribe();
        let (report, files) = mpsc::channel(64);
        let context = ChannelContext {
            recording: Arc::new(recorded.recording.clone()),
            terms: Arc::new(recorded.authorized.permit.terms.clone()),
            activity: Activity::new(),
            ending: CancellationToken::new(),
            trouble,
            report,
        };
        Self {
            asks,
            gone,
            voice,
            context,
            trouble: troubles,
            files,
            served: false,
            started: Instant::now(),
            began: recorded.authorized.at,
        }
    }

    /// Connects to the asset, unless the person leaves or the session must end first.
    async fn dial(&mut self, recorded: &Recorded, typed: Option<Secret<String>>) -> Result<AssetConnection, End> {
        let dialled = tokio::select! {
            biased;
            end = recorded.registered.live().switch.asked() => return Err(end),
            () = self.gone.cancelled() => return Err(End::Left),
            dialled = connect(recorded, typed) => dialled,
        };
        let asset = match dialled {
            Ok(asset) => asset,
            Err(error) => {
                let end = dial_end(&error);
                tracing::warn!(session = %recorded.id, asset = %recorded.authorized.target.asset, %error, "No connection to the asset");
                recorded.notice(serde_json::json!({ "notice": end.word(), "reason": error.to_string() }))?;
                if let DialError::HostKey { shown } = &error {
                    recorded.host_key_mismatch(shown).await?;
                }
                if matches!(error, DialError::Login | DialError::NoCredential) {
                    recorded.login_refused(&error).await?;
                }
                return Err(end);
            }
        };
        recorded.notice(serde_json::json!({
            "notice": "connected",
            "address": recorded.authorized.address.to_string(),
            "strict_exchange": asset.strict_exchange(),
        }))?;
        Ok(asset)
    }

    /// Serves what the person asks for until something ends the session.
    async fn carry(&mut self, recorded: &Recorded, asset: &AssetConnection) -> End {
        let live = recorded.registered.live();
        let mut times = live.times.subscribe();
        let mut warned = WARNINGS.len();
        let closed = asset.closed();
        loop {
            let limits = *times.borrow_and_update();
            let wake = match self.next_wake(limits, &mut warned, recorded.authorized.broker.now()).await {
                Ok(wake) => wake,
                Err(end) => return end,
            };
            tokio::select! {
                biased;
                end = live.switch.asked() => return end,
                reason = failed(&mut self.trouble) => return self.recorder_failed(recorded, &reason).await,
                () = closed.cancelled() => return End::AssetClosed,
                Some(report) = self.files.recv() => if let Err(end) = recorded.file(report).await { return end },
                ask = self.asks.recv() => match ask {
                    None => return End::Left,
                    Some(ask) => {
                        self.served = true;
                        serve(ask, asset.clone(), self.voice.handle().clone(), self.context.clone()).await;
                    }
                },
                _ = times.changed() => {}
                () = tokio::time::sleep(wake) => {}
            }
        }
    }

    /// How long nothing need be done about time; or the end that time has brought.
    async fn next_wake(&self, limits: Times, warned: &mut usize, now: Timestamp) -> Result<Duration, End> {
        // A clock that jumps must not carry a session over its limit: look at least this often.
        let mut wake = Duration::from_secs(15);
        if let Some(idle) = limits.idle.and_then(|d| Duration::try_from(d).ok()) {
            let quiet = self.context.activity.idle_for();
            wake = wake.min(idle.checked_sub(quiet).filter(|left| !left.is_zero()).ok_or(End::Idle)?);
        }
        let by_duration = limits
            .max_duration
            .and_then(|d| Duration::try_from(d).ok())
            .map(|longest| (longest.checked_sub(self.started.elapsed()), End::Expired));
        let by_window = limits.not_after.map(|end| {
            let left = now.duration_until(end);
            (Duration::try_from(left).ok().filter(|_| left > SignedDuration::ZERO), End::WindowClosed)
        });
        for (left, end) in by_duration.into_iter().chain(by_window) {
            let left = left.filter(|left| !left.is_zero()).ok_or(end)?;
            wake = wake.min(left);
            // Only the nearest warning is given: a session that starts a minute before its end hears one sentence.
            while *warned > 0 && left <= WARNINGS[WARNINGS.len() - *warned] {
                *warned -= 1;
                if self.began.duration_until(now) > SignedDuration::ZERO {
                    let minutes = left.as_secs().div_ceil(60);
                    self.voice.say(&format!("this session ends in about {minutes} min.")).await;
                }
            }
            if *warned > 0 {
                wake = wake.min(left.saturating_sub(WARNINGS[WARNINGS.len() - *warned]).max(Duration::from_millis(10)));
            }
        }
        Ok(wake)
    }

    /// No input passes any more (the relay saw to that); output may go on for a moment.
    async fn recorder_failed(&self, recorded: &Recorded, reason: &str) -> End {
        tracing::error!(session = %recorded.id, reason, "The recorder failed");
        let trouble = recorded.authorized.permit.terms.recorder_trouble;
        let event = AuditEvent::RecorderTrouble {
            session: recorded.id.clone(),
            identity: recorded.authorized.subject.identity.to_string(),
            detail: reason.to_owned(),
            action: trouble.to_string(),
        };
        if let Err(end) = recorded.audit(event).await {
            return end;
        }
        match trouble {
            RecorderTrouble::End => {}
            RecorderTrouble::ViewOnly => {
                self.voice.say("this session can no longer be recorded: input is refused, and it ends shortly.").await;
                tokio::select! {
                    () = self.gone.cancelled() => {}
                    () = tokio::time::sleep(VIEW_ONLY_GRACE) => {}
                }
            }
        }
        End::RecordingFailed
    }

    /// Tells the person why, stops the channels, closes both connections.
    async fn leave(&mut self, recorded: &Recorded, end: &End) {
        let sentence = end.sentence(recorded.authorized.target.asset.as_str());
        if let Some(sentence) = &sentence {
            self.voice.say(sentence).await;
        }
        self.context.ending.cancel();
        if tokio::time::timeout(FAREWELL, self.channels_closed(recorded)).await.is_err() {
            tracing::debug!(session = %recorded.id, "Channels were still open at the end");
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
                if recorded.file(report).await.is_err() {
                    tracing::error!(session = %recorded.id, "A file transfer could not be audited");
                }
            }
            if self.context.activity.channels() == 0 && self.files.is_empty() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// Resolves when the recorder has failed.
async fn failed(trouble: &mut watch::Receiver<Option<Trouble>>) -> String {
    let reason = match trouble.wait_for(Option::is_some).await.as_deref() {
        Ok(Some(trouble)) => Some(trouble.reason.clone()),
        Ok(None) | Err(_) => None,
    };
    match reason {
        Some(reason) => reason,
        // The signal lives as long as the session's context, which outlives this wait.
        None => std::future::pending().await,
    }
}

/// A client whose asset is down hears one plain sentence, on the channel that it opens in a moment at the latest.
async fn refuse_waiting(asks: &mut mpsc::Receiver<Ask>, gone: &CancellationToken, sentence: &str, patience: Duration) {
    let until = tokio::time::Instant::now() + patience;
    let mut answered = false;
    loop {
        // Once one channel was answered, only those that wait already are.
        let until = if answered { tokio::time::Instant::now() } else { until };
        match tokio::time::timeout_at(until, asks.recv()).await {
            Ok(Some(ask)) => {
                refuse(ask, sentence.to_owned()).await;
                answered = true;
            }
            Ok(None) | Err(_) => break,
        }
    }
    if answered {
        // The person's client closes by itself once its channel is closed.
        let left = tokio::time::timeout(FAREWELL, gone.cancelled()).await;
        tracing::trace!(left = left.is_ok(), "Refused the waiting channels");
    }
}

async fn serve(ask: Ask, asset: AssetConnection, handle: server::Handle, context: ChannelContext) {
    if context.activity.channels() >= MOST_CHANNELS {
        return refuse(ask, format!("More than {MOST_CHANNELS} channels in one session are not allowed.")).await;
    }
    // Taken here, so that a burst of asks cannot pass the limit while their channels are being opened.
    let seat = context.activity.seat();
    tokio::spawn(async move {
        match ask {
            Ask::Session { channel, reply } => {
                let opened = open_session(channel, handle, &asset, context).await;
                if reply.send(opened).is_err() {
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
    asset: &AssetConnection,
    context: ChannelContext,
) -> Result<SessionChannel, Refused> {
    match asset.open_session().await {
        Ok(theirs) => SessionChannel::open(channel, handle, theirs, context).await.map_err(|error| {
            tracing::error!(%error, "A channel could not be recorded, so it was not opened");
            Refused { channel: None, sentence: "The channel could not be recorded, so it was not opened.".to_owned() }
        }),
        Err(error) => {
            tracing::info!(%error, "The asset opened no channel");
            Err(Refused { channel: Some(channel), sentence: "The asset opened no channel.".to_owned() })
        }
    }
}

async fn open_loopback(
    channel: Channel<server::Msg>,
    reply: ChannelOpenHandle,
    host: &str,
    port: u16,
    asset: &AssetConnection,
    context: ChannelContext,
) {
    if !context.terms.allows(ChannelKind::Forward) {
        let reason = "your role does not allow forwarded ports".to_owned();
        return reply.reject(ChannelOpenFailure::Other { code: 1, reason }).await;
    }
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

async fn refuse(ask: Ask, sentence: String) {
    match ask {
        Ask::Session { channel, reply } => {
            if reply.send(Err(Refused { channel: Some(channel), sentence })).is_err() {
                tracing::debug!("The person left before their channel was refused");
            }
        }
        Ask::Loopback { reply, .. } => reply.reject(ChannelOpenFailure::Other { code: 1, reason: sentence }).await,
    }
}

async fn connect(recorded: &Recorded, typed: Option<Secret<String>>) -> Result<AssetConnection, DialError> {
    let authorized = &recorded.authorized;
    let pinned: Vec<PublicKey> =
        authorized.pinned.iter().filter_map(|line| PublicKey::from_openssh(line).ok()).collect();
    let credential = credential(recorded, typed).await?;
    let peer = Peer { address: authorized.address, pinned: &pinned, account: &authorized.target.account };
    asset::dial(peer, credential).await
}

async fn credential(recorded: &Recorded, typed: Option<Secret<String>>) -> Result<Credential, DialError> {
    let authorized = &recorded.authorized;
    let (vault, target) = (&authorized.broker.vault, &authorized.target);
    match authorized.account_auth {
        AccountAuth::Certificate => {
            let terms = &authorized.permit.terms;
            let mut extensions = Vec::new();
            if terms.allows(ChannelKind::Shell) || terms.allows(ChannelKind::Exec) {
                extensions.push(Extension::Pty);
            }
            if terms.allows(ChannelKind::Forward) {
                extensions.push(Extension::PortForwarding);
            }
            let login = AssetLogin {
                account: target.account.as_str(),
                identity: authorized.subject.identity.as_str(),
                session: &recorded.id,
                extensions: &extensions,
            };
            let (key, certificate) = vault
                .asset_login(&login, authorized.broker.now())
                .map_err(|error| DialError::Vault(error.to_string()))?;
            Ok(Credential::Certificate { key: Arc::new(key), certificate: Box::new(certificate) })
        }
        AccountAuth::Password | AccountAuth::Key => {
            let stored = vault
                .account_credential(target.asset.as_str(), target.account.as_str())
                .await
                .map_err(|error| DialError::Vault(error.to_string()))?;
            match stored {
                Some(crate::vault::Credential::Password(password)) => Ok(Credential::Password(password)),
                Some(crate::vault::Credential::Key(key)) => Ok(Credential::Key(Arc::from(key))),
                None => Err(DialError::NoCredential),
            }
        }
        AccountAuth::Prompt => typed.map(Credential::Password).ok_or(DialError::NoCredential),
    }
}

fn dial_end(error: &DialError) -> End {
    match error {
        DialError::Unpinned | DialError::HostKey { .. } => End::HostKeyMismatch,
        DialError::Unreachable(_) | DialError::TooSlow | DialError::Protocol(_) => End::AssetUnreachable,
        DialError::Login | DialError::NoCredential | DialError::Vault(_) => End::AssetRefusedLogin,
    }
}

fn fingerprint(line: &str) -> Option<String> {
    PublicKey::from_openssh(line).ok().map(|key| key.fingerprint(HashAlg::Sha256).to_string())
}

impl Recorded {
    fn notice(&self, body: serde_json::Value) -> Result<(), End> {
        self.recording.notice(&body).map_err(|error| {
            tracing::error!(session = %self.id, %error, "The recorder failed");
            End::RecordingFailed
        })
    }

    async fn host_key_mismatch(&self, shown: &str) -> Result<(), End> {
        let event = AuditEvent::HostKeyMismatch {
            session: Some(self.id.clone()),
            identity: self.authorized.subject.identity.to_string(),
            asset: self.authorized.target.asset.to_string(),
            expected: self.authorized.pinned.iter().filter_map(|line| fingerprint(line)).collect(),
            presented: shown.to_owned(),
        };
        self.audit(event).await
    }

    async fn login_refused(&self, error: &DialError) -> Result<(), End> {
        let event = AuditEvent::AssetLoginRefused {
            session: Some(self.id.clone()),
            identity: self.authorized.subject.identity.to_string(),
            asset: self.authorized.target.asset.to_string(),
            account: self.authorized.target.account.to_string(),
            reason: error.to_string(),
        };
        self.audit(event).await
    }

    async fn file(&self, report: FileReport) -> Result<(), End> {
        let broker = &self.authorized.broker;
        let (session, identity) = (self.id.clone(), self.authorized.subject.identity.to_string());
        let (asset, via) = (self.authorized.target.asset.to_string(), report.via.as_str().to_owned());
        let event = match report.outcome {
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
                    tracing::warn!(session = %self.id, %error, "A file could not be entered into the index");
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
                path: report.path,
            },
        };
        self.audit(event).await
    }

    /// What cannot be audited, even on the spool, ends the session.
    async fn audit(&self, event: AuditEvent) -> Result<(), End> {
        self.authorized.broker.audit.record(event).await.map_err(|error| {
            tracing::error!(session = %self.id, %error, "An event of a live session could not be audited");
            End::RecordingFailed
        })
    }
}
