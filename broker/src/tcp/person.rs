//! The person's side of a stream, wherever they are: heard by one half, spoken to by the other.

use bytes::Bytes;
use tokio_util::sync::CancellationToken;

/// The person's side of a stream.
pub(crate) struct Person<H, S> {
    pub(crate) from: H,
    pub(crate) to: S,
    /// Nothing that is sent to them arrives any more.
    pub(crate) gone: CancellationToken,
}

/// What a person does.
pub(crate) enum Heard {
    /// They have sent these bytes.
    Bytes(Bytes),
    /// They will send no more, and still listen.
    Finished,
    /// They have left.
    Left,
}

/// Where a person is heard.
pub(crate) trait Hear: Send {
    /// Waits for what they do next; what was heard before is dealt with then. Whoever stops waiting misses nothing.
    fn next(&mut self) -> impl Future<Output = Heard> + Send;

    /// So many bytes of what was heard last are dealt with: they may send as many more.
    fn release(&mut self, bytes: usize);

    /// Nobody will hear them any more.
    fn close(&mut self);
}

/// How a person is spoken to.
pub(crate) trait Speak: Send {
    /// Sends all of these bytes.
    fn send(&mut self, bytes: Bytes) -> impl Future<Output = Result<(), Gone>> + Send;

    /// Nothing more comes this way; the other direction goes on.
    fn finish(&mut self) -> impl Future<Output = Result<(), Gone>> + Send;

    /// Nothing more is said at all.
    fn close(&mut self) -> impl Future<Output = ()> + Send;
}

/// The person is gone.
#[derive(Debug, thiserror::Error)]
#[error("the person is gone")]
pub(crate) struct Gone;
