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
              ~ role engineer, grant 1 terms.idle: 15m -> 30m

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
              + role engineer, grant 1 accounts=operator assets=ews-1 factors=totp, webauthn lease=1h services=ssh terms.channels=shell, exec, sftp terms.connections=32 terms.env=COLORTERM, LANG, LC_*, NO_COLOR, TERM terms.file_transfer=none terms.grace=10s terms.idle=15m terms.max_duration=8h terms.on_end=view-only terms.recorder_trouble=view-only terms.sessions=64
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

const FILTERED: &str = r#"[zone.cell-1]
networks = ["10.10.1.0/24"]
[asset.plc-1]
zone = "cell-1"
address = "10.10.1.30"
services.modbus = { tag_list = "plc-1.csv" }
[filter.setpoints]
modbus = [
  { operations = ["read"] },
  { name = "speed", operations = ["write"], registers = ["100-109"], values = { max = 1500 } },
]
[[role.lead.window]]
assets = ["plc-1"]
services = ["modbus"]
for = ["role:lead"]
max = "2h"
"#;

#[test]
fn filters_tags_and_windows_change_rule_by_rule() {
    let after = FILTERED
        .replace("max = 1500", "max = 3000, bits = \"0xff\"")
        .replace("{ operations = [\"read\"] }", "{ functions = [\"43/14\"], unit = [0, \"2-4\"] }")
        .replace("[filter.setpoints]\n", "[filter.setpoints]\nmode = \"observe\"\nvnc = \"interactive\"\n")
        .replace("max = \"2h\"", "max = \"4h\"");
    let tags = "name,reference,scale\nspeed,40101,\nlevel,30001,0.1\n";
    let policy = |text: &str, tags: &str| {
        let file = |name: &str, text: &str| PlantFile { name: name.to_owned(), text: text.to_owned() };
        Policy::parse(&[file("plant.toml", text), file("plc-1.csv", tags)]).unwrap()
    };
    let before = policy(FILTERED, tags);
    let changed = meaning(&before, &policy(&after, "name,reference,scale\nspeed,40102,\nflow,30001,0.1\n"));
    expect![[r#"
        ~ filter setpoints mode: enforce -> observe
        ~ filter setpoints vnc.clipboard: (nothing) -> 
        ~ filter setpoints vnc.input: (nothing) -> true
        ~ filter setpoints, rule setpoints/1 functions:  -> 43/14
        ~ filter setpoints, rule setpoints/1 operations: read -> 
        ~ filter setpoints, rule setpoints/1 units: (nothing) -> 0, 2-4
        ~ filter setpoints, rule speed values.bits: (nothing) -> 0xff
        ~ filter setpoints, rule speed values.max: 1500.0 -> 3000.0
        ~ role lead, window 1 max: 2h -> 4h
        + tag flow of plc-1.csv address=0 offset=0.0 scale=0.1 table=input-register type=u16 word_order=big
        - tag level of plc-1.csv address=0 offset=0.0 scale=0.1 table=input-register type=u16 word_order=big
        ~ tag speed of plc-1.csv address: 100 -> 101
    "#]]
    .assert_eq(&(changed.join("\n") + "\n"));
}
