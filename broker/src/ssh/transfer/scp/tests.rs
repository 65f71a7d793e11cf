#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]
use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::HEXLOWER;

use super::*;
use crate::ssh::transfer::Transferred;

/// One side's words: `>` from the source, `<` from the sink.
type Words<'a> = &'a [(char, &'a [u8])];

#[derive(Debug, PartialEq, Eq)]
struct Seen {
    source: Vec<u8>,
    sink: Vec<u8>,
    files: Vec<(String, Transferred)>,
}

fn follow(way: Way, target: &str, words: Words<'_>, pieces: usize) -> (Result<(), Malformed>, Seen) {
    let mut scp = Scp::new(way, target.to_owned());
    let mut seen = Seen { source: Vec::new(), sink: Vec::new(), files: Vec::new() };
    let mut outcome = Ok(());
    for (who, bytes) in words {
        for piece in bytes.chunks(pieces) {
            let mut steps = Vec::new();
            let piece = Bytes::copy_from_slice(piece);
            let from_client = (*who == '>') == (way == Way::Upload);
            outcome = outcome.and_then(|()| {
                if from_client { scp.client_sent(piece, &mut steps) } else { scp.asset_sent(piece, &mut steps) }
            });
            take(steps, *who, &mut seen);
        }
    }
    let mut steps = Vec::new();
    scp.finish(&mut steps);
    take(steps, '>', &mut seen);
    (outcome, seen)
}

fn take(steps: Vec<Step>, who: char, seen: &mut Seen) {
    for step in steps {
        match step {
            Step::Forward(bytes, _) if who == '>' => seen.source.extend_from_slice(&bytes),
            Step::Forward(bytes, _) => seen.sink.extend_from_slice(&bytes),
            Step::File(Via::Scp, path, FileOutcome::Transferred(file)) => seen.files.push((path, file)),
            other => panic!("{other:?}"),
        }
    }
}

/// What a file came to, in one line.
fn line((path, file): &(String, Transferred)) -> String {
    let complete = if file.complete { "complete" } else { "incomplete" };
    format!("{} {path} {} {complete} {}", file.way, file.size, file.note.unwrap_or("-"))
}

fn check(way: Way, target: &str, words: Words<'_>, expected: &[&str]) {
    let said = |who: char| words.iter().filter(move |(by, _)| *by == who).flat_map(|(_, bytes)| bytes.to_vec());
    for pieces in [usize::MAX, 1, 2, 3, 7] {
        let (outcome, seen) = follow(way, target, words, pieces);
        assert_eq!(outcome, Ok(()));
        assert_eq!(seen.files.iter().map(line).collect::<Vec<_>>(), expected);
        assert_eq!(seen.source, said('>').collect::<Vec<_>>(), "everything passes, in pieces of {pieces}");
        assert_eq!(seen.sink, said('<').collect::<Vec<_>>());
    }
}

fn refuse(words: Words<'_>) {
    for pieces in [usize::MAX, 1, 3] {
        assert!(follow(Way::Upload, "x", words, pieces).0.is_err(), "{words:?}");
        assert!(follow(Way::Download, "x", words, pieces).0.is_err(), "{words:?}");
    }
}

#[test]
fn content_is_kept_by_its_hash_so_far() {
    let mut scp = Scp::new(Way::Upload, "/tmp".to_owned());
    let mut steps = Vec::new();
    let mut say = |scp: &mut Scp, from_client: bool, bytes: &'static [u8]| {
        let bytes = Bytes::from_static(bytes);
        if from_client { scp.client_sent(bytes, &mut steps) } else { scp.asset_sent(bytes, &mut steps) }.unwrap();
    };
    say(&mut scp, false, b"\0");
    say(&mut scp, true, b"C0644 5 a.txt\n");
    say(&mut scp, false, b"\0");
    say(&mut scp, true, b"hel");
    say(&mut scp, true, b"lo\0");
    let hash = |bytes: &[u8]| digest(&SHA256, bytes).as_ref().try_into().unwrap();
    let kept = |length, content: &'static [u8]| {
        let size = content.len() as u64;
        Store::File(sallyport_session_recorder::FileRun { length, frame: hash(b""), size, content: hash(content) })
    };
    let content: Vec<Step> =
        steps.into_iter().filter(|step| !matches!(step, Step::Forward(_, Store::Message))).collect();
    let expected = [(&b"hel"[..], kept(3, b"hel")), (b"lo", kept(2, b"hello"))];
    assert_eq!(content, expected.map(|(bytes, store)| Step::Forward(Bytes::copy_from_slice(bytes), store)));
}

#[test]
fn one_file() {
    let words: Words<'_> =
        &[('<', b"\0"), ('>', b"C0644 5 a.txt\n"), ('<', b"\0"), ('>', b"hello"), ('>', b"\0"), ('<', b"\0")];
    check(Way::Upload, "/tmp", words, &["upload /tmp/a.txt 5 complete -"]);
    check(Way::Upload, "/tmp/a.txt", words, &["upload /tmp/a.txt 5 complete -"]);
    check(Way::Download, "a.txt", words, &["download a.txt 5 complete -"]);
    let (_, seen) = follow(Way::Upload, ".", words, 2);
    assert_eq!(seen.files[0].1.sha256, Some(HEXLOWER.encode(digest(&SHA256, b"hello").as_ref())));
}

#[test]
fn folders_times_and_empty_files() {
    let words: Words<'_> = &[
        ('<', b"\0"),
        ('>', b"T1 0 2 0\n"),
        ('<', b"\0"),
        ('>', b"D0755 0 dir\n"),
        ('<', b"\0"),
        ('>', b"C0600 0 empty\n"),
        ('<', b"\0"),
        ('>', b"\0"),
        ('<', b"\0"),
        ('>', b"D0755 0 sub\n"),
        ('<', b"\0"),
        ('>', b"C0600 1 name with spaces\n"),
        ('<', b"\0"),
        ('>', b"x\0"),
        ('<', b"\0"),
        ('>', b"E\n"),
        ('<', b"\0"),
        ('>', b"E\n"),
        ('<', b"\0"),
    ];
    let expected = ["upload t/dir/empty 0 complete -", "upload t/dir/sub/name with spaces 1 complete -"];
    check(Way::Upload, "t", words, &expected);
}

#[test]
fn content_that_looks_like_commands_is_content() {
    let words: Words<'_> =
        &[('<', b"\0"), ('>', b"C0644 16 a\n"), ('<', b"\0"), ('>', b"C0644 5 b\n\0\x01\x02E\nD\0"), ('<', b"\0")];
    check(Way::Upload, "t", words, &["upload t/a 16 complete -"]);
}

#[test]
fn a_sink_that_does_not_want_a_file_or_folder_is_believed() {
    let words: Words<'_> = &[
        ('<', b"\0"),
        ('>', b"C0644 5 a\n"),
        ('<', b"\x01scp: a: Permission denied\n"),
        ('>', b"D0755 0 d\n"),
        ('<', b"\x01scp: d: Not a directory\n"),
        ('>', b"C0644 1 b\n"),
        ('<', b"\0"),
        ('>', b"x\0"),
        ('<', b"\x01scp: b: No space left\n"),
    ];
    let expected = [
        "upload t/a 0 incomplete the receiving side did not want the file",
        "upload t/b 1 incomplete one side reported an error",
    ];
    check(Way::Upload, "t", words, &expected);
}

#[test]
fn a_source_that_fails_or_stops_is_incomplete() {
    let failed: Words<'_> =
        &[('<', b"\0"), ('>', b"C0644 1 a\n"), ('<', b"\0"), ('>', b"x\x01scp: a: Input/output error\n"), ('<', b"\0")];
    check(Way::Download, "a", failed, &["download a 1 incomplete one side reported an error"]);
    let stopped: Words<'_> = &[('<', b"\0"), ('>', b"C0644 9 a\n"), ('<', b"\0"), ('>', b"x")];
    check(Way::Download, "a", stopped, &["download a 1 incomplete the transfer ended early"]);
    check(Way::Download, "a", &[('<', b"\0"), ('>', b"\x01scp: a: No such file or directory\n")], &[]);
}

#[test]
fn names_that_lead_elsewhere_and_malformed_lines_end_it() {
    for bad in [
        &b"C0644 1 ../a\n"[..],
        b"C0644 1 a/b\n",
        b"C0644 1 ..\n",
        b"C0644 1 .\n",
        b"C0644 1 \n",
        b"C0644 1 a\0b\n",
        b"C0644 1\n",
        b"C0644 -1 a\n",
        b"C0644 +1 a\n",
        b"C0644 99999999999999999999 a\n",
        b"C0644 x a\n",
        b"C9999 1 a\n",
        b"C644 1 a\n",
        b"D0755 0 ..\n",
        b"T1 0 2\n",
        b"T1 0 2 x\n",
        b"E\n",
        b"Exit\n",
        b"\n",
        b"X\n",
    ] {
        refuse(&[('<', b"\0"), ('>', bad)]);
    }
    refuse(&[('<', b"\0"), ('>', &[b'C'; MAX_LINE + 1])]);
}

#[test]
fn who_speaks_out_of_turn_ends_it() {
    refuse(&[('>', b"C0644 1 a\n")]);
    refuse(&[('<', b"\0"), ('>', b"C0644 1 a\n"), ('>', b"x\0")]);
    refuse(&[('<', b"\0"), ('>', b"C0644 1 a\nx\0")]);
    refuse(&[('<', &[0; 2 + MOST_EARLY as usize])]);
    refuse(&[('<', b"\0\x01no\n")]);
    refuse(&[('<', b"\0"), ('>', b"C0644 1 a\n"), ('<', b"\0"), ('<', b"\x01no\n")]);
    refuse(&[('<', b"\0"), ('>', b"\x02fatal\n"), ('>', b"C0644 1 a\n")]);
    refuse(&[('<', b"\x02fatal\n"), ('>', b"C0644 1 a\n")]);
}

/// PuTTY's sink says that it has the whole before it has read the source's word for it, and `printf '\0\0\0\0'` is a sink too.
#[test]
fn a_sink_may_agree_before_it_is_asked() {
    let ahead: Words<'_> = &[('<', b"\0\0\0\0"), ('>', b"C0644 5 a.txt\nhello\0"), ('>', b"E\n")];
    let (outcome, seen) = follow(Way::Download, "a.txt", &ahead[..2], 3);
    assert_eq!((outcome, seen.source, seen.sink), (Ok(()), b"C0644 5 a.txt\nhello\0".to_vec(), vec![0; 4]));
    assert_eq!(seen.files.iter().map(line).collect::<Vec<_>>(), ["download a.txt 5 complete -"]);
    let last: Words<'_> = &[
        ('<', b"\0"),
        ('>', b"C0644 5 a\n"),
        ('<', b"\0"),
        ('>', b"hello"),
        ('<', b"\0"),
        ('>', b"\0"),
        ('>', b"C0644 1 b\n"),
        ('<', b"\0"),
        ('>', b"x\0"),
        ('<', b"\0"),
    ];
    check(Way::Download, "t", last, &["download t/a 5 complete -", "download t/b 1 complete -"]);
    // Once what was agreed to is used up, the source waits as ever.
    refuse(&[('<', b"\0\0"), ('>', b"C0644 1 a\nx\0"), ('>', b"C0644 1 b\n")]);
}

#[test]
fn a_line_that_was_malformed_does_not_pass() {
    let (outcome, seen) = follow(Way::Upload, "t", &[('<', b"\0"), ('>', b"C0644 1 ../../etc/cron.d/x\n")], 4);
    assert!(outcome.is_err());
    assert!(seen.source.is_empty());
}

proptest::proptest! {
    #[test]
    fn any_bytes_from_either_side_neither_panic_nor_grow(
        words in proptest::collection::vec(
            (proptest::sample::select(vec!['<', '>']), proptest::collection::vec(proptest::num::u8::ANY, 0..64)), 0..20),
    ) {
        let words: Vec<_> = words.iter().map(|(who, bytes)| (*who, bytes.as_slice())).collect();
        let _any_outcome_is_fine = follow(Way::Upload, "t", &words, 5);
    }
}
