//! Whatever is done to a recording shows, and what stood before it stays proven.
use crate::desk::{DESK, Desk, parts};
use proptest::prelude::*;
use sallyport_session_recorder::{FaultKind, ReadError, State};

#[test]
fn an_untouched_recording_is_whole() {
    let bytes = DESK.small("s1");
    let verification = DESK.verify(&bytes).unwrap();
    assert!(verification.is_whole());
    assert_eq!(verification.state, State::Sealed);
    assert_eq!(State::Sealed.to_string(), "sealed");
    assert_eq!(State::Interrupted.to_string(), "interrupted");
    assert_eq!(State::Open.to_string(), "unsealed");
    assert_eq!(verification.proven_bytes, bytes.len() as u64);
    assert_eq!(verification.checkpoints, 3);
    assert_eq!(verification.seal.unwrap().end, "closed");
}

#[test]
fn every_flipped_bit_of_every_byte_shows() {
    let bytes = DESK.small("s1");
    for index in 0..bytes.len() {
        for bit in [0x01, 0x20, 0x80] {
            let mut changed = bytes.clone();
            changed[index] ^= bit;
            if let Ok(verification) = DESK.verify(&changed) {
                assert!(!verification.is_whole(), "byte {index}, bit {bit:#x}");
                assert!(verification.proven_bytes <= index as u64, "byte {index}, bit {bit:#x}");
            }
        }
    }
}

#[test]
fn a_recording_cut_anywhere_verifies_up_to_its_last_checkpoint_and_says_that_it_is_unsealed() {
    let bytes = DESK.small("s1");
    let parts = parts(&bytes);
    let mut ends = Vec::new();
    parts.iter().fold(0, |end, part| {
        ends.push((end + part.len(), part[0] == 2));
        end + part.len()
    });
    for cut in 0..bytes.len() {
        let expected = ends.iter().skip(1).filter(|(end, signed)| *signed && *end <= cut).map(|(end, _)| *end).max();
        match DESK.verify(&bytes[..cut]) {
            Err(_) => assert!(cut < parts[0].len(), "cut at {cut}"),
            Ok(verification) => {
                assert_eq!(verification.state, State::Open, "cut at {cut}");
                assert_eq!(verification.fault, None, "cut at {cut}");
                assert_eq!(verification.proven_bytes, expected.unwrap_or(0) as u64, "cut at {cut}");
                let all = verification.proven_bytes + verification.unproven_bytes + verification.torn_bytes;
                assert!(cut < parts[0].len() + parts[1].len() || all == cut as u64, "cut at {cut}");
            }
        }
    }
}

#[test]
fn every_removed_doubled_or_swapped_block_shows() {
    let bytes = DESK.small("s1");
    let parts = parts(&bytes);
    for index in 1..parts.len() {
        let before: u64 = parts[..index].iter().map(|part| part.len() as u64).sum();
        let mut removed = parts.clone();
        removed.remove(index);
        let mut doubled = parts.clone();
        doubled.insert(index, parts[index]);
        let mut swapped = parts.clone();
        swapped.swap(index, index.max(2) - 1);
        for changed in [removed, doubled, swapped] {
            if changed == parts {
                continue;
            }
            let verification = DESK.verify(&changed.concat()).unwrap();
            assert!(!verification.is_whole(), "block {index}");
            let proven_if_doubled = before + parts[index].len() as u64;
            assert!(verification.proven_bytes <= proven_if_doubled, "block {index}");
        }
    }
}

#[test]
fn no_block_of_another_recording_fits_anywhere() {
    let (bytes, other) = (DESK.small("s1"), DESK.small("s2"));
    let (parts, strangers) = (parts(&bytes), parts(&other));
    for (index, stranger) in (1..parts.len()).flat_map(|index| strangers.iter().skip(1).map(move |part| (index, part)))
    {
        let before: u64 = parts[..index].iter().map(|part| part.len() as u64).sum();
        let mut replaced = parts.clone();
        replaced[index] = stranger;
        let mut inserted = parts.clone();
        inserted.insert(index, stranger);
        for changed in [replaced, inserted] {
            let verification = DESK.verify(&changed.concat()).unwrap();
            assert!(!verification.is_whole());
            assert!(verification.proven_bytes <= before);
        }
    }
}

#[test]
fn a_header_from_another_recording_is_refused() {
    let (bytes, other) = (DESK.small("s1"), DESK.small("s2"));
    let mut changed = parts(&bytes);
    let stranger = parts(&other)[0];
    changed[0] = stranger;
    let verification = DESK.verify(&changed.concat()).unwrap();
    assert_eq!(verification.fault.unwrap().kind, FaultKind::Checkpoint);
    assert_eq!(verification.proven_bytes, 0);
}

#[test]
fn a_recording_signed_by_a_stranger_is_refused() {
    let stranger = Desk::new(8);
    let error = DESK.verify(&stranger.small("s1")).unwrap_err();
    assert!(error.to_string().starts_with("the recording is signed by an unknown key"), "{error}");
}

#[test]
fn what_follows_the_seal_shows() {
    let mut bytes = DESK.small("s1");
    bytes.push(0);
    assert_eq!(DESK.verify(&bytes).unwrap().fault.unwrap().kind, FaultKind::AfterSeal);
}

#[test]
fn a_reader_with_the_key_sees_a_change_even_where_no_signature_reaches() {
    let bytes = DESK.small("s1");
    let mut parts = parts(&bytes);
    // Cut behind the third entry, which no checkpoint covers yet.
    parts.truncate(5);
    let mut changed = parts.concat();
    *changed.last_mut().unwrap() ^= 1;
    assert!(DESK.verify(&changed).unwrap().fault.is_none());
    let results: Vec<_> = DESK.reader(&changed).collect();
    assert_eq!(results.len(), 3);
    assert!(matches!(&results[2], Err(ReadError::Fault(fault)) if fault.kind == FaultKind::Cipher));
}

#[test]
fn blocks_swapped_where_no_signature_reaches_do_not_decrypt() {
    let bytes = DESK.small("s1");
    let mut parts = parts(&bytes);
    parts.truncate(5);
    parts.swap(3, 4);
    let results: Vec<_> = DESK.reader(&parts.concat()).map(|result| result.is_ok()).collect();
    assert_eq!(results, [true, false]);
}

proptest! {
    #[test]
    fn any_overwritten_range_shows(start in 0usize..2000, noise in prop::collection::vec(any::<u8>(), 1..64)) {
        let bytes = DESK.small("s1");
        let mut changed = bytes.clone();
        for (index, byte) in noise.iter().enumerate() {
            if let Some(place) = changed.get_mut(start + index) {
                *place = *byte;
            }
        }
        prop_assume!(changed != bytes);
        if let Ok(verification) = DESK.verify(&changed) {
            prop_assert!(!verification.is_whole());
        }
    }
}
