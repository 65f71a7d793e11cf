//! `check --assets`: what each service of the plant answers, before somebody needs it.

use std::collections::BTreeMap;

use sallyport_tests::{Finished, Place, Plant, Setup, finish, sallyport};
use serde_json::Value;

/// As the broker would reach them.
fn check(plant: &Plant, arguments: &[&str]) -> Finished {
    let mut command = plant.network().command(Place::Gate, sallyport().to_str().unwrap());
    command.arg("--config").arg(plant.config()).args(["check", "--json", "--assets"]).args(arguments);
    finish(command, b"")
}

/// What came of each try, by asset: `reach ok, host key failed`.
fn came(checked: &Finished) -> BTreeMap<String, String> {
    let services: Value = serde_json::from_str(&checked.text()).unwrap_or_else(|error| panic!("{error}: {checked}"));
    let told = services.as_array().unwrap().iter().map(|service| {
        let tries = service["tries"].as_array().unwrap().iter();
        let tries = tries.map(|one| format!("{} {}", one["what"].as_str().unwrap(), one["came"].as_str().unwrap()));
        (service["asset"].as_str().unwrap().to_owned(), tries.collect::<Vec<_>>().join(", "))
    });
    told.collect()
}

#[test]
fn each_service_is_tried_and_nothing_is_sent_to_whoever_shows_another_key() {
    let plant = Setup::standard().lay_out();
    let checked = check(&plant, &[]);
    assert_eq!(checked.code(), 1, "{checked}");
    let came = came(&checked);
    assert_eq!(came["ews-1"], "reach ok, host key ok, login as operator ok");
    assert_eq!(came["sis-1"], "reach ok, host key ok, login as operator ok");
    assert_eq!(came["changed-1"], "reach ok, host key failed, login as operator not-tried");
    assert_eq!(came["down-1"], "reach failed");
    // Nothing is in the vault.
    assert_eq!(came["hmi-1"], "reach ok, host key ok, login as fitter failed, login as keeper failed");
    assert_eq!(came["hmi-2"], "reach ok, host key ok, login as keeper not-tried");
    assert!(checked.stderr.contains("3 of 19 services are not as they must be"), "{checked}");
    // The logins that succeeded, by a certificate that names who tried it; nobody opened anything.
    let log = plant.sshd().log();
    assert_eq!(log.matches("Accepted publickey for operator").count(), 15, "{log}");
    assert!(log.contains("identity=(check by root) session=check-"), "{log}");
    assert!(!log.contains("Failed") && !log.contains("Starting session"), "{log}");

    let told: Vec<Value> = plant.audit().into_iter().filter(|entry| entry["code"] == "SP-6103").collect();
    assert_eq!(told.len(), 19);
    let changed = told.iter().find(|entry| entry["event"]["asset"] == "changed-1").unwrap();
    assert_eq!(changed["event"]["fits"], false);
    assert!(changed["event"]["results"][1].as_str().unwrap().contains("which is not pinned"), "{changed}");
    plant.sallyport(&["audit", "verify"]).ok();
}

#[test]
fn an_address_that_no_name_of_the_broker_covers_is_warned_of() {
    let check = |names: &str| {
        let plant = Setup::standard().setting(&format!("[ssh]\nnames = [{names}]")).lay_out();
        let mut command = plant.network().command(Place::Gate, sallyport().to_str().unwrap());
        command.arg("--config").arg(plant.config()).arg("check");
        finish(command, b"").ok()
    };
    assert!(check("\"broker\"").contains("`[ssh] names` lacks `10.0.0.2`, where the broker listens"));
    assert!(!check("\"broker\", \"10.0.0.2\"").contains("[ssh] names"));
}

#[test]
fn some_are_tried_without_a_login_and_none_in_a_zone_that_is_isolated() {
    let plant = Setup::standard().lay_out();
    assert_eq!(
        came(&check(&plant, &["ews-1", "--no-login"]))["ews-1"],
        "reach ok, host key ok, login as operator not-tried"
    );
    check(&plant, &["ews-1", "--no-login"]).ok();
    assert!(!plant.sshd().log().contains("Accepted"), "{}", plant.sshd().log());
    let unknown = check(&plant, &["ews-99"]);
    assert!(unknown.refused().contains("the plant has no asset `ews-99`"), "{unknown}");

    let before = plant.sshd().log().matches("Connection from").count();
    plant.sallyport(&["zone", "isolate", "safety", "--reason", "gas alarm"]).ok();
    let checked = check(&plant, &["sis-1"]);
    assert_eq!(came(&checked)["sis-1"], "reach not-tried");
    checked.ok();
    assert_eq!(plant.sshd().log().matches("Connection from").count(), before);
    // Nothing is tried that cannot be put on record.
    std::fs::remove_file(plant.folder().join("broker/master.key")).unwrap();
    check(&plant, &["ews-1"]).refused();
}

#[test]
fn a_credential_of_the_vault_is_tried_as_it_is_kept() {
    let plant = Setup::standard().lay_out();
    let key = sallyport_tests::Sshd::account_key(&plant.folder().join("sshd"));
    plant.sallyport(&["account", "set", "hmi-1", "fitter", "--key", key.to_str().unwrap()]).ok();
    let wrong = plant.command(&["account", "set", "hmi-1", "keeper", "--password-file", "-"]);
    finish(wrong, b"not the password").ok();
    let checked = check(&plant, &["hmi-1"]);
    assert_eq!(checked.code(), 1, "{checked}");
    assert_eq!(came(&checked)["hmi-1"], "reach ok, host key ok, login as fitter ok, login as keeper failed");
    assert!(!checked.text().contains("not the password") && !checked.stderr.contains("not the password"));
}
