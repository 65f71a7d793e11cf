#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]
use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::HEXLOWER;
use proptest::prelude::*;

use super::*;
use crate::ssh::transfer::Transferred;

/// One packet from its type and fields.
fn packet(kind: u8, fields: &[&[u8]]) -> Vec<u8> {
    let body: Vec<u8> = [kind].into_iter().chain(fields.concat()).collect();
    string(&body)
}

fn string(bytes: &[u8]) -> Vec<u8> {
    [&u32::try_from(bytes.len()).unwrap().to_be_bytes()[..], bytes].concat()
}

fn n(number: u32) -> [u8; 4] {
    number.to_be_bytes()
}

const NO_ATTRS: [u8; 4] = [0; 4];

fn init(version: u32) -> Vec<u8> {
    packet(1, &[&n(version)])
}

fn open(id: u32, path: &str, flags: u32) -> Vec<u8> {
    packet(3, &[&n(id), &string(path.as_bytes()), &n(flags), &NO_ATTRS])
}

fn close(id: u32, handle: &[u8]) -> Vec<u8> {
    packet(4, &[&n(id), &string(handle)])
}

fn read(id: u32, handle: &[u8], offset: u64, length: u32) -> Vec<u8> {
    packet(5, &[&n(id), &string(handle), &offset.to_be_bytes(), &n(length)])
}

fn write(id: u32, handle: &[u8], offset: u64, data: &[u8]) -> Vec<u8> {
    packet(6, &[&n(id), &string(handle), &offset.to_be_bytes(), &string(data)])
}

fn remove(id: u32, path: &str) -> Vec<u8> {
    packet(13, &[&n(id), &string(path.as_bytes())])
}

fn extended(id: u32, name: &str, fields: &[&[u8]]) -> Vec<u8> {
    packet(200, &[&n(id), &string(name.as_bytes()), &fields.concat()])
}

fn version(version: u32) -> Vec<u8> {
    packet(2, &[&n(version)])
}

fn status(id: u32, code: u32) -> Vec<u8> {
    packet(101, &[&n(id), &n(code), &string(b"said"), &string(b"")])
}

fn handle(id: u32, handle: &[u8]) -> Vec<u8> {
    packet(102, &[&n(id), &string(handle)])
}

fn data(id: u32, data: &[u8]) -> Vec<u8> {
    packet(103, &[&n(id), &string(data)])
}

fn sha256(bytes: &[u8]) -> Option<String> {
    Some(HEXLOWER.encode(digest(&SHA256, bytes).as_ref()))
}

/// A conversation, and what went which way.
struct Talk {
    sftp: Sftp,
    to_asset: Vec<u8>,
    to_client: Vec<u8>,
    /// Operations and files, in order.
    said: Vec<String>,
    files: Vec<(String, FileOutcome)>,
    /// Every stretch: what passed, and how it is kept.
    kept: Vec<(Vec<u8>, Store)>,
}

impl Talk {
    fn new(rights: FileTransfer) -> Self {
        let sftp = Sftp::new(rights);
        let mut talk = Self {
            sftp,
            to_asset: Vec::new(),
            to_client: Vec::new(),
            said: Vec::new(),
            files: Vec::new(),
            kept: Vec::new(),
        };
        talk.client(&init(3)).unwrap();
        talk.asset(&version(3)).unwrap();
        talk.to_asset.clear();
        talk.to_client.clear();
        talk
    }

    fn client(&mut self, bytes: &[u8]) -> Result<(), Malformed> {
        let mut steps = Vec::new();
        let outcome = self.sftp.client_sent(Bytes::copy_from_slice(bytes), &mut steps);
        self.take(steps, true);
        let mut due = Vec::new();
        self.sftp.due_answers(&mut due);
        self.take(due, false);
        outcome
    }

    fn asset(&mut self, bytes: &[u8]) -> Result<(), Malformed> {
        let mut steps = Vec::new();
        let outcome = self.sftp.asset_sent(Bytes::copy_from_slice(bytes), &mut steps);
        self.take(steps, false);
        outcome
    }

    fn take(&mut self, steps: Vec<Step>, to_asset: bool) {
        for step in steps {
            if let Step::Forward(bytes, store) = &step {
                self.kept.push((bytes.to_vec(), *store));
            }
            match step {
                Step::Forward(bytes, _) if to_asset => self.to_asset.extend_from_slice(&bytes),
                Step::Forward(bytes, _) => self.to_client.extend_from_slice(&bytes),
                Step::Operation(body) => self.said.push(body.to_string()),
                Step::File(_, path, outcome) => {
                    self.said.push(format!("{path} {outcome:?}"));
                    self.files.push((path, outcome));
                }
            }
        }
    }

    /// Opens a file that the asset knows by this handle.
    fn opened(&mut self, path: &str, flags: u32, by: &[u8]) {
        self.client(&open(1, path, flags)).unwrap();
        self.asset(&handle(1, by)).unwrap();
    }

    /// The codes of the statuses that went to the client, by id.
    fn statuses(&self) -> Vec<(u32, u32)> {
        let mut rest = self.to_client.as_slice();
        let mut found = Vec::new();
        while let Some(end) = Framer::cut(rest).unwrap() {
            if let (id, Answer::Status(code)) = wire::answer(&rest[4..end]).unwrap() {
                found.push((id, code));
            }
            rest = &rest[end..];
        }
        found
    }

    fn finish(&mut self) {
        let mut steps = Vec::new();
        self.sftp.finish(&mut steps);
        self.take(steps, false);
    }

    fn only_file(&self) -> &Transferred {
        match self.files.as_slice() {
            [(_, FileOutcome::Transferred(file))] => file,
            files => panic!("{files:?}"),
        }
    }
}

const R: u32 = 1;
const W: u32 = 2 | 8 | 16;

#[test]
fn an_upload_leaves_name_size_and_hash() {
    let mut talk = Talk::new(FileTransfer::Upload);
    talk.opened("/tmp/a", W, b"h");
    talk.client(&[write(2, b"h", 0, b"hello "), write(3, b"h", 6, b"world")].concat()).unwrap();
    talk.asset(&[status(2, 0), status(3, 0)].concat()).unwrap();
    talk.client(&close(4, b"h")).unwrap();
    assert!(talk.files.is_empty(), "not before the asset has closed it");
    talk.asset(&status(4, 0)).unwrap();
    assert_eq!(talk.files[0].0, "/tmp/a");
    let file = Transferred { way: Way::Upload, size: 11, sha256: sha256(b"hello world"), complete: true, note: None };
    assert_eq!(talk.only_file(), &file);
}

#[test]
fn a_pipelined_download_leaves_name_size_and_hash() {
    let mut talk = Talk::new(FileTransfer::Download);
    talk.opened("/etc/motd", R, b"h");
    let reads = [read(2, b"h", 0, 4), read(3, b"h", 4, 4), read(4, b"h", 8, 4), read(5, b"h", 12, 4)].concat();
    talk.client(&reads).unwrap();
    talk.asset(&[data(2, b"abcd"), data(3, b"ef"), status(4, 1), status(5, 1)].concat()).unwrap();
    talk.client(&close(6, b"h")).unwrap();
    talk.asset(&status(6, 0)).unwrap();
    let file = Transferred { way: Way::Download, size: 6, sha256: sha256(b"abcdef"), complete: true, note: None };
    assert_eq!(talk.only_file(), &file);
}

/// What a run of whole packets that hold these pieces is kept as, when the content so far is this.
fn run(packets: &[(&[u8], usize)], content: &[u8]) -> (Vec<u8>, Store) {
    let whole: Vec<u8> = packets.iter().flat_map(|(packet, _)| packet.to_vec()).collect();
    let frame: Vec<u8> = packets.iter().flat_map(|(packet, data)| packet[..packet.len() - data].to_vec()).collect();
    let hash = |bytes: &[u8]| digest(&SHA256, bytes).as_ref().try_into().unwrap();
    let (length, size) = (whole.len() as u64, content.len() as u64);
    let file = sallyport_session_recorder::FileRun { length, frame: hash(&frame), size, content: hash(content) };
    (whole, Store::File(file))
}

#[test]
fn content_in_sequence_is_kept_by_what_a_copy_of_the_file_can_be_held_against() {
    let mut talk = Talk::new(FileTransfer::Both);
    talk.opened("/tmp/x", wire::OPEN_WRITE, b"h");
    talk.opened("/tmp/y", wire::OPEN_WRITE, b"other");
    talk.kept.clear();
    let [first, second] = [write(2, b"h", 0, b"hello "), write(3, b"h", 6, b"world")];
    let elsewhere = write(4, b"other", 0, b"another file");
    let more = write(5, b"h", 11, b"!");
    talk.client(&[&first[..], &second, &elsewhere, &more].concat()).unwrap();
    let [hole, after] = [write(6, b"h", 100, b"beyond a hole"), write(7, b"h", 113, b"and on")];
    talk.client(&[&hole[..], &after, &close(8, b"h")].concat()).unwrap();
    let expected = [
        run(&[(&first, 6), (&second, 5)], b"hello world"),
        run(&[(&elsewhere, 12)], b"another file"),
        run(&[(&more, 1)], b"hello world!"),
        // From here on there is no sequence: all that passes is hashed.
        ([&hole[..], &after].concat(), Store::Content),
        (close(8, b"h"), Store::Message),
    ];
    assert_eq!(talk.kept, expected);
}

#[test]
fn a_download_is_kept_alike_however_its_stream_is_cut() {
    for cut in [usize::MAX, 1, 7] {
        let mut talk = Talk::new(FileTransfer::Both);
        talk.opened("/tmp/x", wire::OPEN_READ, b"h");
        talk.client(&[read(2, b"h", 0, 5), read(3, b"h", 5, 5)].concat()).unwrap();
        talk.kept.clear();
        let answers = [data(2, b"hello"), data(3, b" you")];
        for piece in answers.concat().chunks(cut) {
            talk.asset(piece).unwrap();
        }
        let together = vec![run(&[(&answers[0], 5), (&answers[1], 4)], b"hello you")];
        let apart = vec![run(&[(&answers[0], 5)], b"hello"), run(&[(&answers[1], 4)], b"hello you")];
        assert_eq!(talk.kept, if cut == usize::MAX { together } else { apart });
    }
}

#[test]
fn an_empty_file_is_a_file() {
    let mut talk = Talk::new(FileTransfer::Upload);
    talk.opened("empty", W, b"h");
    talk.client(&close(2, b"h")).unwrap();
    talk.asset(&status(2, 0)).unwrap();
    assert_eq!((talk.only_file().size, talk.only_file().complete), (0, true));
    assert_eq!(talk.only_file().sha256, sha256(b""));
}

#[test]
fn what_passed_out_of_sequence_has_no_hash_and_says_so() {
    let mut talk = Talk::new(FileTransfer::Both);
    talk.opened("a", W, b"h");
    talk.client(&[write(2, b"h", 4, b"later"), write(3, b"h", 0, b"first")].concat()).unwrap();
    talk.client(&close(4, b"h")).unwrap();
    talk.asset(&[status(2, 0), status(3, 0), status(4, 0)].concat()).unwrap();
    let file = talk.only_file();
    assert_eq!((file.size, file.sha256.as_deref(), file.complete), (10, None, false));
    assert_eq!(file.note, Some("content did not pass in sequence"));
}

#[test]
fn a_failed_write_an_early_close_and_a_broken_connection_are_not_complete() {
    let mut talk = Talk::new(FileTransfer::Both);
    talk.opened("a", W, b"h");
    talk.client(&[write(2, b"h", 0, b"x"), close(3, b"h")].concat()).unwrap();
    talk.asset(&[status(2, 4), status(3, 0)].concat()).unwrap();
    assert!(!talk.only_file().complete);

    let mut talk = Talk::new(FileTransfer::Both);
    talk.opened("a", R, b"h");
    talk.client(&[read(2, b"h", 0, 4), close(3, b"h")].concat()).unwrap();
    talk.asset(&[data(2, b"abcd"), status(3, 0)].concat()).unwrap();
    assert_eq!((talk.only_file().complete, talk.only_file().note), (false, Some("the file was not read to its end")));

    let mut talk = Talk::new(FileTransfer::Both);
    talk.opened("a", W, b"h");
    talk.client(&write(2, b"h", 0, b"x")).unwrap();
    talk.finish();
    assert_eq!((talk.only_file().complete, talk.only_file().note), (false, Some("the file was not closed")));
}

/// Every request that changes something.
fn changes(id: u32) -> Vec<Vec<u8>> {
    let two = [string(b"a"), string(b"b")].concat();
    let path = string(b"a");
    vec![
        open(id, "a", 2),
        open(id, "a", 1 | 2),
        open(id, "a", 8),
        open(id, "a", 1 | 16),
        open(id, "a", 4),
        remove(id, "a"),
        packet(9, &[&n(id), &path, &NO_ATTRS]),
        packet(14, &[&n(id), &path, &NO_ATTRS]),
        packet(15, &[&n(id), &path]),
        packet(18, &[&n(id), &two]),
        packet(20, &[&n(id), &two]),
        extended(id, "posix-rename@openssh.com", &[&two]),
        extended(id, "hardlink@openssh.com", &[&two]),
        extended(id, "lsetstat@openssh.com", &[&path, &NO_ATTRS]),
    ]
}

#[test]
fn without_the_right_to_upload_nothing_that_changes_anything_reaches_the_asset() {
    for (number, change) in changes(7).into_iter().enumerate() {
        let mut talk = Talk::new(FileTransfer::Download);
        talk.client(&change).unwrap();
        assert!(talk.to_asset.is_empty(), "{number}");
        assert_eq!(talk.statuses(), [(7, wire::FX_PERMISSION_DENIED)], "{number}");
        assert!(matches!(talk.files.as_slice(), [(path, FileOutcome::Refused(_))] if path == "a"), "{number}");
        let message = String::from_utf8_lossy(&talk.to_client).into_owned();
        assert!(message.contains("sallyport: upload is not granted here (file_transfer = \"download\")"), "{message}");
    }
}

#[test]
fn with_the_right_to_upload_they_all_reach_it() {
    for (number, change) in changes(7).into_iter().enumerate() {
        let mut talk = Talk::new(FileTransfer::Both);
        talk.client(&change).unwrap();
        assert_eq!(talk.to_asset, change, "{number}");
        assert!(talk.to_client.is_empty(), "{number}");
    }
}

#[test]
fn without_the_right_to_download_nothing_is_read() {
    let mut talk = Talk::new(FileTransfer::Upload);
    talk.client(&[open(2, "a", R), open(3, "a", 0)].concat()).unwrap();
    assert_eq!(talk.statuses(), [(2, wire::FX_PERMISSION_DENIED), (3, wire::FX_PERMISSION_DENIED)]);
    talk.opened("b", W, b"w");
    talk.client(&read(4, b"w", 0, 10)).unwrap();
    assert_eq!(talk.statuses().last(), Some(&(4, wire::FX_PERMISSION_DENIED)));
    assert_eq!(talk.to_asset, open(1, "b", W));
}

#[test]
fn a_handle_is_good_only_for_what_it_was_opened_for() {
    let mut talk = Talk::new(FileTransfer::Both);
    talk.opened("a", R, b"r");
    talk.to_asset.clear();
    talk.client(&write(2, b"r", 0, b"x")).unwrap();
    talk.client(&read(3, b"nobody", 0, 1)).unwrap();
    talk.client(&close(4, b"nobody")).unwrap();
    talk.client(&extended(5, "copy-data", &[&string(b"r"), &[0; 16], &string(b"r"), &[0; 8]])).unwrap();
    assert!(talk.to_asset.is_empty());
    let denied = [(2, 3), (3, wire::FX_FAILURE), (4, wire::FX_FAILURE), (5, 3)];
    assert_eq!(talk.statuses(), denied);
    talk.client(&[close(6, b"r"), read(7, b"r", 0, 1)].concat()).unwrap();
    assert_eq!(talk.to_asset, close(6, b"r"), "nothing after the close");
}

#[test]
fn copying_on_the_asset_needs_the_right_to_upload_and_both_handles() {
    let mut talk = Talk::new(FileTransfer::Both);
    talk.opened("from", R, b"r");
    talk.opened("to", W, b"w");
    talk.to_asset.clear();
    let copy = extended(5, "copy-data", &[&string(b"r"), &[0; 16], &string(b"w"), &[0; 8]]);
    talk.client(&copy).unwrap();
    assert_eq!(talk.to_asset, copy);
    talk.asset(&status(5, 0)).unwrap();
    assert!(talk.said.last().unwrap().contains("\"op\":\"copy\""));
}

#[test]
fn changes_are_operations_with_the_assets_answer() {
    let mut talk = Talk::new(FileTransfer::Both);
    talk.client(&remove(2, "a")).unwrap();
    assert!(talk.said.is_empty());
    talk.asset(&status(2, 2)).unwrap();
    let said: Vec<serde_json::Value> = talk.said.iter().map(|body| serde_json::from_str(body).unwrap()).collect();
    assert_eq!(said, [json!({ "op": "remove", "via": "sftp", "path": "a", "to": null, "status": 2 })]);
}

#[test]
fn unknown_requests_and_extensions_are_answered_here() {
    let mut talk = Talk::new(FileTransfer::Both);
    talk.client(&packet(99, &[&n(2), b"anything"])).unwrap();
    talk.client(&extended(3, "vendor-exec@evil", &[b"id"])).unwrap();
    talk.client(&open(4, "a", 0x40)).unwrap();
    assert!(talk.to_asset.is_empty());
    assert_eq!(talk.statuses(), [(2, 8), (3, 8), (4, 8)]);
}

#[test]
fn only_known_extensions_are_offered_and_only_version_3_is_spoken() {
    let mut talk = Talk { sftp: Sftp::new(FileTransfer::Both), ..Talk::new(FileTransfer::Both) };
    talk.client(&packet(1, &[&n(6), &string(b"ext"), &string(b"1")])).unwrap();
    assert_eq!(talk.to_asset, init(3));
    let pair = |name: &[u8]| [string(name), string(b"1")].concat();
    talk.asset(&packet(2, &[&n(3), &pair(b"vendor-exec@evil"), &pair(b"fsync@openssh.com")])).unwrap();
    assert_eq!(talk.to_client, packet(2, &[&n(3), &pair(b"fsync@openssh.com")]));

    let mut talk = Talk { sftp: Sftp::new(FileTransfer::Both), ..Talk::new(FileTransfer::Both) };
    talk.client(&init(6)).unwrap();
    assert!(talk.asset(&version(6)).is_err());
}

#[test]
fn our_own_answers_take_their_turn_among_the_assets() {
    let mut talk = Talk::new(FileTransfer::Download);
    let look = |id: u32| packet(17, &[&n(id), &string(b"x")]);
    talk.client(&[look(2), remove(3, "a"), look(4), remove(5, "b"), remove(6, "c")].concat()).unwrap();
    assert!(talk.to_client.is_empty(), "2 is not answered yet");
    talk.asset(&status(2, 0)).unwrap();
    assert_eq!(talk.statuses(), [(2, 0), (3, 3)]);
    talk.asset(&status(4, 0)).unwrap();
    assert_eq!(talk.statuses(), [(2, 0), (3, 3), (4, 0), (5, 3), (6, 3)]);
}

#[test]
fn an_asset_that_answers_out_of_order_does_not_lose_our_answers() {
    let mut talk = Talk::new(FileTransfer::Download);
    let look = |id: u32| packet(17, &[&n(id), &string(b"x")]);
    talk.client(&[look(2), look(3), remove(4, "a"), look(5)].concat()).unwrap();
    talk.asset(&[status(5, 0), status(3, 0), status(2, 0)].concat()).unwrap();
    assert_eq!(talk.statuses(), [(5, 0), (3, 0), (2, 0), (4, 3)]);
}

#[test]
fn malformed_streams_end() {
    let long = string(&[0; MAX_HANDLE_AND_ONE]);
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("no length", vec![0, 0, 0, 0]),
        ("huge", vec![0xff; 4]),
        ("just too long", (u32::try_from(wire::MAX_PACKET).unwrap() + 1).to_be_bytes().to_vec()),
        ("second greeting", init(3)),
        ("short open", packet(3, &[&n(2), &string(b"a")])),
        ("string beyond the packet", packet(4, &[&n(2), &n(100), b"abc"])),
        ("long handle", packet(4, &[&n(2), &long])),
        ("unknown attributes", packet(9, &[&n(2), &string(b"a"), &n(0x10)])),
        ("endless attributes", packet(9, &[&n(2), &string(b"a"), &n(0x8000_0000), &n(u32::MAX)])),
        ("id in use", [remove(2, "a"), remove(2, "b")].concat()),
    ];
    for (name, bytes) in cases {
        assert!(Talk::new(FileTransfer::Both).client(&bytes).is_err(), "{name}");
    }
    assert!(Sftp::new(FileTransfer::Both).client_sent(remove(1, "a").into(), &mut Vec::new()).is_err());
    assert!(Sftp::new(FileTransfer::Both).client_sent(init(2).into(), &mut Vec::new()).is_err());
}

const MAX_HANDLE_AND_ONE: usize = wire::MAX_HANDLE + 1;

#[test]
fn an_asset_that_lies_ends_the_channel() {
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("not asked", status(9, 0)),
        ("second greeting", version(3)),
        ("a request", remove(2, "a")),
        ("data for a stat", data(2, b"x")),
        ("more than asked for", data(3, b"12345")),
        ("the same handle twice", [handle(4, b"h")].concat()),
        ("twice", [status(2, 0), status(2, 0)].concat()),
    ];
    for (name, bytes) in cases {
        let mut talk = Talk::new(FileTransfer::Both);
        talk.opened("a", R, b"h");
        talk.client(&[packet(17, &[&n(2), &string(b"x")]), read(3, b"h", 0, 4), open(4, "b", R)].concat()).unwrap();
        assert!(talk.asset(&bytes).is_err(), "{name}");
    }
}

#[test]
fn open_files_and_outstanding_requests_are_bounded() {
    let mut talk = Talk::new(FileTransfer::Both);
    for id in 0..u32::try_from(MAX_OPEN).unwrap() + 10 {
        talk.client(&open(id + 2, "a", R)).unwrap();
    }
    assert_eq!(talk.sftp.pending.iter().filter(|pending| matches!(pending, Pending::Asset(..))).count(), MAX_OPEN);
}

/// paramiko asks for every piece of a file before it takes the first answer: 5,000 requests for 160 MiB.
#[test]
fn a_client_that_asks_for_too_much_at_once_waits_and_loses_nothing() {
    let mut talk = Talk::new(FileTransfer::Both);
    let before = talk.to_asset.len();
    let most = u32::try_from(MAX_OUTSTANDING).unwrap();
    let asked: Vec<u8> = (0..most + 1000).flat_map(|id| remove(id, "a")).collect();
    talk.client(&asked).unwrap();
    assert!(talk.sftp.is_full());
    assert_eq!(talk.sftp.pending.len(), MAX_OUTSTANDING);
    let one = remove(0, "a").len();
    assert_eq!(talk.to_asset[before..], asked[..MAX_OUTSTANDING * one]);
    // It is heard again when a good part is answered, so that what was kept is not gone through for each answer.
    let again = u32::try_from(MAX_OUTSTANDING - HEARD_AGAIN).unwrap();
    talk.asset(&(0..again - 1).flat_map(|id| status(id, 0)).collect::<Vec<_>>()).unwrap();
    assert!(talk.sftp.is_full());
    talk.asset(&status(again - 1, 0)).unwrap();
    assert!(!talk.sftp.is_full());
    talk.client(&[]).unwrap();
    assert!(!talk.sftp.is_full());
    assert_eq!(talk.to_asset[before..], asked);
}

/// What OpenSSH's server passes over: Debian 12's rclone sends 9 bytes behind the data of a write.
#[test]
fn what_follows_a_request_in_its_packet_is_dropped() {
    let longer = |packet: &[u8]| string(&[&packet[4..], b"123456789"].concat());
    let mut talk = Talk::new(FileTransfer::Both);
    talk.opened("a", R | W, b"h");
    let before = talk.to_asset.len();
    let requests = [
        write(3, b"h", 0, b"A"),
        read(4, b"h", 0, 1),
        extended(5, "fsync@openssh.com", &[&string(b"h")]),
        write(6, b"h", 1, b"B"),
    ];
    talk.client(&requests.iter().flat_map(|request| longer(request)).collect::<Vec<_>>()).unwrap();
    assert_eq!(talk.to_asset[before..], requests.concat());
    talk.asset(&[status(3, 0), data(4, b"A"), status(5, 0), status(6, 0)].concat()).unwrap();
    talk.client(&longer(&close(7, b"h"))).unwrap();
    talk.asset(&status(7, 0)).unwrap();
    let up = talk.files.iter().find_map(|(_, outcome)| match outcome {
        FileOutcome::Transferred(file) if file.way == Way::Upload => Some((file.size, file.sha256.clone())),
        _ => None,
    });
    assert_eq!(up, Some((2, sha256(b"AB"))));
    // Where it is not allowed it is refused all the same.
    let mut talk = Talk::new(FileTransfer::Download);
    let before = talk.to_asset.len();
    talk.client(&longer(&remove(3, "a"))).unwrap();
    assert_eq!(talk.to_asset.len(), before);
}

/// A conversation in which each side speaks in turn.
fn conversation() -> Vec<(bool, Vec<u8>)> {
    let content: Vec<u8> = (0..=255).cycle().take(700).collect();
    vec![
        (true, [open(1, "up", W), remove(2, "gone"), open(3, "down", R)].concat()),
        (false, [handle(1, b"u"), status(2, 0), handle(3, b"d")].concat()),
        (true, [write(4, b"u", 0, &content), write(5, b"u", 700, b"end"), write(6, b"d", 0, b"no")].concat()),
        (true, [read(7, b"d", 0, 500), read(8, b"d", 500, 500), packet(99, &[&n(9)])].concat()),
        (false, [status(4, 0), status(5, 0), data(7, &content[..500]), status(8, 1)].concat()),
        (true, [close(10, b"u"), close(11, b"d")].concat()),
        (false, [status(10, 0), status(11, 0)].concat()),
    ]
}

fn held(pieces: impl Fn(&[u8]) -> Vec<Vec<u8>>) -> (Vec<u8>, Vec<u8>, Vec<String>) {
    let mut talk = Talk::new(FileTransfer::Both);
    for (from_client, bytes) in conversation() {
        for piece in pieces(&bytes) {
            if from_client { talk.client(&piece) } else { talk.asset(&piece) }.unwrap();
        }
    }
    (talk.to_asset, talk.to_client, talk.said)
}

#[test]
fn however_the_stream_is_cut_the_verdicts_are_the_same() {
    let whole = held(|bytes| vec![bytes.to_vec()]);
    assert_eq!(whole.2.len(), 4, "{:?}", whole.2);
    assert_eq!(whole, held(|bytes| bytes.chunks(1).map(<[u8]>::to_vec).collect()));
    for at in 0..800 {
        let cut = held(|bytes| {
            let (one, other) = bytes.split_at(at.min(bytes.len()));
            vec![one.to_vec(), other.to_vec()]
        });
        assert_eq!(whole, cut, "cut at {at}");
    }
}

#[test]
fn what_comes_before_a_malformed_packet_counts_however_it_is_cut() {
    let stream = [remove(2, "a"), vec![0xff; 8]].concat();
    for at in 0..stream.len() {
        let mut talk = Talk::new(FileTransfer::Both);
        let (one, other) = stream.split_at(at);
        let ended = talk.client(one).is_err() || talk.client(other).is_err();
        assert!(ended, "cut at {at}");
        assert_eq!(talk.to_asset, remove(2, "a"), "cut at {at}");
    }
}

#[test]
fn long_paths_are_refused_and_many_of_them_too() {
    let mut talk = Talk::new(FileTransfer::Both);
    let (long, longest) = ("a".repeat(4097), "a".repeat(4096));
    talk.client(&open(1, &long, 1)).unwrap();
    talk.client(&remove(2, &long)).unwrap();
    talk.client(&packet(18, &[&n(3), &string(b"a"), &string(long.as_bytes())])).unwrap();
    assert!(talk.to_asset.is_empty());
    assert_eq!(String::from_utf8_lossy(&talk.to_client).matches("a path is longer than 4096 bytes").count(), 3);
    for id in 4..1000 {
        talk.client(&remove(id, &longest)).unwrap();
    }
    // What is not passed on is not kept either.
    assert_eq!(talk.to_asset.len() / remove(4, &longest).len(), MOST_PATHS / LONGEST_PATH);
    // What is answered makes room.
    talk.asset(&status(4, 0)).unwrap();
    let before = talk.to_asset.len();
    talk.client(&remove(1000, &longest)).unwrap();
    assert!(talk.to_asset.len() > before);
}

proptest! {
    #[test]
    fn any_bytes_from_either_side_neither_panic_nor_grow(
        pieces in proptest::collection::vec((any::<bool>(), proptest::collection::vec(any::<u8>(), 0..300)), 0..30),
    ) {
        let mut talk = Talk::new(FileTransfer::Both);
        for (from_client, piece) in pieces {
            let outcome = if from_client { talk.client(&piece) } else { talk.asset(&piece) };
            if outcome.is_err() { break; }
        }
        prop_assert!(talk.sftp.pending.len() <= MAX_OUTSTANDING);
    }

    #[test]
    fn any_well_framed_request_without_rights_never_reaches_the_asset_unless_it_only_looks(
        kind in 3u8..=20, body in proptest::collection::vec(any::<u8>(), 0..60),
    ) {
        let mut talk = Talk::new(FileTransfer::None);
        let outcome = talk.client(&packet(kind, &[&n(5), &body]));
        let looks = matches!(kind, 7 | 11 | 16 | 17 | 19);
        prop_assert!(looks || talk.to_asset.is_empty());
        prop_assert!(outcome.is_err() || !talk.to_asset.is_empty() || talk.statuses().len() == 1);
    }
}
