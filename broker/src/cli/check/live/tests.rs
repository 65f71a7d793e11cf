#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use super::*;

async fn failed(plant: &str) -> Vec<&'static str> {
    let folder = tempfile::tempdir().unwrap();
    let tried = on_canary(plant, folder.path()).await.unwrap_or_else(|error| panic!("{error}"));
    for tried in &tried {
        println!("{}", tried.line());
    }
    assert_eq!(tried.len(), 19, "some were not made");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "a canary's folder is left");
    tried.iter().filter(|tried| !tried.held).map(|tried| tried.what).collect()
}

/// The rules as they are, and one after the other broken at the rim: by a plant that says more than it should.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_must_fail_fails_and_a_rule_that_lets_through_is_found() {
    assert_eq!(failed(PLANT).await, Vec::<&str>::new());
    let looser = PLANT.replace("registers = [\"100\"], values = { min = 0, max = 10 }", "registers = [\"0-400\"]");
    let forbidden = "assets = [\"canary-1\"]\nservices = [\"bulk\"]";
    let wider = looser.replace(forbidden, "assets = [\"canary-1\", \"canary-2\"]\nservices = [\"bulk\"]");
    assert!(wider != looser && looser != PLANT);
    assert_eq!(
        failed(&wider).await,
        [
            "a session to an asset without a grant",
            "a write of a register that it does not",
            "a write of a value beyond its limit",
            "a write in a window that is over"
        ]
    );
}

#[test]
fn a_plant_that_permits_without_proof_would_be_found() {
    let policy = |text: &str| {
        let file = sallyport_policy::PlantFile { name: "plant.toml".to_owned(), text: text.to_owned() };
        Policy::parse(&[file]).unwrap_or_else(|errors| panic!("{errors}"))
    };
    let text = ["@CONTROLLER@", "@SWALLOWS@", "@FORBIDDEN@"].into_iter().zip(["1", "2", "3"]);
    let text = text.fold(PLANT.to_owned(), |text, (from, to)| text.replace(from, to));
    let people = ["canary", "nobody"]
        .map(|name| Subject { identity: name.parse().unwrap(), groups: std::collections::BTreeSet::new() });
    let tried = nothing_for_nobody(&policy(&text), &people, Timestamp::now());
    assert!(tried.held, "{}", tried.line());
    assert!(tried.line().contains("requests of 2 people were refused (SR 1.1, 2.1)"), "{}", tried.line());
    // What it would say, had one been permitted.
    assert!(!UNPROVEN.came_to(true, "1 were permitted").held);
    // What nobody knows has not held.
    assert!(!UNPROVEN.answered(Err(person::Unanswered::TooLate)).held);
}
