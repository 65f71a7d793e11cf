use super::*;

fn clean(bytes: &[u8]) -> String {
    let mut sanitizer = Sanitizer::default();
    let shown = sanitizer.clean(bytes, false);
    shown + sanitizer.text.finish()
}

#[test]
fn drawing_passes() {
    for text in [
        "plain æøå 界 e\u{301}\r\n\t\x08\x07",
        "\x1b[1;31mred\x1b[0m\x1b[m",
        "\x1b[38;5;196m\x1b[48;2;1;2;3m\x1b[4:3m",
        "\x1b[2J\x1b[H\x1b[K\x1b[12;40H\x1b[3A\x1b[5X\x1b[2L",
        "\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[?5h\x1b[?6h",
        "\x1b[?1049;25h",
        "\x1b(0q\x1b(B\x0e\x0f\x1b)0",
        "\x1b7\x1b8\x1bM\x1b[s\x1b[u",
        "\x1b[5;6r\x1b[4h\x1b[4l",
        "\u{a0}",
    ] {
        assert_eq!(clean(text.as_bytes()), text);
    }
}

/// Sequence and what of it may be shown between `a` and `b`.
const SEQUENCES: [(&str, &[u8], &str); 64] = [
    ("clipboard", b"\x1b]52;c;ZXZpbA==\x07", ""),
    ("title", b"\x1b]0;title\x1b\\", ""),
    ("title of screen and tmux", b"\x1bkTITLE\x1b\\", ""),
    ("link", b"\x1b]8;;http://x\x07", ""),
    ("notification", b"\x1b]9;x\x07", ""),
    ("request of a status string", b"\x1bP$q\"p\x1b\\", ""),
    ("request of a capability", b"\x1bP+q544e\x1b\\", ""),
    ("tmux passthrough", b"\x1bPtmux;\x1b\x1b]52;c;eA==\x07\x1b\\", ""),
    ("picture", b"\x1b_Gi=1\x1b\\", ""),
    ("privacy message", b"\x1b^x\x1b\\", ""),
    ("start of string", b"\x1bXx\x1b\\", ""),
    ("string in a string", b"\x1b\x1b]52;c;eA==\x07", ""),
    ("device attributes", b"\x1b[c", ""),
    ("secondary attributes", b"\x1b[>c", ""),
    ("tertiary attributes", b"\x1b[=c", ""),
    ("status", b"\x1b[6n", ""),
    ("private status", b"\x1b[?15n", ""),
    ("terminal parameters", b"\x1b[x", ""),
    ("checksum", b"\x1b[1;1;1;1;1;1*y", ""),
    ("test", b"\x1b[2;1y", ""),
    ("window report", b"\x1b[21t", ""),
    ("window size", b"\x1b[8;10;10t", ""),
    ("request of a mode", b"\x1b[?1$p", ""),
    ("request of a version", b"\x1b[>q", ""),
    ("graphics report", b"\x1b[?1;1;0S", ""),
    ("key modifiers report", b"\x1b[?4m", ""),
    ("key modifiers", b"\x1b[>4;2m", ""),
    ("keyboard push", b"\x1b[>1u", ""),
    ("keyboard query", b"\x1b[?u", ""),
    ("media copy", b"\x1b[5i", ""),
    ("conformance level", b"\x1b[61\"p", ""),
    ("soft reset", b"\x1b[!p", ""),
    ("cursor style", b"\x1b[5 q", ""),
    ("tab stop", b"\x1bH", ""),
    ("no tab stops", b"\x1b[3g", ""),
    ("identify", b"\x1bZ", ""),
    ("answer", b"\x05", ""),
    ("latin-1", b"\x1b%@", ""),
    ("utf-8", b"\x1b%G", ""),
    ("screen of E", b"\x1b#8", ""),
    ("national set", b"\x1b(K", ""),
    ("keypad", b"\x1b=\x1b>", ""),
    ("cursor keys", b"\x1b[?1h", ""),
    ("132 columns", b"\x1b[?3h", ""),
    ("mouse", b"\x1b[?9h\x1b[?1000;1002;1003;1006;1015h", ""),
    ("highlight mouse", b"\x1b[1;2;3;4;5T", ""),
    ("focus", b"\x1b[?1004h", ""),
    ("paste", b"\x1b[?2004h", ""),
    ("synchronized", b"\x1b[?2026h", ""),
    ("margins left and right", b"\x1b[?69h\x1b[1;2s", ""),
    ("saved modes", b"\x1b[?1049s\x1b[?1049r", ""),
    ("what has scrolled away", b"\x1b[3J", ""),
    ("return key", b"\x1b[20h", ""),
    ("mode among others", b"\x1b[?1004;25;1l", "\x1b[?25l"),
    ("reset", b"\x1bc", "\x1b[0m\x1b[4l\x1b[r\x1b[?25h\x1b[H\x1b[2J"),
    ("repeated for ever", b"\x1b[2147483647b", "\x1b[9999b"),
    ("inserted for ever", b"\x1b[2147483647@", "\x1b[9999@"),
    ("cancelled", b"\x1b[3\x18[6n", "[6n"),
    ("begun again", b"\x1b[3\x1b[6n", ""),
    ("a line feed inside", b"\x1b[\n6n", "\n"),
    ("CSI of eight bits", b"\x9b6n", "\u{fffd}6n"),
    ("CSI in UTF-8", b"\xc2\x9b6n", "\u{fffd}6n"),
    ("CSI in UTF-8 that is too long", b"\xe0\x82\x9b6n", "\u{fffd}\u{fffd}\u{fffd}6n"),
    ("direction", "\u{202e}\u{2066}\u{feff}\u{2028}".as_bytes(), "\u{fffd}\u{fffd}\u{fffd}\u{fffd}"),
];

#[test]
fn only_what_is_on_the_list_passes() {
    for (name, sequence, expected) in SEQUENCES {
        assert_eq!(clean(&[b"a", sequence, b"b"].concat()), format!("a{expected}b"), "{name}");
        // It does not matter how the bytes are cut.
        for cut in 0..sequence.len() {
            let mut sanitizer = Sanitizer::default();
            let shown = sanitizer.clean(&sequence[..cut], false) + &sanitizer.clean(&sequence[cut..], false);
            assert_eq!(shown, expected, "{name}, cut at {cut}");
        }
    }
}

#[test]
fn every_sequence_that_is_not_on_the_list_is_left_out() {
    const FINALS: &str = "@ABCDEFGHIJKLMPSTXZ`abdefhlmrsu";
    for prefix in ["", "?", ">", "=", "<"] {
        for last in '@'..='~' {
            for between in ["", " ", "!", "\"", "#", "$", "'", "*"] {
                let shown = clean(format!("\x1b[{prefix}1{between}{last}").as_bytes());
                let listed = prefix.is_empty() && between.is_empty() && FINALS.contains(last) && !"shlu".contains(last);
                assert_eq!(!shown.is_empty(), listed, "{prefix}1{between}{last}: {shown:?}");
            }
        }
    }
    for mode in 0..3000 {
        let shown = clean(format!("\x1b[?{mode}h").as_bytes());
        assert_eq!(shown.is_empty(), ![5, 6, 7, 25, 47, 1047, 1049].contains(&mode), "{mode}");
    }
}

#[test]
fn what_may_have_passed_is_put_back() {
    for undone in ["?1049l", "(B", ")B", "0m", "4l", "?5l", "?6l", "?7h", "r", "?25h"] {
        assert!(
            PUT_BACK.contains(&format!("\x1b{undone}")) || PUT_BACK.contains(&format!("\x1b[{undone}")),
            "{undone}"
        );
    }
    // It passes itself: nothing in it is more than drawing.
    assert_eq!(clean(PUT_BACK.as_bytes()), PUT_BACK);
}

#[test]
fn what_is_no_utf8_does_not_become_a_control_with_what_follows() {
    for beginning in [&b"\xc2"[..], b"\xc2\x05", b"\xc2\xc2", b"\xc2\x1b[6n"] {
        let (mut output, mut errors) = (Sanitizer::default(), Sanitizer::default());
        let shown = output.clean(beginning, false) + &errors.clean(b"\x9d52;c;ZXZpbA==\x07", false);
        let shown = shown + &output.clean(b"\x9d0;x\x07", false);
        assert!(!shown.contains(acts_but_bell), "{shown:?}");
    }
    assert_eq!(clean(b"a\xc2b\xc2\xa0"), "a\u{fffd}b\u{a0}");
}

fn acts_but_bell(char: char) -> bool {
    char != '\x07' && acts(char)
}

#[test]
fn what_a_control_string_hides_is_told() {
    let mut sanitizer = Sanitizer::default();
    assert_eq!(sanitizer.clean(b"$ \x1b]", false), "$ ");
    assert_eq!(sanitizer.clean(&[b'x'; 300], false), "");
    assert_eq!(sanitizer.unfinished(), Some(300));
    assert_eq!(sanitizer.finish(), "\r\n[300 bytes inside an unfinished control string]\r\n");
    assert_eq!(sanitizer.finish(), "");
    let long = [b"\x1bP".as_slice(), &[b'x'; 2000], b"\x1b\\$ "].concat();
    assert_eq!(clean(&long), "\r\n[2000 bytes inside a control string]\r\n$ ");
}

#[test]
fn an_endless_sequence_takes_no_memory_and_does_not_pass() {
    let mut sanitizer = Sanitizer::default();
    for start in [&b"\x1b["[..], b"\x1b(", b"\x1b]"] {
        sanitizer.clean(start, false);
        sanitizer.clean(&[b'('; 10_000], false);
        assert!(sanitizer.sequence.len() <= 256);
    }
    assert_eq!(clean(&[b"\x1b[".as_slice(), &[b'1'; 10_000], b"mx"].concat()), "x");
}
