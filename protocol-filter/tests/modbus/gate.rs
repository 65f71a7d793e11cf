//! The whole way: a read passes, a write is denied in the protocol's words, and the connection goes on.

use expect_test::expect;
use sallyport_protocol_filter::modbus::Rules;

use crate::plant::{Line, Sent};

#[test]
fn a_read_passes_a_write_is_denied_and_the_next_read_passes() {
    let mut line = Line::new(Rules::read_only());
    line.exchange(1, "03 0000 0002", "03 04 0001 0002");
    let denied = line.ask(2, 1, "06 0064 0640");
    assert_eq!(denied, Sent { client: "000200000003018601".into(), ..Sent::default() });
    line.exchange(1, "01 0000 000a", "01 02 ff 03");
    expect![[r#"
        1 Request: read registers 0-1 unit 1
        1 Response: read registers 0-1 = 1, 2 unit 1
        2 Request: write register 100 = 1600 unit 1, denied: function (read-only)
        3 Request: read coils 0-9 unit 1
        3 Response: read coils 0-9 = 1, 1, 1, 1, 1, 1, 1, 1, 1, 1 unit 1"#]]
    .assert_eq(&line.heard.0.join("\n"));
}

#[test]
fn a_denial_waits_for_what_was_asked_before_it_under_its_identifier_and_not_forever() {
    let mut line = Line::new(Rules::read_only());
    // Under one identifier: a client could take the denial for the answer to what it asked before.
    line.ask(1, 1, "03 0000 0001");
    assert_eq!(line.ask(1, 1, "06 0064 0640"), Sent::default());
    let answered = line.answer(1, 1, "03 02 0005");
    assert_eq!(answered.client, "0001000000050103020005000100000003018601");
    line.ask(3, 1, "03 0000 0001");
    line.ask(3, 1, "06 0064 0640");
    assert_eq!(line.pass(999), Sent::default());
    assert_eq!(line.pass(1).client, "000300000003018601");
    assert_eq!(line.answer(3, 1, "03 02 0005").client, "0003000000050103020005");
}
