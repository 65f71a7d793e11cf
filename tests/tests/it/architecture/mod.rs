//! The arrows of the design, read from `cargo metadata` and from the sources themselves.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

const LEAVES: [&str; 3] = ["sallyport-policy", "sallyport-protocol-filter", "sallyport-session-recorder"];

/// What all may stand on: what is safe to show. It depends on nothing.
const GROUND: &str = "sallyport-plain";

/// What a leaf may not reach, however many steps away: a runtime, a socket, a database, the other side's protocols.
const NOT_FOR_LEAVES: [&str; 6] = ["tokio", "mio", "russh", "sqlx", "async-std", "hyper"];

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
    assert_eq!(manifest["workspace"]["lints"]["rust"]["unsafe_code"].as_str(), Some("forbid"));
    for member in manifest["workspace"]["members"].as_array().expect("members") {
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
        if lines > MOST_LINES {
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

/// What the compiler calls this platform.
fn host() -> String {
    let output = Command::new("rustc").arg("-vV").output().expect("rustc starts");
    let said = String::from_utf8(output.stdout).expect("rustc writes UTF-8");
    said.lines().find_map(|line| line.strip_prefix("host: ")).expect("rustc names its host").to_owned()
}

/// The packages of the workspace and what they depend on.
struct Workspace {
    /// Member -> names of its dependencies of every kind.
    direct: BTreeMap<String, BTreeSet<String>>,
    /// Member -> its features, and what each sets.
    features: BTreeMap<String, BTreeMap<String, Vec<String>>>,
    /// Package id -> name and ids of its normal dependencies.
    resolved: BTreeMap<String, (String, Vec<String>)>,
}

impl Workspace {
    fn metadata() -> Value {
        let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
        // Of this platform alone: nobody who builds here has fetched what other platforms need.
        let output = Command::new(cargo)
            .args(["metadata", "--format-version=1", "--offline", "--locked", "--filter-platform", &host()])
            .current_dir(root())
            .output()
            .expect("cargo metadata starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).expect("metadata is JSON")
    }

    fn read() -> Workspace {
        let metadata = Workspace::metadata();
        let members: BTreeSet<_> = list(&metadata["workspace_members"]).map(text).collect();
        let (mut direct, mut features) = (BTreeMap::new(), BTreeMap::new());
        let mut names = BTreeMap::new();
        for package in list(&metadata["packages"]) {
            names.insert(text(&package["id"]), text(&package["name"]));
            if members.contains(&text(&package["id"])) {
                let dependencies = list(&package["dependencies"]).map(|each| text(&each["name"])).collect();
                direct.insert(text(&package["name"]), dependencies);
                let own = serde_json::from_value(package["features"].clone()).expect("features");
                features.insert(text(&package["name"]), own);
            }
        }
        let mut resolved = BTreeMap::new();
        for node in list(&metadata["resolve"]["nodes"]) {
            let normal = |edge: &&Value| list(&edge["dep_kinds"]).any(|kind| kind["kind"].is_null());
            let edges = list(&node["deps"]).filter(normal).map(|edge| text(&edge["pkg"])).collect();
            let id = text(&node["id"]);
            resolved.insert(id.clone(), (names[&id].clone(), edges));
        }
        Workspace { direct, features, resolved }
    }

    /// The names of every package that `name` is built from.
    fn reach(&self, name: &str) -> BTreeSet<String> {
        let mut waiting: Vec<_> =
            self.resolved.iter().filter(|(_, (own, _))| own == name).map(|(id, _)| id.clone()).collect();
        let mut seen = BTreeSet::new();
        while let Some(id) = waiting.pop() {
            if seen.insert(id.clone()) {
                waiting.extend(self.resolved[&id].1.iter().cloned());
            }
        }
        seen.iter().map(|id| self.resolved[id].0.clone()).collect()
    }
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().expect("a list").iter()
}

fn text(value: &Value) -> String {
    value.as_str().expect("a string").to_owned()
}

/// Every Rust file of the workspace.
fn sources() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders: Vec<_> = ["plain", "policy", "protocol-filter", "session-recorder", "broker", "tests"]
        .map(|name| root().join(name))
        .into();
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

/// A module that nobody names is a file of tests that never run.
#[test]
fn every_file_of_tests_is_part_of_the_binary() {
    let folder = root().join("tests/tests/it");
    let main = fs::read_to_string(folder.join("main.rs")).unwrap();
    let mut files = 0;
    for file in fs::read_dir(&folder).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        if path.is_file() && name != "main" {
            files += 1;
            assert!(main.lines().any(|line| line == format!("mod {name};")), "main.rs does not name `{name}`");
        }
    }
    assert!(files > 20, "{files}");
}
