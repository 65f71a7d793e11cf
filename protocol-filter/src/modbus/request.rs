//! What a client may ask: every public function, decoded from the PDU and encoded again.

use super::address::Table;
use super::function::{DEVICE_ID, DIAGNOSTICS, ENCAPSULATED, Function, UMAS, Umas};
use super::values::{Bits, FileReads, FileWrites, Words};

/// A decoded request. What it borrows lies in the frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request<'a> {
    /// Functions 1 to 4.
    Read {
        /// From which table.
        table: Table,
        /// From where on.
        address: u16,
        /// How many.
        quantity: u16,
    },
    /// Function 5.
    WriteCoil {
        /// Which.
        address: u16,
        /// 0xFF00 for on, 0 for off.
        value: u16,
    },
    /// Function 6.
    WriteRegister {
        /// Which.
        address: u16,
        /// What.
        value: u16,
    },
    /// Function 7.
    ExceptionStatus,
    /// Function 8, as far as its subfunction is a known one.
    Diagnostics {
        /// The subfunction.
        sub: u16,
        /// Two bytes; for subfunction 0 any even number of them.
        data: &'a [u8],
    },
    /// Function 11.
    EventCounter,
    /// Function 12.
    EventLog,
    /// Function 15.
    WriteCoils {
        /// From where on.
        address: u16,
        /// What.
        bits: Bits<'a>,
    },
    /// Function 16.
    WriteRegisters {
        /// From where on.
        address: u16,
        /// What.
        words: Words<'a>,
    },
    /// Function 17.
    ServerId,
    /// Function 20.
    ReadFile(FileReads<'a>),
    /// Function 21.
    WriteFile(FileWrites<'a>),
    /// Function 22: the register becomes `(old & and) | (or & !and)`.
    MaskWrite {
        /// Which.
        address: u16,
        /// The bits to keep.
        and: u16,
        /// The bits to set of those not kept.
        or: u16,
    },
    /// Function 23: writes, then reads.
    ReadWrite {
        /// Read from where on.
        read_address: u16,
        /// How many.
        read_quantity: u16,
        /// Written from where on.
        write_address: u16,
        /// What.
        words: Words<'a>,
    },
    /// Function 24: the count at the address and up to 31 registers behind it.
    ReadFifo {
        /// Where the count is.
        address: u16,
    },
    /// Function 43, MEI type 14.
    DeviceId {
        /// 1 basic, 2 regular, 3 extended, 4 one object.
        code: u8,
        /// From which object on.
        object: u8,
    },
    /// Functions 15, 16 and 23 with a byte count that is that of the data but not that of the stated quantity: whole as a frame, and
    /// nothing to any device.
    Miscounted {
        /// Its code.
        code: u8,
        /// The rest of the PDU.
        data: &'a [u8],
    },
    /// A function that is not decoded.
    Opaque {
        /// Its code.
        code: u8,
        /// The rest of the PDU.
        data: &'a [u8],
    },
}

/// What is wrong with a request whose lengths are right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// An address that there cannot be.
    Address,
    /// A quantity or value outside the protocol's limits.
    Value,
}

const LENGTH: &str = "the length is not that of its function";
const BYTE_COUNT: &str = "the byte count lies";

impl<'a> Request<'a> {
    /// Decodes a PDU. Every length must be right; limits are [`Request::fault`]'s.
    ///
    /// # Errors
    /// In words, if it is none.
    pub fn decode(pdu: &'a [u8]) -> Result<Self, &'static str> {
        let (&code, body) = pdu.split_first().ok_or(LENGTH)?;
        Ok(match code {
            0 => return Err("there is no function 0"),
            0x80.. => return Err("the function code is an exception's"),
            1..=4 => {
                let [address, quantity] = words(body)?;
                Request::Read { table: table_read_by(code), address, quantity }
            }
            5 => {
                let [address, value] = words(body)?;
                Request::WriteCoil { address, value }
            }
            6 => {
                let [address, value] = words(body)?;
                Request::WriteRegister { address, value }
            }
            7 | 11 | 12 | 17 => bare(code, body)?,
            DIAGNOSTICS => diagnostics(body)?,
            15 => write_coils(body)?,
            16 => write_registers(body)?,
            20 => {
                let (_, groups) = counted::<0>(body)?;
                if !groups.len().is_multiple_of(FileReads::GROUP) {
                    return Err(BYTE_COUNT);
                }
                Request::ReadFile(FileReads(groups))
            }
            21 => {
                let (_, groups) = counted::<0>(body)?;
                if FileWrites(groups).whole() != groups.len() {
                    return Err("a record length lies");
                }
                Request::WriteFile(FileWrites(groups))
            }
            22 => {
                let [address, and, or] = words(body)?;
                Request::MaskWrite { address, and, or }
            }
            23 => read_write(body)?,
            24 => {
                let [address] = words(body)?;
                Request::ReadFifo { address }
            }
            ENCAPSULATED => match *body {
                [DEVICE_ID, code, object] => Request::DeviceId { code, object },
                [] | [DEVICE_ID, ..] => return Err(LENGTH),
                _ => Request::Opaque { code: ENCAPSULATED, data: body },
            },
            _ => Request::Opaque { code, data: body },
        })
    }

    /// Appends the PDU. Every count is made anew from what was decoded.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.push(self.function().code);
        match *self {
            Request::Read { address, quantity, .. } => put(out, &[address, quantity]),
            Request::WriteCoil { address, value } | Request::WriteRegister { address, value } => {
                put(out, &[address, value]);
            }
            Request::ExceptionStatus | Request::EventCounter | Request::EventLog | Request::ServerId => {}
            Request::Diagnostics { sub, data } => {
                put(out, &[sub]);
                out.extend_from_slice(data);
            }
            Request::WriteCoils { address, bits } => {
                put(out, &[address, bits.quantity]);
                out.push(count(bits.bytes));
                bits.encode(out);
            }
            Request::WriteRegisters { address, words } => {
                put(out, &[address, quantity(words)]);
                put_counted(out, words.0);
            }
            Request::ReadFile(FileReads(groups)) | Request::WriteFile(FileWrites(groups)) => put_counted(out, groups),
            Request::MaskWrite { address, and, or } => put(out, &[address, and, or]),
            Request::ReadWrite { read_address, read_quantity, write_address, words } => {
                put(out, &[read_address, read_quantity, write_address, quantity(words)]);
                put_counted(out, words.0);
            }
            Request::ReadFifo { address } => put(out, &[address]),
            Request::DeviceId { code, object } => out.extend_from_slice(&[DEVICE_ID, code, object]),
            Request::Miscounted { data, .. } | Request::Opaque { data, .. } => out.extend_from_slice(data),
        }
    }

    /// The function.
    #[must_use]
    pub fn function(&self) -> Function {
        match *self {
            Request::Read { table, .. } => Function::new(table.read_function()),
            Request::WriteCoil { .. } => Function::new(5),
            Request::WriteRegister { .. } => Function::new(6),
            Request::ExceptionStatus => Function::new(7),
            Request::Diagnostics { sub, .. } => Function::with_sub(DIAGNOSTICS, sub),
            Request::EventCounter => Function::new(11),
            Request::EventLog => Function::new(12),
            Request::WriteCoils { .. } => Function::new(15),
            Request::WriteRegisters { .. } => Function::new(16),
            Request::ServerId => Function::new(17),
            Request::ReadFile(_) => Function::new(20),
            Request::WriteFile(_) => Function::new(21),
            Request::MaskWrite { .. } => Function::new(22),
            Request::ReadWrite { .. } => Function::new(23),
            Request::ReadFifo { .. } => Function::new(24),
            Request::DeviceId { .. } => Function::with_sub(ENCAPSULATED, DEVICE_ID.into()),
            Request::Opaque { code: ENCAPSULATED, data: &[mei, ..] } => Function::with_sub(ENCAPSULATED, mei.into()),
            Request::Opaque { code: DIAGNOSTICS, data: &[s1, s2, ..] } => {
                Function::with_sub(DIAGNOSTICS, u16::from_be_bytes([s1, s2]))
            }
            Request::Miscounted { code, .. } | Request::Opaque { code, .. } => Function::new(code),
        }
    }

    /// Does what it does depend on bytes that its other fields do not show: opaque functions, diagnostics, file records? Evidence has
    /// to hold them.
    #[must_use]
    pub const fn is_told_by_bytes_alone(&self) -> bool {
        matches!(
            self,
            Request::Opaque { .. }
                | Request::Miscounted { .. }
                | Request::Diagnostics { .. }
                | Request::WriteFile { .. }
        )
    }

    /// Is it passed on without being understood?
    #[must_use]
    pub const fn is_opaque(&self) -> bool {
        matches!(self, Request::Opaque { .. })
    }

    /// The beginning of a UMAS request.
    #[must_use]
    pub const fn umas(&self) -> Option<Umas> {
        match *self {
            Request::Opaque { code: UMAS, data: &[session, code, ..] } => Some(Umas { session, code }),
            _ => None,
        }
    }

    /// Does a device that obeys it say nothing?
    #[must_use]
    pub const fn silences(&self) -> bool {
        matches!(self, Request::Diagnostics { sub: 4, .. })
    }
}

fn table_read_by(code: u8) -> Table {
    Table::ALL.into_iter().find(|table| table.read_function() == code).unwrap_or(Table::Registers)
}

fn bare(code: u8, body: &[u8]) -> Result<Request<'static>, &'static str> {
    match (code, body) {
        (7, []) => Ok(Request::ExceptionStatus),
        (11, []) => Ok(Request::EventCounter),
        (12, []) => Ok(Request::EventLog),
        (17, []) => Ok(Request::ServerId),
        _ => Err(LENGTH),
    }
}

fn diagnostics(body: &[u8]) -> Result<Request<'_>, &'static str> {
    let (&sub, data) = body.split_first_chunk().ok_or(LENGTH)?;
    match (u16::from_be_bytes(sub), data.len()) {
        (sub @ 0, 2..) if data.len().is_multiple_of(2) => Ok(Request::Diagnostics { sub, data }),
        (sub @ (1..=4 | 10..=18 | 20), 2) => Ok(Request::Diagnostics { sub, data }),
        (0..=4 | 10..=18 | 20, _) => Err(LENGTH),
        _ => Ok(Request::Opaque { code: DIAGNOSTICS, data: body }),
    }
}

fn write_coils(body: &[u8]) -> Result<Request<'_>, &'static str> {
    let (&[a1, a2, q1, q2], bytes) = counted(body)?;
    let quantity = u16::from_be_bytes([q1, q2]);
    if bytes.len() != usize::from(quantity.div_ceil(8)) {
        return Ok(Request::Miscounted { code: 15, data: body });
    }
    Ok(Request::WriteCoils { address: u16::from_be_bytes([a1, a2]), bits: Bits { bytes, quantity } })
}

fn write_registers(body: &[u8]) -> Result<Request<'_>, &'static str> {
    let (&[a1, a2, q1, q2], data) = counted(body)?;
    if data.len() != 2 * usize::from(u16::from_be_bytes([q1, q2])) {
        return Ok(Request::Miscounted { code: 16, data: body });
    }
    Ok(Request::WriteRegisters { address: u16::from_be_bytes([a1, a2]), words: Words(data) })
}

fn read_write(body: &[u8]) -> Result<Request<'_>, &'static str> {
    let (&[a1, a2, q1, q2, b1, b2, n1, n2], data) = counted(body)?;
    if data.len() != 2 * usize::from(u16::from_be_bytes([n1, n2])) {
        return Ok(Request::Miscounted { code: 23, data: body });
    }
    Ok(Request::ReadWrite {
        read_address: u16::from_be_bytes([a1, a2]),
        read_quantity: u16::from_be_bytes([q1, q2]),
        write_address: u16::from_be_bytes([b1, b2]),
        words: Words(data),
    })
}

/// Exactly `N` words.
pub(super) fn words<const N: usize>(body: &[u8]) -> Result<[u16; N], &'static str> {
    if body.len() != 2 * N {
        return Err(LENGTH);
    }
    Ok(std::array::from_fn(|index| u16::from_be_bytes([body[2 * index], body[2 * index + 1]])))
}

/// `N` bytes, a byte count, and as many bytes as it says and no more.
pub(super) fn counted<const N: usize>(body: &[u8]) -> Result<(&[u8; N], &[u8]), &'static str> {
    let (head, rest) = body.split_first_chunk().ok_or(LENGTH)?;
    match rest.split_first() {
        Some((&count, data)) if usize::from(count) == data.len() => Ok((head, data)),
        Some(_) => Err(BYTE_COUNT),
        None => Err(LENGTH),
    }
}

pub(super) fn put(out: &mut Vec<u8>, words: &[u16]) {
    for word in words {
        out.extend_from_slice(&word.to_be_bytes());
    }
}

pub(super) fn put_counted(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(count(bytes));
    out.extend_from_slice(bytes);
}

/// A PDU is shorter than 256 bytes, so that its counts fit.
pub(super) fn count(bytes: &[u8]) -> u8 {
    u8::try_from(bytes.len()).unwrap_or(u8::MAX)
}

fn quantity(words: Words<'_>) -> u16 {
    u16::try_from(words.len()).unwrap_or(u16::MAX)
}
