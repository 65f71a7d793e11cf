//! The laws of a decision, over random plants and requests.

use jiff::SignedDuration;
use proptest::prelude::*;
use proptest::sample::Index;
use sallyport_policy::{Decision, FileTransfer, PlantFile, Policy, Proof, Terms};

use crate::plant_file::{PLANT, file, policy};
use crate::random::{Asked, FILTERS, Plant, asked, forbid, grant, plant};

/// How much a decision gives.
fn rank(decision: &Decision) -> u8 {
    match decision {
        Decision::Deny(_) => 0,
        Decision::NeedApproval(_) => 1,
        Decision::NeedFactors(_) => 2,
        Decision::Permit(_) => 3,
    }
}

/// A decision without the places of its rules, which move with the order of the file.
fn gist(decision: &Decision) -> String {
    match decision {
        Decision::Deny(denial) => format!("deny {}", denial.code()),
        Decision::NeedApproval(approval) => format!("approval {} {}", approval.by, approval.count),
        Decision::NeedFactors(need) => format!("factors {:?} {:?} {}", need.any_of, need.max_age, need.then_approval),
        Decision::Permit(permit) => {
            format!("permit {:?} {:?}", permit.rule.grant().map(|rule| &rule.role), permit.terms)
        }
    }
}

fn without_limits(plant: &Plant) -> Plant {
    let mut plant = plant.clone();
    // Which session counts for which grant depends on the grants' numbers, and so on their order.
    plant.grants.iter_mut().for_each(|grant| grant.concurrent = None);
    plant
}

/// What terms give before anything else: the filter, where the protocol has one, then files.
fn rights(terms: &Terms) -> (Option<usize>, FileTransfer) {
    let width = |filter: &String| match FILTERS.iter().position(|known| known == filter) {
        Some(0 | 1) => 1,
        Some(width) => width,
        None => panic!("{filter}"),
    };
    (terms.filter.as_ref().map(width), terms.file_transfer)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    #[test]
    fn the_empty_policy_denies(asked in asked()) {
        prop_assert_eq!(rank(&asked.decide(&Policy::empty())), 0);
    }

    #[test]
    fn without_a_grant_everything_is_denied(mut plant in plant(), asked in asked()) {
        plant.grants.clear();
        prop_assert_eq!(rank(&asked.decide(&plant.policy())), 0);
    }

    #[test]
    fn a_forbid_never_permits_more(plant in plant(), extra in forbid(), requests in proptest::collection::vec(asked(), 16)) {
        let before = plant.policy();
        let after = policy(&(plant.toml() + &extra.toml()));
        for asked in requests {
            let (before, after) = (asked.decide(&before), asked.decide(&after));
            prop_assert!(rank(&after) == 0 || before == after, "{before:?} {after:?}");
        }
    }

    #[test]
    fn a_grant_never_permits_less(plant in plant(), extra in grant(), requests in proptest::collection::vec(asked(), 16)) {
        let before = plant.policy();
        let after = policy(&(plant.toml() + &extra.toml()));
        for asked in requests {
            let (before, after) = (asked.decide(&before), asked.decide(&after));
            prop_assert!(rank(&after) >= rank(&before));
            if let (Decision::Permit(before), Decision::Permit(after)) = (before, after) {
                prop_assert!(rights(&after.terms) >= rights(&before.terms));
            }
        }
    }

    #[test]
    fn order_is_irrelevant(
        plant in plant(),
        requests in proptest::collection::vec(asked(), 16),
        order in proptest::collection::vec(any::<u32>(), 16),
    ) {
        let plant = without_limits(&plant);
        let mut other = plant.clone();
        let mut sections: Vec<(u32, crate::random::Grant)> = order.iter().copied().zip(other.grants.clone()).collect();
        sections.sort_by_key(|(key, _)| *key);
        other.grants = sections.into_iter().map(|(_, grant)| grant).collect();
        other.forbids.reverse();
        other.conduits.reverse();
        let (one, other) = (plant.policy(), other.policy());
        for asked in requests {
            prop_assert_eq!(gist(&asked.decide(&one)), gist(&asked.decide(&other)));
        }
    }

    #[test]
    fn files_and_their_order_are_irrelevant(plant in plant(), requests in proptest::collection::vec(asked(), 16), cut in 0..7_usize, turn in 0..4_usize) {
        let plant = without_limits(&plant);
        let (early, late) = plant.grants.split_at(cut.min(plant.grants.len()));
        let mut split: Vec<PlantFile> = vec![
            file("d.toml", &plant.ground()),
            file("c.toml", &plant.rules(late)),
            file("b.toml", &plant.rules(early)),
            file("a.toml", &plant.forbids()),
        ];
        let one = Policy::parse(&split).unwrap();
        split.rotate_left(turn);
        let turned = Policy::parse(&split).unwrap();
        let whole = plant.policy();
        for asked in requests {
            prop_assert_eq!(asked.decide(&one), asked.decide(&turned));
            prop_assert_eq!(gist(&asked.decide(&one)), gist(&asked.decide(&whole)));
        }
    }

    #[test]
    fn fewer_factors_never_gain(plant in plant(), asked in asked(), kept in any::<u8>()) {
        let policy = plant.policy();
        let fewer: Vec<Proof> =
            asked.proofs.iter().enumerate().filter(|(n, _)| kept & (1 << n) != 0).map(|(_, proof)| *proof).collect();
        let (all, some) = (asked.decide(&policy), asked.decide_with(&policy, &fewer, asked.now));
        match (&all, &some) {
            (Decision::Permit(all), Decision::Permit(some)) => prop_assert!(rights(&all.terms) >= rights(&some.terms)),
            // Proving the last factor that one grant asks for shows that it wants approval too: no loss of access.
            (Decision::NeedApproval(_), Decision::NeedFactors(_)) => {}
            (all, some) => prop_assert!(rank(some) <= rank(all), "{some:?} {all:?}"),
        }
    }

    #[test]
    fn without_a_second_factor_nothing_is_permitted(plant in plant(), asked in asked()) {
        let first: Vec<Proof> = asked.proofs.iter().filter(|proof| !proof.kind.is_second()).copied().collect();
        prop_assert!(rank(&asked.decide_with(&plant.policy(), &first, asked.now)) < 3);
    }

    #[test]
    fn older_factors_never_gain(plant in plant(), asked in asked(), by in 0..4_000_i64) {
        let policy = plant.policy();
        let age = |proof: &Proof| {
            // A proof from the future may become valid by waiting: that is the clock's doing and not an older proof.
            if proof.at > asked.now { *proof } else { Proof { at: proof.at - SignedDuration::from_secs(by), ..*proof } }
        };
        let older: Vec<Proof> = asked.proofs.iter().map(age).collect();
        let (fresh, old) = (asked.decide(&policy), asked.decide_with(&policy, &older, asked.now));
        prop_assert!(rank(&old) < 3 || rank(&fresh) == 3);
    }

    #[test]
    fn what_is_asked_for_is_enough(plant in plant(), asked in asked(), which in any::<Index>()) {
        let policy = plant.policy();
        // Each round proves one of the kinds asked for, that was not proven before.
        let mut proofs = asked.proofs.clone();
        for _ in 0..7 {
            let Decision::NeedFactors(need) = asked.decide_with(&policy, &proofs, asked.now) else { break };
            let kinds: Vec<_> = need.any_of.iter().copied().collect();
            prop_assert!(!kinds.is_empty());
            proofs.push(Proof { kind: *which.get(&kinds), at: asked.now });
        }
        let last = asked.decide_with(&policy, &proofs, asked.now);
        prop_assert!(!matches!(last, Decision::NeedFactors(_)), "{last:?}");
        prop_assert_eq!(rank(&last) > 0, rank(&asked.decide(&policy)) > 0);
    }

    #[test]
    fn terms_never_outlive_the_grant_and_its_window(mut plant in plant(), asked in asked(), at in 0.0..1.0_f64) {
        plant.grants.truncate(1);
        let policy = plant.policy();
        let Decision::Permit(permit) = asked.decide(&policy) else { return Ok(()) };
        let Some(end) = permit.terms.not_after else {
            let grant = &plant.grants[0];
            prop_assert!(grant.windows.is_empty() && grant.valid_until.is_none());
            return Ok(());
        };
        prop_assert!(asked.now < end);
        let open = end.duration_since(asked.now);
        let within = asked.now + SignedDuration::from_secs_f64(open.as_secs_f64() * at);
        let again = |now| {
            let proofs: Vec<Proof> = asked.proofs.iter().map(|proof| Proof { at: now, ..*proof }).collect();
            rank(&asked.decide_with(&policy, &proofs, now))
        };
        let proven_again = again(asked.now);
        prop_assert_eq!(proven_again, 3);
        prop_assert_eq!(again(within.min(end - SignedDuration::from_nanos(1))), 3);
        prop_assert_eq!(again(end - SignedDuration::from_nanos(1)), 3);
        // Windows are followed for a month where they meet; any other end is the end.
        if open < SignedDuration::from_hours(24 * 14) {
            prop_assert_eq!(again(end), 0);
        }
    }

    #[test]
    fn nothing_passes_a_conduit_that_does_not_name_it(mut plant in plant(), requests in proptest::collection::vec(asked(), 16)) {
        plant.forbids.clear();
        for asked in requests {
            let mut narrowed = plant.clone();
            for conduit in &mut narrowed.conduits {
                conduit.services.retain(|service| *service != asked.service);
            }
            narrowed.conduits.retain(|conduit| !conduit.services.is_empty());
            prop_assert_eq!(rank(&asked.decide(&narrowed.policy())), 0);
        }
    }

    #[test]
    fn the_filter_of_a_permit_speaks_of_its_protocol(plant in plant(), requests in proptest::collection::vec(asked(), 16)) {
        let policy = plant.policy();
        for asked in requests {
            let Decision::Permit(permit) = asked.decide(&policy) else { continue };
            let filter = permit.terms.filter.as_deref();
            let meant = match asked.service {
                "modbus" => ["read-only", "observe", "full", "writes"].map(Some).contains(&filter),
                "vnc" => ["view-only", "interactive", "observe", "full", "eyes"].map(Some).contains(&filter),
                _ => filter.is_none(),
            };
            prop_assert!(meant, "{} {filter:?}", asked.service);
            let resolved = policy.filter_for(&asked.asset.parse().unwrap(), &asked.service.parse().unwrap(), &permit.terms);
            prop_assert_eq!(resolved.as_ref().map(|resolved| resolved.name.as_str()), filter);
        }
    }

    #[test]
    fn decide_is_deterministic_and_explain_agrees(plant in plant(), asked in asked()) {
        let policy = plant.policy();
        let decision = asked.decide(&policy);
        prop_assert_eq!(&decision, &asked.decide(&policy.clone()));
        let explanation = explanation(&policy, &asked);
        prop_assert_eq!(&decision, &explanation.decision);
        let says_yes = explanation.grants.iter().any(|grant| grant.unmet.is_empty());
        if rank(&decision) == 3 {
            prop_assert!(says_yes && explanation.forbids.is_empty());
        }
        prop_assert!(!explanation.to_string().is_empty());
    }

    #[test]
    fn reading_is_total(text in any::<String>()) {
        read(&text);
    }

    #[test]
    fn reading_a_damaged_plant_is_total(begin in any::<Index>(), length in 0..80_usize, insert in "[\\[\\]{}=.,\"'#\n a-z0-9:*é-]{0,12}") {
        let chars: Vec<char> = PLANT.chars().collect();
        let begin = begin.index(chars.len());
        let end = (begin + length).min(chars.len());
        let damaged: String =
            chars[..begin].iter().copied().chain(insert.chars()).chain(chars[end..].iter().copied()).collect();
        read(&damaged);
    }

    #[test]
    fn reading_random_sections_is_total(lines in proptest::collection::vec(line(), 0..24)) {
        read(&lines.concat());
    }
}

/// Whatever is read gives a policy or errors that point into the text.
fn read(text: &str) {
    if let Err(errors) = Policy::parse(&[file("plant.toml", text)]) {
        assert!(errors.iter().count() > 0);
        for error in errors.iter() {
            let line = text.split('\n').nth(error.line - 1);
            assert!(line.is_some_and(|line| error.column <= line.chars().count() + 1), "{error}");
        }
    }
}

fn line() -> impl Strategy<Value = String> {
    let key = proptest::sample::select(vec![
        "zone",
        "level",
        "networks",
        "to",
        "from",
        "services",
        "services.ssh",
        "address",
        "host_key",
        "accounts",
        "auth",
        "assets",
        "identities",
        "groups",
        "when",
        "days",
        "timezone",
        "factors",
        "lease",
        "approval",
        "by",
        "count",
        "terms",
        "concurrent",
        "channels",
        "env",
        "modbus",
        "unit",
        "values",
        "operations",
        "tag_list",
        "vnc",
        "rdp",
        "mode",
        "for",
        "max",
        "valid_from",
        "tags",
        "port",
        "protocol",
        "broker",
    ]);
    let value = proptest::sample::select(vec![
        "1",
        "-1",
        "99999999999999999999",
        "1.5",
        "nan",
        "true",
        "\"\"",
        "\"*\"",
        "\"a\"",
        "\"tag:\"",
        "\"zone:a\"",
        "\":\"",
        "[]",
        "[[]]",
        "[\"a\", 1]",
        "{}",
        "{ a = {} }",
        "2026-11-23",
        "2026-11-23T00:00:00Z",
        "07:00:00",
        "\"10.0.0.0/8\"",
        "[\"10.0.0.1\"]",
        "\"Mon-\"",
        "\"99:99\"",
        "\"ssh-ed25519 AAAA\"",
        "{ from = \"23:00\", timezone = \"Europe/Oslo\" }",
    ]);
    let header = proptest::sample::select(vec![
        "[zone.a]",
        "[[conduit]]",
        "[asset.a]",
        "[asset.a.services.ssh]",
        "[asset.a.accounts.b]",
        "[filter.a]",
        "[[role.a.window]]",
        "[role.a]",
        "[[role.a.grant]]",
        "[role.a.members]",
        "[[forbid]]",
        "[break_glass.a]",
        "[role.a.grant.terms]",
    ]);
    prop_oneof![
        2 => (key, value).prop_map(|(key, value)| format!("{key} = {value}\n")),
        1 => header.prop_map(|header| format!("{header}\n")),
    ]
}

fn explanation(policy: &Policy, asked: &Asked) -> sallyport_policy::Explanation {
    let (asset, service) = (asked.asset.parse().unwrap(), asked.service.parse().unwrap());
    let account = asked.account.parse().unwrap();
    let live = asked.live_sessions();
    let request = sallyport_policy::Request {
        subject: &asked.subject,
        asset: &asset,
        service: &service,
        account: &account,
        proofs: &asked.proofs,
        live: &live,
        approvals: &[],
    };
    sallyport_policy::explain(policy, &request, asked.now)
}
