//! Tag lists: CSV files of the plant.

use std::collections::BTreeMap;

use super::csv::{Field, fields};
use super::log::{At, Log};
use super::value::word;
use crate::points::{PointRange, Table, looks_like_reference};
use crate::tags::{ByteOrder, Tag, TagList, TagType, WordOrder};

/// Every column there is.
const COLUMNS: [&str; 12] = [
    "name",
    "table",
    "address",
    "reference",
    "bit",
    "type",
    "word_order",
    "byte_order",
    "scale",
    "offset",
    "unit",
    "description",
];

/// Is a file of this name a tag list?
pub(crate) fn is_tag_list(name: &str) -> bool {
    name.ends_with(".csv")
}

/// Reads a tag list. `file` is its number in the log.
pub(crate) fn tag_list(log: &mut Log<'_>, file: usize, name: &str, text: &str) -> TagList {
    let mut list = TagList { name: name.to_owned(), tags: BTreeMap::new() };
    let mut places: BTreeMap<String, At> = BTreeMap::new();
    let mut bits: BTreeMap<(PointRange, u8), String> = BTreeMap::new();
    let mut header: Option<Header> = None;
    for (at, line) in lines(file, text) {
        let fields = match fields(line) {
            Ok(fields) => fields,
            Err(error) => {
                log.error(At { offset: at.offset + error.offset(), ..at }, error.to_string());
                continue;
            }
        };
        let Some(columns) = &header else {
            match Header::read(log, at, &fields) {
                Some(read) => header = Some(read),
                // Without its columns no line means anything.
                None => return list,
            }
            continue;
        };
        let Some(tag) = (Row { log, columns, at, fields: &fields }).tag() else { continue };
        match places.get(&tag.name) {
            Some(other) => {
                let (_, line) = log.line(*other);
                log.error(at, format!("tag `{}` is on line {line} already", tag.name));
            }
            None => {
                places.insert(tag.name.clone(), at);
                if let Some(bit) = tag.bit
                    && let Some(other) = bits.insert((tag.range, bit), tag.name.clone())
                {
                    // A spreadsheet has made `40101.1` of `40101.10`, perhaps.
                    let message = format!("tag `{}` is the same bit as `{other}`: {}", tag.name, tag.place());
                    log.warn(at, message);
                }
                list.tags.insert(tag.name.clone(), tag);
            }
        }
    }
    if header.is_none() {
        log.error(At { file, offset: 0 }, "a tag list begins with a line that names its columns");
    }
    list
}

/// The lines that hold something, each with its place.
fn lines(file: usize, text: &str) -> impl Iterator<Item = (At, &str)> {
    // Spreadsheets put a byte order mark in front.
    let mut offset = text.len() - text.trim_start_matches('\u{feff}').len();
    let body = &text[offset..];
    let lines = body.split_inclusive('\n').map(move |line| {
        let at = At { file, offset };
        offset += line.len();
        (at, line.trim_end_matches(['\r', '\n']))
    });
    // Spreadsheets keep empty rows as commas.
    lines.filter(|(_, line)| !line.chars().all(|c| c == ',' || c.is_whitespace()))
}

/// Which column is which.
struct Header {
    columns: Vec<&'static str>,
}

impl Header {
    fn read(log: &mut Log<'_>, at: At, fields: &[Field]) -> Option<Self> {
        let mut columns = Vec::new();
        let mut sound = true;
        for field in fields {
            let at = At { offset: at.offset + field.offset, ..at };
            let column = COLUMNS.into_iter().find(|column| *column == field.text);
            match column {
                Some(column) if columns.contains(&column) => log.error(at, format!("column `{column}` is there twice")),
                Some(column) => {
                    columns.push(column);
                    continue;
                }
                None if field.text.contains(';') => log.error(at, "columns are parted by commas, not by semicolons"),
                None if field.text.contains('\t') => {
                    log.error(at, "columns are parted by commas, not by tabs: save it as CSV with commas");
                }
                None => {
                    let message = format!(
                        "unknown column `{}` in a tag list, whose columns are {}",
                        field.text.escape_debug(),
                        COLUMNS.join(", ")
                    );
                    log.unknown(at, message, &field.text, COLUMNS);
                }
            }
            sound = false;
        }
        if !sound {
            return None;
        }
        let has = |column| columns.contains(&column);
        let missing = match (has("reference"), has("table") || has("address")) {
            (true, true) => Some("either a column `reference`, or columns `table` and `address`, but not both"),
            (true, false) => None,
            (false, _) if has("table") && has("address") => None,
            (false, _) => Some("columns `table` and `address`, or a column `reference`"),
        };
        if !has("name") {
            log.error(at, "a tag list has a column `name`");
            return None;
        }
        if let Some(missing) = missing {
            log.error(at, format!("a tag list has {missing}"));
            return None;
        }
        Some(Self { columns })
    }
}

/// One line of a tag list.
struct Row<'r, 'f> {
    log: &'r mut Log<'f>,
    columns: &'r Header,
    at: At,
    fields: &'r [Field],
}

impl<'r> Row<'r, '_> {
    fn tag(mut self) -> Option<Tag> {
        let (expected, found) = (self.columns.columns.len(), self.fields.len());
        if expected != found {
            self.log.error(self.at, format!("this line has {found} fields, and the header {expected}"));
            return None;
        }
        let name = self.name();
        let place = match self.columns.columns.contains(&"reference") {
            true => self.reference(),
            false => self.address(),
        };
        let kind = self.kind(place);
        let word_order = self.word("word_order", WordOrder::Big, &WordOrder::ALL, WordOrder::as_str);
        let byte_order = self.word("byte_order", ByteOrder::Big, &ByteOrder::ALL, ByteOrder::as_str);
        let (scale, offset) = (self.number("scale", 1.0), self.number("offset", 0.0));
        let text = |row: &Self, column| row.text(column).map(|(_, text)| text.to_owned());
        let (unit, description) = (text(&self, "unit"), text(&self, "description"));
        let (name, Lies { table, address, bit }, kind) = (name?, place?, kind?);
        let (word_order, byte_order, scale, offset) = (word_order?, byte_order?, scale?, offset?);
        if scale == 0.0 {
            self.complain("scale", "`scale` is not 0: every value would be the same".to_owned());
        }
        if kind == TagType::Bool && (scale != 1.0 || offset != 0.0) {
            self.complain("scale", format!("tag `{name}` is a bit, which has neither scale nor offset"));
        }
        let Some(range) = PointRange::of_length(table, address, kind.points()) else {
            self.complain("address", format!("tag `{name}` goes beyond the last address, 65535"));
            return None;
        };
        if table.is_bits() && byte_order != ByteOrder::Big {
            self.complain("byte_order", format!("tag `{name}` is a bit, which has no order of bytes"));
        }
        Some(Tag { name, table, address, kind, word_order, byte_order, bit, scale, offset, unit, description, range })
    }

    /// A column's text, if there is one and it is not empty.
    fn text(&self, column: &str) -> Option<(At, &'r str)> {
        let field = self.field(column)?;
        (!field.text.is_empty()).then_some((At { offset: self.at.offset + field.offset, ..self.at }, &field.text))
    }

    fn field(&self, column: &str) -> Option<&'r Field> {
        self.fields.get(self.columns.columns.iter().position(|known| *known == column)?)
    }

    fn complain(&mut self, column: &str, message: String) {
        let offset = self.field(column).map_or(0, |field| field.offset);
        self.log.error(At { offset: self.at.offset + offset, ..self.at }, message);
    }

    fn need(&mut self, column: &str) -> Option<(At, &'r str)> {
        let text = self.text(column);
        if text.is_none() {
            self.complain(column, format!("this line has no `{column}`"));
        }
        text
    }

    fn name(&mut self) -> Option<String> {
        let (at, text) = self.need("name")?;
        if !is_tag_name(text) {
            let message = format!(
                "`{}` cannot be the name of a tag: it has at most {LONGEST_NAME} characters, and no quote, comma, semicolon, `=` or control character",
                text.escape_debug()
            );
            self.log.error(at, message);
            return None;
        }
        Some(text.to_owned())
    }

    fn reference(&mut self) -> Option<Lies> {
        let (at, text) = self.need("reference")?;
        let (place, dotted) = dotted(text);
        match PointRange::parse_reference(place) {
            Ok(range) if range.first() == range.last() => {
                let bit = self.bit(at, dotted, range.table()).ok()?;
                Some(Lies { table: range.table(), address: range.first(), bit })
            }
            Ok(_) => {
                self.log.error(at, format!("`{text}`: a tag has one reference; its type says how long it is"));
                None
            }
            Err(error) => {
                self.log.error(at, error.to_string());
                None
            }
        }
    }

    fn address(&mut self) -> Option<Lies> {
        let table = self
            .need("table")
            .and_then(|(at, text)| word(self.log, at, "`table` of a tag", text, &Table::ALL, Table::as_str));
        let (at, text) = self.need("address")?;
        let table = table?;
        let (place, dotted) = dotted(text);
        match PointRange::parse(table, place) {
            Ok(range) if range.first() == range.last() => {
                let bit = self.bit(at, dotted, table).ok()?;
                if looks_like_reference(table, place) {
                    let message = format!(
                        "`address` of a tag is read as the zero-based address `{text}`: if the reference is meant, there is a column `reference`"
                    );
                    self.log.warn(at, message);
                }
                Some(Lies { table, address: range.first(), bit })
            }
            Ok(_) | Err(_) => {
                let message = format!(
                    "`address` of a tag is a zero-based address from 0 to 65535, not `{}`",
                    text.escape_debug()
                );
                self.log.error(at, message);
                None
            }
        }
    }

    /// Which bit of a register, if any, written behind the place or in a column of its own.
    fn bit(&mut self, at: At, dotted: Option<&str>, table: Table) -> Result<Option<u8>, Said> {
        let (at, text) = match (dotted, self.text("bit")) {
            (None, None) => return Ok(None),
            (Some(text), None) => (at, text),
            (None, Some(column)) => column,
            (Some(_), Some((at, _))) => {
                self.log.error(at, "the bit is written behind the place already");
                return Err(Said);
            }
        };
        let bit = text.parse::<u8>().ok().filter(|bit| *bit < 16 && !text.starts_with('+'));
        if bit.is_none() {
            let message =
                format!("the bit of a register is a number from 0, the lowest, to 15, not `{}`", text.escape_debug());
            self.log.error(at, message);
            return Err(Said);
        }
        if table.is_bits() {
            self.log.error(at, "a coil or discrete input is a bit itself, and has none");
            return Err(Said);
        }
        Ok(bit)
    }

    fn kind(&mut self, place: Option<Lies>) -> Option<TagType> {
        let is_bit = place.is_some_and(|place| place.table.is_bits() || place.bit.is_some());
        let usual = if is_bit { TagType::Bool } else { TagType::U16 };
        let kind = self.word("type", usual, &TagType::ALL, TagType::as_str)?;
        place?;
        if (kind == TagType::Bool) != is_bit {
            let what = match (kind, place.is_some_and(|place| place.bit.is_some())) {
                (TagType::Bool, _) => {
                    "a register is no bit; one of its bits is written `40101.3`, or has a column `bit`"
                }
                (_, true) => "one bit of a register is a `bool`",
                (_, false) => "a coil or discrete input is a `bool`",
            };
            self.complain("type", format!("`type` of a tag cannot be `{kind}` here: {what}"));
            return None;
        }
        Some(kind)
    }

    fn word<T: Copy>(&mut self, column: &str, usual: T, words: &[T], as_str: impl Fn(T) -> &'static str) -> Option<T> {
        let Some((at, text)) = self.text(column) else { return Some(usual) };
        word(self.log, at, &format!("`{column}` of a tag"), text, words, as_str)
    }

    fn number(&mut self, column: &str, usual: f64) -> Option<f64> {
        let Some((at, text)) = self.text(column) else { return Some(usual) };
        let number = text.parse::<f64>().ok().filter(|number| number.is_finite());
        if number.is_none() {
            let message = format!("`{column}` of a tag is a number such as `0.1`, not `{}`", text.escape_debug());
            self.log.error(at, message);
        }
        number
    }
}

/// Something is wrong, and was said.
struct Said;

/// Where a tag lies.
#[derive(Debug, Clone, Copy)]
struct Lies {
    table: Table,
    address: u16,
    bit: Option<u8>,
}

/// `40101.3`: a place, and the bit that is written behind it.
fn dotted(text: &str) -> (&str, Option<&str>) {
    text.split_once('.').map_or((text, None), |(place, bit)| (place, Some(bit)))
}

const LONGEST_NAME: usize = 128;

/// Tags are named by the makers of devices, who use all kinds of marks; kept out is what would end a name where people
/// write `tag NAME = 7`, or lists of them.
fn is_tag_name(text: &str) -> bool {
    text.chars().count() <= LONGEST_NAME
        && !text.contains(['"', '\'', '`', ',', ';', '='])
        && !text.contains(char::is_control)
}
