//! scp's own protocol (`scp -O`), followed for names, sizes and hashes. No input or output of its own.
//!
//! One side is the source and sends commands and content; the other is the sink and answers each with one response.
//! Whether content follows a `C` line depends on the sink's response, so a source that goes on before it is malformed. A sink that
//! agrees before it is asked (PuTTY's does) is taken by its word when its turn has come.
use aws_lc_rs::digest::{Context, SHA256};
use bytes::{Buf, Bytes};

use super::{Content, FileOutcome, Malformed, Step, Store, Via, Way, hashed};

/// So many responses may come before they are due.
const MOST_EARLY: u32 = 64;
/// Longest line; OpenSSH's sink takes 16 KiB.
const MAX_LINE: usize = 16 * 1024;
/// Deepest folder.
const MAX_DEPTH: usize = 1024;
/// With so much content to come, a short wait for more of it costs nothing.
const LONG: u64 = 1024 * 1024;

/// The state of one scp run.
#[derive(Debug)]
pub(crate) struct Scp {
    way: Way,
    target: String,
    folders: Vec<String>,
    source: Source,
    source_line: Vec<u8>,
    sink_line: Vec<u8>,
    /// Zero bytes of the sink that answer what the source has yet to send.
    early: u32,
    file: Option<File>,
}

#[derive(Debug)]
struct File {
    path: String,
    size: u64,
    content: Content,
    source_said_whole: bool,
}

/// What the source may send next.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Source {
    /// Nothing before the sink's response; then what the response decides.
    Wait(After),
    Line,
    Content(u64),
    /// One zero byte, or an error line.
    Trailer,
    /// Nothing any more.
    Over,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum After {
    Line,
    Content(u64),
    Folder(String),
    FileEnd,
}

impl Scp {
    pub(crate) fn new(way: Way, target: String) -> Self {
        Self {
            way,
            target,
            folders: Vec::new(),
            // The sink speaks first.
            source: Source::Wait(After::Line),
            source_line: Vec::new(),
            sink_line: Vec::new(),
            early: 0,
            file: None,
        }
    }

    /// The client's next bytes.
    pub(crate) fn client_sent(&mut self, bytes: Bytes, steps: &mut Vec<Step>) -> Result<(), Malformed> {
        match self.way {
            Way::Upload => self.source_sent(bytes, steps),
            Way::Download => self.sink_sent(bytes, steps),
        }
    }

    /// The asset's next bytes.
    pub(crate) fn asset_sent(&mut self, bytes: Bytes, steps: &mut Vec<Step>) -> Result<(), Malformed> {
        match self.way {
            Way::Upload => self.sink_sent(bytes, steps),
            Way::Download => self.source_sent(bytes, steps),
        }
    }

    /// Is much more content about to come?
    pub(crate) fn expects_more(&self) -> bool {
        matches!(self.source, Source::Content(left) if left >= LONG)
    }

    /// The stream has ended: a file that is not whole.
    pub(crate) fn finish(&mut self, steps: &mut Vec<Step>) {
        if let Some(file) = self.file.take() {
            steps.push(file.report(self.way, false, Some("the transfer ended early")));
        }
    }

    fn source_sent(&mut self, mut bytes: Bytes, steps: &mut Vec<Step>) -> Result<(), Malformed> {
        while !bytes.is_empty() {
            match self.source {
                Source::Wait(_) => return Err(Malformed("an scp source went on before the response")),
                Source::Over => return Err(Malformed("an scp source went on after its end")),
                Source::Line => {
                    if let Some(line) = whole_line(&mut self.source_line, &mut bytes)? {
                        self.source = self.command(&line)?;
                        forward(line, Store::Message, steps);
                        self.take_early(steps);
                    }
                }
                Source::Content(left) => {
                    let length = usize::try_from(left).map_or(bytes.len(), |left| left.min(bytes.len()));
                    let piece = bytes.split_to(length);
                    let passed = self.file.as_mut().and_then(|file| file.content.append(&piece));
                    let left = left - piece.len() as u64;
                    self.source = if left == 0 { Source::Trailer } else { Source::Content(left) };
                    let nothing_else = || hashed(Context::new(&SHA256));
                    let store =
                        passed.map_or(Store::Content, |passed| Store::File(passed.run(piece.len(), nothing_else())));
                    forward(piece, store, steps);
                }
                Source::Trailer => self.trailer(&mut bytes, steps)?,
            }
        }
        Ok(())
    }

    fn trailer(&mut self, bytes: &mut Bytes, steps: &mut Vec<Step>) -> Result<(), Malformed> {
        let whole = self.source_line.is_empty() && bytes.first() == Some(&0);
        let trailer = if whole { Some(bytes.split_to(1)) } else { whole_line(&mut self.source_line, bytes)? };
        if let Some(trailer) = trailer {
            if let Some(file) = &mut self.file {
                file.source_said_whole = whole;
            }
            self.source = Source::Wait(After::FileEnd);
            forward(trailer, Store::Message, steps);
            self.take_early(steps);
        }
        Ok(())
    }

    /// If the sink has agreed already to what it is asked now, that counts.
    fn take_early(&mut self, steps: &mut Vec<Step>) {
        if let (Source::Wait(after), Some(left)) = (&self.source, self.early.checked_sub(1)) {
            self.early = left;
            let after = after.clone();
            self.source = self.responded(after, true, steps);
        }
    }

    fn command(&mut self, line: &[u8]) -> Result<Source, Malformed> {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        match line.split_first() {
            Some((1, _)) => Ok(Source::Line),
            Some((2, _)) => Ok(Source::Over),
            Some((b'T', times)) => {
                let numbers: Vec<_> = times.split(|byte| *byte == b' ').collect();
                let well_formed = numbers.len() == 4 && numbers.iter().all(|number| decimal(number).is_some());
                if well_formed {
                    Ok(Source::Wait(After::Line))
                } else {
                    Err(Malformed("an scp time line is malformed"))
                }
            }
            Some((b'C', rest)) => {
                let (size, name) = size_and_name(rest)?;
                let path = self.path(&name);
                let (content, source_said_whole) = (Content::new(), false);
                self.file = Some(File { path, size, content, source_said_whole });
                Ok(Source::Wait(After::Content(size)))
            }
            Some((b'D', rest)) => {
                let (_, name) = size_and_name(rest)?;
                if self.folders.len() >= MAX_DEPTH {
                    return Err(Malformed("scp folders are nested too deep"));
                }
                Ok(Source::Wait(After::Folder(name)))
            }
            Some((b'E', [])) => {
                self.folders.pop().ok_or(Malformed("scp left a folder it was not in"))?;
                Ok(Source::Wait(After::Line))
            }
            Some(_) | None => Err(Malformed("an scp line is of an unknown kind")),
        }
    }

    fn sink_sent(&mut self, mut bytes: Bytes, steps: &mut Vec<Step>) -> Result<(), Malformed> {
        while !bytes.is_empty() {
            let good = self.sink_line.is_empty() && bytes.first() == Some(&0);
            let Source::Wait(after) = self.source.clone() else {
                // What it refuses it must have been asked: nobody could say what an early refusal is of.
                if !good || self.early >= MOST_EARLY {
                    return Err(Malformed("an scp sink answered what was not asked"));
                }
                self.early += 1;
                forward(bytes.split_to(1), Store::Message, steps);
                continue;
            };
            let response = if good { Some(bytes.split_to(1)) } else { whole_line(&mut self.sink_line, &mut bytes)? };
            let Some(response) = response else { return Ok(()) };
            let fatal = response.first() == Some(&2);
            self.source = self.responded(after, good, steps);
            if fatal {
                self.source = Source::Over;
            }
            forward(response, Store::Message, steps);
        }
        Ok(())
    }

    fn responded(&mut self, after: After, good: bool, steps: &mut Vec<Step>) -> Source {
        match (after, good) {
            (After::Line, _) => Source::Line,
            (After::Content(0), true) => Source::Trailer,
            (After::Content(size), true) => Source::Content(size),
            (After::Content(_), false) => {
                if let Some(file) = self.file.take() {
                    steps.push(file.report(self.way, false, Some("the receiving side did not want the file")));
                }
                Source::Line
            }
            (After::Folder(name), true) => {
                self.folders.push(name);
                Source::Line
            }
            (After::Folder(_), false) => Source::Line,
            (After::FileEnd, good) => {
                if let Some(file) = self.file.take() {
                    let whole = good && file.source_said_whole;
                    let note = (!whole).then_some("one side reported an error");
                    steps.push(file.report(self.way, whole, note));
                }
                Source::Line
            }
        }
    }

    /// The target as named on the command line, with what the source adds to it.
    fn path(&self, name: &str) -> String {
        let same = self.folders.is_empty() && self.target.rsplit('/').next() == Some(name);
        if same {
            return self.target.clone();
        }
        let mut path = self.target.trim_end_matches('/').to_owned();
        for part in self.folders.iter().map(String::as_str).chain([name]) {
            path.push('/');
            path.push_str(part);
        }
        path
    }
}

impl File {
    fn report(self, way: Way, whole: bool, note: Option<&'static str>) -> Step {
        let whole = whole && self.content.size() == self.size;
        Step::File(Via::Scp, self.path, FileOutcome::Transferred(self.content.finish(way, whole, note)))
    }
}

/// Takes bytes up to a line's end, across as many calls as it needs.
fn whole_line(begun: &mut Vec<u8>, bytes: &mut Bytes) -> Result<Option<Bytes>, Malformed> {
    let end = bytes.iter().position(|byte| *byte == b'\n');
    let length = end.map_or(bytes.len(), |end| end + 1);
    if begun.len() + length > MAX_LINE {
        return Err(Malformed("an scp line is too long"));
    }
    if begun.is_empty() && end.is_some() {
        return Ok(Some(bytes.split_to(length)));
    }
    begun.extend_from_slice(bytes.get(..length).unwrap_or_default());
    bytes.advance(length);
    Ok(end.map(|_| std::mem::take(begun).into()))
}

fn forward(bytes: Bytes, store: Store, steps: &mut Vec<Step>) {
    steps.push(Step::Forward(bytes, store));
}

/// `0644 12 name`, as after `C` and `D`.
fn size_and_name(rest: &[u8]) -> Result<(u64, String), Malformed> {
    const BAD: Malformed = Malformed("an scp file line is malformed");
    let mut parts = rest.splitn(3, |byte| *byte == b' ');
    let (mode, size, name) = (parts.next().ok_or(BAD)?, parts.next().ok_or(BAD)?, parts.next().ok_or(BAD)?);
    if mode.len() != 4 || !mode.iter().all(|digit| (b'0'..=b'7').contains(digit)) {
        return Err(BAD);
    }
    let size = decimal(size).ok_or(BAD)?;
    if name.is_empty() || name == b"." || name == b".." || name.iter().any(|byte| matches!(byte, b'/' | 0)) {
        return Err(Malformed("scp named a file outside the folder"));
    }
    Ok((size, String::from_utf8_lossy(name).into_owned()))
}

fn decimal(digits: &[u8]) -> Option<u64> {
    let plain = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    if plain { std::str::from_utf8(digits).ok()?.parse().ok() } else { None }
}

#[cfg(test)]
mod tests;
