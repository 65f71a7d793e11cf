//! Budgets: what is kept in full, and what is held as length and hash.
use crate::desk::{DESK, Memory, at};
use aws_lc_rs::digest::{SHA256, digest};
use proptest::prelude::*;
use sallyport_session_recorder::{Budget, Direction, Entry, FileRun, Kind, Part, TrackId};

const T1: TrackId = TrackId(1);

#[test]
fn within_the_budget_everything_is_kept_beyond_it_its_hash() {
    let memory = Memory::default();
    let mut recorder = DESK.start(&memory);
    let mut budget = Budget::new(1000, 0);
    recorder.append_bulk(at(1), T1, Direction::Input, &[1; 1000], &mut budget).unwrap();
    recorder.append_bulk(at(2), T1, Direction::Input, &[2; 5000], &mut budget).unwrap();
    let entries = DESK.read(&memory.bytes());
    assert_eq!(entries.len(), 2);
    assert_eq!((entries[0].kind, entries[0].body.as_slice()), (Kind::Input, [1; 1000].as_slice()));
    assert_eq!(entries[1].kind, Kind::InputDigest);
    let (length, hash) = entries[1].digest().unwrap();
    assert_eq!(length, 5000);
    assert_eq!(hash, digest(&SHA256, &[2; 5000]).as_ref());
}

#[test]
fn a_run_of_a_file_is_read_back_as_it_was_hashed_and_counts_for_what_passed() {
    let memory = Memory::default();
    let mut recorder = DESK.start(&memory);
    let run = FileRun { length: 32_797, frame: [1; 32], size: 65_536, content: [2; 32] };
    recorder.append_all(at(1), T1, &mut [Part::File { direction: Direction::Input, run }]).unwrap();
    let counts = recorder.counts();
    assert_eq!((counts.input_bytes, counts.digested_bytes), (32_797, 32_797));
    let entries = DESK.read(&memory.bytes());
    assert_eq!(
        (entries[0].kind, entries[0].file_run(), entries[0].unstored()),
        (Kind::InputFile, Some(run), Some(32_797))
    );
    assert_eq!(entries[0].digest(), None, "it is no hash of what passed");
}

#[test]
fn the_end_of_a_flood_is_kept_while_the_budget_refills() {
    let memory = Memory::default();
    let mut recorder = DESK.start(&memory);
    let mut budget = Budget::new(2000, 1000);
    let mut flood = vec![b'#'; 100_000];
    flood.extend_from_slice(b"\nrm -rf /plant\n");
    recorder.append_bulk(at(1), T1, Direction::Input, &flood, &mut budget).unwrap();
    let entries = DESK.read(&memory.bytes());
    assert_eq!(entries.len(), 2);
    assert!(entries[1].body.ends_with(b"\nrm -rf /plant\n"));
    let (length, hash) = entries[0].digest().unwrap();
    let (head, tail) = flood.split_at(usize::try_from(length).unwrap());
    assert_eq!(hash, digest(&SHA256, head).as_ref());
    assert_eq!(entries[1].body, tail);
}

#[test]
fn a_command_behind_a_flood_is_kept() {
    let memory = Memory::default();
    let mut recorder = DESK.start(&memory);
    let mut budget = Budget::default();
    for step in 0..200 {
        recorder.append_bulk(at(step), T1, Direction::Input, &[0; 256 * 1024], &mut budget).unwrap();
    }
    recorder.append_bulk(at(201), T1, Direction::Input, b"stop pump 3\n", &mut budget).unwrap();
    let last = DESK.read(&memory.bytes()).pop().unwrap();
    assert_eq!((last.kind, last.body.as_slice()), (Kind::Input, b"stop pump 3\n".as_slice()));
}

#[test]
fn a_digest_is_small() {
    let memory = Memory::default();
    let mut recorder = DESK.start(&memory);
    let before = recorder.len();
    recorder.append_bulk(at(1), T1, Direction::Output, &[7; 32 * 1024], &mut Budget::none()).unwrap();
    assert_eq!(recorder.len() - before, 83);
}

#[test]
fn a_gibibyte_in_large_pieces_is_less_than_a_mebibyte_of_recording() {
    let memory = Memory::default();
    let mut recorder = DESK.start(&memory);
    let piece = vec![7; 256 * 1024];
    for step in 0..64 {
        recorder.append_bulk(at(step), T1, Direction::Output, &piece, &mut Budget::none()).unwrap();
    }
    assert!(recorder.len() * 64 < 1 << 20, "{}", recorder.len());
}

proptest! {
    #[test]
    fn nothing_is_lost_and_nothing_is_counted_twice(
        pieces in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..4000), 0i64..500), 0..40),
        capacity in 0u64..10_000,
        refill in 0u64..10_000,
    ) {
        let memory = Memory::default();
        let mut recorder = DESK.start(&memory);
        let mut budget = Budget::new(capacity, refill);
        let mut now = 0;
        for (piece, pause) in &pieces {
            now += pause;
            recorder.append_bulk(at(now), T1, Direction::Output, piece, &mut budget).unwrap();
        }
        let passed: Vec<u8> = pieces.iter().flat_map(|(piece, _)| piece.iter().copied()).collect();
        let entries = DESK.read(&memory.bytes());
        prop_assert!(explains(&entries, &passed));
        let kept: u64 =
            entries.iter().filter(|entry| entry.kind == Kind::Output).map(|entry| entry.body.len() as u64).sum();
        prop_assert!(kept <= capacity + refill * u64::try_from(now).unwrap() / 1000 + 1);
    }
}

/// A copy of what passed can be proven with the entries.
fn explains(entries: &[Entry], mut passed: &[u8]) -> bool {
    for entry in entries {
        let length = entry.digest().map_or(entry.body.len(), |(length, _)| usize::try_from(length).unwrap());
        let Some((piece, rest)) = passed.split_at_checked(length) else { return false };
        let fits = entry.digest().map_or(piece == entry.body, |(_, hash)| hash == digest(&SHA256, piece).as_ref());
        if !fits {
            return false;
        }
        passed = rest;
    }
    passed.is_empty()
}
