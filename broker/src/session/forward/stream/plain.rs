//! A stream whose person is on a plain socket: only the benchmark builds this. Everything else is what every stream has.

use std::sync::Arc;

use sallyport_policy::Protocol;
use sallyport_protocol_filter::modbus;
use sallyport_session_recorder::{Part, RecordError, TrackId};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use super::NotConnected;
use crate::bench_listener::Record;
use crate::live::End;
use crate::session::forward::filter::Ruled;
use crate::session::{Authorized, Recorded, Session, StartRefusal};
use crate::ssh::Evidence;
use crate::tcp::Person;

impl Session<Authorized> {
    /// Records and forwards a Modbus stream.
    ///
    /// # Errors
    /// If the record cannot be had: nothing is sent then.
    pub async fn run_plain(self, person: TcpStream, record: Record) -> Result<End, StartRefusal> {
        let recorded = self.record().await?;
        let end = recorded.stage.plain(person, record).await.unwrap_or_else(|end| end);
        Ok(recorded.close(end).await)
    }
}

impl Recorded {
    async fn plain(&self, person: TcpStream, record: Record) -> Result<End, End> {
        let connected = self.connect_stream(&CancellationToken::new()).await;
        let (socket, protocol) = connected.map_err(|NotConnected { end, .. }| end)?;
        let mut track = self.open_track(protocol, "a plain socket")?;
        if protocol != Protocol::Modbus {
            return Err(End::AssetUnreachable);
        }
        if record == Record::Dropped {
            track.recording = Arc::new(Dropped);
        }
        let (rules, _) = modbus::Filter::rules_of(self).await;
        let person = Person::on_socket(person);
        Ok(self.filter_between::<modbus::Filter>(person, socket, (track, protocol), rules).await)
    }
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
