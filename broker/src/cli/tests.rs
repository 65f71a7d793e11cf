#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

use super::*;
use std::path::{Path, PathBuf};

#[test]
fn the_tree_of_commands_is_sound() {
    Arguments::command().debug_assert();
}

#[test]
fn exit_codes_tell_usage_from_configuration() {
    let missing = crate::config::Config::load(Path::new("/nowhere/broker.toml")).unwrap_err();
    assert_eq!(CliError::from(missing).exit_code(), 78);
    assert_eq!(CliError::Usage("both".to_owned()).exit_code(), 64);
    assert_eq!(CliError::NotAvailable("x").exit_code(), 1);
}

#[test]
fn every_command_in_the_documents_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut checked = 0;
    let mut wrong = Vec::new();
    for path in documents(root) {
        let text = std::fs::read_to_string(&path).unwrap();
        for (number, line) in text.lines().enumerate().filter(|(_, line)| line.starts_with("sallyport ")) {
            checked += 1;
            if let Err(error) = Arguments::try_parse_from(words(line))
                && error.use_stderr()
            {
                wrong.push(format!("{}:{}: {line}\n{error}", path.display(), number + 1));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(checked > 30, "only {checked} commands were found");
}

#[test]
fn the_examples_of_the_deployment_hold() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let config = crate::config::Config::load(&root.join("deploy/broker.example.toml")).unwrap();
    assert_eq!(config.recording.retention("safety").days, Some(1825));
    let files = crate::plant::read_files(&[root.join("deploy/plant.example.toml")]).unwrap().files;
    sallyport_policy::Policy::parse(&files).unwrap();
}

fn documents(root: &Path) -> Vec<PathBuf> {
    let folders = [root.to_path_buf(), root.join("docs"), root.join("deploy")];
    let found = folders.iter().flat_map(|folder| std::fs::read_dir(folder).unwrap()).map(|entry| entry.unwrap().path());
    found.filter(|path| path.extension().is_some_and(|extension| extension == "md")).collect()
}

/// Splits a line as a shell does, as far as the documents need it.
fn words(line: &str) -> Vec<String> {
    let parts = line.split(['"', '\'']).enumerate();
    parts
        .flat_map(|(number, part)| match number % 2 {
            0 => part.split_whitespace().map(str::to_owned).collect(),
            _ => vec![part.to_owned()],
        })
        .collect()
}
