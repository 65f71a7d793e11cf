//! The frame of Modbus/TCP: the MBAP header and the PDU that it carries.

/// Bytes before the PDU: transaction, protocol, length, unit.
pub const HEADER: usize = 7;
/// The longest PDU.
pub const MOST_PDU: usize = 253;
/// The longest frame.
pub const MOST_ADU: usize = HEADER + MOST_PDU;

/// How many bytes of a frame tell its length.
pub(super) const PREFIX: usize = 6;

/// One frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Adu<'a> {
    /// The transaction identifier, chosen by the client and copied by the server.
    pub transaction: u16,
    /// The unit identifier.
    pub unit: u8,
    /// Function code and what belongs to it; 1 to [`MOST_PDU`] bytes.
    pub pdu: &'a [u8],
}

impl<'a> Adu<'a> {
    /// Decodes one whole frame.
    ///
    /// # Errors
    /// In words, if it is none or not exactly one.
    pub fn decode(frame: &'a [u8]) -> Result<Self, &'static str> {
        let (prefix, rest) = frame.split_first_chunk().ok_or("it is shorter than a header")?;
        let length = frame_length(*prefix)?;
        let [t1, t2, ..] = *prefix;
        match rest {
            [unit, pdu @ ..] if frame.len() == length => {
                Ok(Self { transaction: u16::from_be_bytes([t1, t2]), unit: *unit, pdu })
            }
            _ => Err("its length field does not fit"),
        }
    }

    /// Appends a frame whose PDU `pdu` appends. The length is counted, not copied.
    pub(super) fn encode(transaction: u16, unit: u8, out: &mut Vec<u8>, pdu: impl FnOnce(&mut Vec<u8>)) {
        let start = out.len();
        out.extend_from_slice(&transaction.to_be_bytes());
        out.extend_from_slice(&[0; 4]);
        out.push(unit);
        pdu(out);
        let length = u16::try_from(out.len() - start - PREFIX).unwrap_or(u16::MAX);
        out[start + 4..start + PREFIX].copy_from_slice(&length.to_be_bytes());
    }
}

/// How long the frame is that begins so.
pub(super) fn frame_length(prefix: [u8; PREFIX]) -> Result<usize, &'static str> {
    let [_, _, p1, p2, l1, l2] = prefix;
    if [p1, p2] != [0, 0] {
        return Err("the protocol identifier is not that of modbus");
    }
    match usize::from(u16::from_be_bytes([l1, l2])) {
        length @ 2..=254 => Ok(PREFIX + length),
        _ => Err("the length field is not within 2 to 254"),
    }
}

/// Makes frames of a stream. Holds at most one.
#[derive(Debug)]
pub(super) struct Assembler {
    buffer: [u8; MOST_ADU],
    len: usize,
}

impl Assembler {
    pub(super) const fn new() -> Self {
        Self { buffer: [0; MOST_ADU], len: 0 }
    }

    /// Takes bytes from the front of `bytes` until a frame is whole, and gives it. `None`: all were taken.
    ///
    /// # Errors
    /// If what begins is no frame; `bytes` is left where it was found out, and the assembler holds the beginning.
    pub(super) fn next(&mut self, bytes: &mut &[u8]) -> Result<Option<&[u8]>, &'static str> {
        if !self.fill(PREFIX, bytes) {
            return Ok(None);
        }
        let mut prefix = [0; PREFIX];
        prefix.copy_from_slice(&self.buffer[..PREFIX]);
        let length = frame_length(prefix)?;
        if !self.fill(length, bytes) {
            return Ok(None);
        }
        self.len = 0;
        Ok(Some(&self.buffer[..length]))
    }

    /// What is held of a frame that is not whole yet.
    pub(super) fn partial(&self) -> &[u8] {
        &self.buffer[..self.len]
    }

    fn fill(&mut self, wanted: usize, bytes: &mut &[u8]) -> bool {
        let taken = wanted.saturating_sub(self.len).min(bytes.len());
        let (head, tail) = bytes.split_at(taken);
        self.buffer[self.len..self.len + taken].copy_from_slice(head);
        self.len += taken;
        *bytes = tail;
        self.len >= wanted
    }
}
