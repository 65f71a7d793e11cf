//! The frame of Modbus/TCP: the MBAP header and the PDU that it carries.

use super::tolerance::own_length;

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
        let prefix = frame.first_chunk().ok_or(SHORT)?;
        if frame_length(*prefix)? != frame.len() {
            return Err(UNFIT);
        }
        Self::framed(frame)
    }

    /// The parts of a frame whose length is known.
    pub(super) fn framed(frame: &'a [u8]) -> Result<Self, &'static str> {
        match *frame {
            [t1, t2, _, _, _, _, unit, ref pdu @ ..] => {
                Ok(Self { transaction: u16::from_be_bytes([t1, t2]), unit, pdu })
            }
            _ => Err(SHORT),
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

const SHORT: &str = "it is shorter than a header";
const UNFIT: &str = "its length field does not fit";

/// How long the frame is that begins so.
pub(super) fn frame_length(prefix: [u8; PREFIX]) -> Result<usize, &'static str> {
    let [_, _, _, _, l1, l2] = prefix;
    is_modbus(prefix)?;
    match usize::from(u16::from_be_bytes([l1, l2])) {
        length @ 2..=254 => Ok(PREFIX + length),
        _ => Err("the length field is not within 2 to 254"),
    }
}

fn is_modbus(prefix: [u8; PREFIX]) -> Result<(), &'static str> {
    if prefix[2..4] == [0, 0] { Ok(()) } else { Err("the protocol identifier is not that of modbus") }
}

/// What says where a frame ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// The length field.
    Field,
    /// The function of an answer, where that says it; else the length field.
    Function,
}

/// A whole frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Frame<'a> {
    pub(super) bytes: &'a [u8],
    /// Is its length field right?
    pub(super) fits: bool,
}

/// What says how long a frame is.
enum By {
    Function(usize),
    Field,
    /// Nothing yet.
    More,
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
    pub(super) fn next(&mut self, bytes: &mut &[u8], framing: Framing) -> Result<Option<Frame<'_>>, &'static str> {
        if !self.fill(PREFIX, bytes) {
            return Ok(None);
        }
        let mut prefix = [0; PREFIX];
        prefix.copy_from_slice(&self.buffer[..PREFIX]);
        let by_field = frame_length(prefix);
        let length = match framing {
            Framing::Field => by_field?,
            Framing::Function => {
                is_modbus(prefix)?;
                match self.by_function(bytes) {
                    By::Function(length) => length,
                    By::Field => by_field?,
                    By::More => return Ok(None),
                }
            }
        };
        if length > MOST_ADU {
            return Err("it is longer than a frame may be");
        }
        // How frames are told apart may have changed in the middle of one.
        if self.len > length {
            return Err(UNFIT);
        }
        if !self.fill(length, bytes) {
            return Ok(None);
        }
        self.len = 0;
        Ok(Some(Frame { bytes: &self.buffer[..length], fits: by_field == Ok(length) }))
    }

    /// How long the frame is by its function, once that is there and what it counts.
    fn by_function(&mut self, bytes: &mut &[u8]) -> By {
        const CODE: usize = HEADER;
        const COUNT: usize = HEADER + 1;
        if !self.fill(CODE + 1, bytes) {
            return By::More;
        }
        let code = self.buffer[CODE];
        if own_length(code, 0).is_none() {
            return By::Field;
        }
        // Whatever has a length of its own has a byte behind its function.
        if !self.fill(COUNT + 1, bytes) {
            return By::More;
        }
        own_length(code, self.buffer[COUNT]).map_or(By::Field, |pdu| By::Function(HEADER + pdu))
    }

    /// What is held of a frame that is not whole yet.
    pub(super) fn partial(&self) -> &[u8] {
        &self.buffer[..self.len]
    }

    /// Takes bytes until so many are held, if there are as many.
    fn fill(&mut self, wanted: usize, bytes: &mut &[u8]) -> bool {
        let taken = wanted.saturating_sub(self.len).min(bytes.len());
        let (head, tail) = bytes.split_at(taken);
        self.buffer[self.len..self.len + taken].copy_from_slice(head);
        self.len += taken;
        *bytes = tail;
        self.len >= wanted
    }
}
