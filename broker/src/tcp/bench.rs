//! A stream whose person is on a plain socket: only the benchmark builds this. Everything else is what every stream has.

use std::sync::Arc;

use sallyport_session_recorder::{Part, RecordError, TrackId};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use super::carry::{Caller, NoStream, carry};
use super::person::Person;
use super::plain::{FromSocket, ToSocket};
use crate::live::End;
use crate::session::{Carrier, Evidence, Record, Recorded};

/// Somebody on a plain socket.
pub(crate) struct Plain {
    /// Their socket.
    pub(crate) socket: TcpStream,
    /// Whether what passes is kept.
    pub(crate) kept: bool,
}

impl Carrier for Plain {
    async fn carry(self, session: &Recorded) -> End {
        let record = match self.kept {
            true => session.record().clone(),
            false => Record::new(Arc::new(Dropped), session.terms().recorder_trouble),
        };
        carry(PlainCaller { socket: self.socket, gone: CancellationToken::new() }, session, &record).await
    }

    /// Nobody reads a sentence there.
    async fn turn_away(self, _: String) {}
}

struct PlainCaller {
    socket: TcpStream,
    gone: CancellationToken,
}

impl Caller for PlainCaller {
    type From = FromSocket;
    type To = ToSocket;

    fn originator(&self) -> &str {
        "a plain socket"
    }

    fn gone(&self) -> &CancellationToken {
        &self.gone
    }

    async fn accept(self) -> Person<FromSocket, ToSocket> {
        Person::on_socket(self.socket)
    }

    async fn turn_away(self, _: NoStream, _: String) {}
}

/// A record of nothing.
struct Dropped;

impl Evidence for Dropped {
    fn opened(&self, _: &serde_json::Value) -> Result<TrackId, RecordError> {
        Ok(TrackId::SESSION)
    }

    fn append_all(&self, _: TrackId, _: &mut [Part<'_>]) -> Result<(), RecordError> {
        Ok(())
    }
}
