//! Reading a recording with a recipient's key. What is read is verified in passing.
use crate::entry::{Codec, Entry, parse_entry_head};
use crate::fault::{Fault, FaultKind, VerifyError};
use crate::frame::{Chain, FRAME_HEAD, MAX_BODY};
use crate::header::Header;
use crate::keys::{KeyError, cipher, data_key, open_key};
use crate::verify::Verification;
use crate::walk::{Step, Walk};
use age::x25519::Identity;
use aws_lc_rs::aead::{Aad, LessSafeKey, Nonce};
use ed25519_dalek::VerifyingKey;
use std::io::Read;
use zstd::bulk::Decompressor;

/// The entries of a recording, in order.
pub struct Reader<R> {
    walk: Walk<R>,
    cipher: LessSafeKey,
    decompressor: Decompressor<'static>,
    /// The fault that ended the reading has been told.
    told: bool,
}

/// Why a recording cannot be read at all.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It is not a recording, or not one to trust.
    #[error(transparent)]
    Verify(#[from] VerifyError),
    /// It cannot be decrypted.
    #[error(transparent)]
    Keys(#[from] KeyError),
}

/// Why reading stopped before the end.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The input failed.
    #[error("the recording cannot be read: {0}")]
    Io(#[from] std::io::Error),
    /// The recording is not what it was.
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl<R: Read> Reader<R> {
    /// Opens a recording. With `trusted` given, its signer must be among them.
    pub fn open(input: R, identities: &[Identity], trusted: Option<&[VerifyingKey]>) -> Result<Self, OpenError> {
        Self::open_with(input, None, identities, trusted)
    }

    /// The same for whom the recording was [shared](crate::share) with: `shared` is the data key, wrapped for them. Who can read
    /// every recording can read this one too.
    pub fn open_shared(
        input: R,
        shared: &[u8],
        identities: &[Identity],
        trusted: Option<&[VerifyingKey]>,
    ) -> Result<Self, OpenError> {
        Self::open_with(input, Some(shared), identities, trusted)
    }

    fn open_with(
        input: R,
        shared: Option<&[u8]>,
        identities: &[Identity],
        trusted: Option<&[VerifyingKey]>,
    ) -> Result<Self, OpenError> {
        let walk = Walk::open(input, trusted)?;
        let key = match shared.map(|shared| open_key(shared, identities)) {
            Some(Ok(key)) => key,
            Some(Err(_)) | None => data_key(&walk.preamble.wrapped_key, identities)?,
        };
        let decompressor = Decompressor::new().map_err(VerifyError::Io)?;
        Ok(Self { walk, cipher: cipher(&key)?, decompressor, told: false })
    }

    /// Who, what, when.
    pub fn header(&self) -> &Header {
        &self.walk.preamble.header
    }

    /// The next entry; `None` at the end of the recording, be it sealed or cut. An error is the last thing it says.
    pub fn next_entry(&mut self) -> Result<Option<Entry>, ReadError> {
        if self.told {
            return Ok(None);
        }
        let result = self.find_entry();
        self.told = !matches!(result, Ok(Some(_)));
        result
    }

    fn find_entry(&mut self) -> Result<Option<Entry>, ReadError> {
        loop {
            match self.walk.step()? {
                Some(Step::Entry { frame, before }) => return self.decrypt(frame, before).map(Some),
                Some(Step::Checkpoint | Step::Seal) => {}
                None => return self.walk.fault.clone().map_or(Ok(None), |fault| Err(fault.into())),
            }
        }
    }

    /// What is proven about what has been read so far.
    pub fn verification(&self) -> Verification {
        self.walk.verification()
    }

    fn decrypt(&mut self, frame: [u8; FRAME_HEAD], before: Chain) -> Result<Entry, ReadError> {
        let nonce = Nonce::assume_unique_for_key(before.nonce());
        let associated = Aad::from(before.associated(&frame));
        let Ok(plain) = self.cipher.open_in_place(nonce, associated, &mut self.walk.content) else {
            return Err(self.fault(before, FaultKind::Cipher));
        };
        match decode(plain, before.number, &mut self.decompressor) {
            Some(entry) => Ok(entry),
            None => Err(self.fault(before, FaultKind::Entry)),
        }
    }

    fn fault(&mut self, at: Chain, kind: FaultKind) -> ReadError {
        self.walk.fault_at(at, kind);
        Fault { block: at.number, offset: at.offset, kind }.into()
    }
}

impl<R: Read> Iterator for Reader<R> {
    type Item = Result<Entry, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_entry().transpose()
    }
}

fn decode(plain: &[u8], block: u64, decompressor: &mut Decompressor<'static>) -> Option<Entry> {
    let (kind, codec, track, at, rest) = parse_entry_head(plain)?;
    let body = match codec {
        Codec::Raw => rest.to_vec(),
        Codec::Zstd => {
            let (length, compressed) = rest.split_first_chunk::<4>()?;
            let length = usize::try_from(u32::from_be_bytes(*length)).ok().filter(|length| *length <= MAX_BODY)?;
            let body = decompressor.decompress(compressed, length).ok()?;
            (body.len() == length).then_some(body)?
        }
    };
    Some(Entry { block, at, track, kind, body })
}
