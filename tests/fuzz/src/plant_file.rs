//! The laws of the plant file, its tag lists and decision tables.

use std::collections::BTreeSet;

use jiff::Timestamp;
use sallyport_policy::{
    AccountName, Asset, FactorKind, PlantError, PlantErrors, PlantFile, Policy, Proof, Request, Service, Subject,
    decide, explain, tables,
};

/// Text, in which a line `#### NAME` begins another file: a plant in several files, with tag lists (`.csv`) and a decision
/// table (`cases.toml`).
pub fn hold(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let (table, plant): (Vec<_>, Vec<_>) = files(&text).into_iter().partition(|file| file.name == TABLE);
    for file in &plant {
        for list in file.tag_lists() {
            assert!(list.ends_with(".csv") && !list.contains(['/', '\\', ':']), "a tag list elsewhere: {list:?}");
        }
    }
    let parsed = Policy::parse(&plant);
    let backwards: Vec<PlantFile> = plant.iter().rev().cloned().collect();
    assert_eq!(Policy::parse(&backwards), parsed, "it matters in which order the files are handed in");
    let policy = match parsed {
        Ok(policy) => policy,
        Err(errors) => return are_placed(errors, &plant),
    };
    policy.warnings().iter().for_each(|warning| is_placed(warning, &plant));
    a_comment_changes_nothing(&policy, &plant);
    serde_json::to_value(&policy).expect("a policy can be shown");
    decisions_are_total(&policy);
    for table in table {
        match tables::run(&policy, &table) {
            Ok(results) => assert!(!results.is_empty(), "a table that tests nothing"),
            Err(errors) => are_placed(errors, std::slice::from_ref(&table)),
        }
    }
}

const TABLE: &str = "cases.toml";
const NEXT_FILE: &str = "#### ";

fn files(text: &str) -> Vec<PlantFile> {
    let mut files = vec![PlantFile { name: "plant.toml".to_owned(), text: String::new() }];
    for line in text.split_inclusive('\n') {
        match line.strip_prefix(NEXT_FILE) {
            Some(name) => files.push(PlantFile { name: name.trim().to_owned(), text: String::new() }),
            None => files.iter_mut().rev().take(1).for_each(|file| file.text.push_str(line)),
        }
    }
    files
}

fn are_placed(errors: PlantErrors, files: &[PlantFile]) {
    assert!(errors.iter().next().is_some(), "refused without a reason");
    errors.iter().for_each(|error| is_placed(error, files));
}

/// It names a line of one of the files, a place in that line, and says one line's worth.
fn is_placed(error: &PlantError, files: &[PlantFile]) {
    let PlantError { file, line, column, message, suggestion } = error;
    let mut named = files.iter().filter(|each| each.name == *file);
    let within = named.any(|file| {
        let text = file.text.split('\n').nth(line.wrapping_sub(1));
        text.is_some_and(|text| (1..=text.chars().count() + 1).contains(column))
    });
    assert!(within, "not within a file: {error}");
    let said = [Some(message), suggestion.as_ref()];
    let plain = said.into_iter().flatten().all(|said| !said.is_empty() && !said.contains(char::is_control));
    assert!(plain, "not one line of text: {error:?}");
}

/// Written anew with a comment behind it, a plant means the same.
fn a_comment_changes_nothing(policy: &Policy, files: &[PlantFile]) {
    let mut longer = files.to_vec();
    for file in longer.iter_mut().filter(|file| !file.name.ends_with(".csv")) {
        file.text.push_str("\n# nothing more\n");
    }
    assert_eq!(Policy::parse(&longer).as_ref(), Ok(policy), "a comment changes what a plant means");
}

/// Nothing that can be asked of a policy is without an answer, and `explain` tells what `decide` decides.
fn decisions_are_total(policy: &Policy) {
    let people = [("alice", "ops"), ("bob", "vendor:acme"), ("nobody-in-particular", "none")];
    for asset in policy.assets().take(4) {
        for service in asset.services.values().take(4) {
            assert!(policy.locate(asset.id.as_str(), service.port).is_some(), "what has a name is found by it");
            for (name, group) in people {
                let identity = name.parse().expect("a name");
                let subject = Subject { identity, groups: BTreeSet::from([group.to_owned()]) };
                decided(policy, asset, service, &subject);
            }
        }
    }
}

fn decided(policy: &Policy, asset: &Asset, service: &Service, subject: &Subject) {
    let accounts = policy.accounts(subject, &asset.id, &service.name);
    for account in accounts.iter().take(2).chain([&AccountName::none()]) {
        for now in [Timestamp::MIN, SOME_DAY, Timestamp::MAX] {
            let proofs = [FactorKind::Key, FactorKind::WebAuthn].map(|kind| Proof { kind, at: now });
            let request = Request {
                subject,
                asset: &asset.id,
                service: &service.name,
                account,
                proofs: &proofs,
                live: &[],
                approvals: &[],
            };
            let explanation = explain(policy, &request, now);
            assert_eq!(explanation.decision, decide(policy, &request, now));
            assert!(!explanation.to_string().is_empty());
            let nobody = Request { proofs: &[], ..request };
            let unproven = decide(policy, &nobody, now);
            assert!(!matches!(unproven, sallyport_policy::Decision::Permit(_)), "a permit for no proof at all");
        }
    }
}

/// Noon of a Monday.
const SOME_DAY: Timestamp = Timestamp::constant(1_795_435_200, 0);
