//! What the journal hears.

use std::fmt;

use super::address::{Span, Table};
use super::function::exception_name;
use super::judge::{Past, covered, masked};
use super::parts::{Change, Part};
use super::request::Request;
use super::response::Response;
use super::rules::Rules;
use super::tag::{Registers, Tag};
use super::tolerance::Tolerances;
use super::values::{FileRead, Values};
use crate::{Kind, Phase, Verdict};

/// One request, or the answer to one, with its verdict.
#[derive(Clone, Copy)]
pub struct Operation<'a> {
    /// The request's number on the connection, from 1. An answer bears that of its request.
    pub number: u64,
    /// Request or answer.
    pub phase: Phase,
    /// The transaction identifier.
    pub transaction: u16,
    /// The unit identifier.
    pub unit: u8,
    /// What is or was asked.
    pub request: Request<'a>,
    /// The answer, if this is one.
    pub answer: Option<Response<'a>>,
    /// What of the answer was put right, since its plant says that it may be.
    pub tolerated: Tolerances,
    /// What the answer bore, where that is not what was asked.
    pub bore: Option<Bore>,
    /// What is done with it. An answer that was asked for passes by the rule [`Operation::ANSWER`].
    pub verdict: Verdict<'a>,
    pub(super) rules: &'a Rules,
    pub(super) before: &'a dyn Past,
}

/// How the asset named what it answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bore {
    /// The transaction identifier.
    pub transaction: u16,
    /// The unit identifier.
    pub unit: u8,
}

/// Points that an operation touches, with what is known of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Touched<'a> {
    /// Which, and what is done to them.
    pub part: Part<'a>,
    /// The values written, or, in an answer, read.
    pub values: Option<Values<'a>>,
}

/// A tag that an operation touches.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TouchedTag<'a> {
    /// The tag.
    pub tag: &'a Tag,
    /// [`Kind::Read`] or [`Kind::Write`].
    pub kind: Kind,
    /// The value written or read, if the operation covers the whole tag.
    pub value: Option<f64>,
    /// The value before, if that is known.
    pub old: Option<f64>,
}

impl<'a> Operation<'a> {
    /// The rule by which answers pass.
    pub const ANSWER: &'static str = "answer";

    /// What the request does to the device.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.request.function().kind()
    }

    /// What the function is called.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.request.function().name()
    }

    /// The asset's refusal.
    #[must_use]
    pub const fn exception(&self) -> Option<u8> {
        match self.answer {
            Some(Response::Exception { code, .. }) => Some(code),
            _ => None,
        }
    }

    /// The points that it touches; of those that a request which breaks the protocol's limits names, those that there are.
    pub fn touched(&self) -> impl Iterator<Item = Touched<'a>> + use<'a> {
        let read = match self.answer {
            Some(Response::Bits { bits, .. }) => Some(Values::Bits(bits)),
            Some(Response::Words { words, .. } | Response::ReadWrite(words)) => Some(Values::Words(words)),
            _ => None,
        };
        self.request.parts().map(move |part| {
            let values = match part.change {
                Change::None => read,
                Change::Set(values) => Some(values),
                Change::Mask { .. } => None,
            };
            Touched { part, values }
        })
    }

    /// What a point held before, if that is known.
    #[must_use]
    pub fn old(&self, table: Table, address: u16) -> Option<u16> {
        self.old_registers(Span::new(table, address, address)).map(|registers| registers[0])
    }

    /// The tags that it touches.
    pub fn tags(&self) -> impl Iterator<Item = TouchedTag<'a>> {
        let operation = *self;
        self.touched().flat_map(move |touched| {
            operation.rules.tags_on(touched.part.span).map(move |tag| operation.tag(&touched, tag))
        })
    }

    fn tag(&self, touched: &Touched<'_>, tag: &'a Tag) -> TouchedTag<'a> {
        let span = tag.span();
        let old = self.old_registers(span);
        let new = match (touched.part.change, touched.values) {
            // A bit that the masks give is known, whatever was there.
            (Change::Mask { and, or }, _) if tag.mask().is_some_and(|bit| and & bit == 0) => Some([or, 0, 0, 0]),
            (Change::Mask { and, or }, _) => {
                old.filter(|_| span.first == span.last).map(|old| [masked(old[0], and, or), 0, 0, 0])
            }
            (_, Some(values)) => covered(values, touched.part.span, span),
            (_, None) => None,
        };
        let value = |registers: Option<Registers>| registers.and_then(|registers| tag.value(registers));
        TouchedTag { tag, kind: touched.part.kind, value: value(new), old: value(old) }
    }

    fn old_registers(&self, span: Span) -> Option<Registers> {
        let (mut old, mut several) = (None, false);
        self.before.lasts(self.unit, span, &mut |last| {
            several |= old.is_some();
            old = Some(last);
        });
        old.flatten().filter(|_| !several)
    }
}

impl fmt::Debug for Operation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Operation")
            .field("number", &self.number)
            .field("phase", &self.phase)
            .field("transaction", &self.transaction)
            .field("unit", &self.unit)
            .field("request", &self.request)
            .field("answer", &self.answer)
            .field("tolerated", &self.tolerated)
            .field("bore", &self.bore)
            .field("verdict", &self.verdict)
            .finish_non_exhaustive()
    }
}

/// One line for people: `write register 100 = 1600 (was 1550) unit 1, denied: value (speed)`.
impl fmt::Display for Operation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fmt_act(f)?;
        match self.verdict {
            Verdict::Pass { .. } => Ok(()),
            Verdict::WouldDeny { rule, cause } => write!(f, ", would be denied: {} ({rule})", cause.word()),
            Verdict::Deny { rule, cause } => write!(f, ", denied: {} ({rule})", cause.word()),
        }
    }
}

impl Operation<'_> {
    /// How many values and tags the line shows.
    const MOST_SHOWN: usize = 16;

    /// The line for people without the verdict.
    pub fn act(&self) -> impl fmt::Display {
        fmt::from_fn(|f| self.fmt_act(f))
    }

    fn fmt_act(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        if let Some(umas) = self.request.umas() {
            write!(f, " {:#04x} ({})", umas.code, umas.name())?;
        } else if self.request.function().name().starts_with("unknown") {
            write!(f, " {}", self.request.function())?;
        }
        self.fmt_files(f)?;
        for (index, touched) in self.touched().enumerate() {
            f.write_str(if index > 0 { "; write " } else { " " })?;
            self.fmt_points(f, &touched)?;
        }
        for tag in self.tags().take(Self::MOST_SHOWN) {
            write!(f, " [{}", tag.tag.name)?;
            if let Some(value) = tag.value {
                write!(f, " = {}", tag.tag.shown(value))?;
            }
            if let (Kind::Write, Some(old)) = (tag.kind, tag.old) {
                write!(f, " (was {})", tag.tag.shown(old))?;
            }
            f.write_str("]")?;
        }
        write!(f, " unit {}", self.unit)?;
        if let Some(code) = self.exception() {
            write!(f, ", exception {code} ({})", exception_name(code))?;
        }
        for (index, tolerance) in self.tolerated.iter().enumerate() {
            write!(f, "{}{}", if index == 0 { ", tolerated: " } else { " and " }, tolerance.word())?;
        }
        if let Some(Bore { transaction, unit }) = self.bore {
            write!(f, " (answered as transaction {transaction} of unit {unit})")?;
        }
        Ok(())
    }

    fn fmt_files(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let show = |f: &mut fmt::Formatter<'_>, FileRead { file, record, length, .. }| {
            write!(f, " file {file} at {record} ({length} registers)")
        };
        match self.request {
            Request::ReadFile(groups) => groups.iter().try_for_each(|group| show(f, group)),
            Request::WriteFile(groups) => groups.iter().try_for_each(|group| show(f, group.place)),
            _ => Ok(()),
        }
    }

    fn fmt_points(&self, f: &mut fmt::Formatter<'_>, touched: &Touched<'_>) -> fmt::Result {
        let Span { table, first, last } = touched.part.span;
        write!(f, "{first}")?;
        if first != last {
            write!(f, "-{last}")?;
        }
        if let Change::Mask { and, or } = touched.part.change {
            write!(f, " and {and:#06x} or {or:#06x}")?;
        }
        let Some(values) = touched.values else { return Ok(()) };
        f.write_str(" =")?;
        for (address, value) in (first..=last).zip(values.iter()).take(Self::MOST_SHOWN) {
            write!(f, "{} {value}", if address > first { "," } else { "" })?;
            if let (Kind::Write, Some(old)) = (touched.part.kind, self.old(table, address)) {
                write!(f, " (was {old})")?;
            }
        }
        if values.len() > Self::MOST_SHOWN { write!(f, ", … ({} values)", values.len()) } else { Ok(()) }
    }
}
