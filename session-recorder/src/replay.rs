//! Replay: what to show, and how long to wait before it.
use crate::entry::{Direction, Entry, TrackId};
use crate::export::Track;
use crate::header::Header;
use crate::read::ReadError;
use std::time::Duration;

/// How fast a replay goes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pace {
    /// 2.0 is twice as fast.
    pub speed: f64,
    /// Pauses longer than this are cut to it.
    pub idle: Option<Duration>,
    /// Everything before this is shown at once.
    pub seek: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self { speed: 1.0, idle: None, seek: Duration::ZERO }
    }
}

/// One thing to show.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// How long to wait before it.
    pub wait: Duration,
    /// Where it stands, from the start of the recording.
    pub offset: Duration,
    /// What to show.
    pub show: Show,
}

/// What a step shows.
#[derive(Clone, Debug, PartialEq)]
pub enum Show {
    /// Bytes for a terminal, with everything taken out that could act on the terminal they are shown on.
    Bytes(Vec<u8>),
    /// The person's window got this size, in columns and rows.
    Resized(u16, u16),
}

/// The steps of one track.
pub struct Replay<I> {
    entries: I,
    started: crate::Moment,
    track: TrackId,
    terminal: bool,
    pace: Pace,
    shown_until: Duration,
    output: Sanitizer,
    errors: Sanitizer,
}

impl<I: Iterator<Item = Result<Entry, ReadError>>> Replay<I> {
    /// Replays `track` out of the entries of a recording.
    pub fn new(header: &Header, track: &Track, entries: I, pace: Pace) -> Self {
        Self {
            entries,
            started: header.started,
            track: TrackId(track.track),
            terminal: track.terminal.is_some(),
            pace,
            shown_until: Duration::from_micros(track.from_micros).max(pace.seek),
            output: Sanitizer::default(),
            errors: Sanitizer::default(),
        }
    }

    fn show(&mut self, entry: &Entry) -> Option<Show> {
        if let Some((cols, rows)) = crate::export::window_change(entry) {
            return Some(Show::Resized(cols, rows));
        }
        let sanitizer = match entry.kind.direction()? {
            Direction::Input => return None,
            Direction::Output => &mut self.output,
            Direction::ErrorOutput => &mut self.errors,
        };
        if let Some((length, _)) = entry.digest() {
            return Some(Show::Bytes(format!("\r\n[{length} bytes, recorded as SHA-256 only]\r\n").into_bytes()));
        }
        let bytes = sanitizer.clean(&entry.body, !self.terminal);
        (!bytes.is_empty()).then_some(Show::Bytes(bytes))
    }

    fn wait(&mut self, offset: Duration) -> Duration {
        let pause = offset.saturating_sub(self.shown_until);
        self.shown_until = self.shown_until.max(offset);
        let pause = self.pace.idle.map_or(pause, |idle| pause.min(idle));
        let speed = if self.pace.speed.is_finite() && self.pace.speed > 0.0 { self.pace.speed } else { 1.0 };
        Duration::try_from_secs_f64(pause.as_secs_f64() / speed).unwrap_or(pause)
    }
}

impl<I: Iterator<Item = Result<Entry, ReadError>>> Iterator for Replay<I> {
    type Item = Result<Step, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let entry = match self.entries.next()? {
                Ok(entry) => entry,
                Err(error) => return Some(Err(error)),
            };
            if entry.track != self.track {
                continue;
            }
            if let Some(show) = self.show(&entry) {
                let offset = Duration::from_micros(entry.at.micros_since(self.started));
                return Some(Ok(Step { wait: self.wait(offset), offset, show }));
            }
        }
    }
}

/// Lets drawing through, and nothing that makes a terminal answer, remember or reach outside: no operating system
/// commands (clipboard, title), device controls, reports or window operations. An asset may be hostile to its auditor.
#[derive(Clone, Debug, Default)]
pub struct Sanitizer {
    state: State,
    sequence: Vec<u8>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Ground,
    Escape,
    Csi,
    /// Inside OSC, DCS, SOS, PM or APC: until ST or BEL.
    String,
    StringEscape,
    /// After 0xC2, which begins the eight-bit controls in UTF-8.
    C2,
}

impl Sanitizer {
    /// The bytes that are safe to show. `lines` adds the carriage returns that only a terminal would have added.
    pub fn clean(&mut self, bytes: &[u8], lines: bool) -> Vec<u8> {
        let mut out = Vec::with_capacity(bytes.len());
        for byte in bytes {
            self.take(*byte, lines, &mut out);
        }
        out
    }

    fn take(&mut self, byte: u8, lines: bool, out: &mut Vec<u8>) {
        const LONGEST: usize = 256;
        match (self.state, byte) {
            (State::String, 0x07) | (State::StringEscape, b'\\') => self.state = State::Ground,
            (State::String, 0x18 | 0x1a) => self.state = State::Ground,
            (State::String | State::StringEscape, 0x1b) => self.state = State::StringEscape,
            (State::String, _) => {}
            (State::StringEscape, _) => self.state = State::String,
            (_, 0x1b) => self.begin(byte, State::Escape),
            (State::Escape, b'[') => self.grow(byte, State::Csi),
            (State::Escape, b']' | b'P' | b'X' | b'^' | b'_') => self.state = State::String,
            // Identify terminal: would be answered.
            (State::Escape, b'Z') => self.state = State::Ground,
            (State::Escape, 0x20..=0x2f) if self.sequence.len() < LONGEST => self.sequence.push(byte),
            // Another character set (`ESC %`) could make controls of bytes that are none in UTF-8.
            (State::Escape, 0x30..=0x7e) => self.finish(byte, self.sequence.get(1) != Some(&b'%'), out),
            (State::Csi, 0x20..=0x3f) if self.sequence.len() < LONGEST => self.sequence.push(byte),
            (State::Csi, 0x40..=0x7e) => self.finish(byte, draws(byte), out),
            (State::Escape | State::Csi, _) => self.state = State::Ground,
            (State::C2, 0x80..=0x9f) => {
                self.state = match byte {
                    0x90 | 0x98 | 0x9d..=0x9f => State::String,
                    _ => State::Ground,
                }
            }
            (State::C2, 0xa0..=0xbf) => {
                out.extend_from_slice(&[0xc2, byte]);
                self.state = State::Ground;
            }
            // By itself it would become a control with whatever is shown next: behind what is left out, or of another stream.
            (State::C2, _) => {
                out.extend_from_slice("\u{fffd}".as_bytes());
                self.state = State::Ground;
                self.take(byte, lines, out);
            }
            (State::Ground, 0xc2) => self.state = State::C2,
            (State::Ground, b'\n') if lines => out.extend_from_slice(b"\r\n"),
            // ENQ would be answered; the other controls draw or do nothing.
            (State::Ground, 0x05) => {}
            (State::Ground, _) => out.push(byte),
        }
    }

    fn begin(&mut self, byte: u8, state: State) {
        self.sequence.clear();
        self.grow(byte, state);
    }

    fn grow(&mut self, byte: u8, state: State) {
        self.sequence.push(byte);
        self.state = state;
    }

    fn finish(&mut self, byte: u8, allowed: bool, out: &mut Vec<u8>) {
        self.sequence.push(byte);
        if allowed {
            out.append(&mut self.sequence);
        }
        self.sequence.clear();
        self.state = State::Ground;
    }
}

/// Final bytes of control sequences that only draw or set modes. Left out: reports (`c`, `n`, `x`, `y`), window
/// operations (`t`), media copy (`i`), requests (`p`, `q`, `u` with answers, `w`, `z`, `v`, `|`, `{`, `}`).
fn draws(last: u8) -> bool {
    matches!(last, b'@'..=b'M' | b'P' | b'S' | b'T' | b'X' | b'Z' | b'`' | b'a' | b'b' | b'd'..=b'h' | b'l' | b'm' | b'r' | b's')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clean(text: &str) -> String {
        String::from_utf8_lossy(&Sanitizer::default().clean(text.as_bytes(), false)).into_owned()
    }

    #[test]
    fn drawing_passes() {
        for text in [
            "plain æøå 界\r\n",
            "\x1b[1;31mred\x1b[0m",
            "\x1b[2J\x1b[H",
            "\x1b[?1049h",
            "\x1b(0q\x1b(B",
            "\x1b7\x1b8",
            "\u{a0}",
        ] {
            assert_eq!(clean(text), text);
        }
    }

    #[test]
    fn what_acts_on_the_auditors_terminal_does_not() {
        for text in [
            "\x1b]52;c;ZXZpbA==\x07",
            "\x1b]0;title\x1b\\",
            "\x1bP$q\"p\x1b\\",
            "\x1b[c",
            "\x1b[6n",
            "\x1b[21t",
            "\x05",
            "\x1bZ",
            "\u{9d}0;x\u{7}",
            "\x1b_G\x1b\\",
            "\x1b[?1$p",
            "\x1b[>q",
            "\x1b[5i",
            "\x1b%@",
            "\x1b%G",
        ] {
            assert_eq!(clean(&format!("a{text}b")), "ab", "{text:?}");
        }
    }

    #[test]
    fn what_is_left_out_does_not_make_one_character_of_two() {
        for beginning in ["\u{c2}", "\u{c2}\x05", "\u{c2}\u{c2}", "\u{c2}\x1b[6n"] {
            // Latin 1, so that each character is one byte.
            let bytes: Vec<u8> = beginning.chars().filter_map(|char| u8::try_from(char).ok()).collect();
            let (mut output, mut errors) = (Sanitizer::default(), Sanitizer::default());
            let shown = [output.clean(&bytes, false), errors.clean(b"\x9d52;c;ZXZpbA==\x07", false)].concat();
            let shown = [shown, output.clean(b"\x9d0;x\x07", false)].concat();
            assert!(!String::from_utf8_lossy(&shown).contains('\u{9d}'), "{shown:x?}");
        }
        assert_eq!(Sanitizer::default().clean(b"a\xc2b\xc2\xa0", false), "a\u{fffd}b\u{a0}".as_bytes());
    }

    #[test]
    fn it_does_not_matter_how_the_bytes_are_cut() {
        let text = "a\x1b]52;c;ZXZpbA==\x07b\x1b[31mc\x1b[6nd\u{9d}0;t\x1b\\e界";
        for cut in 0..text.len() {
            let mut sanitizer = Sanitizer::default();
            let (left, right) = text.as_bytes().split_at(cut);
            let mut out = sanitizer.clean(left, false);
            out.extend(sanitizer.clean(right, false));
            assert_eq!(String::from_utf8_lossy(&out), "ab\x1b[31mcde界");
        }
    }

    #[test]
    fn an_endless_sequence_takes_no_memory() {
        let mut sanitizer = Sanitizer::default();
        for _ in 0..100 {
            sanitizer.clean(b"\x1b[", false);
            sanitizer.clean(&[b'1'; 10_000], false);
        }
        assert!(sanitizer.sequence.len() <= 257);
    }
}
