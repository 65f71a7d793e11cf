//! The packages of the workspace, as `cargo metadata` tells them.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

use super::root;

/// What the compiler calls this platform.
fn host() -> String {
    let output = Command::new("rustc").arg("-vV").output().expect("rustc starts");
    let said = String::from_utf8(output.stdout).expect("rustc writes UTF-8");
    said.lines().find_map(|line| line.strip_prefix("host: ")).expect("rustc names its host").to_owned()
}

/// The packages of the workspace and what they depend on.
pub(super) struct Workspace {
    /// Member -> names of its dependencies of every kind.
    pub(super) direct: BTreeMap<String, BTreeSet<String>>,
    /// Member -> its features, and what each sets.
    pub(super) features: BTreeMap<String, BTreeMap<String, Vec<String>>>,
    /// Package id -> name and ids of its normal dependencies.
    resolved: BTreeMap<String, (String, Vec<String>)>,
}

impl Workspace {
    pub(super) fn metadata() -> Value {
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

    pub(super) fn read() -> Workspace {
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
    pub(super) fn reach(&self, name: &str) -> BTreeSet<String> {
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

pub(super) fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().expect("a list").iter()
}

pub(super) fn text(value: &Value) -> String {
    value.as_str().expect("a string").to_owned()
}
