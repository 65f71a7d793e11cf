//! The decision table of the tests' plant, and decision tables themselves.

use expect_test::{Expect, expect};
use sallyport_policy::tables::{self, CaseResult};
use sallyport_policy::{DenialReason, PlantErrors};

use crate::plant_file::{PLANT, file, policy};

const TABLE: &str = include_str!("../data/decisions.toml");

fn run(table: &str) -> Result<Vec<CaseResult>, PlantErrors> {
    tables::run(&policy(PLANT), &file("decisions.toml", table))
}

fn check(table: &str, expected: Expect) {
    let answer = match run(table) {
        Err(errors) => format!("{errors}\n"),
        Ok(results) => results
            .into_iter()
            .map(|case| format!("{}:{} {}: {:?}\n", case.file, case.line, case.name, case.failures))
            .collect(),
    };
    expected.assert_eq(&answer);
}

#[test]
fn every_case_of_the_table_holds() {
    for case in run(TABLE).unwrap() {
        assert!(case.passed(), "{}:{} {}: {:?}\n{}", case.file, case.line, case.name, case.failures, case.explanation);
    }
}

#[test]
fn the_table_has_a_case_for_every_reason_of_a_denial() {
    for code in DenialReason::CODES {
        assert!(TABLE.contains(&format!("reason = \"{code}\"")), "{code}");
    }
}

#[test]
fn a_case_that_does_not_hold_says_what_differs() {
    let case = |expected: &str| {
        format!(
            "[[case]]\nidentity = 'alice'\nasset = 'ews-1'\nservice = 'ssh'\naccount = 'operator'\nfactors = ['key', 'totp']\nat = 2026-11-23T09:00:00Z\n{expected}"
        )
    };
    check(
        &case("expect = 'deny'"),
        expect![[r#"
        decisions.toml:1 alice -> operator@ews-1 ssh: ["expected deny, found permit: role process-engineer, grant 1 (plant.toml:64)"]
    "#]],
    );
    check(
        &case("expect = 'permit'\nrule = 'night-shift'"),
        expect![[r#"
        decisions.toml:1 alice -> operator@ews-1 ssh: ["rule: expected night-shift, found process-engineer"]
    "#]],
    );
    check(
        &case("expect = 'permit'\nrule = 'process-engineer/2'"),
        expect![[r#"
        decisions.toml:1 alice -> operator@ews-1 ssh: ["rule: expected process-engineer/2, found process-engineer/1"]
    "#]],
    );
    check(
        &case(
            "expect = 'permit'\nterms = { not_after = 'none', max_duration = 'unlimited', idle = '1h', concurrent = 1, channels = ['x11'], file_transfer = 'both', recorder_trouble = 'end', filter = 'full' }",
        ),
        expect![[r#"
            decisions.toml:1 alice -> operator@ews-1 ssh: ["not_after: expected none, found 2026-11-23T17:00:00Z", "max_duration: expected unlimited, found 4h", "idle: expected 1h, found 15m", "concurrent: expected 1, found 2", "channels: expected x11, found shell+exec+sftp", "file_transfer: expected both, found download", "recorder_trouble: expected end, found view-only", "filter: expected full, found none"]
        "#]],
    );
}

#[test]
fn a_table_that_is_wrong_says_so() {
    check(
        "",
        expect![[r#"
        decisions.toml:1:1: a decision table has at least one `[[case]]`
    "#]],
    );
    check(
        "[[cases]]\n",
        expect![[r#"
        decisions.toml:1:1: a decision table has at least one `[[case]]`
        decisions.toml:1:3: unknown section `cases`; did you mean `case`?
    "#]],
    );
    check(
        "[[case]]\nidentity = 'al:ice'\nasset = 'ews-1'\nat = 'noon'\nfactors = ['otp']\nexpect = 'allow'\n\n[[case]]\nidentity = 'alice'\nasset = 'ews-1'\nservice = 'ssh'\nat = 2026-11-23T09:00:00Z\nexpect = 'deny'\nreason = 'outside'\nterms = {}\n",
        expect![[r#"
            decisions.toml:1:1: this case has no `service`
            decisions.toml:2:12: `identity` of this case cannot be `al:ice`: a name has only letters, digits, `.`, `_` and `-`, not ':'
            decisions.toml:4:6: `at` of this case is an instant, not `noon`; write it with its offset, as `2026-12-01T06:00:00+01:00`
            decisions.toml:5:12: `factors` of this case cannot be `otp`: it is one of key, security-key, certificate, password, totp, webauthn, recovery-code, envelope; did you mean `totp`?
            decisions.toml:6:10: `expect` of this case cannot be `allow`: it is one of permit, deny, need factors, need approval
            decisions.toml:14:10: `reason` of this case cannot be `outside`: it is one of unknown-asset, unknown-service, unknown-account, no-conduit, forbidden, no-grant, not-yet-valid, no-longer-valid, outside-window, concurrent
            decisions.toml:15:1: unknown key `terms` in this case
        "#]],
    );
}

#[test]
fn an_explanation_names_every_condition_of_a_grant_that_does_not_hold() {
    let night = "[[case]]\nidentity = 'alice'\nasset = 'ews-1'\nservice = 'ssh'\naccount = 'operator'\nfactors = ['key']\n\
                 at = 2026-11-22T23:00:00Z\nexpect = 'deny'";
    let cases = run(night).unwrap();
    expect![[r#"
        deny: role night-shift, grant 1 (plant.toml:78): outside its window (Mon,Tue,Wed,Thu 22:00-06:00 Europe/Oslo, or Sat,Sun 00:00-24:00 Europe/Oslo); role process-engineer, grant 1 (plant.toml:64): outside its window (Mon,Tue,Wed,Thu,Fri 06:00-18:00 Europe/Oslo)
        at once, whatever they lead to: 64 sessions, 32 connections
          role night-shift, grant 1 (plant.toml:78): outside its window (Mon,Tue,Wed,Thu 22:00-06:00 Europe/Oslo, or Sat,Sun 00:00-24:00 Europe/Oslo), needs webauthn, proven within 1h
          role process-engineer, grant 1 (plant.toml:64): outside its window (Mon,Tue,Wed,Thu,Fri 06:00-18:00 Europe/Oslo), needs totp or webauthn, proven within 15m
          role vendor, grant 1 (plant.toml:91): not a member of the role, does not name the account, needs totp or webauthn, proven within 1h, needs approval by 2 of role shift-lead
          role vendor, grant 2 (plant.toml:100): not a member of the role, does not name the service, does not name the account, needs totp or webauthn, proven within 1h
          break-glass control-room (plant.toml:118), with an envelope: permit: break-glass control-room (plant.toml:118)
          break-glass control-room (plant.toml:118), with their own factors: deny: no grant of theirs names it
    "#]].assert_eq(&cases[0].explanation.to_string());
}
