#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
use proptest::prelude::*;

use super::*;

const CODE: &str = "12341-1234E-1234B-1234G-1234N";

fn scope() -> Scope {
    Scope {
        rule: "control-room".to_owned(),
        envelopes: 1,
        opens: vec!["ews-1 (ssh as operator, vnc)".to_owned(), "plc-1 (modbus)".to_owned()],
        lasts: SignedDuration::from_hours(1),
        review_within: SignedDuration::from_hours(24),
        who: Some("The shift lead, or whoever is in charge of the control room.".to_owned()),
        call: Some(
            "Plant security, +47 22 00 00 00; then the automation engineer on call, +47 22 00 00 01.".to_owned(),
        ),
        jump: Some("operator@ews-1".to_owned()),
        forward: Some("5020:plc-1:502".to_owned()),
    }
}

fn doors() -> Doors {
    Doors {
        hosts: vec!["broker-1.idmz.example".to_owned(), "broker-2.idmz.example".to_owned()],
        port: 2222,
        fingerprint: "SHA256:JxVXkYsbP2PvOGyHwLZ6CjmcYXFbCZQdlhKx5k7rWlM".to_owned(),
    }
}

fn with_sheet<T>(scope: &Scope, doors: &Doors, set: impl FnOnce(&Sheet<'_>) -> T) -> T {
    let code = EnvelopeCode::parse(CODE).unwrap();
    set(&Sheet {
        number: 7,
        code: &code,
        sealed_at: "2026-11-29T10:00:00Z".parse().unwrap(),
        expires_at: Some("2027-05-28T10:00:00Z".parse().unwrap()),
        scope,
        doors,
    })
}

#[test]
fn a_sheet_says_everything_that_is_needed() {
    let text = with_sheet(&scope(), &doors(), |sheet| sheet.text().expose().clone());
    expect_test::expect![[r#"
        ==============================================================================
        EMERGENCY ACCESS                                                    Envelope 7
        ==============================================================================
        Rule control-room. Sealed 2026-11-29. Valid until 2027-05-28.

        IT OPENS
        ews-1 (ssh as operator, vnc), plc-1 (modbus): for 1 hour.

        WHO MAY OPEN IT
        The shift lead, or whoever is in charge of the control room.

        1. TYPE THIS ON A COMPUTER THAT REACHES THE BROKER
            ssh -p 2222 glass@broker-1.idmz.example
        No answer? Then the other broker:
            ssh -p 2222 glass@broker-2.idmz.example
        Or straight to an asset:
            ssh -J glass@broker-1.idmz.example:2222 operator@ews-1
        Or for a program on this computer that speaks to an asset:
            ssh -N -p 2222 -L 5020:plc-1:502 glass@broker-1.idmz.example
        ssh may ask whether to trust the host. Say yes only if it shows this key:
            SHA256:JxVXkYsbP2PvOGyHwLZ6CjmcYXFbCZQdlhKx5k7rWlM

        2. TYPE THE CODE

            group 1:  12341   One Two Three Four One
            group 2:  1234E   One Two Three Four Echo
            group 3:  1234B   One Two Three Four Bravo
            group 4:  1234G   One Two Three Four Golf
            group 5:  1234N   One Two Three Four November

        Small letters and spaces do not matter. If a letter is wrong, it says in which
        group.

        3. SAY WHO YOU ARE AND WHAT HAS HAPPENED
        It asks for a reason. A few words are enough. From the same computer, the code
        opens it again until it ends.

        WHAT HAPPENS NEXT
        An alarm is raised at once, and everything is recorded. It ends after 1 hour;
        another envelope gives more time. Somebody else looks at what was done within
        24 hours.

        WHOM TO CALL
        Plant security, +47 22 00 00 00; then the automation engineer on call, +47 22
        00 00 01.

        AFTERWARDS
        This code is used up. Keep the sheet, and have a new envelope sealed:
            sallyport break-glass reseal 7 --out FOLDER
    "#]]
    .assert_eq(&text);
}

#[test]
fn durations_are_words() {
    let said = |minutes| words_for(SignedDuration::from_mins(minutes));
    assert_eq!(
        [1, 60, 90, 1440, 61].map(said),
        ["1 minute", "1 hour", "1 hour and 30 minutes", "24 hours", "1 hour and 1 minute"]
    );
}

#[test]
fn what_the_plant_does_not_say_is_left_to_be_written() {
    let bare = Scope { who: None, call: None, jump: None, forward: None, envelopes: 2, ..scope() };
    let one = Doors { hosts: vec!["2001:db8::7".to_owned()], ..doors() };
    let text = with_sheet(&bare, &one, |sheet| sheet.text().expose().clone());
    assert!(text.contains("It takes 2 envelopes of this rule"));
    assert!(text.contains(&"_".repeat(70)) && !text.contains("WHO MAY") && !text.contains("other broker"), "{text}");
    assert!(text.contains("    ssh -p 2222 glass@2001:db8::7\n") && !text.contains(" -J ") && !text.contains(" -L "));
    let jump = with_sheet(&scope(), &one, |sheet| sheet.text().expose().clone());
    assert!(jump.contains("    ssh -J glass@[2001:db8::7]:2222 operator@ews-1\n"), "{jump}");
}

#[test]
fn an_ordinary_sheet_is_one_page_with_the_groups_on_it() {
    let pdf = with_sheet(&scope(), &doors(), |sheet| sheet.pdf());
    let shown = shown(pdf.bytes.expose());
    assert!(pdf.whole && pages(pdf.bytes.expose()) == 1);
    for (group, word) in CODE.split('-').zip(["One", "Echo", "Bravo", "Golf", "November"]) {
        assert!(shown.iter().any(|piece| piece.text == group && piece.size >= 28.0), "{group}");
        assert!(shown.iter().any(|piece| piece.text == word), "{word}");
    }
}

#[test]
fn letters_that_paper_cannot_show_are_told() {
    let latin = Scope { call: Some("Vakthavende ingeniør – Ærlig Šimek, “på vakt”".to_owned()), ..scope() };
    assert!(with_sheet(&latin, &doors(), |sheet| sheet.pdf()).whole);
    let other = Scope { call: Some("дежурный инженер".to_owned()), ..scope() };
    assert!(!with_sheet(&other, &doors(), |sheet| sheet.pdf()).whole);
    assert!(with_sheet(&other, &doors(), |sheet| sheet.text().expose().contains("дежурный инженер")));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_set_outside_the_margins(
        rule in "[a-zA-Z._-]{1,40}", opens in proptest::collection::vec("[W@a-z0-9-]{1,90}( as [mw]{1,64})?", 0..40),
        words in "\\PC{0,200}", host in "[a-zW.]{1,253}", jump in "[WM]{1,64}@[wm]{1,64}",
    ) {
        let scope = Scope {
            rule, opens, who: Some(words.clone()), call: Some(words), forward: Some(jump.clone()), jump: Some(jump), ..scope()
        };
        let doors = Doors { hosts: vec![host.clone(), host], ..doors() };
        let pdf = with_sheet(&scope, &doors, |sheet| sheet.pdf());
        let pages = pages(pdf.bytes.expose());
        prop_assert!((1..=4).contains(&pages), "{} pages", pages);
        for piece in shown(pdf.bytes.expose()) {
            let width = match piece.fixed {
                true => metrics::fixed_width(&piece.text, piece.size),
                false => metrics::width(&piece.text, piece.size),
            };
            let (left, right) = (piece.x, piece.x + width);
            prop_assert!(left >= 41.9 && right <= 553.1, "{} at {left} to {right}", piece.text);
            prop_assert!((41.9..=800.1).contains(&piece.y), "{} at {}", piece.text, piece.y);
        }
    }
}

/// A piece of text as it stands on a page.
#[derive(Default)]
struct Piece {
    x: f32,
    y: f32,
    size: f32,
    fixed: bool,
    text: String,
}

/// Reads the content of every page: it is not compressed, and has one operator in a line.
fn shown(pdf: &[u8]) -> Vec<Piece> {
    let latin: String = pdf.iter().copied().map(char::from).collect();
    let mut found = Vec::new();
    for block in latin.split("BT\n").skip(1) {
        let mut piece = Piece::default();
        for line in block.split("\nET").next().unwrap().lines() {
            let words: Vec<&str> = line.split(' ').collect();
            match words.as_slice() {
                [font, size, "Tf"] => (piece.fixed, piece.size) = (*font == "/F3", size.parse().unwrap()),
                [x, y, "Td"] => (piece.x, piece.y) = (x.parse().unwrap(), y.parse().unwrap()),
                _ => piece.text = unwritten(line.strip_suffix(" Tj").unwrap()),
            }
        }
        found.push(piece);
    }
    assert!(!found.is_empty());
    found
}

/// A string of PDF, in either of its two forms.
fn unwritten(written: &str) -> String {
    if let Some(hex) = written.strip_prefix('<') {
        let bytes = data_encoding::HEXUPPER.decode(hex.strip_suffix('>').unwrap().to_uppercase().as_bytes());
        return bytes.unwrap().into_iter().map(char::from).collect();
    }
    let inside = written.strip_prefix('(').unwrap().strip_suffix(')').unwrap();
    let mut escaped = false;
    inside
        .chars()
        .filter(|letter| {
            escaped = *letter == '\\' && !escaped;
            !escaped
        })
        .collect()
}

fn pages(pdf: &[u8]) -> usize {
    let latin: String = pdf.iter().copied().map(char::from).collect();
    latin.matches("/Type /Page\n").count()
}
