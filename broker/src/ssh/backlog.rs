//! What a channel has received and nobody has taken yet.
//!
//! russh puts what comes for a channel into a queue that counts messages, not bytes. Where that is full, its session
//! loop waits, and is deaf to everything: to its peer's close, and to a cut of the connection. A channel that is
//! relayed has a task that takes at once (`drain`). One that waits for the asset, for a request or for somebody's choice
//! has none: what comes for it is counted here, so that russh's queue is never full.

use std::sync::atomic::{AtomicBool, AtomicIsize, Ordering};

use russh::{ChannelMsg, Sig};
use tokio::sync::Notify;

/// Messages that russh's queue of a person's channel takes. They are taken at once; the slack is for many small packets.
pub(in crate::ssh) const CHANNEL_BUFFER: usize = 1000;
/// The same towards an asset, where the task that takes them is slowed: a full queue holds so many packets of 32 KiB.
pub(in crate::ssh) const ASSET_BUFFER: usize = 128;
/// The largest packet of data that a client may send (RFC 4254, section 5.1).
pub(in crate::ssh) const LARGEST_PACKET: u32 = 32 * 1024;
/// Messages that may wait. OpenSSH sends a terminal, its environment and one program.
const MOST_MESSAGES: isize = 100;
/// The longest command that a program on Linux can be given (MAX_ARG_STRLEN), so that no shell there takes a longer one.
const LONGEST_COMMAND: isize = 128 * 1024;
/// Bytes that may wait: a command, and besides it what a client sends before the answer to its program's request, which is little.
const MOST_BACKLOG: isize = LONGEST_COMMAND + 64 * 1024;

/// What waits on one channel. Who takes may be ahead of who counts.
#[derive(Debug, Default)]
pub(in crate::ssh) struct Backlog {
    messages: AtomicIsize,
    bytes: AtomicIsize,
    ended: AtomicBool,
    taken: Notify,
}

/// More has come than may wait.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::ssh) struct Full;

impl Backlog {
    /// One more message of so many bytes has come.
    pub(in crate::ssh) fn add(&self, bytes: usize) -> Result<(), Full> {
        self.messages.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(signed(bytes), Ordering::Relaxed);
        if self.has_room() { Ok(()) } else { Err(Full) }
    }

    /// A message was taken.
    pub(in crate::ssh) fn take(&self, message: &ChannelMsg) {
        self.messages.fetch_sub(1, Ordering::Relaxed);
        self.bytes.fetch_sub(signed(weight(message)), Ordering::Relaxed);
        self.taken.notify_one();
    }

    /// From now on the channel has a task that takes at once, or is closed: nothing waits any more.
    pub(in crate::ssh) fn end(&self) {
        self.ended.store(true, Ordering::Relaxed);
        self.taken.notify_one();
    }

    /// Resolves when no more waits than may.
    pub(in crate::ssh) async fn room(&self) {
        while !self.has_room() {
            self.taken.notified().await;
        }
    }

    fn has_room(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
            || (self.messages.load(Ordering::Relaxed) <= MOST_MESSAGES
                && self.bytes.load(Ordering::Relaxed) <= MOST_BACKLOG)
    }
}

/// The bytes of a message that can be many.
fn weight(message: &ChannelMsg) -> usize {
    match message {
        ChannelMsg::Data { data } | ChannelMsg::ExtendedData { data, .. } => data.len(),
        ChannelMsg::Exec { command, .. } => command.len(),
        ChannelMsg::SetEnv { variable_name, variable_value, .. } => variable_name.len() + variable_value.len(),
        ChannelMsg::RequestSubsystem { name, .. } => name.len(),
        ChannelMsg::RequestPty { term, .. } => term.len(),
        ChannelMsg::Signal { signal: Sig::Custom(name) } => name.len(),
        ChannelMsg::RequestX11 { x11_authentication_protocol: protocol, x11_authentication_cookie: cookie, .. } => {
            protocol.len() + cookie.len()
        }
        _ => 0,
    }
}

fn signed(bytes: usize) -> isize {
    isize::try_from(bytes).unwrap_or(isize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_backlog_is_full_before_russh_waits() {
        assert!(MOST_MESSAGES < signed(CHANNEL_BUFFER));
    }

    #[test]
    fn many_small_messages_are_as_full_as_a_few_large_ones() {
        let small = Backlog::default();
        let taken = (0..1000).take_while(|_| small.add(1).is_ok()).count();
        assert_eq!(taken, 100);
        let large = Backlog::default();
        let taken = (0..1000).take_while(|_| large.add(32 * 1024).is_ok()).count();
        assert_eq!(taken, 6);
    }

    #[test]
    fn the_longest_command_has_room_beside_its_terminal_and_environment() {
        let waiting = Backlog::default();
        for _ in 0..20 {
            assert_eq!(waiting.add(1024), Ok(()));
        }
        assert_eq!(waiting.add(128 * 1024), Ok(()));
    }

    #[tokio::test]
    async fn what_is_taken_makes_room() {
        let backlog = Backlog::default();
        let message = ChannelMsg::Data { data: vec![0; 32 * 1024].into() };
        // The taker may be first.
        backlog.take(&message);
        for _ in 0..1000 {
            assert_eq!(backlog.add(32 * 1024), Ok(()));
            backlog.take(&message);
        }
        while backlog.add(32 * 1024).is_ok() {}
        let room = backlog.room();
        tokio::pin!(room);
        assert!(is_pending(room.as_mut()).await);
        backlog.take(&message);
        room.await;
        backlog.end();
        assert_eq!(backlog.add(usize::MAX), Ok(()));
    }

    async fn is_pending(mut future: std::pin::Pin<&mut impl Future>) -> bool {
        std::future::poll_fn(|context| std::task::Poll::Ready(future.as_mut().poll(context).is_pending())).await
    }
}
