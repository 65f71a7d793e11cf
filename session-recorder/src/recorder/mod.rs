//! Writing a recording: one write per append, and nothing after a failure.
use crate::budget::Budget;
use crate::entry::{Codec, Direction, FileRun, Kind, Moment, TrackId, entry_head};
use crate::frame::{
    BlockType, CHECKPOINT, Chain, FRAME_HEAD, Hash, MAGIC, MAX_BODY, MAX_HEADER, PREFIX, TAG, VERSION, frame_head, hash,
};
use crate::header::{Header, Preamble};
use crate::keys::{KeyError, Keys, Workspace};
use crate::walk::{Counts, Seal};
use aws_lc_rs::aead::{Aad, LessSafeKey, Nonce};
use data_encoding::HEXLOWER;
use ed25519_dalek::Signer;
use std::sync::Arc;

/// Where the bytes of a recording go.
///
/// INVARIANT: when `append` returns `Ok`, all bytes are as durable as the recording promises; when it fails, none may
/// be relied on and nothing more is appended.
pub trait Sink: Send {
    /// Takes all bytes, or fails.
    fn append(&mut self, bytes: &[u8]) -> std::io::Result<()>;
}

/// Why something could not be recorded. Whatever it is, nothing may be forwarded.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The sink failed; the recorder takes nothing more.
    #[error("the recording could not be written: {0}")]
    Sink(#[from] std::io::Error),
    /// An earlier append failed.
    #[error("the recorder failed earlier and takes nothing more")]
    Failed,
    /// The recording has reached its largest allowed size.
    #[error("the recording has reached its cap of {cap} bytes")]
    Cap {
        /// The cap in bytes.
        cap: u64,
    },
    /// A JSON body is too long for one block.
    #[error("an entry of {0} bytes is too long")]
    TooLong(usize),
    /// The header does not fit its limit.
    #[error("the header is too long")]
    Header,
    /// The recording has been sealed.
    #[error("the recording is sealed")]
    Sealed,
    /// There are no keys to record with.
    #[error(transparent)]
    Keys(#[from] KeyError),
    /// The cipher failed.
    #[error("the entry could not be encrypted")]
    Cipher,
    /// Recording is not possible on this broker now.
    #[error("recording is not available: {0}")]
    Unavailable(String),
}

/// What is left of a recorder when its recording is whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// The chain value over the whole file: what the audit chain keeps.
    pub head: Hash,
    /// Length of the file.
    pub bytes: u64,
    /// Number of blocks, seal included.
    pub blocks: u64,
}

impl Sealed {
    /// The head in hex.
    pub fn head_hex(&self) -> String {
        HEXLOWER.encode(&self.head)
    }
}

/// One body that is recorded together with others.
#[derive(Debug)]
pub enum Part<'a> {
    /// Recorded in full.
    Whole {
        /// What it is.
        kind: Kind,
        /// Its bytes.
        body: &'a [u8],
    },
    /// Recorded in full while the budget lasts, beyond it as length and SHA-256.
    Bulk {
        /// The way it goes.
        direction: Direction,
        /// Its bytes.
        body: &'a [u8],
        /// What is left to be recorded in full.
        budget: &'a mut Budget,
    },
    /// Recorded as what its owner has hashed already.
    File {
        /// The way it goes.
        direction: Direction,
        /// What passes.
        run: FileRun,
    },
}

impl Part<'_> {
    /// Length of the body in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Part::Whole { body, .. } | Part::Bulk { body, .. } => body.len(),
            Part::File { run, .. } => run.to_body().len(),
        }
    }

    /// Whether the body has no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// One recording while it is being made.
pub struct Recorder<S> {
    sink: S,
    keys: Arc<Keys>,
    cipher: LessSafeKey,
    chain: Chain,
    counts: Counts,
    habits: [Habit; 3],
    last_checkpoint: Moment,
    /// Blocks since the last checkpoint.
    unproven: bool,
    /// From how many bytes on a body is compressed.
    compressed_from: usize,
    /// Calendar minus monotonic clock, to notice a jump.
    clock_offset: i128,
    failed: bool,
}

/// At most this long passes between an entry and a checkpoint that covers it.
const CHECKPOINT_MICROS: u64 = 1_000_000;
/// A difference between the clocks beyond this is a jump.
const JUMP_MICROS: i128 = 1_000_000;
/// Below this compressing a body costs more than its bytes: a tenth of all that a poll costs, for a third of it.
const WORTH_COMPRESSING: usize = 1024;
/// The end of a digested body that is kept as content while the budget allows.
const KEPT_TAIL: usize = 1024;

impl<S: Sink> Recorder<S> {
    /// Writes the header and a first checkpoint.
    pub fn start(mut sink: S, header: &Header, keys: &Arc<Keys>, at: Moment) -> Result<Self, RecordError> {
        let (cipher, wrapped_key) = keys.new_data_key()?;
        let preamble = Preamble {
            header: header.clone(),
            signer: keys.public_key_hex(),
            recipients: keys.recipient_names(),
            wrapped_key,
        };
        let json = serde_json::to_vec(&preamble).map_err(|_| RecordError::Header)?;
        let length = u32::try_from(json.len()).ok().filter(|_| json.len() <= MAX_HEADER).ok_or(RecordError::Header)?;
        let mut out = Vec::with_capacity(PREFIX + json.len() + FRAME_HEAD + CHECKPOINT);
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&VERSION.to_be_bytes());
        out.extend_from_slice(&[0, 0]);
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(&json);
        let chain = Chain::start(&out);
        let chain = write_checkpoint(chain, keys, at, &mut out)?;
        sink.append(&out)?;
        Ok(Self {
            sink,
            keys: Arc::clone(keys),
            cipher,
            chain,
            counts: Counts::default(),
            habits: [Habit::default(); 3],
            last_checkpoint: at,
            unproven: false,
            compressed_from: WORTH_COMPRESSING,
            clock_offset: clock_offset(at),
            failed: false,
        })
    }

    /// Records one body in full. A long body of bytes becomes several entries in the same write.
    pub fn append(&mut self, at: Moment, track: TrackId, kind: Kind, body: &[u8]) -> Result<(), RecordError> {
        self.append_all(at, track, &mut [Part::Whole { kind, body }])
    }

    /// Records a body in full while the budget lasts, beyond it as length and SHA-256.
    ///
    /// The last kilobyte of a digested body stays content while the budget refills, so that a command at the end of a
    /// flood is read and not only proven.
    pub fn append_bulk(
        &mut self,
        at: Moment,
        track: TrackId,
        direction: Direction,
        body: &[u8],
        budget: &mut Budget,
    ) -> Result<(), RecordError> {
        self.append_all(at, track, &mut [Part::Bulk { direction, body, budget }])
    }

    /// Records all parts in this order with one write.
    ///
    /// If it fails, none of them counts as recorded, and nothing of them may be forwarded. A sink that cannot take back what it wrote
    /// of them may leave the first ones readable.
    pub fn append_all(&mut self, at: Moment, track: TrackId, parts: &mut [Part<'_>]) -> Result<(), RecordError> {
        let too_long = |part: &&Part<'_>| match part {
            Part::Whole { kind, body } => kind.direction().is_none() && body.len() > MAX_BODY,
            Part::Bulk { .. } | Part::File { .. } => false,
        };
        if let Some(part) = parts.iter().find(too_long) {
            return Err(RecordError::TooLong(part.len()));
        }
        if parts.is_empty() && !self.failed {
            return Ok(());
        }
        self.transact(at, |recorder, draft| {
            parts.iter_mut().try_for_each(|part| match part {
                Part::Whole { kind, body } => recorder.whole(draft, at, track, *kind, body),
                Part::Bulk { direction, body, budget } => recorder.bulk(draft, at, track, *direction, body, budget),
                Part::File { direction, run } => recorder.entry(draft, at, track, direction.file(), &run.to_body()),
            })
        })
    }

    fn whole(
        &mut self,
        draft: &mut Draft,
        at: Moment,
        track: TrackId,
        kind: Kind,
        body: &[u8],
    ) -> Result<(), RecordError> {
        if body.is_empty() {
            return self.entry(draft, at, track, kind, body);
        }
        body.chunks(MAX_BODY).try_for_each(|chunk| self.entry(draft, at, track, kind, chunk))
    }

    /// What is spent here is spent even if the write fails: nothing is recorded after that.
    fn bulk(
        &mut self,
        draft: &mut Draft,
        at: Moment,
        track: TrackId,
        direction: Direction,
        body: &[u8],
        budget: &mut Budget,
    ) -> Result<(), RecordError> {
        let available = budget.available(at);
        if body.len() as u64 <= available {
            budget.spend(body.len() as u64);
            return self.whole(draft, at, track, direction.content(), body);
        }
        let kept = KEPT_TAIL.min(usize::try_from(available).unwrap_or(KEPT_TAIL));
        let (digested, tail) = body.split_at(body.len() - kept);
        let mut digest = [0; 8 + 32];
        digest[..8].copy_from_slice(&(digested.len() as u64).to_be_bytes());
        digest[8..].copy_from_slice(&hash(&[digested]));
        budget.spend(kept as u64);
        budget.overrun();
        self.entry(draft, at, track, direction.digest(), &digest)?;
        if tail.is_empty() { Ok(()) } else { self.entry(draft, at, track, direction.content(), tail) }
    }

    /// True when something has been recorded that no checkpoint covers, and a second has passed since the last one.
    pub fn checkpoint_due(&self, at: Moment) -> bool {
        self.unproven && !self.failed && at.micros_since(self.last_checkpoint) >= CHECKPOINT_MICROS
    }

    /// Signs everything so far. `append` does it by itself when due; a timer does it for the rest.
    pub fn checkpoint(&mut self, at: Moment) -> Result<(), RecordError> {
        if self.failed {
            return Err(RecordError::Failed);
        }
        let mut out = Vec::with_capacity(FRAME_HEAD + CHECKPOINT);
        let chain = write_checkpoint(self.chain, &self.keys, at, &mut out)?;
        self.write(&out)?;
        self.chain = chain;
        self.last_checkpoint = at;
        self.unproven = false;
        Ok(())
    }

    /// Ends the recording. `end` is the stable word of the session's end.
    pub fn seal(mut self, at: Moment, end: &str, detail: &str) -> Result<Sealed, RecordError> {
        self.seal_in_place(at, end, detail)
    }

    /// Like [`Recorder::seal`], for an owner that cannot give the recorder away; it takes nothing more afterwards.
    pub fn seal_in_place(&mut self, at: Moment, end: &str, detail: &str) -> Result<Sealed, RecordError> {
        if self.failed {
            return Err(RecordError::Failed);
        }
        let seal = Seal::new(&self.chain, &self.keys, at, end, detail).with_counts(self.counts);
        let mut out = Vec::new();
        let chain = write_seal(self.chain, &self.keys, &seal, &mut out)?;
        self.write(&out)?;
        self.failed = true;
        self.chain = chain;
        Ok(Sealed { head: chain.head, bytes: chain.offset, blocks: chain.number })
    }

    /// Length of the recording so far, in bytes.
    pub fn len(&self) -> u64 {
        self.chain.offset
    }

    /// Never: a recording begins with its header.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// What has been recorded so far.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// The sink, for its owner's own bookkeeping.
    pub fn sink(&self) -> &S {
        &self.sink
    }

    /// Builds blocks in a draft, writes them at once, and only then lets the chain advance.
    fn transact(
        &mut self,
        at: Moment,
        build: impl FnOnce(&mut Self, &mut Draft) -> Result<(), RecordError>,
    ) -> Result<(), RecordError> {
        if self.failed {
            return Err(RecordError::Failed);
        }
        let mut draft = Draft { chain: self.chain, counts: self.counts, workspace: self.keys.workspace() };
        let result = self.build_and_write(at, &mut draft, build);
        self.keys.give_back(draft.workspace);
        result
    }

    fn build_and_write(
        &mut self,
        at: Moment,
        draft: &mut Draft,
        build: impl FnOnce(&mut Self, &mut Draft) -> Result<(), RecordError>,
    ) -> Result<(), RecordError> {
        let clock_offset = self.notice_clock_jump(at, draft)?;
        build(self, draft)?;
        let checkpoint = at.micros_since(self.last_checkpoint) >= CHECKPOINT_MICROS;
        if checkpoint {
            draft.chain = write_checkpoint(draft.chain, &self.keys, at, &mut draft.workspace.out)?;
        }
        self.write(&draft.workspace.out)?;
        self.chain = draft.chain;
        self.counts = draft.counts;
        self.clock_offset = clock_offset;
        self.unproven = !checkpoint;
        if checkpoint {
            self.last_checkpoint = at;
        }
        Ok(())
    }

    fn notice_clock_jump(&mut self, at: Moment, draft: &mut Draft) -> Result<i128, RecordError> {
        let offset = clock_offset(at);
        let jump = offset - self.clock_offset;
        if jump.abs() < JUMP_MICROS {
            // A slow drift is no jump, but must not add up to one.
            return Ok(offset);
        }
        let micros = i64::try_from(jump).unwrap_or(if jump > 0 { i64::MAX } else { i64::MIN });
        let body = serde_json::json!({ "notice": "clock-jump", "by_micros": micros }).to_string();
        self.entry(draft, at, TrackId::SESSION, Kind::Notice, body.as_bytes())?;
        Ok(offset)
    }

    /// Appends one encrypted block to the draft.
    fn entry(
        &mut self,
        draft: &mut Draft,
        at: Moment,
        track: TrackId,
        kind: Kind,
        body: &[u8],
    ) -> Result<(), RecordError> {
        let start = draft.workspace.out.len();
        self.place_plain(draft, at, track, kind, body)?;
        let out = &mut draft.workspace.out;
        let content = out.len() - start - FRAME_HEAD + TAG;
        let frame = frame_head(BlockType::Entry, content).ok_or(RecordError::TooLong(body.len()))?;
        out[start..start + FRAME_HEAD].copy_from_slice(&frame);
        let nonce = Nonce::assume_unique_for_key(draft.chain.nonce());
        let associated = Aad::from(draft.chain.associated(&frame));
        let tag = self
            .cipher
            .seal_in_place_separate_tag(nonce, associated, &mut out[start + FRAME_HEAD..])
            .map_err(|_| RecordError::Cipher)?;
        out.extend_from_slice(tag.as_ref());
        draft.chain = draft.chain.after(&out[start..start + FRAME_HEAD], &out[start + FRAME_HEAD..]);
        draft.counts.add(kind, body);
        Ok(())
    }

    /// Room for the frame, then the entry in plain, compressed where that pays.
    fn place_plain(
        &mut self,
        draft: &mut Draft,
        at: Moment,
        track: TrackId,
        kind: Kind,
        body: &[u8],
    ) -> Result<(), RecordError> {
        let workspace = &mut draft.workspace;
        let habit = kind.direction().map(|direction| &mut self.habits[direction as usize]);
        if body.len() >= self.compressed_from && habit.as_ref().is_none_or(|habit| habit.worth_trying()) {
            let compressed = workspace.compress(body);
            if let Some(habit) = habit {
                habit.learn(compressed.is_some());
            }
            if let Some((compressed, out)) = compressed {
                let length = u32::try_from(body.len()).map_err(|_| RecordError::TooLong(body.len()))?;
                out.extend_from_slice(&[0; FRAME_HEAD]);
                out.extend_from_slice(&entry_head(kind, Codec::Zstd, track, at));
                out.extend_from_slice(&length.to_be_bytes());
                out.extend_from_slice(compressed);
                return Ok(());
            }
        } else if let Some(habit) = habit {
            habit.pass();
        }
        workspace.out.extend_from_slice(&[0; FRAME_HEAD]);
        workspace.out.extend_from_slice(&entry_head(kind, Codec::Raw, track, at));
        workspace.out.extend_from_slice(body);
        Ok(())
    }

    /// INVARIANT: one call of the sink per append, and none after a failed one.
    fn write(&mut self, bytes: &[u8]) -> Result<(), RecordError> {
        self.sink.append(bytes).map_err(|error| {
            self.failed = true;
            RecordError::Sink(error)
        })
    }
}

/// Blocks that are built but not yet written.
struct Draft {
    chain: Chain,
    counts: Counts,
    workspace: Workspace,
}

/// Whether compressing has paid lately: what does not shrink is tried again only now and then.
#[derive(Clone, Copy, Debug, Default)]
struct Habit {
    skip: u8,
    patience: u8,
}

impl Habit {
    fn worth_trying(&self) -> bool {
        self.skip == 0
    }

    fn learn(&mut self, paid: bool) {
        self.patience = if paid { 0 } else { (self.patience * 2).clamp(1, 32) };
        self.skip = self.patience;
    }

    fn pass(&mut self) {
        self.skip = self.skip.saturating_sub(1);
    }
}

fn clock_offset(at: Moment) -> i128 {
    i128::from(at.unix_micros) - i128::from(at.monotonic_micros)
}

fn write_checkpoint(chain: Chain, keys: &Keys, at: Moment, out: &mut Vec<u8>) -> Result<Chain, RecordError> {
    let signature = keys.signing.sign(&chain.checkpoint_message(at)).to_bytes();
    let frame = frame_head(BlockType::Checkpoint, CHECKPOINT).ok_or(RecordError::TooLong(CHECKPOINT))?;
    let start = out.len();
    out.extend_from_slice(&frame);
    out.extend_from_slice(&at.unix_micros.to_be_bytes());
    out.extend_from_slice(&at.monotonic_micros.to_be_bytes());
    out.extend_from_slice(&signature);
    Ok(chain.after(&frame, &out[start + FRAME_HEAD..]))
}

pub(crate) fn write_seal(chain: Chain, keys: &Keys, seal: &Seal, out: &mut Vec<u8>) -> Result<Chain, RecordError> {
    let body = serde_json::to_vec(seal).map_err(|_| RecordError::Header)?;
    let signature = keys.signing.sign(&chain.seal_message(&body)).to_bytes();
    let length = signature.len() + body.len();
    let frame = frame_head(BlockType::Seal, length).ok_or(RecordError::TooLong(length))?;
    let start = out.len();
    out.extend_from_slice(&frame);
    out.extend_from_slice(&signature);
    out.extend_from_slice(&body);
    Ok(chain.after(&frame, &out[start + FRAME_HEAD..]))
}

#[cfg(test)]
mod tests;
