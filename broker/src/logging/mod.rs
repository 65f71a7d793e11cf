//! Log lines: for us, on stderr, without payload and without secrets. What auditors need is in the audit chain.

mod counted;
mod levels;

use std::borrow::Cow;
use std::io::{self, Write};

use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

pub(crate) use counted::{Counted, counted, tell_counted};
pub(crate) use levels::targets;

use crate::config::{LogConfig, LogFormat};

/// The environment variable that outranks the configured level.
pub const LEVEL_VARIABLE: &str = "SALLYPORT_LOG";

/// Begins to log. Later calls in the same process change nothing.
///
/// # Errors
/// A level in the environment that is not one. (The configured one was checked when it was read.)
pub fn begin(config: &LogConfig) -> Result<(), String> {
    let wanted = std::env::var(LEVEL_VARIABLE).unwrap_or_else(|_| config.filter.clone());
    let filter = targets(&wanted).map_err(|error| format!("{error} ({LEVEL_VARIABLE})"))?;
    let filter = quiet_neighbours(filter);
    let registry = tracing_subscriber::registry().with(filter);
    let plain: fn(&str) -> Cow<'_, str> = match config.format {
        LogFormat::Text => sallyport_plain::printable_lines,
        LogFormat::Json => sallyport_plain::json,
    };
    let layer = tracing_subscriber::fmt::layer().with_writer(move || Plain { out: io::stderr(), plain });
    let begun = match config.format {
        LogFormat::Text => registry.with(layer.with_target(false).with_ansi(false)).try_init(),
        LogFormat::Json => registry.with(layer.json().flatten_event(true)).try_init(),
    };
    if begun.is_err() {
        tracing::debug!("Logging had begun already");
    }
    Ok(())
}

/// Writes lines, each whole, in which nothing acts on a terminal: a name that somebody gave may hold anything.
struct Plain<W> {
    out: W,
    plain: fn(&str) -> Cow<'_, str>,
}

impl<W: Write> Write for Plain<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.out.write_all((self.plain)(&String::from_utf8_lossy(line)).as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// russh and sqlx log peers' data and statements below warnings: unless somebody names them, they stay quiet. russh says nothing at all: a
/// line of its for every unexpected packet would let a peer fill the log, and what ends a connection is logged where it was served.
fn quiet_neighbours(filter: Targets) -> Targets {
    let named: Vec<String> = filter.iter().map(|(target, _)| target.to_owned()).collect();
    use tracing::level_filters::LevelFilter;
    let neighbours = [("russh", LevelFilter::OFF), ("sqlx", LevelFilter::ERROR), ("hyper", LevelFilter::ERROR)];
    neighbours.into_iter().fold(filter, |filter, (neighbour, level)| {
        if named.iter().any(|target| target.starts_with(neighbour)) {
            filter
        } else {
            filter.with_target(neighbour, level)
        }
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

    use super::*;

    #[test]
    fn nothing_in_a_line_acts_on_a_terminal() {
        for (plain, line, expected) in [
            (
                sallyport_plain::printable_lines as fn(&str) -> Cow<'_, str>,
                "INFO refused name=a\u{9b}2J\u{202e}\n",
                "INFO refused name=a\\u{9b}2J\\u{202e}\n",
            ),
            (sallyport_plain::json, "{\"name\":\"\u{9d}0;x\"}\n", "{\"name\":\"\\u009d0;x\"}\n"),
        ] {
            let mut out = Vec::new();
            Plain { out: &mut out, plain }.write_all(line.as_bytes()).unwrap();
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
    }
}
