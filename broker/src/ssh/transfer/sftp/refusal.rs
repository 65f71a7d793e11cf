//! Requests that are answered here.

use sallyport_policy::FileTransfer;

use super::packet as wire;
use crate::ssh::transfer::Way;

/// Why a request is answered here, and what with.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) code: u32,
    pub(super) message: String,
    pub(super) file: Option<(String, &'static str)>,
}

impl Refusal {
    pub(super) fn not_granted(way: Way, rights: FileTransfer, what: &'static str, path: &str) -> Self {
        Self {
            code: wire::FX_PERMISSION_DENIED,
            message: format!("sallyport: {way} is not granted here (file_transfer = \"{rights}\")"),
            file: Some((path.to_owned(), what)),
        }
    }

    pub(super) fn failure(message: String) -> Self {
        Self { code: wire::FX_FAILURE, message: format!("sallyport: {message}"), file: None }
    }

    pub(super) fn unsupported() -> Self {
        Self {
            code: wire::FX_OP_UNSUPPORTED,
            message: "sallyport: this sftp request is not supported".to_owned(),
            file: None,
        }
    }
}
