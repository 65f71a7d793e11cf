//! What can hardly be meant is said by `plan`, `apply` and `check`, and stops nothing.

use std::fs;

use sallyport_tests::Setup;

#[test]
fn a_slip_in_a_name_is_told_where_the_plant_is_planned_applied_and_checked() {
    let plant = Setup::standard().lay_out();
    let more = "\n[role.night]\n[[role.night.grant]]\nassets = [\"ews-1\"]\nservices = [\"ssh\"]\naccounts = [\"operator\"]\n\
                factors = [\"certificate\"]\nvalid_until = 2020-01-01T00:00:00Z\n[role.night.members]\nidentities = [\"dorsi\"]\n\
                [role.lonely]\n";
    let text = plant.plant_file() + more;
    let path = plant.folder().join("changed.toml");
    fs::write(&path, &text).unwrap();
    let files = ["-f", path.to_str().unwrap()];
    // Before anybody is enrolled one line says so, and not one for each.
    let first = plant.sallyport(&[&["plan"][..], &files].concat()).text();
    assert!(first.contains("warning: nobody is enrolled yet, and the plant names 1"), "{first}");
    assert!(!first.contains("`dorsi` ("), "{first}");
    plant.sallyport(&["identity", "add", "doris"]).ok();
    let planned = plant.sallyport(&[&["plan"][..], &files].concat()).text();
    let applied = plant.sallyport(&[&["apply", "--yes"][..], &files].concat()).ok();
    let checked = plant.sallyport(&["check"]).text();
    for line in [
        "nobody is enrolled as `dorsi` (role night); did you mean `doris`?",
        "role lonely has no members: nobody holds it",
        "its `valid_until` was 2020-01-01T00:00:00Z: it gives nothing any more",
        "it asks for certificate, which needs `user_ca` in `[ssh]`: nobody can prove that here",
        "`file_transfer = \"download\"` beside shell and exec",
    ] {
        for said in [&planned, &applied, &checked] {
            assert!(said.contains(line), "`{line}` is not in {said}");
        }
    }
    let json = plant.json(&[&["apply", "--yes"][..], &files].concat());
    assert!(json["warnings"].to_string().contains("`dorsi`"), "{json}");
}
