//! Listening sockets that a service manager has opened and keeps (`LISTEN_FDS`, sd_listen_fds(3)): while the broker restarts, whoever
//! comes waits in them instead of being refused.

use std::io;
use std::net::{SocketAddr, TcpListener};

use listenfd::ListenFd;

/// What a socket is for. Its name (`FileDescriptorName=`) says it, or else its port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum For {
    /// People by ssh.
    Ssh,
    /// People by a browser.
    Portal,
    /// Administrators and auditors by a browser, where they have addresses of their own.
    Management,
    /// Prometheus.
    Metrics,
}

impl For {
    const ALL: [Self; 4] = [Self::Ssh, Self::Portal, Self::Management, Self::Metrics];

    fn name(self) -> &'static str {
        match self {
            Self::Ssh => "ssh",
            Self::Portal => "portal",
            Self::Management => "management",
            Self::Metrics => "metrics",
        }
    }
}

/// The sockets that were inherited, until each is taken by what it is for.
#[derive(Debug, Default)]
pub struct Inherited {
    sockets: Vec<Socket>,
}

#[derive(Debug)]
struct Socket {
    name: String,
    address: SocketAddr,
    listener: TcpListener,
}

/// Why inherited sockets are not listened on. Nothing is served then.
#[derive(Debug, thiserror::Error)]
pub enum InheritedError {
    /// `LISTEN_FDS` is no number, or a larger one than any unit has.
    #[error("`LISTEN_FDS` is `{0}`: expected a number up to {MOST}")]
    Count(String),
    /// It is no listening TCP socket.
    #[error("inherited socket {number} (`{name}`): {source}")]
    Socket {
        /// Which, from 0.
        number: usize,
        /// Its name.
        name: String,
        /// What is wrong.
        source: io::Error,
    },
    /// Nothing here listens on it.
    #[error(
        "inherited socket `{name}` at {address} is for nothing here: name it `ssh`, `portal`, `management` or `metrics`, and configure what it is for"
    )]
    ForNothing {
        /// Its name.
        name: String,
        /// Where it listens.
        address: SocketAddr,
    },
    /// Figures would be open to other machines.
    #[error("metrics would be open to other machines on {0}, an inherited socket; see `metrics_beyond_loopback`")]
    BeyondLoopback(SocketAddr),
}

impl Inherited {
    /// Takes them over from the environment, if they are meant for this process.
    ///
    /// INVARIANT: called while the process has one thread: it takes the variables out of the environment.
    ///
    /// # Errors
    /// One of them is no listening TCP socket.
    pub fn take() -> Result<Self, InheritedError> {
        let meant_for = std::env::var("LISTEN_PID").ok().and_then(|pid| pid.parse::<u32>().ok());
        let Ok(count) = std::env::var("LISTEN_FDS") else { return Ok(Self::default()) };
        if meant_for != Some(std::process::id()) {
            return Ok(Self::default());
        }
        if !count.parse::<usize>().is_ok_and(|count| count <= MOST) {
            return Err(InheritedError::Count(sallyport_plain::excerpt(&count, 20)));
        }
        let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
        let mut names = names.split(':').map(ToOwned::to_owned);
        let mut given = ListenFd::from_env();
        let mut sockets = Vec::new();
        for number in 0..given.len() {
            let name = names.next().unwrap_or_default();
            let listener = given.take_tcp_listener(number).and_then(|taken| {
                let listener = taken.ok_or_else(|| io::Error::other("it was taken before"))?;
                match rustix::net::sockopt::socket_acceptconn(&listener)? {
                    true => Ok((listener.local_addr()?, listener)),
                    false => Err(io::Error::other("it does not listen")),
                }
            });
            let (address, listener) =
                listener.map_err(|source| InheritedError::Socket { number, name: name.clone(), source })?;
            sockets.push(Socket { name, address, listener });
        }
        Ok(Self { sockets })
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.sockets.is_empty()
    }

    /// Listens at these addresses: on the sockets that were inherited for it, and on new ones where none has the port.
    ///
    /// # Errors
    /// The address that cannot be listened on, and why.
    pub(crate) async fn listen(
        &mut self,
        what: For,
        addresses: &[SocketAddr],
    ) -> Result<Vec<tokio::net::TcpListener>, (SocketAddr, io::Error)> {
        let mut listeners = Vec::new();
        let mut ports = Vec::new();
        for Socket { address, listener, .. } in self.of(what, addresses) {
            let taken = listener.set_nonblocking(true).and_then(|()| tokio::net::TcpListener::from_std(listener));
            listeners.push(taken.map_err(|source| (address, source))?);
            ports.push(address.port());
            tracing::info!(%address, what = what.name(), "Listening on an inherited socket");
        }
        for &address in addresses.iter().filter(|address| !ports.contains(&address.port())) {
            listeners.push(tokio::net::TcpListener::bind(address).await.map_err(|source| (address, source))?);
            tracing::info!(%address, what = what.name(), "Listening");
        }
        Ok(listeners)
    }

    /// What is for this: by its name, or where that says nothing, by a port of these addresses.
    fn of(&mut self, what: For, addresses: &[SocketAddr]) -> Vec<Socket> {
        let named = |socket: &Socket| For::ALL.iter().any(|each| each.name() == socket.name);
        let by_port = |socket: &Socket| addresses.iter().any(|address| address.port() == socket.address.port());
        let is_for = |socket: &mut Socket| {
            !addresses.is_empty() && if named(socket) { socket.name == what.name() } else { by_port(socket) }
        };
        self.sockets.extract_if(.., is_for).collect()
    }

    /// Every socket has found what it is for.
    ///
    /// # Errors
    /// The first that has not: whoever comes to it would wait for ever.
    pub(crate) fn all_taken(&self) -> Result<(), InheritedError> {
        self.sockets.first().map_or(Ok(()), |Socket { name, address, .. }| {
            Err(InheritedError::ForNothing { name: name.clone(), address: *address })
        })
    }
}

/// More than any unit has.
const MOST: usize = 64;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    use super::*;

    fn socket(name: &str) -> Socket {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        Socket { name: name.to_owned(), address: listener.local_addr().unwrap(), listener }
    }

    #[tokio::test]
    async fn a_socket_goes_to_what_it_is_named_for_or_else_to_whose_port_it_has() {
        let (named, unnamed, other) = (socket("portal"), socket("sallyport.socket"), socket("ssh"));
        let (portal, ssh) = (named.address, unnamed.address);
        let mut inherited = Inherited { sockets: vec![named, unnamed, other] };
        // Its port is that of the portal's socket, whose name counts.
        let listeners = inherited.listen(For::Ssh, &[ssh]).await.unwrap();
        assert_eq!(listeners.len(), 2, "what has its port, and what has its name");
        assert!(inherited.all_taken().is_err());
        // Nothing inherited has the first port: it has to be bound, and another has it.
        let other = socket("");
        let listeners = inherited.listen(For::Portal, &[other.address, portal]).await;
        assert_eq!(listeners.map_err(|(address, _)| address).err(), Some(other.address));
        assert!(inherited.all_taken().is_ok());
        // What nothing here is configured for is taken by nobody.
        let mut inherited = Inherited { sockets: vec![socket("metrics")] };
        assert!(inherited.listen(For::Metrics, &[]).await.unwrap().is_empty());
        assert!(inherited.all_taken().is_err());
    }
}
