//! What a terminal would make of text (ECMA-48, section 5), as far as it matters here: does it only draw?

/// What in the text does more than draw: makes the terminal answer, keep something, read bytes otherwise, or take a string.
pub(super) fn acts(text: &str) -> Option<String> {
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        match char {
            '\x05' => return Some("asks for an answer".to_owned()),
            '\u{80}'..='\u{9f}' => return Some(format!("a control of eight bits: {char:?}")),
            '\x1b' => match escape(&mut chars) {
                Ok(()) => {}
                Err(sequence) => return Some(format!("ESC {sequence}")),
            },
            _ => {}
        }
    }
    None
}

/// The sequence behind an escape; what it does beside drawing.
fn escape(chars: &mut std::str::Chars<'_>) -> Result<(), String> {
    let mut sequence = String::new();
    for char in chars.by_ref() {
        sequence.push(char);
        match (char, sequence.len()) {
            ('[', 1) => return control(chars),
            (']' | 'P' | 'X' | '^' | '_' | 'Z', 1) => return Err(sequence),
            (' '..='/', _) => {}
            // Another character set for all that follows.
            ('0'..='~', 2..) if sequence.starts_with('%') => return Err(sequence),
            ('0'..='~', _) => return Ok(()),
            _ => return Err(sequence),
        }
    }
    Ok(())
}

fn control(chars: &mut std::str::Chars<'_>) -> Result<(), String> {
    let mut sequence = String::from('[');
    for char in chars.by_ref() {
        sequence.push(char);
        match char {
            ' '..='?' => {}
            // Reports, media copy, window operations, requests.
            'c' | 'n' | 'i' | 't' | 'p' | 'q' | 'u' | 'v' | 'w' | 'x' | 'y' | 'z' | '{' | '|' | '}' => {
                return Err(sequence);
            }
            '@'..='~' => return Ok(()),
            _ => return Err(sequence),
        }
    }
    Ok(())
}
