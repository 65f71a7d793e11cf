//! A small plant on loopback ports: an engineering workstation (SSH), a controller (Modbus/TCP) and a panel (VNC), which all
//! work on one simulated process.
//!
//! They are peers of the broker and written apart from it: what it judges by one reading, they answer by another. So this
//! depends on no other crate of the workspace.

mod cell;
mod connections;
mod hmi;
mod plc;
mod process;
mod workstation;

pub use cell::{Cell, CellError, Places};
pub use plc::TAGS;
