//! Tag lists: how they belong to a plant, what is read from them, and how they are refused.

use std::collections::BTreeSet;

use expect_test::{Expect, expect};
use proptest::prelude::*;
use sallyport_policy::Policy;

use crate::plant_file::file;

/// A plant whose only service names a tag list; `service` is what is written of it.
fn plant(service: &str) -> String {
    format!("[zone.z]\nnetworks = ['10.0.0.0/8']\n[asset.plc]\nzone = 'z'\naddress = '10.0.0.1'\nservices.{service}\n")
}

const NAMED: &str = "modbus = { tag_list = 'plc.csv' }";

fn answer(service: &str, lists: &[(&str, &str)]) -> String {
    let mut files = vec![file("plant.toml", &plant(service))];
    files.extend(lists.iter().map(|(name, text)| file(name, text)));
    match Policy::parse(&files) {
        Err(errors) => format!("{errors}\n"),
        Ok(policy) => {
            let warnings = policy.warnings().iter().map(|warning| format!("warning: {warning}\n"));
            let tags = policy.tag_lists().flat_map(|list| list.tags()).map(|tag| format!("{tag:?}\n"));
            warnings.chain(tags).collect()
        }
    }
}

fn check(text: &str, expected: Expect) {
    expected.assert_eq(&answer(NAMED, &[("plc.csv", text)]));
}

#[test]
fn a_tag_list_is_read_with_its_defaults() {
    let text = "\u{feff}name,table,address,type,word_order,scale,offset,unit,description\r\n\
        level,input-register,0,u16,,0.1,-5,%,\"Level, tank 1\"\r\n\
        \r\n\
        \"FIC-101.SP [m³/h]\",register,65534,f32,little,,,m³/h,\r\n\
        pump,coil,7,,,,,,\r\n";
    let policy = Policy::parse(&[file("plant.toml", &plant(NAMED)), file("plc.csv", text)]).unwrap();
    let service = policy.assets().flat_map(|asset| asset.services.values()).next().unwrap();
    let list = policy.tags_of(service).unwrap();
    expect![[r#"
        {
          "name": "plc.csv",
          "tags": {
            "FIC-101.SP [m³/h]": {
              "name": "FIC-101.SP [m³/h]",
              "table": "register",
              "address": 65534,
              "type": "f32",
              "word_order": "little",
              "scale": 1.0,
              "offset": 0.0,
              "unit": "m³/h",
              "description": null
            },
            "level": {
              "name": "level",
              "table": "input-register",
              "address": 0,
              "type": "u16",
              "word_order": "big",
              "scale": 0.1,
              "offset": -5.0,
              "unit": "%",
              "description": "Level, tank 1"
            },
            "pump": {
              "name": "pump",
              "table": "coil",
              "address": 7,
              "type": "bool",
              "word_order": "big",
              "scale": 1.0,
              "offset": 0.0,
              "unit": null,
              "description": null
            }
          }
        }
    "#]]
    .assert_eq(&(serde_json::to_string_pretty(list).unwrap() + "\n"));
    assert_eq!(list.tag("FIC-101.SP [m³/h]").unwrap().range().to_string(), "register 65534-65535");
}

#[test]
fn places_may_be_given_as_references() {
    let one = "name,reference,type\na,40101,f32\nb,00008,\nc,300001,i16\nd,10001,bool\n";
    let other =
        "type,address,name,table\nf32,100,a,register\n,7,b,coil\ni16,0,c,input-register\nbool,0,d,discrete-input\n";
    assert_eq!(answer(NAMED, &[("plc.csv", one)]), answer(NAMED, &[("plc.csv", other)]));
    assert!(answer(NAMED, &[("plc.csv", one)]).contains("Coil"));
}

#[test]
fn every_fault_of_a_tag_list_is_said_with_its_line() {
    check(
        "name,table,address,type,word_order,scale,offset\n\
         a,regster,7,u16,big,1,0\n\
         b,register,65536,u16,,,\n\
         c,register,7-9,u16,,,\n\
         d,register,65535,u32,,,\n\
         e,register,7,bool,,,\n\
         f,coil,7,u16,,,\n\
         g,coil,7,,,2,\n\
         h,register,7,u61,middle,0,x\n\
         i,register,7,,,inf,\n\
         ,register,7,,,,\n\
         j,,,,,,\n\
         k,register,7,u16\n\
         l,register,7,u16,,,\n\
         l,register,8,u16,,,\n\
         a=b,register,8,u16,,,\n\
         m,register,\"8,u16,,,\n\
         n,register,7,u16,,,\n",
        expect![[r#"
            plc.csv:2:3: `table` of a tag cannot be `regster`: it is one of coil, discrete-input, input-register, register; did you mean `register`?
            plc.csv:3:12: `address` of a tag is a zero-based address from 0 to 65535, not `65536`
            plc.csv:4:12: `address` of a tag is a zero-based address from 0 to 65535, not `7-9`
            plc.csv:5:12: tag `d` goes beyond the last address, 65535
            plc.csv:6:14: `type` of a tag cannot be `bool` here: a register is no bit; one of its bits is written `40101.3`, or has a column `bit`
            plc.csv:7:10: `type` of a tag cannot be `u16` here: a coil or discrete input is a `bool`
            plc.csv:8:12: tag `g` is a bit, which has neither scale nor offset
            plc.csv:9:14: `type` of a tag cannot be `u61`: it is one of bool, u16, i16, u32, i32, u64, i64, f32, f64; did you mean `u16`?
            plc.csv:9:18: `word_order` of a tag cannot be `middle`: it is one of big, little
            plc.csv:9:27: `offset` of a tag is a number such as `0.1`, not `x`
            plc.csv:10:16: `scale` of a tag is a number such as `0.1`, not `inf`
            plc.csv:11:1: this line has no `name`
            plc.csv:12:3: this line has no `table`
            plc.csv:12:4: this line has no `address`
            plc.csv:13:1: this line has 4 fields, and the header 7
            plc.csv:15:1: tag `l` is on line 14 already
            plc.csv:16:1: `a=b` cannot be the name of a tag: it has at most 128 characters, and no quote, comma, semicolon, `=` or control character
            plc.csv:17:12: a quoted field is not closed on its line
        "#]],
    );
    check(
        "name,reference\na,40000\nb,40001-40002\nc,7\nd,465536\n",
        expect![[r#"
            plc.csv:2:3: `40000` is no reference: they count from 1, so that `40001` is the first of its table, with address 0
            plc.csv:3:3: `40001-40002`: a tag has one reference; its type says how long it is
            plc.csv:4:3: `7` is no reference: five or six digits such as `40101` or `400101`, or a range of them, of which the first is the table: 0 coils, 1 discrete inputs, 3 input registers, 4 registers
        "#]],
    );
}

#[test]
fn the_header_says_which_column_is_which() {
    for (text, expected) in [
        (
            "",
            expect![[r#"
                plc.csv:1:1: a tag list begins with a line that names its columns
            "#]],
        ),
        (
            "level,register,7\n",
            expect![[r#"
                plc.csv:1:1: unknown column `level` in a tag list, whose columns are name, table, address, reference, bit, type, word_order, byte_order, scale, offset, unit, description
                plc.csv:1:7: unknown column `register` in a tag list, whose columns are name, table, address, reference, bit, type, word_order, byte_order, scale, offset, unit, description
                plc.csv:1:16: unknown column `7` in a tag list, whose columns are name, table, address, reference, bit, type, word_order, byte_order, scale, offset, unit, description
            "#]],
        ),
        (
            "name;table;address\n",
            expect![[r#"
                plc.csv:1:1: columns are parted by commas, not by semicolons
            "#]],
        ),
        (
            "name,tabel,address,name\n",
            expect![[r#"
                plc.csv:1:6: unknown column `tabel` in a tag list, whose columns are name, table, address, reference, bit, type, word_order, byte_order, scale, offset, unit, description; did you mean `table`?
                plc.csv:1:20: column `name` is there twice
            "#]],
        ),
        (
            "name\na\n",
            expect![[r#"
                plc.csv:1:1: a tag list has columns `table` and `address`, or a column `reference`
            "#]],
        ),
        (
            "table,address\n",
            expect![[r#"
                plc.csv:1:1: a tag list has a column `name`
            "#]],
        ),
        (
            "name,reference,address\n",
            expect![[r#"
                plc.csv:1:1: a tag list has either a column `reference`, or columns `table` and `address`, but not both
            "#]],
        ),
    ] {
        check(text, expected);
    }
}

#[test]
fn one_bit_of_a_register_and_an_order_of_bytes_can_be_named() {
    let dotted = "name,reference,byte_order\na,40101.3,\nb,300001.15,little\n";
    let column = "name,table,address,bit,byte_order\na,register,100,3,\nb,input-register,0.15,,little\n";
    assert_eq!(answer(NAMED, &[("plc.csv", dotted)]), answer(NAMED, &[("plc.csv", column)]));
    check(
        dotted,
        expect![[r#"
        Tag { name: "a", table: Register, address: 100, kind: Bool, word_order: Big, byte_order: Big, bit: Some(3), scale: 1.0, offset: 0.0, unit: None, description: None, range: PointRange { table: Register, first: 100, last: 100 } }
        Tag { name: "b", table: InputRegister, address: 0, kind: Bool, word_order: Big, byte_order: Little, bit: Some(15), scale: 1.0, offset: 0.0, unit: None, description: None, range: PointRange { table: InputRegister, first: 0, last: 0 } }
    "#]],
    );
    check(
        "name,reference,bit,type,byte_order\n\
         a,40101.16,,,\n\
         b,40101.3,3,,\n\
         c,10101.3,,,\n\
         d,40101,3,u16,\n\
         e,40101,,bool,\n\
         f,00001,,,little\n\
         g,40101.x,,,\n\
         h,40101,+3,,\n\
         i,40101,,u16,middle\n",
        expect![[r#"
            plc.csv:2:3: the bit of a register is a number from 0, the lowest, to 15, not `16`
            plc.csv:3:11: the bit is written behind the place already
            plc.csv:4:3: a coil or discrete input is a bit itself, and has none
            plc.csv:5:11: `type` of a tag cannot be `u16` here: one bit of a register is a `bool`
            plc.csv:6:10: `type` of a tag cannot be `bool` here: a register is no bit; one of its bits is written `40101.3`, or has a column `bit`
            plc.csv:7:11: tag `f` is a bit, which has no order of bytes
            plc.csv:8:3: the bit of a register is a number from 0, the lowest, to 15, not `x`
            plc.csv:9:9: the bit of a register is a number from 0, the lowest, to 15, not `+3`
            plc.csv:10:14: `byte_order` of a tag cannot be `middle`: it is one of big, little
        "#]],
    );
    // What a spreadsheet makes of `40101.10`.
    check(
        "name,reference\na,40101.1\nb,40101.1\n",
        expect![[r#"
        warning: plc.csv:3:1: tag `b` is the same bit as `a`: register 100 bit 1
        Tag { name: "a", table: Register, address: 100, kind: Bool, word_order: Big, byte_order: Big, bit: Some(1), scale: 1.0, offset: 0.0, unit: None, description: None, range: PointRange { table: Register, first: 100, last: 100 } }
        Tag { name: "b", table: Register, address: 100, kind: Bool, word_order: Big, byte_order: Big, bit: Some(1), scale: 1.0, offset: 0.0, unit: None, description: None, range: PointRange { table: Register, first: 100, last: 100 } }
    "#]],
    );
}

#[test]
fn what_spreadsheets_leave_behind_is_passed_over_or_named() {
    let clean = "name,reference\na,40001\n";
    assert_eq!(
        answer(NAMED, &[("plc.csv", "name,reference\n,\r\na,40001\r\n,\r\n , \n")]),
        answer(NAMED, &[("plc.csv", clean)])
    );
    check(
        "name\treference\na\t40001\n",
        expect![[r#"
            plc.csv:1:1: columns are parted by commas, not by tabs: save it as CSV with commas
        "#]],
    );
    check(
        "name,referenz\na,40001\n",
        expect![[r#"
            plc.csv:1:6: unknown column `referenz` in a tag list, whose columns are name, table, address, reference, bit, type, word_order, byte_order, scale, offset, unit, description; did you mean `reference`?
        "#]],
    );
}

#[test]
fn a_tag_list_is_a_file_of_the_plant_and_nothing_else() {
    let list = "name,reference\na,40001\n";
    let mut all = String::new();
    for (service, lists) in [
        ("modbus = { tag_list = 'pcl.csv' }", vec![("plc.csv", list)]),
        ("modbus = { tag_list = 'plc.csv' }", vec![]),
        ("modbus = { tag_list = '../plc.csv' }", vec![("plc.csv", list)]),
        ("modbus = { tag_list = '/etc/plc.csv' }", vec![]),
        ("modbus = { tag_list = 'a\\plc.csv' }", vec![]),
        ("modbus = { tag_list = '..csv' }", vec![]),
        ("modbus = { tag_list = 'shadow' }", vec![]),
        ("modbus = { tag_list = 7 }", vec![]),
        ("vnc = { tag_list = 'plc.csv' }", vec![("plc.csv", list)]),
        ("modbus = {}", vec![("plc.csv", list)]),
        (NAMED, vec![("plc.csv", list), ("plc.csv", list)]),
    ] {
        all.push_str(&answer(service, &lists));
    }
    expect![[r#"
        plant.toml:6:32: `tag_list` of service `modbus` of asset `plc`: the plant has no file `pcl.csv`; did you mean `plc.csv`?
        plant.toml:6:32: `tag_list` of service `modbus` of asset `plc`: the plant has no file `plc.csv`
        plant.toml:6:32: `tag_list` of service `modbus` of asset `plc` is the plain name of a CSV file beside the plant file, as `plc-1.csv`, not `../plc.csv`
        plant.toml:6:32: `tag_list` of service `modbus` of asset `plc` is the plain name of a CSV file beside the plant file, as `plc-1.csv`, not `/etc/plc.csv`
        plant.toml:6:32: `tag_list` of service `modbus` of asset `plc` is the plain name of a CSV file beside the plant file, as `plc-1.csv`, not `a\\plc.csv`
        plant.toml:6:32: `tag_list` of service `modbus` of asset `plc` is the plain name of a CSV file beside the plant file, as `plc-1.csv`, not `..csv`
        plant.toml:6:32: `tag_list` of service `modbus` of asset `plc` is the plain name of a CSV file beside the plant file, as `plc-1.csv`, not `shadow`
        plant.toml:6:32: `tag_list` of service `modbus` of asset `plc` is a text in quotes, not a number
        plant.toml:6:29: service `vnc` of asset `plc` names a tag list, which modbus alone has
        warning: plc.csv:1:1: no service names this tag list, which so has no effect
        Tag { name: "a", table: Register, address: 0, kind: U16, word_order: Big, byte_order: Big, bit: None, scale: 1.0, offset: 0.0, unit: None, description: None, range: PointRange { table: Register, first: 0, last: 0 } }
        plc.csv:1:1: two files have this name, so messages and rules could not say which is meant
    "#]]
    .assert_eq(&all);
}

#[test]
fn an_address_that_looks_like_a_reference_is_a_warning() {
    check(
        "name,table,address\na,register,40001\nb,coil,40001\nc,coil,00001\n",
        expect![[r#"
            warning: plc.csv:2:12: `address` of a tag is read as the zero-based address `40001`: if the reference is meant, there is a column `reference`
            warning: plc.csv:4:8: `address` of a tag is read as the zero-based address `00001`: if the reference is meant, there is a column `reference`
            Tag { name: "a", table: Register, address: 40001, kind: U16, word_order: Big, byte_order: Big, bit: None, scale: 1.0, offset: 0.0, unit: None, description: None, range: PointRange { table: Register, first: 40001, last: 40001 } }
            Tag { name: "b", table: Coil, address: 40001, kind: Bool, word_order: Big, byte_order: Big, bit: None, scale: 1.0, offset: 0.0, unit: None, description: None, range: PointRange { table: Coil, first: 40001, last: 40001 } }
            Tag { name: "c", table: Coil, address: 1, kind: Bool, word_order: Big, byte_order: Big, bit: None, scale: 1.0, offset: 0.0, unit: None, description: None, range: PointRange { table: Coil, first: 1, last: 1 } }
        "#]],
    );
}

#[test]
fn a_plant_file_says_which_tag_lists_to_look_for_and_never_a_path() {
    let names = |text: &str| file("plant.toml", text).tag_lists();
    let one = |name: &str| BTreeSet::from([name.to_owned()]);
    assert_eq!(names(&plant(NAMED)), one("plc.csv"));
    assert_eq!(names("[asset.a.services.x]\ntag_list = 'x.csv'\n[asset.a"), one("x.csv"));
    for bad in ["../x.csv", "/x.csv", ".x.csv", "x.toml", "a\\x.csv", "c:x.csv"] {
        assert_eq!(names(&plant(&format!("modbus = {{ tag_list = '{bad}' }}"))), BTreeSet::new(), "{bad}");
    }
    assert_eq!(names("tag_list = 'x.csv'\n[asset]\nx = 1\n"), BTreeSet::new());
    assert_eq!(file("plc.csv", &plant(NAMED)).tag_lists(), BTreeSet::new());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    #[test]
    fn reading_a_tag_list_is_total(lines in proptest::collection::vec("[a-z0-9,\"=é\r. -]{0,40}", 0..8), header in 0..3_usize) {
        let header = ["name,table,address,type,word_order,scale,offset,unit,description\n", "name,reference\n", ""][header];
        let text = header.to_owned() + &lines.join("\n");
        let files = [file("plant.toml", &plant(NAMED)), file("plc.csv", &text)];
        if let Err(errors) = Policy::parse(&files) {
            for error in errors.iter() {
                let line = text.split('\n').nth(error.line - 1);
                prop_assert!(line.is_some_and(|line| error.column <= line.chars().count() + 1), "{error}");
            }
        }
    }
}
