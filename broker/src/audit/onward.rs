//! What is on record, handed to whoever tells it outside. To hand over never waits: what finds no place is left out, and who
//! follows the chain finds it there.

use std::sync::OnceLock;

use tokio::sync::mpsc;

use super::entry::{AuditEntry, Draft};

/// Events that are on record.
#[derive(Debug)]
pub(crate) enum OnRecord {
    /// They have entered the chain, in this order and without a gap.
    Entered(Vec<AuditEntry>),
    /// They wait on disk for the database, and enter the chain later.
    Waiting(Vec<Draft>),
}

/// The way to the one who follows, if there is one.
#[derive(Debug, Default)]
pub(super) struct Onward(OnceLock<mpsc::Sender<OnRecord>>);

impl Onward {
    /// Begins to hand over. There is one follower: whoever comes second is handed nothing.
    pub(super) fn follow(&self) -> mpsc::Receiver<OnRecord> {
        let (sender, receiver) = mpsc::channel(MOST_BATCHES);
        // A sender that finds no place is dropped: its receiver has ended.
        drop(self.0.set(sender));
        receiver
    }

    /// Hands over, or leaves it out.
    pub(super) fn hand_on(&self, what: OnRecord) {
        if let Some(sender) = self.0.get()
            && sender.try_send(what).is_err()
        {
            metrics::counter!("sallyport_audit_not_handed_on_total").increment(1);
        }
    }
}

/// Batches on their way. In a flood the follower reads the chain instead.
const MOST_BATCHES: usize = 32;
