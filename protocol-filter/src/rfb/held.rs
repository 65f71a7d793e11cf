//! What is down on the asset: keys and buttons that went out pressed and not let go.

/// Bounded: a tool that presses more keys than a person can hold is remembered by the first of them.
#[derive(Debug, Default)]
pub(super) struct Held {
    keys: Vec<u32>,
    buttons: u8,
    x: u16,
    y: u16,
}

impl Held {
    const MOST_KEYS: usize = 64;

    pub(super) fn key(&mut self, down: bool, keysym: u32) {
        let place = self.keys.iter().position(|held| *held == keysym);
        match (down, place) {
            (true, None) if self.keys.len() < Self::MOST_KEYS => self.keys.push(keysym),
            (false, Some(place)) => {
                self.keys.remove(place);
            }
            _ => {}
        }
    }

    /// Tells which buttons were down before.
    pub(super) fn pointer(&mut self, buttons: u8, x: u16, y: u16) -> u8 {
        let before = self.buttons;
        (self.buttons, self.x, self.y) = (buttons, x, y);
        before
    }

    /// Nothing is down.
    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.buttons == 0
    }

    pub(super) fn keys(&self) -> &[u32] {
        &self.keys
    }

    pub(super) fn buttons(&self) -> u8 {
        self.buttons
    }

    /// Where the pointer was last.
    pub(super) fn position(&self) -> (u16, u16) {
        (self.x, self.y)
    }
}
