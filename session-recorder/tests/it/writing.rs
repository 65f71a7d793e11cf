//! Evidence before effect: what `append` promises.
use crate::desk::{DESK, Memory, at, header};
use sallyport_session_recorder::{Budget, Direction, Kind, MAX_BODY, Moment, Part, RecordError, Recorder, TrackId};

const T1: TrackId = TrackId(1);

#[test]
fn what_is_appended_is_read_back() {
    let memory = Memory::default();
    let mut recorder = DESK.start(&memory);
    let mut expected = Vec::new();
    for (number, size) in [0, 1, 63, 64, 65, 1000, 40_000, MAX_BODY].into_iter().enumerate() {
        let body: Vec<u8> = (0..size).map(|index| u8::try_from(index * index % 251).unwrap()).collect();
        let moment = at(i64::try_from(number).unwrap() * 400);
        recorder.append(moment, TrackId(9), Kind::Output, &body).unwrap();
        expected.push((moment, TrackId(9), Kind::Output, body));
    }
    let sealed = recorder.seal(at(9000), "closed", "").unwrap();
    let bytes = memory.bytes();
    let entries: Vec<_> =
        DESK.read(&bytes).into_iter().map(|entry| (entry.at, entry.track, entry.kind, entry.body)).collect();
    assert!(entries == expected);
    assert_eq!(sealed.bytes, bytes.len() as u64);
    let verification = DESK.verify(&bytes).unwrap();
    assert_eq!(verification.head, sealed.head_hex());
    assert_eq!(verification.proven_blocks, sealed.blocks);
    let counts = verification.seal.unwrap().counts.unwrap();
    assert_eq!((counts.entries, counts.output_bytes), (8, 41_193 + MAX_BODY as u64));
}

#[test]
fn a_long_body_is_several_entries_in_one_write() {
    let memory = Memory::default();
    let mut recorder = DESK.start(&memory);
    let body: Vec<u8> = (0..MAX_BODY * 2 + 5).map(|index| u8::try_from(index % 253).unwrap()).collect();
    let before = memory.writes();
    recorder.append(at(5), T1, Kind::Output, &body).unwrap();
    assert_eq!(memory.writes(), before + 1);
    let entries = DESK.read(&memory.bytes());
    assert_eq!(entries.len(), 3);
    assert!(entries.into_iter().flat_map(|entry| entry.body).eq(body));
}

#[test]
fn a_long_json_body_is_refused_and_the_recorder_goes_on() {
    let memory = Memory::default();
    let mut recorder = DESK.start(&memory);
    let error = recorder.append(at(5), T1, Kind::Operation, &vec![b' '; MAX_BODY + 1]).unwrap_err();
    assert!(matches!(error, RecordError::TooLong(_)));
    recorder.append(at(6), T1, Kind::Input, b"x").unwrap();
    assert_eq!(DESK.read(&memory.bytes()).len(), 1);
}

#[test]
fn after_one_failed_write_nothing_is_taken_any_more() {
    for room in [0, 1, 20, 46] {
        let memory = Memory::default();
        let mut recorder = DESK.start(&memory);
        recorder.append(at(1), T1, Kind::Input, b"recorded").unwrap();
        memory.leave_room(room);
        assert!(matches!(recorder.append(at(2), T1, Kind::Input, b"lost"), Err(RecordError::Sink(_))));
        let writes = memory.writes();
        memory.leave_room(1 << 20);
        assert!(matches!(recorder.append(at(3), T1, Kind::Input, b"refused"), Err(RecordError::Failed)));
        assert!(matches!(recorder.checkpoint(at(4000)), Err(RecordError::Failed)));
        assert!(!recorder.checkpoint_due(at(9000)));
        assert!(matches!(recorder.seal(at(4), "closed", ""), Err(RecordError::Failed)));
        assert_eq!(memory.writes(), writes, "a failed recorder does not write");
        let bodies: Vec<_> = DESK.read(&memory.bytes()).into_iter().map(|entry| entry.body).collect();
        assert_eq!(bodies, [b"recorded"]);
    }
}

#[test]
fn a_recording_that_cannot_begin_does_not() {
    let memory = Memory::default();
    memory.leave_room(100);
    assert!(matches!(Recorder::start(memory.clone(), &header("s1"), &DESK.keys, at(0)), Err(RecordError::Sink(_))));
}

#[test]
fn a_checkpoint_comes_with_the_first_append_after_a_second_and_no_sooner() {
    let memory = Memory::default();
    let mut recorder = DESK.start(&memory);
    let checkpoints = |memory: &Memory| DESK.verify(&memory.bytes()).unwrap().checkpoints;
    recorder.append(at(999), T1, Kind::Input, b"a").unwrap();
    assert_eq!(checkpoints(&memory), 1);
    assert!(recorder.checkpoint_due(at(1000)));
    recorder.append(at(1000), T1, Kind::Input, b"b").unwrap();
    assert_eq!(checkpoints(&memory), 2);
    assert!(!recorder.checkpoint_due(at(60_000)), "nothing has happened since");
    recorder.append(at(1001), T1, Kind::Input, b"c").unwrap();
    assert!(!recorder.checkpoint_due(at(1999)));
    assert!(recorder.checkpoint_due(at(2000)));
    recorder.checkpoint(at(2000)).unwrap();
    assert_eq!(checkpoints(&memory), 3);
    assert_eq!(DESK.verify(&memory.bytes()).unwrap().proven_bytes, memory.bytes().len() as u64);
}

#[test]
fn every_append_is_one_write() {
    let memory = Memory::default();
    let mut recorder = DESK.start(&memory);
    assert_eq!(memory.writes(), 1);
    for step in 0..10 {
        recorder.append(at(step * 700), T1, Kind::Input, b"x").unwrap();
    }
    assert_eq!(memory.writes(), 11);
}

#[test]
fn parts_are_the_entries_that_single_appends_make_in_one_write() {
    let (together, single) = (Memory::default(), Memory::default());
    let mut recorder = DESK.start(&together);
    let mut one_by_one = DESK.start(&single);
    let long: Vec<u8> = (0..MAX_BODY + 5).map(|index| u8::try_from(index % 253).unwrap()).collect();
    let mut budgets = [Budget::new(4000, 0), Budget::new(4000, 0)];
    let [first, second] = &mut budgets;
    for step in [5, 1700] {
        let writes = together.writes();
        let mut parts = [
            Part::Bulk { direction: Direction::Input, body: &[7; 3000], budget: first },
            Part::Whole { kind: Kind::Operation, body: b"{}" },
            Part::Whole { kind: Kind::Output, body: &long },
            Part::Whole { kind: Kind::Output, body: b"" },
        ];
        recorder.append_all(at(step), T1, &mut parts).unwrap();
        assert_eq!(together.writes(), writes + 1);
        one_by_one.append_bulk(at(step), T1, Direction::Input, &[7; 3000], second).unwrap();
        one_by_one.append(at(step), T1, Kind::Operation, b"{}").unwrap();
        one_by_one.append(at(step), T1, Kind::Output, &long).unwrap();
        one_by_one.append(at(step), T1, Kind::Output, b"").unwrap();
    }
    let entries = |memory: &Memory| -> Vec<_> {
        let entries = DESK.read(&memory.bytes()).into_iter();
        entries.map(|entry| (entry.at, entry.track, entry.kind, entry.body)).collect()
    };
    let kinds: Vec<_> = entries(&together).iter().map(|(_, _, kind, _)| *kind).collect();
    assert!(kinds.contains(&Kind::InputDigest), "the budget was spent once: {kinds:?}");
    assert!(entries(&together) == entries(&single));
    let writes = together.writes();
    recorder.append_all(at(1800), T1, &mut []).unwrap();
    assert_eq!(together.writes(), writes, "nothing is nothing to write");
    recorder.seal(at(2000), "closed", "").unwrap();
    assert!(DESK.verify(&together.bytes()).unwrap().seal.is_some());
}

#[test]
fn of_parts_that_cannot_all_be_recorded_none_is() {
    for room in [0, 60, 110] {
        let memory = Memory::default();
        let mut recorder = DESK.start(&memory);
        recorder.append(at(1), T1, Kind::Input, b"recorded").unwrap();
        memory.leave_room(room);
        let lost = Part::Whole { kind: Kind::Input, body: &[1; 30] };
        let mut parts = [lost, Part::Whole { kind: Kind::Operation, body: &[b'1'; 300] }];
        assert!(matches!(recorder.append_all(at(2), T1, &mut parts), Err(RecordError::Sink(_))));
        assert!(matches!(recorder.append_all(at(3), T1, &mut []), Err(RecordError::Failed)));
        assert_eq!(recorder.counts().entries, 1);
    }
    let memory = Memory::default();
    let mut recorder = DESK.start(&memory);
    let too_long = vec![b' '; MAX_BODY + 1];
    let fits = Part::Whole { kind: Kind::Input, body: b"fits" };
    let mut parts = [fits, Part::Whole { kind: Kind::Operation, body: &too_long }];
    assert!(matches!(recorder.append_all(at(5), T1, &mut parts), Err(RecordError::TooLong(_))));
    recorder.append(at(6), T1, Kind::Input, b"x").unwrap();
    assert_eq!(DESK.read(&memory.bytes()).len(), 1);
}

#[test]
fn a_clock_that_jumps_is_on_the_record() {
    let memory = Memory::default();
    let mut recorder = DESK.start(&memory);
    recorder.append(at(1), T1, Kind::Input, b"a").unwrap();
    let jumped = Moment { unix_micros: at(2).unix_micros - 3_600_000_000, ..at(2) };
    recorder.append(jumped, T1, Kind::Input, b"b").unwrap();
    let still = Moment { unix_micros: at(3).unix_micros - 3_600_000_000, ..at(3) };
    recorder.append(still, T1, Kind::Input, b"c").unwrap();
    let notices: Vec<_> = DESK.read(&memory.bytes()).into_iter().filter_map(|entry| entry.json()).collect();
    assert_eq!(notices, [serde_json::json!({ "notice": "clock-jump", "by_micros": -3_600_000_000_i64 })]);
}

#[test]
fn what_shrinks_is_stored_small_and_what_does_not_costs_little() {
    let memory = Memory::default();
    let mut recorder = DESK.start(&memory);
    let start = recorder.len();
    recorder.append(at(1), T1, Kind::Output, &b"PRESSURE 12.5 bar OK\r\n".repeat(1000)).unwrap();
    assert!(recorder.len() - start < 1000);
    let start = recorder.len();
    let mut noise = vec![0_u8; 32 * 1024];
    let mut state = 1_u64;
    for byte in &mut noise {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        *byte = state.to_be_bytes()[0];
    }
    for step in 0..50 {
        recorder.append(at(2 + step), T1, Kind::Output, &noise).unwrap();
    }
    assert_eq!(recorder.len() - start, 50 * (32 * 1024 + 43));
}

#[test]
fn nobody_without_a_key_reads_what_passed() {
    let memory = Memory::default();
    let mut recorder = DESK.start(&memory);
    recorder.append(at(1), T1, Kind::Input, b"TOP SECRET").unwrap();
    recorder.append(at(2), T1, Kind::Request, br#"{"request":"exec","command":"TOP SECRET"}"#).unwrap();
    recorder.seal(at(3), "closed", "").unwrap();
    assert!(!memory.bytes().windows(10).any(|window| window == b"TOP SECRET"));
}
