//! The program that measures what happens when things fail: it works, and the document says what it measures.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;
use std::time::Duration;

use sallyport_tests::{finish_within, repository, sallyport};

fn reliability(arguments: &[&str]) -> sallyport_tests::Finished {
    let mut command = Command::new(env!("CARGO_BIN_EXE_reliability"));
    command.args(arguments).env("SALLYPORT_BIN", sallyport());
    finish_within(Duration::from_secs(120), command, b"")
}

#[test]
fn the_document_has_a_part_for_every_row_and_names_no_other() {
    let list = reliability(&["--list"]).ok();
    let rows: BTreeSet<&str> = list.lines().filter_map(|line| line.split_whitespace().next()).collect();
    let document = fs::read_to_string(repository().join("docs/reliability.md")).unwrap();
    let named = |begin: &str| -> BTreeSet<&str> {
        let after = document.split(begin).skip(1);
        after.filter_map(|text| text.split(['`', ' ', '\n']).next()).filter(|word| !word.starts_with('-')).collect()
    };
    assert!(rows.len() > 5, "{list}");
    assert_eq!(named("<!-- written by `scripts/reliability "), rows);
    assert_eq!(named("<!-- end of `scripts/reliability "), rows);
    assert_eq!(named("scripts/reliability "), rows);
    assert!(reliability(&["no-such-row"]).refused().contains("is no row"));
}

#[test]
fn a_small_soak_compares_what_assets_received_with_what_is_on_record() {
    let said = reliability(&["soak", "--quick"]).ok();
    assert!(said.contains("not as it was sent: none of ") && !said.contains("(0 bytes"), "{said}");
}
