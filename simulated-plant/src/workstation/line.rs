//! Editing a line at a terminal: bytes in, what to show and what was entered out. Knows no socket.

/// A line being typed.
#[derive(Debug, Default)]
pub(super) struct Line {
    prompt: String,
    text: Vec<char>,
    cursor: usize,
    history: Vec<String>,
    /// How far back in the history; 0: the line being typed.
    back: usize,
    pending: Vec<u8>,
}

/// What a byte led to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing to show yet.
    Nothing,
    /// Show this.
    Show(String),
    /// A line was entered.
    Entered(String),
    /// Ctrl-C.
    Interrupt,
    /// Ctrl-D on an empty line.
    End,
}

impl Line {
    /// Begins a line; gives what to show.
    pub(super) fn begin(&mut self, prompt: String) -> String {
        self.prompt = prompt;
        self.text.clear();
        self.cursor = 0;
        self.back = 0;
        self.prompt.clone()
    }

    /// Takes one byte.
    pub(super) fn take(&mut self, byte: u8) -> Step {
        if !self.pending.is_empty() {
            return self.continue_sequence(byte);
        }
        match byte {
            b'\r' | b'\n' => self.enter(),
            0x03 => Step::Interrupt,
            0x04 if self.text.is_empty() => Step::End,
            0x04 => self.delete(),
            0x08 | 0x7f => self.backspace(),
            0x01 => self.move_to(0),
            0x05 => self.move_to(self.text.len()),
            0x0b => self.edit(|line| line.text.truncate(line.cursor)),
            0x15 => self.edit(|line| {
                line.text.drain(..line.cursor);
                line.cursor = 0;
            }),
            0x17 => self.edit(Self::erase_word),
            0x0c => Step::Show(format!("\x1b[2J\x1b[H{}", self.draw())),
            0x1b | 0xc2..=0xf4 => {
                self.pending.push(byte);
                Step::Nothing
            }
            0x20..=0x7e => self.insert(char::from(byte)),
            _ => Step::Nothing,
        }
    }

    /// An escape sequence or a character of several bytes goes on.
    fn continue_sequence(&mut self, byte: u8) -> Step {
        self.pending.push(byte);
        if self.pending[0] == 0x1b {
            return self.escape();
        }
        match std::str::from_utf8(&self.pending) {
            Ok(text) => {
                let character = text.chars().next();
                self.pending.clear();
                character.map_or(Step::Nothing, |character| self.insert(character))
            }
            Err(error) => {
                if error.error_len().is_some() {
                    self.pending.clear();
                }
                Step::Nothing
            }
        }
    }

    fn escape(&mut self) -> Step {
        let step = match self.pending.as_slice() {
            [_, b'[' | b'O'] => return Step::Nothing,
            [_, b'[' | b'O', b'A'] => self.recall(self.back + 1),
            [_, b'[' | b'O', b'B'] => self.recall(self.back.saturating_sub(1)),
            [_, b'[' | b'O', b'C'] => self.move_to(self.cursor + 1),
            [_, b'[' | b'O', b'D'] => self.move_to(self.cursor.saturating_sub(1)),
            [_, b'[' | b'O', b'H'] => self.move_to(0),
            [_, b'[' | b'O', b'F'] => self.move_to(self.text.len()),
            [_, b'[', b'3', b'~'] => self.delete(),
            // Parameters of a sequence that means nothing here.
            [_, b'[', .., last] if !(0x40..=0x7e).contains(last) && self.pending.len() < 16 => return Step::Nothing,
            _ => Step::Nothing,
        };
        self.pending.clear();
        step
    }

    fn insert(&mut self, character: char) -> Step {
        if self.text.len() >= LONGEST || character.is_control() {
            return Step::Nothing;
        }
        self.text.insert(self.cursor, character);
        self.cursor += 1;
        if self.cursor == self.text.len() { Step::Show(character.to_string()) } else { Step::Show(self.draw()) }
    }

    fn enter(&mut self) -> Step {
        let line: String = self.text.iter().collect();
        if !line.trim().is_empty() && self.history.last() != Some(&line) {
            self.history.push(line.clone());
            if self.history.len() > REMEMBERED {
                self.history.remove(0);
            }
        }
        Step::Entered(line)
    }

    fn backspace(&mut self) -> Step {
        if self.cursor == 0 {
            return Step::Nothing;
        }
        self.edit(|line| {
            line.cursor -= 1;
            line.text.remove(line.cursor);
        })
    }

    fn delete(&mut self) -> Step {
        if self.cursor == self.text.len() {
            return Step::Nothing;
        }
        self.edit(|line| {
            line.text.remove(line.cursor);
        })
    }

    fn erase_word(&mut self) {
        let start = self.text[..self.cursor].iter().rposition(|c| !c.is_whitespace()).unwrap_or(0);
        let start = self.text[..start].iter().rposition(|c| c.is_whitespace()).map_or(0, |space| space + 1);
        self.text.drain(start..self.cursor);
        self.cursor = start;
    }

    fn recall(&mut self, back: usize) -> Step {
        if back > self.history.len() || back == self.back {
            return Step::Nothing;
        }
        self.back = back;
        let line = match back {
            0 => "",
            back => &self.history[self.history.len() - back],
        };
        self.text = line.chars().collect();
        self.cursor = self.text.len();
        Step::Show(self.draw())
    }

    fn move_to(&mut self, cursor: usize) -> Step {
        self.cursor = cursor.min(self.text.len());
        Step::Show(self.draw())
    }

    fn edit(&mut self, change: impl FnOnce(&mut Self)) -> Step {
        change(self);
        Step::Show(self.draw())
    }

    /// The whole line again, and the cursor back to where it belongs.
    fn draw(&self) -> String {
        let text: String = self.text.iter().collect();
        let behind = self.text.len() - self.cursor;
        let back = if behind > 0 { format!("\x1b[{behind}D") } else { String::new() };
        format!("\r{}{text}\x1b[K{back}", self.prompt)
    }
}

const LONGEST: usize = 1000;
const REMEMBERED: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(line: &mut Line, bytes: &[u8]) -> Option<String> {
        bytes.iter().find_map(|byte| match line.take(*byte) {
            Step::Entered(text) => Some(text),
            Step::Nothing | Step::Show(_) | Step::Interrupt | Step::End => None,
        })
    }

    #[test]
    fn lines_are_edited() {
        let mut line = Line::default();
        for (keys, entered) in [
            (&b"statu\x7fus\r"[..], "status"),
            (b"ls /etc\x17/var\r", "ls /var"),
            (b"cho hi\x01e\x05!\r", "echo hi!"),
            (b"ab\x1b[D\x1b[3~c\r", "ac"),
            ("grün\r".as_bytes(), "grün"),
            (b"x\x1b[A\r", "grün"),
            (b"\x1b[A\x1b[A\x1b[A\x1b[B\r", "ac"),
            (b"gone\x15here\r", "here"),
            (b"\x1b[1;5Ca\r", "a"),
        ] {
            let prompt = line.begin("$ ".to_owned());
            assert_eq!(prompt, "$ ");
            assert_eq!(typed(&mut line, keys).as_deref(), Some(entered), "{keys:?}");
        }
    }

    #[test]
    fn control_d_ends_only_an_empty_line() {
        let mut line = Line::default();
        assert_eq!(line.take(b'a'), Step::Show("a".to_owned()));
        assert_eq!(line.take(4), Step::Nothing);
        line.begin(String::new());
        assert_eq!(line.take(4), Step::End);
        assert_eq!(line.take(3), Step::Interrupt);
    }
}
