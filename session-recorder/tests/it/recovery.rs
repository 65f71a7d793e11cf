//! A recording that was being made when the broker died.
use crate::desk::{DESK, at, parts};
use sallyport_session_recorder::{FaultKind, RecoverError, Recovery, State, recover};

fn close(bytes: &[u8]) -> Result<Recovery, RecoverError> {
    recover(bytes, bytes.len() as u64, &DESK.trusted(), &DESK.keys, at(60_000), "found unsealed")
}

#[test]
fn a_recording_cut_anywhere_can_be_closed_and_keeps_every_whole_entry() {
    let bytes = DESK.small("s1");
    let all = DESK.read(&bytes);
    let parts = parts(&bytes);
    let begins = parts[0].len() + parts[1].len();
    for cut in 0..bytes.len() {
        let torn = &bytes[..cut];
        let recovery = match close(torn) {
            Ok(recovery) => recovery,
            Err(error) => {
                assert!(cut < begins, "cut at {cut}: {error}");
                continue;
            }
        };
        let Recovery::Interrupted { keep, seal, sealed, .. } = recovery else { panic!("cut at {cut}: whole") };
        let mut closed = torn[..usize::try_from(keep).unwrap()].to_vec();
        closed.extend_from_slice(&seal);
        let verification = DESK.verify(&closed).unwrap();
        assert!(verification.is_whole(), "cut at {cut}");
        assert_eq!(verification.state, State::Interrupted);
        assert_eq!(verification.head, sealed.head_hex());
        assert_eq!(sealed.bytes, closed.len() as u64);
        let found = verification.seal.unwrap();
        assert_eq!(found.end, "interrupted");
        let interruption = found.interruption.unwrap();
        assert_eq!(interruption.cut_bytes, cut as u64 - keep);
        assert_eq!(interruption.proven_bytes, DESK.verify(torn).unwrap().proven_bytes);
        let read = DESK.read(&closed);
        assert_eq!(read, all[..read.len()], "cut at {cut}");
    }
}

#[test]
fn a_sealed_recording_is_left_alone() {
    assert!(matches!(close(&DESK.small("s1")), Ok(Recovery::Whole(_))));
}

#[test]
fn a_changed_recording_is_not_sealed_over() {
    let mut bytes = DESK.small("s1");
    let second = parts(&bytes)[..3].concat().len();
    bytes[second - 1] ^= 1;
    match close(&bytes) {
        Err(RecoverError::Damaged(fault)) => assert_eq!(fault.kind, FaultKind::Checkpoint),
        other => panic!("{other:?}"),
    }
}

#[test]
fn zeros_that_a_power_failure_left_at_the_end_are_cut() {
    let bytes = DESK.small("s1");
    let mut torn = parts(&bytes)[..6].concat();
    let kept = torn.len() as u64;
    torn.extend_from_slice(&[0; 4096]);
    let Ok(Recovery::Interrupted { keep, .. }) = close(&torn) else { panic!("not closed") };
    assert_eq!(keep, kept);
}

#[test]
fn what_ends_before_its_first_signature_never_began() {
    let bytes = DESK.small("s1");
    let header = parts(&bytes)[0].len();
    assert!(matches!(close(&bytes[..header + 10]), Err(RecoverError::NeverBegan)));
}
