//! An operation as a person writes it: `write register 100 = 1600`, `read 40101-40110`, `unit 5 write tank-level = 75.5`.

use super::address::{Span, Table, reference};
use super::function::{DIAGNOSTICS, ENCAPSULATED, Function};
use super::request::Request;
use super::tag::Tag;
use super::values::{Bits, Words};

/// A request that a person wrote down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParsedOperation {
    /// The unit; 1 if none was named.
    pub unit: u8,
    pdu: Vec<u8>,
}

impl ParsedOperation {
    /// The request.
    #[must_use]
    pub fn request(&self) -> Request<'_> {
        let opaque = Request::Opaque { code: self.pdu.first().copied().unwrap_or_default(), data: &[] };
        Request::decode(&self.pdu).unwrap_or(opaque)
    }
}

/// Why what a person wrote is no operation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// It does not begin with a verb.
    #[error("`{0}` is no operation; write `read …`, `write … = …`, `mask register … and … or …` or `function CODE`")]
    Verb(String),
    /// Neither address nor reference nor tag.
    #[error(
        "`{0}` is no address: neither a table and a number (`register 100`), nor a reference (`40101`), nor a tag of the asset"
    )]
    Target(String),
    /// No number, or one outside its range.
    #[error("`{0}` is no value of {1}")]
    Value(String, &'static str),
    /// Not as many values as points.
    #[error("{values} values for {points} points")]
    Count {
        /// As written.
        values: usize,
        /// As addressed.
        points: usize,
    },
    /// What cannot be written.
    #[error("{0} cannot be written")]
    ReadOnly(Table),
    /// A function that needs more than its code.
    #[error("function `{0}` needs the rest of its request after it, in hexadecimal: {1}")]
    Function(String, &'static str),
    /// A word that must come.
    #[error("`{0}` is missing")]
    Missing(&'static str),
    /// Something is left over.
    #[error("`{0}` is too much")]
    Rest(String),
}

/// Reads an operation. `tags` are the asset's, whose names can be used in place of addresses.
///
/// # Errors
/// If it is none.
pub fn parse_operation(text: &str, tags: &[Tag]) -> Result<ParsedOperation, ParseError> {
    let spaced = text.replace('=', " = ").replace(',', " ");
    let mut words: Vec<&str> = spaced.split_whitespace().collect();
    let unit = match words.iter().position(|word| word.eq_ignore_ascii_case("unit")) {
        Some(at @ 0) => take_unit(&mut words, at)?,
        Some(at) if at + 2 == words.len() => take_unit(&mut words, at)?,
        Some(_) | None => 1,
    };
    let mut words = Rest { words: &words };
    let verb = words.next();
    let mut pdu = Vec::new();
    match verb.to_ascii_lowercase().as_str() {
        "read" => read(&mut words, tags, &mut pdu)?,
        "write" => write(&mut words, tags, &mut pdu)?,
        "mask" => mask(&mut words, tags, &mut pdu)?,
        "function" => function(&mut words, &mut pdu)?,
        _ => return Err(ParseError::Verb(text.trim().to_owned())),
    }
    match words.next() {
        "" => Ok(ParsedOperation { unit, pdu }),
        rest => Err(ParseError::Rest(rest.to_owned())),
    }
}

/// The words that are left; after the last come empty ones.
struct Rest<'a> {
    words: &'a [&'a str],
}

impl<'a> Rest<'a> {
    fn next(&mut self) -> &'a str {
        let Some((first, rest)) = self.words.split_first() else { return "" };
        self.words = rest;
        first
    }

    fn skip(&mut self, word: &'static str) -> Result<(), ParseError> {
        if self.next().eq_ignore_ascii_case(word) { Ok(()) } else { Err(ParseError::Missing(word)) }
    }

    fn take_rest(&mut self) -> &'a [&'a str] {
        std::mem::take(&mut self.words)
    }
}

/// What is addressed.
enum Target<'t> {
    Points(Span),
    Tag(&'t Tag),
}

impl Target<'_> {
    fn span(&self) -> Span {
        match self {
            Target::Points(span) => *span,
            Target::Tag(tag) => tag.span(),
        }
    }
}

fn take_unit(words: &mut Vec<&str>, at: usize) -> Result<u8, ParseError> {
    let number = words.get(at + 1).copied().unwrap_or_default();
    let unit = number.parse().map_err(|_| ParseError::Value(number.to_owned(), "a unit: 0 to 255"))?;
    words.drain(at..at + 2);
    Ok(unit)
}

fn read(words: &mut Rest<'_>, tags: &[Tag], pdu: &mut Vec<u8>) -> Result<(), ParseError> {
    let Span { table, first, last } = target(words, tags)?.span();
    let quantity = u32::from(last - first) + 1;
    let quantity = u16::try_from(quantity).map_err(|_| ParseError::Target(format!("{first}-{last}")))?;
    Request::Read { table, address: first, quantity }.encode(pdu);
    Ok(())
}

fn write(words: &mut Rest<'_>, tags: &[Tag], pdu: &mut Vec<u8>) -> Result<(), ParseError> {
    let target = target(words, tags)?;
    let Span { table, first, last } = target.span();
    words.skip("=")?;
    let written = words.take_rest();
    if let Target::Tag(tag) = &target
        && let Some(bit) = tag.mask()
    {
        // One bit is written by function 22 alone.
        let on = tag_registers(tag, written)?.first().is_some_and(|register| register & bit != 0);
        Request::MaskWrite { address: first, and: !bit, or: if on { bit } else { 0 } }.encode(pdu);
        return if table == Table::Registers { Ok(()) } else { Err(ParseError::ReadOnly(table)) };
    }
    let values = match target {
        Target::Tag(tag) => tag_registers(tag, written)?,
        Target::Points(_) => written.iter().map(|value| number(value, table)).collect::<Result<Vec<_>, _>>()?,
    };
    let points = usize::from(last - first) + 1;
    if values.len() != points || points > MOST_WRITTEN {
        return Err(ParseError::Count { values: values.len(), points });
    }
    match (table, values.as_slice()) {
        (Table::Registers, &[value]) => Request::WriteRegister { address: first, value }.encode(pdu),
        (Table::Registers, values) => {
            let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_be_bytes()).collect();
            Request::WriteRegisters { address: first, words: Words(&bytes) }.encode(pdu);
        }
        (Table::Coils, &[value]) => {
            Request::WriteCoil { address: first, value: if value == 0 { 0 } else { 0xFF00 } }.encode(pdu);
        }
        (Table::Coils, values) => {
            let byte = |bits: &[u16]| bits.iter().rev().fold(0, |byte, bit| byte << 1 | u8::from(*bit != 0));
            let bytes: Vec<u8> = values.chunks(8).map(byte).collect();
            let quantity = last - first + 1;
            Request::WriteCoils { address: first, bits: Bits { bytes: &bytes, quantity } }.encode(pdu);
        }
        (Table::DiscreteInputs | Table::InputRegisters, _) => return Err(ParseError::ReadOnly(table)),
    }
    Ok(())
}

/// What a request of registers can carry at most.
const MOST_WRITTEN: usize = 123;

fn mask(words: &mut Rest<'_>, tags: &[Tag], pdu: &mut Vec<u8>) -> Result<(), ParseError> {
    let span = target(words, tags)?.span();
    if span.table != Table::Registers || span.first != span.last {
        return Err(ParseError::Target(format!("{} {}-{}", span.table, span.first, span.last)));
    }
    words.skip("and")?;
    let and = number(words.next(), Table::Registers)?;
    words.skip("or")?;
    let or = number(words.next(), Table::Registers)?;
    Request::MaskWrite { address: span.first, and, or }.encode(pdu);
    Ok(())
}

fn function(words: &mut Rest<'_>, pdu: &mut Vec<u8>) -> Result<(), ParseError> {
    let name = words.next();
    let wrong = || ParseError::Value(name.to_owned(), "a function: 1 to 127, `8/1`, `43/14`");
    let (code, sub) = match name.split_once('/') {
        Some((code, sub)) => (code, Some(sub.parse::<u16>().map_err(|_| wrong())?)),
        None => (name, None),
    };
    let code = code.parse::<u8>().ok().filter(|code| (1..=127).contains(code)).ok_or_else(wrong)?;
    let digits = words.take_rest().concat();
    let mut data = hexadecimal(&digits).ok_or(ParseError::Value(digits, "bytes in hexadecimal"))?;
    if data.is_empty() {
        data.extend_from_slice(match (code, sub) {
            (DIAGNOSTICS, Some(_)) => &[0, 0],
            (ENCAPSULATED, Some(14)) => &[1, 0],
            _ => &[],
        });
    }
    pdu.push(code);
    match (code, sub) {
        (DIAGNOSTICS, Some(sub)) => pdu.extend_from_slice(&sub.to_be_bytes()),
        (ENCAPSULATED, Some(sub)) => pdu.push(u8::try_from(sub).map_err(|_| wrong())?),
        (_, Some(_)) => return Err(wrong()),
        (_, None) => {}
    }
    pdu.append(&mut data);
    Request::decode(pdu).map(|_| ()).map_err(|reason| ParseError::Function(Function { code, sub }.to_string(), reason))
}

fn target<'t>(words: &mut Rest<'_>, tags: &'t [Tag]) -> Result<Target<'t>, ParseError> {
    let first = words.next();
    let named = |name: &str| tags.iter().find(|tag| tag.name == name);
    if let Some(tag) = named(first) {
        return Ok(Target::Tag(tag));
    }
    let wrong = |text: &str| ParseError::Target(text.to_owned());
    // As the points of a write window are written.
    if first.eq_ignore_ascii_case("tag") {
        let name = words.next();
        return named(name).map(Target::Tag).ok_or_else(|| wrong(&format!("{first} {name}")));
    }
    let table = match first.to_ascii_lowercase().as_str() {
        "coil" | "coils" => Table::Coils,
        "discrete" => {
            let _input = words.next();
            Table::DiscreteInputs
        }
        "discrete_input" | "discrete_inputs" => Table::DiscreteInputs,
        "input" => {
            let _register = words.next();
            Table::InputRegisters
        }
        "input_register" | "input_registers" => Table::InputRegisters,
        "holding" => {
            let _register = words.next();
            Table::Registers
        }
        "register" | "registers" => Table::Registers,
        _ => return references(first).map(Target::Points).ok_or_else(|| wrong(first)),
    };
    let addresses = words.next();
    let (from, to) = addresses.split_once('-').unwrap_or((addresses, addresses));
    match (from.parse(), to.parse()) {
        (Ok(from), Ok(to)) if from <= to => Ok(Target::Points(Span::new(table, from, to))),
        _ => Err(wrong(&format!("{first} {addresses}"))),
    }
}

fn references(text: &str) -> Option<Span> {
    let (from, to) = text.split_once('-').unwrap_or((text, text));
    let ((table, first), (other, last)) = (reference(from)?, reference(to)?);
    (table == other && first <= last).then_some(Span::new(table, first, last))
}

fn tag_registers(tag: &Tag, written: &[&str]) -> Result<Vec<u16>, ParseError> {
    let [text] = written else { return Err(ParseError::Count { values: written.len(), points: 1 }) };
    let wrong = || ParseError::Value((*text).to_owned(), "the tag");
    let value = on_or_off(text).map(f64::from).or_else(|| text.parse().ok()).ok_or_else(wrong)?;
    let registers = tag.registers(value).ok_or_else(wrong)?;
    Ok(registers[..usize::from(tag.value_type.registers())].to_vec())
}

fn number(text: &str, table: Table) -> Result<u16, ParseError> {
    if table.is_bits() {
        return on_or_off(text).ok_or_else(|| ParseError::Value(text.to_owned(), "a coil: `on` or `off`"));
    }
    let parsed = match text.strip_prefix("0x") {
        Some(digits) => u16::from_str_radix(digits, 16).ok(),
        None => text.parse().ok().or_else(|| text.parse::<i16>().ok().map(i16::cast_unsigned)),
    };
    parsed.ok_or_else(|| ParseError::Value(text.to_owned(), "a register: -32768 to 65535"))
}

fn on_or_off(text: &str) -> Option<u16> {
    match text.to_ascii_lowercase().as_str() {
        "on" | "true" | "1" => Some(1),
        "off" | "false" | "0" => Some(0),
        _ => None,
    }
}

fn hexadecimal(digits: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = digits.chars().map(|digit| digit.to_digit(16)?.try_into().ok()).collect::<Option<_>>()?;
    digits.len().is_multiple_of(2).then(|| digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}
