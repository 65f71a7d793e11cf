//! What would change: by meaning (what the policy says) and by text.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use jiff::SignedDuration;
use sallyport_policy::{PlantFile, Policy, written_duration};
use serde::Serialize;
use serde_json::Value;

/// The difference between two plants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlantDiff {
    /// By meaning, one line each: `+ asset ews-2 …`, `- role …`, `~ asset ews-1 address: … -> …`.
    pub policy: Vec<String>,
    /// By text.
    pub text: TextDiff,
}

/// A unified diff.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct TextDiff(String);

impl PlantDiff {
    /// What changes from the old plant (`None`: there was none, or it cannot be read) to the new one.
    #[must_use]
    pub fn between(old: (Option<&Policy>, &[PlantFile]), new: (&Policy, &[PlantFile])) -> Self {
        let empty = Policy::empty();
        let policy = meaning(old.0.unwrap_or(&empty), new.0);
        Self { policy, text: TextDiff::between(old.1, new.1) }
    }

    /// Nothing changes, not even a comment.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.policy.is_empty() && self.text.0.is_empty()
    }
}

impl fmt::Display for PlantDiff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return writeln!(f, "Nothing changes.");
        }
        if self.policy.is_empty() {
            writeln!(f, "The policy stays the same; the text changes.")?;
        } else {
            writeln!(f, "Policy:")?;
            self.policy.iter().try_for_each(|line| writeln!(f, "  {line}"))?;
        }
        if !self.text.0.is_empty() {
            write!(f, "\nText:\n{}", self.text.0)?;
        }
        Ok(())
    }
}

impl TextDiff {
    fn between(old: &[PlantFile], new: &[PlantFile]) -> Self {
        let text = |files: &[PlantFile], name: &str| {
            files.iter().find(|file| file.name == name).map(|file| file.text.clone()).unwrap_or_default()
        };
        let names: BTreeSet<&str> = old.iter().chain(new).map(|file| file.name.as_str()).collect();
        let diffs = names.into_iter().filter_map(|name| {
            let (before, after) = (text(old, name), text(new, name));
            let side = |files: &[PlantFile], side: &str| match files.iter().any(|file| file.name == name) {
                true => format!("{side}/{name}"),
                false => "/dev/null".to_owned(),
            };
            let diff = similar::TextDiff::from_lines(&before, &after);
            let shown = diff.unified_diff().context_radius(2).header(&side(old, "a"), &side(new, "b")).to_string();
            (before != after).then_some(shown)
        });
        Self(diffs.collect())
    }
}

/// Compares what two policies say, thing by thing.
fn meaning(old: &Policy, new: &Policy) -> Vec<String> {
    let (old, new) = (things(old), things(new));
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    names.into_iter().flat_map(|name| compare(name, old.get(name), new.get(name))).collect()
}

fn compare(name: &str, old: Option<&Value>, new: Option<&Value>) -> Vec<String> {
    let (old, new) = match (old, new) {
        (None, None) => return Vec::new(),
        (None, Some(new)) => return vec![format!("+ {name} {}", short(new))],
        (Some(old), None) => return vec![format!("- {name} {}", short(old))],
        (Some(old), Some(new)) => (leaves(old), leaves(new)),
    };
    let paths: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let changed = paths.into_iter().filter(|path| old.get(*path) != new.get(*path));
    let shown = |value: Option<&String>| value.cloned().unwrap_or_else(|| "(nothing)".to_owned());
    changed.map(|path| format!("~ {name} {path}: {} -> {}", shown(old.get(path)), shown(new.get(path)))).collect()
}

/// Every thing of a policy under a name that a person would use for it.
fn things(policy: &Policy) -> BTreeMap<String, Value> {
    let mut things = BTreeMap::new();
    let mut add = |name: String, value: Value| {
        // Two conduits to one zone, or two forbids on one line, are told apart by a number.
        let twin = |number: usize| if number == 1 { name.clone() } else { format!("{name} ({number})") };
        let free = (1..).map(twin).find(|name| !things.contains_key(name)).unwrap_or_else(|| name.clone());
        things.insert(free, value);
    };
    policy.zones().for_each(|zone| add(format!("zone {}", zone.id), value(zone)));
    policy.assets().for_each(|asset| add(format!("asset {}", asset.id), value(asset)));
    for conduit in policy.conduits() {
        let zones: Vec<&str> = conduit.to.iter().map(|zone| zone.as_str()).collect();
        add(format!("conduit to {}", zones.join(", ")), value(conduit));
    }
    for role in policy.roles() {
        add(
            format!("role {}", role.id),
            serde_json::json!({ "members": value(&role.members), "description": role.description }),
        );
        for (number, grant) in role.grants.iter().enumerate() {
            add(format!("role {}, grant {}", role.id, number + 1), value(grant));
        }
        for (number, window) in role.windows.iter().enumerate() {
            add(format!("role {}, window {}", role.id, number + 1), value(window));
        }
    }
    for (number, forbid) in policy.forbids().enumerate() {
        add(format!("forbid {}", number + 1), value(forbid));
    }
    for list in policy.tag_lists() {
        list.tags().for_each(|tag| add(format!("tag {} of {}", tag.name, list.name), value(tag)));
    }
    for filter in policy.filters() {
        let rules = filter.modbus.as_ref().map(Vec::len);
        let heads =
            serde_json::json!({ "mode": filter.mode, "modbus_rules": rules, "vnc": filter.vnc, "rdp": filter.rdp });
        add(format!("filter {}", filter.name), heads);
        for rule in filter.modbus.iter().flatten() {
            add(format!("filter {}, rule {}", filter.name, rule.name), value(rule));
        }
    }
    policy.break_glass().for_each(|glass| add(format!("break-glass {}", glass.rule.name), value(glass)));
    things
}

fn value(thing: &impl Serialize) -> Value {
    // The types of the policy are plain data with text keys: they always have a JSON form.
    serde_json::to_value(thing).unwrap_or(Value::Null)
}

/// The leaves of a JSON value by their path. Where in a file something stands is no part of what it means.
pub(crate) fn leaves(value: &Value) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    collect(value, String::new(), &mut found);
    found
}

fn collect(value: &Value, path: String, found: &mut BTreeMap<String, String>) {
    let join = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    match value {
        Value::Object(fields) => {
            for (name, value) in fields.iter().filter(|(name, _)| !PLACES.contains(&name.as_str())) {
                collect(value, join(name), found);
            }
        }
        Value::Array(items) if items.iter().all(|item| !item.is_object() && !item.is_array()) => {
            found.insert(path, items.iter().map(plain).collect::<Vec<_>>().join(", "));
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(number, item)| collect(item, join(&(number + 1).to_string()), found));
        }
        Value::Null => {}
        _ => {
            found.insert(path, plain(value));
        }
    }
}

fn short(value: &Value) -> String {
    let leaves = leaves(value);
    let shown: Vec<String> = leaves
        .iter()
        .filter(|(path, text)| !text.is_empty() && !matches!(path.rsplit('.').next(), Some("id" | "name")))
        .map(|(path, text)| format!("{path}={text}"))
        .collect();
    shown.join(" ")
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => duration(text).unwrap_or_else(|| text.clone()),
        other => other.to_string(),
    }
}

/// A duration as the plant file has it, and not as JSON does.
fn duration(text: &str) -> Option<String> {
    let duration: SignedDuration = text.starts_with("PT").then(|| text.parse().ok())??;
    Some(written_duration(duration))
}

/// Names of fields that say where something stands, not what it is.
const PLACES: [&str; 4] = ["rule", "file", "line", "place"];

#[cfg(test)]
mod tests;
