//! `policy access`: the report, held against what happens.

use serde_json::Value;

use sallyport_tests::{Plant, Setup};

fn report(plant: &Plant, more: &[&str]) -> Vec<Value> {
    plant.json(&[&["policy", "access"], more].concat()).as_array().unwrap().clone()
}

#[track_caller]
fn row<'r>(rows: &'r [Value], identity: &str, asset: &str) -> &'r Value {
    let found = |row: &&Value| row["identity"] == identity && row["asset"] == asset;
    rows.iter().find(found).unwrap_or_else(|| panic!("no row of {identity} and {asset}: {rows:#?}"))
}

#[test]
fn the_report_is_what_happens_and_says_when_it_last_did() {
    let plant = Plant::start();
    let (alice, carol) = (plant.person("alice"), plant.person_without_second_factor("carol"));
    alice.ssh(["ews-1", "true"]).ok();
    carol.ssh(["ews-1", "true"]).refused();
    let rows = report(&plant, &[]);
    let used = row(&rows, "alice", "ews-1");
    assert_eq!((&used["answer"], &used["by"], &used["account"]), (&"yes".into(), &"grant".into(), &"operator".into()));
    assert!(used["rule"].as_str().unwrap().starts_with("role engineer, grant 1 (plant.toml:"), "{used}");
    assert!(used["last_used"].is_string(), "{used}");
    assert_eq!(used["enrolled"], serde_json::json!(["key", "totp"]), "{used}");
    assert_eq!(used["file_transfer"], "both", "{used}");
    assert!(row(&rows, "alice", "ews-2")["last_used"].is_null());
    let without = row(&rows, "carol", "ews-1");
    assert_eq!((&without["answer"], &without["state"]), (&"no".into(), &"no second factor".into()), "{without}");
    let absent = row(&rows, "victor", "sis-1");
    assert_eq!((&absent["answer"], &absent["why"]), (&"no".into(), &"not enrolled".into()), "{absent}");

    plant.sallyport(&["identity", "lock", "alice", "--reason", "left"]).ok();
    alice.ssh(["ews-1", "true"]).refused();
    let locked = report(&plant, &["--identity", "alice", "--asset", "ews-1"]);
    assert_eq!(locked.len(), 1, "{locked:#?}");
    assert_eq!((&locked[0]["answer"], &locked[0]["why"]), (&"no".into(), &"locked".into()), "{locked:#?}");
}

#[test]
fn the_report_is_of_a_person_an_asset_and_a_moment_and_slips_are_told() {
    let plant = Setup::standard().lay_out();
    plant.sallyport(&["identity", "add", "alice", "--valid-until", "2126-12-01T18:00:00Z"]).ok();
    let of_asset = report(&plant, &["--asset", "sis-1"]);
    assert!(of_asset.iter().all(|row| row["asset"] == "sis-1") && of_asset.len() == 2, "{of_asset:#?}");
    let later = report(&plant, &["--identity", "alice", "--at", "2126-12-02T00:00:00Z"]);
    assert!(!later.is_empty() && later.iter().all(|row| row["why"] == "expired"), "{later:#?}");
    for (slip, said) in [
        (["--identity", "alic"], "there is no identity `alic`; did you mean `alice`?"),
        (["--asset", "esw-1"], "the plant has no asset `esw-1`; did you mean `ews-1`?"),
    ] {
        let refused = plant.sallyport(&[&["policy", "access"][..], &slip].concat());
        assert!(refused.refused().contains(said), "{refused}");
    }
    // Somebody who is there and named by nothing: an empty report.
    plant.sallyport(&["identity", "add", "nora"]).ok();
    assert_eq!(report(&plant, &["--identity", "nora"]), Vec::<Value>::new());
}

#[test]
fn a_spreadsheet_gets_every_column_and_no_formula() {
    let plant = Setup::standard().lay_out();
    plant.sallyport(&["identity", "add", "carol", "--display-name", "=HYPERLINK(\"http://x\",\"a\")"]).ok();
    let csv = plant.sallyport(&["policy", "access", "--csv", "--identity", "carol"]).ok();
    let lines: Vec<&str> = csv.split("\r\n").collect();
    assert_eq!(lines.len(), 3, "{csv}");
    assert!(lines[0].starts_with("identity,display name,state,asset,"), "{csv}");
    assert!(
        lines[1].starts_with("carol,\"'=HYPERLINK(\"\"http://x\"\",\"\"a\"\")\",no factor,ews-1,cell-1,ssh,"),
        "{csv}"
    );
    plant.sallyport(&["policy", "access", "--csv", "--json"]).refused();
    // The table names the same.
    let table = plant.sallyport(&["policy", "access", "--identity", "carol"]).ok();
    assert!(table.starts_with("IDENTITY") && table.contains("no: no factor"), "{table}");
}
