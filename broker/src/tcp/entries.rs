//! How what passes in a stream is put on its track. The one way to the recorder behind it is the session's.

use sallyport_session_recorder::{Budget, Direction, Kind, Part};

use super::journal::Notes;
use crate::session::{Track, Unrecorded};

/// Records bytes of one direction that nobody has looked into.
///
/// # Errors
/// They may not pass.
pub(super) fn record(track: &Track, direction: Direction, bytes: &[u8], budget: &mut Budget) -> Result<(), Unrecorded> {
    let recorded = track.append_bulk(direction, bytes, budget).map_err(|unrecorded| final_for(track, unrecorded));
    if direction == Direction::Output { track.record().shown(recorded) } else { recorded }
}

/// Records what a filter has not taken yet of what the person says. The filter itself judges whether any of it passes.
///
/// # Errors
/// Nothing of it may pass.
pub(super) fn heard(track: &Track, bytes: &[u8], budget: &mut Budget) -> Result<(), Unrecorded> {
    let recorded = track.append_all(&mut [Part::Bulk { direction: Direction::Input, body: bytes, budget }]);
    recorded.map_err(|unrecorded| final_for(track, unrecorded))
}

/// Records one step of a filter at once: what it heard from the person, what it decided, and what it has for the person. Nothing
/// of it may have been sent.
///
/// # Errors
/// Nothing of it may pass, and the session ends.
pub(super) fn step(
    track: &Track,
    heard: &[u8],
    notes: &mut Notes,
    said: &[u8],
    [input, output]: &mut [Budget; 2],
) -> Result<(), Unrecorded> {
    let unwritable = notes.take_unwritable();
    let mut parts = Vec::new();
    if !heard.is_empty() {
        parts.push(Part::Bulk { direction: Direction::Input, body: heard, budget: input });
    }
    parts.extend(notes.entries().map(|body| Part::Whole { kind: Kind::Operation, body }));
    if parts.is_empty() && unwritable.is_none() {
        return if said.is_empty() { Ok(()) } else { record(track, Direction::Output, said, output) };
    }
    if !said.is_empty() && unwritable.is_none() {
        parts.push(Part::Bulk { direction: Direction::Output, body: said, budget: output });
    }
    let recorded = track.append_all(&mut parts);
    // What cannot even be written down lets nothing pass either.
    match (recorded, unwritable) {
        (Ok(()), None) => Ok(()),
        (Ok(()), Some(error)) => Err(track.failed(error)),
        (Err(unrecorded), _) => Err(final_for(track, unrecorded)),
    }
}

/// A stream has no place for a word about one message that is too long to be recorded: it ends.
fn final_for(track: &Track, unrecorded: Unrecorded) -> Unrecorded {
    match unrecorded {
        Unrecorded::Failed | Unrecorded::Held => unrecorded,
        Unrecorded::TooLong(_) => track.failed(unrecorded),
    }
}

/// The track ends: how, and how much passed.
pub(super) fn closed(track: &Track, body: &serde_json::Value) {
    if let Err(unrecorded) = track.append_json(Kind::Closed, body) {
        tracing::debug!(%unrecorded, track = %track.id(), "A stream's end was not recorded");
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    use std::collections::HashMap;
    use std::sync::Arc;

    use sallyport_policy::RecorderTrouble;

    use super::*;
    use crate::session::Record;
    use crate::ssh::tests::bed::Notebook;

    #[test]
    fn after_an_operation_that_cannot_be_written_down_nothing_passes() {
        let notebook = Arc::new(Notebook::default());
        let track = Record::new(notebook.clone(), RecorderTrouble::End).open(&serde_json::json!({})).unwrap();
        let mut budgets = <[Budget; 2]>::default();
        let mut notes = Notes::default();
        notes.write(&"before");
        step(&track, b"heard", &mut notes, b"said", &mut budgets).unwrap();
        notes.clear();
        let unwritable = HashMap::from([(vec![1], "a key that is no string")]);
        notes.write(&"with it");
        notes.write(&unwritable);
        notes.write(&"behind it");
        assert_eq!(step(&track, b"asked", &mut notes, b"never said", &mut budgets), Err(Unrecorded::Failed));
        assert!(track.record().trouble.is_raised(), "the session has to hear of it");
        notes.clear();
        notes.write(&"after");
        assert_eq!(step(&track, b"", &mut notes, b"", &mut budgets), Err(Unrecorded::Failed));
        for (heard, said) in [(b"more".as_slice(), b"".as_slice()), (b"", b"more")] {
            assert_eq!(step(&track, heard, &mut Notes::default(), said, &mut budgets), Err(Unrecorded::Failed));
        }
        for direction in [Direction::Input, Direction::Output] {
            let passed = record(&track, direction, b"bytes", &mut Budget::default());
            assert_eq!(passed, Err(Unrecorded::Failed), "{direction:?}");
        }
        assert_eq!(notebook.json(Kind::Operation), ["before", "with it"]);
        assert_eq!(notebook.bytes(Kind::Input), b"heardasked");
        assert_eq!(notebook.bytes(Kind::Output), b"said");
    }
}
