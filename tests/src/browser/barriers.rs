//! What keeps people out of a page who hear it, enlarge it, or see its colours otherwise: found by axe-core, which is fetched for the
//! tests alone (`tests/npm`).

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::{Browser, text};
use crate::repository;

const RUN: &str = r#"
    const done = arguments[0];
    const severe = ({ impact }) => impact === "serious" || impact === "critical";
    const told = ({ id, help, nodes }) => nodes.map(({ target, failureSummary }) => `${id}: ${help}\n${target}\n${failureSummary}`);
    axe.run(document, { preload: false, resultTypes: ["violations"] }).then(
        ({ violations }) => done(violations.filter(severe).flatMap(told)),
        (error) => done([`axe-core itself failed: ${error}`]),
    );
"#;

impl Browser {
    /// What axe-core calls serious or critical on the page as it appears now.
    #[track_caller]
    pub fn barriers(&self) -> Vec<String> {
        if self.script("return typeof axe", &[]) != json!("object") {
            self.script(&axe(), &[]);
        }
        let found = self.script_that_calls_back(RUN, &[]);
        found.as_array().expect("a list of barriers").iter().map(|each: &Value| text(each)).collect()
    }
}

/// The program itself.
#[track_caller]
fn axe() -> String {
    let path: PathBuf = repository().join("target/npm/node_modules/axe-core/axe.min.js");
    fs::read_to_string(&path).unwrap_or_else(|error| {
        let path = path.display();
        panic!("`{path}`: {error}; `scripts/install-tools test` fetches it, by npm and from a network")
    })
}
