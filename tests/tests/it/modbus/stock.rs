//! Stock clients: mbpoll, and one of pymodbus, against a server of pymodbus.

use std::process::Command;

use sallyport_tests::{Place, Plant, finish, the_end};
use serde_json::{Value, json};

use super::{Controller, PORT, live, plant_with_tunnel};

fn mbpoll(plant: &Plant, arguments: &[&str]) -> Command {
    let mut command = plant.network().command(Place::Office, "mbpoll");
    command.args(["-m", "tcp", "-0", "-1", "-q", "-o", "5", "-p", &PORT.to_string(), "-t", "4"]);
    command.arg("127.0.0.1").args(arguments);
    command
}

/// What a client of pymodbus is answered on one connection: what was read, `done`, or the exception's code.
#[track_caller]
fn pymodbus(plant: &Plant, calls: &[(&str, Value)]) -> Vec<Value> {
    let mut python = plant.network().command(Place::Office, "/usr/bin/python3");
    python.arg(super::data("modbus_client.py")).arg(PORT.to_string());
    let lines: String = calls.iter().map(|call| json!(call).to_string() + "\n").collect();
    let answers = finish(python, lines.as_bytes()).ok();
    answers.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn mbpoll_reads_and_writes_nothing_by_default() {
    let (plant, controller, _tunnel) = plant_with_tunnel("rita");
    let read = finish(mbpoll(&plant, &["-r", "100", "-c", "2"]), b"").ok();
    assert!(read.contains("[100]: \t0") && read.contains("[101]: \t0"), "{read}");
    let written = finish(mbpoll(&plant, &["-r", "100", "--", "7"]), b"");
    assert!(written.refused().contains("Illegal function"), "{written}");
    assert_eq!(controller.register(100), 0);
    assert!(finish(mbpoll(&plant, &["-r", "100"]), b"").ok().contains("[100]: \t0"));
}

#[test]
fn mbpoll_writes_what_it_may() {
    let (plant, controller, _tunnel) = plant_with_tunnel("mona");
    finish(mbpoll(&plant, &["-r", "200", "--", "1", "2"]), b"").ok();
    assert_eq!((controller.register(200), controller.register(201)), (1, 2));
    let refused = finish(mbpoll(&plant, &["-r", "202", "--", "3"]), b"");
    assert!(refused.refused().contains("Illegal data value"), "{refused}");
    let refused = finish(mbpoll(&plant, &["-r", "205", "--", "1"]), b"");
    assert!(refused.refused().contains("Illegal data address"), "{refused}");
    assert_eq!((controller.register(202), controller.register(205)), (0, 0));
}

#[test]
fn without_the_right_a_write_is_an_illegal_function_and_the_connection_goes_on() {
    let (plant, controller, _tunnel) = plant_with_tunnel("rita");
    let answers = pymodbus(
        &plant,
        &[
            ("read_holding_registers", json!({ "address": 100, "count": 2 })),
            ("write_register", json!({ "address": 100, "value": 7 })),
            ("write_coil", json!({ "address": 3, "value": true })),
            ("write_registers", json!({ "address": 100, "values": [7, 8] })),
            (
                "readwrite_registers",
                json!({ "read_address": 0, "read_count": 1, "write_address": 100, "write_registers": [7] }),
            ),
            ("mask_write_register", json!({ "address": 100, "and_mask": 0, "or_mask": 7 })),
            ("read_holding_registers", json!({ "address": 100, "count": 2 })),
        ],
    );
    assert_eq!(json!(answers), json!([[0, 0], 1, 1, 1, 1, 1, [0, 0]]));
    assert_eq!((controller.register(100), controller.register(101), controller.coil(3)), (0, 0, 0));
    let (end, evidence) = the_end(&plant);
    assert_eq!(end, "left");
    assert_eq!(evidence.closed()["denied"], 5);
}

/// What is called, what is answered, and why.
const SETPOINTS: &str = r#"
["read_holding_registers", {"address": 100, "count": 3}]              [0, 0, 0]
["write_register", {"address": 100, "value": 50}]                     "done"
["write_register", {"address": 100, "value": 101}]                    3          a step of 51
["write_register", {"address": 100, "value": 100}]                    "done"     a step of 50 from what was written
["write_register", {"address": 102, "value": 1600}]                   3          above max
["write_register", {"address": 105, "value": 10}]                     3          nobody knows how large a step that is
["write_registers", {"address": 101, "values": [1, 2]}]               "done"
["write_registers", {"address": 101, "values": [3, 53]}]              3          one of two takes too large a step
["write_register", {"address": 110, "value": 1}]                      2          the first address outside
["read_holding_registers", {"address": 109, "count": 1}]              [0]
["write_registers", {"address": 109, "values": [0, 0]}]               2          one of two is outside
["write_register", {"address": 100, "value": 60, "slave": 2}]         2          another unit
["write_registers", {"address": 200, "values": [0, 1, 2]}]            "done"     the first in this minute
["write_register", {"address": 200, "value": 3}]                      3          none of those allowed
["write_register", {"address": 201, "value": 2}]                      "done"     the second
["write_register", {"address": 204, "value": 1}]                      "done"     the third
["write_register", {"address": 203, "value": 1}]                      6          the fourth
["write_register", {"address": 120, "value": 800}]                    "done"     80.0 %
["write_register", {"address": 120, "value": 801}]                    3          80.1 %
["write_registers", {"address": 130, "values": [0, 16712]}]           "done"     12.5, its low word first
["write_registers", {"address": 130, "values": [0, 16720]}]           3          13.0
["write_registers", {"address": 130, "values": [0, 32704]}]           3          no number
["write_register", {"address": 131, "value": 0}]                      3          half of a number
["mask_write_register", {"address": 300, "and_mask": 65520, "or_mask": 9}]   "done"   the low four bits
["mask_write_register", {"address": 300, "and_mask": 61695, "or_mask": 256}] 3        a bit of the high byte
["write_coil", {"address": 15, "value": true}]                        "done"
["write_coil", {"address": 16, "value": true}]                        2
["readwrite_registers", {"read_address": 100, "read_count": 2, "write_address": 120, "write_registers": [500]}]  [100, 1]
["read_input_registers", {"address": 5000, "count": 1}]               2          the controller's own word
["read_holding_registers", {"address": 100, "count": 3}]              [100, 1, 2]
"#;

#[test]
fn with_the_right_a_write_passes_within_range_step_number_and_tag() {
    let (plant, controller, _tunnel) = plant_with_tunnel("mona");
    let mut calls = Vec::new();
    let mut expected = Vec::new();
    for line in SETPOINTS.lines().filter(|line| !line.is_empty()) {
        let mut values = serde_json::Deserializer::from_str(line).into_iter::<Value>();
        let call = values.next().unwrap().unwrap();
        expected.push(values.next().unwrap().unwrap());
        calls.push((call[0].as_str().unwrap().to_owned(), call[1].clone()));
    }
    let calls: Vec<_> = calls.iter().map(|(method, arguments)| (method.as_str(), arguments.clone())).collect();
    let answers = pymodbus(&plant, &calls);
    assert_eq!(answers.len(), expected.len());
    for ((call, answer), expected) in calls.iter().zip(&answers).zip(&expected) {
        assert_eq!(answer, expected, "{call:?}");
    }
    holds(
        &controller,
        &[(100, 100), (101, 1), (102, 2), (105, 0), (109, 0), (110, 0), (120, 500), (130, 0), (131, 16712)],
    );
    holds(&controller, &[(200, 0), (201, 2), (202, 2), (203, 0), (204, 1), (300, 9)]);
    assert_eq!((controller.coil(15), controller.coil(16)), (1, 0));
    let (_, evidence) = the_end(&plant);
    let denied = evidence.operations().iter().filter(|operation| operation["verdict"] == "deny").count();
    let codes = expected.iter().filter(|answer| answer.is_number()).count();
    assert_eq!(denied, codes - 1, "all but what the controller itself refused");
    assert_eq!(evidence.closed()["denied"], denied);
    assert_eq!(live(&plant), 0);
}

#[track_caller]
fn holds(controller: &Controller, registers: &[(u16, u16)]) {
    for &(address, value) in registers {
        assert_eq!(controller.register(address), value, "register {address}");
    }
}
