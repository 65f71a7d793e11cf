//! The laws of recordings: what is proven, what is read, and what is made of it.

mod desk;
mod exports;
mod script;
mod terminal;

use std::io::{self, Read};

use sallyport_session_recorder::{
    Entry, Kind, OpenError, Reader, Recorder, Recovery, State, Verification, recover, verify,
};

use desk::{DESK, Memory, SAMPLE, header, parts};

/// The first byte says what the rest is: a file that was found, what was done to a whole recording, or what was recorded
/// and is then read again, or only exported, which is tried more often since it needs no keys.
pub fn hold(bytes: &[u8]) {
    let Some((&what, rest)) = bytes.split_first() else { return };
    match what % 4 {
        0 => drop(found(rest)),
        1 => changed(rest),
        2 => recorded(rest),
        _ => exports::hold(&script::entries(rest)),
    }
}

/// What can be said of any file, however it comes.
fn found(bytes: &[u8]) -> Option<Verification> {
    let length = bytes.len() as u64;
    let verified = verify(bytes, &DESK.trusted);
    let in_pieces = verify(Pieces { bytes, next: 1 }, &DESK.trusted);
    assert_eq!(format!("{verified:?}"), format!("{in_pieces:?}"), "it matters how the file is read");
    let opened = Reader::open(bytes, &DESK.readers, Some(&DESK.trusted));
    let Ok(verification) = verified else {
        assert!(matches!(opened, Err(OpenError::Verify(_))), "what cannot be verified is read");
        return None;
    };
    let Verification { proven_bytes, unproven_bytes, torn_bytes, .. } = verification;
    let accounted = proven_bytes + unproven_bytes + torn_bytes;
    assert!(
        accounted <= length && (accounted == length || verification.fault.is_some()),
        "{accounted} of {length} bytes"
    );
    assert!(!verification.is_whole() || proven_bytes == length, "whole, and not all of it is proven");
    if let Ok(reader) = opened {
        can_be_read(reader, &verification);
    }
    can_be_closed(bytes, &verification);
    Some(verification)
}

/// Reading ends by itself, at an error at the latest, and proves no more than verifying does.
fn can_be_read(mut reader: Reader<&[u8]>, verification: &Verification) {
    let (mut entries, mut faulty) = (0, false);
    for entry in reader.by_ref() {
        assert!(!faulty, "something is read behind an error");
        faulty = entry.is_err();
        entries += u64::from(!faulty);
    }
    let read = reader.verification();
    assert!(entries * LEAST_ENTRY <= read.proven_bytes + read.unproven_bytes, "more entries than there is room for");
    assert!(read == *verification || faulty && read.proven_bytes <= verification.proven_bytes);
}

/// Frame, head and tag of an entry without a body.
const LEAST_ENTRY: u64 = 5 + 22 + 16;

/// A broker that finds it closes it, leaves it alone because it is whole, or says why it cannot.
fn can_be_closed(bytes: &[u8], verification: &Verification) {
    let at = header().started;
    match recover(bytes, bytes.len() as u64, &DESK.trusted, &DESK.keys, at, "found open") {
        Ok(Recovery::Whole(again)) => assert!(verification.is_whole() && *again == *verification),
        Ok(Recovery::Interrupted { keep, seal, sealed, .. }) => {
            assert!(keep >= verification.proven_bytes, "something that was proven is cut off");
            let kept = usize::try_from(keep).expect("a place in the file");
            let closed = [&bytes[..kept], &seal].concat();
            let closed = verify(closed.as_slice(), &DESK.trusted).expect("a recording");
            assert!(closed.is_whole() && closed.state == State::Interrupted && closed.head == sealed.head_hex());
        }
        Err(_) => assert!(!verification.is_whole(), "a whole recording cannot be left alone"),
    }
}

/// Steps of six bytes and more: what is done, to which block, where in it, how many bytes follow; those bytes.
fn changed(steps: &[u8]) {
    let mut bytes = SAMPLE.clone();
    let mut rest = steps;
    while let Some((&[what, block, high, low, length], after)) = rest.split_first_chunk() {
        let (new, after) = after.split_at(after.len().min(length.into()));
        rest = after;
        let starts: Vec<usize> = parts(&bytes).iter().map(|part| part.start).collect();
        let Some(&start) = starts.get(usize::from(block) % starts.len().max(1)) else { break };
        let end = starts.iter().copied().find(|other| *other > start).unwrap_or(bytes.len());
        let place = (start + usize::from(u16::from_be_bytes([high, low]))).min(bytes.len());
        let until = (place + new.len()).min(bytes.len());
        match what % 6 {
            0 => bytes[place..until].copy_from_slice(&new[..until - place]),
            1 => bytes.truncate(place),
            2 => drop(bytes.splice(place..place, new.iter().copied())),
            3 => drop(bytes.drain(place..until)),
            4 => drop(bytes.drain(start..end)),
            _ => {
                let again = bytes[start..end].to_vec();
                drop(bytes.splice(end..end, again));
            }
        }
    }
    let same = bytes.iter().zip(SAMPLE.iter()).take_while(|(one, other)| one == other).count() as u64;
    let verification = found(&bytes);
    if bytes == *SAMPLE {
        assert!(verification.is_some_and(|verification| verification.is_whole()), "a whole recording is not whole");
    } else if let Some(verification) = verification {
        assert!(!verification.is_whole(), "a changed recording is whole");
        assert!(verification.proven_bytes <= same, "more is proven than is left as it was");
    }
}

/// What is recorded is proven, is read as it was, and can be exported.
fn recorded(steps: &[u8]) {
    let memory = Memory::default();
    let mut recorder =
        Recorder::start(memory.clone(), &header(), &DESK.keys, header().started).expect("room in memory");
    let mut said = script::entries(steps);
    let mut at = header().started;
    for (number, entry) in said.iter().enumerate() {
        recorder.append(entry.at, entry.track, entry.kind, &entry.body).expect("room in memory");
        if number % 8 == 7 {
            recorder.checkpoint(entry.at).expect("room in memory");
        }
        at = entry.at;
    }
    recorder.seal(at, "closed", "by the script").expect("room in memory");
    let bytes = memory.take();
    assert!(found(&bytes).is_some_and(|verification| verification.is_whole()), "what was just recorded is not whole");
    let entries = read(&bytes);
    // The recorder itself says when a clock jumps.
    let mut heard = entries.clone();
    for entries in [&mut heard, &mut said] {
        entries.retain(|entry| entry.kind != Kind::Notice);
        entries.iter_mut().for_each(|entry| entry.block = 0);
    }
    assert_eq!(heard, said, "what is read is not what was recorded");
    exports::hold(&entries);
    exports::are_all_there(&bytes, &entries);
}

fn read(bytes: &[u8]) -> Vec<Entry> {
    let reader = Reader::open(bytes, &DESK.readers, Some(&DESK.trusted)).expect("a recording for this reader");
    reader.collect::<Result<_, _>>().expect("a whole recording")
}

/// A file that is read in pieces, now and then interrupted.
struct Pieces<'a> {
    bytes: &'a [u8],
    next: usize,
}

impl Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.next = self.next * 5 % 97;
        if self.next.is_multiple_of(11) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let length = self.next.min(buffer.len()).min(self.bytes.len());
        let (now, rest) = self.bytes.split_at(length);
        buffer[..length].copy_from_slice(now);
        self.bytes = rest;
        Ok(length)
    }
}
