//! Whether each receiver can be reached now, and how much waits for it: for whoever looks from outside. Nobody is told anything.

use std::time::Duration;

use tokio::time::timeout;

use super::link::Link;
use super::queue::waiting_in;
use crate::config;

/// How a receiver is.
pub(crate) struct Seen {
    /// Its name.
    pub(crate) name: String,
    /// How it was reached, or why it was not.
    pub(crate) reached: Result<String, String>,
    /// How many bytes wait for it; nothing where nothing has ever waited.
    pub(crate) waiting: Option<u64>,
}

/// Looks at every receiver.
pub(crate) async fn look(config: &config::Outbound) -> Vec<Seen> {
    let mut all = Vec::new();
    for receiver in &config.receivers {
        let reached = match Link::new(receiver) {
            Err(error) => Err(error.to_string()),
            Ok(mut link) => match timeout(REACHED_WITHIN, link.reach()).await {
                Ok(reached) => reached.map_err(|error| error.to_string()),
                Err(_) => Err("no answer".to_owned()),
            },
        };
        let waiting = waiting_in(&config.dir.join(&receiver.name)).ok();
        all.push(Seen { name: receiver.name.clone(), reached, waiting });
    }
    all
}

const REACHED_WITHIN: Duration = Duration::from_secs(12);
