//! Tags that are one bit of a register, and registers whose bytes are exchanged.

use sallyport_protocol_filter::Kind;
use sallyport_protocol_filter::modbus::{
    Limits, Mode, Points, Rule, Rules, Table, Tag, ValueType, WordOrder, parse_operation,
};

use crate::plant::{Line, to_hex};

fn bit(name: &str, address: u16, bit: u8) -> Tag {
    Tag {
        name: name.into(),
        table: Table::Registers,
        address,
        value_type: ValueType::Bool,
        order: WordOrder::Big,
        bit: Some(bit),
        scale: 1.0,
        offset: 0.0,
        unit: String::new(),
    }
}

/// Everything may be read; the tags may be written.
fn line(tags: &[Tag], limits: Option<Limits>) -> Line {
    let points = tags.iter().cloned().map(Points::Tag).collect();
    let write = Rule { name: "w".into(), kinds: vec![Kind::Write], points, limits, ..Rule::default() };
    let read = Rule { name: "r".into(), kinds: vec![Kind::Read], ..Rule::default() };
    Line::new(Rules::new("test", Mode::Enforce, vec![read, write], tags.to_vec()))
}

#[test]
fn a_bit_is_written_by_mask_whatever_the_register_holds() {
    let mut line = line(&[bit("run", 100, 3)], None);
    assert_eq!(line.denial(1, "16 0064 fff7 0008"), None, "on");
    assert_eq!(line.denial(1, "16 0064 fff7 0000"), None, "off");
    assert_eq!(line.denial(1, "16 0064 ffff 0000"), None, "nothing");
    assert_eq!(line.denial(1, "16 0064 fff3 0008"), Some(3), "and bit 2 off");
    assert_eq!(line.denial(1, "16 0064 fff7 0018"), Some(3), "a device that takes `or` literally would set bit 4");
    assert_eq!(line.denial(1, "16 0064 0000 0008"), Some(3), "and all others off");
    assert_eq!(line.denial(1, "16 0065 fff7 0008"), Some(2), "elsewhere");
}

#[test]
fn a_whole_register_is_written_only_beside_its_last_value_and_with_no_other_bit() {
    let mut line = line(&[bit("run", 100, 3)], None);
    assert_eq!(line.denial(1, "06 0064 0008"), Some(3), "what else it holds is not known");
    assert_eq!(line.denial(1, "10 0064 0001 02 0008"), Some(3), "nor by function 16");
    line.exchange(1, "03 0064 0001", "03 02 1234");
    assert_eq!(line.denial(1, "06 0064 123c"), None);
    line.answer(9, 1, "06 0064 123c");
    assert_eq!(line.denial(1, "06 0064 1234"), None, "and off again");
    line.answer(9, 1, "06 0064 1234");
    assert_eq!(line.denial(1, "06 0064 1235"), Some(3), "bit 0");
    assert_eq!(line.denial(1, "10 0064 0002 04 123c 0000"), Some(2), "and its neighbour");
    assert_eq!(line.denial(1, "17 0000 0001 0064 0001 02 123d"), Some(3), "by function 23");
}

#[test]
fn several_bits_of_a_rule_may_change_together_and_a_whole_tag_beside_them_opens_the_register() {
    let (run, open) = (bit("run", 100, 3), bit("open", 100, 15));
    let mut both = line(&[run.clone(), open], None);
    assert_eq!(both.denial(1, "16 0064 7ff7 8008"), None);
    assert_eq!(both.denial(1, "16 0064 7ff6 8008"), Some(3));
    let whole = Tag { value_type: ValueType::U16, bit: None, ..bit("word", 100, 0) };
    let mut word = line(&[run, whole], None);
    assert_eq!(word.denial(1, "06 0064 ffff"), None);
}

#[test]
fn values_of_a_bit_are_judged_by_what_the_masks_make_of_it() {
    let off = Limits { allowed: vec![0.0], ..Limits::default() };
    let mut line = line(&[bit("run", 100, 3)], Some(off));
    assert_eq!(line.denial(1, "16 0064 fff7 0000"), None, "off");
    assert_eq!(line.denial(1, "16 0064 fff7 0008"), Some(3), "on");
    assert_eq!(line.denial(1, "16 0064 ffff 0008"), Some(3), "kept, or set by a device that takes `or` literally");
    line.exchange(1, "03 0064 0001", "03 02 0008");
    assert_eq!(line.denial(1, "06 0064 0000"), None);
    line.answer(9, 1, "06 0064 0000");
    assert_eq!(line.denial(1, "06 0064 0008"), Some(3));
}

/// A rule about the register is about all of it, however its bits are called.
#[test]
fn names_of_bits_loosen_no_rule_about_their_register() {
    let limits = Limits { max: Some(100.0), ..Limits::default() };
    let points = vec![Points::range(Table::Registers, 100, 100)];
    let rule = Rule { name: "w".into(), kinds: vec![Kind::Write], points, limits: Some(limits), ..Rule::default() };
    let mut line = Line::new(Rules::new("test", Mode::Enforce, vec![rule], vec![bit("run", 100, 3)]));
    assert_eq!(line.denial(1, "06 0064 0064"), None);
    assert_eq!(line.denial(1, "06 0064 0065"), Some(3));
}

#[test]
fn bytes_that_are_exchanged_are_put_in_order_first() {
    let swapped = Tag { order: WordOrder::BigSwapped, ..bit("run", 100, 3) };
    let mut line = line(std::slice::from_ref(&swapped), None);
    assert_eq!(line.denial(1, "16 0064 f7ff 0800"), None);
    assert_eq!(line.denial(1, "16 0064 fff7 0008"), Some(3));
    let number = Tag { value_type: ValueType::U16, bit: None, ..swapped };
    let limits = Limits { max: Some(256.0), ..Limits::default() };
    let mut line = self::line(&[number], Some(limits.clone()));
    assert_eq!(line.denial(1, "06 0064 0001"), None, "256");
    assert_eq!(line.denial(1, "06 0064 0101"), Some(3), "257");
    let long = Tag { value_type: ValueType::U32, order: WordOrder::LittleSwapped, bit: None, ..bit("count", 100, 0) };
    let mut line = self::line(&[long], Some(limits));
    assert_eq!(line.denial(1, "10 0064 0002 04 0001 0000"), None, "256");
    assert_eq!(line.denial(1, "10 0064 0002 04 0000 0100"), Some(3), "65536");
}

#[test]
fn evidence_and_what_people_write_know_bits() {
    let tags = [bit("run", 100, 3)];
    let mut line = line(&tags, None);
    line.ask(1, 1, "16 0064 fff7 0008");
    let told = line.heard.0.last().unwrap();
    assert_eq!(told, "1 Request: mask write register 100 and 0xfff7 or 0x0008 [run = 1] unit 1");
    line.answer(1, 1, "16 0064 fff7 0008");
    line.exchange(1, "03 0064 0001", "03 02 0005");
    let told = line.heard.0.last().unwrap();
    assert_eq!(told, "2 Response: read registers 100 = 5 [run = 0] unit 1");
    let written = |text: &str| {
        let mut pdu = Vec::new();
        parse_operation(text, &tags).unwrap().request().encode(&mut pdu);
        to_hex(&pdu)
    };
    assert_eq!(written("write run = on"), "160064fff70008");
    assert_eq!(written("write run = 0"), "160064fff70000");
    assert_eq!(written("read run"), "0300640001");
}

#[test]
fn a_float_meets_the_limit_that_is_nearest_to_it_and_none_beyond() {
    let float = Tag { value_type: ValueType::F32, bit: None, ..bit("level", 100, 0) };
    let write = |value: f32| format!("10 0064 0002 04 {:08x}", value.to_bits());
    for limit in [80.0_f64, 0.3, 1.0e-3, 99.9, 1234.5] {
        let nearest = limit as f32;
        let limits = Limits { min: Some(limit), max: Some(limit), ..Limits::default() };
        let mut line = line(std::slice::from_ref(&float), Some(limits));
        assert_eq!(line.denial(1, &write(nearest)), None, "{limit}");
        for other in [nearest.next_up(), nearest.next_down()] {
            assert_eq!(line.denial(1, &write(other)), Some(3), "{limit}: {other}");
        }
    }
}
