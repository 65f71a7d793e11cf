#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

use std::path::Path;

use expect_test::{Expect, expect};

use super::*;

const RECIPIENT: &str = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p";

fn check(text: &str, expected: Expect) {
    let text = text.replace("RECIPIENT", RECIPIENT);
    let said = match Config::parse(Path::new("/etc/sallyport/broker.toml"), &text) {
        Ok(_) => "fine".to_owned(),
        Err(error) => error.to_string(),
    };
    expected.assert_eq(&said);
}

#[test]
fn everything_but_the_recipients_has_a_default() {
    check("recording.recipients = [\"RECIPIENT\"]", expect!["fine"]);
    check(
        "",
        expect![
            "/etc/sallyport/broker.toml:1:1: nobody could read the recordings: `recipients` in `[recording]` is empty; `sallyport init` makes a pair of keys; `age-keygen` does too"
        ],
    );
}

#[test]
fn an_unknown_key_is_named_with_its_place_and_its_neighbour() {
    check(
        "[recording]\nrecipients = [\"RECIPIENT\"]\ndurabilty = \"power\"\n",
        expect!["/etc/sallyport/broker.toml:3:1: unknown key `durabilty`; did you mean `durability`?"],
    );
    check("[listn]\n", expect!["/etc/sallyport/broker.toml:1:2: unknown key `listn`; did you mean `listen`?"]);
}

#[test]
fn a_value_of_another_kind_is_told_with_what_is_wanted() {
    check(
        "[listen]\nssh = [2222]\n",
        expect![[
            r#"/etc/sallyport/broker.toml:2:8: this is a text, not `2222`; write it in quotes: an address with its port as `"0.0.0.0:2222"`"#
        ]],
    );
    check(
        "[listen]\nssh = \"0.0.0.0:2222\"\n",
        expect![[r#"/etc/sallyport/broker.toml:2:7: this is a list, not a text; write it in brackets: `["…"]`"#]],
    );
    check(
        "[recording]\nkeep_days = -1\n",
        expect![
            "/etc/sallyport/broker.toml:2:13: this is a whole number, not below 0, not `-1`; write it without quotes and sign"
        ],
    );
    check(
        "[recording]\nkeep_days = \"30\"\n",
        expect![
            "/etc/sallyport/broker.toml:2:13: this is a whole number, not below 0, not a text; write it without quotes and sign"
        ],
    );
    check("[log]\nlevel = true\n[log]\n", expect!["/etc/sallyport/broker.toml:3:2: `log` is written twice"]);
    check(
        "[log]\nlevel = true\n",
        expect!["/etc/sallyport/broker.toml:2:9: this is a text, not true or false; write it in quotes"],
    );
}

#[test]
fn a_word_that_is_no_level_is_refused_for_it_would_silence_the_log() {
    let log = |level: &str| format!("[log]\nlevel = \"{level}\"\n[recording]\nrecipients = [\"RECIPIENT\"]\n");
    check(
        &log("verbose"),
        expect![
            "/etc/sallyport/broker.toml:2:9: `verbose` is not a log level: it is one of off, error, warn, info, debug and trace; use `info`"
        ],
    );
    check(
        &log("info,sallyport"),
        expect![
            "/etc/sallyport/broker.toml:2:9: `sallyport` is not a log level: it is one of off, error, warn, info, debug and trace; use `info`"
        ],
    );
    check(
        &log("info,sallyport::ssh=loud"),
        expect![[
            r#"/etc/sallyport/broker.toml:2:9: `info,sallyport::ssh=loud` is not a log level: error parsing level filter: expected one of "off", "error", "warn", "info", "debug", "trace", or a number 0-5; use `info`"#
        ]],
    );
    for level in ["info", "off", "warn,sallyport::ssh=debug", "DEBUG"] {
        check(&log(level), expect!["fine"]);
    }
}

#[test]
fn all_problems_are_shown_at_once() {
    check(
        r#"
[listen]
ssh = ["10.0.0.1"]
metrics = "0.0.0.0:9464"
[database]
url = "postgres://sallyport:hunter2@db/sallyport"
[secrets]
master_key = "a"
master_key_credential = "b"
[ssh]
login_deadline = "0s"
max_connections = 0
[recording]
recipients = ["age1nobody"]
durability = "hope"
cap = "4GB"
"#,
        expect![[r#"
            /etc/sallyport/broker.toml:3:8: `10.0.0.1` is not an address with a port; did you mean `10.0.0.1:2222`?
            /etc/sallyport/broker.toml:4:11: metrics would be open to other machines on `0.0.0.0:9464`; use 127.0.0.1, or set `metrics_beyond_loopback = true`
            /etc/sallyport/broker.toml:6:7: the database password is in the url; put it into `password_file`
            /etc/sallyport/broker.toml:9:25: `master_key` and `master_key_credential` contradict each other; keep one of them
            /etc/sallyport/broker.toml:11:18: no time at all would let nobody in; write it as `90s`
            /etc/sallyport/broker.toml:12:19: 0 would let nobody in; the default is 4096
            /etc/sallyport/broker.toml:14:15: `age1nobody` is not an age recipient: invalid Bech32 encoding; it starts with `age1`
            /etc/sallyport/broker.toml:15:14: `hope` is not one of the choices; use `process` or `power`
            /etc/sallyport/broker.toml:16:7: `4GB` is not a size; write it as `500MiB` or `20GiB`"#]],
    );
}

#[test]
fn a_password_is_never_repeated_in_an_error() {
    let text = "database.url = \"postgres://sallyport:hunter2@db/sallyport\"";
    let error = Config::parse(Path::new("broker.toml"), text).unwrap_err();
    assert!(!error.to_string().contains("hunter2"));
}

#[test]
fn relative_paths_start_at_the_folder_of_the_file() {
    let text = format!(
        "database.url = \"sqlite:sallyport.db\"\nsecrets.master_key = \"master.key\"\n[recording]\ndir = \"rec\"\nrecipients = [\"{RECIPIENT}\"]\n"
    );
    let config = Config::parse(Path::new("/srv/gate/broker.toml"), &text).unwrap();
    assert_eq!(config.database.url, "sqlite:/srv/gate/sallyport.db");
    assert_eq!(config.master_key, MasterKeySource::File("/srv/gate/master.key".into()));
    assert_eq!(config.recording.dir, Path::new("/srv/gate/rec"));
}

#[test]
fn a_zone_has_its_own_retention_or_the_common_one() {
    let text = format!(
        "[recording]\nkeep_days = 365\nrecipients = [\"{RECIPIENT}\"]\n[recording.retention.cell-1]\nkeep_bytes = \"1GiB\"\n"
    );
    let config = Config::parse(Path::new("broker.toml"), &text).unwrap();
    assert_eq!(config.recording.retention("cell-1"), Retention { days: None, bytes: Some(1 << 30) });
    assert_eq!(config.recording.retention("cell-2"), Retention { days: Some(365), bytes: None });
}

#[test]
fn units() {
    assert_eq!(duration("1h 30m"), Ok(Duration::from_mins(90)));
    assert!(duration("-5s").is_err());
    assert_eq!(size("3 MiB"), Ok(3 << 20));
    assert!(size("99999999TiB").is_err());
}
