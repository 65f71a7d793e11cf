//! Tells the service manager how things are (`sd_notify`): one datagram to the socket it named.

use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use tracing::warn;

/// The broker serves.
pub(super) fn ready() {
    tell("READY=1");
}

/// The broker is about to end.
pub(super) fn stopping() {
    tell("STOPPING=1");
}

/// The broker lives (`WatchdogSec=`).
pub(super) fn alive() {
    tell("WATCHDOG=1");
}

/// How often the service manager wants to hear that the broker lives, if it does.
pub(super) fn watchdog() -> Option<Duration> {
    let micros: u64 = std::env::var("WATCHDOG_USEC").ok()?.parse().ok()?;
    let meant_for = std::env::var("WATCHDOG_PID").ok().and_then(|pid| pid.parse::<u32>().ok());
    // Twice as often as asked, as its manual advises.
    meant_for.is_none_or(|pid| pid == std::process::id()).then(|| Duration::from_micros(micros / 2))
}

fn tell(state: &str) {
    let Some(path) = std::env::var_os("NOTIFY_SOCKET") else { return };
    if let Err(error) = send(&path, state) {
        warn!(%error, state, "The service manager could not be told");
    }
}

fn send(path: &std::ffi::OsStr, state: &str) -> std::io::Result<()> {
    use std::os::linux::net::SocketAddrExt as _;
    use std::os::unix::ffi::OsStrExt as _;
    let socket = UnixDatagram::unbound()?;
    match path.as_bytes().strip_prefix(b"@") {
        Some(name) => {
            let address = std::os::unix::net::SocketAddr::from_abstract_name(name)?;
            socket.send_to_addr(state.as_bytes(), &address)?;
        }
        None => {
            socket.send_to(state.as_bytes(), path)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    use super::*;

    #[test]
    fn the_service_manager_hears_it_on_a_path_and_on_an_abstract_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        send(path.as_os_str(), "READY=1").unwrap();
        let mut heard = [0; 16];
        let length = manager.recv(&mut heard).unwrap();
        assert_eq!(&heard[..length], b"READY=1");
        assert!(send(std::ffi::OsStr::new("@sallyport-nobody-listens-here"), "READY=1").is_err());
    }
}
