//! Text from outside, made safe for whoever reads it.
//!
//! An asset, a client or a file may hold anything. What a terminal obeys (escape sequences), what turns the reading
//! direction and what cannot be seen at all is shown as what it is. This is the one place that says what that is; command
//! line, log, errors, sentences to people, search, exports and the plant file's faults all ask here.

use std::borrow::Cow;

/// True for what a reader sees as it is: letters, marks, digits, punctuation, symbols and blanks of every script.
///
/// False for what [`acts`], for format characters and others that draw nothing, and for what no version of Unicode
/// known here gives a meaning (unassigned, private use). A line feed is no plain character either: it begins a line of its own.
#[must_use]
pub fn is_plain(char: char) -> bool {
    match char {
        ' '..='~' => true,
        _ if acts(char) => false,
        // They draw nothing, though they are no format characters.
        '\u{034f}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}' => false,
        '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{ffa0}' | '\u{e0100}'..='\u{e01ef}' => false,
        _ => char.is_whitespace() || is_known(char),
    }
}

/// True for what a terminal or a reader obeys: controls (C0, DEL, C1), what turns the reading direction, line and paragraph
/// separators, marks of byte order and annotation, tags.
#[must_use]
pub fn acts(char: char) -> bool {
    char.is_control()
        || matches!(
            char,
            '\u{061c}'
                | '\u{200e}'
                | '\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2066}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

/// One line: what is not [plain](is_plain) is shown as `\n` or `\u{…}`.
#[must_use]
pub fn printable(text: &str) -> Cow<'_, str> {
    replaced(text, is_plain, shown)
}

/// As [`printable`], but line feeds stay.
#[must_use]
pub fn printable_lines(text: &str) -> Cow<'_, str> {
    replaced(text, |char| char == '\n' || is_plain(char), shown)
}

/// The first `most` characters of what may be long, [`printable`].
#[must_use]
pub fn excerpt(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", printable(&text[..end])),
        None => printable(text).into_owned(),
    }
}

/// JSON that means the same, and in which nothing acts on a terminal: what is not plain is written as `\uXXXX`.
///
/// The text must be JSON: below U+0020 it holds white space between values only, and everything else inside of strings.
#[must_use]
pub fn json(text: &str) -> Cow<'_, str> {
    replaced(
        text,
        |char| char < ' ' || is_plain(char),
        |char, into| {
            for unit in char.encode_utf16(&mut [0; 2]) {
                into.push_str(&format!("\\u{unit:04x}"));
            }
        },
    )
}

fn shown(char: char, into: &mut String) {
    match char {
        '\n' | '\r' | '\t' => into.extend(char.escape_default()),
        _ => into.extend(char.escape_unicode()),
    }
}

fn replaced(text: &str, stays: impl Fn(char) -> bool, write: impl Fn(char, &mut String)) -> Cow<'_, str> {
    let Some(first) = text.find(|char| !stays(char)) else { return Cow::Borrowed(text) };
    let mut written = String::with_capacity(text.len() + 16);
    written.push_str(&text[..first]);
    for char in text[first..].chars() {
        if stays(char) {
            written.push(char);
        } else {
            write(char, &mut written);
        }
    }
    Cow::Owned(written)
}

/// The standard library knows Unicode's categories, and tells them only by what it escapes. Behind another character it
/// leaves combining marks alone.
fn is_known(char: char) -> bool {
    let mut text = [b'a', 0, 0, 0, 0];
    let length = char.encode_utf8(&mut text[1..]).len();
    std::str::from_utf8(&text[..=length]).is_ok_and(|text| text.escape_debug().nth(1) == Some(char))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Controls and what Unicode 16 lists as `Bidi_Control`, and the separators of lines and paragraphs.
    const OBEYED: [u32; 14] = [
        0x061c, 0x200e, 0x200f, 0x2028, 0x2029, 0x202a, 0x202b, 0x202c, 0x202d, 0x202e, 0x2066, 0x2067, 0x2068, 0x2069,
    ];

    #[test]
    fn what_a_terminal_or_a_reader_obeys_is_never_plain() {
        let controls = (0..0x20).chain(0x7f..0xa0);
        for number in controls.chain(OBEYED).chain([0xfeff, 0xe0001, 0xe0041]) {
            let char = char::from_u32(number).unwrap_or_default();
            assert!(acts(char) && !is_plain(char), "{number:x}");
        }
    }

    #[test]
    fn what_cannot_be_seen_is_not_plain() {
        for char in "\u{ad}\u{200b}\u{200c}\u{200d}\u{2060}\u{180e}\u{3164}\u{fe0f}\u{e000}\u{378}\u{110bd}".chars() {
            assert!(!is_plain(char), "{char:?}");
        }
    }

    #[test]
    fn what_people_write_is_plain() {
        for char in "az~'\"\\ æøå Ж ع ש 界 カ ㎥ µ ° → ─ e\u{301} 🗝 \u{a0}\u{3000}\u{fffd}".chars() {
            assert!(is_plain(char), "{char:?}");
        }
    }

    #[test]
    fn all_of_unicode_is_shown_as_plain_characters_and_json_means_the_same() {
        for char in '\0'..=char::MAX {
            let text = String::from(char);
            assert!(printable(&text).chars().all(is_plain), "{char:?}");
            assert!(printable_lines(&text).chars().all(|char| char == '\n' || is_plain(char)), "{char:?}");
            // As a serializer writes it that escapes no more than it must.
            let text = if char < ' ' || matches!(char, '"' | '\\') { continue } else { format!("\"{char}\"") };
            let written = json(&text);
            assert!(written.chars().all(is_plain), "{char:?}");
            assert_eq!(read(&written), char, "{written}");
        }
    }

    /// The one character of a JSON string.
    fn read(json: &str) -> char {
        let inner = json.trim_matches('"');
        match inner.strip_prefix("\\u") {
            None => inner.chars().next().unwrap_or_default(),
            Some(units) => {
                let units = units.split("\\u").map(|unit| u16::from_str_radix(unit, 16).unwrap_or_default());
                char::decode_utf16(units).next().and_then(Result::ok).unwrap_or_default()
            }
        }
    }

    #[test]
    fn it_is_shown_where_it_stood() {
        assert_eq!(printable("a\u{1b}[2J\nb\u{202e}"), "a\\u{1b}[2J\\nb\\u{202e}");
        assert_eq!(printable_lines("a\nb\r\n"), "a\nb\\r\n");
        assert_eq!(json("{\n\"a\":\"\u{9b}\u{e0041}å\"}"), "{\n\"a\":\"\\u009b\\udb40\\udc41å\"}");
        assert_eq!(excerpt("å\u{7}cd", 2), "å\\u{7}…");
        assert!(matches!(printable("plain"), Cow::Borrowed(_)));
    }
}
