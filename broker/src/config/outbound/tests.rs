#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::path::Path;

use expect_test::{Expect, expect};

use crate::config::Config;

fn read(text: &str) -> Result<Config, String> {
    let recipient = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p";
    let text = format!("recording.recipients = [\"{recipient}\"]\n{text}\n");
    Config::parse(Path::new("/etc/sallyport/broker.toml"), &text).map_err(|error| error.to_string())
}

fn check(text: &str, expected: Expect) {
    let said = match read(text).map(|config| config.outbound) {
        Ok(outbound) => {
            let receivers = outbound.receivers.iter().map(|receiver| format!("{receiver:?}\n")).collect::<String>();
            format!("{} {:?}\n{receivers}", outbound.dir.display(), outbound.alarm_codes)
        }
        Err(problems) => problems,
    };
    expected.assert_eq(said.replace("/etc/sallyport/broker.toml:", "").trim_end());
}

#[test]
fn every_way_is_read() {
    check(
        r#"
outbound.dir = "/q"
[[siem]]
name = "siem"
to = "tls://siem.plant.example"
ca = "ca.pem"
certificate = "own.crt"
key = "own.key"
facility = "local3"
[[siem]]
name = "six"
to = "tcp://[fd00::1]:601"
format = "cef"
queue = "8MiB"
[[siem]]
name = "file"
to = "file:/var/log/sallyport.jsonl"
[[siem]]
name = "local"
to = "unix:/dev/log"
[alarm]
codes = ["SP-1002"]
[[alarm.webhook]]
name = "oncall"
url = "https://hooks.example/a/b?c=d"
ca = "/ca"
secret_file = "hook.secret"
[[alarm.command]]
name = "siren"
program = "/usr/local/bin/siren"
arguments = ["--loud"]
within = "5s"
[[alarm.mail]]
name = "mail"
server = "mail.example"
ca = "/ca"
from = "gate@plant.example"
to = ["oncall@plant.example"]
user = "gate"
password_file = "mail.password"
"#,
        expect![[r#"
            /q {"SP-1002"}
            Receiver { name: "siem", takes: Everything, most_waiting: 67108864, way: Syslog { to: Tls { remote: Remote { host: "siem.plant.example", port: 6514 }, trust: Trust { ca: "/etc/sallyport/ca.pem", own: Some(Own { certificate: "/etc/sallyport/own.crt", key: "/etc/sallyport/own.key" }) } }, format: Json, facility: 19 } }
            Receiver { name: "six", takes: Everything, most_waiting: 8388608, way: Syslog { to: Tcp(Remote { host: "fd00::1", port: 601 }), format: Cef, facility: 10 } }
            Receiver { name: "file", takes: Everything, most_waiting: 67108864, way: File { path: "/var/log/sallyport.jsonl", format: Json } }
            Receiver { name: "local", takes: Everything, most_waiting: 67108864, way: Syslog { to: UnixDatagram("/dev/log"), format: Json, facility: 10 } }
            Receiver { name: "oncall", takes: Alarms, most_waiting: 67108864, way: Webhook(Webhook { remote: Remote { host: "hooks.example", port: 443 }, path: "/a/b?c=d", trust: Trust { ca: "/ca", own: None }, secret_file: "/etc/sallyport/hook.secret" }) }
            Receiver { name: "siren", takes: Alarms, most_waiting: 67108864, way: Command(Program { program: "/usr/local/bin/siren", arguments: ["--loud"], within: 5s }) }
            Receiver { name: "mail", takes: Alarms, most_waiting: 67108864, way: Mail(Mail { remote: Remote { host: "mail.example", port: 587 }, tls: StartTls, trust: Trust { ca: "/ca", own: None }, from: "gate@plant.example", to: ["oncall@plant.example"], login: Some(MailLogin { user: "gate", password_file: "/etc/sallyport/mail.password" }) }) }"#]],
    );
}

#[test]
fn what_is_wrong_is_named_with_its_mend() {
    let wrong = [
        "[[siem]]\nto = 'udp://a'",
        "[[siem]]\nname = 'A b'\nto = 'udp://a'",
        "[[siem]]\nname = 'a'\nto = 'udp://a'\n[[siem]]\nname = 'a'\nto = 'udp://b'",
        "[[siem]]\nname = 'a'\nto = 'http://a'",
        "[[siem]]\nname = 'a'",
        "[[siem]]\nname = 'a'\nto = 'tls://a:1'",
        "[[siem]]\nname = 'a'\nto = 'tcp://a:1'\nca = 'x'",
        "[[siem]]\nname = 'a'\nto = 'tls://a:1'\nca = 'x'\nkey = 'y'",
        "[[siem]]\nname = 'a'\nto = 'tcp://a'",
        "[[siem]]\nname = 'a'\nto = 'file:x'\nfacility = 'local9'\nqueue = '1KiB'\nformat = 'xml'",
        "[[siem]]\nname = 'a'\nhost = 'b'",
        "[alarm]\ncodes = ['SP-9999']",
        "[[alarm.webhook]]\nname = 'a'\nurl = 'http://a/SECRET'",
        "[[alarm.webhook]]\nname = 'a'\nurl = 'https://a/SECRET'\nca = 'x'",
        "[[alarm.command]]\nname = 'a'\nprogram = 'siren'",
        "[[alarm.mail]]\nname = 'a'\nserver = 'm'\nfrom = 'x'\nto = []\nuser = 'u'",
    ];
    let said: Vec<String> = wrong.iter().map(|text| read(text).unwrap_err()).collect();
    let said = said.join("\n").replace("/etc/sallyport/broker.toml:", "");
    assert!(!said.contains("SECRET"), "{said}");
    expect![[r#"
        1:1: a receiver in `[[siem]]` has no `name`; write a `name` for it, as in `name = "siem"`
        3:8: `A b` is not a name for a receiver; 1 to 32 of small letters, digits, `-`
        6:8: two receivers are called `a`; each needs a name of its own: its queue has it
        4:6: `http://a` is no way to a receiver; use `tls://HOST:PORT`, `tcp://HOST:PORT`, `udp://HOST:PORT`, `unix:/dev/log`, `unix-stream:PATH` or `file:PATH`
        3:8: a `[[siem]]` says no `to`; use `tls://HOST:PORT`, `tcp://HOST:PORT`, `udp://HOST:PORT`, `unix:/dev/log`, `unix-stream:PATH` or `file:PATH`
        4:6: nothing says whose certificate this receiver may show; write `ca = "FILE"` in PEM; the system's own authorities are in `/etc/ssl/certs/ca-certificates.crt`
        4:6: `tcp://a:1` is not over TLS, and certificates are named for it; use `tls://HOST:PORT`, or leave out `ca`, `certificate` and `key`
        4:6: `certificate` and `key` go together; write both, or neither
        4:6: this names no host and port; write `HOST:PORT`, and an IPv6 address as `[fd00::1]:6514`
        7:10: `xml` is not one of the choices; use `json` or `cef`
        5:12: `local9` is not a facility of syslog; use one of user, daemon, auth, syslog, authpriv, local0, local1, local2, local3, local4, local5, local6, local7
        6:9: `1KiB` is no room for a queue; use `1MiB` or more; the default is `64MiB`
        4:1: unknown key `host`; known here: name, to, ca, certificate, key, format, facility, queue
        3:10: no event has the code `SP-9999`; docs/audit-events.md has them all
        4:7: this is no address of a webhook; use `https://HOST/PATH`: nothing but TLS
        4:7: requests of this webhook would not be signed; write `secret_file = "FILE"`; `openssl rand -hex 32` makes what it holds
        4:11: `siren` is not an absolute path; no shell and no search path: write it from `/` on
        4:10: nobody would get this mail; write `to = ["oncall@example"]`
        5:8: `x` is no address of mail; write it as `name@host`
        4:10: nothing says whose certificate this receiver may show; write `ca = "FILE"` in PEM; the system's own authorities are in `/etc/ssl/certs/ca-certificates.crt`
        4:10: `user` and `password_file` go together; write both, or neither for a server that asks for no login"#]].assert_eq(&said);
}
