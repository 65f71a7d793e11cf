//! `sallyport policy explain --operation`.

use expect_test::{Expect, expect};
use serde_json::json;

use super::Desk;

/// Who has proven all that is asked for.
const PROVEN: [&str; 4] = ["--factor", "key", "--factor", "totp"];

fn explained(desk: &Desk, identity: &str, operation: &str, more: &[&str]) -> String {
    let asked = ["policy", "explain", "--identity", identity, "--asset", "plc-3", "--service", "modbus"];
    let said = desk.on_files(&[&asked[..], &["--operation", operation], more].concat()).ok();
    let at = said.find("operation ").unwrap_or_else(|| panic!("{said}"));
    said[at..].to_owned()
}

fn check(desk: &Desk, identity: &str, operation: &str, expected: Expect) {
    expected.assert_eq(&explained(desk, identity, operation, &PROVEN));
}

#[test]
fn an_operation_is_explained_with_its_rule_cause_and_remedy() {
    let desk = Desk::new();
    check(
        &desk,
        "mona",
        "write 40101 = 1600",
        expect![[r#"
        operation write 40101 = 1600, unit 1
          filter setpoints: deny, value; answered with exception 3 (illegal data value)
          rule speed: write, register 100-109, unit 1, values at least 0, at most 1500, steps of at most 50
          needs a value that `speed` allows, or a write window
          write windows are not looked at: there is no broker's configuration here
    "#]],
    );
    check(
        &desk,
        "mona",
        "write 40101 = 1400",
        expect![[r#"
        operation write 40101 = 1400, unit 1
          filter setpoints: deny, value; answered with exception 3 (illegal data value)
          rule speed: write, register 100-109, unit 1, values at least 0, at most 1500, steps of at most 50
          needs the last value to be known: read or written on the same connection just before, at most 50 away, or a write window
          write windows are not looked at: there is no broker's configuration here
    "#]],
    );
    check(
        &desk,
        "mona",
        "write tank-level-setpoint = 75.5",
        expect![[r#"
        operation write tank-level-setpoint = 75.5, unit 1
          filter setpoints: pass
          rule level: write, tag tank-level-setpoint (register 120), values at least 0, at most 80
          write windows are not looked at: there is no broker's configuration here
    "#]],
    );
    check(
        &desk,
        "mona",
        "unit 2 write 40101 = 5",
        expect![[r#"
        operation unit 2 write 40101 = 5, unit 2
          filter setpoints: deny, address; answered with exception 2 (illegal data address)
          rule batch: write, register 200-204, values one of 0, 1, 2, 3 writes a minute
          needs a rule that allows `write` there on unit 2, or a write window
          write windows are not looked at: there is no broker's configuration here
    "#]],
    );
    check(
        &desk,
        "mona",
        "function 90 00 41",
        expect![[r#"
        operation function 90 00 41, unit 1
          filter setpoints: deny, function; answered with exception 1 (illegal function)
          rule setpoints
          needs a rule whose `functions` names 90: it is not decoded
          write windows are not looked at: there is no broker's configuration here
    "#]],
    );
    check(
        &desk,
        "rita",
        "write 40101 = 1",
        expect![[r#"
        operation write 40101 = 1, unit 1
          filter read-only: deny, function; answered with exception 1 (illegal function)
          rule read-only
          needs a rule that allows `write`, or a write window
          write windows are not looked at: there is no broker's configuration here
    "#]],
    );
    check(
        &desk,
        "rita",
        "read 40101-40110",
        expect![[r#"
        operation read 40101-40110, unit 1
          filter read-only: pass
          rule read-only
          write windows are not looked at: there is no broker's configuration here
    "#]],
    );
    check(
        &desk,
        "alice",
        "read 40101",
        expect![[r#"
        operation read 40101, unit 1
          there would be no session to do it in
          write windows are not looked at: there is no broker's configuration here
    "#]],
    );
    // What the factors would give is told before they are proven.
    expect![[r#"
        operation write 40201 = 3, unit 1
          once the factors asked for above are there:
          filter setpoints: deny, value; answered with exception 3 (illegal data value)
          rule batch: write, register 200-204, values one of 0, 1, 2, 3 writes a minute
          needs a value that `batch` allows, or a write window
          write windows are not looked at: there is no broker's configuration here
    "#]]
    .assert_eq(&explained(&desk, "mona", "write 40201 = 3", &[]));
}

#[test]
fn write_windows_count() {
    let desk = Desk::new();
    desk.broker();
    for name in ["rita", "otto"] {
        desk.run(&["identity", "add", name]).ok();
    }
    let window = ["window", "open", "--identity", "rita", "--asset", "plc-3", "--by", "otto"];
    let opened =
        desk.run(&[&window[..], &["--points", "40101, tag tank-level-setpoint", "--for", "9", "--json"]].concat()).ok();
    let opened: serde_json::Value = serde_json::from_str(&opened).unwrap();
    let asked = |operation: &str, more: &[&str]| {
        let asked = ["policy", "explain", "rita", "plc-3", "--service", "modbus", "--operation", operation, "--json"];
        let said = desk.run(&[&asked[..], &PROVEN, more].concat()).ok();
        let answer: serde_json::Value = serde_json::from_str(&said).unwrap();
        assert_eq!(answer["decision"]["decision"], "permit", "{answer:#}");
        answer["operation"].clone()
    };
    let rule = format!("window {}", opened[0]["id"].as_str().unwrap());
    let open = asked("write 40101 = 1600", &[]);
    assert_eq!((&open["filter"]["verdict"], &open["filter"]["rule"]), (&json!("pass"), &json!(rule)), "{open:#}");
    assert_eq!(asked("write tank-level-setpoint = 9", &[])["filter"]["verdict"], "pass");
    assert_eq!(asked("write 40102 = 1600", &[])["filter"]["cause"], "address");
    // Before it opened, and after it shuts.
    let before = asked("write 40101 = 1600", &["--at", "2026-01-01T00:00:00Z"]);
    assert_eq!((&before["filter"]["cause"], &before["filter"]["rule"]), (&json!("window"), &json!(rule)), "{before:#}");
    let after = asked("write 40101 = 1600", &["--at", "2100-01-01T00:00:00Z"]);
    assert_eq!((&after["filter"]["cause"], &after["windows"]), (&json!("function"), &json!([])), "{after:#}");
    // A window whose opener is locked is shown, and does not count.
    desk.run(&["identity", "lock", "otto", "--reason", "gone"]).ok();
    let void = asked("write 40101 = 1600", &[]);
    assert_eq!(void["filter"]["verdict"], "deny");
    assert_eq!(void["windows"][0]["void"], "`otto`, who opened it, is locked, removed or expired", "{void:#}");
}

#[test]
fn what_is_no_operation_of_the_service_says_why() {
    let desk = Desk::new();
    let cases: [(&[&str], &str); 5] = [
        (&["mona", "plc-3", "--service", "modbus", "--operation", "write 40101"], "`--operation`: `=` is missing"),
        (&["mona", "plc-3", "--service", "modbus", "--operation", "read nowhere"], "`nowhere` is no address"),
        (&["mona", "plc-3", "--operation", "read 40101"], "`ssh` is no Modbus service of `plc-3`"),
        (&["mona", "--asset", "plc-3", "plc-3"], "cannot be used with"),
        (&["--identity", "mona"], "ASSET"),
    ];
    for (arguments, said) in cases {
        let finished = desk.on_files(&[&["policy", "explain"], arguments].concat());
        assert_eq!(finished.code(), 64, "{finished}");
        assert!(finished.stderr.contains(said), "{finished}");
    }
}
