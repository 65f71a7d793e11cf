//! What a channel receives, and what of it is taken together.
use bytes::{Bytes, BytesMut};
use russh::Sig;

use super::queue::{Weigh, cost};

/// What a channel received, in order.
#[derive(Debug)]
pub(crate) enum Item {
    Data(Bytes),
    Extended(u32, Bytes),
    Eof,
    ExitStatus(u32),
    ExitSignal {
        name: Sig,
        core_dumped: bool,
        message: String,
        language: String,
    },
    Close,
    /// Nothing came; the pump has something of its own to send.
    Wake,
}

impl Weigh for Item {
    fn weight(&self) -> usize {
        match self {
            Item::Data(bytes) | Item::Extended(_, bytes) => bytes.len(),
            Item::ExitSignal { message, language, .. } => message.len() + language.len(),
            Item::Eof | Item::ExitStatus(_) | Item::Close | Item::Wake => 0,
        }
    }

    /// A peer whose window is small sends small packets: many of them need no item each.
    fn absorb(&mut self, next: Self) -> Option<Self> {
        match (&mut *self, next) {
            (Item::Data(bytes), Item::Data(more)) if bytes.len() + more.len() <= TINY => {
                *bytes = [&bytes[..], &more[..]].concat().into();
                None
            }
            (_, next) => Some(next),
        }
    }
}

/// Data of up to so many bytes is put together.
const TINY: usize = 1024;

/// The most that goes into one entry of the recording and one stretch for a decoder.
pub(crate) const BATCH: usize = 256 * 1024;
const BATCH_ITEMS: usize = 256;

/// May `next` follow what was taken already, in one batch?
pub(crate) fn same_batch(taken: &[Item], next: &Item) -> bool {
    let same = match (taken.first(), next) {
        (Some(Item::Data(_)), Item::Data(_)) => true,
        (Some(Item::Extended(one, _)), Item::Extended(other, _)) => one == other,
        _ => false,
    };
    same && taken.len() < BATCH_ITEMS && taken.iter().map(Weigh::weight).sum::<usize>() + next.weight() <= BATCH
}

/// The bytes of a batch in one piece; copies only when there are several.
pub(crate) fn joined(items: &[Item]) -> Bytes {
    let bytes = |item: &Item| match item {
        Item::Data(bytes) | Item::Extended(_, bytes) => Some(bytes.clone()),
        _ => None,
    };
    if let [one] = items {
        return bytes(one).unwrap_or_default();
    }
    let mut whole = BytesMut::with_capacity(items.iter().map(Weigh::weight).sum());
    for part in items.iter().filter_map(bytes) {
        whole.extend_from_slice(&part);
    }
    whole.freeze()
}

/// What a batch counts for in its queue.
pub(crate) fn batch_cost(items: &[Item]) -> usize {
    items.iter().map(cost).sum()
}
