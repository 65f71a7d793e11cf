#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use expect_test::{Expect, expect};

use super::*;

const BEFORE: &str = r#"[zone.cell-1]
level = 2
networks = ["10.10.1.0/24"]
[[conduit]]
to = "cell-1"
services = ["ssh"]
[asset.ews-1]
zone = "cell-1"
address = "10.10.1.20"
services.ssh = { port = 22 }
accounts.operator = { auth = "certificate" }
[role.engineer]
[[role.engineer.grant]]
assets = ["ews-1"]
services = ["ssh"]
accounts = ["operator"]
terms = { idle = "15m" }
[role.engineer.members]
identities = ["alice"]
"#;

fn check(before: &[(&str, &str)], after: &[(&str, &str)], expected: Expect) {
    let files = |files: &[(&str, &str)]| -> Vec<PlantFile> {
        files.iter().map(|(name, text)| PlantFile { name: (*name).to_owned(), text: (*text).to_owned() }).collect()
    };
    let (before, after) = (files(before), files(after));
    let (old, new) = (Policy::parse(&before).unwrap(), Policy::parse(&after).unwrap());
    expected.assert_eq(&PlantDiff::between((Some(&old), &before), (&new, &after)).to_string());
}

#[test]
fn the_same_plant_changes_nothing() {
    check(
        &[("plant.toml", BEFORE)],
        &[("plant.toml", BEFORE)],
        expect![[r#"
        Nothing changes.
    "#]],
    );
}

#[test]
fn a_comment_changes_the_text_and_not_the_policy() {
    let after = format!("# reviewed\n{BEFORE}");
    check(
        &[("plant.toml", BEFORE)],
        &[("plant.toml", &after)],
        expect![[r#"
            The policy stays the same; the text changes.

            Text:
            --- a/plant.toml
            +++ b/plant.toml
            @@ -1,2 +1,3 @@
            +# reviewed
             [zone.cell-1]
             level = 2
        "#]],
    );
}

#[test]
fn a_new_term_a_new_member_and_a_lost_asset_are_named() {
    let after = BEFORE.replace("idle = \"15m\"", "idle = \"30m\"").replace("[\"alice\"]", "[\"alice\", \"carol\"]");
    check(
        &[("plant.toml", BEFORE)],
        &[("plant.toml", &after)],
        expect![[r#"
            Policy:
              ~ role engineer members: alice -> alice, carol
              ~ role engineer, grant 1 terms.idle: PT15M -> PT30M

            Text:
            --- a/plant.toml
            +++ b/plant.toml
            @@ -15,5 +15,5 @@
             services = ["ssh"]
             accounts = ["operator"]
            -terms = { idle = "15m" }
            +terms = { idle = "30m" }
             [role.engineer.members]
            -identities = ["alice"]
            +identities = ["alice", "carol"]
        "#]],
    );
}

#[test]
fn a_first_plant_is_all_new() {
    check(
        &[],
        &[("plant.toml", BEFORE)],
        expect![[r#"
            Policy:
              + asset ews-1 accounts.operator.auth=certificate address=10.10.1.20 services.ssh.port=22 services.ssh.protocol=ssh zone=cell-1
              + conduit to cell-1 services=ssh to=cell-1
              + role engineer members=alice
              + role engineer, grant 1 accounts=operator assets=ews-1 factors=totp, webauthn lease=PT1H services=ssh terms.channels=shell, exec, sftp terms.env=COLORTERM, LANG, LC_*, NO_COLOR, TERM terms.file_transfer=none terms.idle=PT15M terms.max_duration=PT8H terms.recorder_trouble=view-only
              + zone cell-1 broker=false level=2.0 networks=10.10.1.0/24

            Text:
            --- /dev/null
            +++ b/plant.toml
            @@ -0,0 +1,19 @@
            +[zone.cell-1]
            +level = 2
            +networks = ["10.10.1.0/24"]
            +[[conduit]]
            +to = "cell-1"
            +services = ["ssh"]
            +[asset.ews-1]
            +zone = "cell-1"
            +address = "10.10.1.20"
            +services.ssh = { port = 22 }
            +accounts.operator = { auth = "certificate" }
            +[role.engineer]
            +[[role.engineer.grant]]
            +assets = ["ews-1"]
            +services = ["ssh"]
            +accounts = ["operator"]
            +terms = { idle = "15m" }
            +[role.engineer.members]
            +identities = ["alice"]
        "#]],
    );
}
