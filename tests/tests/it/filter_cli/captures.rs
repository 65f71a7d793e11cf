//! Real traffic, read from the folder that `SALLYPORT_CAPTURES` names: what is learned from a capture passes that capture.

use std::path::PathBuf;

use expect_test::expect;
use serde_json::Value;

use super::{Desk, text};

const CAPTURES: [&str; 8] = [
    "icsnpp__modbus_example",
    "iti__modbus_test_2",
    "iti__modbus_test_data_part1",
    "iti__modicon_test",
    "ndpi__modbus",
    "suriv__modbus__modbus",
    "zeek__modbusSmall",
    "zeek__modbus-eit",
];

#[test]
fn what_is_learned_from_real_captures_passes_them() {
    let Some(folder) = std::env::var_os("SALLYPORT_CAPTURES") else {
        println!("SALLYPORT_CAPTURES is not set: left out {} captures, learned and replayed", CAPTURES.len());
        return;
    };
    let desk = Desk::new();
    let mut summary = Vec::new();
    for name in CAPTURES {
        let capture = text(&PathBuf::from(&folder).join(format!("modbus/{name}.pcap")));
        let learn = ["filter", "learn", "--asset", "plc-1", "--server", "any", "--pcap", &capture, "--name", "real"];
        let finished = desk.on_files(&[&learn[..], &["--json"]].concat());
        let learned: Value =
            serde_json::from_slice(&finished.stdout).unwrap_or_else(|error| panic!("{error}: {finished}"));
        desk.add("learned.toml", learned["toml"].as_str().unwrap());
        let test = ["filter", "test", "--profile", "real", "--asset", "plc-1", "--server", "any", "--pcap", &capture];
        let (tested, _) = desk.json(&test);
        for rule in tested["rules"].as_array().unwrap() {
            let (verdict, by) = (rule["verdict"].as_str().unwrap(), rule["rule"].as_str().unwrap());
            assert!(verdict == "pass" || by == "protocol", "{name}: {rule}");
        }
        let (counts, left_out) = (&tested["counts"], &learned["left_out"]);
        assert_eq!(counts["pass"], learned["requests"], "{name}");
        assert_eq!(counts["deny"], left_out["denied"], "{name}");
        summary.push(format!(
            "{name}: {} requests on {} connections, {} rules; {} denied, {} malformed, {} cut",
            counts["pass"],
            counts["connections"],
            learned["rules"].as_array().unwrap().len(),
            counts["deny"],
            counts["malformed"],
            counts["cut"],
        ));
    }
    expect![[r#"
        icsnpp__modbus_example: 22 requests on 2 connections, 27 rules; 2 denied, 0 malformed, 0 cut
        iti__modbus_test_2: 2382 requests on 122 connections, 5 rules; 0 denied, 0 malformed, 0 cut
        iti__modbus_test_data_part1: 16 requests on 5 connections, 9 rules; 0 denied, 3 malformed, 0 cut
        iti__modicon_test: 7 requests on 1 connections, 1 rules; 0 denied, 1 malformed, 0 cut
        ndpi__modbus: 51 requests on 1 connections, 1 rules; 0 denied, 0 malformed, 0 cut
        suriv__modbus__modbus: 16 requests on 5 connections, 9 rules; 0 denied, 3 malformed, 0 cut
        zeek__modbusSmall: 16 requests on 16 connections, 2 rules; 0 denied, 0 malformed, 0 cut
        zeek__modbus-eit: 2 requests on 2 connections, 2 rules; 0 denied, 1 malformed, 0 cut"#]]
    .assert_eq(&summary.join("\n"));
}

/// A screen, a desktop, and what a filter for either would have said; also where nothing can be told.
#[test]
fn captured_screens_and_desktops_are_tried_and_what_cannot_be_followed_is_said() {
    let Some(folder) = std::env::var_os("SALLYPORT_CAPTURES") else {
        println!("SALLYPORT_CAPTURES is not set: left out 4 captures of VNC and RDP");
        return;
    };
    let desk = Desk::new();
    desk.add("strict.toml", "[filter.nla]\nrdp = { require = \"nla\" }\n");
    let test = |protocol: &str, profile: &str, name: &str| {
        let capture = text(&PathBuf::from(&folder).join(name));
        let arguments = ["filter", "test", "--protocol", protocol, "--profile", profile, "--pcap", &capture];
        let finished = desk.on_files(&[&arguments[..], &["--server", "any"]].concat());
        let said = finished.stderr.replace(&capture, "FILE");
        let said: String =
            said.lines().filter(|line| !line.contains(": plant.toml:")).map(|line| format!("{line}\n")).collect();
        format!("{}{said}", String::from_utf8_lossy(&finished.stdout))
    };
    expect![[r#"
        AT                        CONNECTION  CLIENT               OPERATION                                                                  VERDICT         RULE
        2012-02-07T20:29:19.109Z  1           192.168.1.123:59018  version 3.7, goes on as 3.7                                                pass            view
        2012-02-07T20:29:19.109Z  1           192.168.1.123:59018  version 3.7, goes on as 3.7                                                pass            view
        2012-02-07T20:29:19.144Z  1           192.168.1.123:59018  security-types [18, 2], of which pass [2]                                  pass            view
        2012-02-07T20:29:19.144Z  1           192.168.1.123:59018  security-choice vnc-authentication                                         pass            view
        2012-02-07T20:29:24.021Z  1           192.168.1.123:59018  let-in                                                                     pass            view
        2012-02-07T20:29:24.021Z  1           192.168.1.123:59018  client-init not shared                                                     deny: function  input
        2012-02-07T20:29:24.056Z  1           192.168.1.123:59018  server-init 1280x800 32 bits true colour `aneagles@localhost.localdomain`  pass            view
        2012-02-07T20:29:24.099Z  1           192.168.1.123:59018  set-pixel-format 8 bits true colour                                        pass            view
        2012-02-07T20:29:24.099Z  1           192.168.1.123:59018  set-encodings cursor desktop-size zrle copy-rect hextile rre raw           pass            view
        2012-02-07T20:29:24.099Z  1           192.168.1.123:59018  update-requests 1                                                          pass            view
        2012-02-07T20:29:24.099Z  1           192.168.1.123:59018  pointer-moves 1                                                            deny: function  input

        operations: 11, connections: 1, of these malformed: 0, cut short: 0
        VERDICT  RULE   CAUSE     COUNT
        deny     input  function  2
        pass     view             9
        sallyport: would be denied: 2 of 11 operations
    "#]].assert_eq(&test("vnc", "view-only", "rfb/suriv__rfb-rules__00-vnc-openwall-3.7.pcap"));
    expect![[r#"
        AT                        CONNECTION  CLIENT               OPERATION                                  VERDICT         RULE
        2016-03-28T06:54:07.737Z  1           192.168.2.115:52351  version 3.889, goes on as 3.8              pass            view
        2016-03-28T06:54:07.738Z  1           192.168.2.115:52351  version 3.889, goes on as 3.8              pass            view
        2016-03-28T06:54:08.146Z  1           192.168.2.115:52351  security-types [30, 35], of which pass []  deny: function  security-types
        2016-03-28T06:54:10.685Z  2           192.168.2.115:52352  version 3.889, goes on as 3.8              pass            view
        2016-03-28T06:54:10.685Z  2           192.168.2.115:52352  version 3.889, goes on as 3.8              pass            view
        2016-03-28T06:54:10.778Z  2           192.168.2.115:52352  security-types [30, 35], of which pass []  deny: function  security-types
        2016-03-28T06:54:14.031Z  3           192.168.2.115:52353  version 3.889, goes on as 3.8              pass            view
        2016-03-28T06:54:14.031Z  3           192.168.2.115:52353  version 3.889, goes on as 3.8              pass            view
        2016-03-28T06:54:14.130Z  3           192.168.2.115:52353  security-types [30, 35], of which pass []  deny: function  security-types

        operations: 9, connections: 3, of these malformed: 0, cut short: 0
        VERDICT  RULE            CAUSE     COUNT
        deny     security-types  function  3
        pass     view                      6
        sallyport: `FILE`: bytes not looked at, behind what ends a session (malformed, or cut): 1100
        sallyport: would be denied: 3 of 9 operations
    "#]].assert_eq(&test("vnc", "full", "rfb/zeek__vncmac.pcap"));
    expect![[r#"
        AT                        CONNECTION  CLIENT               OPERATION                                    VERDICT  RULE
        2011-02-12T22:50:41.284Z  1           192.168.1.200:49206  request for tls, credssp (user `AWAKECODI`)  pass     require-nla
        2011-02-12T22:50:41.286Z  1           192.168.1.200:49206  selected credssp flags 0x01                  pass     require-nla
        2011-02-12T22:51:18.958Z  2           192.168.1.200:49207  request for tls, credssp (user `AWAKECODI`)  pass     require-nla
        2011-02-12T22:51:18.961Z  2           192.168.1.200:49207  selected credssp flags 0x01                  pass     require-nla

        operations: 4, connections: 2, of these malformed: 0, cut short: 0
        VERDICT  RULE         CAUSE  COUNT
        pass     require-nla         4
    "#]].assert_eq(&test("rdp", "nla", "rdp/zeek__rdp-to-ssl.pcap"));
    expect![[r#"
        AT                        CONNECTION  CLIENT               OPERATION                                    VERDICT         RULE
        2007-10-25T18:06:31.306Z  1           10.226.41.226:13178  request without negotiation (user `A70067`)  deny: function  require-nla
        2007-10-25T18:06:31.801Z  1           10.226.41.226:13178  confirmed without negotiation                deny: function  require-nla

        operations: 2, connections: 1, of these malformed: 0, cut short: 0
        VERDICT  RULE         CAUSE     COUNT
        deny     require-nla  function  2
        sallyport: would be denied: 2 of 2 operations
    "#]].assert_eq(&test("rdp", "nla", "rdp/suriv__rdp-protocol__RDP-003.pcap"));
}
