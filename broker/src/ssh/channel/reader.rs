//! The task that takes everything a channel receives, at once, into its queue.
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use russh::{ChannelId, ChannelMsg, ChannelReadHalf};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::flow::Flow;
use super::item::Item;
use super::queue::{Pace, Queue};

/// One channel's receiving side, between its drain task and its pump.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    pub(crate) queue: Arc<Queue<Item>>,
    /// The peer has closed the channel or is gone: nothing written to it arrives any more.
    pub(crate) gone: CancellationToken,
    /// The queue was full for too long without progress.
    pub(crate) stalled: CancellationToken,
}

impl Received {
    /// Starts the drain task. It ends when the channel closes, when `stop` is cancelled or when the queue stalls;
    /// its end frees the session loop from this channel.
    #[cfg(test)]
    pub(crate) fn start(half: ChannelReadHalf, answers: Option<mpsc::Sender<bool>>, drain: Drain) -> Self {
        Self::into(Queue::new(), half, answers, drain)
    }

    /// The same for a channel of a connection to an asset, which counts among what that holds.
    pub(crate) fn slowed(
        half: ChannelReadHalf,
        answers: Option<mpsc::Sender<bool>>,
        drain: Drain,
        flow: &Flow,
    ) -> Self {
        Self::into(flow.incoming().slowed(), half, answers, drain)
    }

    /// The same for a channel of a person's connection: windows keep it short, and it never stalls. An asset that takes nothing is
    /// waited for as long as the terms allow.
    pub(crate) fn windowed(half: ChannelReadHalf, channel: ChannelId, flow: &Flow, stop: CancellationToken) -> Self {
        let drain = Drain { stop, impatient: Box::new(|| false) };
        Self::into(flow.incoming().queue(channel.into()), half, None, drain)
    }

    fn into(queue: Arc<Queue<Item>>, half: ChannelReadHalf, answers: Option<mpsc::Sender<bool>>, drain: Drain) -> Self {
        let received = Self { queue, gone: CancellationToken::new(), stalled: CancellationToken::new() };
        tokio::spawn(drain.run(half, answers, received.clone()));
        received
    }
}

/// While nothing may be taken, whether that has become a stall is looked at this often.
const STALL_LOOK: Duration = Duration::from_millis(500);

/// When a drain task gives up.
pub(crate) struct Drain {
    pub(crate) stop: CancellationToken,
    /// Is a full queue without progress the end of the channel now, or may it wait on?
    pub(crate) impatient: Box<dyn Fn() -> bool + Send + Sync>,
}

impl Drain {
    async fn run(self, mut half: ChannelReadHalf, answers: Option<mpsc::Sender<bool>>, received: Received) {
        let queue = &received.queue;
        loop {
            let stalls_at = queue.stalls_at().filter(|_| (self.impatient)());
            tokio::select! {
                biased;
                () = self.stop.cancelled() => break,
                () = until(stalls_at) => {
                    if self.stalled(&received) {
                        break;
                    }
                    continue;
                }
                message = half.wait() => {
                    let Some(item) = message.map_or(Some(Item::Close), |message| item(message, answers.as_ref())) else {
                        continue;
                    };
                    let last = matches!(item, Item::Close);
                    queue.push(item);
                    if last {
                        received.gone.cancel();
                        break;
                    }
                }
            }
            if self.wait_for_its_turn(&received).await.is_break() {
                break;
            }
        }
        queue.close();
    }

    /// Slows down as the queue asks, and gives up when it has stalled.
    async fn wait_for_its_turn(&self, received: &Received) -> ControlFlow<()> {
        let queue = &received.queue;
        loop {
            let pace = queue.pace();
            let delay = match pace {
                Pace::Free => return ControlFlow::Continue(()),
                Pace::Wait(delay) => delay,
                Pace::Stalled if self.stalled(received) => return ControlFlow::Break(()),
                Pace::Hold | Pace::Stalled => STALL_LOOK,
            };
            tokio::select! {
                () = self.stop.cancelled() => return ControlFlow::Break(()),
                () = tokio::time::sleep(delay) => {
                    if matches!(pace, Pace::Wait(_)) {
                        return ControlFlow::Continue(());
                    }
                }
                () = queue.wait_for_room() => {}
            }
        }
    }

    fn stalled(&self, received: &Received) -> bool {
        let stalled = received.queue.pace() == Pace::Stalled && (self.impatient)();
        if stalled {
            received.stalled.cancel();
        }
        stalled
    }
}

async fn until(instant: Option<tokio::time::Instant>) {
    match instant {
        Some(instant) => tokio::time::sleep_until(instant).await,
        None => std::future::pending().await,
    }
}

/// What of a message concerns the pumps. Requests come through the handler's callbacks.
fn item(message: ChannelMsg, answers: Option<&mpsc::Sender<bool>>) -> Option<Item> {
    match message {
        ChannelMsg::Data { data } => Some(Item::Data(data)),
        ChannelMsg::ExtendedData { data, ext } => Some(Item::Extended(ext, data)),
        ChannelMsg::Eof => Some(Item::Eof),
        ChannelMsg::Close => Some(Item::Close),
        ChannelMsg::ExitStatus { exit_status } => Some(Item::ExitStatus(exit_status)),
        ChannelMsg::ExitSignal { signal_name, core_dumped, error_message, lang_tag } => {
            Some(Item::ExitSignal { name: signal_name, core_dumped, message: error_message, language: lang_tag })
        }
        ChannelMsg::Success | ChannelMsg::Failure => {
            let good = matches!(message, ChannelMsg::Success);
            // An answer that nobody waits for is of no use: the queue of answers is as long as requests can be.
            if let Some(answers) = answers
                && answers.try_send(good).is_err()
            {
                tracing::debug!("An answer of the asset came to no request");
            }
            None
        }
        _ => None,
    }
}
