//! Hostile input: nothing panics, nothing takes memory without bound.
use crate::desk::{DESK, parts};
use proptest::prelude::*;
use sallyport_session_recorder::{Reader, VerifyError, recover, verify};
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
