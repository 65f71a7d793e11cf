//! The sheet as text, no line longer than a terminal is wide.

use super::super::letters::spoken;
use super::{Block, Head, LINES, TITLE};
use crate::vault::Secret;

/// Sets a sheet.
pub(super) fn set(head: &Head, blocks: &[Block]) -> Secret<String> {
    let mut out = Secret::new(String::with_capacity(ROOM));
    let text = out.expose_mut();
    let rule = "=".repeat(WIDTH);
    let title =
        format!("{TITLE:<width$}{}", head.envelope, width = WIDTH.saturating_sub(head.envelope.chars().count()));
    for line in [&rule, &title, &rule] {
        push(text, line);
    }
    paragraph(text, &head.facts);
    for block in blocks {
        match block {
            Block::Heading(words) => {
                text.push('\n');
                paragraph(text, &words.to_uppercase());
            }
            Block::Words(words) | Block::Strong(words) => paragraph(text, words),
            // Whole: where it is broken, somebody would press the return key.
            Block::Command(command) => push(text, &format!("    {command}")),
            Block::Code(groups) => code(text, groups.expose()),
            Block::Lines => (0..LINES).for_each(|_| push(text, &format!("\n{}", "_".repeat(WIDTH)))),
        }
    }
    out
}

fn code(text: &mut String, groups: &[String; 5]) {
    text.push('\n');
    for (at, group) in groups.iter().enumerate() {
        text.push_str(&format!("    group {}:  ", at + 1));
        text.push_str(group);
        text.push_str("  ");
        for letter in group.chars() {
            text.push(' ');
            text.push_str(spoken(letter));
        }
        text.push('\n');
    }
    text.push('\n');
}

fn paragraph(text: &mut String, words: &str) {
    for line in wrapped(words, |line| line.chars().count() <= WIDTH) {
        push(text, &line);
    }
}

fn push(text: &mut String, line: &str) {
    text.push_str(line);
    text.push('\n');
}

/// Breaks words into lines that fit; a word that fits no line is broken itself.
pub(super) fn wrapped(words: &str, fits: impl Fn(&str) -> bool) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in words.split_whitespace() {
        let longer = if line.is_empty() { word.to_owned() } else { format!("{line} {word}") };
        if fits(&longer) {
            line = longer;
            continue;
        }
        if !line.is_empty() {
            lines.push(std::mem::take(&mut line));
        }
        for letter in word.chars() {
            line.push(letter);
            if !fits(&line) && line.chars().count() > 1 {
                line.pop();
                lines.push(std::mem::replace(&mut line, letter.to_string()));
            }
        }
    }
    if !line.is_empty() {
        lines.push(line);
    }
    lines
}

const WIDTH: usize = 78;
/// More than a sheet is long, so that the text never moves and leaves the code behind.
const ROOM: usize = 16 * 1024;
