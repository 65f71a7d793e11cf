//! What holds of every page, whatever is in it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

use std::fs;
use std::path::Path;

use askama::Template;
use qrcode::{Color, QrCode};

use super::*;

const STYLE: &str = include_str!("../../../assets/portal/style.css");

/// Text on its ground: WCAG 2.2, 1.4.3 (AA).
const TEXT: f64 = 4.5;
/// The edge of what can be used, and the mark of what has the focus: 1.4.11 (AA).
const EDGE: f64 = 3.0;

#[test]
fn colours_keep_their_contrast_in_light_and_dark() {
    let pairs = [
        ("text", "ground", TEXT),
        ("text", "surface", TEXT),
        ("text", "wait-ground", TEXT),
        ("muted", "ground", TEXT),
        ("muted", "surface", TEXT),
        ("accent", "ground", TEXT),
        ("accent", "surface", TEXT),
        ("accent", "wait-ground", TEXT),
        ("on-accent", "accent", TEXT),
        ("good", "good-ground", TEXT),
        ("good", "surface", TEXT),
        ("wait", "wait-ground", TEXT),
        ("wait", "surface", TEXT),
        ("bad", "bad-ground", TEXT),
        ("bad", "ground", TEXT),
        ("bad", "surface", TEXT),
        ("on-bad", "bad", TEXT),
        ("control", "ground", EDGE),
        ("control", "surface", EDGE),
        ("focus", "ground", EDGE),
        ("focus", "surface", EDGE),
    ];
    let schemes: Vec<&str> = STYLE.split(":root {").skip(1).take(2).collect();
    assert!(schemes[0].contains("#f"), "light comes first");
    for scheme in schemes {
        for (above, below, least) in pairs {
            let found = contrast(colour(scheme, above), colour(scheme, below));
            assert!(found >= least, "{above} on {below}: {found:.2}, {least} at least");
        }
    }
}

/// Scripts and styles come from files, or the pages' policy stops them; what is shown is always escaped.
#[test]
fn no_template_holds_script_or_style_or_shows_anything_unescaped() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("templates");
    let mut read = 0;
    for entry in fs::read_dir(folder).expect("templates") {
        let path = entry.expect("an entry").path();
        let text = fs::read_to_string(&path).expect("a template");
        read += 1;
        for banned in
            ["style=", "<style", "javascript:", "|safe", "| safe", "escape none", "http://", "https://", "//cdn"]
        {
            assert!(!text.contains(banned), "{} holds {banned}", path.display());
        }
        for tag in text.split('<').skip(1).map(|rest| rest.split('>').next().unwrap_or_default()) {
            let script = tag.strip_prefix("script");
            assert!(script.is_none_or(|rest| rest.contains(" src=")), "{} holds a script", path.display());
            let handles = tag.split_whitespace().any(|word| word.starts_with("on") && word.contains('='));
            assert!(!handles, "{} handles an event in <{tag}>", path.display());
        }
    }
    assert!(read > 10, "only {read} templates were read");
}

#[test]
fn what_a_client_calls_itself_stays_text() {
    let hostile = "\u{202e}\"><script src=/x></script>'{{7*7}}\u{1b}[2J";
    let login = Login {
        path: "/c/KQ7M".to_owned(),
        name: hostile.into(),
        source: hostile.into(),
        client: hostile.into(),
        target: hostile.into(),
        since: jiff::Timestamp::UNIX_EPOCH.into(),
        until: jiff::Timestamp::UNIX_EPOCH.into(),
        digits: 3,
        tries_left: 3,
        problem: Some(hostile.to_owned()),
        turned_away: 0,
    };
    let page = Confirm { frame: frame(), state: State::Waiting(Box::new(login)) }.render().expect("a page");
    assert!(!page.contains("<script src=/x>"), "it was not escaped");
    assert_eq!(page.matches(r"\u{202e}&#34;&#62;&#60;script src=/x&#62;").count(), 4);
    assert_eq!(page.matches(r"\u{1b}[2J").count(), 4);
}

#[test]
fn a_span_is_never_more_than_over() {
    let at = |second| jiff::Timestamp::from_second(second).expect("a time");
    let gone = |from, to, now| Span::new(at(from), at(to), at(now)).gone;
    assert_eq!([gone(0, 100, 25), gone(0, 100, 0), gone(0, 100, 100)], [25, 0, 100]);
    assert_eq!([gone(0, 100, -5), gone(0, 100, 500), gone(50, 50, 50), gone(60, 50, 55)], [0, 100, 0, 0]);
    assert_eq!(When::from(at(0)).text, "1970-01-01 00:00 UTC");
}

#[test]
fn the_path_of_a_qr_code_holds_its_modules_and_a_quiet_zone() {
    let text = "otpauth://totp/Sallyport:alice?secret=JBSWY3DPEHPK3PXP";
    let drawn = Qr::of(text).expect("it fits");
    let code = QrCode::new(text).expect("it fits");
    let mut dark = vec![vec![false; drawn.side]; drawn.side];
    for run in drawn.path.split('M').skip(1) {
        let (at, long) = run.split_once('h').expect("a run");
        let (x, y) = at.split_once(' ').expect("a place");
        let (x, y): (usize, usize) = (x.parse().expect("x"), y.parse().expect("y"));
        let long: usize = long.split_once('v').expect("a height").0.parse().expect("a length");
        dark[y][x..x + long].fill(true);
    }
    for (y, row) in dark.iter().enumerate() {
        for (x, found) in row.iter().enumerate() {
            let inside = (4..drawn.side - 4).contains(&x) && (4..drawn.side - 4).contains(&y);
            assert_eq!(*found, inside && code[(x - 4, y - 4)] == Color::Dark, "{x}, {y}");
        }
    }
    assert!(Qr::of(&"x".repeat(5000)).is_err());
}

fn frame() -> Frame {
    let assets = Assets { style: String::new(), page: String::new(), webauthn: String::new() };
    let (broker, csrf) = ("gate".to_owned(), "token".to_owned());
    Frame { broker, csrf, assets, person: None, place: Place::Elsewhere, said: None }
}

/// A custom property of a `:root` block.
fn colour(block: &str, name: &str) -> [f64; 3] {
    let declared = format!("--{name}: #");
    let at = block.find(&declared).unwrap_or_else(|| panic!("no {name}")) + declared.len();
    let channel = |place: usize| {
        let written = &block[at + 2 * place..at + 2 * place + 2];
        f64::from(u8::from_str_radix(written, 16).expect("six digits")) / 255.0
    };
    [channel(0), channel(1), channel(2)]
}

/// WCAG 2.2, "contrast ratio" and "relative luminance".
fn contrast(one: [f64; 3], other: [f64; 3]) -> f64 {
    let luminance = |channels: [f64; 3]| {
        let linear =
            channels.map(|value| if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) });
        0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    };
    let (one, other) = (luminance(one), luminance(other));
    (one.max(other) + 0.05) / (one.min(other) + 0.05)
}
