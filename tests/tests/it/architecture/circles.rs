//! No circle of files: who reads one file to the end must not be sent back to where they came from.
//!
//! A folder and its head (`mod.rs`) are one room: what lies in a folder may name what its heads define. Arrows to a head above do not count.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::modules::Crate;
use super::{MEMBERS, not_yet, root};

/// Circles that stay, each with its reason.
const LIVED_WITH: &[(&[&str], &str)] = &[(
    &["broker/src/recording/handle.rs", "broker/src/recording/recordings.rs"],
    "the house opens its handles and looks after them, and a handle tells its house how it ended",
)];

#[test]
fn no_files_stand_in_a_circle() {
    let mut circles = Vec::new();
    for name in MEMBERS {
        let arrows = arrows(&Crate::read(&root().join(name).join("src/lib.rs"), false));
        circles.extend(circles_of(&arrows).into_iter().map(|circle| (told(&circle, &arrows), circle)));
    }
    let mut faults = Vec::new();
    for (told, circle) in &circles {
        let lived_with = LIVED_WITH.iter().any(|(files, _)| same(files, circle));
        let waits = not_yet::CIRCLES.iter().any(|places| within(places, circle));
        if !lived_with && !waits {
            faults.push(told.as_str());
        }
    }
    assert!(faults.is_empty(), "circles of files:\n{}", faults.join("\n"));
    let circles: Vec<_> = circles.into_iter().map(|(_, circle)| circle).collect();
    for (files, _) in LIVED_WITH {
        assert!(circles.iter().any(|circle| same(files, circle)), "no circle any more, strike it: {files:?}");
    }
    for places in not_yet::CIRCLES {
        assert!(circles.iter().any(|circle| within(places, circle)), "no circle any more, strike it: {places:?}");
    }
}

#[test]
fn circles_are_found_through_facades_and_not_between_a_room_and_its_head() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        std::fs::write(path, text).expect("written");
    };
    write("lib.rs", "mod room; mod other;");
    write("room/mod.rs", "mod a; pub(crate) use a::{A, more::B as C}; pub struct Head; fn f() { a::A::new() }");
    write("room/a.rs", "use super::Head; pub struct A(Head, crate::other::Other); pub mod more { pub struct B; }");
    write("other.rs", "use crate::{room::{self}}; // use crate::room::Head;\npub struct Other(room::C);");
    let files =
        |circle: &BTreeSet<PathBuf>| -> Vec<String> { circle.iter().map(|file| file.display().to_string()).collect() };
    let circles = |write: &dyn Fn()| {
        write();
        let read = Crate::read(&folder.path().join("lib.rs"), false);
        circles_of(&arrows_below(&read, folder.path())).iter().map(files).collect::<Vec<_>>()
    };
    assert_eq!(circles(&|| {}), [["other.rs", "room/a.rs"]], "by a façade");
    let hidden = "/* room::C */ #[cfg(test)] mod tests { use crate::room::C; } pub struct Other(&'static str);\n\
                  const S: &str = r#\"\"crate::room::C::new()\"#;";
    assert_eq!(circles(&|| write("other.rs", hidden)), Vec::<Vec<String>>::new(), "by a comment, a string or a test");
    assert_eq!(
        circles(&|| write("other.rs", "pub struct Other; fn f() { crate::room::C::new() }")).len(),
        1,
        "in a body"
    );
}

type Arrows = BTreeMap<PathBuf, BTreeSet<PathBuf>>;

fn arrows(read: &Crate) -> Arrows {
    arrows_below(read, &root())
}

/// File -> the files it needs.
fn arrows_below(read: &Crate, root: &Path) -> Arrows {
    let mut arrows = Arrows::new();
    for reference in read.references(root).into_iter().filter(|reference| reference.needed) {
        if let Some(to) = reference.to
            && to != reference.from
            && !is_head_of(&to, &reference.from)
        {
            arrows.entry(reference.from).or_default().insert(to);
        }
    }
    arrows
}

fn is_head_of(head: &Path, file: &Path) -> bool {
    let folder = match head.file_name().and_then(|name| name.to_str()) {
        Some("mod.rs" | "lib.rs" | "main.rs") => head.parent().expect("a file lies in a folder").to_owned(),
        _ => head.with_extension(""),
    };
    file.starts_with(folder)
}

/// Every set of two files or more in which each reaches each.
fn circles_of(arrows: &Arrows) -> Vec<BTreeSet<PathBuf>> {
    let reached: BTreeMap<_, _> = arrows.keys().map(|from| (from, reached_from(from, arrows))).collect();
    let mut circles = Vec::new();
    let mut seen = BTreeSet::new();
    for from in arrows.keys() {
        let back = |to: &&PathBuf| reached.get(*to).is_some_and(|reach| reach.contains(from));
        let circle: BTreeSet<_> = reached[from].iter().filter(back).cloned().collect();
        if !circle.is_empty() && seen.insert(circle.clone()) {
            circles.push(circle);
        }
    }
    circles
}

fn reached_from(from: &PathBuf, arrows: &Arrows) -> BTreeSet<PathBuf> {
    let mut reached = BTreeSet::new();
    let mut waiting = vec![from];
    while let Some(next) = waiting.pop() {
        for to in arrows.get(next).into_iter().flatten() {
            if reached.insert(to.clone()) {
                waiting.push(to);
            }
        }
    }
    reached
}

/// A circle in words: each arrow in it.
fn told(circle: &BTreeSet<PathBuf>, arrows: &Arrows) -> String {
    let mut lines = vec![format!("{} files:", circle.len())];
    for from in circle {
        for to in arrows[from].intersection(circle) {
            lines.push(format!("  {} -> {}", from.display(), to.display()));
        }
    }
    lines.join("\n")
}

fn same(files: &[&str], circle: &BTreeSet<PathBuf>) -> bool {
    files.iter().map(PathBuf::from).collect::<BTreeSet<_>>() == *circle
}

fn within(places: &[&str], circle: &BTreeSet<PathBuf>) -> bool {
    circle
        .iter()
        .all(|file| places.iter().any(|place| file.starts_with(place) || file == Path::new(&format!("{place}.rs"))))
}
