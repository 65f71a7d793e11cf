//! One side's bytes, read as fields of fixed length and as counted runs, wherever the stream is cut.

/// What is kept of one side between two calls: the beginning of a field that is not whole yet.
#[derive(Debug, Default)]
pub(super) struct Carry {
    field: Vec<u8>,
    message: Vec<u8>,
}

impl Carry {
    /// A field has begun and is not whole.
    pub(super) fn is_partial(&self) -> bool {
        !self.field.is_empty()
    }

    /// The beginning of the message that is being read, for evidence.
    pub(super) fn message(&self) -> &[u8] {
        &self.message
    }

    /// How much of a message is kept for evidence.
    const EVIDENCE: usize = crate::Malformed::MOST_BYTES;
}

/// The bytes of one call behind what was carried over.
pub(super) struct Feed<'c, 'b> {
    carry: &'c mut Carry,
    rest: &'b [u8],
}

impl<'c, 'b> Feed<'c, 'b> {
    pub(super) fn new(carry: &'c mut Carry, bytes: &'b [u8]) -> Self {
        Self { carry, rest: bytes }
    }

    /// Nothing is left to read in this call.
    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// How many bytes are left.
    pub(super) fn left(&self) -> usize {
        self.rest.len()
    }

    /// A new message begins here, unless its first field has begun already.
    pub(super) fn begin_message(&mut self) {
        if self.carry.field.is_empty() {
            self.carry.message.clear();
        }
    }

    /// The next `N` bytes, once they are all there. Until then it must be asked for the same field.
    pub(super) fn field<const N: usize>(&mut self) -> Option<[u8; N]> {
        let mut field = [0; N];
        self.fill(&mut field).then_some(field)
    }

    /// As [`Feed::field`], for a length that is known only now.
    pub(super) fn fill(&mut self, field: &mut [u8]) -> bool {
        let missing = field.len() - self.carry.field.len();
        let (now, rest) = self.rest.split_at(missing.min(self.rest.len()));
        self.rest = rest;
        self.keep_evidence(now);
        if now.len() < missing {
            self.carry.field.extend_from_slice(now);
            return false;
        }
        let (before, after) = field.split_at_mut(self.carry.field.len());
        before.copy_from_slice(&self.carry.field);
        after.copy_from_slice(now);
        self.carry.field.clear();
        true
    }

    /// As much as is there of a run of `left` bytes, which is counted down.
    pub(super) fn run(&mut self, left: &mut u64) -> &'b [u8] {
        let length = usize::try_from(*left).unwrap_or(usize::MAX).min(self.rest.len());
        let (now, rest) = self.rest.split_at(length);
        self.rest = rest;
        *left -= length as u64;
        self.keep_evidence(now);
        now
    }

    fn keep_evidence(&mut self, bytes: &[u8]) {
        let room = Carry::EVIDENCE - self.carry.message.len();
        self.carry.message.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }
}
