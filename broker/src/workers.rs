//! The threads that everything runs on.

use std::io;
use std::num::NonZero;

use tokio::runtime::{Builder, Runtime};

/// What a broker has at least, whatever the cores: writes of the record may hold all but one (`recording/permits`).
const FEWEST: usize = 4;

/// A runtime with a worker for each core, and no fewer than four.
///
/// # Errors
/// When the system gives no threads.
pub fn runtime() -> io::Result<Runtime> {
    let cores = std::thread::available_parallelism().map_or(FEWEST, NonZero::get);
    Builder::new_multi_thread().worker_threads(cores.max(FEWEST)).enable_all().build()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

    #[test]
    fn there_are_four_workers_whatever_the_cores() {
        assert!(super::runtime().unwrap().metrics().num_workers() >= 4);
    }
}
