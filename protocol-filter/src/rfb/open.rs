//! The connection once the screen is open: both sides speak when they like.

use super::Desk;
use super::client::{self, Client, put_key, put_pointer};
use super::feed::Carry;
use super::follow::Follow;
use super::held::Held;
use super::operation::{Message, Operation};
use super::relay::Relay;
use super::rules::{RELEASE, Rules};
use super::sink::Reason;
use super::tally::Tallies;
use crate::{Kind, Phase, Side};

/// What is known of both streams.
#[derive(Debug)]
pub(super) struct Open {
    client: Client,
    follow: Follow,
    /// Update requests that went out and were not answered: at most so many.
    owed: u64,
    /// Does the cut text that is being read from the server pass?
    cut_text_passes: bool,
    tallies: Tallies,
    held: Held,
    /// The right to input ended: what is down is to be let go.
    release: bool,
}

impl Open {
    pub(super) fn new(follow: Follow) -> Self {
        Self {
            client: Client::new(),
            follow,
            owed: 0,
            cut_text_passes: false,
            tallies: Tallies::default(),
            held: Held::default(),
            release: false,
        }
    }

    pub(super) fn take(
        &mut self,
        from: Side,
        bytes: &[u8],
        carry: &mut Carry,
        desk: &mut Desk<'_>,
    ) -> Result<(), Reason> {
        self.let_go(desk);
        match from {
            Side::Client => {
                let mut rest = bytes;
                while !rest.is_empty() {
                    let mut client_desk = client::Tools {
                        to_server: &mut desk.out.to_server,
                        journal: desk.journal,
                        tallies: &mut self.tallies,
                        held: &mut self.held,
                        follow: &mut self.follow,
                        owed: &mut self.owed,
                        rules: desk.rules,
                        now_ms: desk.now_ms,
                    };
                    // What is down is let go right behind the message that is half sent, however the stream is cut.
                    rest = self.client.read(carry, rest, self.release, &mut client_desk)?;
                    self.let_go(desk);
                }
                Ok(())
            }
            Side::Server => {
                let mut relay = Relay {
                    to_client: &mut desk.out.to_client,
                    journal: desk.journal,
                    tallies: &mut self.tallies,
                    owed: &mut self.owed,
                    cut_text_passes: &mut self.cut_text_passes,
                    rules: desk.rules,
                    now_ms: desk.now_ms,
                };
                self.follow.read(carry, bytes, &mut relay)
            }
        }
    }

    pub(super) fn is_within_message(&self, side: Side) -> bool {
        match side {
            Side::Client => !self.client.is_between_messages(),
            Side::Server => !self.follow.is_between_messages(),
        }
    }

    pub(super) fn deadline(&self, over: bool) -> Option<u64> {
        let at_once = (over && !self.tallies.is_settled()) || self.lets_go();
        if at_once { Some(0) } else { self.tallies.due_ms() }
    }

    pub(super) fn tick(&mut self, over: bool, desk: &mut Desk<'_>) {
        self.let_go(desk);
        self.tallies.settle(over, desk.now_ms, desk.journal);
    }

    pub(super) fn replace_rules(&mut self, rules: Rules) {
        self.release = !rules.on_input().passes() && !self.held.is_empty();
    }

    /// The tool will send no more: what it holds down must not stay down.
    pub(super) fn client_finished(&mut self) {
        self.release = !self.held.is_empty();
    }

    /// What is down can be let go now: it must be, and no message of the tool is half sent.
    fn lets_go(&self) -> bool {
        self.release && !self.client.is_sending()
    }

    /// A key or button that stays down would go on acting on the process, and its release is dropped with all other input.
    fn let_go(&mut self, desk: &mut Desk<'_>) {
        if !self.lets_go() {
            return;
        }
        self.release = false;
        let held = std::mem::take(&mut self.held);
        // At most 64 keys.
        let message = Message::Released { keys: held.keys().len() as u8, buttons: held.buttons() };
        desk.journal.note(&Operation {
            side: Side::Client,
            kind: Kind::Control,
            phase: Phase::Notice,
            message,
            verdict: RELEASE,
        });
        for keysym in held.keys() {
            put_key(false, *keysym, &mut desk.out.to_server);
        }
        if held.buttons() != 0 {
            let (x, y) = held.position();
            put_pointer(0, x, y, &mut desk.out.to_server);
        }
    }
}
