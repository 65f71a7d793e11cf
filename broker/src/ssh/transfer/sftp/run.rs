//! Neighbouring sftp packets that pass the same way, put together into one stretch without copying them.
use aws_lc_rs::digest::{Context, SHA256};
use bytes::Bytes;

use super::super::{Passed, Step, Store, hashed};
use super::packet::framed;

/// How a packet passes.
#[derive(Debug, Clone, Copy)]
pub(super) enum Pass {
    /// It says something.
    Message,
    /// It holds content that is not in sequence.
    Content,
    /// It ends with the next `data` bytes of a file's content.
    File { number: u64, data: usize, passed: Passed },
}

impl Pass {
    /// A packet with a piece of the file of this number; `passed` if it is in sequence.
    pub(super) fn piece(passed: Option<Passed>, number: u64, data: usize) -> Self {
        passed.map_or(Pass::Content, |passed| Pass::File { number, data, passed })
    }

    /// Whether a stretch of packets that pass like this one goes on with the other.
    fn goes_on_with(&self, other: &Pass) -> bool {
        match (self, other) {
            (Pass::Message, Pass::Message) | (Pass::Content, Pass::Content) => true,
            (Pass::File { number, .. }, Pass::File { number: other, .. }) => number == other,
            _ => false,
        }
    }
}

/// A stretch in the making.
pub(super) struct Run<'a> {
    stream: &'a Bytes,
    start: usize,
    at: usize,
    pass: Pass,
    /// Over what of the packets is not content, where that is hashed by itself.
    frame: Context,
}

impl<'a> Run<'a> {
    pub(super) fn new(stream: &'a Bytes) -> Self {
        Self { stream, start: 0, at: 0, pass: Pass::Message, frame: Context::new(&SHA256) }
    }

    pub(super) fn rest(&self) -> &'a [u8] {
        self.stream.get(self.at..).unwrap_or_default()
    }

    /// The body of the packet that ends `end` bytes on.
    pub(super) fn packet(&self, end: usize) -> &'a [u8] {
        self.rest().get(4..end).unwrap_or_default()
    }

    pub(super) fn pass(&mut self, end: usize, pass: Pass, steps: &mut Vec<Step>) {
        if !self.pass.goes_on_with(&pass) {
            self.flush(steps);
        }
        if let Pass::File { data, .. } = pass {
            self.frame.update(self.rest().get(..end.saturating_sub(data)).unwrap_or_default());
        }
        self.pass = pass;
        self.at += end;
    }

    /// Lets the first `length` bytes of the body of the packet that ends `end` bytes on pass, as a packet.
    pub(super) fn cut(&mut self, end: usize, length: usize, pass: Pass, steps: &mut Vec<Step>) {
        let bytes = framed(self.packet(end).get(..length).unwrap_or_default());
        self.skip(end, steps);
        let mut alone = Run::new(&bytes);
        alone.pass(bytes.len(), pass, steps);
        alone.flush(steps);
    }

    pub(super) fn skip(&mut self, end: usize, steps: &mut Vec<Step>) {
        self.flush(steps);
        self.at += end;
        self.start = self.at;
    }

    pub(super) fn flush(&mut self, steps: &mut Vec<Step>) {
        if self.start < self.at {
            let store = match self.pass {
                Pass::Message => Store::Message,
                Pass::Content => Store::Content,
                Pass::File { passed, .. } => {
                    let frame = std::mem::replace(&mut self.frame, Context::new(&SHA256));
                    Store::File(passed.run(self.at - self.start, hashed(frame)))
                }
            };
            steps.push(Step::Forward(self.stream.slice(self.start..self.at), store));
            self.start = self.at;
        }
    }

    pub(super) fn finish(mut self, steps: &mut Vec<Step>) -> &'a [u8] {
        self.flush(steps);
        self.rest()
    }
}
