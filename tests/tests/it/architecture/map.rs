//! Which file names what of which other file. Names are followed through imports and façades to the file that defines them.
//!
//! What counts: every `use` and every path with `::` of the product. What does not: documents and comments, strings, whatever
//! stands under `#[cfg(test)]`, `mod name;`, and a `pub use` whose name its own file does not speak of: that hands a thing on
//! and needs nothing of it. Methods are not seen: who calls one has named the type before.

use std::path::{Path, PathBuf};

use super::modules::{Crate, Import, Module, Named};

/// One naming of something in a crate of ours, or in any other.
pub(super) struct Reference {
    /// Where it stands, below the workspace.
    pub(super) from: PathBuf,
    pub(super) line: usize,
    /// As written, but from the root: `crate::app::Broker`, `russh::server::Handler`.
    pub(super) spelled: String,
    /// Where the thing is defined: `crate::ssh::context::Activity`. Nothing for what lies in another crate.
    pub(super) defined: Option<String>,
    /// The file that defines it.
    pub(super) to: Option<PathBuf>,
    /// Whether the file needs the thing, and does not only hand it on.
    pub(super) needed: bool,
}

enum Place {
    Module(usize),
    Item(usize, String),
    Outside,
}

impl Crate {
    /// Everything that its modules name.
    pub(super) fn references(&self, root: &Path) -> Vec<Reference> {
        let below = |file: &Path| file.strip_prefix(root).expect("a file of the workspace").to_owned();
        let mut found = Vec::new();
        for (id, module) in self.modules.iter().enumerate() {
            let imports = module.imports.iter().map(|import| (&import.path, import.needed_in(module)));
            for (named, needed) in imports.chain(module.paths.iter().map(|path| (path, true))) {
                let (defined, to) = match self.resolve(id, &named.path, 0) {
                    Place::Module(at) => (Some(spell(&self.modules[at].path, None)), None),
                    Place::Item(at, name) => {
                        (Some(spell(&self.modules[at].path, Some(&name))), Some(below(&self.modules[at].file)))
                    }
                    Place::Outside => (None, None),
                };
                let spelled = self.rooted(id, named);
                found.push(Reference { from: below(&module.file), line: named.line, spelled, defined, to, needed });
            }
        }
        found
    }

    /// Where what a module means by a path is defined; from the crate that it lies in, where that is another.
    pub(super) fn defined(&self, id: usize, path: &[String]) -> String {
        let outside = || {
            let (first, rest) = path.split_first()?;
            let known = |import: &&Import| import.name == *first && import.path.path != path;
            let import = self.modules[id].imports.iter().find(known)?;
            Some([&import.path.path, rest].concat().join("::"))
        };
        match self.resolve(id, path, 0) {
            Place::Module(at) => spell(&self.modules[at].path, None),
            Place::Item(at, name) => spell(&self.modules[at].path, Some(&name)),
            Place::Outside => outside().unwrap_or_else(|| path.join("::")),
        }
    }

    /// A path, written from the root of the crate if it begins in it.
    fn rooted(&self, id: usize, named: &Named) -> String {
        match self.start(id, &named.path) {
            Some((module, rest)) => {
                let mut path = self.modules[module].path.clone();
                path.extend(rest.iter().cloned());
                spell(&path, None)
            }
            None => named.path.join("::"),
        }
    }

    /// The module at which a path begins, and what is left of it.
    fn start<'p>(&self, id: usize, path: &'p [String]) -> Option<(usize, &'p [String])> {
        let (first, rest) = path.split_first()?;
        match first.as_str() {
            "crate" => Some((0, rest)),
            "self" => Some((id, rest)),
            "super" => {
                let mut at = self.modules[id].parent?;
                let ups = rest.iter().take_while(|word| *word == "super").count();
                for _ in 0..ups {
                    at = self.modules[at].parent?;
                }
                Some((at, &rest[ups..]))
            }
            name => self.modules[id].children.get(name).map(|child| (*child, rest)),
        }
    }

    fn resolve(&self, id: usize, path: &[String], depth: usize) -> Place {
        let (mut place, rest) = match self.start(id, path) {
            Some((module, rest)) => (Place::Module(module), rest),
            None => match path.split_first() {
                Some((first, rest)) => (self.look_up(id, first, depth), rest),
                None => (Place::Outside, path),
            },
        };
        for name in rest {
            place = match place {
                Place::Module(module) => match self.look_up(module, name, depth) {
                    // Made by a macro of that file.
                    Place::Outside if name != "*" => Place::Item(module, name.clone()),
                    Place::Outside => Place::Item(module, "*".into()),
                    found => found,
                },
                found => return found,
            };
        }
        place
    }

    /// What a module knows by a name: its children, what it defines, what it imports.
    fn look_up(&self, id: usize, name: &str, depth: usize) -> Place {
        let module = &self.modules[id];
        if module.items.contains(name) {
            return Place::Item(id, name.to_owned());
        }
        if let Some(child) = module.children.get(name) {
            return Place::Module(*child);
        }
        if depth > DEEPEST {
            return Place::Outside;
        }
        let mut named = module.imports.iter().filter(|import| import.name == name && import.path.path[0] != name);
        if let Some(import) = named.next() {
            return self.resolve(id, &import.path.path, depth + 1);
        }
        for import in module.imports.iter().filter(|import| import.name == "*") {
            if let Place::Module(other) = self.resolve(id, &import.path.path, depth + 1)
                && other != id
                && let found @ (Place::Item(..) | Place::Module(_)) = self.look_up(other, name, depth + 1)
            {
                return found;
            }
        }
        Place::Outside
    }
}

impl Import {
    fn needed_in(&self, module: &Module) -> bool {
        !self.passed_on || module.words.contains(&self.name)
    }
}

fn spell(path: &[String], item: Option<&str>) -> String {
    let words = ["crate"].into_iter().chain(path.iter().map(String::as_str)).chain(item);
    words.collect::<Vec<_>>().join("::")
}

/// Names are handed on over a few façades; more is a circle of them.
const DEEPEST: usize = 16;
