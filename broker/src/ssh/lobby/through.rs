//! What leads through one connection to the plant: jumps and streams. Each has its turn and its place, target by target, so that a tool
//! that opens too many, or tries again and again where it is refused, costs nothing else on its connection.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use sallyport_policy::{AssetId, ServiceName};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use super::direct_tcpip::{self, Carried, DirectTcpip};
use crate::logging::counted;
use crate::login::target::{Lead, Nowhere};
use crate::session::{Activity, Authenticated, Seat, Session, Toward, Turn, printable};
use crate::ssh::channel::flow::Flow;
use crate::ssh::server::Server;
use crate::ssh::session::Voice;

/// Jumps and streams open at once through one connection …
const MOST_THROUGH: usize = 64;
/// … and of these, to one service.
const MOST_TO_ONE: usize = 48;
/// What waits at once for its turn.
const MOST_WAITING: usize = 256;

/// Whoever serves a connection serves what it leads through to.
pub(in crate::ssh) type ServeJump = fn(Arc<Server>, Jump);

/// A way to an asset's own login through a connection.
pub(in crate::ssh) struct Jump {
    pub(in crate::ssh) asked: DirectTcpip,
    pub(in crate::ssh) asset: AssetId,
    pub(in crate::ssh) service: ServiceName,
    /// Whose it is.
    pub(in crate::ssh) session: Session<Authenticated>,
    /// What the connection around it holds.
    pub(in crate::ssh) outer: Flow,
    /// Held as long as it is served.
    pub(in crate::ssh) passage: Passage,
}

/// A place among what is open through one connection.
pub(in crate::ssh) struct Passage {
    _of_all: OwnedSemaphorePermit,
    _of_target: OwnedSemaphorePermit,
    _seat: Seat,
}

/// The ways to the plant through one connection.
pub(super) struct Ways {
    pub(super) server: Arc<Server>,
    pub(super) session: Arc<Session<Authenticated>>,
    pub(super) serve_jump: ServeJump,
    /// Tells whoever stands in the lobby.
    pub(super) notices: Voice,
    /// What the connection holds.
    pub(super) flow: Flow,
    /// Everything open on it.
    pub(super) open: Activity,
    /// Cancelled with it.
    pub(super) gone: CancellationToken,
    pub(super) places: Places,
}

/// The places of one connection.
pub(super) struct Places {
    all: Arc<Semaphore>,
    /// There are as many as services in the plant at most.
    of_targets: Mutex<HashMap<Toward, Arc<Semaphore>>>,
    waiting: Arc<Semaphore>,
}

impl Ways {
    /// Leads a channel where it is to go, in a task of its own: the handler that calls this runs inside the loop of the connection,
    /// which must go on.
    pub(super) async fn lead(self: Arc<Self>, asked: DirectTcpip) {
        let Ok(waiting) = Arc::clone(&self.places.waiting).try_acquire_owned() else {
            return self.refuse(asked, &Toward::Nowhere, too_often()).await;
        };
        tokio::spawn(async move { self.in_turn(asked, waiting).await });
    }

    async fn in_turn(&self, asked: DirectTcpip, waiting: OwnedSemaphorePermit) {
        let toward = match asked.lead(&self.session) {
            Ok(Lead::Jump { asset, service }) => Toward::Service(asset, service),
            Ok(Lead::Stream(target)) => Toward::Service(target.asset, target.service),
            Err(_) => Toward::Nowhere,
        };
        match self.session.turns().take(&toward, Instant::now()) {
            Turn::Now => {}
            Turn::After(wait) => {
                if tokio::time::timeout(wait, self.gone.cancelled()).await.is_ok() {
                    return;
                }
            }
            Turn::Never => return self.refuse(asked, &toward, too_often()).await,
        }
        // As it is when it is its turn.
        let lead = match asked.lead(&self.session) {
            Ok(lead) => lead,
            Err(nowhere) => return self.refuse(asked, &toward, nowhere).await,
        };
        let passage = match self.passage(&toward) {
            Ok(passage) => passage,
            Err(nowhere) => return self.refuse(asked, &toward, nowhere).await,
        };
        drop(waiting);
        match lead {
            Lead::Jump { asset, service } => {
                let (session, outer) = (self.session.another(), self.flow.clone());
                (self.serve_jump)(Arc::clone(&self.server), Jump { asked, asset, service, session, outer, passage });
            }
            Lead::Stream(target) => {
                let host = asked.host.clone();
                let carried =
                    direct_tcpip::stream(&self.session, target, asked, self.gone.clone(), self.flow.clone()).await;
                drop(passage);
                match carried {
                    Carried::Reached => self.session.turns().reached(&toward),
                    Carried::Refused => self.refused(&host, &toward).await,
                }
            }
        }
    }

    fn passage(&self, toward: &Toward) -> Result<Passage, Nowhere> {
        let of_target = {
            let mut targets = self.places.of_targets.lock().unwrap_or_else(PoisonError::into_inner);
            let places = targets.entry(toward.clone()).or_insert_with(|| Arc::new(Semaphore::new(MOST_TO_ONE)));
            Arc::clone(places)
        };
        let of_target = of_target.try_acquire_owned().map_err(|_| crowded(MOST_TO_ONE, "to one service "))?;
        let of_all = Arc::clone(&self.places.all).try_acquire_owned().map_err(|_| crowded(MOST_THROUGH, ""))?;
        Ok(Passage { _of_all: of_all, _of_target: of_target, _seat: self.open.seat() })
    }

    async fn refuse(&self, asked: DirectTcpip, toward: &Toward, nowhere: Nowhere) {
        self.refused(&asked.host, toward).await;
        asked.refuse(&self.session, nowhere).await;
    }

    /// It was refused: where that makes it slower from now on, whoever stands in the lobby is told.
    async fn refused(&self, host: &str, toward: &Toward) {
        if !self.session.turns().refused(toward, Instant::now()) {
            return;
        }
        let (identity, host) = (self.session.proof().identity(), printable(host));
        counted!(warn, "A target is refused again and again, and from now on more slowly", %identity, host);
        self.notices
            .say(&format!(
                "connections through this login to `{host}` are refused again and again, and from now on more slowly: does a tool try without end?"
            ))
            .await;
    }
}

impl Default for Places {
    fn default() -> Self {
        Self {
            all: Arc::new(Semaphore::new(MOST_THROUGH)),
            of_targets: Mutex::default(),
            waiting: Arc::new(Semaphore::new(MOST_WAITING)),
        }
    }
}

fn crowded(most: usize, of: &str) -> Nowhere {
    Nowhere {
        reason: "more channels through one connection than it may have",
        sentence: format!("More than {most} connections {of}through one login are not allowed."),
    }
}

fn too_often() -> Nowhere {
    Nowhere {
        reason: "it was refused again and again, and is tried faster than it is answered",
        sentence: "This is tried again and again faster than it is answered. The tool should wait between its tries."
            .to_owned(),
    }
}
