//! A Rust file as words and signs. Comments, documents, strings and lifetimes are left out, and so is what only tests are
//! built from: whatever stands under `#[cfg(test)]`.

/// A word (identifier, keyword or number) or a single sign, and its line.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Token {
    pub(super) text: String,
    pub(super) line: usize,
}

impl Token {
    pub(super) fn is(&self, text: &str) -> bool {
        self.text == text
    }

    pub(super) fn is_word(&self) -> bool {
        self.text.starts_with(|c: char| c.is_alphanumeric() || c == '_')
    }
}

/// The tokens of a file.
pub(super) fn tokens(source: &str) -> Vec<Token> {
    let text: Vec<char> = source.chars().collect();
    let mut cursor = Cursor { text: &text, at: 0, line: 1 };
    let mut found = Vec::new();
    while let Some(&c) = cursor.text.get(cursor.at) {
        let line = cursor.line;
        if cursor.starts("//") {
            cursor.until("\n");
        } else if cursor.starts("/*") {
            cursor.block_comment();
        } else if let Some(hashes) = cursor.raw_string() {
            cursor.until(&format!("\"{}", "#".repeat(hashes)));
        } else if c == '"' || ((c == 'b' || c == 'c') && cursor.ahead(1) == Some('"')) {
            cursor.step(if c == '"' { 1 } else { 2 });
            cursor.quoted('"');
        } else if c == '\'' || (c == 'b' && cursor.ahead(1) == Some('\'')) {
            cursor.step(if c == '\'' { 1 } else { 2 });
            cursor.character_or_lifetime();
        } else if c.is_alphanumeric() || c == '_' {
            found.push(Token { text: cursor.word(), line });
        } else {
            if !c.is_whitespace() {
                found.push(Token { text: c.into(), line });
            }
            cursor.step(1);
        }
    }
    found
}

struct Cursor<'a> {
    text: &'a [char],
    at: usize,
    line: usize,
}

impl Cursor<'_> {
    fn ahead(&self, by: usize) -> Option<char> {
        self.text.get(self.at + by).copied()
    }

    fn starts(&self, with: &str) -> bool {
        with.chars().enumerate().all(|(by, c)| self.ahead(by) == Some(c))
    }

    fn step(&mut self, by: usize) {
        for _ in 0..by {
            self.line += usize::from(self.ahead(0) == Some('\n'));
            self.at += 1;
        }
    }

    /// Goes beyond the next `end`, or to the end of the file.
    fn until(&mut self, end: &str) {
        while self.at < self.text.len() && !self.starts(end) {
            self.step(1);
        }
        self.step(end.len());
    }

    fn block_comment(&mut self) {
        let mut depth = 0;
        loop {
            if self.starts("/*") {
                depth += 1;
                self.step(2);
            } else if self.starts("*/") {
                depth -= 1;
                self.step(2);
            } else {
                self.step(1);
            }
            if depth == 0 || self.at >= self.text.len() {
                return;
            }
        }
    }

    /// Goes beyond the opening quote of a raw string, and says how many `#` close it.
    fn raw_string(&mut self) -> Option<usize> {
        let prefix = ["r", "br", "cr"]
            .into_iter()
            .find(|prefix| self.starts(prefix) && matches!(self.ahead(prefix.len()), Some('"' | '#')))?;
        let hashes = (prefix.len()..).take_while(|by| self.ahead(*by) == Some('#')).count();
        (self.ahead(prefix.len() + hashes) == Some('"')).then(|| {
            self.step(prefix.len() + hashes + 1);
            hashes
        })
    }

    fn quoted(&mut self, quote: char) {
        while let Some(c) = self.ahead(0) {
            self.step(if c == '\\' { 2 } else { 1 });
            if c == quote {
                return;
            }
        }
    }

    fn character_or_lifetime(&mut self) {
        if self.ahead(0) == Some('\\') || self.ahead(1) == Some('\'') {
            self.quoted('\'');
        } else {
            self.word();
        }
    }

    /// The word here; of a raw one (`r#type`) what it stands for.
    fn word(&mut self) -> String {
        if self.starts("r#") {
            self.step(2);
        }
        let mut word = String::new();
        while let Some(c) = self.ahead(0).filter(|c| c.is_alphanumeric() || *c == '_') {
            word.push(c);
            self.step(1);
        }
        word
    }
}

/// The place after the group that opens at `at`.
pub(super) fn after_group(tokens: &[Token], at: usize) -> usize {
    let mut depth = 0_usize;
    for (place, token) in tokens.iter().enumerate().skip(at) {
        match token.text.as_str() {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            return place + 1;
        }
    }
    tokens.len()
}

/// The place after the item, statement, field or arm that begins at `at`.
pub(super) fn after_item(tokens: &[Token], at: usize) -> usize {
    const TO_SEMICOLON: [&str; 5] = ["use", "static", "type", "let", "const"];
    const NO_FIELD: [&str; 11] =
        ["fn", "struct", "enum", "impl", "mod", "trait", "async", "pub", "macro_rules", "extern", "union"];
    let first = tokens.get(at).map_or("", |token| token.text.as_str());
    let function = tokens[at..].iter().take(4).any(|token| token.is("fn"));
    let to_semicolon = TO_SEMICOLON.contains(&first) && !function;
    let comma_ends = !to_semicolon && !NO_FIELD.contains(&first);
    let mut place = at;
    while let Some(token) = tokens.get(place) {
        match token.text.as_str() {
            ";" => return place + 1,
            "," if comma_ends => return place + 1,
            ")" | "]" | "}" => return place,
            "{" if !to_semicolon => return after_group(tokens, place),
            "(" | "[" | "{" => place = after_group(tokens, place),
            _ => place += 1,
        }
    }
    place
}

/// The place after the attribute at `at`, if one stands there.
pub(super) fn after_attribute(tokens: &[Token], at: usize) -> Option<usize> {
    let here = |by: usize, text: &str| tokens.get(at + by).is_some_and(|token| token.is(text));
    match here(0, "#") {
        true if here(1, "[") => Some(after_group(tokens, at + 1)),
        true if here(1, "!") && here(2, "[") => Some(after_group(tokens, at + 2)),
        _ => None,
    }
}

/// A file without what only tests are built from, and the names of the modules that went.
pub(super) fn of_the_product(tokens: &[Token]) -> (Vec<Token>, Vec<String>) {
    let (mut kept, mut modules) = (Vec::new(), Vec::new());
    let mut at = 0;
    while at < tokens.len() {
        let Some(end) = after_attribute(tokens, at) else {
            kept.push(tokens[at].clone());
            at += 1;
            continue;
        };
        if !for_tests(&tokens[at..end]) {
            kept.extend_from_slice(&tokens[at..end]);
            at = end;
            continue;
        }
        let mut item = end;
        while let Some(end) = after_attribute(tokens, item) {
            item = end;
        }
        at = after_item(tokens, item).max(item + 1);
        let named = tokens[item..at.min(tokens.len())].windows(2).find(|pair| pair[0].is("mod"));
        modules.extend(named.map(|pair| pair[1].text.clone()));
    }
    (kept, modules)
}

fn for_tests(attribute: &[Token]) -> bool {
    let has = |word: &str| attribute.iter().any(|token| token.is(word));
    attribute.get(2).is_some_and(|token| token.is("cfg")) && has("test") && !has("not") && !has("any")
}
