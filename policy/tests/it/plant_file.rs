//! The plant file: what is read from it, and how it is refused.

use expect_test::{Expect, expect};
use sallyport_policy::{PlantFile, Policy};

/// The plant of these tests.
pub(crate) const PLANT: &str = include_str!("../data/plant.toml");

pub(crate) fn file(name: &str, text: &str) -> PlantFile {
    PlantFile { name: name.to_owned(), text: text.to_owned() }
}

pub(crate) fn policy(text: &str) -> Policy {
    Policy::parse(&[file("plant.toml", text)]).unwrap_or_else(|errors| panic!("{errors}"))
}

fn check(text: &str, expected: Expect) {
    let answer = match Policy::parse(&[file("plant.toml", text)]) {
        Ok(policy) => {
            let warnings: Vec<String> =
                policy.warnings().iter().map(|warning| format!("warning: {warning}\n")).collect();
            format!("accepted\n{}", warnings.concat())
        }
        Err(errors) => format!("{errors}\n"),
    };
    expected.assert_eq(&answer);
}

#[test]
fn the_plant_of_the_tests_is_accepted_without_a_warning_that_is_not_meant() {
    check(
        PLANT,
        expect![[r#"
            accepted
        "#]],
    );
}

#[test]
fn everything_that_is_wrong_is_said_at_once_with_its_place_and_the_nearest_name() {
    check(
        r#"
[zone.cell-1]
level = 2.7
security_level = 9
networks = ["10.10.1.7/24"]
colour = "red"

[[conduit]]
to = "cel-1"
services = ["shh", "*"]

[assett.x]

[asset.ews-1]
zone = "cell-3"
adress = "10.10.1.20"
services.ssh = { prot = 22, host_key = "ssh-ed25519 AAAA" }
services.http = {}
accounts.operator = { auth = "certifcate" }
accounts."bad name" = { auth = "key" }
tags = "engineering"

[role.engineer]
grants = []
[[role.engineer.grant]]
assets = ["tag:enginering", "ews-2", "zne:cell-1", "plc 1"]
services = []
accounts = ["operator"]
factors = ["webautn"]
when = { days = "Mon-Fry", from = "6:00", timezone = "Europe/Olso" }
lease = "15 minutes"
approval = { by = "shift-led", count = 0 }
filter = "setpoint"
valid_from = 2026-11-01
terms = { max_durations = "4h", file_transfer = "downlaod", channels = ["shel"], idle = "0s", concurrent = "2" }
[role.engineer.members]
identities = ["alice:x", "gruop:x", "b@d", 7]

[[forbid]]
reason = "nothing named"
"#,
        expect![[r#"
            plant.toml:3:9: `level` of zone `cell-1` is a Purdue level: 0, 1, 2, 3, 3.5, 4 or 5
            plant.toml:4:18: `security_level` of zone `cell-1` is a whole number from 0 to 4
            plant.toml:5:13: `10.10.1.7/24` has address bits set beyond its prefix; did you mean `10.10.1.0/24`?
            plant.toml:6:1: unknown key `colour` in zone `cell-1`
            plant.toml:9:6: unknown zone `cel-1` in a conduit; did you mean `cell-1`?
            plant.toml:10:13: no asset has a service `shh`, which a conduit names; did you mean `ssh`?
            plant.toml:10:20: `*`: a conduit names each service that may pass
            plant.toml:12:2: unknown section `assett`; did you mean `asset`?
            plant.toml:14:8: asset `ews-1` has no `address`
            plant.toml:15:8: unknown zone `cell-3` in asset `ews-1`; did you mean `cell-1`?
            plant.toml:16:1: unknown key `adress` in asset `ews-1`; did you mean `address`?
            plant.toml:17:18: unknown key `prot` in service `ssh` of asset `ews-1`; did you mean `port`?
            plant.toml:17:40: `host_key` of service `ssh` of asset `ews-1`: the key's base64 text is damaged
            plant.toml:18:10: service `http` of asset `ews-1` has no `protocol`: one of ssh, rdp, vnc, modbus, tcp
            plant.toml:19:30: `auth` of account `operator` of asset `ews-1` cannot be `certifcate`: it is one of certificate, password, key, prompt; did you mean `certificate`?
            plant.toml:20:10: `bad name` cannot be the name of an account: a name has only letters, digits, `.`, `_` and `-`, not ' '
            plant.toml:21:8: `tags` of asset `ews-1` is a list, not a text; write `["engineering"]`
            plant.toml:24:1: unknown key `grants` in role `engineer`; did you mean `grant`?
            plant.toml:26:11: no asset has the tag `enginering` of grant 1 of role `engineer`
            plant.toml:26:29: unknown asset `ews-2` in grant 1 of role `engineer`; did you mean `ews-1`?
            plant.toml:26:38: `zne:cell-1` in grant 1 of role `engineer` selects no assets: write a name, `tag:…`, `zone:…` or a pattern; did you mean `zone`?
            plant.toml:26:52: `plc 1` is no name: a name has only letters, digits, `.`, `_` and `-`, not ' '
            plant.toml:27:12: `services` of grant 1 of role `engineer` is empty
            plant.toml:29:12: `factors` of grant 1 of role `engineer` cannot be `webautn`: it is one of key, security-key, certificate, password, totp, webauthn; did you mean `webauthn`?
            plant.toml:30:17: `Fry` is no day of the week; write days as `Mon-Fri` or `Sat,Sun`; did you mean `Fri`?
            plant.toml:30:35: `from` of `when` of grant 1 of role `engineer` is a time of day such as "06:00" or "18:30:15", not `6:00`
            plant.toml:30:54: unknown time zone `Europe/Olso`; did you mean `Europe/Oslo`?
            plant.toml:31:9: `lease` of grant 1 of role `engineer` is a duration such as `15m`, `4h` or `1h30m`, not `15 minutes`
            plant.toml:32:19: unknown role `shift-led` in `approval` of grant 1 of role `engineer`
            plant.toml:32:40: `count` of `approval` of grant 1 of role `engineer` is a whole number from 1 to 16
            plant.toml:33:10: unknown filter `setpoint` in grant 1 of role `engineer`
            plant.toml:34:14: `valid_from` of grant 1 of role `engineer` is an instant, not `2026-11-01`; write it with its offset, as `2026-12-01T06:00:00+01:00`
            plant.toml:35:11: unknown key `max_durations` in `terms` of grant 1 of role `engineer`; did you mean `max_duration`?
            plant.toml:35:49: `file_transfer` of `terms` of grant 1 of role `engineer` cannot be `downlaod`: it is one of none, download, upload, both; did you mean `download`?
            plant.toml:35:73: `channels` of `terms` of grant 1 of role `engineer` cannot be `shel`: it is one of shell, exec, sftp, forward, agent, x11, remote-forward; did you mean `shell`?
            plant.toml:35:89: `idle` of `terms` of grant 1 of role `engineer` is from 1s to 8784h, not `0s`
            plant.toml:35:108: `concurrent` of `terms` of grant 1 of role `engineer` is a whole number, not a text
            plant.toml:37:26: `gruop:x` selects no identities: write a name, `group:…` or a pattern; did you mean `group`?
            plant.toml:37:37: `b@d` is no name: a name has only letters, digits, `.`, `_` and `-`, not '@'
            plant.toml:37:44: each of `identities` of `members` of role `engineer` is a text in quotes, not a number
            plant.toml:39:1: this forbid names nobody and nothing, and would stop everything: say so with `assets = ["*"]` if it should
        "#]],
    );
}

#[test]
fn contradictions_are_errors() {
    check(
        r#"
[zone.a]
networks = ["10.1.0.0/16"]
[zone.b]
networks = ["10.1.2.0/24"]
[zone.c]
[[conduit]]
from = "a"
to = ["a", "b", "c"]
services = ["ssh"]
[asset.one]
zone = "a"
address = "10.1.0.1"
services.ssh = { protocol = "tcp" }
[asset.two]
zone = "b"
address = "10.1.3.1"
services.one = { protocol = "tcp", port = 22 }
services.two = { protocol = "tcp", port = 22 }
[asset.three]
zone = "a"
address = "10.1.0.3"
services.ssh = {}
accounts.x = { auth = "key" }
[asset.four]
zone = "a"
address = "10.1.0.3"
services.ssh = {}
[asset.THREE]
zone = "a"
address = "plc.example"
[asset."10.1.0.9"]
zone = "c"
address = "10.1.0.9"
services.modbus = { host_key = "ssh-rsa AAAA" }
[role.r]
[[role.r.grant]]
assets = ["three"]
services = ["ssh"]
valid_from = 2026-12-01T00:00:00Z
valid_until = 2026-12-01T00:00:00Z
when = { from = "24:00", timezone = "UTC" }
terms = { channels = ["shell"], file_transfer = "both" }
[filter.read-only]
modbus = [{ operations = ["read"], registers = ["9-1"], values = { min = 2, max = 1 } }]
[filter.x]
s7 = []
"#,
        expect![[r#"
            plant.toml:8:8: a conduit has a `from`, but no zone says `broker = true`: where do the brokers stand?
            plant.toml:14:10: service `ssh` of asset `one` is named for one protocol and says it speaks tcp
            plant.toml:17:11: address 10.1.3.1 of asset `two` is outside the networks of zone `b` (10.1.2.0/24)
            plant.toml:19:10: port 22 of asset `two` serves `one` already
            plant.toml:20:8: asset `three` differs from asset `THREE` in case only, and clients ignore case
            plant.toml:20:8: asset `three` has the address 10.1.0.3 and port 22 of asset `four`
            plant.toml:31:11: `address` of asset `THREE` is an IP address, not `plc.example`; names are not resolved
            plant.toml:32:8: asset `10.1.0.9` is named like an address, and would be taken for one
            plant.toml:34:11: address 10.1.0.9 of asset `10.1.0.9` is outside the networks of zone `c` (none)
            plant.toml:35:32: `host_key` of service `modbus` of asset `10.1.0.9`: the key's base64 text is damaged
            plant.toml:35:32: service `modbus` of asset `10.1.0.9` pins a host key, which ssh alone has
            plant.toml:41:15: `valid_until` of grant 1 of role `r` is not after its `valid_from`
            plant.toml:42:8: `when` of grant 1 of role `r` begins at 24:00: write 00:00 of the next day
            plant.toml:43:9: `terms` of grant 1 of role `r` allow files, but neither of the channels `sftp` and `exec` that carry them
            plant.toml:44:9: filter `read-only` is built in and cannot be written anew
            plant.toml:45:49: `registers` of rule 1 of filter `read-only`: the range `9-1` ends before it begins
            plant.toml:45:66: `values` of rule 1 of filter `read-only` limits what is written, but the rule lets nothing be written
            plant.toml:45:83: `max` is less than `min` in `values` of rule 1 of filter `read-only`
            plant.toml:46:9: filter `x` says nothing of `modbus`, `vnc` or `rdp`
            plant.toml:47:1: unknown key `s7` in filter `x`
        "#]],
    );
}

#[test]
fn a_grant_must_name_what_its_assets_have() {
    let plant = |grant: &str| {
        format!(
            r#"
[zone.a]
networks = ["10.0.0.0/8"]
[zone.b]
networks = ["11.0.0.0/8"]
[[conduit]]
to = "a"
services = ["ssh", "modbus"]
[asset.ews-1]
zone = "a"
address = "10.0.0.1"
services.ssh = {{}}
accounts.operator = {{ auth = "key" }}
[asset.ews-2]
zone = "b"
address = "11.0.0.1"
services.ssh = {{}}
services.modbus = {{}}
[role.r]
[[role.r.grant]]
{grant}
"#
        )
    };
    check(
        &plant("assets = ['ews-1']\nservices = ['ssh', 'modbus']\naccounts = ['operator', 'operater']"),
        expect![[r#"
        plant.toml:22:20: no asset of grant 1 of role `r` has a service `modbus`
        plant.toml:23:25: no asset of grant 1 of role `r` has an account `operater`; did you mean `operator`?
    "#]],
    );
    check(
        &plant("assets = ['*']\nservices = ['ss?']"),
        expect![[r#"
        plant.toml:20:1: grant 1 of role `r` has no `accounts`, and `ssh` cannot be used without one
    "#]],
    );
    check(
        &plant("assets = ['ews-2', 'x*']\nservices = ['modbus']"),
        expect![[r#"
        accepted
        warning: plant.toml:12:10: service `ssh` of asset `ews-1` pins no host key, so nobody will be connected to it
        warning: plant.toml:17:10: service `ssh` of asset `ews-2` pins no host key, so nobody will be connected to it
        warning: plant.toml:21:20: no asset's name matches `x*` of grant 1 of role `r`
        warning: plant.toml:22:13: no conduit lets `modbus` of grant 1 of role `r` pass into zone b: it gives nothing there
    "#]],
    );
}

#[test]
fn what_a_device_may_do_otherwise_is_named_and_warned_of() {
    let asset = |service: &str| {
        format!(
            "[zone.a]\nnetworks = ['10.0.0.0/8']\n[asset.x]\nzone = 'a'\naddress = '10.0.0.1'\nservices.{service}\n"
        )
    };
    check(
        &asset("modbus = { tolerate = ['transaction', 'unit'], takes_rtu = true }"),
        expect![[r#"
        accepted
        warning: plant.toml:6:32: service `modbus` of asset `x` tolerates what the specification forbids (unit, transaction): what such answers say is not believed by `max_step` and `bits`
    "#]],
    );
    check(
        &asset("modbus = { tolerate = ['length', 'surplus'] }"),
        expect![[r#"
        plant.toml:6:32: `tolerate` of service `modbus` of asset `x` has both `length` and `surplus`: nothing would say then where an answer ends
    "#]],
    );
    check(
        &asset("modbus = { tolerate = ['units'] }"),
        expect![[r#"
        plant.toml:6:33: `tolerate` of service `modbus` of asset `x` cannot be `units`: it is one of unit, transaction, length, surplus; did you mean `unit`?
    "#]],
    );
    check(
        &asset("modbus = { tolerate = 'unit', takes_rtu = 'yes' }"),
        expect![[r#"
            plant.toml:6:32: `tolerate` of service `modbus` of asset `x` is a list, not a text; write `["unit"]`
            plant.toml:6:52: `takes_rtu` of service `modbus` of asset `x` is true or false, not a text
        "#]],
    );
    check(
        &asset("vnc = { tolerate = ['unit'], takes_rtu = true }"),
        expect![[r#"
        plant.toml:6:29: service `vnc` of asset `x` tolerates something, which modbus alone has
        plant.toml:6:51: service `vnc` of asset `x` takes frames of Modbus RTU, which modbus alone does
    "#]],
    );
}

#[test]
fn an_asset_is_called_legacy_by_name_and_with_a_warning() {
    let asset = |service: &str| {
        format!(
            "[zone.a]\nnetworks = ['10.0.0.0/8']\n[asset.x]\nzone = 'a'\naddress = '10.0.0.1'\nservices.{service}\n"
        )
    };
    check(
        &asset("ssh = { algorithms = 'legacy', host_key = 'x' }").replace(
            "host_key = 'x'",
            &format!("host_key = {:?}", include_str!("../data/host_keys.pub").lines().next().unwrap()),
        ),
        expect![[r#"
            accepted
            warning: plant.toml:6:10: service `ssh` of asset `x` takes algorithms that are broken or weak (SHA-1); only where the asset knows no others
        "#]],
    );
    check(
        &asset("modbus = { algorithms = 'legacy' }"),
        expect![[r#"
        plant.toml:6:10: service `modbus` of asset `x` names algorithms, which ssh alone has
    "#]],
    );
    check(
        &asset("vnc = { algorithms = 'lagacy' }"),
        expect![[r#"
        plant.toml:6:31: `algorithms` of service `vnc` of asset `x` cannot be `lagacy`: it is one of standard, legacy; did you mean `legacy`?
    "#]],
    );
}

#[test]
fn host_keys_have_the_shape_of_host_keys_and_a_private_key_is_not_repeated() {
    let key = |line: &str| {
        format!(
            "[zone.a]\nnetworks = ['10.0.0.0/8']\n[asset.x]\nzone = 'a'\naddress = '10.0.0.1'\nservices.ssh = {{ host_key = {line:?} }}\n"
        )
    };
    for good in include_str!("../data/host_keys.pub").lines() {
        check(&key(good), expect!["accepted\n"]);
    }
    check(
        &key("-----BEGIN OPENSSH PRIVATE KEY-----\nSECRET"),
        expect![[r#"
        plant.toml:6:29: `host_key` of service `ssh` of asset `x`: a private key does not belong in the plant file: replace this key on the asset, and write its public key
    "#]],
    );
    check(
        &key("ssh-ed25519"),
        expect![[r#"
        plant.toml:6:29: `host_key` of service `ssh` of asset `x`: a host key is a line such as `ssh-ed25519 AAAA…`, as `ssh-keyscan` prints after the host's name
    "#]],
    );
    check(
        &key("ssh-dss AAAA"),
        expect![[r#"
        plant.toml:6:29: `host_key` of service `ssh` of asset `x`: a host key is of one of the kinds ssh-ed25519, ecdsa-sha2-nistp256/384/521 and ssh-rsa
    "#]],
    );
    check(
        &key("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDutvuvZv43Ml2u2bZ3vNtrVQALu4psB5dcXiez6JxQ"),
        expect![[r#"
        plant.toml:6:29: `host_key` of service `ssh` of asset `x`: the key's base64 text is damaged
    "#]],
    );
    check(
        &key("ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAAIDutvuvZv43Ml2u2bZ3vNtrVQALu4psB5dcXiez6JxQx"),
        expect![[r#"
        plant.toml:6:29: `host_key` of service `ssh` of asset `x`: the key's base64 text is damaged
    "#]],
    );
    check(
        &key(include_str!("../data/weak_rsa.pub").trim()),
        expect![[r#"
        plant.toml:6:29: `host_key` of service `ssh` of asset `x`: an RSA host key has at least 2048 bits
    "#]],
    );
}

#[test]
fn several_files_are_one_plant_in_whatever_order() {
    let zones = file("a.toml", "[zone.z]\nnetworks = ['10.0.0.0/8']\n[[conduit]]\nto = 'z'\nservices = ['modbus']\n");
    let assets = file("b.toml", "[asset.plc]\nzone = 'z'\naddress = '10.0.0.1'\nservices.modbus = {}\n");
    let grant = |file_name: &str, factor: &str| {
        file(file_name, &format!("[[role.r.grant]]\nassets = ['plc']\nservices = ['modbus']\nfactors = ['{factor}']\n"))
    };
    let members = file("e.toml", "[role.r.members]\nidentities = ['alice']\n");
    let mut files = vec![zones, assets, grant("c.toml", "totp"), grant("d.toml", "webauthn"), members];
    let forward = Policy::parse(&files).unwrap();
    files.reverse();
    assert_eq!(forward, Policy::parse(&files).unwrap());
    let rules: Vec<String> =
        forward.roles().flat_map(|role| &role.grants).map(|grant| grant.rule.to_string()).collect();
    assert_eq!(rules, ["role r, grant 1 (c.toml:1)", "role r, grant 2 (d.toml:1)"]);
}

#[test]
fn a_name_written_in_two_files_is_an_error_in_the_second() {
    let one = file("a.toml", "[zone.z]\nnetworks = ['10.0.0.0/8']\n");
    let two = file("b.toml", "\n[zone.z]\nnetworks = ['11.0.0.0/8']\n");
    let errors = Policy::parse(&[two, one.clone()]).unwrap_err().to_string();
    assert_eq!(errors, "b.toml:2:7: zone `z` is written in a.toml:1 already");
    let errors = Policy::parse(&[one.clone(), one]).unwrap_err().to_string();
    assert!(errors.contains("two files have this name"), "{errors}");
}

#[test]
fn what_is_not_toml_is_said_with_its_place() {
    check(
        "[zone.a\nnetworks = []\n[asset]]\nx = = 1\n",
        expect![[r#"
        plant.toml:1:8: unclosed table, expected `]`
        plant.toml:3:8: unexpected key or value, expected newline, `#`
        plant.toml:4:5: extra `=`, expected nothing
        plant.toml:4:7: unexpected key or value, expected newline, `#`
    "#]],
    );
    check(
        "[zone.a]\nlevel = 1\nlevel = 2\n",
        expect![[r#"
        plant.toml:3:1: key `level` is written in line 2 already
    "#]],
    );
}

#[test]
fn columns_count_characters_and_not_bytes() {
    check(
        "[zone.a]\ndescription = \"Öl\"\n\"ä\" = \"é\" \n",
        expect![[r#"
        plant.toml:3:1: unknown key `ä` in zone `a`
    "#]],
    );
    check(
        "zone = { a = { description = \"äöü\", levle = 2 } }\n",
        expect![[r#"
        plant.toml:1:37: unknown key `levle` in zone `a`; did you mean `level`?
    "#]],
    );
}

#[test]
fn no_text_is_too_deep() {
    for (open, close) in [("[", "]"), ("{a=", "}")] {
        let text = format!("zone = {}{}", open.repeat(50_000), close.repeat(50_000));
        assert!(Policy::parse(&[file("plant.toml", &text)]).is_err());
    }
    let dotted = format!("{}x = 1", "a.".repeat(50_000));
    assert!(Policy::parse(&[file("plant.toml", &dotted)]).is_err());
}

#[test]
fn what_is_said_of_a_file_is_one_line_that_acts_on_no_terminal() {
    let text = "[\"zo\\nne\"]\n[asset.\"a\\u001b[2J\"]\nzone = \"\\u009b5i\"\n";
    let errors = Policy::parse(&[file("plant.toml", text)]).unwrap_err();
    let said: Vec<String> = errors.iter().map(ToString::to_string).collect();
    assert!(said.len() >= 2 && said.iter().all(|line| !line.contains(char::is_control)), "{said:?}");
    assert!(said[0].contains(r"unknown section `zo\nne`"), "{}", said[0]);
}

#[test]
fn what_is_written_twice_is_told_once_with_where_it_stood_first() {
    let asset = |line: &str| format!("[asset.a]\nzone = \"z\"\naddress = \"10.0.0.1\"\n{line}");
    check(
        &format!("{}\n{}", asset("services.ssh = {}\n"), asset("tags = [\"x\"]\n[zone.z]\nlevel = 1\nlevel = 2\n")),
        expect![[r#"
            plant.toml:6:8: section `[asset.a]` is written in line 1 already
            plant.toml:12:1: key `level` is written in line 11 already
        "#]],
    );
    check(
        "[zone.z]\nnetworks = []\nnetworks = []\n[zone. z]\n",
        expect![[r#"
        plant.toml:3:1: key `networks` is written in line 2 already
        plant.toml:4:8: section `[zone. z]` is written twice
    "#]],
    );
    check(
        "[zone.z]\nlevel = 1\n[asset.a]\nservices.ssh = { port = 22, port = 23 }\n",
        expect![[r#"
        plant.toml:4:29: key `port` is written twice
    "#]],
    );
    check(
        "[asset.a]\nservices.ssh = {}\nservices.ssh = {}\n",
        expect![[r#"
            plant.toml:3:10: key `services.ssh` is written in line 2 already
        "#]],
    );
    check(
        "[zone]\nz.level = 1\n[zone.z]\nlevel = 2\n",
        expect![[r#"
        plant.toml:3:7: section `[zone.z]` is written twice
    "#]],
    );
}

#[test]
fn quotes_of_a_word_processor_are_named() {
    check(
        "[role.r]\ndescription = “night”\n",
        expect![[r#"
        plant.toml:2:15: `“` is no quote of TOML; write `"`, as an editor for programs does
    "#]],
    );
    check(
        "[role.r]\nmembers = { identities = ['alice', ‘bob’] }\n",
        expect![[r#"
        plant.toml:2:36: `‘` is no quote of TOML; write `"`, as an editor for programs does
    "#]],
    );
}

#[test]
fn what_was_probably_meant_is_said() {
    check(
        "[[conduit]]\nto = \"z\"\nservices = \"ssh\"\n[zone.z]\n",
        expect![[r#"
        plant.toml:3:12: `services` of a conduit is a list, not a text; write `["ssh"]`
    "#]],
    );
    let key = |key: &str| {
        format!(
            "[zone.z]\nnetworks = ['10.0.0.0/8']\n[asset.x]\nzone = \"z\"\naddress = \"10.0.0.1\"\nservices.ssh = {{ host_key = \"{key}\" }}\n"
        )
    };
    check(
        &key("[10.0.0.1]:2222 ssh-ed25519 AAAA"),
        expect![[r#"
        plant.toml:6:29: `host_key` of service `ssh` of asset `x`: a host key stands without its host's name: leave out what comes before `ssh-ed25519`
    "#]],
    );
    let when = |days: &str| {
        format!(
            "[role.r]\n[[role.r.grant]]\nassets = [\"*\"]\nservices = [\"*\"]\nwhen = {{ days = \"{days}\", timezone = \"UTC\" }}\n"
        )
    };
    check(
        &when("Mo-Fr"),
        expect![[r#"
        plant.toml:5:17: `Mo` and `Fr` are no days of the week; write days as `Mon-Fri` or `Sat,Sun`; did you mean `Mon` and `Fri`?
    "#]],
    );
    check(
        &when("Mo-Xyz,Sat"),
        expect![[r#"
        plant.toml:5:17: `Mo` and `Xyz` are no days of the week; write days as `Mon-Fri` or `Sat,Sun`
    "#]],
    );
    check(
        &when("Fr"),
        expect![[r#"
        plant.toml:5:17: `Fr` is no day of the week; write days as `Mon-Fri` or `Sat,Sun`; did you mean `Fri`?
    "#]],
    );
}

#[test]
fn what_follows_from_a_fault_is_not_told_beside_it() {
    let zone = |networks: &str| {
        format!(
            "[zone.z]\nnetworks = [{networks}]\n[asset.x]\nzone = \"z\"\naddress = \"10.0.0.1\"\nservices.ssh = {{}}\n[asset.y]\nzone = \"z\"\naddress = \"11.0.0.1\"\n"
        )
    };
    check(
        &zone("'10.0.0.0/33'"),
        expect![[r#"
        plant.toml:2:13: `10.0.0.0/33` is not a network such as `10.10.1.0/24`
    "#]],
    );
    check(
        &zone("'10.0.0.0/8'"),
        expect![[r#"
        plant.toml:9:11: address 11.0.0.1 of asset `y` is outside the networks of zone `z` (10.0.0.0/8)
    "#]],
    );
}

#[test]
fn networks_that_overlap_are_named() {
    check(
        "[zone.a]\nnetworks = ['10.0.0.0/8', '11.0.0.0/8']\n[zone.b]\nnetworks = ['12.0.0.0/8', '11.1.0.0/16']\n",
        expect![[r#"
            accepted
            warning: plant.toml:3:7: zones `a` (11.0.0.0/8) and `b` (11.1.0.0/16) have addresses in common
        "#]],
    );
}
