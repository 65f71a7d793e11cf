//! Walking a recording block by block: framing, chain, signatures. Bounded memory, whatever the input.
use crate::entry::{Kind, Moment};
use crate::fault::{Fault, FaultKind, VerifyError};
use crate::frame::{
    BlockType, CHECKPOINT, Chain, FRAME_HEAD, MAGIC, MAX_CONTENT, MAX_HEADER, PREFIX, SIGNATURE, VERSION,
};
use crate::header::Preamble;
use crate::keys::{Keys, public_key};
use data_encoding::HEXLOWER;
use ed25519_dalek::{Signature, VerifyingKey};
use serde::{Deserialize, Serialize};
use std::io::{self, Read};

/// What was recorded, in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Entries of all kinds.
    pub entries: u64,
    /// Bytes from the person, whether in full or as digests.
    pub input_bytes: u64,
    /// Bytes from the asset, whether in full or as digests, standard error included.
    pub output_bytes: u64,
    /// Bytes of either that are held as digests only.
    pub digested_bytes: u64,
}

impl Counts {
    pub(crate) fn add(&mut self, kind: Kind, body: &[u8]) {
        self.entries += 1;
        let unstored = kind.unstored(body);
        self.digested_bytes = self.digested_bytes.saturating_add(unstored.unwrap_or(0));
        let bytes = unstored.unwrap_or(body.len() as u64);
        match kind {
            Kind::Input | Kind::InputDigest | Kind::InputFile => {
                self.input_bytes = self.input_bytes.saturating_add(bytes)
            }
            Kind::Output
            | Kind::OutputDigest
            | Kind::OutputFile
            | Kind::ErrorOutput
            | Kind::ErrorOutputDigest
            | Kind::ErrorOutputFile => {
                self.output_bytes = self.output_bytes.saturating_add(bytes);
            }
            Kind::Opened | Kind::Request | Kind::Closed | Kind::Operation | Kind::Notice => {}
        }
    }
}

/// The last block of a whole recording.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seal {
    /// The stable word of the session's end; `interrupted` when a broker found the recording open at its start.
    pub end: String,
    /// What else there is to say about the end.
    pub detail: String,
    /// When it was sealed.
    pub at: Moment,
    /// Blocks before the seal.
    pub blocks: u64,
    /// Bytes before the seal.
    pub bytes: u64,
    /// Chain value before the seal, hex.
    pub head: String,
    /// The key that signed the seal, hex. Another than the header's only when another broker closed the recording.
    pub signer: String,
    /// What was recorded; absent when a broker without the data key closed the recording.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counts: Option<Counts>,
    /// Present when the recording was found open and closed afterwards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interruption: Option<Interruption>,
}

/// What a broker found when it closed a recording that it did not make.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interruption {
    /// Bytes up to and with the last checkpoint that was signed while the session lived.
    pub proven_bytes: u64,
    /// Bytes of an unfinished block that were cut off.
    pub cut_bytes: u64,
}

/// The longest detail of a seal; more is cut.
const MAX_DETAIL: usize = 4096;
/// The end word of a recording that a broker found open.
pub(crate) const INTERRUPTED: &str = "interrupted";

impl Seal {
    pub(crate) fn new(chain: &Chain, keys: &Keys, at: Moment, end: &str, detail: &str) -> Seal {
        Seal {
            end: end.chars().take(64).collect(),
            detail: detail.chars().take(MAX_DETAIL).collect(),
            at,
            blocks: chain.number,
            bytes: chain.offset,
            head: HEXLOWER.encode(&chain.head),
            signer: keys.public_key_hex(),
            counts: None,
            interruption: None,
        }
    }

    pub(crate) fn with_counts(mut self, counts: Counts) -> Seal {
        self.counts = Some(counts);
        self
    }

    fn agrees_with(&self, chain: &Chain) -> bool {
        self.blocks == chain.number && self.bytes == chain.offset && self.head == HEXLOWER.encode(&chain.head)
    }
}

/// One block as it was read.
pub(crate) enum Step {
    /// An encrypted entry; its content is in the walk's buffer, the chain is as it was before the block.
    Entry {
        frame: [u8; FRAME_HEAD],
        before: Chain,
    },
    Checkpoint,
    Seal,
}

/// A reader that checks as it goes.
pub(crate) struct Walk<R> {
    input: R,
    trusted: Vec<VerifyingKey>,
    signer: VerifyingKey,
    pub(crate) preamble: Preamble,
    pub(crate) chain: Chain,
    pub(crate) content: Vec<u8>,
    pub(crate) proven: Chain,
    pub(crate) checkpoints: u64,
    pub(crate) last_checkpoint: Option<Moment>,
    pub(crate) seal: Option<Seal>,
    pub(crate) fault: Option<Fault>,
    /// Bytes after the last whole block.
    pub(crate) torn_bytes: u64,
    ended: bool,
}

impl<R: Read> Walk<R> {
    /// Reads the header. Trust is a list of keys; `None` means whatever key the header names, for readers who verify elsewhere.
    pub(crate) fn open(mut input: R, trusted: Option<&[VerifyingKey]>) -> Result<Walk<R>, VerifyError> {
        let mut start = vec![0; PREFIX];
        if fill(&mut input, &mut start)? < PREFIX || start[..8] != MAGIC {
            return Err(VerifyError::NotARecording);
        }
        let version = u16::from_be_bytes([start[8], start[9]]);
        if version != VERSION || start[10..12] != [0, 0] {
            return Err(VerifyError::Version(version));
        }
        let length = u32::from_be_bytes([start[12], start[13], start[14], start[15]]) as usize;
        if length > MAX_HEADER {
            return Err(VerifyError::Header("too long".to_owned()));
        }
        start.resize(PREFIX + length, 0);
        if fill(&mut input, &mut start[PREFIX..])? < length {
            return Err(VerifyError::Header("cut off".to_owned()));
        }
        let preamble: Preamble =
            serde_json::from_slice(&start[PREFIX..]).map_err(|error| VerifyError::Header(error.to_string()))?;
        let signer = public_key(&preamble.signer).map_err(|error| VerifyError::Header(error.to_string()))?;
        let trusted = trusted.map_or_else(|| vec![signer], <[VerifyingKey]>::to_vec);
        if !trusted.contains(&signer) {
            return Err(VerifyError::UnknownSigner(preamble.signer));
        }
        let chain = Chain::start(&start);
        Ok(Walk {
            input,
            trusted,
            signer,
            preamble,
            chain,
            content: Vec::new(),
            proven: Chain { offset: 0, ..chain },
            checkpoints: 0,
            last_checkpoint: None,
            seal: None,
            fault: None,
            torn_bytes: 0,
            ended: false,
        })
    }

    /// The next block, or `None` at the end: by seal, by cut, or by a fault.
    pub(crate) fn step(&mut self) -> io::Result<Option<Step>> {
        if self.ended {
            return Ok(None);
        }
        let mut frame = [0; FRAME_HEAD];
        let got = fill(&mut self.input, &mut frame)?;
        if self.seal.is_some() {
            return if got == 0 { Ok(self.end()) } else { Ok(self.faulty(FaultKind::AfterSeal)) };
        }
        if got < FRAME_HEAD {
            self.torn_bytes = got as u64;
            return Ok(self.end());
        }
        let length = u32::from_be_bytes([frame[1], frame[2], frame[3], frame[4]]) as usize;
        let Some(block_type) = BlockType::from_code(frame[0]).filter(|_| length > 0 && length <= MAX_CONTENT) else {
            return Ok(self.faulty(FaultKind::Frame));
        };
        if self.chain.number == 0 && block_type != BlockType::Checkpoint {
            return Ok(self.faulty(FaultKind::UnsignedHeader));
        }
        self.content.resize(length, 0);
        let got = fill(&mut self.input, &mut self.content)?;
        if got < length {
            self.torn_bytes = (FRAME_HEAD + got) as u64;
            return Ok(self.end());
        }
        Ok(self.judge(block_type, frame))
    }

    /// Ends the walk because what the block says is not what it should say.
    pub(crate) fn faulty(&mut self, kind: FaultKind) -> Option<Step> {
        self.fault_at(self.chain, kind)
    }

    pub(crate) fn fault_at(&mut self, chain: Chain, kind: FaultKind) -> Option<Step> {
        self.fault = Some(Fault { block: chain.number, offset: chain.offset, kind });
        self.end()
    }

    fn end(&mut self) -> Option<Step> {
        self.ended = true;
        None
    }

    fn judge(&mut self, block_type: BlockType, frame: [u8; FRAME_HEAD]) -> Option<Step> {
        let before = self.chain;
        let step = match block_type {
            BlockType::Entry => Step::Entry { frame, before },
            BlockType::Checkpoint => {
                let Some(at) = checkpoint_signed(&self.content, &before, &self.signer) else {
                    return self.faulty(FaultKind::Checkpoint);
                };
                self.checkpoints += 1;
                self.last_checkpoint = Some(at);
                Step::Checkpoint
            }
            BlockType::Seal => {
                match seal_signed(&self.content, &before, &self.trusted) {
                    Ok(seal) => self.seal = Some(seal),
                    Err(kind) => return self.faulty(kind),
                }
                Step::Seal
            }
        };
        self.chain = before.after(&frame, &self.content);
        if block_type != BlockType::Entry {
            self.proven = self.chain;
        }
        Some(step)
    }
}

fn checkpoint_signed(content: &[u8], before: &Chain, signer: &VerifyingKey) -> Option<Moment> {
    let content: &[u8; CHECKPOINT] = content.try_into().ok()?;
    let at = Moment {
        unix_micros: i64::from_be_bytes(*content.first_chunk()?),
        monotonic_micros: u64::from_be_bytes(*content[8..].first_chunk()?),
    };
    let signature = Signature::from_bytes(content[16..].first_chunk()?);
    signer.verify_strict(&before.checkpoint_message(at), &signature).ok()?;
    Some(at)
}

fn seal_signed(content: &[u8], before: &Chain, trusted: &[VerifyingKey]) -> Result<Seal, FaultKind> {
    let (signature, body) = content.split_first_chunk::<SIGNATURE>().ok_or(FaultKind::Seal)?;
    let seal: Seal = serde_json::from_slice(body).map_err(|_| FaultKind::Seal)?;
    let signer = public_key(&seal.signer).map_err(|_| FaultKind::Seal)?;
    signer.verify_strict(&before.seal_message(body), &Signature::from_bytes(signature)).map_err(|_| FaultKind::Seal)?;
    if !trusted.contains(&signer) {
        return Err(FaultKind::SealSigner);
    }
    if seal.agrees_with(before) { Ok(seal) } else { Err(FaultKind::SealCounts) }
}

/// Reads until the buffer is full or the input ends; says how much it got.
pub(crate) fn fill(input: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut got = 0;
    while got < buffer.len() {
        match input.read(&mut buffer[got..]) {
            Ok(0) => break,
            Ok(more) => got += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(got)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    use super::*;

    /// A signed seal says three things about what lies before it, and each has to be so.
    #[test]
    fn a_seal_agrees_with_the_chain_before_it_and_no_other() {
        let chain = Chain::start(b"header").after(b"frame", b"content");
        let seal = Seal {
            end: "left".to_owned(),
            detail: String::new(),
            at: Moment { unix_micros: 0, monotonic_micros: 0 },
            blocks: chain.number,
            bytes: chain.offset,
            head: HEXLOWER.encode(&chain.head),
            signer: String::new(),
            counts: None,
            interruption: None,
        };
        assert!(seal.agrees_with(&chain));
        assert!(!seal.agrees_with(&Chain { number: chain.number + 1, ..chain }));
        assert!(!seal.agrees_with(&Chain { offset: chain.offset + 1, ..chain }));
        assert!(!seal.agrees_with(&Chain { head: [7; 32], ..chain }));
    }

    /// Gives one answer after the other.
    struct Answers(Vec<io::Result<&'static [u8]>>);

    impl Read for Answers {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let Some(answer) = (!self.0.is_empty()).then(|| self.0.remove(0)) else { return Ok(0) };
            let bytes = answer?;
            buffer[..bytes.len()].copy_from_slice(bytes);
            Ok(bytes.len())
        }
    }

    #[test]
    fn a_read_goes_on_when_interrupted_and_ends_at_any_other_error() {
        let mut buffer = [0; 4];
        let mut patient = Answers(vec![Ok(b"ab"), Err(io::ErrorKind::Interrupted.into()), Ok(b"cd")]);
        assert_eq!(fill(&mut patient, &mut buffer).unwrap(), 4);
        assert_eq!(&buffer, b"abcd");
        let mut broken = Answers(vec![Ok(b"ab"), Err(io::ErrorKind::TimedOut.into()), Ok(b"cd")]);
        assert_eq!(fill(&mut broken, &mut buffer).unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert_eq!(fill(&mut Answers(vec![Ok(b"ab")]), &mut buffer).unwrap(), 2);
    }
}
