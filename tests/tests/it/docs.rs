//! What the documents tell people to type exists, and what they link to is there.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use sallyport_tests::{finish, repository, sallyport};

#[test]
fn every_command_in_the_documents_exists_with_its_options() {
    let mut faults = BTreeSet::new();
    let mut count = 0;
    for document in documents() {
        for line in commands(&document) {
            count += 1;
            if let Err(fault) = check(&line) {
                faults.insert(format!("{}: `{line}`: {fault}", document.display()));
            }
        }
    }
    assert!(count > 10, "the commands were not found");
    assert!(faults.is_empty(), "{}", faults.into_iter().collect::<Vec<_>>().join("\n"));
}

#[test]
fn every_link_between_documents_leads_somewhere() {
    let mut faults = Vec::new();
    for document in documents() {
        let text = fs::read_to_string(&document).unwrap();
        for (at, _) in text.match_indices("](") {
            let target = text[at + 2..].split([')', '#']).next().unwrap();
            if target.is_empty() || target.contains("://") || target.starts_with("mailto:") || target.contains('\n') {
                continue;
            }
            if !document.parent().unwrap().join(target).exists() {
                faults.push(format!("{}: {target}", document.display()));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// The `sallyport` command lines of a document's code blocks.
fn commands(document: &Path) -> Vec<String> {
    let text = fs::read_to_string(document).unwrap();
    let mut found = Vec::new();
    let mut inside = false;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            inside = !inside;
        } else if inside {
            let line = line.trim().trim_start_matches("$ ").trim_start_matches("# ").trim_start_matches("sudo ");
            if let Some(rest) = line.strip_prefix("sallyport ") {
                let rest = rest.split(['|', '>', '<', '#', ';']).next().unwrap().trim();
                found.push(rest.to_owned());
            }
        }
    }
    found
}

/// Walks down the subcommands, then looks for each option in the help of the last.
fn check(line: &str) -> Result<(), String> {
    let mut words = line.split_whitespace().peekable();
    let mut path: Vec<&str> = Vec::new();
    let mut help = help_of(&path)?;
    while let Some(word) = words.peek().copied() {
        if word == "--config" {
            words.next();
        } else if !word.starts_with('-') {
            if !subcommands(&help).contains(word) {
                if subcommands(&help).is_empty() {
                    break;
                }
                return Err(format!("`{word}` is no subcommand of `sallyport {}`", path.join(" ")));
            }
            path.push(word);
            help = help_of(&path)?;
        }
        words.next();
    }
    for word in words.filter(|word| word.starts_with("--") && *word != "--") {
        let option = word.split('=').next().unwrap().trim_matches(['[', ']', '`']);
        if !help.contains(option) {
            return Err(format!("no option {option}"));
        }
    }
    Ok(())
}

pub(crate) fn help_of(path: &[&str]) -> Result<String, String> {
    let mut command = Command::new(sallyport());
    command.args(path).arg("--help");
    let finished = finish(command, b"");
    if finished.status.success() { Ok(finished.text()) } else { Err(finished.stderr) }
}

pub(crate) fn subcommands(help: &str) -> BTreeSet<&str> {
    let lines = help.lines().skip_while(|line| !line.starts_with("Commands:")).skip(1);
    let lines = lines.take_while(|line| line.starts_with("  "));
    lines.filter(|line| !line.starts_with("   ")).filter_map(|line| line.split_whitespace().next()).collect()
}

fn documents() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![repository().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap_or_default();
            if path.is_dir() && !name.starts_with('.') && !["target", "demo"].contains(&name) {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                found.push(path);
            }
        }
    }
    found
}
