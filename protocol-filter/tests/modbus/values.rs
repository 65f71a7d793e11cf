//! What rules say about values, steps, bits, rates and times, tried by breaking it.

use std::sync::Arc;

use sallyport_protocol_filter::modbus::{
    Functions, Limits, Mode, Points, Rule, Rules, Table, Tag, Units, ValueType, WordOrder,
};
use sallyport_protocol_filter::{Kind, ProtocolFilter};

use crate::plant::Line;

fn reads() -> Rule {
    Rule { name: "reads".into(), kinds: vec![Kind::Read], ..Rule::default() }
}

fn writes(first: u16, last: u16, limits: Limits) -> Rule {
    Rule {
        name: "setpoints".into(),
        kinds: vec![Kind::Write],
        points: vec![Points::range(Table::Registers, first, last)],
        limits: Some(limits),
        ..Rule::default()
    }
}

fn line(rule: Rule) -> Line {
    Line::new(Rules::new("test", Mode::Enforce, vec![reads(), rule], Vec::new()))
}

#[test]
fn of_rules_only_the_reads_are_left_to_who_looks_on() {
    let written = vec![reads(), writes(100, 109, Limits::default())];
    let narrow = Rule { units: [7].into_iter().collect(), ..reads() };
    for (rules, unit, read) in [
        (Rules::new("test", Mode::Enforce, written, Vec::new()), 1, None),
        (Rules::new("test", Mode::Enforce, vec![narrow], Vec::new()), 1, Some(2)),
        (Rules::full(), 1, None),
        (Rules::observe(), 1, None),
        (Rules::new("test", Mode::Enforce, Vec::new(), Vec::new()), 1, Some(1)),
    ] {
        let mut line = Line::new(rules.viewing());
        assert_eq!(line.denial(unit, "03 0000 0002"), read, "{rules:?}");
        if read.is_none() {
            line.answer(9, unit, "03 04 0001 0002");
        }
        for denied in ["06 0064 0009", "05 0000 ff00", "17 0000 0001 0064 0001 02 0001", "08 0001 0000", "2b 0d 00"] {
            assert!(line.denial(unit, denied).is_some(), "{denied} of {rules:?}");
        }
    }
}

#[test]
fn a_value_must_lie_within_minimum_and_maximum() {
    let mut line = line(writes(100, 109, Limits { min: Some(10.0), max: Some(1500.0), ..Limits::default() }));
    assert_eq!(line.denial(1, "06 0064 0009"), Some(3));
    assert_eq!(line.denial(1, "06 0064 05dd"), Some(3));
    assert_eq!(line.denial(1, "06 0064 05dc"), None);
    line.answer(9, 1, "06 0064 05dc");
    assert_eq!(line.denial(1, "06 006e 0064"), Some(2), "one beyond the range");
    assert_eq!(line.denial(1, "05 0064 ff00"), Some(2), "a coil of the same number");
    assert_eq!(line.denial(0, "06 0064 0064"), Some(2), "everybody is no unit that a rule names by default");
    assert_eq!(line.denial(1, "08 0001 0000"), Some(1));
}

#[test]
fn one_bad_value_or_address_among_many_denies_them_all() {
    let mut line = line(writes(100, 109, Limits { max: Some(100.0), ..Limits::default() }));
    assert_eq!(line.denial(1, "10 0064 0003 06 0001 0065 0001"), Some(3));
    assert_eq!(line.denial(1, "10 006c 0003 06 0001 0001 0001"), Some(2));
    assert_eq!(line.denial(1, "17 0000 0001 0064 0003 06 0001 0065 0001"), Some(3));
    assert_eq!(line.denial(1, "10 0064 0003 06 0001 0064 0001"), None);
}

#[test]
fn only_listed_values_pass() {
    let mut line = line(writes(100, 100, Limits { allowed: vec![0.0, 1.0, 2.0], ..Limits::default() }));
    assert_eq!(line.denial(1, "06 0064 0003"), Some(3));
    assert_eq!(line.denial(1, "06 0064 0002"), None);
}

#[test]
fn a_step_is_measured_from_what_was_read_or_confirmed_and_never_from_what_was_refused() {
    let mut line = line(writes(100, 109, Limits { max_step: Some(50.0), ..Limits::default() }));
    assert_eq!(line.denial(1, "06 0064 0001"), Some(3), "nothing is known yet");
    line.exchange(1, "03 0064 0001", "03 02 0064");
    assert_eq!(line.denial(1, "06 0064 0097"), Some(3), "100 to 151");
    assert_eq!(line.denial(1, "06 0064 0096"), None, "100 to 150");
    line.answer(9, 1, "86 03");
    assert_eq!(line.denial(1, "06 0064 00c8"), Some(3), "the asset refused 150, so it is still 100");
    line.exchange(1, "06 0064 0096", "06 0064 0096");
    assert_eq!(line.denial(1, "06 0064 00c8"), None, "150 to 200");
    assert_eq!(line.denial(2, "06 0064 00c8"), Some(3), "another unit");
}

#[test]
fn a_value_that_was_learned_long_ago_is_not_known() {
    let mut line = line(writes(100, 109, Limits { max_step: Some(50.0), ..Limits::default() }));
    line.exchange(1, "03 0064 0002", "03 04 0064 0064");
    line.pass(20_000);
    line.exchange(1, "03 0065 0001", "03 02 0064");
    line.pass(25_000);
    assert_eq!(line.denial(1, "06 0065 0080"), None, "learned 25 s ago");
    line.answer(9, 1, "86 03");
    line.pass(16_000);
    // Others may have changed it, and its program may.
    assert_eq!(line.denial(1, "06 0064 0080"), Some(3), "learned more than 60 s ago");
    line.pass(20_000);
    assert_eq!(line.denial(1, "06 0065 0080"), Some(3));
    line.exchange(1, "03 0064 0001", "03 02 0064");
    assert_eq!(line.denial(1, "06 0064 0080"), None, "and is known again once it is read");
}

#[test]
fn writes_in_flight_do_not_add_up_to_a_larger_step() {
    let mut line = line(writes(100, 109, Limits { max_step: Some(50.0), ..Limits::default() }));
    line.exchange(1, "03 0064 0001", "03 02 0064");
    assert_eq!(line.denial(1, "06 0064 0096"), None);
    let second = line.ask(10, 1, "06 0064 00c8");
    assert!(second.server.is_empty(), "200 is too far from 100, where it stays if 150 is refused");
    let third = line.ask(11, 1, "06 0064 0032");
    assert!(third.server.is_empty(), "50 is too far from 150, if that is not refused");
}

#[test]
fn answers_out_of_order_leave_the_value_unknown() {
    let mut line = line(writes(100, 109, Limits { max_step: Some(50.0), ..Limits::default() }));
    line.exchange(1, "03 0064 0001", "03 02 0064");
    line.ask(1, 1, "06 0064 0080");
    line.ask(2, 1, "06 0064 0070");
    line.answer(2, 1, "06 0064 0070");
    line.answer(1, 1, "06 0064 0080");
    assert_eq!(line.denial(1, "06 0064 0078"), Some(3));
    line.exchange(1, "03 0064 0001", "03 02 0070");
    assert_eq!(line.denial(1, "06 0064 0078"), None);
}

#[test]
fn a_failure_that_may_have_written_leaves_the_value_unknown() {
    let mut line = line(writes(100, 109, Limits { max_step: Some(50.0), ..Limits::default() }));
    line.exchange(1, "03 0064 0001", "03 02 0064");
    line.ask(1, 1, "06 0064 0080");
    line.answer(1, 1, "86 0b");
    assert_eq!(line.denial(1, "06 0064 0064"), Some(3));
}

#[test]
fn only_the_bits_of_the_mask_may_change() {
    let mut line = line(writes(100, 109, Limits { bits: Some(0x00FF), ..Limits::default() }));
    assert_eq!(line.denial(1, "06 0064 0001"), Some(3), "nothing is known yet");
    assert_eq!(line.denial(1, "16 0064 ff00 0012"), None, "a mask within needs no last value");
    line.answer(9, 1, "16 0064 ff00 0012");
    assert_eq!(line.denial(1, "16 0064 7f00 0012"), Some(3), "clears a bit outside");
    assert_eq!(line.denial(1, "16 0064 ff00 8012"), Some(3), "sets a bit outside, on a device that ors first");
    line.exchange(1, "03 0064 0001", "03 02 a512");
    assert_eq!(line.denial(1, "06 0064 a400"), Some(3));
    assert_eq!(line.denial(1, "06 0064 a5ff"), None);
}

#[test]
fn a_mask_write_is_judged_by_what_becomes_of_the_register() {
    let mut line = line(writes(100, 109, Limits { max: Some(255.0), ..Limits::default() }));
    assert_eq!(line.denial(1, "16 0064 00ff 0000"), Some(3), "nothing is known yet");
    line.exchange(1, "03 0064 0001", "03 02 0012");
    assert_eq!(line.denial(1, "16 0064 00ff 0100"), Some(3));
    assert_eq!(line.denial(1, "16 0064 00ff 0000"), None);
}

#[test]
fn a_rule_passes_so_many_writes_a_minute_and_no_more() {
    let rule = Rule { per_minute: Some(2), limits: None, ..writes(100, 109, Limits::default()) };
    let mut line = line(rule);
    line.exchange(1, "06 0064 0001", "06 0064 0001");
    line.pass(30_000);
    line.exchange(1, "06 0064 0002", "06 0064 0002");
    assert_eq!(line.denial(1, "06 0064 0003"), Some(6));
    line.exchange(1, "03 0064 0001", "03 02 0002");
    line.pass(29_999);
    assert_eq!(line.denial(1, "06 0064 0003"), Some(6));
    line.pass(1);
    line.exchange(1, "06 0064 0003", "06 0064 0003");
    assert_eq!(line.denial(1, "06 0064 0003"), Some(6));
}

#[test]
fn a_rule_holds_from_its_beginning_to_just_before_its_end() {
    let rule = Rule { from: Some(1_001_000), until: Some(1_002_000), ..writes(100, 109, Limits::default()) };
    let mut line = line(rule);
    line.pass(999);
    assert_eq!(line.denial(1, "06 0064 0001"), Some(6));
    line.pass(1);
    line.exchange(1, "06 0064 0001", "06 0064 0001");
    line.pass(999);
    line.exchange(1, "06 0064 0001", "06 0064 0001");
    line.pass(1);
    assert_eq!(line.denial(1, "06 0064 0001"), Some(6));
}

#[test]
fn rates_and_last_values_outlive_the_rules() {
    let limits = Limits { max_step: Some(50.0), ..Limits::default() };
    let rule = Rule { per_minute: Some(1), ..writes(100, 109, limits) };
    let profile = |rules| Arc::new(Rules::new("test", Mode::Enforce, rules, Vec::new()));
    let mut line = line(rule.clone());
    line.exchange(1, "03 0064 0001", "03 02 0064");
    line.filter.replace_rules(profile(vec![reads()]));
    assert_eq!(line.denial(1, "06 0064 0070"), Some(1));
    line.filter.replace_rules(profile(vec![rule.clone()]));
    assert_eq!(line.denial(1, "06 0064 00ff"), Some(3), "100 is remembered");
    line.exchange(1, "06 0064 0070", "06 0064 0070");
    line.filter.replace_rules(profile(vec![reads()]));
    line.filter.replace_rules(profile(vec![rule]));
    assert_eq!(line.denial(1, "06 0064 0070"), Some(6), "the one of this minute is remembered");
}

#[test]
fn a_write_counts_for_every_counting_rule_that_allows_a_point_of_it_unless_another_allows_it_freely() {
    let rule = |name: &str, first, per_minute| Rule {
        name: name.into(),
        per_minute,
        limits: None,
        ..writes(first, 109, Limits::default())
    };
    let (wide, narrow) = (rule("wide", 100, Some(9)), rule("narrow", 105, Some(1)));
    let profile = |rules| Rules::new("test", Mode::Enforce, rules, Vec::new());
    let mut line = Line::new(profile(vec![wide.clone(), narrow.clone()]));
    line.exchange(1, "10 0068 0002 04 0001 0001", "10 0068 0002");
    line.filter.replace_rules(Arc::new(profile(vec![narrow.clone()])));
    assert_eq!(line.denial(1, "06 0069 0001"), Some(6));

    let mut line = Line::new(profile(vec![rule("free", 100, None), narrow.clone()]));
    line.exchange(1, "10 0068 0002 04 0001 0001", "10 0068 0002");
    line.filter.replace_rules(Arc::new(profile(vec![narrow])));
    assert_eq!(line.denial(1, "06 0069 0001"), None);
}

#[test]
fn what_rules_need_is_not_forgotten_for_what_they_do_not() {
    let rule =
        Rule { units: Units::from_iter([1]), ..writes(100, 109, Limits { max_step: Some(50.0), ..Limits::default() }) };
    let mut line = line(rule);
    line.exchange(1, "03 0064 0001", "03 02 0064");
    for unit in 2..=255 {
        line.exchange(unit, "03 0000 0001", "03 02 0001");
        line.exchange(unit, "03 1000 0001", "03 02 0001");
    }
    assert_eq!(line.denial(1, "06 0064 0065"), None);
}

fn tag(name: &str, address: u16, value_type: ValueType) -> Tag {
    Tag {
        name: name.into(),
        table: Table::Registers,
        address,
        value_type,
        order: WordOrder::Big,
        bit: None,
        scale: 1.0,
        offset: 0.0,
        unit: String::new(),
    }
}

fn tag_line(tag: Tag, limits: Limits) -> Line {
    let points = vec![Points::Tag(tag.clone())];
    let rule = Rule { points, ..writes(0, 0, limits) };
    Line::new(Rules::new("test", Mode::Enforce, vec![reads(), rule], vec![tag]))
}

#[test]
fn a_tag_is_judged_whole_and_by_its_value() {
    let limits = Limits { min: Some(0.0), max: Some(80.0), ..Limits::default() };
    let mut line = tag_line(tag("level", 100, ValueType::F32), limits.clone());
    assert_eq!(line.denial(1, "10 0064 0002 04 42a1 0000"), Some(3), "80.5");
    assert_eq!(line.denial(1, "10 0064 0002 04 7fc0 0000"), Some(3), "not a number");
    assert_eq!(line.denial(1, "10 0064 0002 04 ff80 0000"), Some(3), "minus infinity");
    assert_eq!(line.denial(1, "06 0064 0000"), Some(3), "half of it");
    assert_eq!(line.denial(1, "10 0065 0001 02 0000"), Some(3), "its other half");
    line.exchange(1, "03 0064 0002", "03 04 42a0 0000");
    assert_eq!(line.denial(1, "16 0064 ffff 0000"), Some(3), "half of it by mask, though it changes nothing");
    assert_eq!(line.denial(1, "10 0064 0002 04 42a0 0000"), None, "80");

    let swapped = Tag { order: WordOrder::Little, ..tag("level", 100, ValueType::F32) };
    let mut line = tag_line(swapped, limits);
    assert_eq!(line.denial(1, "10 0064 0002 04 0000 42a1"), Some(3));
    assert_eq!(line.denial(1, "10 0064 0002 04 0000 42a0"), None);
}

#[test]
fn a_decimal_limit_is_met_by_the_registers_that_mean_it() {
    let scaled = Tag { scale: 0.1, offset: -10.0, ..tag("temperature", 100, ValueType::I16) };
    let mut line = tag_line(scaled, Limits { min: Some(-10.3), max: Some(-9.7), ..Limits::default() });
    assert_eq!(line.denial(1, "06 0064 0004"), Some(3));
    assert_eq!(line.denial(1, "06 0064 fffc"), Some(3));
    assert_eq!(line.denial(1, "06 0064 0003"), None);
    let mut line = tag_line(tag("ratio", 100, ValueType::F32), Limits { allowed: vec![0.3], ..Limits::default() });
    assert_eq!(line.denial(1, "10 0064 0002 04 3e99 999b"), Some(3));
    assert_eq!(line.denial(1, "10 0064 0002 04 3e99 999a"), None);
}

#[test]
fn a_whole_number_that_a_float_cannot_hold_meets_no_limit() {
    let limits = Limits { max: Some(9_007_199_254_740_992.0), ..Limits::default() };
    let mut line = tag_line(tag("counter", 100, ValueType::U64), limits);
    assert_eq!(line.denial(1, "10 0064 0004 08 0020 0000 0000 0001"), Some(3));
    assert_eq!(line.denial(1, "10 0064 0004 08 0020 0000 0000 0000"), None);
}

#[test]
fn an_opaque_function_passes_only_by_name() {
    let programs = Rule { name: "p".into(), kinds: Kind::RULED.to_vec(), units: Units::every(), ..Rule::default() };
    let mut line = line(programs);
    for request in ["5a 00 41", "2a 00", "2b 0d 00", "7d", "08 0015 0003", "63"] {
        assert_eq!(line.denial(1, request), Some(1), "{request}");
    }
    let named: Functions = [90, 8].map(sallyport_protocol_filter::modbus::Function::new).into_iter().collect();
    let mut line = self::line(Rule { name: "umas".into(), functions: named, ..Rule::default() });
    assert_eq!(line.denial(1, "5a 00 41"), None);
    assert_eq!(line.denial(1, "08 0015 0003"), None);
    assert_eq!(line.denial(0, "5a 00 41"), Some(2));
}
