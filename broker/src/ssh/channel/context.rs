//! What the channels of one recorded session share.
use std::sync::Arc;

use sallyport_policy::Terms;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::flow::Flow;
use crate::session::Record;
use crate::ssh::transfer::FileReport;

/// What every channel of one recorded session shares.
#[derive(Clone)]
pub(crate) struct ChannelContext {
    /// The one way to the recorder.
    pub record: Record,
    /// What the permit allows.
    pub terms: Arc<Terms>,
    /// Cancelled when the session must end.
    pub ending: CancellationToken,
    /// Each file that was transferred or refused.
    pub report: mpsc::Sender<FileReport>,
    /// Each request that the terms do not allow.
    pub refused: mpsc::Sender<RefusedRequest>,
    /// What the person's connection holds.
    pub person: Flow,
    /// What the connection to the asset holds.
    pub asset: Flow,
}

/// A request that the terms of its session do not allow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RefusedRequest {
    /// What was asked for.
    pub request: String,
    /// Why not.
    pub reason: String,
}
