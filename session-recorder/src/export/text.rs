//! Bytes to text when characters are cut between entries.

/// Decodes UTF-8 that arrives in pieces; what is not UTF-8 becomes U+FFFD.
#[derive(Clone, Debug, Default)]
pub struct TextStream {
    carry: Vec<u8>,
    latin1: bool,
}

impl TextStream {
    /// One that takes what is not UTF-8 for Latin-1, as old equipment writes it; its controls of eight bits still become U+FFFD.
    pub(crate) fn or_latin1() -> Self {
        Self { latin1: true, ..Self::default() }
    }

    /// The text of the next bytes; a character that is not complete yet waits for the next call.
    pub fn push(&mut self, bytes: &[u8]) -> String {
        let joined;
        let mut rest: &[u8] = if self.carry.is_empty() {
            bytes
        } else {
            joined = [std::mem::take(&mut self.carry).as_slice(), bytes].concat();
            &joined
        };
        let mut text = String::with_capacity(rest.len());
        loop {
            match std::str::from_utf8(rest) {
                Ok(valid) => {
                    text.push_str(valid);
                    return text;
                }
                Err(error) => {
                    let (valid, after) = rest.split_at(error.valid_up_to());
                    text.push_str(&String::from_utf8_lossy(valid));
                    match error.error_len() {
                        Some(bad) => {
                            self.replace(&after[..bad], &mut text);
                            rest = &after[bad..];
                        }
                        None => {
                            self.carry = after.to_vec();
                            return text;
                        }
                    }
                }
            }
        }
    }

    fn replace(&self, bad: &[u8], text: &mut String) {
        let latin1 = |byte: &u8| if *byte < 0xa0 { '\u{fffd}' } else { char::from(*byte) };
        if self.latin1 { text.extend(bad.iter().map(latin1)) } else { text.push('\u{fffd}') }
    }

    /// What is left at the end: half a character becomes U+FFFD.
    pub fn finish(&mut self) -> &'static str {
        if std::mem::take(&mut self.carry).is_empty() { "" } else { "\u{fffd}" }
    }
}

#[cfg(test)]
mod tests {
    use super::TextStream;

    #[test]
    fn characters_survive_being_cut_anywhere() {
        let text = "æøå 界 🗝 \u{7f}";
        for cut in 0..text.len() {
            let mut stream = TextStream::default();
            let (left, right) = text.as_bytes().split_at(cut);
            let mut out = stream.push(left);
            out += &stream.push(right);
            out += stream.finish();
            assert_eq!(out, text);
        }
    }

    #[test]
    fn what_is_not_utf8_is_replaced_and_nothing_is_lost_after_it() {
        let mut stream = TextStream::default();
        assert_eq!(stream.push(b"a\xffb\xc3"), "a\u{fffd}b");
        assert_eq!(stream.push(b"(c"), "\u{fffd}(c");
        assert_eq!(stream.push(b"\xe7\x95"), "");
        assert_eq!(stream.finish(), "\u{fffd}");
    }

    #[test]
    fn latin1_is_read_where_it_is_no_utf8() {
        let mut stream = TextStream::or_latin1();
        assert_eq!(stream.push("für ".as_bytes()) + &stream.push(b"f\xfcr \xe7\xe9 \x9b"), "für für çé \u{fffd}");
    }
}
