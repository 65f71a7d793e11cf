//! Hostile input: nothing panics, nothing takes memory without bound.
use crate::desk::{DESK, parts};
use proptest::prelude::*;
use sallyport_session_recorder::{FaultKind, MAX_CONTENT, MAX_HEADER, Reader, VerifyError, recover, verify};
use std::io::Read;

proptest! {
    #[test]
    fn random_bytes_are_not_a_recording(bytes in prop::collection::vec(any::<u8>(), 0..3000)) {
        prop_assert!(DESK.verify(&bytes).is_err());
    }

    #[test]
    fn random_blocks_behind_a_good_header_prove_nothing(
        blocks in prop::collection::vec((any::<u8>(), any::<u32>(), prop::collection::vec(any::<u8>(), 0..200)), 0..8),
        bounded in any::<bool>(),
    ) {
        let good = DESK.small("s1");
        let mut bytes = parts(&good)[..2].concat();
        let proven = bytes.len() as u64;
        for (block_type, length, content) in blocks {
            bytes.push(if bounded { block_type % 4 } else { block_type });
            let length = if bounded { u32::try_from(content.len()).unwrap() } else { length };
            bytes.extend_from_slice(&length.to_be_bytes());
            bytes.extend_from_slice(&content);
        }
        let verification = DESK.verify(&bytes).unwrap();
        prop_assert_eq!(verification.proven_bytes, proven);
        prop_assert!(!verification.is_whole());
        let read = Reader::open(bytes.as_slice(), std::slice::from_ref(&DESK.reader), None).unwrap().filter(Result::is_ok);
        prop_assert_eq!(read.count(), 0);
        let length = bytes.len() as u64;
        drop(recover(bytes.as_slice(), length, &DESK.trusted(), &DESK.keys, crate::desk::at(0), ""));
    }

    #[test]
    fn a_header_of_any_bytes_is_refused_or_read(json in prop::collection::vec(any::<u8>(), 0..300)) {
        let mut bytes = b"\x89SPREC\r\n\0\x01\0\0".to_vec();
        bytes.extend_from_slice(&u32::try_from(json.len()).unwrap().to_be_bytes());
        bytes.extend_from_slice(&json);
        prop_assert!(matches!(DESK.verify(&bytes), Err(VerifyError::Header(_))));
    }
}

#[test]
fn a_length_that_promises_gigabytes_is_refused_without_taking_them() {
    let good = DESK.small("s1");
    let mut bytes = parts(&good)[..2].concat();
    bytes.extend_from_slice(&[1, 0xff, 0xff, 0xff, 0xff]);
    let endless = bytes.as_slice().chain(std::io::repeat(0));
    let verification = verify(endless, &DESK.trusted()).unwrap();
    assert!(verification.fault.is_some());
    let mut header = b"\x89SPREC\r\n\0\x01\0\0\xff\xff\xff\xff".to_vec();
    header.extend_from_slice(&[b' '; 100]);
    assert!(matches!(
        verify(header.as_slice().chain(std::io::repeat(b' ')), &DESK.trusted()),
        Err(VerifyError::Header(_))
    ));
}

#[test]
fn a_later_version_is_named() {
    let mut bytes = DESK.small("s1");
    bytes[9] = 2;
    assert_eq!(DESK.verify(&bytes).unwrap_err().to_string(), "recording format 2 is not known here");
}

/// Each refusal of a beginning says what it is: a reader who is told the wrong thing looks in the wrong place.
#[test]
fn each_wrong_beginning_is_named() {
    let prefix = |version: u16, reserved: [u8; 2], length: usize| {
        let mut bytes = b"\x89SPREC\r\n".to_vec();
        bytes.extend_from_slice(&version.to_be_bytes());
        bytes.extend_from_slice(&reserved);
        bytes.extend_from_slice(&u32::try_from(length).unwrap().to_be_bytes());
        bytes
    };
    let too_long = VerifyError::Header("too long".to_owned()).to_string();
    let cut_off = VerifyError::Header("cut off".to_owned()).to_string();
    let other_file = [b"\x7fELF\x02\x01\x01\0".as_slice(), &[0; 100]].concat();
    let cases: [(&str, Vec<u8>, String); 9] = [
        ("nothing", Vec::new(), VerifyError::NotARecording.to_string()),
        ("the magic alone", prefix(1, [0; 2], 0)[..8].to_vec(), VerifyError::NotARecording.to_string()),
        ("one byte short of a prefix", prefix(1, [0; 2], 0)[..15].to_vec(), VerifyError::NotARecording.to_string()),
        ("another file", other_file, VerifyError::NotARecording.to_string()),
        ("a later version", prefix(2, [0; 2], 0), VerifyError::Version(2).to_string()),
        ("reserved bytes in use", prefix(1, [0, 1], 0), VerifyError::Version(1).to_string()),
        (
            "longer than a header may be",
            [prefix(1, [0; 2], MAX_HEADER + 1), vec![b' '; MAX_HEADER + 1]].concat(),
            too_long,
        ),
        (
            "as long as a header may be, and cut",
            [prefix(1, [0; 2], MAX_HEADER), vec![b' '; MAX_HEADER - 1]].concat(),
            cut_off.clone(),
        ),
        ("a short header, cut", [prefix(1, [0; 2], 5), vec![b'{'; 4]].concat(), cut_off),
    ];
    for (what, bytes, said) in cases {
        assert_eq!(DESK.verify(&bytes).unwrap_err().to_string(), said, "{what}");
    }
}

/// A frame says how long its block is before anything is taken for it.
#[test]
fn a_block_of_no_length_or_too_long_a_one_is_no_block() {
    let good = DESK.small("s1");
    let start = parts(&good)[..2].concat();
    let with = |length: usize, content: usize| {
        let length = u32::try_from(length).unwrap().to_be_bytes();
        let bytes = [start.as_slice(), &[1], &length, &vec![0; content]].concat();
        let verification = DESK.verify(&bytes).unwrap();
        (verification.fault.map(|fault| (fault.offset, fault.kind)), verification.torn_bytes)
    };
    let frame = Some((start.len() as u64, FaultKind::Frame));
    assert_eq!(with(0, 0), (frame, 0));
    assert_eq!(with(MAX_CONTENT + 1, MAX_CONTENT + 1), (frame, 0));
    assert_eq!(with(MAX_CONTENT, MAX_CONTENT - 1), (None, (5 + MAX_CONTENT - 1) as u64));
}
