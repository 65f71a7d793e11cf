//! The harness of the integration tests: a plant in network namespaces, with a real sshd that only the broker reaches.
//!
//! ```text
//!   office (10.0.0.10)  ───  gate (10.0.0.2 | 10.10.1.1)  ───  plant (10.10.1.20 …)
//!   stock ssh, scp, …        sallyport serve                   sshd
//! ```
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod binary;
mod browser;
mod evidence;
mod https;
mod modbus_capture;
mod network;
mod person;
mod plant;
mod postgres;
mod process;
mod second;
mod sshd;
mod stream;
mod terminal;

pub use binary::{repository, sallyport};
pub use browser::{Authenticator, Browser, Credential, Known, Refused, Scheme, Token, WIDTHS, keys};
pub use evidence::{Evidence, ended, ends, recordings, the_end};
pub use https::{Answer, Portal, Tls, Visitor, form};
pub use modbus_capture::ModbusCapture;
pub use network::{Network, Place};
pub use person::{Form, Person, Transcript};
pub use plant::{Plant, Setup};
pub use postgres::{PASSWORD, Postgres};
pub use process::{Finished, Running, eventually, finish, finish_within};
pub use second::Second;
pub use sshd::{Accounts, Sshd};
pub use stream::{Peer, Tunnel, echoed, ends_within, sockets_opened};
pub use terminal::Terminal;
