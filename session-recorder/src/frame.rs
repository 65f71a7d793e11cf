//! The bytes on disk: limits, block frames, the chain and what is signed.
use crate::entry::Moment;
use aws_lc_rs::digest::{Context, SHA256};

/// First bytes of every recording; like PNG's, they break visibly when a transfer mangles line ends or the eighth bit.
pub(crate) const MAGIC: [u8; 8] = *b"\x89SPREC\r\n";
/// The version of the format.
pub(crate) const VERSION: u16 = 1;
/// Magic, version, two reserved bytes, header length.
pub(crate) const PREFIX: usize = 8 + 2 + 2 + 4;
/// Block type and content length.
pub(crate) const FRAME_HEAD: usize = 1 + 4;
/// AES-GCM tag.
pub(crate) const TAG: usize = 16;
/// Calendar time, monotonic time, signature.
pub(crate) const CHECKPOINT: usize = 8 + 8 + SIGNATURE;
/// Ed25519 signature.
pub(crate) const SIGNATURE: usize = 64;

/// Longest header, in bytes of JSON.
pub const MAX_HEADER: usize = 256 * 1024;
/// Longest content of a block, in bytes.
pub const MAX_CONTENT: usize = 512 * 1024;
/// Longest body of one entry, in bytes; longer ones are split (bytes) or refused (JSON).
pub const MAX_BODY: usize = 256 * 1024;

/// A SHA-256.
pub(crate) type Hash = [u8; 32];

/// What a block is. Entries are encrypted, the other two are readable without a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum BlockType {
    Entry = 1,
    Checkpoint = 2,
    Seal = 3,
}

impl BlockType {
    pub(crate) fn from_code(code: u8) -> Option<BlockType> {
        match code {
            1 => Some(BlockType::Entry),
            2 => Some(BlockType::Checkpoint),
            3 => Some(BlockType::Seal),
            _ => None,
        }
    }
}

pub(crate) fn frame_head(block_type: BlockType, content: usize) -> Option<[u8; FRAME_HEAD]> {
    if content > MAX_CONTENT {
        return None;
    }
    let mut head = [0; FRAME_HEAD];
    head[0] = block_type as u8;
    head[1..].copy_from_slice(&u32::try_from(content).ok()?.to_be_bytes());
    Some(head)
}

/// Where the writer or the reader stands in a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Chain {
    /// Hash of everything before the first block: names this recording in all that follows.
    pub(crate) origin: Hash,
    /// Chain value over everything so far.
    pub(crate) head: Hash,
    /// Number of the next block.
    pub(crate) number: u64,
    /// Offset of the next block.
    pub(crate) offset: u64,
}

impl Chain {
    /// The chain after `start`, which is everything before the first block.
    pub(crate) fn start(start: &[u8]) -> Chain {
        let origin = hash(&[b"sallyport recording 1 header\0", start]);
        Chain { origin, head: origin, number: 0, offset: start.len() as u64 }
    }

    /// The chain after one more block, given as it stands in the file.
    #[must_use]
    pub(crate) fn after(&self, frame: &[u8], content: &[u8]) -> Chain {
        Chain {
            origin: self.origin,
            head: hash(&[&self.head, frame, content]),
            number: self.number + 1,
            offset: self.offset + (frame.len() + content.len()) as u64,
        }
    }

    /// The nonce of the next block: its number, which never repeats under one data key.
    pub(crate) fn nonce(&self) -> [u8; 12] {
        let mut nonce = [0; 12];
        nonce[4..].copy_from_slice(&self.number.to_be_bytes());
        nonce
    }

    /// What the next block's ciphertext is bound to: recording, position, type and length.
    pub(crate) fn associated(&self, frame: &[u8; FRAME_HEAD]) -> [u8; 32 + 8 + FRAME_HEAD] {
        let mut bound = [0; 32 + 8 + FRAME_HEAD];
        bound[..32].copy_from_slice(&self.origin);
        bound[32..40].copy_from_slice(&self.number.to_be_bytes());
        bound[40..].copy_from_slice(frame);
        bound
    }

    /// What the signature of a checkpoint at this position covers.
    pub(crate) fn checkpoint_message(&self, at: Moment) -> Vec<u8> {
        let mut message = self.position(b"sallyport recording 1 checkpoint\0");
        message.extend_from_slice(&at.unix_micros.to_be_bytes());
        message.extend_from_slice(&at.monotonic_micros.to_be_bytes());
        message
    }

    /// What the signature of a seal at this position covers.
    pub(crate) fn seal_message(&self, body: &[u8]) -> Vec<u8> {
        let mut message = self.position(b"sallyport recording 1 seal\0");
        message.extend_from_slice(body);
        message
    }

    fn position(&self, domain: &[u8]) -> Vec<u8> {
        let mut message = Vec::with_capacity(domain.len() + 96);
        message.extend_from_slice(domain);
        message.extend_from_slice(&self.origin);
        message.extend_from_slice(&self.number.to_be_bytes());
        message.extend_from_slice(&self.offset.to_be_bytes());
        message.extend_from_slice(&self.head);
        message
    }
}

pub(crate) fn hash(parts: &[&[u8]]) -> Hash {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(part);
    }
    let mut out = [0; 32];
    out.copy_from_slice(context.finish().as_ref());
    out
}
