//! Modbus/TCP: every public function, decoded and encoded anew.
//!
//! ```
//! # use sallyport_protocol_filter::modbus::{ParseError, Rules, parse_operation};
//! let wanted = parse_operation("write 40101 = 1600", &[])?;
//! let rules = Rules::read_only();
//! let verdict = rules.judge(wanted.unit, &wanted.request(), &|_, _| None, 0);
//! assert!(!verdict.passes());
//! # Ok::<_, ParseError>(())
//! ```
//!
//! What counts as a read and why, how denials are put, and what is opaque: `docs/modbus.md`.

mod address;
mod adu;
mod filter;
mod flight;
mod function;
mod judge;
mod learn;
mod limits;
mod memory;
mod operation;
mod pairing;
mod parse;
mod parts;
mod request;
mod response;
mod rtu;
mod rules;
mod tag;
mod tolerance;
mod values;

pub use crate::Mode;
pub use address::{Span, Table, reference};
pub use adu::{Adu, HEADER, MOST_ADU, MOST_PDU};
pub use filter::{ANSWER_PATIENCE, DENIAL_PATIENCE, Filter, exception_of};
pub use function::{Function, Umas, exception_name};
pub use judge::PROTOCOL;
pub use learn::{Learned, Seen, Steps, Subject};
pub use operation::{Bore, Operation, Touched, TouchedTag};
pub use parse::{ParseError, ParsedOperation, parse_operation};
pub use parts::{Change, Part};
pub use request::{Fault, Request};
pub use response::Response;
pub use rules::{Device, Functions, Limits, Points, Rule, Rules, Units};
pub use tag::{Tag, ValueType, WordOrder};
pub use tolerance::{Tolerance, Tolerances};
pub use values::{Bits, DeviceId, FileRead, FileReads, FileRecords, FileWrite, FileWrites, Values, Words};
