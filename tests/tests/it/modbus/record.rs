//! What is on record of a decoded connection.

use std::io::{Read, Write};

use sallyport_session_recorder::Kind;
use serde_json::{Value, json};

use super::{Client, frame, plant_with_tunnel, reading, writing};
use sallyport_tests::the_end;

/// Does an entry have these members, whatever else it has?
#[track_caller]
fn has(entry: &Value, members: Value) {
    for (name, value) in members.as_object().unwrap() {
        assert_eq!(&entry[name], value, "`{name}` of {entry:#}");
    }
}

#[test]
fn every_request_and_answer_is_on_record_with_its_tags_values_verdict_and_rule() {
    let (plant, _controller, tunnel) = plant_with_tunnel("mona");
    let mut client = Client::connect(&tunnel);
    let mut input = Vec::new();
    let mut output = Vec::new();
    let requests: [&[u8]; 6] = [
        &reading(100, 2),
        &writing(100, 40),
        &writing(100, 100),
        &reading(1500, 1),
        &writing(120, 500),
        &[5, 0, 3, 0xFF, 0],
    ];
    let answers: [&[u8]; 6] =
        [&[3, 4, 0, 0, 0, 0], &writing(100, 40), &[0x86, 3], &[0x83, 2], &writing(120, 500), &[5, 0, 3, 0xFF, 0]];
    for ((number, request), answer) in (1..).zip(requests).zip(answers) {
        input.extend(frame(number, request));
        client.stream.write_all(&frame(number, request)).unwrap();
        let mut bytes = vec![0; frame(number, answer).len()];
        client.stream.read_exact(&mut bytes).unwrap();
        assert_eq!(bytes, frame(number, answer), "request {number}");
        output.extend(bytes);
    }
    drop(client);

    let (end, evidence) = the_end(&plant);
    assert_eq!(end, "left");
    assert_eq!(evidence.content(Kind::Input), input);
    assert_eq!(evidence.content(Kind::Output), output);
    has(
        &evidence.closed(),
        json!({ "end": "left", "denied": 1, "input_bytes": input.len(), "output_bytes": output.len() }),
    );

    let all = evidence.operations();
    let told: Vec<_> =
        all.iter().map(|entry| (entry["n"].as_u64().unwrap(), entry["phase"].as_str().unwrap())).collect();
    let both = |number| [(number, "request"), (number, "response")];
    let expected = [&both(1)[..], &both(2), &[(3, "request")], &both(4), &both(5), &both(6)].concat();
    assert_eq!(told, expected);
    let [read, read_answer, write, write_answer, denied, elsewhere, exception, level, _, coil, _] = all.as_slice()
    else {
        panic!("{all:#?}")
    };
    let speed = |rest: Value| {
        let mut tag = json!({ "name": "speed-setpoint", "unit": "rpm" });
        tag.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        json!([tag])
    };
    has(
        read,
        json!({
            "operation": "modbus", "transaction": 1, "unit": 1, "function": 3, "kind": "read", "table": "register",
            "address": 100, "quantity": 2, "verdict": "pass", "rule": "setpoints/1", "tags": speed(json!({})),
        }),
    );
    has(read_answer, json!({ "values": [0, 0], "tags": speed(json!({ "value": 0.0 })), "rule": "answer" }));
    has(
        write,
        json!({
            "function": 6, "kind": "write", "address": 100, "values": [40], "old": [0], "verdict": "pass", "rule": "speed",
            "tags": speed(json!({ "value": 40.0, "old": 0.0 })),
        }),
    );
    has(write_answer, json!({ "values": [40], "old": [0], "verdict": "pass", "exception": null }));
    has(
        denied,
        json!({
            "values": [100], "old": [40], "verdict": "deny", "rule": "speed", "cause": "value",
            "tags": speed(json!({ "value": 100.0, "old": 40.0 })),
        }),
    );
    assert!(denied["text"].as_str().unwrap().contains("denied: value (speed)"), "{denied}");
    has(elsewhere, json!({ "address": 1500, "verdict": "pass", "tags": null }));
    has(exception, json!({ "address": 1500, "exception": 2, "verdict": "pass", "rule": "answer" }));
    has(level, json!({ "tags": [{ "name": "tank-level-setpoint", "unit": "%", "value": 50.0 }], "rule": "level" }));
    has(
        coil,
        json!({ "table": "coil", "values": [1], "tags": [{ "name": "inlet-valve", "value": 1.0 }], "rule": "shift" }),
    );
}
