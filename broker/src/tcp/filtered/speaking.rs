//! What is pending goes out, to each side in a loop of its own.

use std::io::{self, ErrorKind};

use bytes::{Buf, BytesMut};
use rustix::net::{Shutdown, shutdown};
use sallyport_protocol_filter::{Journal, ProtocolFilter, Side};

use super::Filtered;
use crate::tcp::journal::Notes;
use crate::tcp::person::{Hear, Speak};

impl<F: ProtocolFilter, H: Hear, S: Speak> Filtered<F, H, S>
where
    Notes: Journal<F>,
{
    pub(super) async fn speak_to_asset(&self) {
        let mut sending = BytesMut::new();
        loop {
            if sending.is_empty() {
                let last;
                (sending, last) = self.pending(Side::Server);
                if sending.is_empty() && last {
                    break;
                }
                if sending.is_empty() {
                    self.asset_due.heard_before(&self.ending).await;
                    continue;
                }
                self.room();
            }
            if let Err(error) = self.write_to_asset(&mut sending).await {
                return self.asset_failed(&error);
            }
            if sending.is_empty() {
                self.lock().asset_owed = false;
            }
        }
        if let Err(error) = shutdown(self.to_asset.as_ref(), Shutdown::Write) {
            tracing::debug!(%error, "An asset's socket was gone before it was closed");
        }
    }

    /// Waits until the asset takes something of it.
    async fn write_to_asset(&self, sending: &mut BytesMut) -> io::Result<()> {
        self.to_asset.writable().await?;
        match self.to_asset.try_write(sending) {
            Ok(sent) => sending.advance(sent),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    pub(super) async fn speak_to_person(&self) {
        let mut person = self.to_person.lock().await;
        loop {
            let (sending, last) = self.pending(Side::Client);
            if sending.is_empty() && last {
                break;
            }
            if sending.is_empty() {
                self.person_due.heard_before(&self.ending).await;
                continue;
            }
            self.room();
            if person.send(sending.freeze()).await.is_err() {
                return self.person_left();
            }
        }
        if person.finish().await.is_err() {
            self.person_left();
        }
    }

    /// What waits to be sent to a side, and whether it is the last.
    fn pending(&self, to: Side) -> (BytesMut, bool) {
        let mut core = self.lock();
        let ending = self.ending.has_begun();
        match to {
            Side::Server => {
                core.asset_owed = !core.to_asset.is_empty();
                (core.to_asset.split(), core.person_finished || ending)
            }
            Side::Client => (core.to_person.split(), core.asset_finished || ending),
        }
    }
}
