//! One session channel from the person: requests with the asset's own answers, then the pumps, then one end.
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use russh::{Channel, Sig, client, server};
use sallyport_policy::ChannelKind;
use sallyport_session_recorder::Kind;
use serde_json::{Value, json};
use tokio::sync::{Notify, mpsc, oneshot};

use super::context::{ChannelContext, RefusedRequest};
use super::ends::{Ends, Fault};
use super::pumps::signal_name;
use super::reader::{Drain, Received};
use super::refusal::REFUSED;
use super::request::ChannelRequest;
use super::supervise::supervise;
use super::traffic::Traffic;
use crate::session::{Track, Unrecorded};
use crate::ssh::transfer::command::{Command, Way, classify};
use crate::ssh::transfer::scp::Scp;
use crate::ssh::transfer::sftp::Sftp;
use crate::ssh::transfer::{FileOutcome, Via};

/// What is said to whoever asks for more in a session whose time is over.
pub(crate) const LOOKING_ON_ONLY: &str = "the time of this session is over, and nothing more can be begun in it";
/// How long the asset may take to answer a request.
const ASSET_ANSWERS_WITHIN: Duration = Duration::from_secs(10);
/// Answers of the asset that may wait; requests go one at a time.
const ANSWERS: usize = 16;

/// Why a channel could not be opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ChannelError {
    /// Its beginning could not be recorded, so nothing may pass.
    #[error(transparent)]
    Record(#[from] Unrecorded),
}

/// What to answer the person's client.
#[must_use]
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ChannelAnswer {
    /// Success.
    Success,
    /// Failure; the channel goes on.
    Failure,
    /// Success, so that the client listens: the sentence follows on standard error, exit status 255, and the end.
    Refused,
}

/// One session channel from the person, from open to close.
pub(crate) struct SessionChannel {
    ends: Arc<Ends>,
    answers: mpsc::Receiver<bool>,
    start: Option<oneshot::Sender<Traffic>>,
    terminal: bool,
}

impl SessionChannel {
    /// Joins a channel of the person's connection to one of the asset's, on a track of its own.
    pub(crate) async fn open(
        client: Channel<server::Msg>,
        handle: server::Handle,
        asset: Channel<client::Msg>,
        context: ChannelContext,
    ) -> Result<Self, ChannelError> {
        let track = context.record.open(&json!({ "channel": "session" }))?;
        let (answered, answers) = mpsc::channel(ANSWERS);
        let seat = context.record.activity.seat();
        let ends = Arc::new(join(client, Some(handle), asset, context, track, Some(answered)));
        let (start, started) = oneshot::channel();
        tokio::spawn(supervise(Arc::clone(&ends), started, seat));
        Ok(Self { ends, answers, start: Some(start), terminal: false })
    }

    /// Whether it is closed towards both sides, whoever began it. russh tells its handler only of a close that the person
    /// began.
    pub(crate) fn is_over(&self) -> bool {
        self.ends.stop.is_cancelled()
    }

    /// Resolves when it is over.
    pub(crate) async fn over(&self) {
        self.ends.stop.cancelled().await;
    }

    /// Judges a request by the terms, records it, asks the asset, and says what to answer.
    pub(crate) async fn request(&mut self, request: ChannelRequest) -> ChannelAnswer {
        self.ends.context.record.activity.touch();
        let (word, bytes, starts) = (request.word(), request.weight(), request.starts());
        let answer = match self.pass(request).await {
            // What cannot be put on record does not happen; that it was asked for is on record.
            Err(Fault::Unrecorded(Unrecorded::TooLong(_))) => {
                let body = json!({ "request": word, "bytes": bytes });
                match starts {
                    true => self.refuse(&body, &format!("the {word} request is too long to be recorded")).await,
                    false => self.refuse_quietly(&body).map(|()| ChannelAnswer::Failure),
                }
            }
            answer => answer,
        };
        match answer {
            Ok(answer) => answer,
            Err(fault) => {
                tracing::debug!(%fault, track = %self.ends.track.id(), "A channel request was not passed on");
                ChannelAnswer::Failure
            }
        }
    }

    /// The person's window has a new size. Nothing is answered.
    pub(crate) async fn window_changed(&self, cols: u32, rows: u32, pixels: (u32, u32)) {
        let body = json!({ "request": "window", "cols": cols, "rows": rows, "allowed": true });
        if self.ends.track.append_json(Kind::Request, &body).is_ok() {
            self.send(self.ends.asset.window_change(cols, rows, pixels.0, pixels.1)).await;
        }
    }

    /// The person sends the remote process a signal. Nothing is answered.
    pub(crate) async fn signal(&self, signal: Sig) {
        self.ends.context.record.activity.touch();
        let allowed = !self.ends.context.record.input.is_held();
        let body = json!({ "request": "signal", "name": signal_name(&signal), "allowed": allowed });
        if self.ends.track.append_json(Kind::Request, &body).is_ok() && allowed {
            self.send(self.ends.asset.signal(signal)).await;
        }
    }

    async fn send(&self, write: impl Future<Output = Result<(), russh::Error>>) {
        if let Err(fault) = self.ends.to_asset(write).await {
            tracing::debug!(%fault, track = %self.ends.track.id(), "A channel that is ending passed nothing on");
        }
    }

    async fn pass(&mut self, request: ChannelRequest) -> Result<ChannelAnswer, Fault> {
        if self.start.is_none() {
            // The one program of this channel runs already (RFC 4254, section 6.5).
            self.refuse_quietly(&request.describe())?;
            return Ok(ChannelAnswer::Failure);
        }
        let body = request.describe();
        let ends = Arc::clone(&self.ends);
        if ends.context.record.input.is_held() {
            return self.refuse(&body, LOOKING_ON_ONLY).await;
        }
        let terms = &ends.context.terms;
        match request {
            ChannelRequest::Pty { term, cols, rows, pixels, modes } => {
                if !terms.allows(ChannelKind::Shell) && !terms.allows(ChannelKind::Exec) {
                    self.refuse_quietly(&body)?;
                    return Ok(ChannelAnswer::Failure);
                }
                let ask = ends.asset.request_pty(true, &term, cols, rows, pixels.0, pixels.1, &modes);
                let answer = self.ask(&body, ask).await?;
                self.terminal |= answer == ChannelAnswer::Success;
                Ok(answer)
            }
            ChannelRequest::Env { name, value } => {
                if !terms.allows_env(&name) {
                    self.refuse_quietly(&body)?;
                    return Ok(ChannelAnswer::Failure);
                }
                self.ask(&body, ends.asset.set_env(true, name, value)).await
            }
            ChannelRequest::Agent | ChannelRequest::X11 => {
                self.refuse_quietly(&body)?;
                Ok(ChannelAnswer::Failure)
            }
            ChannelRequest::Shell => {
                if !terms.allows(ChannelKind::Shell) {
                    return self.refuse(&body, "a shell is not granted here").await;
                }
                let traffic = if self.terminal { Traffic::Terminal } else { Traffic::Bulk };
                self.start(&body, ends.asset.request_shell(true), traffic).await
            }
            ChannelRequest::Exec(command) => self.exec(&body, command).await,
            ChannelRequest::Subsystem(name) if name == "sftp" => {
                if let Some(sentence) = self.why_no_sftp() {
                    return self.refuse(&body, &sentence).await;
                }
                let traffic = self.sftp();
                self.start(&body, ends.asset.request_subsystem(true, name), traffic).await
            }
            ChannelRequest::Subsystem(name) => {
                let shown = sallyport_plain::excerpt(&name, 40);
                self.refuse(&body, &format!("the subsystem `{shown}` is not available")).await
            }
        }
    }

    async fn exec(&mut self, body: &Value, command: Vec<u8>) -> Result<ChannelAnswer, Fault> {
        let ends = Arc::clone(&self.ends);
        let terms = &ends.context.terms;
        if !terms.allows(ChannelKind::Exec) {
            return self.refuse(body, "commands are not granted here").await;
        }
        let classified = classify(&command);
        let traffic = match classified {
            Command::Scp(way, target) => {
                if let Some(sentence) = self.why_no_files(way) {
                    ends.report(Via::Scp, target, FileOutcome::Refused(way.as_str())).await?;
                    return self.refuse(body, &sentence).await;
                }
                Traffic::Scp(Box::new(Mutex::new(Scp::new(way, target))))
            }
            Command::Rsync(way, target) => {
                if let Some(sentence) = self.why_no_files(way) {
                    ends.report(Via::Rsync, target, FileOutcome::Refused(way.as_str())).await?;
                    return self.refuse(body, &sentence).await;
                }
                Traffic::Bulk
            }
            Command::SftpServer => {
                if let Some(sentence) = self.why_no_sftp() {
                    return self.refuse(body, &sentence).await;
                }
                self.sftp()
            }
            Command::Other => Traffic::Bulk,
        };
        let traffic = if self.terminal && matches!(traffic, Traffic::Bulk) { Traffic::Terminal } else { traffic };
        self.start(body, ends.asset.exec(true, command), traffic).await
    }

    fn sftp(&self) -> Traffic {
        Traffic::Sftp(Box::new(Mutex::new(Sftp::new(self.ends.context.terms.file_transfer))))
    }

    fn why_no_sftp(&self) -> Option<String> {
        let terms = &self.ends.context.terms;
        if !terms.allows(ChannelKind::Sftp) {
            return Some("sftp is not granted here".to_owned());
        }
        let any = terms.file_transfer.may_upload() || terms.file_transfer.may_download();
        (!any).then(|| "file transfer is not granted here".to_owned())
    }

    fn why_no_files(&self, way: Way) -> Option<String> {
        let rights = self.ends.context.terms.file_transfer;
        let granted = match way {
            Way::Upload => rights.may_upload(),
            Way::Download => rights.may_download(),
        };
        (!granted).then(|| format!("{way} of files is not granted here (file_transfer = \"{rights}\")"))
    }

    /// Records the request, sends it, waits for the asset's answer, and records that.
    async fn ask(
        &mut self,
        body: &Value,
        send: impl Future<Output = Result<(), russh::Error>>,
    ) -> Result<ChannelAnswer, Fault> {
        self.record(body, "allowed", json!(true))?;
        let ends = Arc::clone(&self.ends);
        ends.to_asset(send).await?;
        let answer = tokio::select! {
            biased;
            answer = tokio::time::timeout(ASSET_ANSWERS_WITHIN, self.answers.recv()) => answer.ok().flatten(),
            () = ends.stop.cancelled() => None,
            () = ends.from_asset.gone.cancelled() => None,
        };
        let word = match answer {
            Some(true) => "success",
            Some(false) => "failure",
            None => "none",
        };
        let name = body.get("request").cloned().unwrap_or_default();
        ends.track.append_json(Kind::Request, &json!({ "request": name, "answer": word }))?;
        match answer {
            Some(true) => Ok(ChannelAnswer::Success),
            Some(false) => Ok(ChannelAnswer::Failure),
            None => {
                // A late answer would be taken for the next request's: there is no next one.
                self.finish_with("the asset did not answer");
                Ok(ChannelAnswer::Failure)
            }
        }
    }

    async fn start(
        &mut self,
        body: &Value,
        send: impl Future<Output = Result<(), russh::Error>>,
        traffic: Traffic,
    ) -> Result<ChannelAnswer, Fault> {
        let answer = self.ask(body, send).await?;
        if answer == ChannelAnswer::Success
            && let Some(start) = self.start.take()
            && start.send(traffic).is_err()
        {
            return Err(Fault::Ending);
        }
        Ok(answer)
    }

    fn refuse_quietly(&self, body: &Value) -> Result<(), Fault> {
        self.record(body, "allowed", json!(false))
    }

    /// Refuses the channel's program: in the recording, in the audit chain, and with a sentence.
    async fn refuse(&mut self, body: &Value, sentence: &str) -> Result<ChannelAnswer, Fault> {
        self.record(body, "allowed", json!(false))?;
        let text = |key: &str| body.get(key).and_then(Value::as_str);
        let request = text("request").unwrap_or_default();
        let request = match text("command").or_else(|| text("name")) {
            Some(what) => format!("{request} {what}"),
            None => request.to_owned(),
        };
        let refused = RefusedRequest { request, reason: sentence.to_owned() };
        self.ends.context.refused.send(refused).await.map_err(|_| Fault::Report)?;
        self.finish_with(sentence);
        Ok(ChannelAnswer::Refused)
    }

    /// Ends the channel with a sentence, from a task of its own: the answer to the request goes out first.
    fn finish_with(&mut self, sentence: &str) {
        let Some(start) = self.start.take() else { return };
        let ends = Arc::clone(&self.ends);
        let sentence = sentence.to_owned();
        tokio::spawn(async move {
            ends.say(&sentence).await;
            ends.note_exit(json!({ "exit_status": REFUSED, "refused": sentence }));
            let told = async {
                ends.to_client(ends.client.exit_status(REFUSED)).await?;
                ends.to_client(ends.client.eof()).await
            };
            if let Err(fault) = told.await {
                tracing::debug!(%fault, "A refused channel ended before its exit status was told");
            }
            // Without a start the supervisor closes both ends.
            drop(start);
        });
    }

    fn record(&self, body: &Value, key: &str, value: Value) -> Result<(), Fault> {
        let mut body = body.clone();
        if let Some(fields) = body.as_object_mut() {
            fields.insert(key.to_owned(), value);
        }
        Ok(self.ends.track.append_json(Kind::Request, &body)?)
    }
}

/// The two ends of a channel with their drain tasks running.
pub(crate) fn join(
    client: Channel<server::Msg>,
    handle: Option<server::Handle>,
    asset: Channel<client::Msg>,
    context: ChannelContext,
    track: Track,
    answered: Option<mpsc::Sender<bool>>,
) -> Ends {
    let id = client.id();
    let (client_read, client) = client.split();
    let (asset_read, asset) = asset.split();
    let stop = context.ending.child_token();
    let activity = context.record.activity.clone();
    // A person may leave a pager standing: as long as nobody else waits, so may the asset. russh's client has no say in windows.
    let patient_if_alone = Drain { stop: stop.clone(), impatient: Box::new(move || activity.channels() > 1) };
    let from_client = Received::windowed(client_read, id, &context.person, stop.clone());
    let from_asset = Received::slowed(asset_read, answered, patient_if_alone, &context.asset);
    Ends {
        context,
        track,
        client,
        handle,
        asset,
        from_client,
        from_asset,
        client_ended: AtomicBool::new(false),
        answered: Notify::new(),
        stop,
        exit: Mutex::new(None),
    }
}
