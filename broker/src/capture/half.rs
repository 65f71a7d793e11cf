//! One direction of a connection: what was captured of it, put in order.

use std::collections::BTreeMap;

/// Bytes that wait at most for others before them.
const MOST_BYTES: usize = 64 * 1024;
/// Pieces that wait at most.
const MOST_PIECES: usize = 1024;

/// Places are sequence numbers without an end: they do not begin again at 0.
#[derive(Debug, Default)]
pub(super) struct Half {
    /// The place of the first byte, and of the next; none while they are not known.
    first: Option<u64>,
    next: Option<u64>,
    pieces: BTreeMap<u64, Piece>,
    bytes: usize,
    /// The place behind the last byte, once the side has said so.
    fin: Option<u64>,
    /// The furthest place that is known to have been sent.
    sent: u64,
    pub(super) finished: bool,
}

#[derive(Debug)]
pub(super) struct Piece {
    pub(super) bytes: Vec<u8>,
    /// What its sender had heard of the other side: it may answer that.
    pub(super) heard: Option<u32>,
}

impl Half {
    /// Does it begin with this sequence number, or might it?
    pub(super) fn may_begin(&self, sequence: u32) -> bool {
        self.first.is_none() || self.place(sequence) == self.first
    }

    /// The place of a sequence number: the one nearest to what comes next.
    fn place(&self, sequence: u32) -> Option<u64> {
        let next = self.next?;
        #[expect(clippy::cast_possible_truncation, reason = "sequence numbers are places without their upper half")]
        let distance = sequence.wrapping_sub(next as u32).cast_signed();
        next.checked_add_signed(distance.into())
    }

    /// The next byte has this sequence number, unless that is known.
    pub(super) fn begin(&mut self, sequence: u32) {
        if self.next.is_none() {
            // Room below, for what is older than the capture.
            let place = (1 << 32) | u64::from(sequence);
            (self.first, self.next, self.sent) = (Some(place), Some(place), place);
        }
    }

    /// The other side has heard everything before this place.
    pub(super) fn was_heard(&mut self, sequence: u32) {
        if let Some(place) = self.place(sequence) {
            self.sent = self.sent.max(place);
        }
    }

    /// A piece was captured; `cut` bytes behind it were not.
    pub(super) fn hold(&mut self, sequence: u32, piece: Piece, cut: usize, fin: bool) {
        let (Some(next), Some(start)) = (self.next, self.place(sequence)) else { return };
        let end = start + piece.bytes.len() as u64;
        let whole = end + cut as u64;
        self.sent = self.sent.max(whole);
        if fin {
            self.fin.get_or_insert(whole);
        }
        if end <= next || piece.bytes.is_empty() {
            return;
        }
        // Of two that begin alike the longer one: the other is the beginning of it.
        let before = self.pieces.get(&start).map_or(0, |held| held.bytes.len());
        if piece.bytes.len() > before {
            self.bytes += piece.bytes.len() - before;
            self.pieces.insert(start, piece);
        }
    }

    /// The next piece in order, unless its sender had heard more of the other side than was `told` so far.
    pub(super) fn take(&mut self, other: &Half) -> Option<Vec<u8>> {
        let next = self.next?;
        while let Some(first) = self.pieces.first_entry() {
            let (start, piece) = (*first.key(), first.get());
            let answers_more = || piece.heard.and_then(|heard| other.place(heard)) > other.told();
            if start > next || answers_more() {
                return None;
            }
            let mut bytes = first.remove().bytes;
            self.bytes -= bytes.len();
            let old = usize::try_from(next - start).unwrap_or(usize::MAX);
            if old < bytes.len() {
                bytes.drain(..old);
                self.next = Some(next + bytes.len() as u64);
                return Some(bytes);
            }
        }
        None
    }

    /// Everything before this place was told, the end of the direction too.
    fn told(&self) -> Option<u64> {
        let next = self.next?;
        Some(next + u64::from(self.fin == Some(next)))
    }

    /// Has the side ended its direction, and was everything of it taken?
    pub(super) fn is_at_its_end(&self) -> bool {
        self.fin.is_some() && self.fin == self.next
    }

    /// Was something sent that was not captured, so that the next byte is not there? To be asked when nothing more can come.
    pub(super) fn lacks_bytes(&self) -> bool {
        let Some(next) = self.next else { return false };
        self.told() < Some(self.sent) && self.pieces.keys().next().is_none_or(|start| *start > next)
    }

    /// Was something captured that was never its turn?
    pub(super) fn has_rest(&self) -> bool {
        !self.pieces.is_empty()
    }

    /// Lets go of what waits.
    pub(super) fn forget(&mut self) {
        self.pieces.clear();
        self.bytes = 0;
    }

    pub(super) fn is_crammed(&self) -> bool {
        self.bytes > MOST_BYTES || self.pieces.len() > MOST_PIECES
    }
}
