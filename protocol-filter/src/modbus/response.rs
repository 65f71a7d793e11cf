//! What a server may answer. What an answer means is known only beside its request: [`Response::answers`].

use super::address::Table;
use super::function::{DEVICE_ID, DIAGNOSTICS, ENCAPSULATED};
use super::parts::MOST_FIFO;
use super::request::{Request, count, counted, put, put_counted, words};
use super::values::{Bits, DeviceId, FileRecords, FileWrites, Words};

/// A decoded answer. What it borrows lies in the frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Response<'a> {
    /// Functions 1 and 2. Until it was put beside its request, there are as many bits as the bytes hold.
    Bits {
        /// From which table.
        table: Table,
        /// The values.
        bits: Bits<'a>,
    },
    /// Functions 3 and 4.
    Words {
        /// From which table.
        table: Table,
        /// The values.
        words: Words<'a>,
    },
    /// Functions 5, 6, 15 and 16: address, and value or quantity, as asked.
    Written {
        /// The function.
        code: u8,
        /// Where.
        address: u16,
        /// The value (5, 6) or quantity (15, 16).
        value: u16,
    },
    /// Function 7.
    ExceptionStatus(u8),
    /// Function 8.
    Diagnostics {
        /// The subfunction.
        sub: u16,
        /// What it says.
        data: &'a [u8],
    },
    /// Function 11.
    EventCounter {
        /// 0xFFFF while busy.
        status: u16,
        /// How many.
        count: u16,
    },
    /// Function 12.
    EventLog {
        /// 0xFFFF while busy.
        status: u16,
        /// How many events were counted.
        events: u16,
        /// How many messages.
        messages: u16,
        /// The last events.
        log: &'a [u8],
    },
    /// Function 17: the device's own bytes.
    ServerId(&'a [u8]),
    /// Function 20.
    FileRead(FileRecords<'a>),
    /// Function 21.
    FileWritten(FileWrites<'a>),
    /// Function 22.
    MaskWritten {
        /// Where.
        address: u16,
        /// The bits kept.
        and: u16,
        /// The bits set of those not kept.
        or: u16,
    },
    /// Function 23: what was read.
    ReadWrite(Words<'a>),
    /// Function 24.
    Fifo(Words<'a>),
    /// Function 43, MEI type 14.
    DeviceId(DeviceId<'a>),
    /// A function that is not decoded.
    Opaque {
        /// Its code.
        code: u8,
        /// The rest of the PDU.
        data: &'a [u8],
    },
    /// A refusal.
    Exception {
        /// The function that was asked for.
        function: u8,
        /// Why not.
        code: u8,
    },
}

const LENGTH: &str = "the answer's length is not that of its function";
const OTHER: &str = "the answer is not to what was asked";
const AMOUNT: &str = "the answer does not carry as much as was asked for";

impl<'a> Response<'a> {
    /// Decodes a PDU. Every length must be right.
    ///
    /// # Errors
    /// In words, if it is none.
    pub fn decode(pdu: &'a [u8]) -> Result<Self, &'static str> {
        let (&code, body) = pdu.split_first().ok_or(LENGTH)?;
        Ok(match code {
            0 | 0x80 => return Err("there is no function 0"),
            0x81.. => match *body {
                [reason] if reason != 0 => Response::Exception { function: code & 0x7F, code: reason },
                _ => return Err("an exception is not one code"),
            },
            1 | 2 => {
                let table = if code == 1 { Table::Coils } else { Table::DiscreteInputs };
                let (_, bytes) = counted::<0>(body)?;
                Response::Bits { table, bits: Bits { bytes, quantity: 8 * u16::from(count(bytes)) } }
            }
            3 | 4 => {
                let table = if code == 3 { Table::Registers } else { Table::InputRegisters };
                Response::Words { table, words: even(counted::<0>(body)?.1)? }
            }
            5 | 6 | 15 | 16 => {
                let [address, value] = words(body)?;
                Response::Written { code, address, value }
            }
            7 => match *body {
                [status] => Response::ExceptionStatus(status),
                _ => return Err(LENGTH),
            },
            DIAGNOSTICS => {
                let (&sub, data) = body.split_first_chunk().ok_or(LENGTH)?;
                Response::Diagnostics { sub: u16::from_be_bytes(sub), data }
            }
            11 => {
                let [status, count] = words(body)?;
                Response::EventCounter { status, count }
            }
            12 => event_log(body)?,
            17 => Response::ServerId(counted::<0>(body)?.1),
            20 => match FileRecords(counted::<0>(body)?.1) {
                groups if groups.whole() == groups.0.len() => Response::FileRead(groups),
                _ => return Err("a record length lies"),
            },
            21 => match FileWrites(counted::<0>(body)?.1) {
                groups if groups.whole() == groups.0.len() => Response::FileWritten(groups),
                _ => return Err("a record length lies"),
            },
            22 => {
                let [address, and, or] = words(body)?;
                Response::MaskWritten { address, and, or }
            }
            23 => Response::ReadWrite(even(counted::<0>(body)?.1)?),
            24 => fifo(body)?,
            ENCAPSULATED if body.first() == Some(&DEVICE_ID) => device_id(&body[1..])?,
            _ => Response::Opaque { code, data: body },
        })
    }

    /// Appends the PDU.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.push(self.code());
        match *self {
            Response::Bits { bits, .. } => {
                out.push(count(bits.bytes));
                bits.encode(out);
            }
            Response::Words { words: Words(data), .. } | Response::ReadWrite(Words(data)) => put_counted(out, data),
            Response::Written { address, value, .. } => put(out, &[address, value]),
            Response::ExceptionStatus(status) => out.push(status),
            Response::Diagnostics { sub, data } => {
                put(out, &[sub]);
                out.extend_from_slice(data);
            }
            Response::EventCounter { status, count } => put(out, &[status, count]),
            Response::EventLog { status, events, messages, log } => {
                out.push(6 + count(log));
                put(out, &[status, events, messages]);
                out.extend_from_slice(log);
            }
            Response::ServerId(data)
            | Response::FileRead(FileRecords(data))
            | Response::FileWritten(FileWrites(data)) => put_counted(out, data),
            Response::MaskWritten { address, and, or } => put(out, &[address, and, or]),
            Response::Fifo(Words(data)) => {
                put(out, &[2 + u16::from(count(data)), u16::from(count(data)) / 2]);
                out.extend_from_slice(data);
            }
            Response::DeviceId(id) => {
                let more = if id.more { 0xFF } else { 0 };
                out.extend_from_slice(&[DEVICE_ID, id.code, id.conformity, more, id.next, id.count]);
                out.extend_from_slice(id.objects);
            }
            Response::Opaque { data, .. } => out.extend_from_slice(data),
            Response::Exception { code, .. } => out.push(code),
        }
    }

    /// The first byte of the PDU.
    #[must_use]
    pub const fn code(&self) -> u8 {
        match *self {
            Response::Bits { table, .. } | Response::Words { table, .. } => table.read_function(),
            Response::Written { code, .. } | Response::Opaque { code, .. } => code,
            Response::ExceptionStatus(_) => 7,
            Response::Diagnostics { .. } => DIAGNOSTICS,
            Response::EventCounter { .. } => 11,
            Response::EventLog { .. } => 12,
            Response::ServerId(_) => 17,
            Response::FileRead(_) => 20,
            Response::FileWritten(_) => 21,
            Response::MaskWritten { .. } => 22,
            Response::ReadWrite(_) => 23,
            Response::Fifo(_) => 24,
            Response::DeviceId(_) => ENCAPSULATED,
            Response::Exception { function, .. } => function | 0x80,
        }
    }

    /// The answer as one to `request`: exactly what was asked for, and no more.
    ///
    /// # Errors
    /// In words, if it is not an answer to it.
    pub fn answers(self, request: &Request<'_>) -> Result<Self, &'static str> {
        let fits = match (self, *request) {
            (Response::Exception { function, .. }, _) => ensure(function == request.function().code, OTHER),
            (Response::Bits { table, bits }, Request::Read { table: asked, quantity, .. }) if table == asked => {
                ensure(bits.bytes.len() == usize::from(quantity.div_ceil(8)), AMOUNT)?;
                return Ok(Response::Bits { table, bits: Bits { bytes: bits.bytes, quantity } });
            }
            (Response::Words { table, words }, Request::Read { table: asked, quantity, .. }) if table == asked => {
                ensure(words.len() == usize::from(quantity), AMOUNT)
            }
            (Response::Written { code, address, value }, _) => {
                ensure(echo(request) == Some((code, address, value)), OTHER)
            }
            (Response::ExceptionStatus(_), Request::ExceptionStatus)
            | (Response::EventCounter { .. }, Request::EventCounter)
            | (Response::EventLog { .. }, Request::EventLog)
            | (Response::ServerId(_), Request::ServerId) => Ok(()),
            (Response::Diagnostics { sub, data }, Request::Diagnostics { sub: asked, data: sent }) => {
                let counts = matches!(sub, 2 | 11..=18);
                ensure(sub == asked, OTHER)?;
                ensure(if counts { data.len() == 2 } else { data == sent }, OTHER)
            }
            (Response::Diagnostics { sub, .. }, Request::Opaque { code: DIAGNOSTICS, .. }) => {
                ensure(request.function().sub == Some(sub), OTHER)
            }
            (Response::FileRead(records), Request::ReadFile(asked)) => {
                let lengths = records.iter().map(|(_, words)| words.len());
                ensure(records.iter().all(|(reference_type, _)| reference_type == 6), OTHER)?;
                ensure(lengths.eq(asked.iter().map(|group| usize::from(group.length))), AMOUNT)
            }
            (Response::FileWritten(written), Request::WriteFile(asked)) => ensure(written == asked, OTHER),
            (Response::MaskWritten { address, and, or }, Request::MaskWrite { address: a, and: b, or: c }) => {
                ensure((address, and, or) == (a, b, c), OTHER)
            }
            (Response::ReadWrite(words), Request::ReadWrite { read_quantity, .. }) => {
                ensure(words.len() == usize::from(read_quantity), AMOUNT)
            }
            (Response::Fifo(_), Request::ReadFifo { .. }) => Ok(()),
            (Response::DeviceId(id), Request::DeviceId { code, object }) => {
                ensure(id.code == code, OTHER)?;
                ensure(code != 4 || id.objects().map(|(id, _)| id).eq([object]), AMOUNT)
            }
            (Response::Opaque { code: ENCAPSULATED, data }, Request::Opaque { code: ENCAPSULATED, data: asked }) => {
                ensure(data.first() == asked.first(), OTHER)
            }
            (Response::Opaque { code, .. }, Request::Opaque { code: asked, .. }) => ensure(code == asked, OTHER),
            _ => Err(OTHER),
        };
        fits.map(|()| self)
    }
}

impl<'a> Response<'a> {
    /// The answer with no more values than `request` asks for, if it has more.
    pub(super) fn cut_to(self, request: &Request<'_>) -> Option<Self> {
        let cut = |words: Words<'a>, quantity: u16| words.0.get(..2 * usize::from(quantity)).map(Words);
        match (self, *request) {
            (Response::Bits { table, bits }, Request::Read { quantity, .. }) => {
                let bytes = bits.bytes.get(..usize::from(quantity.div_ceil(8)))?;
                Some(Response::Bits { table, bits: Bits { bytes, quantity: 8 * u16::from(count(bytes)) } })
            }
            (Response::Words { table, words }, Request::Read { quantity, .. }) => {
                cut(words, quantity).map(|words| Response::Words { table, words })
            }
            (Response::ReadWrite(words), Request::ReadWrite { read_quantity, .. }) => {
                cut(words, read_quantity).map(Response::ReadWrite)
            }
            _ => None,
        }
    }
}

fn ensure(holds: bool, otherwise: &'static str) -> Result<(), &'static str> {
    if holds { Ok(()) } else { Err(otherwise) }
}

/// What functions 5, 6, 15 and 16 are answered with.
fn echo(request: &Request<'_>) -> Option<(u8, u16, u16)> {
    Some(match *request {
        Request::WriteCoil { address, value } => (5, address, value),
        Request::WriteRegister { address, value } => (6, address, value),
        Request::WriteCoils { address, bits } => (15, address, bits.quantity),
        Request::WriteRegisters { address, words } => (16, address, u16::try_from(words.len()).ok()?),
        _ => return None,
    })
}

fn even(bytes: &[u8]) -> Result<Words<'_>, &'static str> {
    if bytes.len().is_multiple_of(2) { Ok(Words(bytes)) } else { Err("the byte count lies") }
}

fn event_log(body: &[u8]) -> Result<Response<'_>, &'static str> {
    const MOST_EVENTS: usize = 64;
    let (_, data) = counted::<0>(body)?;
    let (head, log) = data.split_at_checked(6).ok_or(LENGTH)?;
    let [status, events, messages] = words(head)?;
    if log.len() > MOST_EVENTS {
        return Err("an event log of more than 64 events");
    }
    Ok(Response::EventLog { status, events, messages, log })
}

fn fifo(body: &[u8]) -> Result<Response<'_>, &'static str> {
    let (head, data) = body.split_at_checked(4).ok_or(LENGTH)?;
    let [bytes, count] = words(head)?;
    if usize::from(bytes) != 2 + data.len() || data.len() != 2 * usize::from(count) {
        return Err("the byte count lies");
    }
    if count > MOST_FIFO {
        return Err("a queue of more than 31 registers");
    }
    Ok(Response::Fifo(Words(data)))
}

fn device_id(body: &[u8]) -> Result<Response<'_>, &'static str> {
    let (&[code, conformity, more, next, count], objects) = body.split_first_chunk().ok_or(LENGTH)?;
    if !matches!(more, 0 | 0xFF) {
        return Err("the mark that more follows is neither yes nor no");
    }
    let id = DeviceId { code, conformity, more: more == 0xFF, next, count, objects };
    let (number, bytes) =
        id.objects().fold((0, 0), |(number, bytes), (_, content)| (number + 1, bytes + 2 + content.len()));
    if number != usize::from(count) || bytes != objects.len() {
        return Err("the objects are not as many or as long as they say");
    }
    Ok(Response::DeviceId(id))
}
