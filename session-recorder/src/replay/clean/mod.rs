//! What of a recorded screen may be shown on the auditor's: drawing that stands on a list, and nothing else.
use super::listen::{Heard, Listener};
use crate::export::TextStream;
use sallyport_plain::acts;

/// Lets drawing through, and nothing that makes a terminal answer, remember or reach outside. An asset may be hostile to its
/// auditor.
///
/// What passes stands on a list: text, the controls that move the cursor, and sequences that move, erase, insert, colour and
/// choose line drawing, with numbers of at most four digits. Modes of keyboard and mouse, reports, titles, clipboards, resets
/// and everything unknown are left out. What is no UTF-8, controls of eight bits and what turns the reading direction become
/// U+FFFD. What may have passed is undone by [`PUT_BACK`].
#[derive(Clone, Debug, Default)]
pub struct Sanitizer {
    text: TextStream,
    state: State,
    /// What has come of a sequence.
    sequence: String,
    /// How much has come of a control string.
    inside: u64,
    /// How many control strings have begun.
    strings: u64,
    listener: Option<Listener>,
}

/// Undoes whatever may have passed: the alternate screen, character sets, colours, insert mode, reverse video, margins, origin
/// mode, no wrapping, a hidden cursor. Then the cursor stands below all that was shown.
pub const PUT_BACK: &str =
    "\x1b[?1049l\x0f\x1b(B\x1b)B\x1b[0m\x1b[4l\x1b[?5l\x1b[?6l\x1b[?7h\x1b[r\x1b[?25h\x1b[9999;1H\r\n";

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Ground,
    Escape,
    Csi,
    /// Inside OSC, DCS, SOS, PM, APC, or a title of screen: until ST or BEL.
    String,
    /// Behind an escape in one.
    StringEscape,
}

impl Sanitizer {
    /// One that also listens to what stands inside of control strings, and keeps `overlap` characters of what was heard.
    pub(crate) fn listening(overlap: usize) -> Self {
        Self { listener: Some(Listener::new(overlap)), ..Self::default() }
    }

    /// What is safe to show. `lines` adds the carriage returns that only a terminal would have added. A character that is not
    /// whole yet waits for the next bytes.
    pub fn clean(&mut self, bytes: &[u8], lines: bool) -> String {
        let text = self.text.push(bytes);
        self.clean_text(&text, lines)
    }

    /// As [`clean`](Self::clean), of what is text already.
    pub(crate) fn clean_text(&mut self, text: &str, lines: bool) -> String {
        let mut out = String::with_capacity(text.len());
        for char in text.chars() {
            self.take(char, lines, &mut out);
        }
        out
    }

    /// What is left at the end: half a character becomes U+FFFD, and what a control string hides is said.
    pub fn finish(&mut self) -> String {
        let text = self.text.finish();
        let mut out = self.clean_text(text, false);
        if let Some(bytes) = self.unfinished().filter(|bytes| *bytes > 0) {
            out.push_str(&hidden(bytes, "an unfinished control string"));
        }
        (self.state, self.inside) = (State::Ground, 0);
        out
    }

    /// How many bytes a control string has hidden that has not ended.
    pub fn unfinished(&self) -> Option<u64> {
        matches!(self.state, State::String | State::StringEscape).then_some(self.inside)
    }

    /// How many control strings have begun.
    pub(super) fn strings(&self) -> u64 {
        self.strings
    }

    /// What was heard inside of control strings since the last call.
    pub(crate) fn heard(&mut self) -> Vec<Heard> {
        self.listener.as_mut().map(Listener::heard).unwrap_or_default()
    }

    fn take(&mut self, char: char, lines: bool, out: &mut String) {
        /// Longer sequences are none that draw.
        const LONGEST: usize = 256;
        match (self.state, char) {
            (State::String, '\x07' | '\x18' | '\x1a' | '\u{9c}') | (State::StringEscape, '\\') => self.end_string(out),
            (State::String, '\x1b') => self.state = State::StringEscape,
            (State::String, _) => {
                self.inside += char.len_utf8() as u64;
                if let Some(listener) = &mut self.listener {
                    listener.take(char);
                }
            }
            // An escape ends a string; what follows is another sequence.
            (State::StringEscape, _) => {
                self.end_string(out);
                self.state = State::Escape;
                self.take(char, lines, out);
            }
            (_, '\x1b') => {
                self.sequence.clear();
                self.state = State::Escape;
            }
            (State::Escape | State::Csi, '\x18' | '\x1a') => self.state = State::Ground,
            // Terminals obey them in the middle of a sequence.
            (State::Escape | State::Csi, '\0'..='\x1f') => control(char, lines, out),
            (State::Escape | State::Csi, '\x7f') => {}
            (State::Escape, '[') if self.sequence.is_empty() => self.state = State::Csi,
            (State::Escape, ']' | 'P' | 'X' | '^' | '_' | 'k') if self.sequence.is_empty() => self.begin_string(char),
            (State::Escape, '0'..='~') => {
                self.state = State::Ground;
                escape(&self.sequence, char, out);
            }
            (State::Csi, '@'..='~') => {
                self.state = State::Ground;
                if self.sequence.len() < LONGEST {
                    sequence(&self.sequence, char, out);
                }
            }
            (State::Escape, ' '..='/') | (State::Csi, ' '..='?') => {
                if self.sequence.len() < LONGEST {
                    self.sequence.push(char);
                }
            }
            (State::Escape | State::Csi, _) => {
                self.state = State::Ground;
                self.take(char, lines, out);
            }
            (State::Ground, '\0'..='\x1f' | '\x7f') => control(char, lines, out),
            (State::Ground, _) => out.push(if acts(char) { char::REPLACEMENT_CHARACTER } else { char }),
        }
    }

    fn begin_string(&mut self, introducer: char) {
        (self.state, self.inside) = (State::String, 0);
        self.strings += 1;
        if let Some(listener) = &mut self.listener {
            listener.begin(introducer);
        }
    }

    fn end_string(&mut self, out: &mut String) {
        /// What a title or a link may hold without a word.
        const LONG: u64 = 1024;
        if self.inside > LONG {
            out.push_str(&hidden(self.inside, "a control string"));
        }
        (self.state, self.inside) = (State::Ground, 0);
        if let Some(listener) = &mut self.listener {
            listener.end();
        }
    }
}

fn hidden(bytes: u64, place: &str) -> String {
    format!("\r\n[{bytes} bytes inside {place}]\r\n")
}

fn control(char: char, lines: bool, out: &mut String) {
    match char {
        '\n' if lines => out.push_str("\r\n"),
        // Bell, back, tabulator, line feeds, carriage return, and the shifts between two character sets.
        '\x07'..='\x0f' => out.push(char),
        // ENQ would be answered; the others draw nothing.
        _ => {}
    }
}

/// A short escape sequence, if it draws.
fn escape(intermediates: &str, last: char, out: &mut String) {
    match (intermediates, last) {
        ("", '7' | '8' | 'D' | 'E' | 'M') | ("(" | ")", '0' | 'A' | 'B') => {
            out.push('\x1b');
            out.push_str(intermediates);
            out.push(last);
        }
        // A reset would take what is not the recording's, too. Of it what is seen remains.
        ("", 'c') => out.push_str("\x1b[0m\x1b[4l\x1b[r\x1b[?25h\x1b[H\x1b[2J"),
        _ => {}
    }
}

/// A control sequence, if it draws: written anew, with what of it is on the list.
fn sequence(written: &str, last: char, out: &mut String) {
    let (private, numbers) = match written.strip_prefix('?') {
        Some(rest) => (true, rest),
        None => (false, written),
    };
    let colours = last == 'm' && !private;
    if !numbers.chars().all(|char| matches!(char, '0'..='9' | ';') || (colours && char == ':')) {
        return;
    }
    let numbers: Vec<String> = numbers.split(';').map(|number| bounded(number, colours)).collect();
    let most = match (private, last) {
        (true, 'h' | 'l') => return modes(&numbers, &["5", "6", "7", "25", "47", "1047", "1049"], "?", last, out),
        (false, 'h' | 'l') => return modes(&numbers, &["4"], "", last, out),
        (true, _) => return,
        (false, 'm') => 32,
        (false, 'H' | 'f' | 'r') => 2,
        (false, '@'..='G' | 'I' | 'L' | 'M' | 'P' | 'S' | 'T' | 'X' | 'Z' | '`' | 'a' | 'b' | 'd' | 'e') => 1,
        // Not what has scrolled away: that is the auditor's own.
        (false, 'J' | 'K') if matches!(numbers.join(";").as_str(), "" | "0" | "1" | "2") => 1,
        (false, 's' | 'u') if written.is_empty() => 1,
        (false, _) => return,
    };
    if numbers.len() <= most {
        out.push_str(&format!("\x1b[{}{last}", numbers.join(";")));
    }
}

/// A number of at most four digits, or several between colons.
fn bounded(number: &str, parts: bool) -> String {
    if parts && number.contains(':') {
        return number.split(':').map(|part| bounded(part, false)).collect::<Vec<_>>().join(":");
    }
    let digits = number.trim_start_matches('0');
    match digits.len() {
        0 if number.is_empty() => String::new(),
        0 => "0".to_owned(),
        1..=4 => digits.to_owned(),
        _ => "9999".to_owned(),
    }
}

fn modes(asked: &[String], known: &[&str], prefix: &str, last: char, out: &mut String) {
    let passed: Vec<&str> = asked.iter().map(String::as_str).filter(|mode| known.contains(mode)).collect();
    if !passed.is_empty() {
        out.push_str(&format!("\x1b[{prefix}{}{last}", passed.join(";")));
    }
}

#[cfg(test)]
mod tests;
