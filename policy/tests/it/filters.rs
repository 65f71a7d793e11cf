//! Filters: what is read from the plant file, how it is refused, and what they mean for a service.

use expect_test::{Expect, expect};
use proptest::prelude::*;
use sallyport_policy::{AccountName, FactorKind, PlantFile, Policy, Proof, Protocol, Request, Subject, Terms};

use crate::plant_file::{PLANT, file, policy};

/// A plant with a Modbus, a VNC and an RDP service, two of them with tags, and what is given as its filters and grants.
fn plant(rest: &str) -> Vec<PlantFile> {
    let ground = r#"
[zone.a]
networks = ["10.0.0.0/8"]
[[conduit]]
to = "a"
services = ["modbus", "vnc", "rdp", "ssh"]
[asset.plc-1]
zone = "a"
address = "10.0.0.1"
services.modbus = { tag_list = "plc-1.csv" }
[asset.plc-2]
zone = "a"
address = "10.0.0.2"
services.modbus = { tag_list = "plc-2.csv" }
[asset.hmi-1]
zone = "a"
address = "10.0.0.3"
services = { vnc = {}, rdp = {} }
accounts.view = { auth = "prompt" }
"#;
    let one = "name,table,address,type,scale,unit\nlevel,input-register,0,u16,0.1,%\nsetpoint,register,100,f32,,%\nvalve,coil,3,,,\nmotor,register,200,i32,,rpm\n";
    let two = "name,reference,type\nsetpoint,40301,f32\nlamp,00008,\n";
    vec![file("ground.toml", ground), file("plant.toml", rest), file("plc-1.csv", one), file("plc-2.csv", two)]
}

fn check(rest: &str, expected: Expect) {
    let answer = match Policy::parse(&plant(rest)) {
        Ok(policy) => {
            let warnings: Vec<String> =
                policy.warnings().iter().map(|warning| format!("warning: {warning}\n")).collect();
            format!("accepted\n{}", warnings.concat())
        }
        Err(errors) => format!("{errors}\n"),
    };
    expected.assert_eq(&answer);
}

fn resolve(filters: &str, asset: &str, service: &str, filter: Option<&str>) -> String {
    let policy = Policy::parse(&plant(filters)).unwrap_or_else(|errors| panic!("{errors}"));
    let terms = Terms { filter: filter.map(str::to_owned), ..Terms::default() };
    match policy.filter_for(&asset.parse().unwrap(), &service.parse().unwrap(), &terms) {
        Some(filter) => format!("{filter}\n"),
        None => "no filter\n".to_owned(),
    }
}

const SETPOINTS: &str = r#"
[filter.setpoints]
modbus = [
  { operations = ["read"] },
  { name = "speed", operations = ["write"], unit = [1, "4-7"], registers = ["100-109", "7"], values = { min = 0, max = 1500, max_step = 50 } },
  { operations = ["write"], references = ["40201-40210"], values = { allowed = [2, 0, 1, 2] }, per_minute = 6 },
  { operations = ["write"], registers = ["300"], values = { bits = "0x00ff" } },
  { operations = ["write"], tags = ["setpoint", "motor"], values = { min = -0.5, max = 80.0 } },
  { operations = ["write"], coils = ["0-15"], when = { days = "Mon-Fri", from = "06:00", to = "18:00", timezone = "Europe/Oslo" } },
  { functions = ["43/14", 17] },
  { operations = ["write"], tags = ["lamp"], unit = [0] },
]
vnc = { input = true, clipboard = ["from-asset"] }
rdp = { require = "nla" }
"#;

#[test]
fn a_filter_means_on_each_asset_what_its_tags_say_there() {
    expect![[r#"
        filter setpoints:
          setpoints/1: read
          speed: write, register 7, register 100-109, unit 1, 4-7, values at least 0, at most 1500, steps of at most 50
          setpoints/3: write, register 200-209, values one of 0, 1, 2, 6 writes a minute
          setpoints/4: write, register 300, values bits 0xff
          setpoints/5: write, tag motor (register 200-201), tag setpoint (register 100-101), values at least -0.5, at most 80
          setpoints/6: write, coil 0-15, Mon,Tue,Wed,Thu,Fri 06:00-18:00 Europe/Oslo
          setpoints/7: function 17, 43/14
    "#]]
    .assert_eq(&resolve(SETPOINTS, "plc-1", "modbus", Some("setpoints")));
    expect![[r#"
        filter setpoints:
          setpoints/1: read
          speed: write, register 7, register 100-109, unit 1, 4-7, values at least 0, at most 1500, steps of at most 50
          setpoints/3: write, register 200-209, values one of 0, 1, 2, 6 writes a minute
          setpoints/4: write, register 300, values bits 0xff
          setpoints/5: write, tag setpoint (register 300-301), values at least -0.5, at most 80
          setpoints/6: write, coil 0-15, Mon,Tue,Wed,Thu,Fri 06:00-18:00 Europe/Oslo
          setpoints/7: function 17, 43/14
          setpoints/8: write, tag lamp (coil 7), unit 0
    "#]]
    .assert_eq(&resolve(SETPOINTS, "plc-2", "modbus", Some("setpoints")));
    expect![[r#"
        filter setpoints: input, clipboard from-asset
    "#]]
    .assert_eq(&resolve(SETPOINTS, "hmi-1", "vnc", Some("setpoints")));
    expect![[r#"
        filter setpoints: security nla
    "#]]
    .assert_eq(&resolve(SETPOINTS, "hmi-1", "rdp", Some("setpoints")));
}

#[test]
fn a_filter_means_something_for_modbus_whoever_has_it() {
    let policy = Policy::parse(&plant(&format!(
        "{SETPOINTS}\n[filter.eyes]\nmode = 'observe'\nmodbus = []\n[filter.view]\nvnc = 'view-only'\n"
    )))
    .unwrap();
    let service = policy.asset(&"plc-2".parse().unwrap()).unwrap().services.values().next();
    let said = |name: &str, service| policy.filter_of(Protocol::Modbus, name, service).map(|filter| filter.to_string());
    assert_eq!(
        said("setpoints", service),
        Some(resolve(SETPOINTS, "plc-2", "modbus", Some("setpoints")).trim_end().to_owned())
    );
    // Rules about tags mean nothing where there are none.
    assert!(said("setpoints", None).is_some_and(|text| text.contains("speed") && !text.contains("tag")));
    assert_eq!(said("eyes", None).as_deref(), Some("filter eyes (only observed: everything passes): nothing"));
    assert_eq!(said("full", None).as_deref(), Some("filter full: everything"));
    for other in ["view", "view-only", "interactive", "nowhere"] {
        assert_eq!(said(other, service), None, "{other}");
    }
}

#[test]
fn every_protocol_has_a_default_and_a_filter_that_says_nothing_of_it_leaves_it_there() {
    let filters = "[filter.eyes]\nmode = 'observe'\nvnc = 'interactive'\n[filter.shut]\nmodbus = []\n[filter.watch]\nmode = 'observe'\nmodbus = [{ operations = ['read'] }]\n";
    let mut answer = String::new();
    for (asset, service) in [("plc-1", "modbus"), ("hmi-1", "vnc"), ("hmi-1", "rdp"), ("plc-1", "ssh")] {
        for filter in [
            None,
            Some("read-only"),
            Some("view-only"),
            Some("interactive"),
            Some("observe"),
            Some("full"),
            Some("eyes"),
            Some("shut"),
            Some("watch"),
            Some("no-such-filter"),
        ] {
            let resolved = resolve(filters, asset, service, filter);
            answer.push_str(&format!("{service}, {}: {resolved}", filter.unwrap_or("none")));
        }
    }
    expect![[r#"
        modbus, none: filter read-only: reads, and diagnosis that changes nothing
        modbus, read-only: filter read-only: reads, and diagnosis that changes nothing
        modbus, view-only: filter read-only: reads, and diagnosis that changes nothing
        modbus, interactive: filter read-only: reads, and diagnosis that changes nothing
        modbus, observe: filter observe (only observed: everything passes): reads, and diagnosis that changes nothing
        modbus, full: filter full: everything
        modbus, eyes: filter read-only: reads, and diagnosis that changes nothing
        modbus, shut: filter shut: nothing
        modbus, watch: filter watch (only observed: everything passes):
          watch/1: read
        modbus, no-such-filter: filter read-only: reads, and diagnosis that changes nothing
        vnc, none: filter view-only: view only
        vnc, read-only: filter view-only: view only
        vnc, view-only: filter view-only: view only
        vnc, interactive: filter interactive: input
        vnc, observe: filter observe (only observed: everything passes): view only
        vnc, full: filter full: input, clipboard to-asset, clipboard from-asset
        vnc, eyes: filter eyes (only observed: everything passes): input
        vnc, shut: filter view-only: view only
        vnc, watch: filter view-only: view only
        vnc, no-such-filter: filter view-only: view only
        rdp, none: filter any: security any
        rdp, read-only: filter any: security any
        rdp, view-only: filter any: security any
        rdp, interactive: filter any: security any
        rdp, observe: filter any: security any
        rdp, full: filter any: security any
        rdp, eyes: filter any: security any
        rdp, shut: filter any: security any
        rdp, watch: filter any: security any
        rdp, no-such-filter: filter any: security any
        ssh, none: no filter
        ssh, read-only: no filter
        ssh, view-only: no filter
        ssh, interactive: no filter
        ssh, observe: no filter
        ssh, full: no filter
        ssh, eyes: no filter
        ssh, shut: no filter
        ssh, watch: no filter
        ssh, no-such-filter: no filter
    "#]]
    .assert_eq(&answer);
}

#[test]
fn explain_tells_the_filter_and_its_rules() {
    let policy = policy(PLANT);
    let subject = Subject { identity: "alice".parse().unwrap(), groups: Default::default() };
    let now = sallyport_policy::instant("2026-11-23T10:00:00Z").unwrap();
    let proofs = [Proof { kind: FactorKind::Totp, at: now }];
    let (asset, service, account) = ("plc-1".parse().unwrap(), "modbus".parse().unwrap(), AccountName::none());
    let request = Request {
        subject: &subject,
        asset: &asset,
        service: &service,
        account: &account,
        proofs: &proofs,
        live: &[],
        approvals: &[],
    };
    let text = sallyport_policy::explain(&policy, &request, now).to_string();
    let filter: Vec<&str> = text.lines().skip(2).take(4).collect();
    expect![[r#"
        filter setpoints:
          setpoints/1: read
          setpoints/2: write, register 100-109, unit 1, values at least 0, at most 1500, steps of at most 50
        at once, whatever they lead to: 64 sessions, 32 connections
    "#]]
    .assert_eq(&(filter.join("\n") + "\n"));
}

#[test]
fn every_fault_of_a_filter_is_said() {
    check(
        r#"
[filter.full]
modbus = [{ operations = ["read"] }]
[filter.view-only]
vnc = "view-only"
[filter."a b"]
rdp = {}
[filter.empty]
mode = "observe"
[filter.x]
mode = "obseve"
s7 = []
vnc = "interactve"
rdp = { require = "nle", tls = true }
modbus = [
  {},
  { operations = [], functions = [] },
  { operations = ["raed", 7], colour = "red" },
  { functions = [0, 128, "8/", "6/1", "43/256", "ninety", true] },
  { operations = ["read"], functions = [6, "43/14", 90] },
  { operations = ["read"], unit = [256, -1, "4-1", "all"] },
  { operations = ["read"], unit = [] },
  { operations = ["read"], registers = [], coils = "7" },
  { operations = ["read"], registers = ["9-1", "65536", "a", "400101"] },
  { operations = ["read"], references = ["40000", "101", "20001", "40001-30009", "40009-40001"] },
  { operations = ["read"], tags = ["levle", "setpoint"] },
  { operations = ["read"], tags = ["level"], registers = ["7"] },
  { name = "same", operations = ["read"] },
  { name = "same", operations = ["read"] },
  { name = "x/14", operations = ["read"] },
]
[filter.y]
vnc = { inputs = true, clipboard = ["to-aset"] }
"#,
        expect![[r#"
            plant.toml:2:9: filter `full` is built in and cannot be written anew
            plant.toml:4:9: filter `view-only` is built in and cannot be written anew
            plant.toml:6:9: `a b` cannot be the name of a filter: a name has only letters, digits, `.`, `_` and `-`, not ' '
            plant.toml:8:9: filter `empty` says nothing of `modbus`, `vnc` or `rdp`
            plant.toml:11:8: `mode` of filter `x` cannot be `obseve`: it is one of enforce, observe; did you mean `observe`?
            plant.toml:12:1: unknown key `s7` in filter `x`
            plant.toml:13:7: `vnc` of filter `x` cannot be `interactve`: it is one of view-only, interactive; did you mean `interactive`?
            plant.toml:14:19: `require` of `rdp` of filter `x` cannot be `nle`: it is one of any, tls, nla; did you mean `nla`?
            plant.toml:14:26: unknown key `tls` in `rdp` of filter `x`
            plant.toml:16:3: rule 1 of filter `x` has neither `operations` nor `functions`
            plant.toml:17:18: `operations` of rule 2 of filter `x` is empty
            plant.toml:17:34: `functions` of rule 2 of filter `x` is empty
            plant.toml:18:19: `operations` of rule 3 of filter `x` cannot be `raed`: it is one of read, write, control, program, diagnose; did you mean `read`?
            plant.toml:18:27: each of `operations` of rule 3 of filter `x` is a text in quotes, not a number
            plant.toml:18:31: unknown key `colour` in rule 3 of filter `x`
            plant.toml:19:18: each of `functions` of rule 4 of filter `x` is a whole number from 1 to 127
            plant.toml:19:21: each of `functions` of rule 4 of filter `x` is a whole number from 1 to 127
            plant.toml:19:26: `8/` in `functions` of rule 4 of filter `x` is no function: write a code from 1 to 127, or `8/1` or `43/14` for one of its subfunctions
            plant.toml:19:32: `6/1` in `functions` of rule 4 of filter `x` is no function: write a code from 1 to 127, or `8/1` or `43/14` for one of its subfunctions
            plant.toml:19:39: `43/256` in `functions` of rule 4 of filter `x` is no function: write a code from 1 to 127, or `8/1` or `43/14` for one of its subfunctions
            plant.toml:19:49: `ninety` in `functions` of rule 4 of filter `x` is no function: write a code from 1 to 127, or `8/1` or `43/14` for one of its subfunctions
            plant.toml:19:59: each of `functions` of rule 4 of filter `x` is a text in quotes, not true or false
            plant.toml:20:41: function 6 is write, which `operations` of rule 5 of filter `x` leaves out
            plant.toml:20:44: function 43/14 is diagnose, which `operations` of rule 5 of filter `x` leaves out
            plant.toml:20:53: function 90 is program, which `operations` of rule 5 of filter `x` leaves out
            plant.toml:21:36: each of `unit` of rule 6 of filter `x` is a whole number from 0 to 255
            plant.toml:21:41: each of `unit` of rule 6 of filter `x` is a whole number from 0 to 255
            plant.toml:21:45: `4-1` in `unit` of rule 6 of filter `x` is neither a unit from 0 to 255 nor a range such as "1-4"
            plant.toml:21:52: `all` in `unit` of rule 6 of filter `x` is neither a unit from 0 to 255 nor a range such as "1-4"
            plant.toml:22:35: `unit` of rule 7 of filter `x` is empty
            plant.toml:23:40: `registers` of rule 8 of filter `x` is empty
            plant.toml:23:52: `coils` of rule 8 of filter `x` is a list, not a text; write `["7"]`
            plant.toml:24:41: `registers` of rule 9 of filter `x`: the range `9-1` ends before it begins
            plant.toml:24:48: `registers` of rule 9 of filter `x`: `65536` goes beyond 65535: addresses are zero-based, from 0 to 65535
            plant.toml:24:57: `registers` of rule 9 of filter `x`: `a` is neither an address such as `7` nor a range such as `100-109`
            plant.toml:24:62: `registers` of rule 9 of filter `x`: `400101` goes beyond 65535: addresses are zero-based, from 0 to 65535; a reference is written under `references`
            plant.toml:25:42: `references` of rule 10 of filter `x`: `40000` is no reference: they count from 1, so that `40001` is the first of its table, with address 0
            plant.toml:25:51: `references` of rule 10 of filter `x`: `101` is no reference: five or six digits such as `40101` or `400101`, or a range of them, of which the first is the table: 0 coils, 1 discrete inputs, 3 input registers, 4 registers; zero-based addresses are written under `registers` or `coils`
            plant.toml:25:58: `references` of rule 10 of filter `x`: `20001` is no reference: five or six digits such as `40101` or `400101`, or a range of them, of which the first is the table: 0 coils, 1 discrete inputs, 3 input registers, 4 registers; zero-based addresses are written under `registers` or `coils`
            plant.toml:25:67: `references` of rule 10 of filter `x`: the range `40001-30009` does not begin and end in one table and with as many digits
            plant.toml:25:82: `references` of rule 10 of filter `x`: the range `40009-40001` ends before it begins
            plant.toml:26:36: no tag list of a modbus service has the tag `levle` of rule 11 of filter `x`; did you mean `level`?
            plant.toml:27:35: rule 12 of filter `x` has both `tags` and `registers`: write two rules
            plant.toml:29:3: filter `x` has a rule called `same` already, in plant.toml:28
            plant.toml:30:12: `name` of rule 15 of filter `x` cannot be `x/14`: a name has only letters, digits, `.`, `_` and `-`, not '/'
            plant.toml:33:9: unknown key `inputs` in `vnc` of filter `y`; did you mean `input`?
            plant.toml:33:37: `clipboard` of `vnc` of filter `y` cannot be `to-aset`: it is one of to-asset, from-asset; did you mean `to-asset`?
        "#]],
    );
}

#[test]
fn limits_that_limit_nothing_or_everything_are_faults() {
    check(
        r#"
[filter.x]
modbus = [
  { operations = ["read"], values = { min = 1 } },
  { operations = ["diagnose"], per_minute = 6 },
  { functions = [3], values = { min = 1 } },
  { operations = ["read", "write"], input_registers = ["7"], values = { min = 1 } },
  { operations = ["write"], discrete_inputs = ["7"], references = ["30001"] },
  { operations = ["write"], tags = ["level"], values = { min = 1 } },
  { operations = ["program"], registers = ["7"] },
  { functions = [17, "8/0"], coils = ["7"] },
  { operations = ["write"], per_minute = 0 },
  { operations = ["write"], values = {} },
  { operations = ["write"], values = { min = 2, max = 1, steps = 3 } },
  { operations = ["write"], values = { min = nan, max = inf, max_step = 0 } },
  { operations = ["write"], values = { allowed = [], max = 9007199254740993 } },
  { operations = ["write"], values = { allowed = [1, "2"] } },
  { operations = ["write"], registers = ["7"], values = { bits = "0x10000" } },
  { operations = ["write"], coils = ["7"], values = { bits = 2 } },
  { operations = ["write"], values = { bits = "255" } },
  { operations = ["write"], values = { bits = "0x+1" } },
  { operations = ["write"], values = { bits = 0 } },
  { operations = ["write"], tags = ["setpoint"], values = { bits = 1 } },
  { operations = ["write"], tags = ["valve"], values = { bits = "0b10" } },
]
"#,
        expect![[r#"
            plant.toml:4:37: `values` of rule 1 of filter `x` limits what is written, but the rule lets nothing be written
            plant.toml:5:45: `per_minute` of rule 2 of filter `x` limits what is written, but the rule lets nothing be written
            plant.toml:6:31: `values` of rule 3 of filter `x` limits what is written, but the rule lets nothing be written
            plant.toml:7:71: `values` of rule 4 of filter `x` limits what is written, but the rule lets nothing be written
            plant.toml:8:3: rule 5 of filter `x` allows writing only, but to discrete_inputs and input_registers, which nothing can write
            plant.toml:9:3: rule 6 of filter `x` allows writing only, but to input_registers, which nothing can write
            plant.toml:9:56: `values` of rule 6 of filter `x` limits what is written, but the rule lets nothing be written
            plant.toml:10:3: rule 7 of filter `x` names addresses, but nothing that it allows has any
            plant.toml:11:3: rule 8 of filter `x` names addresses, but nothing that it allows has any
            plant.toml:12:42: `per_minute` of rule 9 of filter `x` is a whole number from 1 to 6000
            plant.toml:13:38: `values` of rule 10 of filter `x` limit nothing
            plant.toml:14:55: `max` is less than `min` in `values` of rule 11 of filter `x`
            plant.toml:14:58: unknown key `steps` in `values` of rule 11 of filter `x`
            plant.toml:15:46: `min` of `values` of rule 12 of filter `x` is a finite number
            plant.toml:15:57: `max` of `values` of rule 12 of filter `x` is a finite number
            plant.toml:15:73: `max_step` of `values` of rule 12 of filter `x` is more than 0
            plant.toml:16:50: `allowed` of `values` of rule 13 of filter `x` is empty: a rule that lets no value be written is left out
            plant.toml:16:60: `max` of `values` of rule 13 of filter `x` is a number of at most 2^53
            plant.toml:17:54: each of `allowed` of `values` of rule 14 of filter `x` is a number, not a text
            plant.toml:18:66: `bits` of `values` of rule 15 of filter `x` are wider than a register
            plant.toml:19:62: `bits` of `values` of rule 16 of filter `x` are wider than a coil
            plant.toml:20:47: `bits` of `values` of rule 17 of filter `x` is a mask such as "0x00ff" or "0b1111" with at least one bit set, not `255`
            plant.toml:21:47: `bits` of `values` of rule 18 of filter `x` is a mask such as "0x00ff" or "0b1111" with at least one bit set, not `0x+1`
            plant.toml:22:47: `bits` of `values` of rule 19 of filter `x` is a whole number from 1 to 9223372036854775807
            plant.toml:23:68: `bits` of `values` of rule 20 of filter `x`: the bits of tag `setpoint`, of type f32, mean nothing one by one
            plant.toml:24:65: `bits` of `values` of rule 21 of filter `x` are wider than tag `valve`, of type bool
        "#]],
    );
}

#[test]
fn what_looks_like_a_slip_is_a_warning() {
    check(
        r#"
[[role.r.grant]]
assets = ["plc-1"]
services = ["modbus"]
filter = "interactiv"
"#,
        expect![[r#"
            plant.toml:5:10: unknown filter `interactiv` in grant 1 of role `r`; did you mean `interactive`?
        "#]],
    );
    check(
        r#"
[filter.x]
modbus = [
  { operations = ["read"], registers = ["40101", "40101-40110", "101"], coils = ["00001"], input_registers = ["40101"] },
  { operations = ["write"], registers = ["7"], values = { min = -1, max = 70000 } },
  { operations = ["write"], coils = ["7"], values = { allowed = [0, 2] } },
  { operations = ["write"], registers = ["7"], values = { allowed = [0.5] } },
  { operations = ["write"], tags = ["motor"], values = { min = -1, max = 70000.5, bits = "0xffffffff" } },
]
[filter.none]
modbus = []
[filter.glass]
vnc = "interactive"
[[role.r.grant]]
assets = ["plc-1"]
services = ["modbus"]
filter = "glass"
[[role.r.grant]]
assets = ["*"]
services = ["modbus", "vnc"]
accounts = ["view"]
filter = "glass"
[[role.r.grant]]
assets = ["hmi-1"]
services = ["vnc"]
accounts = ["view"]
filter = "read-only"
"#,
        expect![[r#"
            accepted
            warning: plant.toml:4:41: `registers` of rule 1 of filter `x` is read as the zero-based address `40101`: if the reference is meant, write it under `references`
            warning: plant.toml:4:50: `registers` of rule 1 of filter `x` is read as the zero-based address `40101-40110`: if the reference is meant, write it under `references`
            warning: plant.toml:4:82: `coils` of rule 1 of filter `x` is read as the zero-based address `00001`: if the reference is meant, write it under `references`
            warning: plant.toml:5:65: `values` of rule 2 of filter `x` name -1, but a register without a tag is a whole number from 0 to 65535
            warning: plant.toml:5:75: `values` of rule 2 of filter `x` name 70000, but a register without a tag is a whole number from 0 to 65535
            warning: plant.toml:6:69: `values` of rule 3 of filter `x` name 2, but a coil is 0 or 1
            warning: plant.toml:7:70: `values` of rule 4 of filter `x` name 0.5, but a register without a tag is a whole number from 0 to 65535
            warning: plant.toml:11:10: `modbus` of filter `none` has no rule, and so denies everything
            warning: plant.toml:17:10: no service of grant 1 of role `r` speaks a protocol that filter `glass` has anything to say of
            warning: plant.toml:27:10: no service of grant 3 of role `r` speaks a protocol that filter `read-only` has anything to say of
        "#]],
    );
}

fn rule() -> impl Strategy<Value = String> {
    let operations = proptest::sample::subsequence(vec!["read", "write", "control", "program", "diagnose"], 1..=5);
    let points = proptest::option::of((
        proptest::sample::select(vec!["coils", "discrete_inputs", "registers", "input_registers"]),
        any::<u16>(),
        any::<u16>(),
    ));
    (operations, points, proptest::option::of(1..60_u32)).prop_map(|(operations, points, per_minute)| {
        let points = points.map(|(key, one, other)| format!(", {key} = [\"{}-{}\"]", one.min(other), one.max(other)));
        let count = per_minute.map(|count| format!(", per_minute = {count}"));
        format!("  {{ operations = {operations:?}{}{} }},\n", points.unwrap_or_default(), count.unwrap_or_default())
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(128) })]

    /// Where a rule stands in its list changes its number and nothing else.
    #[test]
    fn the_order_of_rules_is_irrelevant(rules in proptest::collection::vec(rule(), 1..6)) {
        let named = |rules: &[(usize, String)]| {
            let rules: Vec<String> = rules
                .iter()
                .map(|(number, rule)| rule.replacen("{ ", &format!("{{ name = \"r{number}\", "), 1))
                .collect();
            format!("[filter.x]\nmodbus = [\n{}]\n", rules.concat())
        };
        let mut rules: Vec<(usize, String)> = rules.into_iter().enumerate().collect();
        let one = Policy::parse(&plant(&named(&rules)));
        rules.reverse();
        let other = Policy::parse(&plant(&named(&rules)));
        prop_assert_eq!(one.is_ok(), other.is_ok());
        let (Ok(one), Ok(other)) = (one, other) else { return Ok(()) };
        let sorted = |policy: &Policy| {
            let mut rules = policy.filter("x").unwrap().modbus.clone().unwrap();
            rules.sort_by(|one, other| one.name.cmp(&other.name));
            rules
        };
        prop_assert_eq!(sorted(&one), sorted(&other));
    }

    /// Whatever is written of a rule, it is read, or refused with a place in the text.
    #[test]
    fn reading_random_rules_is_total(keys in proptest::collection::vec((key(), value()), 0..8)) {
        let pairs: Vec<String> = keys.into_iter().map(|(key, value)| format!("{key} = {value}")).collect();
        let text = format!("[filter.x]\nmodbus = [{{ {} }}]\n", pairs.join(", "));
        if let Err(errors) = Policy::parse(&plant(&text)) {
            for error in errors.iter() {
                let line = text.split('\n').nth(error.line - 1);
                prop_assert!(line.is_some_and(|line| error.column <= line.chars().count() + 1), "{error}");
            }
        }
    }
}

fn key() -> impl Strategy<Value = &'static str> {
    proptest::sample::select(vec![
        "name",
        "operations",
        "functions",
        "unit",
        "coils",
        "discrete_inputs",
        "registers",
        "input_registers",
        "references",
        "tags",
        "values",
        "values.min",
        "values.max",
        "values.allowed",
        "values.bits",
        "per_minute",
        "when",
    ])
}

fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<i64>().prop_map(|number| number.to_string()),
        any::<f32>()
            .prop_filter("TOML's spelling", |number| number.is_finite())
            .prop_map(|number| format!("{number:?}")),
        "[0-9/x-]{0,8}".prop_map(|text| format!("\"{text}\"")),
        "[0-9/x-]{0,8}".prop_map(|text| format!("[\"{text}\"]")),
        proptest::sample::select(vec![
            "[]",
            "{}",
            "true",
            "[\"read\"]",
            "[\"write\"]",
            "[\"level\"]",
            "[1, 1.5, \"a\"]",
            "nan"
        ])
        .prop_map(str::to_owned),
    ]
}
