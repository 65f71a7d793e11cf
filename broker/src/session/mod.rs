//! The trusted core: one session from connecting to its one end.
//!
//! ```text
//! Session<Connecting> --authenticate(MultiFactor)--> Session<Authenticated>
//!   --authorize(target)--> Authorized | NeedFactors | NeedApproval | Denied
//! Session<Authorized> --record()--> Session<Recorded> --forward(client)--> End
//! ```
//!
//! Each stage lives in the file of the one function that makes it, with private fields: there is no other way to a
//! forwarded byte than through all of them, in this order.

mod authenticate;
mod authorize;
mod connecting;
mod forward;
mod record;
mod refusal;
mod watch;

pub use authenticate::Authenticated;
pub use authorize::{Authorization, Authorized};
pub use connecting::Connecting;
pub use forward::{Ask, Caller, Client, Refused, Voice};
pub use record::{Recorded, StartRefusal};
pub(crate) use refusal::printable;
pub use refusal::{Refusal, not_for_you};
pub use watch::keep_watch;

/// One session, at one stage.
///
/// A session that is not recorded cannot be forwarded:
///
/// ```compile_fail
/// # use sallyport::session::{Authorized, Client, Session};
/// async fn skip_the_recorder(session: Session<Authorized>, client: Client) {
///     session.forward(client).await;
/// }
/// ```
///
/// whereas this compiles:
///
/// ```
/// # use sallyport::session::{Client, Recorded, Session};
/// async fn in_order(session: Session<Recorded>, client: Client) {
///     session.forward(client).await;
/// }
/// ```
///
/// The same holds for a TCP stream:
///
/// ```compile_fail
/// # use sallyport::session::{Authorized, Caller, Session};
/// async fn skip_the_recorder(session: Session<Authorized>, caller: Caller) {
///     session.forward_stream(caller).await;
/// }
/// ```
///
/// ```
/// # use sallyport::session::{Caller, Recorded, Session};
/// async fn in_order(session: Session<Recorded>, caller: Caller) {
///     session.forward_stream(caller).await;
/// }
/// ```
#[derive(Debug)]
pub struct Session<Stage> {
    stage: Stage,
}
