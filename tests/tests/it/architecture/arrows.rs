//! Which part may not know which: one table. `map.rs` says what counts as naming.

use std::collections::BTreeSet;

use super::map::Reference;
use super::modules::Crate;
use super::{not_yet, root};

struct Arrow {
    /// Folders of `broker/src` (or files, without `.rs`) that it binds. None: all of them.
    from: &'static [&'static str],
    /// Those of them that it does not bind.
    but_not: &'static [&'static str],
    /// What these may not name, nor reach through somebody's façade: `crate::ssh` means all that lies in it.
    never: &'static [&'static str],
    /// What of it they may name.
    except: &'static [&'static str],
    why: &'static str,
}

const ARROWS: &[Arrow] = &[
    Arrow {
        from: &["session", "live", "login"],
        but_not: &[],
        never: &["crate::ssh", "crate::tcp", "crate::app", "crate::portal", "crate::cli", "crate::demo"],
        except: &[],
        why: "the core and the login know no transport: a second door gets the same lock",
    },
    Arrow {
        from: &["session", "live", "login"],
        but_not: &[],
        never: &["russh"],
        except: &["russh::keys"],
        why: "the core and the login know no ssh; a key or certificate is a key whoever brings it",
    },
    Arrow {
        from: &["tcp"],
        but_not: &[],
        never: &["russh", "crate::ssh", "crate::app", "crate::portal"],
        except: &[],
        why: "a stream has a person at its end, who need not have come by ssh",
    },
    Arrow {
        from: &["store"],
        but_not: &[],
        never: &["crate::audit", "crate::identity"],
        except: &[],
        why: "the database keeps rows; what they mean is the business of those above it",
    },
    Arrow {
        from: &[],
        but_not: &["app", "cli", "demo", "main", "lib"],
        never: &["crate::app"],
        except: &[],
        why: "the ground lies in `broker.rs`, and who starts everything is named by nobody",
    },
    Arrow {
        from: &[
            "store",
            "vault",
            "audit",
            "recording",
            "identity",
            "plant",
            "listen",
            "config",
            "capture",
            "metrics",
            "outbound",
        ],
        but_not: &[],
        never: &[
            "crate::session",
            "crate::login",
            "crate::ssh",
            "crate::tcp",
            "crate::cli",
            "crate::demo",
            "russh::server",
        ],
        except: &[],
        why: "these serve the rooms of people, and do not know who lives in them",
    },
    Arrow {
        from: &["portal"],
        but_not: &[],
        never: &["crate::ssh", "crate::tcp", "crate::app", "crate::cli", "crate::demo", "crate::recording", "russh"],
        except: &[],
        why: "the portal is a door: it asks `login/`, `session/` and the policy, and owns no rule",
    },
    Arrow {
        from: &["store", "vault", "audit", "recording", "identity", "session", "live", "login", "ssh", "tcp", "portal"],
        but_not: &[],
        never: &["crate::outbound"],
        except: &[],
        why: "who puts an event on record neither knows nor waits for those who are told of it",
    },
    Arrow {
        from: &["detect"],
        but_not: &[],
        never: &[
            "crate::session",
            "crate::login",
            "crate::ssh",
            "crate::tcp",
            "crate::portal",
            "crate::cli",
            "crate::app",
        ],
        except: &[],
        why: "what is watched is on record; whoever is watched knows nothing of it",
    },
    Arrow {
        from: &["store", "vault", "audit", "recording", "identity", "session", "live", "login", "ssh", "tcp", "portal"],
        but_not: &[],
        never: &["crate::detect"],
        except: &[],
        why: "nobody waits for what is made of the record, and nothing is refused by it",
    },
    Arrow {
        from: &["portal"],
        but_not: &["portal/pages/sessions"],
        never: &["crate::store", "sqlx"],
        except: &[],
        why: "what a page shows or changes is read and written by those whose rule it is",
    },
    Arrow {
        from: &[],
        but_not: &["portal", "outbound/link/webhook"],
        never: &["axum", "hyper", "hyper_util", "askama"],
        except: &[],
        why: "HTTP is answered in one room, and asked by one file",
    },
    Arrow {
        from: &[],
        but_not: &["outbound/link/mail"],
        never: &["lettre"],
        except: &[],
        why: "mail is written by one file",
    },
    Arrow {
        from: &[],
        but_not: &["cli", "main", "lib"],
        never: &["crate::cli"],
        except: &[],
        why: "the command line stands on everything; nothing stands on it",
    },
];

impl Arrow {
    fn binds(&self, place: &str) -> bool {
        let within = |folders: &[&str]| {
            folders
                .iter()
                .any(|folder| place.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
        };
        (self.from.is_empty() || within(self.from)) && !within(self.but_not)
    }

    fn forbids(&self, reference: &Reference) -> bool {
        let names =
            |list: &[&str], path: &str| list.iter().any(|of| path == *of || path.starts_with(&format!("{of}::")));
        let path = reference.spelled.as_str();
        let forbidden = |path: &str| names(self.never, path) && !names(self.except, path);
        forbidden(path) || reference.defined.as_deref().is_some_and(forbidden)
    }
}

#[test]
fn no_part_of_the_broker_names_what_it_may_not_know() {
    let read = Crate::read(&root().join("broker/src/lib.rs"), false);
    let references = read.references(&root());
    assert!(references.len() > 2000, "only {} names were read", references.len());
    let (mut faults, mut met) = (Vec::new(), BTreeSet::new());
    for reference in &references {
        let place = reference.from.strip_prefix("broker/src").expect("a file of the broker").with_extension("");
        let place = place.to_str().expect("a name in UTF-8").trim_end_matches("/mod").to_owned();
        for arrow in ARROWS.iter().filter(|arrow| arrow.binds(&place) && arrow.forbids(reference)) {
            let waits = not_yet::ARROWS.iter().find(|(file, named)| {
                place == *file
                    && [Some(&reference.spelled), reference.defined.as_ref()]
                        .into_iter()
                        .flatten()
                        .any(|path| path == named || path.starts_with(&format!("{named}::")))
            });
            match waits {
                Some(known) => drop(met.insert(*known)),
                None => {
                    let Reference { from, line, spelled, .. } = reference;
                    faults.push(format!("{}:{line} names {spelled}: {}", from.display(), arrow.why));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    let held: Vec<_> = not_yet::ARROWS.iter().filter(|known| !met.contains(*known)).collect();
    assert!(held.is_empty(), "these hold now; strike them from not_yet.rs: {held:?}");
}
