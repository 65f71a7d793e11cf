//! Every example in the documents is read by what it documents.

use sallyport_policy::{Policy, tables};

use crate::plant_file::file;

const REFERENCE: &str = include_str!("../../../docs/plant-file.md");

/// The fenced blocks of one kind, each with its line.
fn blocks(kind: &str) -> Vec<(usize, String)> {
    let mut blocks = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for (number, line) in REFERENCE.lines().enumerate() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(info)) if info == kind => open = Some((number + 2, String::new())),
            (None, _) => {}
            (Some((_, text)), None) => *text += &format!("{line}\n"),
            (Some(_), Some(_)) => blocks.extend(open.take()),
        }
    }
    assert!(open.is_none());
    blocks
}

/// The blocks marked `toml` are one plant, spread over the page; with its tag list, marked `csv` and its name.
fn plant() -> Policy {
    let text: String = blocks("toml").into_iter().map(|(_, text)| text).collect();
    let tags: String = blocks("csv plc-1.csv").into_iter().map(|(_, text)| text).collect();
    Policy::parse(&[file("plant.toml", &text), file("plc-1.csv", &tags)]).unwrap_or_else(|errors| panic!("{errors}"))
}

#[test]
fn the_examples_of_the_plant_file_are_one_plant() {
    let policy = plant();
    assert_eq!(policy.warnings(), []);
    assert!(policy.filters().count() > 0 && policy.tag_lists().count() > 0);
    assert!(policy.assets().count() > 2 && policy.roles().count() > 2 && policy.forbids().count() > 0);
}

/// The blocks marked `toml table` are decision tables about that plant, and every case holds.
#[test]
fn the_examples_of_decision_tables_hold() {
    let plant = plant();
    let tables = blocks("toml table");
    assert!(!tables.is_empty());
    for (line, table) in tables {
        for case in tables::run(&plant, &file("docs/plant-file.md", &table)).unwrap() {
            assert!(case.passed(), "block at line {line}: {} {:?}\n{}", case.name, case.failures, case.explanation);
        }
    }
}

/// The blocks marked `toml wrong` are refused, each with the message that stands in the block after it.
#[test]
fn the_examples_of_errors_are_what_is_said() {
    let wrong = blocks("toml wrong");
    let said = blocks("text said");
    assert!(!wrong.is_empty() && wrong.len() == said.len());
    for ((_, text), (line, said)) in wrong.into_iter().zip(said) {
        let errors = Policy::parse(&[file("plant.toml", &text)]).unwrap_err();
        assert_eq!(format!("{errors}\n"), said, "block at line {line}");
    }
}
