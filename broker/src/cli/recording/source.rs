//! From what was typed to an open recording: a file, or the catalogue's entry for a session.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use sallyport_session_recorder::types::{Identity, VerifyingKey};
use sallyport_session_recorder::{Header, Reader, identities, share};

use super::bundle::{KEY, RECORDING};
use super::{CliError, Context, ReadKeys};
use crate::audit::AuditEvent;
use crate::cli::output::tell;
use crate::recording::{RecordingPath, open_file};
use crate::store::recordings::{Recording, RecordingState};

/// Where a recording is.
pub(in crate::cli) struct Source {
    pub(in crate::cli) path: PathBuf,
    /// Where below the folder of recordings, unless it was named as a file.
    below: Option<(PathBuf, RecordingPath)>,
    /// What the catalogue knows of it, unless it was named as a file.
    pub(super) recording: Option<Recording>,
    /// The folder in which somebody else's installation shared it, if it comes from one.
    pub(super) shared: Option<PathBuf>,
}

impl Source {
    /// A file if it is written as a path, with a `/`; else a session of the catalogue. What lies in the current folder under a
    /// session's name could otherwise stand in for the session.
    pub(in crate::cli) async fn find(named: &str, context: &Context) -> Result<Self, CliError> {
        let path = Path::new(named);
        if named.contains('/') {
            return if path.is_dir() { Self::shared(path) } else { Ok(Self::file_at(path.to_owned())) };
        }
        if named.ends_with(".srec") || path.is_dir() {
            return Err(CliError::Usage(format!(
                "`{named}` is no session; a file or folder is written with a `/`, as `./{named}`"
            )));
        }
        let recording = context.store().await?.recording(named).await.map_err(CliError::failed)?;
        Self::of(recording, context)
    }

    /// A file, wherever it is.
    pub(super) fn file_at(path: PathBuf) -> Self {
        Self { path, below: None, recording: None, shared: None }
    }

    /// A folder that `sallyport recording share` has made.
    fn shared(folder: &Path) -> Result<Self, CliError> {
        let path = folder.join(RECORDING);
        if !path.is_file() || !folder.join(KEY).is_file() {
            return Err(CliError::Usage(format!(
                "`{}` is a folder without `{RECORDING}` and `{KEY}`, so `sallyport recording share` did not make it; give a \
                 recording's file, or hold the folder against an exported chain: `recording verify FOLDER --audit FILE`",
                folder.display()
            )));
        }
        Ok(Self { shared: Some(folder.to_owned()), ..Self::file_at(path) })
    }

    /// The key that came with a shared recording.
    fn shared_key(&self) -> Result<Option<Vec<u8>>, CliError> {
        let Some(path) = self.shared.as_ref().map(|folder| folder.join(KEY)) else { return Ok(None) };
        let mut key = Vec::new();
        let read = open_file(&path).and_then(|file| file.take(LONGEST_KEY).read_to_end(&mut key));
        read.map_err(|error| CliError::Failed(format!("cannot read `{}`: {error}", path.display())))?;
        Ok(Some(key))
    }

    /// The file of a catalogued recording.
    pub(super) fn of(recording: Recording, context: &Context) -> Result<Self, CliError> {
        if recording.state == RecordingState::Removed {
            let session = &recording.start.session;
            return Err(CliError::Failed(format!("the file of recording `{session}` was removed by retention")));
        }
        let below = RecordingPath::parse(&recording.start.path, &recording.start.session).map_err(CliError::failed)?;
        let folder = context.config()?.recording.dir.clone();
        let path = folder.join(below.to_string());
        Ok(Self { below: Some((folder, below)), recording: Some(recording), ..Self::file_at(path) })
    }

    /// Whether there is no such file.
    pub(super) fn is_absent(&self) -> bool {
        self.file().is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound)
    }

    pub(super) fn open(&self) -> Result<BufReader<File>, CliError> {
        let file =
            self.file().map_err(|error| CliError::Failed(format!("cannot read `{}`: {error}", self.path.display())))?;
        Ok(BufReader::with_capacity(1 << 16, file))
    }

    fn file(&self) -> std::io::Result<File> {
        match &self.below {
            Some((folder, below)) => below.open(folder),
            None => open_file(&self.path),
        }
    }
}

/// What reads recordings: who may, and whom to trust.
pub(in crate::cli) struct Eyes {
    identities: Vec<Identity>,
    trusted: Option<Vec<VerifyingKey>>,
}

impl Eyes {
    pub(in crate::cli) async fn new(keys: &ReadKeys, context: &Context) -> Result<Self, CliError> {
        let ask = || {
            CliError::Usage("give the file with the age key that opens recordings with `--key-file FILE`".to_owned())
        };
        let path = keys.key_file.clone().or_else(|| default_identity(context)).ok_or_else(ask)?;
        let text = std::fs::read_to_string(&path)
            .map_err(|error| CliError::Failed(format!("cannot read the identity `{}`: {error}", path.display())))?;
        let identities =
            identities(&text).map_err(|error| CliError::Failed(format!("`{}`: {error}", path.display())))?;
        if keys.unverified {
            tell("it is not checked who signed: what follows may be anybody's making");
            return Ok(Self { identities, trusted: None });
        }
        match context.evidence_keys(&keys.public_key).await {
            Ok(trusted) => Ok(Self { identities, trusted: Some(trusted) }),
            Err(error) if keys.public_key.is_empty() => {
                Err(CliError::Usage(format!("{error}; or `--unverified` to read what may be anybody's making")))
            }
            Err(error) => Err(error),
        }
    }

    /// Opens the recording once more: an export may need to go through it twice.
    pub(in crate::cli) fn open(&self, source: &Source) -> Result<Reader<BufReader<File>>, CliError> {
        let (file, trusted) = (source.open()?, self.trusted.as_deref());
        let opened = match source.shared_key()? {
            Some(key) => Reader::open_shared(file, &key, &self.identities, trusted),
            None => Reader::open(file, &self.identities, trusted),
        };
        opened.map_err(|error| CliError::Failed(format!("`{}`: {error}", source.path.display())))
    }

    /// The key of this recording alone, for others.
    pub(super) fn share(&self, source: &Source, recipients: &[String]) -> Result<Vec<u8>, CliError> {
        let trusted = self.trusted.as_deref().unwrap_or_default();
        share(source.open()?, &self.identities, trusted, recipients)
            .map_err(|error| CliError::Failed(format!("`{}`: {error}", source.path.display())))
    }
}

fn default_identity(context: &Context) -> Option<PathBuf> {
    let beside = context.config().ok()?.recording.dir.parent()?.join(DEFAULT_IDENTITY);
    beside.is_file().then_some(beside)
}

const DEFAULT_IDENTITY: &str = crate::install::READER;
/// An age file that holds a data key for many more recipients than a recording is shared with.
const LONGEST_KEY: u64 = 1 << 18;

/// False for a file that is read away from any installation: there is no chain to be in.
pub(super) fn is_on_record(source: &Source, context: &Context) -> bool {
    source.recording.is_some() || context.config().is_ok()
}

/// Puts on record that somebody reads, before they do.
pub(in crate::cli) async fn put_on_record(
    event: AuditEvent,
    source: &Source,
    context: &Context,
) -> Result<(), CliError> {
    if !is_on_record(source, context) {
        return Ok(());
    }
    context.audit().await?.record(event).await.map_err(CliError::failed)
}

/// The session that a header names, when the catalogue's differs: a file was exchanged.
pub(in crate::cli) fn check_identity(header: &Header, source: &Source) -> Result<(), CliError> {
    match &source.recording {
        Some(recording) if recording.start.session != header.session => Err(CliError::Failed(format!(
            "`{}` holds another session's recording: `{}`",
            source.path.display(),
            header.session
        ))),
        Some(_) | None => Ok(()),
    }
}
