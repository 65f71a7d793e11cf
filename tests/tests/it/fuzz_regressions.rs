//! What the fuzzer's targets hold for any bytes holds for those that once broke it, and for attempts that were made by hand.

use std::collections::BTreeSet;
use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

use sallyport_tests::repository;

#[path = "../../fuzz/src/lib.rs"]
#[allow(unreachable_pub, reason = "the targets of the fuzzer are other crates")]
mod laws;

use laws::TARGETS;

#[test]
fn the_laws_hold_for_every_regression() {
    let mut broken = Vec::new();
    for (target, hold) in TARGETS {
        for file in files(&folder().join(target)) {
            let input = input(&file);
            // What the law says stands above, in what the test has written.
            if catch_unwind(|| hold(&input)).is_err() {
                broken.push(file.display().to_string());
            }
        }
    }
    assert!(broken.is_empty(), "laws are broken by:\n{}", broken.join("\n"));
}

/// Those that the shortest bytes break need no fuzzer.
#[test]
fn the_laws_hold_for_next_to_nothing() {
    for (_, hold) in TARGETS {
        hold(b"");
        (0..=u8::MAX).for_each(|byte| hold(&[byte]));
    }
}

#[test]
fn every_target_has_regressions_and_a_program_and_no_folder_is_without_a_target() {
    let names = BTreeSet::from(TARGETS.map(|(name, _)| name.to_owned()));
    let folders = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert_eq!(folders.collect::<BTreeSet<_>>(), names);
    let programs = files(&folder().join("../fuzz_targets"));
    let programs = programs.iter().map(|program| program.file_stem().unwrap().to_str().unwrap().to_owned());
    assert_eq!(programs.collect::<BTreeSet<_>>(), names);
    for name in names {
        let count = files(&folder().join(&name)).len();
        assert!(count >= 5, "{count} regressions of {name}");
    }
}

/// The bytes of a file; `.hex`: in hexadecimal, with comments behind `#`.
fn input(file: &Path) -> Vec<u8> {
    let bytes = fs::read(file).unwrap();
    if file.extension().is_none_or(|extension| extension != "hex") {
        return bytes;
    }
    let text = String::from_utf8(bytes).unwrap();
    let digits: String = text.lines().flat_map(|line| line.split('#').next().unwrap().split_whitespace()).collect();
    data_encoding::HEXLOWER.decode(digits.as_bytes()).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn folder() -> PathBuf {
    repository().join("tests/fuzz/regressions")
}
