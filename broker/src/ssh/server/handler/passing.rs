//! What a person's connection sends, on its way to a door: weighed, refused on the record where nobody carries it, and answered.

use russh::server::{ChannelOpenHandle, Session as Connection};
use russh::{ChannelId, ChannelOpenFailure};

use super::{Door, Error, PersonHandler};
use crate::audit::{AuditEvent, Entered, shortened};
use crate::logging::counted;
use crate::ssh::backlog::{Full, LARGEST_PACKET};
use crate::ssh::{ChannelAnswer, ChannelRequest};

impl PersonHandler {
    /// A request that this version carries for nobody: refused, on the record, and said to whoever runs `ssh -v`. A flood of them is
    /// counted, and costs the rest of the connection nothing.
    pub(super) async fn refuse(&mut self, what: &str, connection: &mut Connection) -> Result<(), Error> {
        let (what, reason) = (shortened(what), "the broker does not carry it");
        if let Some(identity) = self.identity.clone()
            && let Some(event) = refusal(self.refused.next(), identity, what.clone(), reason)
            && let Err(error) = self.server.broker.audit.record(event).await
        {
            counted!(error, "A refused request could not be audited", %error);
            return Err(Error::Disconnect);
        }
        connection.debug(true, &format!("sallyport: {what} refused: {reason}"), "en")
    }

    /// A channel of a kind that this version carries for nobody.
    pub(super) async fn refuse_channel(
        &mut self,
        reply: ChannelOpenHandle,
        what: &str,
        connection: &mut Connection,
    ) -> Result<(), Error> {
        self.refuse(what, connection).await?;
        let reason = "the broker does not carry it".to_owned();
        reply.reject(ChannelOpenFailure::Other { code: 1, reason }).await;
        Ok(())
    }

    /// So many bytes have come for a channel. What nobody takes ends the connection before it fills russh's own queue.
    pub(super) async fn received(&mut self, id: ChannelId, bytes: usize) -> Result<(), Error> {
        let waits = match &mut self.door {
            Door::Session(session) => session.received(id, bytes),
            Door::Lobby(lobby) => lobby.received(id, bytes).await,
            Door::Outer(_) | Door::Inner(_) | Door::Shut => Ok(()),
        };
        waits.map_err(|Full| {
            counted!(
                warn,
                "A connection sent too much on a channel that waits, and was ended",
                identity = self.identity.as_deref()
            );
            Error::Disconnect
        })
    }

    pub(super) async fn data_received(&mut self, id: ChannelId, data: &[u8]) -> Result<(), Error> {
        if !u32::try_from(data.len()).is_ok_and(|length| length <= LARGEST_PACKET) {
            counted!(
                warn,
                "A connection sent too large a packet, and was ended",
                identity = self.identity.as_deref(),
                bytes = data.len()
            );
            return Err(Error::Disconnect);
        }
        self.received(id, data.len()).await?;
        if self.line.flow.incoming().is_overrun() {
            tracing::warn!(
                identity = self.identity.as_deref(),
                "A connection sent more than its windows allow, and was ended"
            );
            return Err(Error::Disconnect);
        }
        if let Some(pause) = self.line.flow.incoming().pause() {
            tokio::time::sleep(pause).await;
        }
        Ok(())
    }

    pub(super) async fn request(
        &mut self,
        id: ChannelId,
        request: ChannelRequest,
        connection: &mut Connection,
    ) -> Result<(), Error> {
        self.received(id, request.weight()).await?;
        match request {
            ChannelRequest::Agent => self.refuse("agent forwarding", connection).await?,
            ChannelRequest::X11 => self.refuse("X11 forwarding", connection).await?,
            _ => {}
        }
        let answer = match &mut self.door {
            Door::Session(session) => session.request(id, request).await,
            Door::Lobby(lobby) => lobby.request(id, request).await,
            Door::Outer(_) | Door::Inner(_) | Door::Shut => ChannelAnswer::Failure,
        };
        match answer {
            // The relay says the sentence of a refusal itself, on a channel that must look started.
            ChannelAnswer::Success | ChannelAnswer::Refused => connection.channel_success(id),
            ChannelAnswer::Failure => connection.channel_failure(id),
        }
    }
}

/// What the audit chain has of it, if anything.
fn refusal(entered: Entered, identity: String, request: String, reason: &str) -> Option<AuditEvent> {
    let (session, reason) = (None, reason.to_owned());
    let refused = AuditEvent::RequestRefused { session: session.clone(), identity: identity.clone(), request, reason };
    match entered {
        Entered::Itself => Some(refused),
        Entered::Count(refusals) => {
            Some(AuditEvent::RefusalsCounted { session, identity, kind: refused.kind().name.to_owned(), refusals })
        }
        Entered::Nothing => None,
    }
}
