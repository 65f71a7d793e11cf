//! Somebody at a terminal in the lobby: a table, a number, the questions that are due, and then the asset on the same
//! channel.

use std::sync::Arc;
use std::time::Duration;

use russh::server::Msg;
use russh::{Channel, ChannelMsg, Sig};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::listing::{Listed, Listing};
use crate::live::{Form, Target};
use crate::login::{Admission, Entry, Next};
use crate::session::{Authenticated, Authorized, Session};
use crate::ssh::backlog::Backlog;
use crate::ssh::session::{Ask, Client, Unopened, Voice};
use crate::ssh::{ChannelAnswer, ChannelRequest, SessionChannel, say_and_close};
use crate::vault::Secret;

/// Longest line that is read from a person.
const LONGEST_LINE: usize = 256;
/// A client leaves by itself once its program has ended: hung up on at once, it would report that and not the exit status.
const COURTESY: Duration = Duration::from_secs(1);
/// Lines before the lobby closes, if none of them chooses.
const MOST_TRIES: usize = 10;
/// What can be typed where one chooses.
const HOW_TO_CHOOSE: &str = "Type the number of a line, or the asset's name where it has one line; `ls` for the table once more; `q` to leave.\n";

/// One person at a terminal in the lobby.
pub(in crate::ssh) struct Choosing {
    session: Arc<Session<Authenticated>>,
    voice: Voice,
    person: Reader,
    terminal: ChannelRequest,
    requests: mpsc::Receiver<Later>,
}

/// The person's end of a channel, until a session takes it over.
pub(in crate::ssh) struct Reader {
    pub(in crate::ssh) channel: Channel<Msg>,
    /// What has come and waits for being read.
    pub(in crate::ssh) backlog: Arc<Backlog>,
    /// Cancelled when the channel or its connection is gone. A write waits for ever where the person takes nothing.
    pub(in crate::ssh) left: CancellationToken,
}

/// What needs no answer and may come at any time.
#[derive(Debug)]
pub(in crate::ssh) enum Later {
    /// The window has a new size.
    Window { cols: u32, rows: u32, pixels: (u32, u32) },
    /// A signal for the program.
    Signal(Sig),
}

/// The person left, or asked to.
struct Gone;

impl From<russh::Error> for Gone {
    fn from(_: russh::Error) -> Self {
        Gone
    }
}

/// Whether what is typed is shown.
#[derive(Clone, Copy)]
enum Echo {
    Shown,
    Hidden,
}

impl Choosing {
    pub(in crate::ssh) fn new(
        session: Arc<Session<Authenticated>>,
        voice: Voice,
        person: Reader,
        terminal: ChannelRequest,
        requests: mpsc::Receiver<Later>,
    ) -> Self {
        Self { session, voice, person, terminal, requests }
    }

    pub(in crate::ssh) async fn run(mut self) {
        let sentence = match self.choose().await {
            Ok(Entry::Session { authorized, typed }) => return self.enter(*authorized, typed).await,
            Ok(Entry::Refused(sentence) | Entry::Crowded(sentence)) => Some(sentence),
            Ok(Entry::Lobby(_)) | Err(Gone) => None,
        };
        let Reader { channel, left, .. } = self.person;
        let closing = async {
            match sentence {
                Some(sentence) => say_and_close(Some(channel), sentence).await,
                None => close(channel).await,
            }
        };
        left.run_until_cancelled(closing).await;
    }

    async fn choose(&mut self) -> Result<Entry, Gone> {
        let listing = Listing::of(&self.session).await;
        self.say(&listing.text()).await?;
        let reach = &listing.enterable;
        if reach.is_empty() {
            let words = if listing.is_empty() {
                "There is nothing that you may reach."
            } else {
                "Nothing of this is entered from here."
            };
            return Ok(Entry::Refused(words.to_owned()));
        }
        for _ in 0..MOST_TRIES {
            let line = self.ask("\nNumber (or q): ", Echo::Shown).await?;
            let line = line.trim();
            match line {
                "q" | "quit" | "exit" => return Err(Gone),
                "ls" => {
                    self.say(&listing.text()).await?;
                    continue;
                }
                "help" | "?" => {
                    self.say(HOW_TO_CHOOSE).await?;
                    continue;
                }
                _ => {}
            }
            match pick(reach, line) {
                Some(picked) => {
                    let target = Target {
                        asset: picked.reach.asset.clone(),
                        service: picked.reach.service.clone(),
                        account: picked.reach.account.clone(),
                        form: Form::Lobby,
                    };
                    return self.admit(target).await;
                }
                None => self.say("That is not one of the numbers; `help` says what is understood here.\n").await?,
            }
        }
        Err(Gone)
    }

    async fn admit(&mut self, target: Target) -> Result<Entry, Gone> {
        let mut next = Admission::begin(self.session.another(), target).await;
        loop {
            match next {
                Next::Enter(entry) => return Ok(entry),
                Next::Reject => return Ok(Entry::Refused("That was not right too often.".to_owned())),
                Next::Ask(admission) => {
                    let question = admission.question();
                    if !question.instruction.is_empty() {
                        self.say(&format!("{}\n", question.instruction)).await?;
                    }
                    let answer = match &question.prompt {
                        Some(prompt) => self.ask(prompt, Echo::Hidden).await?,
                        None => String::new(),
                    };
                    next = admission.answer(&answer).await;
                }
            }
        }
    }

    /// The chosen session takes over the channel; the terminal is opened there as it was opened here.
    async fn enter(self, authorized: Session<Authorized>, typed: Option<Secret<String>>) {
        let Self { voice, person, mut terminal, mut requests, .. } = self;
        let Reader { channel, backlog, left } = person;
        let (asks, receiver) = mpsc::channel(1);
        let gone = CancellationToken::new();
        let _left = gone.clone().drop_guard();
        voice.has_terminal(channel.id());
        let client = Client { asks: receiver, gone, voice, typed };
        let running = tokio::spawn(async move {
            match authorized.run(client).await {
                Ok(end) => tracing::debug!(end = end.word(), "Session over"),
                Err(refusal) => tracing::debug!(%refusal, "Session not started"),
            }
        });
        let (reply, answer) = oneshot::channel();
        if asks.send(Ask::Session { channel, opening: None, reply }).await.is_err() {
            return tracing::debug!("The session ended before its channel was asked for");
        }
        let answer = answer.await;
        backlog.end();
        match answer {
            Ok(Ok(open)) => {
                // What happened to the window while the choice was made, happened to this terminal.
                while let Ok(later) = requests.try_recv() {
                    if let (
                        Later::Window { cols: c, rows: r, pixels: p },
                        ChannelRequest::Pty { cols, rows, pixels, .. },
                    ) = (later, &mut terminal)
                    {
                        (*cols, *rows, *pixels) = (c, r, p);
                    }
                }
                carry(open, terminal, requests).await;
            }
            Ok(Err(Unopened { channel, sentence })) => {
                left.run_until_cancelled(say_and_close(channel, sentence)).await;
            }
            Err(_) => tracing::debug!("The session ended before its channel was open"),
        }
        drop(asks);
        if let Err(error) = running.await {
            tracing::error!(%error, "A session's task failed");
        }
    }

    async fn say(&mut self, text: &str) -> Result<(), Gone> {
        self.person.show(text.replace('\n', "\r\n").as_bytes()).await
    }

    async fn ask(&mut self, prompt: &str, echo: Echo) -> Result<String, Gone> {
        self.say(prompt).await?;
        let mut line = Vec::new();
        loop {
            match self.person.next().await {
                Some(ChannelMsg::Data { data }) => {
                    for byte in data.iter().copied() {
                        match byte {
                            b'\r' | b'\n' => {
                                self.say("\n").await?;
                                return Ok(String::from_utf8_lossy(&line).into_owned());
                            }
                            3 | 4 => return Err(Gone),
                            8 | 127 if line.pop().is_some() => {
                                if matches!(echo, Echo::Shown) {
                                    self.person.show(b"\x08 \x08").await?;
                                }
                            }
                            0..=31 | 127 => {}
                            _ if line.len() < LONGEST_LINE => {
                                line.push(byte);
                                if matches!(echo, Echo::Shown) {
                                    self.person.show(&[byte]).await?;
                                }
                            }
                            _ => {}
                        }
                    }
                }
                Some(ChannelMsg::Eof | ChannelMsg::Close) | None => return Err(Gone),
                Some(_) => {}
            }
        }
    }
}

impl Reader {
    async fn show(&self, bytes: &[u8]) -> Result<(), Gone> {
        Ok(self.left.run_until_cancelled(self.channel.data(bytes)).await.ok_or(Gone)??)
    }

    async fn next(&mut self) -> Option<ChannelMsg> {
        let message = self.channel.wait().await;
        if let Some(message) = &message {
            self.backlog.take(message);
        }
        message
    }
}

async fn close(channel: Channel<Msg>) {
    let closed = async {
        channel.exit_status(0).await?;
        channel.eof().await?;
        channel.close().await
    };
    let told: Result<(), russh::Error> = closed.await;
    tracing::debug!(told = told.is_ok(), "Left the lobby");
}

/// Passes on what the terminal does until the channel is over: the program has ended, or the person has closed it.
async fn carry(mut open: SessionChannel, terminal: ChannelRequest, mut requests: mpsc::Receiver<Later>) {
    for request in [terminal, ChannelRequest::Shell] {
        if !matches!(open.request(request).await, ChannelAnswer::Success) {
            return;
        }
    }
    loop {
        let later = tokio::select! {
            () = open.over() => break,
            later = requests.recv() => later,
        };
        match later {
            Some(Later::Window { cols, rows, pixels }) => open.window_changed(cols, rows, pixels).await,
            Some(Later::Signal(signal)) => open.signal(signal).await,
            None => return,
        }
    }
    let left = async { while requests.recv().await.is_some() {} };
    if tokio::time::timeout(COURTESY, left).await.is_err() {
        tracing::debug!("The connection stayed after its program");
    }
}

fn pick<'a>(reach: &'a [Listed], line: &str) -> Option<&'a Listed> {
    match line.parse::<usize>() {
        Ok(number) => reach.get(number.checked_sub(1)?),
        Err(_) => {
            let mut named = reach.iter().filter(|r| r.reach.asset.as_str() == line);
            named.next().filter(|_| named.next().is_none())
        }
    }
}
