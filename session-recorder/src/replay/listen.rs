//! What stands inside of control strings, for search: titles, and what hides there.

/// A part of what a control string holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Heard {
    pub(crate) text: Vec<char>,
    /// How many of its characters were heard before.
    pub(crate) before: usize,
    /// It is a window's title.
    pub(crate) title: bool,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Listener {
    overlap: usize,
    introducer: char,
    current: Vec<char>,
    before: usize,
    title: bool,
    heard: Vec<Heard>,
}

impl Listener {
    pub(super) fn new(overlap: usize) -> Self {
        Self { overlap, ..Self::default() }
    }

    pub(super) fn begin(&mut self, introducer: char) {
        self.current.clear();
        (self.introducer, self.before, self.title) = (introducer, 0, introducer == 'k');
    }

    pub(super) fn take(&mut self, char: char) {
        self.current.push(char);
        // OSC 0, 1 and 2 set titles.
        if self.introducer == ']' && matches!(self.current.as_slice(), ['0'..='2', ';']) && self.before == 0 {
            self.title = true;
        }
    }

    pub(super) fn end(&mut self) {
        self.tell();
        self.current.clear();
        self.before = 0;
    }

    /// What has come since the last call, also of a string that goes on.
    pub(super) fn heard(&mut self) -> Vec<Heard> {
        self.tell();
        let from = self.current.len().saturating_sub(self.overlap);
        self.current.drain(..from);
        self.before = self.current.len();
        std::mem::take(&mut self.heard)
    }

    fn tell(&mut self) {
        if self.current.len() > self.before {
            let text = self.current.clone();
            self.heard.push(Heard { text, before: self.before, title: self.title });
            self.before = self.current.len();
        }
    }
}
