//! What people see of the portal: a struct for each page, and `broker/templates/` that draws it.
//!
//! ```text
//! handler ──► a page's struct (plain fields, no rule) ──► its template ──► layout.html + parts.html
//!                                                         broker/assets/portal: one stylesheet, two small modules
//! ```
//!
//! A page decides nothing. What came from outside is a [`Shown`], made safe to read; the templates escape it for HTML.
//! English lives in three places: the templates' folder, `words.rs` for the sentences of handlers, and the table at the head of
//! each script. Nothing here is inline script or style: the pages stand under a policy that forbids both.

mod confirm;
mod factors;
mod frame;
mod home;
mod invitation;
mod notice;
mod qr;
mod requests;
mod sessions;
mod sign_in;
mod text;
pub mod words;

#[cfg(test)]
mod tests;

pub use confirm::{Confirm, Login, State};
pub use factors::{Authenticator, Factors, Passkey, ProveAgain, Recovery, SshKey, Totp};
pub use frame::{Assets, Frame, Person, Place, Waiting};
pub use home::{Home, Now, Reachable};
pub use invitation::Invitation;
pub use notice::{Link, Notice};
pub use qr::{Qr, QrError};
pub use requests::{Approved, NewRequest, OthersRequest, OwnRequest, Requests};
pub use sessions::{LiveSession, MyLease, NewLease, Sessions};
pub use sign_in::{Lost, Second, SignIn};
pub use text::{Choice, Shown, Span, When};
