//! What a person reaches: the lobby's table, accounts left out, names and addresses.

use proptest::prelude::*;
use sallyport_policy::{AccountName, Policy, Reach, Subject, decide_again, held_permit};

use crate::plant_file::{PLANT, policy};
use crate::random::{asked, plant};

fn subject(identity: &str, groups: &[&str]) -> Subject {
    Subject { identity: identity.parse().unwrap(), groups: groups.iter().map(|group| (*group).to_owned()).collect() }
}

fn located(policy: &Policy, host: &str, port: u16) -> Option<String> {
    policy.locate(host, port).map(|(asset, service)| format!("{} {}", asset.id, service.name))
}

#[test]
fn an_asset_is_located_by_name_or_literal_address_and_a_port_of_its_services() {
    let policy = policy(PLANT);
    for (host, port, expected) in [
        ("ews-1", 22, Some("ews-1 ssh")),
        ("EWS-1", 5900, Some("ews-1 vnc")),
        ("ews-1", 5450, Some("ews-1 historian")),
        ("10.10.1.20", 22, Some("ews-1 ssh")),
        ("::ffff:10.10.1.20", 22, Some("ews-1 ssh")),
        ("2001:db8:9::1", 502, Some("sis-1 modbus")),
        ("[2001:DB8:9:0::1]", 22, Some("sis-1 ssh")),
        ("plc-1", 502, Some("plc-1 modbus")),
        ("plc-1", 22, None),
        ("ews-1", 23, None),
        ("ews-1.", 22, None),
        ("ews", 22, None),
        ("*", 22, None),
        ("", 22, None),
        ("10.10.1.21", 22, None),
        ("010.10.1.20", 22, None),
        ("10.10.276", 22, None),
        ("[10.10.1.20", 22, None),
        ("ews-1", 0, None),
    ] {
        assert_eq!(located(&policy, host, port).as_deref(), expected, "{host}:{port}");
    }
}

#[test]
fn accounts_are_those_granted_whatever_the_hour() {
    let policy = policy(PLANT);
    for (who, asset, service, expected) in [
        (subject("alice", &[]), "ews-1", "ssh", vec!["maintenance", "operator"]),
        (subject("peter", &["Process Engineers"]), "ews-1", "ssh", vec!["operator"]),
        (subject("peter", &["Process Engineers"]), "plc-1", "modbus", vec!["-"]),
        (subject("victor", &["vendor:acme"]), "ews-1", "ssh", vec!["maintenance"]),
        (subject("eve", &["Process Engineers"]), "sis-1", "ssh", vec!["operator"]),
        (subject("eve", &["Process Engineers", "vendor:acme"]), "sis-1", "ssh", vec![]),
        (subject("eve", &[]), "sis-1", "modbus", vec![]),
        (subject("mallory", &["Process Engineers"]), "ews-1", "ssh", vec![]),
        (subject("bob", &[]), "ews-1", "ssh", vec![]),
        (subject("alice", &[]), "ews-2", "ssh", vec![]),
        (subject("alice", &[]), "ews-1", "rdp", vec![]),
    ] {
        let accounts = policy.accounts(&who, &asset.parse().unwrap(), &service.parse().unwrap());
        assert_eq!(accounts.iter().map(AccountName::as_str).collect::<Vec<_>>(), expected, "{who:?} {asset} {service}");
    }
}

#[test]
fn the_longest_lease_is_that_of_any_grant_of_theirs() {
    let policy = policy(PLANT);
    for (who, seconds) in [
        (subject("peter", &["Process Engineers"]), 900),
        (subject("alice", &[]), 3_600),
        (subject("lena", &[]), 0),
        (subject("bob", &[]), 0),
    ] {
        assert_eq!(policy.longest_lease(&who).as_secs(), seconds, "{who:?}");
    }
}

#[test]
fn how_much_somebody_may_have_at_once_is_what_the_most_generous_of_their_grants_allows() {
    let plant = PLANT.replacen("concurrent = 2 }", "sessions = 3, connections = 4 }", 1).replacen(
        "recorder_trouble = \"end\" }",
        "sessions = 100, connections = 40 }",
        1,
    );
    let policy = policy(&plant);
    for (who, sessions, connections) in [
        (subject("peter", &["Process Engineers"]), 3, 4),
        // Another grant of theirs says nothing, and so gives what is usual.
        (subject("somebody", &["vendor:acme"]), 100, 40),
        (subject("alice", &[]), 64, 32),
        (subject("without-a-role", &[]), 64, 32),
    ] {
        assert_eq!((policy.sessions(&who), policy.connections(&who)), (sessions, connections), "{who:?}");
    }
}

/// A lease says when a session may begin; a live one goes on when its code has grown old, and ends with its window.
#[test]
fn a_live_session_is_not_ended_by_the_age_of_its_code() {
    let policy = policy(PLANT);
    let who = subject("alice", &[]);
    let (asset, service) = ("ews-1".parse().unwrap(), "ssh".parse().unwrap());
    let account = "operator".parse().unwrap();
    let begin = sallyport_policy::instant("2026-11-23T10:00:00[Europe/Oslo]").unwrap();
    let proofs = [sallyport_policy::Proof { kind: sallyport_policy::FactorKind::Totp, at: begin }];
    let request = sallyport_policy::Request {
        subject: &who,
        asset: &asset,
        service: &service,
        account: &account,
        proofs: &proofs,
        live: &[],
        approvals: &[],
    };
    let word = |authorized, now| match decide_again(&policy, &request, authorized, now) {
        sallyport_policy::Decision::Permit(_) => "permit",
        sallyport_policy::Decision::NeedFactors(_) => "need factors",
        sallyport_policy::Decision::NeedApproval(_) => "need approval",
        sallyport_policy::Decision::Deny(_) => "deny",
    };
    let hours = jiff::SignedDuration::from_hours;
    assert_eq!(word(begin, begin + hours(3)), "permit");
    assert_eq!(word(begin + hours(3), begin + hours(3)), "need factors");
    assert_eq!(word(begin, begin + hours(8)), "deny");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(128) })]

    /// What the grant of a permit still gives is what it gave; no other grant speaks for it, and what is denied is not held.
    #[test]
    fn a_permit_is_held_by_its_own_grant(plant in plant(), asked in asked()) {
        let policy = plant.policy();
        asked.with_request(|request| {
            let held = |rule: &sallyport_policy::RuleRef| held_permit(&policy, request, rule, asked.now, asked.now);
            match sallyport_policy::decide(&policy, request, asked.now) {
                sallyport_policy::Decision::Permit(permit) => {
                    let rule = permit.rule.grant().unwrap().clone();
                    assert_eq!(held(&rule), Some(permit.clone()));
                    let other = sallyport_policy::RuleRef { grant: rule.grant + 1000, ..rule };
                    assert_eq!(held(&other), None);
                }
                sallyport_policy::Decision::Deny(_)
                | sallyport_policy::Decision::NeedFactors(_)
                | sallyport_policy::Decision::NeedApproval(_) => {
                    for role in policy.roles() {
                        for grant in &role.grants {
                            assert_eq!(held(&grant.rule), None);
                        }
                    }
                }
            }
        });
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(128) })]

    /// The table holds what is not denied for good, each with the decision that asking would get.
    #[test]
    fn reach_says_what_decide_says(plant in plant(), asked in asked()) {
        let policy = plant.policy();
        let reach = policy.reach(&asked.subject, &asked.proofs, &asked.live_sessions(), &[], asked.now);
        let found = reach.iter().find(|Reach { asset, service, account, .. }| {
            asset.as_str() == asked.asset && service.as_str() == asked.service && account.as_str() == asked.account
        });
        let decision = asked.decide(&policy);
        match found {
            Some(found) => prop_assert_eq!(&found.decision, &decision),
            None => prop_assert!(matches!(decision, sallyport_policy::Decision::Deny(_)), "{:?}", decision),
        }
    }
}
