//! The canary's assets: something that answers as a controller does, something that swallows bytes, something that nobody may reach. They say
//! what reached them, and know nothing of the broker.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::{CancellationToken, DropGuard};

/// The assets, for as long as this lives.
#[derive(Debug)]
pub(super) struct Assets {
    /// Where the controller is.
    pub(super) controller: SocketAddr,
    /// Where what swallows bytes is.
    pub(super) swallows: SocketAddr,
    /// Where what nobody may reach is.
    pub(super) forbidden: SocketAddr,
    seen: Arc<Seen>,
    _stop: DropGuard,
}

/// What reached them.
#[derive(Debug, Default)]
struct Seen {
    /// Function and first address of each request.
    requests: Mutex<Vec<(u8, u16)>>,
    swallowed: AtomicU64,
    /// Connections to what nobody may reach.
    reached: AtomicU64,
}

impl Assets {
    /// On loopback alone.
    pub(super) async fn listen() -> std::io::Result<Self> {
        let own = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let bulk = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let other = TcpListener::bind((OTHER, 0)).await?;
        let (controller, swallows, forbidden) = (own.local_addr()?, bulk.local_addr()?, other.local_addr()?);
        let (seen, stop) = (Arc::<Seen>::default(), CancellationToken::new());
        serve(own, Arc::clone(&seen), stop.clone(), controls);
        serve(bulk, Arc::clone(&seen), stop.clone(), swallow);
        serve(other, Arc::clone(&seen), stop.clone(), |_, seen| async move {
            seen.reached.fetch_add(1, Ordering::SeqCst);
        });
        Ok(Self { controller, swallows, forbidden, seen, _stop: stop.drop_guard() })
    }

    /// Whether a request with this function reached this address of the controller.
    pub(super) fn was_asked(&self, function: u8, address: u16) -> bool {
        self.seen.requests.lock().unwrap_or_else(PoisonError::into_inner).contains(&(function, address))
    }

    /// How many bytes were swallowed.
    pub(super) fn swallowed(&self) -> u64 {
        self.seen.swallowed.load(Ordering::SeqCst)
    }

    /// Whether somebody came to what nobody may reach.
    pub(super) fn forbidden_was_reached(&self) -> bool {
        self.seen.reached.load(Ordering::SeqCst) > 0
    }
}

fn serve<F: Future<Output = ()> + Send + 'static>(
    listener: TcpListener,
    seen: Arc<Seen>,
    stop: CancellationToken,
    answer: impl Fn(TcpStream, Arc<Seen>) -> F + Send + 'static,
) {
    tokio::spawn(async move {
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => return,
                accepted = listener.accept() => accepted,
            };
            let Ok((stream, _)) = accepted else { return };
            let (answering, stop) = (answer(stream, Arc::clone(&seen)), stop.clone());
            tokio::spawn(async move {
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = answering => {}
                }
            });
        }
    });
}

/// Answers reads with zeros and writes with themselves, until the connection ends or brings what is neither.
async fn controls(mut stream: TcpStream, seen: Arc<Seen>) {
    let mut request = [0; 12];
    while stream.read_exact(&mut request).await.is_ok() {
        let [.., function, high, low, _, quantity] = request;
        {
            let mut requests = seen.requests.lock().unwrap_or_else(PoisonError::into_inner);
            if requests.len() >= MOST_REQUESTS {
                return;
            }
            requests.push((function, u16::from_be_bytes([high, low])));
        }
        let answer = match function {
            READ => {
                let bytes = quantity.min(MOST_READ) * 2;
                let length = [0, 3 + bytes];
                [&request[..4], &length, &[request[6], READ, bytes], &vec![0; usize::from(bytes)]].concat()
            }
            WRITE => request.to_vec(),
            _ => return,
        };
        if stream.write_all(&answer).await.is_err() {
            return;
        }
    }
}

async fn swallow(mut stream: TcpStream, seen: Arc<Seen>) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(count) = stream.read(&mut buffer).await {
        if count == 0 {
            return;
        }
        seen.swallowed.fetch_add(u64::try_from(count).unwrap_or(u64::MAX), Ordering::SeqCst);
    }
}

/// An address of loopback that is not the broker's.
pub(super) const OTHER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
/// Reads holding registers.
pub(super) const READ: u8 = 3;
/// Writes one register.
pub(super) const WRITE: u8 = 6;
const MOST_READ: u8 = 100;
const MOST_REQUESTS: usize = 10_000;
