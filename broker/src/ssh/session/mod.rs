//! The two connections of one session: the person's, as far as it asks for channels, and the broker's own to the asset.

pub(crate) mod asset;
mod asset_handler;
mod carry;
mod client;
mod connection;
mod dial;
mod trial;

pub(in crate::ssh) use client::{Ask, Client, Unopened, Voice};
pub(in crate::ssh) use connection::SessionConnection;
pub(crate) use trial::SshTrial;
