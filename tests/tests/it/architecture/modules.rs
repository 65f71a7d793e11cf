//! The modules of a crate, read from its root: what each defines, imports and names.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::words::{self, Token, after_attribute, after_group, after_item};

/// A crate, as its files say it.
pub(super) struct Crate {
    pub(super) modules: Vec<Module>,
}

/// One module; several may share a file.
pub(super) struct Module {
    /// Below the crate's root: `["session", "forward"]`.
    pub(super) path: Vec<String>,
    pub(super) file: PathBuf,
    pub(super) parent: Option<usize>,
    pub(super) children: BTreeMap<String, usize>,
    /// What is defined here, by name.
    pub(super) items: BTreeSet<String>,
    pub(super) imports: Vec<Import>,
    /// Every path with `::` in it, outside of imports.
    pub(super) paths: Vec<Named>,
    /// Words outside of imports.
    pub(super) words: BTreeSet<String>,
    /// Modules that only tests are built from.
    pub(super) tests: Vec<String>,
}

/// One name of a `use`.
#[derive(Clone)]
pub(super) struct Import {
    pub(super) path: Named,
    /// What it is called here; `*` for all.
    pub(super) name: String,
    /// Whether others may take it from here.
    pub(super) passed_on: bool,
}

/// A path, and the line it stands in.
#[derive(Clone)]
pub(super) struct Named {
    pub(super) path: Vec<String>,
    pub(super) line: usize,
}

impl Crate {
    /// Reads the crate whose root is `root` (`lib.rs`, `main.rs`), whole or without what only tests are built from.
    pub(super) fn read(root: &Path, with_tests: bool) -> Crate {
        let mut made = Crate { modules: Vec::new() };
        let folder = root.parent().expect("a root lies in a folder").to_owned();
        made.add_file(Vec::new(), None, root.to_owned(), &folder, with_tests);
        made
    }

    fn add_file(
        &mut self,
        path: Vec<String>,
        parent: Option<usize>,
        file: PathBuf,
        within: &Path,
        tests: bool,
    ) -> usize {
        let all = words::tokens(&super::read(&file));
        let (product, test_modules) = words::of_the_product(&all);
        let id = self.add(path, parent, file, within, if tests { &all } else { &product }, tests);
        self.modules[id].tests = test_modules;
        id
    }

    fn add(
        &mut self,
        path: Vec<String>,
        parent: Option<usize>,
        file: PathBuf,
        within: &Path,
        tokens: &[Token],
        tests: bool,
    ) -> usize {
        let id = self.modules.len();
        let mut module = Module::empty(path, parent, file);
        let mut inner = Vec::new();
        module.take_items(tokens, &mut inner);
        self.modules.push(module);
        for (name, body) in inner {
            let mut path = self.modules[id].path.clone();
            path.push(name.clone());
            let below = within.join(&name);
            let child = match body {
                Some(body) => {
                    let file = self.modules[id].file.clone();
                    self.add(path, Some(id), file, &below, &body, tests)
                }
                None => {
                    match [within.join(format!("{name}.rs")), below.join("mod.rs")].into_iter().find(|f| f.is_file()) {
                        Some(file) => self.add_file(path, Some(id), file, &below, tests),
                        // Written by `#[path]` or by a macro: not ours to follow.
                        None => continue,
                    }
                }
            };
            self.modules[id].children.insert(name, child);
        }
        id
    }
}

impl Module {
    fn empty(path: Vec<String>, parent: Option<usize>, file: PathBuf) -> Module {
        Module {
            path,
            file,
            parent,
            children: BTreeMap::new(),
            items: BTreeSet::new(),
            imports: Vec::new(),
            paths: Vec::new(),
            words: BTreeSet::new(),
            tests: Vec::new(),
        }
    }

    /// Takes what stands in `tokens`, and puts the modules in it into `inner`, with their bodies if they have one here.
    fn take_items(&mut self, tokens: &[Token], inner: &mut Vec<(String, Option<Vec<Token>>)>) {
        let mut at = 0;
        while at < tokens.len() {
            if let Some(end) = after_attribute(tokens, at) {
                self.take_body(&tokens[at..end]);
                at = end;
                continue;
            }
            let end = after_item(tokens, at).max(at + 1);
            let item = &tokens[at..end];
            let head = item.iter().position(|token| KINDS.contains(&token.text.as_str())).unwrap_or(0);
            let name =
                item[head..].iter().skip(1).find(|token| token.is_word() && !MORE.contains(&token.text.as_str()));
            match (item[head].text.as_str(), name) {
                ("mod", Some(name)) => {
                    let body = item.iter().position(|token| token.is("{"));
                    inner.push((name.text.clone(), body.map(|open| item[open + 1..item.len() - 1].to_vec())));
                }
                (kind, name) => {
                    if let (true, Some(name)) = (kind != "impl" && kind != "use", name) {
                        self.items.insert(name.text.clone());
                    }
                    self.take_body(item);
                }
            }
            at = end;
        }
    }

    /// The imports, paths and words in an item.
    fn take_body(&mut self, tokens: &[Token]) {
        let mut at = 0;
        while at < tokens.len() {
            if tokens[at].is("use") && tokens.get(at + 1).is_some_and(|next| !next.is("<")) {
                let passed_on = tokens[..at].iter().any(|token| token.is("pub"));
                at = self.take_tree(tokens, at + 1, &[], passed_on);
                continue;
            }
            let lone =
                at == 0 || !(tokens[at - 1].is(".") || tokens[at - 1].is(":") && at > 1 && tokens[at - 2].is(":"));
            let (path, end) = path_at(tokens, at);
            if path.len() > 1 && lone {
                self.paths.push(Named { path: path.clone(), line: tokens[at].line });
            }
            self.words.extend(path.into_iter().filter(|_| lone));
            at = end.max(at + 1);
        }
    }

    /// A tree of imports, below `base`; gives the place after it.
    fn take_tree(&mut self, tokens: &[Token], at: usize, base: &[String], passed_on: bool) -> usize {
        let line = tokens.get(at).map_or(0, |token| token.line);
        let global = tokens[at..].iter().take_while(|token| token.is(":")).count();
        let (own, mut end) = path_at(tokens, at + global);
        let mut path = [base, &own].concat();
        let next = tokens[end..].iter().find(|token| !token.is(":")).map_or("", |token| token.text.as_str());
        if next == "{" {
            let open = end + tokens[end..].iter().take_while(|token| token.is(":")).count();
            let close = after_group(tokens, open) - 1;
            let mut place = open + 1;
            while place < close {
                place = self.take_tree(tokens, place, &path, passed_on) + 1;
            }
            return close + 1;
        }
        let mut name = path.last().cloned().unwrap_or_default();
        if next == "*" {
            end += 3;
            name = "*".into();
        } else if name == "self" {
            path.pop();
            name = path.last().cloned().unwrap_or_default();
        }
        if tokens.get(end).is_some_and(|token| token.is("as")) {
            name = tokens[end + 1].text.clone();
            end += 2;
        }
        self.imports.push(Import { path: Named { path, line }, name, passed_on });
        end
    }
}

/// The words that `::` joins from `at` on, and the place after them.
fn path_at(tokens: &[Token], at: usize) -> (Vec<String>, usize) {
    let mut path = Vec::new();
    let mut place = at;
    while tokens.get(place).is_some_and(Token::is_word) {
        path.push(tokens[place].text.clone());
        place += 1;
        let joined = tokens[place..].iter().take(2).filter(|token| token.is(":")).count() == 2;
        if !joined || !tokens.get(place + 2).is_some_and(Token::is_word) {
            break;
        }
        place += 2;
    }
    (path, place)
}

/// What begins an item.
const KINDS: [&str; 12] =
    ["mod", "use", "struct", "enum", "union", "trait", "fn", "const", "static", "type", "macro_rules", "impl"];

/// What may stand between the word for an item and its name.
const MORE: [&str; 6] = ["fn", "async", "mut", concat!("un", "safe"), "extern", "const"];
