//! A recording that is shared opens for those it was shared with, and no other does.
use crate::desk::{DESK, Desk};
use sallyport_session_recorder::types::Identity;
use sallyport_session_recorder::{Entry, KeyError, OpenError, ReadError, Reader, share};

fn read(bytes: &[u8], key: &[u8], who: &Identity) -> Result<Vec<Entry>, String> {
    let reader = Reader::open_shared(bytes, key, std::slice::from_ref(who), Some(&DESK.trusted()));
    let entries: Result<Vec<Entry>, ReadError> = reader.map_err(|error| error.to_string())?.collect();
    entries.map_err(|error| error.to_string())
}

fn shared(bytes: &[u8], with: &[String]) -> Vec<u8> {
    share(bytes, std::slice::from_ref(&DESK.reader), &DESK.trusted(), with).unwrap()
}

#[test]
fn a_shared_recording_opens_for_those_it_is_for_and_no_other_does() {
    let (one, other) = (DESK.small("s1"), DESK.small("s2"));
    let (insurer, lawyer, stranger) = (Identity::generate(), Identity::generate(), Identity::generate());
    let key = shared(&one, &[insurer.to_public().to_string(), lawyer.to_public().to_string()]);
    for reader in [&insurer, &lawyer, &DESK.reader] {
        let mine = read(&one, &key, reader).unwrap();
        assert_eq!(mine, DESK.read(&one));
    }
    assert!(read(&one, &key, &stranger).unwrap_err().contains("not encrypted to this identity"));
    assert!(read(&other, &key, &insurer).unwrap_err().contains("does not decrypt"));
    assert!(read(&one, &shared(&other, &[insurer.to_public().to_string()]), &insurer).is_err());
    for cut in [0, 10, key.len() - 1] {
        assert!(read(&one, &key[..cut], &insurer).is_err(), "{cut}");
    }
}

#[test]
fn nothing_is_shared_with_nobody_by_nobody_or_of_somebody_else() {
    let one = DESK.small("s1");
    let friend = Identity::generate().to_public().to_string();
    let reader = std::slice::from_ref(&DESK.reader);
    let refused = |result: Result<Vec<u8>, OpenError>| result.unwrap_err();
    let nobody: [String; 0] = [];
    let error = refused(share(one.as_slice(), reader, &DESK.trusted(), &nobody));
    assert!(matches!(error, OpenError::Keys(KeyError::NoRecipient)), "{error}");
    let error = refused(share(one.as_slice(), reader, &DESK.trusted(), &["ssh-ed25519 AAAA"]));
    assert!(matches!(error, OpenError::Keys(KeyError::Recipient(_))), "{error}");
    let error = refused(share(one.as_slice(), &[Identity::generate()], &DESK.trusted(), &[&friend]));
    assert!(matches!(error, OpenError::Keys(KeyError::NotARecipient)), "{error}");
    let error = refused(share(one.as_slice(), reader, &Desk::new(8).trusted(), &[&friend]));
    assert!(matches!(error, OpenError::Verify(_)), "{error}");
}
