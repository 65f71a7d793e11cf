//! One layout of modules and one of unit tests. A module with files of its own is a folder with its head in `mod.rs`, so that
//! whatever belongs to a thing lies in one place and moves as one. Unit tests are the module `tests` of what they test: in
//! the file itself, or in `tests.rs` (or `tests/mod.rs`) of its folder. No file is brought in by `#[path]`, and none lies about unused.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::modules::Crate;
use super::words::tokens;
use super::{MEMBERS, not_yet, read, root, sources};

/// Files that `#[path]` may bring in, with the file that does.
const BROUGHT_IN: &[(&str, &str)] = &[
    // The laws for the fuzzer are a workspace of their own, so that nobody who builds Sallyport builds a fuzzer.
    ("tests/tests/it/fuzz_regressions.rs", "tests/fuzz/src/"),
];

/// The fuzzer's workspace is built by itself.
const APART: &str = "tests/fuzz/";

#[test]
fn a_module_with_files_of_its_own_is_a_folder_with_its_head() {
    let mut faults = Faults::default();
    for file in below(&sources()) {
        let path = Path::new(&file);
        if root().join(path.with_extension("")).is_dir() {
            faults.meet(&file, "its folder lies beside it: make it that folder's mod.rs");
        }
        let folder = path.parent().expect("a file lies in a folder");
        let heads = ["mod.rs", "lib.rs", "main.rs"].iter().any(|head| root().join(folder).join(head).is_file());
        let alone = folder.ends_with("tests") || folder.ends_with("examples") || folder.ends_with("fuzz_targets");
        let built = path.ends_with("build.rs");
        let twin = root().join(folder.with_extension("rs")).is_file();
        if !heads && !alone && !built && !twin {
            faults.meet(&file, "no head (mod.rs, lib.rs, main.rs) in its folder");
        }
    }
    faults.end(not_yet::LAYOUT);
}

#[test]
fn unit_tests_are_the_module_tests_of_what_they_test() {
    let mut faults = Faults::default();
    for name in MEMBERS {
        for module in Crate::read(&root().join(name).join("src/lib.rs"), false).modules {
            for other in module.tests.iter().filter(|name| *name != "tests") {
                let file = module.file.strip_prefix(root()).expect("of the workspace").display().to_string();
                faults.meet(&format!("{file}: {other}"), "a module of tests of another name than `tests`");
            }
        }
    }
    faults.end(not_yet::UNIT_TESTS);
}

#[test]
fn no_file_is_brought_in_by_its_path() {
    let mut faults = Faults::default();
    for file in below(&sources()) {
        let tokens = tokens(&read(&root().join(&file)));
        let named = tokens.windows(3).any(|three| three[0].is("[") && three[1].is("path") && three[2].is("="));
        if named && !BROUGHT_IN.iter().any(|(by, _)| file == *by) {
            faults.meet(&file, "brings in a file by `#[path]`");
        }
    }
    faults.end(not_yet::PATHS);
}

/// What is public is named from outside: by the binary, by a test, or in a document that is compiled.
#[test]
fn no_module_of_the_broker_is_public_for_nobody() {
    let library = root().join("broker/src/lib.rs");
    let library = tokens(&read(&library));
    let public = library.windows(3).filter(|three| three[0].is("pub") && three[1].is("mod"));
    let public = public.map(|three| three[2].text.clone()).collect::<BTreeSet<_>>();
    assert!(public.contains("cli"), "the binary's own way in was not found");
    let mut named = BTreeSet::new();
    for file in sources() {
        let inside = file.starts_with(root().join("broker/src")) && !file.ends_with("main.rs");
        for line in read(&file).lines().filter(|line| !inside || line.trim_start().starts_with("//")) {
            let words = line.match_indices("sallyport::").map(|(at, crate_)| &line[at + crate_.len()..]);
            named.extend(
                words.filter_map(|rest| {
                    rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().map(str::to_owned)
                }),
            );
        }
    }
    let mut faults = Faults::default();
    for module in public.difference(&named) {
        faults.meet(module, "a module that is public, and that nobody outside names");
    }
    faults.end(not_yet::PUBLIC);
}

/// A module that nobody names is code that never runs, or tests that do not.
#[test]
fn every_source_is_part_of_a_crate() {
    let all = below(&sources());
    let is_root = |file: &str| {
        let path = Path::new(file);
        let main = path.ends_with("main.rs") || path.ends_with("src/lib.rs") || path.ends_with("build.rs");
        let target =
            ["tests", "examples", "bin"].iter().any(|folder| path.parent().is_some_and(|at| at.ends_with(folder)));
        main || target && path.components().count() == 3
    };
    let mut built = BTreeSet::new();
    for file in all.iter().filter(|file| is_root(file)) {
        built.extend(Crate::read(&root().join(file), true).modules.into_iter().map(|module| module.file));
    }
    assert!(built.len() > 300, "only {} files were found", built.len());
    let by_path = |file: &str| -> bool {
        let (folder, name) = file.rsplit_once('/').expect("a file lies in a folder");
        not_yet::PATHS.iter().any(|by| by.starts_with(folder) && name.starts_with(stem(by)))
    };
    let idle: Vec<_> = all
        .iter()
        .filter(|file| !built.contains(&root().join(file)) && !file.starts_with(APART) && !by_path(file))
        .collect();
    assert!(idle.is_empty(), "no module names these: {idle:?}");
}

fn stem(file: &str) -> &str {
    Path::new(file).file_stem().and_then(|stem| stem.to_str()).expect("a name in UTF-8")
}

fn below(files: &[PathBuf]) -> Vec<String> {
    let mut below: Vec<_> =
        files.iter().map(|file| file.strip_prefix(root()).expect("of the workspace").display().to_string()).collect();
    below.sort();
    below
}

/// What was met that should not be: place and fault.
#[derive(Default)]
struct Faults(Vec<(String, &'static str)>);

impl Faults {
    fn meet(&mut self, place: &str, fault: &'static str) {
        self.0.push((place.to_owned(), fault));
    }

    /// All of it must be known, and all that is known must still be so.
    fn end(self, known: &[&str]) {
        let new: Vec<_> = self.0.iter().filter(|(place, _)| !known.contains(&place.as_str())).collect();
        assert!(new.is_empty(), "{new:#?}");
        let held: Vec<_> = known.iter().filter(|known| !self.0.iter().any(|(place, _)| place == *known)).collect();
        assert!(held.is_empty(), "these hold now; strike them from not_yet.rs: {held:#?}");
    }
}
