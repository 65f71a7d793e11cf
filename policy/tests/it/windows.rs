//! Windows of time, to the second, across midnights and daylight-saving changes.

use expect_test::{Expect, expect};
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use sallyport_policy::{Decision, Policy, Proof, Request, Stretch, Subject, instant};

use crate::plant_file::policy;

/// A plant whose only grant holds at these times.
fn plant(condition: &str) -> Policy {
    policy(&format!(
        "[zone.z]\nnetworks = ['10.0.0.0/8']\n[[conduit]]\nto = 'z'\nservices = ['modbus']\n\
         [asset.plc]\nzone = 'z'\naddress = '10.0.0.1'\nservices.modbus = {{}}\n[role.r.members]\nidentities = ['*']\n\
         [[role.r.grant]]\nassets = ['plc']\nservices = ['modbus']\n{condition}\n"
    ))
}

/// When the session would have to end; `None` if it may not begin.
fn end(policy: &Policy, now: Timestamp) -> Option<Option<Timestamp>> {
    let subject = Subject { identity: "alice".parse().unwrap(), groups: Default::default() };
    let (asset, service) = ("plc".parse().unwrap(), "modbus".parse().unwrap());
    let proofs = [Proof { kind: sallyport_policy::FactorKind::Totp, at: now }];
    let account = sallyport_policy::AccountName::none();
    let request = Request {
        subject: &subject,
        asset: &asset,
        service: &service,
        account: &account,
        proofs: &proofs,
        live: &[],
        approvals: &[],
    };
    match sallyport_policy::decide(policy, &request, now) {
        Decision::Permit(permit) => Some(permit.terms.not_after),
        Decision::Deny(_) | Decision::NeedFactors(_) | Decision::NeedApproval(_) => None,
    }
}

/// At each instant (in Oslo), how the window stands.
fn check(condition: &str, instants: &[&str], expected: Expect) {
    let policy = plant(condition);
    let oslo = jiff::tz::TimeZoneDatabase::bundled().get("Europe/Oslo").unwrap();
    let mut answer = String::new();
    for text in instants {
        let now = instant(text).unwrap_or_else(|| panic!("{text}"));
        let end = match end(&policy, now) {
            None => "shut".to_owned(),
            Some(None) => "open without end".to_owned(),
            Some(Some(end)) => format!("open until {}", end.to_zoned(oslo.clone()).strftime("%a %F %T %:z")),
        };
        answer.push_str(&format!("{text}: {end}\n"));
    }
    expected.assert_eq(&answer);
}

#[test]
fn a_day_begins_and_ends_to_the_second() {
    check(
        "when = { days = 'Mon-Fri', from = '06:00', to = '18:00:30', timezone = 'Europe/Oslo' }",
        &[
            "2026-11-23T05:59:59.999999999[Europe/Oslo]",
            "2026-11-23T06:00:00[Europe/Oslo]",
            "2026-11-23T18:00:29.999999999[Europe/Oslo]",
            "2026-11-23T18:00:30[Europe/Oslo]",
            "2026-11-28T12:00:00[Europe/Oslo]",
        ],
        expect![[r#"
            2026-11-23T05:59:59.999999999[Europe/Oslo]: shut
            2026-11-23T06:00:00[Europe/Oslo]: open until Mon 2026-11-23 18:00:30 +01:00
            2026-11-23T18:00:29.999999999[Europe/Oslo]: open until Mon 2026-11-23 18:00:30 +01:00
            2026-11-23T18:00:30[Europe/Oslo]: shut
            2026-11-28T12:00:00[Europe/Oslo]: shut
        "#]],
    );
}

#[test]
fn a_night_belongs_to_the_day_it_begins_on() {
    check(
        "when = { days = 'Fri', from = '22:00', to = '06:00', timezone = 'Europe/Oslo' }",
        &[
            "2026-11-27T05:00:00[Europe/Oslo]",
            "2026-11-27T22:00:00[Europe/Oslo]",
            "2026-11-28T05:59:59[Europe/Oslo]",
            "2026-11-28T06:00:00[Europe/Oslo]",
            "2026-11-28T22:00:00[Europe/Oslo]",
        ],
        expect![[r#"
            2026-11-27T05:00:00[Europe/Oslo]: shut
            2026-11-27T22:00:00[Europe/Oslo]: open until Sat 2026-11-28 06:00:00 +01:00
            2026-11-28T05:59:59[Europe/Oslo]: open until Sat 2026-11-28 06:00:00 +01:00
            2026-11-28T06:00:00[Europe/Oslo]: shut
            2026-11-28T22:00:00[Europe/Oslo]: shut
        "#]],
    );
}

#[test]
fn windows_that_meet_are_one() {
    check(
        "when = [{ days = 'Mon', from = '06:00', to = '14:00', timezone = 'Europe/Oslo' }, { days = 'Mon', from = '13:00', to = '22:00', timezone = 'UTC' }, { days = 'Wed', timezone = 'Europe/Oslo' }]",
        &["2026-11-23T07:00:00[Europe/Oslo]", "2026-11-25T00:00:00[Europe/Oslo]", "2026-11-23T23:00:00[Europe/Oslo]"],
        expect![[r#"
            2026-11-23T07:00:00[Europe/Oslo]: open until Mon 2026-11-23 23:00:00 +01:00
            2026-11-25T00:00:00[Europe/Oslo]: open until Thu 2026-11-26 00:00:00 +01:00
            2026-11-23T23:00:00[Europe/Oslo]: shut
        "#]],
    );
    check(
        "when = { timezone = 'Europe/Oslo' }",
        &["2026-11-23T07:00:00[Europe/Oslo]"],
        expect![[r#"
        2026-11-23T07:00:00[Europe/Oslo]: open until Fri 2026-12-25 00:00:00 +01:00
    "#]],
    );
    check(
        "when = { from = '07:00', to = '07:00', timezone = 'Europe/Oslo', days = 'Mon' }",
        &["2026-11-23T07:00:00[Europe/Oslo]", "2026-11-24T06:59:59[Europe/Oslo]", "2026-11-24T07:00:00[Europe/Oslo]"],
        expect![[r#"
            2026-11-23T07:00:00[Europe/Oslo]: open until Tue 2026-11-24 07:00:00 +01:00
            2026-11-24T06:59:59[Europe/Oslo]: open until Tue 2026-11-24 07:00:00 +01:00
            2026-11-24T07:00:00[Europe/Oslo]: shut
        "#]],
    );
}

/// On 29 March 2026 clocks in Oslo go from 02:00 +01:00 to 03:00 +02:00.
#[test]
fn a_boundary_that_the_clock_skips_is_the_instant_of_the_change() {
    let instants = ["2026-03-29T01:59:59+01:00", "2026-03-29T03:00:00+02:00", "2026-03-29T03:59:59+02:00"];
    check(
        "when = { from = '02:30', to = '04:00', timezone = 'Europe/Oslo' }",
        &instants,
        expect![[r#"
        2026-03-29T01:59:59+01:00: shut
        2026-03-29T03:00:00+02:00: open until Sun 2026-03-29 04:00:00 +02:00
        2026-03-29T03:59:59+02:00: open until Sun 2026-03-29 04:00:00 +02:00
    "#]],
    );
    check(
        "when = { from = '01:00', to = '02:30', timezone = 'Europe/Oslo' }",
        &instants,
        expect![[r#"
        2026-03-29T01:59:59+01:00: open until Sun 2026-03-29 03:00:00 +02:00
        2026-03-29T03:00:00+02:00: shut
        2026-03-29T03:59:59+02:00: shut
    "#]],
    );
    check(
        "when = { from = '02:15', to = '02:45', timezone = 'Europe/Oslo' }",
        &instants,
        expect![[r#"
        2026-03-29T01:59:59+01:00: shut
        2026-03-29T03:00:00+02:00: shut
        2026-03-29T03:59:59+02:00: shut
    "#]],
    );
    check(
        "when = { days = 'Sat', from = '22:00', to = '06:00', timezone = 'Europe/Oslo' }",
        &instants,
        expect![[r#"
        2026-03-29T01:59:59+01:00: open until Sun 2026-03-29 06:00:00 +02:00
        2026-03-29T03:00:00+02:00: open until Sun 2026-03-29 06:00:00 +02:00
        2026-03-29T03:59:59+02:00: open until Sun 2026-03-29 06:00:00 +02:00
    "#]],
    );
}

/// On 25 October 2026 clocks in Oslo go from 03:00 +02:00 to 02:00 +01:00.
#[test]
fn a_boundary_that_the_clock_shows_twice_is_its_first_showing() {
    let instants = [
        "2026-10-25T02:29:59+02:00",
        "2026-10-25T02:30:00+02:00",
        "2026-10-25T02:15:00+01:00",
        "2026-10-25T02:30:00+01:00",
        "2026-10-25T03:59:59+01:00",
    ];
    check(
        "when = { from = '01:00', to = '02:30', timezone = 'Europe/Oslo' }",
        &instants,
        expect![[r#"
        2026-10-25T02:29:59+02:00: open until Sun 2026-10-25 02:30:00 +02:00
        2026-10-25T02:30:00+02:00: shut
        2026-10-25T02:15:00+01:00: shut
        2026-10-25T02:30:00+01:00: shut
        2026-10-25T03:59:59+01:00: shut
    "#]],
    );
    check(
        "when = { from = '02:30', to = '04:00', timezone = 'Europe/Oslo' }",
        &instants,
        expect![[r#"
        2026-10-25T02:29:59+02:00: shut
        2026-10-25T02:30:00+02:00: open until Sun 2026-10-25 04:00:00 +01:00
        2026-10-25T02:15:00+01:00: open until Sun 2026-10-25 04:00:00 +01:00
        2026-10-25T02:30:00+01:00: open until Sun 2026-10-25 04:00:00 +01:00
        2026-10-25T03:59:59+01:00: open until Sun 2026-10-25 04:00:00 +01:00
    "#]],
    );
    check(
        "when = { days = 'Sat', from = '22:00', to = '06:00', timezone = 'Europe/Oslo' }",
        &instants,
        expect![[r#"
        2026-10-25T02:29:59+02:00: open until Sun 2026-10-25 06:00:00 +01:00
        2026-10-25T02:30:00+02:00: open until Sun 2026-10-25 06:00:00 +01:00
        2026-10-25T02:15:00+01:00: open until Sun 2026-10-25 06:00:00 +01:00
        2026-10-25T02:30:00+01:00: open until Sun 2026-10-25 06:00:00 +01:00
        2026-10-25T03:59:59+01:00: open until Sun 2026-10-25 06:00:00 +01:00
    "#]],
    );
}

/// Samoa went from 29 to 31 December 2011 at midnight: there was no Friday.
#[test]
fn a_day_that_a_place_skips_has_no_window() {
    check(
        "when = { days = 'Fri', timezone = 'Pacific/Apia' }",
        &["2011-12-30T09:59:59Z", "2011-12-30T10:00:00Z", "2012-01-05T12:00:00Z"],
        expect![[r#"
            2011-12-30T09:59:59Z: shut
            2011-12-30T10:00:00Z: shut
            2012-01-05T12:00:00Z: open until Fri 2012-01-06 11:00:00 +01:00
        "#]],
    );
    check(
        "when = { days = 'Thu', from = '12:00', to = '06:00', timezone = 'Pacific/Apia' }",
        &["2011-12-30T09:59:59Z", "2011-12-30T10:00:00Z"],
        expect![[r#"
            2011-12-30T09:59:59Z: open until Fri 2011-12-30 11:00:00 +01:00
            2011-12-30T10:00:00Z: shut
        "#]],
    );
}

#[test]
fn the_end_of_the_grant_ends_the_window_too() {
    let condition = "when = { from = '06:00', to = '18:00', timezone = 'Europe/Oslo' }\nvalid_from = '2026-11-23T08:00:00[Europe/Oslo]'\nvalid_until = '2026-11-23T12:00:00[Europe/Oslo]'";
    check(
        condition,
        &[
            "2026-11-23T07:59:59[Europe/Oslo]",
            "2026-11-23T08:00:00[Europe/Oslo]",
            "2026-11-23T11:59:59[Europe/Oslo]",
            "2026-11-23T12:00:00[Europe/Oslo]",
        ],
        expect![[r#"
            2026-11-23T07:59:59[Europe/Oslo]: shut
            2026-11-23T08:00:00[Europe/Oslo]: open until Mon 2026-11-23 12:00:00 +01:00
            2026-11-23T11:59:59[Europe/Oslo]: open until Mon 2026-11-23 12:00:00 +01:00
            2026-11-23T12:00:00[Europe/Oslo]: shut
        "#]],
    );
    check(
        "",
        &["2026-11-23T12:00:00Z"],
        expect![[r#"
        2026-11-23T12:00:00Z: open without end
    "#]],
    );
}

/// The stretch of a filter's rule with this condition: open now, or the next.
fn stretch(when: &str, now: Timestamp) -> Option<Stretch> {
    let text = format!("[filter.x]\nmodbus = [{{ operations = ['write'], when = {when} }}]\n");
    policy(&text).filter("x").unwrap().modbus.as_ref().unwrap()[0].stretch(now)
}

#[test]
fn a_rule_s_window_is_given_as_instants() {
    let oslo = jiff::tz::TimeZoneDatabase::bundled().get("Europe/Oslo").unwrap();
    let mut answers = String::new();
    for (when, now) in [
        (
            "{ days = 'Mon-Fri', from = '06:00', to = '18:00', timezone = 'Europe/Oslo' }",
            "2026-11-23T05:59:59[Europe/Oslo]",
        ),
        (
            "{ days = 'Mon-Fri', from = '06:00', to = '18:00', timezone = 'Europe/Oslo' }",
            "2026-11-23T17:59:59[Europe/Oslo]",
        ),
        (
            "{ days = 'Mon-Fri', from = '06:00', to = '18:00', timezone = 'Europe/Oslo' }",
            "2026-11-27T18:00:00[Europe/Oslo]",
        ),
        (
            "{ days = 'Fri', from = '22:00', to = '06:00', timezone = 'Europe/Oslo' }",
            "2026-11-28T05:00:00[Europe/Oslo]",
        ),
        (
            "{ days = 'Fri', from = '22:00', to = '06:00', timezone = 'Europe/Oslo' }",
            "2026-11-28T06:00:00[Europe/Oslo]",
        ),
        (
            "[{ days = 'Mon', from = '22:00', timezone = 'Europe/Oslo' }, { days = 'Tue', to = '06:00', timezone = 'Europe/Oslo' }]",
            "2026-11-23T12:00:00Z",
        ),
        ("{ from = '02:30', to = '04:00', timezone = 'Europe/Oslo' }", "2026-03-29T00:00:00[Europe/Oslo]"),
        ("{ from = '02:30', to = '04:00', timezone = 'Europe/Oslo' }", "2026-10-25T00:00:00[Europe/Oslo]"),
        ("{ from = '02:10', to = '02:40', timezone = 'Europe/Oslo' }", "2026-03-29T00:00:00[Europe/Oslo]"),
        ("{ days = 'Fri', timezone = 'Pacific/Apia' }", "2011-12-24T12:00:00Z"),
    ] {
        let Stretch { from, until } = stretch(when, instant(now).unwrap()).unwrap();
        let text = |at: Timestamp| at.to_zoned(oslo.clone()).strftime("%a %F %T %:z").to_string();
        answers.push_str(&format!("{now}: {} until {}\n", text(from), text(until)));
    }
    expect![[r#"
        2026-11-23T05:59:59[Europe/Oslo]: Mon 2026-11-23 06:00:00 +01:00 until Mon 2026-11-23 18:00:00 +01:00
        2026-11-23T17:59:59[Europe/Oslo]: Mon 2026-11-23 06:00:00 +01:00 until Mon 2026-11-23 18:00:00 +01:00
        2026-11-27T18:00:00[Europe/Oslo]: Mon 2026-11-30 06:00:00 +01:00 until Mon 2026-11-30 18:00:00 +01:00
        2026-11-28T05:00:00[Europe/Oslo]: Fri 2026-11-27 22:00:00 +01:00 until Sat 2026-11-28 06:00:00 +01:00
        2026-11-28T06:00:00[Europe/Oslo]: Fri 2026-12-04 22:00:00 +01:00 until Sat 2026-12-05 06:00:00 +01:00
        2026-11-23T12:00:00Z: Mon 2026-11-23 22:00:00 +01:00 until Tue 2026-11-24 06:00:00 +01:00
        2026-03-29T00:00:00[Europe/Oslo]: Sun 2026-03-29 03:00:00 +02:00 until Sun 2026-03-29 04:00:00 +02:00
        2026-10-25T00:00:00[Europe/Oslo]: Sun 2026-10-25 02:30:00 +02:00 until Sun 2026-10-25 04:00:00 +01:00
        2026-03-29T00:00:00[Europe/Oslo]: Mon 2026-03-30 02:10:00 +02:00 until Mon 2026-03-30 02:40:00 +02:00
        2011-12-24T12:00:00Z: Thu 2012-01-05 11:00:00 +01:00 until Fri 2012-01-06 11:00:00 +01:00
    "#]]
    .assert_eq(&answers);
}

#[test]
fn the_ends_of_time_do_not_panic() {
    for zone in ["Europe/Oslo", "Pacific/Apia", "UTC"] {
        let policy = plant(&format!("when = {{ from = '22:00', to = '06:00', timezone = '{zone}' }}"));
        for now in [Timestamp::MIN, Timestamp::MAX, Timestamp::UNIX_EPOCH] {
            let open = end(&policy, now);
            assert!(open.flatten().is_none_or(|end| end > now));
            let stretch = stretch(&format!("{{ from = '22:00', to = '06:00', timezone = '{zone}' }}"), now);
            assert!(stretch.is_none_or(|stretch| now < stretch.until && stretch.from < stretch.until));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(128) })]

    /// Two windows that meet on the wall clock cover every instant once, whatever the clock does.
    #[test]
    fn nothing_is_lost_or_doubled_where_windows_meet(
        from in 0..96_u32,
        to in 0..96_u32,
        zone in proptest::sample::select(vec!["Europe/Oslo", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia"]),
        second in prop_oneof![1_767_225_600_i64..1_798_761_600, 1_324_900_000_i64..1_325_500_000, 1_792_800_000_i64..1_793_000_000],
    ) {
        prop_assume!(from != to);
        let time = |quarters: u32| format!("{:02}:{:02}", quarters / 4, quarters % 4 * 15);
        let window = |from, to| plant(&format!("when = {{ from = '{}', to = '{}', timezone = '{zone}' }}", time(from), time(to)));
        let now = Timestamp::from_second(second).unwrap();
        let (one, other) = (end(&window(from, to), now), end(&window(to, from), now));
        prop_assert!(one.is_some() != other.is_some(), "{one:?} {other:?}");
        let until = one.or(other).flatten().unwrap();
        prop_assert!(now < until && until.duration_since(now) <= SignedDuration::from_hours(50));
    }
    /// What is given to the protocol filter as instants says the same as the window itself, at every moment.
    #[test]
    fn a_stretch_is_open_from_its_beginning_to_its_end_and_shut_until_then(
        windows in proptest::collection::vec(crate::random::window(), 1..3),
        now in crate::random::instant(),
        at in 0.0..1.0_f64,
    ) {
        let windows: Vec<String> = windows.iter().map(crate::random::Window::toml).collect();
        let when = format!("[{}]", windows.join(", "));
        let grant = plant(&format!("when = {when}"));
        let open = |at: Timestamp| end(&grant, at).is_some();
        let stretch = stretch(&when, now).unwrap();
        prop_assert!(now < stretch.until && stretch.from < stretch.until);
        let within = |from: Timestamp, until: Timestamp| {
            from + SignedDuration::from_secs_f64(until.duration_since(from).as_secs_f64() * at)
        };
        prop_assert_eq!(open(now), stretch.from <= now);
        prop_assert!(open(stretch.from));
        prop_assert!(open(within(stretch.from, stretch.until).min(stretch.until - SignedDuration::from_nanos(1))));
        prop_assert!(open(stretch.until - SignedDuration::from_nanos(1)));
        if now < stretch.from {
            prop_assert!(!open(within(now, stretch.from).min(stretch.from - SignedDuration::from_nanos(1))));
            prop_assert!(!open(stretch.from - SignedDuration::from_nanos(1)));
        }
        // Windows that meet are followed for a month of days; any other end is the end.
        if stretch.until.duration_since(now) < SignedDuration::from_hours(24 * 14) {
            prop_assert!(!open(stretch.until));
        }
    }
}
