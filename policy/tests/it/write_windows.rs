//! Write windows: who may open one, for whom, where and for how long, and what it adds.

use expect_test::{Expect, expect};
use jiff::SignedDuration;
use proptest::prelude::*;
use sallyport_policy::{Opening, PlantFile, Policy, Subject, WindowPoints, WriteWindow, may_open};

use crate::plant_file::file;

const NOW: &str = "2026-11-23T12:00:00Z";

fn files(rest: &str) -> Vec<PlantFile> {
    let ground = r#"
[zone.a]
networks = ["10.0.0.0/16"]
[zone.shut]
networks = ["10.1.0.0/16"]
[[conduit]]
to = "a"
services = ["modbus", "vnc", "gateway"]
[asset.plc-1]
zone = "a"
address = "10.0.0.1"
services = { modbus = { tag_list = "plc-1.csv" }, vnc = {}, gateway = { protocol = "modbus", port = 503 } }
accounts.view = { auth = "prompt" }
[asset.plc-2]
zone = "a"
address = "10.0.0.2"
services.modbus = {}
[asset.plc-3]
zone = "shut"
address = "10.1.0.3"
services.modbus = {}

[[role.engineer.grant]]
assets = ["*"]
services = ["*"]
accounts = ["view"]
[role.engineer.members]
identities = ["alice", "lena", "mallory"]
groups = ["engineers"]

[[role.shift-lead.window]]
assets = ["plc-1", "plc-3"]
services = ["modbus"]
max = "2h"
for = ["role:engineer", "vera"]
[[role.shift-lead.window]]
assets = ["plc-1"]
services = ["modbus"]
max = "30m"
for = ["role:engineer"]
[role.shift-lead.members]
identities = ["lena", "lars", "mallory"]

[[forbid]]
identities = ["mallory"]
assets = ["plc-1"]
"#;
    let tags = "name,reference,type\nsetpoint,40101,f32\nlevel,30001,u16\n";
    vec![file("ground.toml", ground), file("plant.toml", rest), file("plc-1.csv", tags)]
}

fn policy() -> Policy {
    Policy::parse(&files("")).unwrap_or_else(|errors| panic!("{errors}"))
}

fn subject(identity: &str) -> Subject {
    let groups = if identity == "gina" { vec!["engineers".to_owned()] } else { Vec::new() };
    Subject { identity: identity.parse().unwrap(), groups: groups.into_iter().collect() }
}

/// A window of an hour from now on, that Lena opens for Alice.
fn window() -> WriteWindow {
    let from = sallyport_policy::instant(NOW).unwrap();
    WriteWindow {
        id: "01ARZ3".parse().unwrap(),
        identity: "alice".parse().unwrap(),
        asset: "plc-1".parse().unwrap(),
        service: "modbus".parse().unwrap(),
        points: "40101-40110".parse().unwrap(),
        unit: None,
        from,
        until: from + SignedDuration::from_hours(1),
        opened_by: "lena".parse().unwrap(),
        ticket: Some("4711".to_owned()),
    }
}

fn ask(policy: &Policy, window: &WriteWindow) -> Opening {
    let (opener, person) = (subject(window.opened_by.as_str()), subject(window.identity.as_str()));
    may_open(policy, &opener, &person, window, sallyport_policy::instant(NOW).unwrap())
}

fn answer(change: impl FnOnce(&mut WriteWindow)) -> String {
    let mut window = window();
    change(&mut window);
    match ask(&policy(), &window) {
        Opening::Permit(rule) => format!("yes: {rule}\n"),
        Opening::Deny(denial) => format!("no: {denial}\n"),
    }
}

#[test]
fn a_role_opens_windows_for_others_where_and_for_as_long_as_it_says() {
    let minutes = |window: &mut WriteWindow, minutes| window.until = window.from + SignedDuration::from_mins(minutes);
    let at = |window: &mut WriteWindow, asset: &str| window.asset = asset.parse().unwrap();
    let whose = |window: &mut WriteWindow, name: &str| window.identity = name.parse().unwrap();
    let by = |window: &mut WriteWindow, name: &str| window.opened_by = name.parse().unwrap();
    let points = |window: &mut WriteWindow, points: &str| window.points = points.parse().unwrap();
    let service = |window: &mut WriteWindow, service: &str| window.service = service.parse().unwrap();
    let answers = [
        answer(|_| {}),
        answer(|window| minutes(window, 120)),
        answer(|window| window.until = window.from + SignedDuration::new(7_200, 1)),
        answer(|window| minutes(window, 0)),
        answer(|window| {
            window.from -= SignedDuration::from_hours(1);
            window.until -= SignedDuration::from_hours(1);
        }),
        answer(|window| whose(window, "lena")),
        answer(|window| {
            whose(window, "mallory");
            by(window, "mallory");
        }),
        answer(|window| whose(window, "gina")),
        answer(|window| whose(window, "mallory")),
        answer(|window| by(window, "mallory")),
        answer(|window| whose(window, "vera")),
        answer(|window| whose(window, "lars")),
        answer(|window| by(window, "gina")),
        answer(|window| at(window, "plc-2")),
        answer(|window| at(window, "plc-3")),
        answer(|window| at(window, "plc-4")),
        answer(|window| service(window, "vnc")),
        answer(|window| service(window, "gateway")),
        answer(|window| points(window, "tag setpoint")),
        answer(|window| points(window, "tag level")),
        answer(|window| points(window, "tag setpiont")),
        answer(|window| window.points = WindowPoints::default()),
    ];
    expect![[r#"
        yes: role shift-lead, window 1 (ground.toml:31)
        yes: role shift-lead, window 1 (ground.toml:31)
        no: role shift-lead, window 1 (ground.toml:31) lets windows be opened for 2h at most
        no: the window is over before it begins, or is over by now
        no: the window is over before it begins, or is over by now
        no: nobody opens a window for themselves
        no: nobody opens a window for themselves
        yes: role shift-lead, window 1 (ground.toml:31)
        no: mallory is kept from `modbus` of asset `plc-1` by a forbid or for want of a conduit
        no: mallory is kept from `modbus` of asset `plc-1` by a forbid or for want of a conduit
        no: no grant gives vera `modbus` of asset `plc-1`, so there is nothing to widen
        no: no grant gives lars `modbus` of asset `plc-1`, so there is nothing to widen
        no: no role lets gina open such a window
        no: no role lets lena open such a window
        no: lena is kept from `modbus` of asset `plc-3` by a forbid or for want of a conduit
        no: `modbus` of asset `plc-4` is no modbus service of the plant
        no: `vnc` of asset `plc-1` is no modbus service of the plant
        no: no role lets lena open such a window
        yes: role shift-lead, window 1 (ground.toml:31)
        no: asset `plc-1` has no tag `level` that can be written
        no: asset `plc-1` has no tag `setpiont` that can be written
        no: the window names no points
    "#]]
    .assert_eq(&answers.concat());
}

#[test]
fn nobody_opens_a_window_in_another_s_name() {
    let (policy, window) = (policy(), window());
    let now = sallyport_policy::instant(NOW).unwrap();
    let asked = |opener: &str, person: &str| may_open(&policy, &subject(opener), &subject(person), &window, now);
    assert!(matches!(asked("lena", "alice"), Opening::Permit(_)));
    for (opener, person) in [("lars", "alice"), ("lena", "gina"), ("alice", "lena")] {
        assert!(matches!(asked(opener, person), Opening::Deny(_)), "{opener} {person}");
    }
}

#[test]
fn a_window_adds_writing_there_for_that_time_and_no_more() {
    let mut window = window();
    window.unit = Some(3);
    window.points = "register 300, tag setpoint, coil 7-9".parse().unwrap();
    let rules = policy().window_rules(&window);
    let lines: Vec<String> = rules.iter().map(|rule| format!("{rule}\n")).collect();
    expect![[r#"
        window 01ARZ3: write, coil 7-9, register 300, unit 3, from 2026-11-23T12:00:00Z until 2026-11-23T13:00:00Z
        window 01ARZ3: write, tag setpoint (register 100-101), unit 3, from 2026-11-23T12:00:00Z until 2026-11-23T13:00:00Z
    "#]]
    .assert_eq(&lines.concat());
    for rule in &rules {
        let stretch = rule.stretch(window.from).unwrap();
        assert_eq!((stretch.from, stretch.until), (window.from, window.until));
        assert_eq!(rule.stretch(window.until), None);
    }
    window.points = "tag gone".parse().unwrap();
    assert_eq!(policy().window_rules(&window), []);
}

#[test]
fn points_are_read_as_people_write_them() {
    let mut answers = String::new();
    for text in [
        "40101-40110",
        "400101",
        "register 100-109",
        " coil 7 ,tag  tank 1 level, 00001 ",
        "",
        "40101,",
        "100-109",
        "40000",
        "registers 7",
        "register",
        "register 9-1",
        "30001",
        "discrete-input 7",
        "tag",
        "tag ",
        "everything",
    ] {
        match text.parse::<WindowPoints>() {
            Ok(points) => answers.push_str(&format!("{text:?}: {points}\n")),
            Err(error) => answers.push_str(&format!("{text:?}: error: {error}\n")),
        }
    }
    expect![[r#"
        "40101-40110": register 100-109
        "400101": register 100
        "register 100-109": register 100-109
        " coil 7 ,tag  tank 1 level, 00001 ": coil 0, coil 7, tag tank 1 level
        "": error: no points: write them as `40101-40110`, `register 100-109`, `coil 7` or `tag NAME`, parted by commas
        "40101,": error: no points: write them as `40101-40110`, `register 100-109`, `coil 7` or `tag NAME`, parted by commas
        "100-109": error: `100-109` is no reference: five or six digits such as `40101` or `400101`, or a range of them, of which the first is the table: 0 coils, 1 discrete inputs, 3 input registers, 4 registers
        "40000": error: `40000` is no reference: they count from 1, so that `40001` is the first of its table, with address 0
        "registers 7": error: `registers 7` is neither a reference such as `40101-40110`, nor `register 100-109`, `coil 7` or `tag NAME`
        "register": error: `register` is neither a reference such as `40101-40110`, nor `register 100-109`, `coil 7` or `tag NAME`
        "register 9-1": error: the range `9-1` ends before it begins
        "30001": error: `input-register 0` can only be read: a write window opens coils and registers
        "discrete-input 7": error: `discrete-input 7` can only be read: a write window opens coils and registers
        "tag": error: `tag` is neither a reference such as `40101-40110`, nor `register 100-109`, `coil 7` or `tag NAME`
        "tag ": error: `tag` is neither a reference such as `40101-40110`, nor `register 100-109`, `coil 7` or `tag NAME`
        "everything": error: `everything` is neither a reference such as `40101-40110`, nor `register 100-109`, `coil 7` or `tag NAME`
    "#]]
    .assert_eq(&answers);
}

#[test]
fn faults_of_the_section_are_said() {
    let check = |rest: &str, expected: Expect| match Policy::parse(&files(rest)) {
        Ok(policy) => panic!("{:?}", policy.warnings()),
        Err(errors) => expected.assert_eq(&format!("{errors}\n")),
    };
    check(
        r#"
[[role.x.window]]
asets = ["plc-1"]
[[role.x.window]]
assets = ["plc-9"]
services = []
max = "25h"
for = ["role:enginer", "rol:engineer", "group:x", "b d", "role:"]
"#,
        expect![[r#"
            plant.toml:2:1: window 1 of role `x` has no `assets`
            plant.toml:2:1: window 1 of role `x` has no `for`
            plant.toml:2:1: window 1 of role `x` has no `max`
            plant.toml:2:1: window 1 of role `x` has no `services`
            plant.toml:3:1: unknown key `asets` in window 1 of role `x`; did you mean `assets`?
            plant.toml:5:11: unknown asset `plc-9` in window 2 of role `x`; did you mean `plc-1`?
            plant.toml:6:12: `services` of window 2 of role `x` is empty
            plant.toml:7:7: `max` of window 2 of role `x` is from 1m to 24h, not `25h`
            plant.toml:8:8: unknown role `enginer` in window 2 of role `x`; did you mean `engineer`?
            plant.toml:8:24: `rol:engineer` in `for` of window 2 of role `x` selects nobody: write a name, `role:…`, `group:…` or a pattern; did you mean `role`?
            plant.toml:8:51: `b d` is no name: a name has only letters, digits, `.`, `_` and `-`, not ' '
            plant.toml:8:58: unknown role `` in window 2 of role `x`; did you mean `x`?
        "#]],
    );
    check(
        r#"
[[role.x.window]]
assets = ["plc-1", "plc-2"]
services = ["vnc", "modbs", "m*"]
max = "1h"
for = ["*"]
"#,
        expect![[r#"
            plant.toml:4:13: no asset of window 1 of role `x` has a modbus service `vnc`
            plant.toml:4:20: no asset of window 1 of role `x` has a modbus service `modbs`; did you mean `modbus`?
        "#]],
    );
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    #[test]
    fn what_is_written_of_points_reads_back(
        ranges in proptest::collection::vec((any::<bool>(), any::<u16>(), any::<u16>()), 0..4),
        tags in proptest::collection::vec("[a-zA-Z][a-zA-Z0-9 ._-]{0,8}[a-z]", 0..3),
    ) {
        prop_assume!(!ranges.is_empty() || !tags.is_empty());
        let range = |(coil, one, other): (bool, u16, u16)| {
            format!("{} {}-{}", if coil { "coil" } else { "register" }, one.min(other), one.max(other))
        };
        let text: Vec<String> = ranges.into_iter().map(range).chain(tags.into_iter().map(|tag| format!("tag {tag}"))).collect();
        let points: WindowPoints = text.join(", ").parse().unwrap();
        prop_assert_eq!(points.to_string().parse::<WindowPoints>(), Ok(points));
    }

    /// Whoever asks, for whomever, wherever: never for oneself, never longer than the longest, never past a forbid.
    #[test]
    fn no_window_is_opened_that_should_not_be(
        opener in proptest::sample::select(vec!["alice", "lena", "lars", "mallory", "gina", "vera"]),
        person in proptest::sample::select(vec!["alice", "lena", "lars", "mallory", "gina", "vera"]),
        asset in proptest::sample::select(vec!["plc-1", "plc-2", "plc-3"]),
        begin in -7_200..7_200_i64,
        length in -60..10_000_i64,
    ) {
        let mut window = window();
        window.opened_by = opener.parse().unwrap();
        window.identity = person.parse().unwrap();
        window.asset = asset.parse().unwrap();
        window.from += SignedDuration::from_secs(begin);
        window.until = window.from + SignedDuration::from_secs(length);
        let expected = ["lena", "lars"].contains(&opener)
            && ["alice", "lena", "gina"].contains(&person)
            && opener != person
            && asset == "plc-1"
            && (1..=7_200).contains(&length)
            && begin + length > 0;
        prop_assert_eq!(matches!(ask(&policy(), &window), Opening::Permit(_)), expected);
    }
}
