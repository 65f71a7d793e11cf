//! Functions: what they are called and what they do to the device.

use std::fmt;

use crate::Kind;

/// A function code, with the subfunction of function 8 or the MEI type of function 43.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Function {
    /// 1 to 127.
    pub code: u8,
    /// What function 8 or 43 is to do.
    pub sub: Option<u16>,
}

/// The function of diagnostics on the line.
pub(super) const DIAGNOSTICS: u8 = 8;
/// The function that writes registers and reads others.
pub(super) const READ_WRITE: u8 = 23;
/// The function that carries other protocols.
pub(super) const ENCAPSULATED: u8 = 43;
/// The MEI type that asks for the device's identification.
pub(super) const DEVICE_ID: u8 = 14;
/// Schneider's programming protocol.
pub(super) const UMAS: u8 = 90;

impl Function {
    /// A function without subfunction.
    #[must_use]
    pub const fn new(code: u8) -> Self {
        Self { code, sub: None }
    }

    /// A subfunction of function 8, or a MEI type of function 43.
    #[must_use]
    pub const fn with_sub(code: u8, sub: u16) -> Self {
        Self { code, sub: Some(sub) }
    }

    /// What it is called.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match (self.code, self.sub) {
            (1, _) => "read coils",
            (2, _) => "read discrete inputs",
            (3, _) => "read registers",
            (4, _) => "read input registers",
            (5, _) => "write coil",
            (6, _) => "write register",
            (7, _) => "read exception status",
            (DIAGNOSTICS, Some(0)) => "return query data",
            (DIAGNOSTICS, Some(1)) => "restart communications",
            (DIAGNOSTICS, Some(2)) => "return diagnostic register",
            (DIAGNOSTICS, Some(3)) => "change delimiter",
            (DIAGNOSTICS, Some(4)) => "force listen only",
            (DIAGNOSTICS, Some(10)) => "clear counters",
            (DIAGNOSTICS, Some(11..=18)) => "return counter",
            (DIAGNOSTICS, Some(20)) => "clear overrun counter",
            (DIAGNOSTICS, _) => "diagnostics",
            (11, _) => "get event counter",
            (12, _) => "get event log",
            (15, _) => "write coils",
            (16, _) => "write registers",
            (17, _) => "report server id",
            (20, _) => "read file record",
            (21, _) => "write file record",
            (22, _) => "mask write register",
            (23, _) => "read/write registers",
            (24, _) => "read FIFO queue",
            (40 | 42 | 91 | 125 | 126, _) => "Modicon programming",
            (ENCAPSULATED, Some(13)) => "CANopen",
            (ENCAPSULATED, Some(14)) => "read device identification",
            (ENCAPSULATED, _) => "encapsulated interface",
            (UMAS, _) => "UMAS",
            _ => "unknown function",
        }
    }

    /// What it does to the device. Function 23 reads besides: see [`super::Request::parts`].
    #[must_use]
    pub const fn kind(self) -> Kind {
        match (self.code, self.sub) {
            (1..=4 | 20 | 24, _) => Kind::Read,
            (5 | 6 | 15 | 16 | 22 | 23, _) => Kind::Write,
            (DIAGNOSTICS, Some(1 | 4 | 10 | 20)) => Kind::Control,
            (7 | DIAGNOSTICS | 11 | 12 | 17, _) | (ENCAPSULATED, Some(14)) => Kind::Diagnose,
            _ => Kind::Program,
        }
    }
}

/// As in plant files: `3`, `8/1`, `43/14`.
impl fmt::Display for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.sub {
            Some(sub) => write!(f, "{}/{sub}", self.code),
            None => write!(f, "{}", self.code),
        }
    }
}

/// The beginning of a UMAS request: all of it that is decoded, and that only for the evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Umas {
    /// The session key that the device gave.
    pub session: u8,
    /// What is to be done.
    pub code: u8,
}

impl Umas {
    /// What the code is called, as far as public research tells.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self.code {
            0x01 => "initialise communication",
            0x02 => "read id",
            0x03 => "read project info",
            0x04 => "read PLC info",
            0x06 => "read card info",
            0x0a => "repeat",
            0x10 => "take reservation",
            0x11 => "release reservation",
            0x12 => "keep alive",
            0x20 => "read memory block",
            0x21 => "write memory block",
            0x22 => "read variables",
            0x23 => "write variables",
            0x24 => "read coils and registers",
            0x25 => "write coils and registers",
            0x30 => "begin upload",
            0x31 => "upload block",
            0x32 => "end upload",
            0x33 => "begin download",
            0x34 => "download block",
            0x35 => "end download",
            0x39 => "read Ethernet master data",
            0x40 => "start PLC",
            0x41 => "stop PLC",
            0x50 => "monitor",
            0x58 => "check PLC",
            0x70 => "read I/O object",
            0x71 => "write I/O object",
            0x73 => "get module status",
            _ => "unknown",
        }
    }
}

/// What an exception code is called.
#[must_use]
pub const fn exception_name(code: u8) -> &'static str {
    match code {
        1 => "illegal function",
        2 => "illegal data address",
        3 => "illegal data value",
        4 => "device failure",
        5 => "acknowledge",
        6 => "device busy",
        7 => "negative acknowledge",
        8 => "memory parity error",
        10 => "gateway path unavailable",
        11 => "gateway target failed to respond",
        _ => "unknown",
    }
}
