//! What is allowed and can hardly be meant.

use expect_test::{Expect, expect};

use crate::plant_file::{PLANT, policy};

/// The doubts about the plant of the tests with these sections behind it, and without.
fn check(more: &str, expected: Expect) {
    let now = "2026-11-23T10:00:00Z".parse().unwrap();
    let without = policy(PLANT).doubts(now);
    let doubts = policy(&format!("{PLANT}\n{more}")).doubts(now);
    let added: Vec<String> = doubts.into_iter().filter(|doubt| !without.contains(doubt)).collect();
    expected.assert_eq(&added.join("\n"));
}

fn grant(rest: &str) -> String {
    format!(
        "[role.x]\n[[role.x.grant]]\nassets = [\"ews-1\"]\nservices = [\"ssh\"]\naccounts = [\"operator\"]\n{rest}\n[role.x.members]\nidentities = [\"xena\"]\n"
    )
}

#[test]
fn what_gives_nothing_is_doubted() {
    check(&grant(""), expect![[""]]);
    check("[role.empty]\n", expect!["role empty has no members: nobody holds it"]);
    check(
        &grant("valid_until = 2020-01-01T00:00:00Z"),
        expect![
            "role x, grant 1 (plant.toml:126): its `valid_until` was 2020-01-01T00:00:00Z: it gives nothing any more"
        ],
    );
    check(&grant("valid_until = 2026-11-23T10:00:01Z"), expect![[""]]);
    check(
        &grant("terms = { channels = [\"shell\", \"x11\"] }"),
        expect!["role x, grant 1 (plant.toml:126): x11 is refused by this version, whatever is granted"],
    );
    check(
        &grant("terms = { channels = [\"agent\", \"remote-forward\"] }"),
        expect![
            "role x, grant 1 (plant.toml:126): agent, remote-forward is refused by this version, whatever is granted; it lets nothing be opened"
        ],
    );
}

#[test]
fn what_gives_more_than_it_seems_to_is_doubted() {
    check(
        &grant("terms = { file_transfer = \"download\" }"),
        expect![[
            r#"role x, grant 1 (plant.toml:126): `file_transfer = "download"` beside shell and exec: by a command, as `cat > file`, files go both ways all the same"#
        ]],
    );
    check(&grant("terms = { file_transfer = \"download\", channels = [\"sftp\"] }"), expect![[""]]);
    check(&grant("terms = { file_transfer = \"both\" }"), expect![[""]]);
}

#[test]
fn names_that_differ_in_case_only_are_doubted() {
    check(
        "[role.X]\nmembers = { identities = [\"Xena\"] }\n[role.x]\nmembers = { identities = [\"xena\"] }\n",
        expect![[r#"
            the roles `X` and `x` differ in case only, and are not one
            `Xena` and `xena` differ in case only, and are not one person"#]],
    );
}
