//! The trusted core: one session from connecting to its one end.
//!
//! ```text
//! Session<Connecting> --authenticate(MultiFactor)--> Session<Authenticated>
//!   --authorize(target)--> Authorized | NeedFactors | NeedApproval | Denied
//! Session<Authorized> --record()--> Session<Recorded> --forward(carrier)--> End
//! ```
//!
//! Each stage lives in the file of the one function that makes it, with private fields: there is no other way to a
//! forwarded byte than through all of them, in this order.

mod asked_for;
mod authenticate;
mod authorize;
mod connecting;
mod emergency;
mod end_asked;
mod evidence;
mod forward;
mod isolation;
mod limits;
mod record;
mod refusal;
mod tally;
mod turns;
mod watch;

pub use authenticate::Authenticated;
pub(crate) use authorize::Leg;
pub use authorize::{Authorization, Authorized};
pub use connecting::Connecting;
pub(crate) use end_asked::{ask_ends, end_own, own_live};
pub use evidence::{
    Activity, Evidence, InputHold, Record, Seat, Track, Trouble, TroubleSignal, Unrecorded, VIEW_ONLY_GRACE,
};
pub use forward::Carrier;
pub(crate) use limits::{Due, Limits};
pub use record::{Recorded, StartRefusal};
pub(crate) use refusal::printable;
pub use refusal::{Refusal, not_for_you};
pub(crate) use turns::{Toward, Turn};
pub use watch::keep_watch;
pub(crate) use watch::{Held, covers, keeps};

/// One session, at one stage.
///
/// A session that is not recorded cannot be forwarded, whatever would carry it:
///
/// ```compile_fail
/// # use sallyport::session::{Authorized, Carrier, Session};
/// async fn skip_the_recorder(session: Session<Authorized>, by: impl Carrier) {
///     session.forward(by).await;
/// }
/// ```
///
/// whereas this compiles:
///
/// ```
/// # use sallyport::session::{Carrier, Recorded, Session};
/// async fn in_order(session: Session<Recorded>, by: impl Carrier) {
///     session.forward(by).await;
/// }
/// ```
#[derive(Debug)]
pub struct Session<Stage> {
    stage: Stage,
}
