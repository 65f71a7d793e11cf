//! Files and folders that are open, and what is said of a file when it is closed.

use super::packet as wire;
use super::refusal::Refusal;
use crate::ssh::transfer::{Content, FileOutcome, Step, Via, Way};

/// An open file or folder.
#[derive(Debug)]
pub(super) struct Open {
    /// A handle may come again for another file; this does not.
    pub(super) number: u64,
    pub(super) path: String,
    /// What it was opened for; zero for a folder.
    pub(super) flags: u32,
    pub(super) closing: bool,
    pub(super) up: Option<Content>,
    pub(super) down: Option<Content>,
    pub(super) write_failed: bool,
    pub(super) read_to_end: bool,
}

impl Open {
    pub(super) fn report(self, closed: bool, note: Option<&'static str>, steps: &mut Vec<Step>) {
        let up = self.up.or_else(|| (self.flags & wire::OPEN_WRITE != 0).then(Content::new));
        if let Some(up) = up {
            let note = note.or(self.write_failed.then_some("the asset refused a write"));
            let file = up.finish(Way::Upload, closed && !self.write_failed, note);
            steps.push(Step::File(Via::Sftp, self.path.clone(), FileOutcome::Transferred(file)));
        }
        if let Some(down) = self.down {
            let note = note.or((!self.read_to_end).then_some("the file was not read to its end"));
            let file = down.finish(Way::Download, closed && self.read_to_end, note);
            steps.push(Step::File(Via::Sftp, self.path, FileOutcome::Transferred(file)));
        }
    }

    pub(super) fn not_opened_for(&self, what: &'static str) -> Refusal {
        Refusal {
            code: wire::FX_PERMISSION_DENIED,
            message: format!("sallyport: the file was not opened for this ({what})"),
            file: Some((self.path.clone(), what)),
        }
    }
}
