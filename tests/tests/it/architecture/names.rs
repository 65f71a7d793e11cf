//! One name for one thing, wherever a reader of one file meets two. `map.rs` says what counts as naming.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::modules::{Crate, Module};
use super::words::{Token, after_group, of_the_product, tokens};
use super::{MEMBERS, root};

/// Names that a file knows two things by, each with its reason.
const LIVED_WITH: &[(&str, &str, &str)] =
    &[("broker/src/cli/mod.rs", "Command", "the command line is a tree: a command has commands of its own")];

#[test]
fn no_file_knows_two_types_of_ours_by_one_name() {
    let (mut faults, mut met) = (Vec::new(), BTreeSet::new());
    for member in MEMBERS {
        for (file, name, types) in met_in(&root().join(member).join("src/lib.rs"), &root()) {
            let lived_with = LIVED_WITH.iter().position(|(at, known, _)| file == Path::new(at) && name == *known);
            match lived_with {
                Some(place) => drop(met.insert(place)),
                None => faults.push(format!("{}: {name} is {}", file.display(), types.join(" and "))),
            }
        }
    }
    assert!(faults.is_empty(), "tell them apart, or let the module before each name do it:\n{}", faults.join("\n"));
    assert_eq!(met.len(), LIVED_WITH.len(), "what is told apart by now must be struck");
}

#[test]
fn no_type_of_ours_has_another_name_where_it_is_used() {
    let mut faults = Vec::new();
    for member in MEMBERS {
        let read = Crate::read(&root().join(member).join("src/lib.rs"), false);
        for (id, module) in read.modules.iter().enumerate() {
            for import in module.imports.iter().filter(|import| is_type(&import.name)) {
                let (path, line) = (&import.path.path, import.path.line);
                if is_ours(&read.defined(id, path)) && path.last() != Some(&import.name) {
                    faults.push(format!("{}:{line}: {} as {}", module.file.display(), path.join("::"), import.name));
                }
            }
        }
    }
    assert!(faults.is_empty(), "a better name belongs to the type itself:\n{}", faults.join("\n"));
}

/// How long is waited for something says what is waited for. `PATIENCE` says that of nothing.
#[test]
fn no_two_waits_of_the_broker_share_a_name() {
    let mut named: BTreeMap<String, BTreeMap<String, Vec<String>>> = BTreeMap::new();
    for module in &Crate::read(&root().join("broker/src/lib.rs"), false).modules {
        for (name, value) in waits(&of_the_product(&tokens(&super::read(&module.file))).0) {
            let file = module.file.strip_prefix(root()).expect("a file of the workspace").display().to_string();
            named.entry(name).or_default().entry(value).or_default().push(file);
        }
    }
    assert!(named.len() > 50, "only {} waits were found", named.len());
    named.retain(|_, values| values.len() > 1);
    assert!(named.is_empty(), "one name for different waits: {named:#?}");
}

/// What belongs together has a noun: `(asset, service)` is an endpoint.
#[test]
fn no_function_of_the_broker_takes_a_pair_apart_in_its_parameters() {
    let mut faults = BTreeSet::new();
    for module in &Crate::read(&root().join("broker/src/lib.rs"), false).modules {
        let file = module.file.strip_prefix(root()).expect("a file of the workspace").display().to_string();
        for token in taken_apart(&of_the_product(&tokens(&super::read(&module.file))).0) {
            faults.insert(format!("{file}:{}", token.line));
        }
    }
    assert!(faults.is_empty(), "parameters that are tuples: {faults:#?}");
}

#[test]
fn what_is_looked_for_is_found() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("written");
    write("lib.rs", "mod one; mod two; mod user;");
    write("one.rs", "pub struct Thing;");
    write("two.rs", "pub struct Thing;");
    let met = |user: &str| {
        write("user.rs", user);
        let met = met_in(&folder.path().join("lib.rs"), folder.path());
        met.into_iter().map(|(_, _, types)| types.join(" and ")).collect::<Vec<_>>()
    };
    let both = ["crate::one::Thing and crate::two::Thing"];
    assert_eq!(met("use crate::one::Thing; fn f(_: Thing) -> crate::two::Thing { g() }"), both);
    assert_eq!(met("use crate::one::Thing; use crate::two; fn f(_: Thing) -> two::Thing { g() }"), both);
    assert_eq!(met("use crate::one; struct Thing(one::Thing);"), ["crate::one::Thing and crate::user::Thing"]);
    for apart in
        ["use crate::{one, two}; fn f(_: one::Thing) -> two::Thing { g() }", "use crate::one::Thing; struct A(Thing);"]
    {
        assert_eq!(met(apart), Vec::<String>::new(), "{apart}");
    }
    let found = |text: &str| taken_apart(&tokens(text)).len();
    assert_eq!(found("fn f<F: Fn(u8) -> u8>((a, b): (A, B), c: C) {} fn g(a: A, (b, c): &(B, C)) {}"), 2);
    assert_eq!(found("fn f(pair: (A, B)) { let (a, b) = pair; g(|(c, d): (C, D)| c) } fn h(&self, a: fn((A, B)))"), 0);
    let long = "const A: Duration = Duration::from_secs(5); fn f() { const A: Duration = Duration::ZERO; }";
    assert_eq!(waits(&tokens(long)), [("A".to_owned(), "Duration::from_secs(5)".to_owned())]);
}

/// Where a file knows several types of ours by one name, one of them without a module before it: file, name, types.
fn met_in(lib: &Path, root: &Path) -> Vec<(PathBuf, String, Vec<String>)> {
    let read = Crate::read(lib, false);
    let mut met = Vec::new();
    for (id, module) in read.modules.iter().enumerate() {
        for (name, known) in known_by(&read, id, module) {
            if known.len() > 1 && known.values().any(|alone| *alone) {
                let file = module.file.strip_prefix(root).expect("a file below the root").to_owned();
                met.push((file, name, known.into_keys().collect()));
            }
        }
    }
    met
}

/// Name -> the types that a module knows by it, and whether by the name alone.
fn known_by(read: &Crate, id: usize, module: &Module) -> BTreeMap<String, BTreeMap<String, bool>> {
    let mut known: BTreeMap<String, BTreeMap<String, bool>> = BTreeMap::new();
    let mut add = |name: &str, defined: String, alone: bool| {
        if is_type(name) && is_ours(&defined) {
            *known.entry(name.to_owned()).or_default().entry(defined).or_default() |= alone;
        }
    };
    for name in &module.items {
        add(name, read.defined(id, std::slice::from_ref(name)), true);
    }
    for import in &module.imports {
        add(&import.name, read.defined(id, &import.path.path), true);
    }
    for named in &module.paths {
        if let Some(at) = named.path.iter().position(|word| is_type(word)).filter(|at| *at > 0) {
            add(&named.path[at], read.defined(id, &named.path[..=at]), false);
        }
    }
    known
}

/// By how a name is written: `Word`, and neither `word` nor `WORD`.
fn is_type(name: &str) -> bool {
    name.starts_with(char::is_uppercase) && name.contains(char::is_lowercase)
}

fn is_ours(defined: &str) -> bool {
    defined.starts_with("crate::") || defined.starts_with("sallyport_")
}

/// The constants of a file that are a `Duration`: name and value.
fn waits(file: &[Token]) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < file.len() {
        let is_wait = file[at].is("const") && file.get(at + 3).is_some_and(|token| token.is("Duration"));
        let end = file[at..].iter().position(|token| token.is(";")).map_or(file.len(), |length| at + length);
        if is_wait && file.get(at + 4).is_some_and(|token| token.is("=")) {
            let value = file[at + 5..end].iter().map(|token| token.text.as_str()).collect();
            found.push((file[at + 1].text.clone(), value));
        }
        // What is defined within a body is seen by nobody else.
        at = if file[at].is("{") { after_group(file, at) } else { at + 1 };
    }
    found
}

/// Where a parameter of a function begins with a parenthesis.
fn taken_apart(file: &[Token]) -> Vec<&Token> {
    let mut found = Vec::new();
    for at in (0..file.len()).filter(|at| file[*at].is("fn") && file.get(at + 1).is_some_and(Token::is_word)) {
        let open = after_generics(file, at + 2);
        if !file.get(open).is_some_and(|token| token.is("(")) {
            continue;
        }
        let close = after_group(file, open) - 1;
        let (mut place, mut begins) = (open + 1, true);
        while place < close {
            let token = &file[place];
            if begins && token.is("(") {
                found.push(token);
            }
            begins = token.is(",");
            place =
                if ["(", "[", "{"].iter().any(|open| token.is(open)) { after_group(file, place) } else { place + 1 };
        }
    }
    found
}

/// The place after `<…>`, if it stands here.
fn after_generics(file: &[Token], at: usize) -> usize {
    let mut depth = 0_usize;
    for place in at..file.len() {
        match file[place].text.as_str() {
            "<" => depth += 1,
            ">" if !file[place - 1].is("-") => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            return if place == at { at } else { place + 1 };
        }
    }
    file.len()
}
