//! Approvals: what may be asked for, who may agree, and what a grant gives once enough have.

use jiff::{SignedDuration, Timestamp};
use sallyport_policy::{
    AccessRequest, Approval, ApprovalDenial, Decision, FactorKind, Permit, Policy, Proof, Request, RequestDenial,
    RequestState, Subject, approved, decide, decide_again, may_approve, may_request, request_state,
};

use crate::plant_file::policy;

const PLANT: &str = r#"
[zone.cell-1]
networks = ["10.10.1.0/24"]
[[conduit]]
to = "cell-1"
services = ["ssh", "modbus"]
[asset.ews-1]
zone = "cell-1"
address = "10.10.1.20"
services.ssh = { port = 22, host_key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIP4Dxq4ZP0lg6b7NRQuqfWbTKcAcVYDsEHEwE6QNa0jw" }
services.modbus = { port = 502 }
accounts.operator = { auth = "certificate" }
[asset.ews-2]
zone = "cell-1"
address = "10.10.1.21"
services.ssh = { port = 22, host_key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIP4Dxq4ZP0lg6b7NRQuqfWbTKcAcVYDsEHEwE6QNa0jw" }
accounts.operator = { auth = "certificate" }
[role.vendor]
[[role.vendor.grant]]
assets = ["ews-1"]
services = ["ssh", "modbus"]
accounts = ["operator"]
approval = { by = "lead", count = 2, max = "4h" }
[[role.vendor.grant]]
assets = ["ews-2"]
services = ["ssh"]
accounts = ["operator"]
[role.vendor.members]
identities = ["vera", "lea"]
[role.lead]
[role.lead.members]
identities = ["lea", "leo", "lia"]
groups = ["leads"]
"#;

fn at(minutes: i64) -> Timestamp {
    let noon = sallyport_policy::instant("2026-12-01T12:00:00Z").unwrap();
    noon + SignedDuration::from_mins(minutes)
}

fn person(name: &str) -> Subject {
    Subject { identity: name.parse().unwrap(), groups: [].into() }
}

fn hours(hours: i64) -> SignedDuration {
    SignedDuration::from_hours(hours)
}

fn asked_by(name: &str) -> AccessRequest {
    AccessRequest {
        id: "k7wq3xvm".parse().unwrap(),
        identity: name.parse().unwrap(),
        asset: "ews-1".parse().unwrap(),
        services: ["ssh".parse().unwrap()].into(),
        role: "vendor".parse().unwrap(),
        grant: 1,
        reason: "replace the drive".to_owned(),
        permit: None,
        duration: hours(2),
        asked_at: at(0),
    }
}

/// What vera is answered on ews-1 at `now`, with what was approved.
fn answer(policy: &Policy, service: &str, approvals: &[Approval], now: Timestamp) -> Decision {
    let (subject, asset, service) = (person("vera"), "ews-1".parse().unwrap(), service.parse().unwrap());
    let account = if service == "ssh".parse().unwrap() { "operator" } else { "-" }.parse().unwrap();
    let proofs = [FactorKind::Key, FactorKind::Totp].map(|kind| Proof { kind, at: at(0) });
    let request = Request {
        subject: &subject,
        asset: &asset,
        service: &service,
        account: &account,
        proofs: &proofs,
        live: &[],
        approvals,
    };
    decide_again(policy, &request, at(0), now)
}

fn end_of(decision: Decision) -> Option<Timestamp> {
    match decision {
        Decision::Permit(Permit { terms, approved, .. }) => {
            assert_eq!(approved, Some("k7wq3xvm".parse().unwrap()));
            terms.not_after
        }
        Decision::Deny(_) | Decision::NeedFactors(_) | Decision::NeedApproval(_) => None,
    }
}

fn given(names: &[(&str, i64)]) -> Vec<(Subject, Timestamp)> {
    names.iter().map(|(name, minute)| (person(name), at(*minute))).collect()
}

#[test]
fn enough_others_open_it_for_as_long_as_was_asked_from_the_last_of_them_and_not_a_moment_longer() {
    let policy = policy(PLANT);
    let request = asked_by("vera");
    assert_eq!(end_of(answer(&policy, "ssh", &[], at(1))), None);
    let none = |names: &[(&str, i64)]| approved(&policy, &request, &given(names));
    assert_eq!(none(&[("leo", 5)]), None, "one is not two");
    assert_eq!(none(&[("leo", 5), ("leo", 6)]), None, "one is not two, however often");
    assert_eq!(none(&[("leo", 5), ("vera", 6)]), None, "oneself is nobody");
    let by_a_lead = approved(&policy, &asked_by("lea"), &given(&[("leo", 5), ("lea", 6)]));
    assert_eq!(by_a_lead, None, "also who holds the role that approves");
    assert_eq!(none(&[("leo", 5), ("nick", 6)]), None, "not of the role");
    assert_eq!(none(&[("leo", 5), ("lia", -1)]), None, "before it was asked");
    assert_eq!(none(&[("leo", 5), ("lia", 24 * 60)]), None, "when it no longer waited");
    let approval = none(&[("leo", 5), ("lia", 9), ("lea", 20)]).unwrap();
    assert_eq!((approval.from, approval.until), (at(9), at(9) + hours(2)));
    let given = [approval];
    let moment = SignedDuration::from_nanos(1);
    assert_eq!(end_of(answer(&policy, "ssh", &given, at(9) - moment)), None);
    assert_eq!(end_of(answer(&policy, "ssh", &given, at(9))), Some(at(129)));
    assert_eq!(end_of(answer(&policy, "ssh", &given, at(129) - moment)), Some(at(129)));
    assert_eq!(end_of(answer(&policy, "ssh", &given, at(129))), None);
    assert_eq!(end_of(answer(&policy, "modbus", &given, at(9))), None, "another service of the same grant");
    let mut others = given.clone();
    others[0].identity = "leo".parse().unwrap();
    assert_eq!(end_of(answer(&policy, "ssh", &others, at(9))), None, "what another was approved");
}

#[test]
fn a_window_that_ends_before_the_approval_ends_it() {
    let text = PLANT.replace("max = \"4h\" }", "max = \"4h\" }\nvalid_until = 2026-12-01T13:00:00Z");
    let policy = policy(&text);
    let approval = approved(&policy, &asked_by("vera"), &given(&[("leo", 5), ("lia", 9)])).unwrap();
    assert_eq!(end_of(answer(&policy, "ssh", &[approval], at(9))), Some(at(60)));
}

#[test]
fn what_the_plant_file_says_now_counts() {
    let (policy_of, agreed) = (|text: &str| policy(text), given(&[("leo", 5), ("lia", 9)]));
    let request = asked_by("vera");
    for (what, text) in [
        ("three must agree now", PLANT.replace("count = 2", "count = 3")),
        ("one of them left the role", PLANT.replace("\"leo\", ", "")),
        (
            "the grant is gone",
            PLANT.replace(
                "assets = [\"ews-1\"]\nservices = [\"ssh\", \"modbus\"]",
                "assets = [\"ews-2\"]\nservices = [\"ssh\"]",
            ),
        ),
        ("the grant asks nobody", PLANT.replace("approval = { by = \"lead\", count = 2, max = \"4h\" }", "")),
    ] {
        assert_eq!(approved(&policy_of(&text), &request, &agreed), None, "{what}");
    }
    let shorter = policy_of(&PLANT.replace("4h", "1h"));
    assert_eq!(approved(&shorter, &request, &agreed).unwrap().until, at(69), "never longer than it may be now");
    // A factor that is missing is asked for before the approval, and no approval after it is foretold once there is one.
    let policy = policy(PLANT);
    let approvals = [approved(&policy, &request, &agreed).unwrap()];
    let (subject, asset, service, account) =
        (person("vera"), request.asset.clone(), "ssh".parse().unwrap(), "operator".parse().unwrap());
    let foretold = |approvals| {
        let request = Request {
            subject: &subject,
            asset: &asset,
            service: &service,
            account: &account,
            proofs: &[],
            live: &[],
            approvals,
        };
        match decide(&policy, &request, at(10)) {
            Decision::NeedFactors(need) => need.then_approval,
            other => panic!("{other}"),
        }
    };
    assert!(foretold(&[]) && !foretold(&approvals));
}

#[test]
fn who_may_ask_and_for_what() {
    let policy = policy(PLANT);
    let ask = |name: &str, asset: &str, service: Option<&str>, lasting| {
        let service = service.map(|service| service.parse().unwrap());
        may_request(&policy, &person(name), &asset.parse().unwrap(), service.as_ref(), lasting, at(0))
    };
    let services = |names: &[&str]| names.iter().map(|name| name.parse().unwrap()).collect();
    assert_eq!(ask("vera", "ews-1", None, hours(4)).unwrap().services, services(&["modbus", "ssh"]));
    assert_eq!(ask("vera", "ews-1", Some("ssh"), hours(4)).unwrap().services, services(&["ssh"]));
    assert!(matches!(ask("vera", "ews-1", None, hours(5)), Err(RequestDenial::TooLong { .. })));
    assert_eq!(ask("vera", "ews-1", None, SignedDuration::from_secs(59)), Err(RequestDenial::TooShort));
    assert_eq!(ask("vera", "ews-2", None, hours(1)), Err(RequestDenial::NotNeeded));
    assert_eq!(ask("leo", "ews-1", None, hours(1)), Err(RequestDenial::NoGrant));
    assert_eq!(ask("vera", "ews-9", None, hours(1)), Err(RequestDenial::NoGrant));
    assert_eq!(ask("vera", "ews-1", Some("vnc"), hours(1)), Err(RequestDenial::NoGrant));
}

#[test]
fn who_may_agree() {
    let policy = policy(PLANT);
    let may = |by: &str, of: &str| may_approve(&policy, &asked_by(of), &person(of), &person(by)).err();
    assert_eq!(may("leo", "vera"), None);
    assert_eq!(may("nick", "vera"), Some(ApprovalDenial::NotTheirs));
    assert_eq!(may("vera", "vera"), Some(ApprovalDenial::Own));
    assert_eq!(may("lea", "lea"), Some(ApprovalDenial::Own), "also whoever holds both roles");
    assert_eq!(may("leo", "nick"), Some(ApprovalDenial::Gone), "who asked holds the role no more");
    let grouped = Subject { groups: ["leads".to_owned()].into(), ..person("nick") };
    assert!(may_approve(&policy, &asked_by("vera"), &person("vera"), &grouped).is_ok());
    assert!(policy.is_asked_for_approvals(&grouped) && !policy.is_asked_for_approvals(&person("vera")));
    assert!(policy.asks_for_approval(&person("vera"), Some(&"ews-1".parse().unwrap())));
    assert!(!policy.asks_for_approval(&person("vera"), Some(&"ews-2".parse().unwrap())));
}

#[test]
fn a_request_waits_a_day_and_is_over() {
    let policy = policy(PLANT);
    let state = |agreed: &[(&str, i64)], minute| request_state(&policy, &asked_by("vera"), &given(agreed), at(minute));
    let day = 24 * 60;
    let waiting = |given| RequestState::Waiting { given, needed: 2, until: at(day) };
    assert_eq!(state(&[], 0), waiting(0));
    assert_eq!(state(&[("leo", 1)], day - 1), waiting(1));
    assert_eq!(state(&[("leo", 1)], day), RequestState::Over);
    assert_eq!(state(&[("leo", 1), ("lia", 2)], 3), RequestState::Approved { until: at(122) });
    assert_eq!(state(&[("leo", 1), ("lia", 2)], 122), RequestState::Over);
    let gone = policy_without();
    assert_eq!(request_state(&gone, &asked_by("vera"), &[], at(1)), RequestState::Gone);
}

fn policy_without() -> Policy {
    policy(&PLANT.replace("services = [\"ssh\", \"modbus\"]\naccounts", "services = [\"modbus\"]\naccounts"))
}
