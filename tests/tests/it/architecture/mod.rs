//! The arrows of the design, read from `cargo metadata` and from the sources themselves.

mod arrows;
mod circles;
mod layout;
mod map;
mod modules;
mod names;
mod not_yet;
mod words;
mod workspace;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use workspace::{Workspace, list, text};

const LEAVES: [&str; 3] = ["sallyport-policy", "sallyport-protocol-filter", "sallyport-session-recorder"];

/// What all may stand on: what is safe to show. It depends on nothing.
const GROUND: &str = "sallyport-plain";

/// The folders of the workspace's members.
const MEMBERS: [&str; 7] =
    ["plain", "policy", "protocol-filter", "session-recorder", "simulated-plant", "broker", "tests"];

/// The peers of the demo: what they share with the broker would not be tested against it.
const SIMULATED_PLANT: &str = "sallyport-simulated-plant";

/// What a leaf may not reach, however many steps away: a runtime, a socket, a database, the other side's protocols.
const NOT_FOR_LEAVES: [&str; 6] = ["tokio", "mio", "russh", "sqlx", "async-std", "hyper"];

/// A list of entries that are all alike, one after the other: nobody reads it through.
const CATALOGUE: &str = "broker/src/audit/event.rs";
const MOST_LINES: usize = 800;

#[test]
fn leaves_depend_on_no_member_of_the_workspace_but_the_ground() {
    let workspace = Workspace::read();
    for leaf in LEAVES {
        let own = workspace.direct[leaf].iter().filter(|name| workspace.direct.contains_key(*name));
        let own: Vec<_> = own.filter(|name| *name != GROUND).collect();
        assert!(own.is_empty(), "{leaf} depends on {own:?}");
    }
    assert!(workspace.direct[GROUND].is_empty(), "{GROUND} depends on {:?}", workspace.direct[GROUND]);
}

#[test]
fn leaves_reach_no_runtime_and_no_socket() {
    let workspace = Workspace::read();
    for leaf in LEAVES {
        let reached = workspace.reach(leaf);
        assert!(reached.len() > 1 || leaf == "sallyport-protocol-filter", "nothing was read of {leaf}");
        let found: Vec<_> = NOT_FOR_LEAVES.iter().filter(|name| reached.contains(**name)).collect();
        assert!(found.is_empty(), "{leaf} reaches {found:?}");
    }
}

#[test]
fn the_simulated_plant_knows_nothing_of_ours() {
    let direct = Workspace::read().direct;
    let own: Vec<_> = direct[SIMULATED_PLANT].iter().filter(|name| direct.contains_key(*name)).collect();
    assert!(own.is_empty(), "the simulated plant depends on {own:?}");
    let known_by: Vec<_> = direct.iter().filter(|(_, known)| known.contains(SIMULATED_PLANT)).collect();
    assert_eq!(known_by.len(), 1, "whom else does it serve but the demo? {known_by:?}");
}

#[test]
fn only_the_broker_and_the_tests_know_more_than_one_leaf() {
    for (package, dependencies) in &Workspace::read().direct {
        let leaves: Vec<_> = LEAVES.iter().filter(|leaf| dependencies.contains(**leaf)).collect();
        if !["sallyport", "sallyport-tests"].contains(&package.as_str()) {
            assert!(leaves.len() < 2, "{package} knows {leaves:?}");
        }
    }
}

/// The bench listener asks nobody who they are.
#[test]
fn no_broker_is_built_with_the_bench_listener() {
    const FEATURE: &str = "bench-listener";
    let features = Workspace::read().features;
    assert!(features["sallyport"].contains_key(FEATURE), "it is called something else now");
    for (package, features) in &features {
        for (name, sets) in features {
            let sets_it = sets.iter().any(|set| set.ends_with(FEATURE));
            assert!(!sets_it || name == FEATURE, "the feature `{name}` of {package} brings the bench listener");
        }
    }
    let main = read(&root().join("broker/src/main.rs"));
    let refusal = format!("#[cfg(feature = \"{FEATURE}\")]\ncompile_error!(");
    assert!(main.contains(&refusal), "the binary no longer refuses to be built with it");
    let metadata = Workspace::metadata();
    for package in list(&metadata["packages"]) {
        for dependency in list(&package["dependencies"]).filter(|each| text(&each["name"]) == "sallyport") {
            assert_eq!(list(&dependency["features"]).count(), 0, "{} asks for features of the broker", package["name"]);
        }
    }
}

#[test]
fn every_leaf_forbids_clocks_files_and_sockets() {
    for leaf in ["plain", "policy", "protocol-filter", "session-recorder"] {
        let lints = fs::read_to_string(root().join(leaf).join("clippy.toml")).expect("a leaf has its clippy.toml");
        for path in ["std::time::SystemTime::now", "std::time::Instant::now", "std::fs::File", "std::net::TcpStream"] {
            assert!(lints.contains(path), "{leaf}/clippy.toml does not name {path}");
        }
    }
}

#[test]
fn every_member_takes_the_lints_of_the_workspace() {
    let manifest: toml::Table = read(&root().join("Cargo.toml")).parse().expect("the workspace's manifest");
    let members = manifest["workspace"]["members"].as_array().expect("members");
    assert_eq!(members.iter().map(|member| member.as_str().expect("a path")).collect::<Vec<_>>(), MEMBERS);
    assert_eq!(manifest["workspace"]["lints"]["rust"]["unsafe_code"].as_str(), Some("forbid"));
    for member in members {
        let path = root().join(member.as_str().expect("a path")).join("Cargo.toml");
        let member: toml::Table = read(&path).parse().expect("a manifest");
        assert_eq!(member["lints"]["workspace"].as_bool(), Some(true), "{}", path.display());
    }
}

#[test]
fn sources_hold_nothing_unfinished_unsafe_or_skipped() {
    // Written apart, so that this file does not find itself.
    let banned = [concat!("to", "do!("), concat!("unimple", "mented!("), concat!("db", "g!("), concat!("#[ig", "nore")];
    let mut faults = Vec::new();
    for source in sources() {
        for (number, line) in read(&source).lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            let mut words = code.split(|c: char| !(c.is_alphanumeric() || c == '_'));
            if banned.iter().any(|word| code.contains(word)) || words.any(|word| word == concat!("un", "safe")) {
                faults.push(format!("{}:{}: {}", source.display(), number + 1, line.trim()));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn every_exception_from_a_lint_gives_its_reason() {
    let mut faults = Vec::new();
    for source in sources() {
        let text = read(&source);
        for opening in ["[allow(", "[expect("] {
            for (at, _) in text.match_indices(opening) {
                let inside = text[at..].split(")]").next().unwrap_or_default();
                let comment = text[..at].rsplit('\n').next().unwrap_or_default().contains("//");
                if text[..at].ends_with(['#', '!']) && !comment && !inside.contains("reason") {
                    faults.push(format!("{}:{}", source.display(), text[..at].lines().count()));
                }
            }
        }
    }
    assert!(faults.is_empty(), "no reason given at:\n{}", faults.join("\n"));
}

#[test]
fn no_source_is_too_long_and_none_is_a_drawer() {
    let mut faults = Vec::new();
    for source in sources() {
        let lines = read(&source).lines().count();
        if lines > MOST_LINES && !source.ends_with(CATALOGUE) {
            faults.push(format!("{}: {lines} lines, {MOST_LINES} at most", source.display()));
        }
        let stem = source.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        if ["util", "utils", "common", "helper", "helpers", "misc", "manager"].contains(&stem) {
            faults.push(format!("{}: not a name of its own", source.display()));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn both_engines_have_the_same_migrations() {
    let names = |engine: &str| -> BTreeSet<String> {
        let entries = fs::read_dir(root().join("migrations").join(engine)).expect("migrations");
        entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect()
    };
    assert_eq!(names("sqlite"), names("postgres"));
}

/// Every Rust file of the workspace.
fn sources() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders: Vec<_> = MEMBERS.map(|name| root().join(name)).into();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder of sources") {
            let path = entry.expect("an entry").path();
            if path.is_dir() && !path.ends_with("target") {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    assert!(found.len() > 10, "the sources were not found");
    found
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the workspace").to_owned()
}
