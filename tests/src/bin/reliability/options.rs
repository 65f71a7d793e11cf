//! What the command line asks for.

use std::time::Duration;

const USAGE: &str = "usage: reliability [--list] [--quick] [--write] [--sessions N] [--minutes N] [ROW…]
  ROW           these rows alone; default: every one
  --list        says which rows there are
  --quick       few sessions and short times, to see that it works
  --write       puts the figures into docs/reliability.md
  --sessions N  live sessions; default: 200 for isolation and soak, 50 for the others
  --minutes N   how long soak lasts (default: 60), and PostgreSQL stays away (default: 5)";

/// The command line, as meant.
pub(crate) struct Options {
    pub(crate) list: bool,
    pub(crate) quick: bool,
    pub(crate) write: bool,
    pub(crate) rows: Vec<String>,
    sessions: Option<usize>,
    minutes: Option<u64>,
}

impl Options {
    /// Reads it; the error is what to say.
    pub(crate) fn parse(
        arguments: impl Iterator<Item = String>,
        rows: impl Iterator<Item = &'static str>,
    ) -> Result<Options, String> {
        let known: Vec<_> = rows.collect();
        let mut options =
            Options { list: false, quick: false, write: false, rows: Vec::new(), sessions: None, minutes: None };
        let mut arguments = arguments;
        while let Some(argument) = arguments.next() {
            let mut number = || arguments.next().and_then(|text| text.parse::<u64>().ok().filter(|number| *number > 0));
            match argument.as_str() {
                "--list" => options.list = true,
                "--quick" => options.quick = true,
                "--write" => options.write = true,
                "--sessions" => {
                    options.sessions = Some(number().and_then(|n| n.try_into().ok()).ok_or_else(|| USAGE.to_owned())?);
                }
                "--minutes" => options.minutes = Some(number().ok_or_else(|| USAGE.to_owned())?),
                row if known.contains(&row) => options.rows.push(row.to_owned()),
                other => return Err(format!("`{other}` is no row; there are {}\n{USAGE}", known.join(", "))),
            }
        }
        Ok(options)
    }

    /// How many sessions live meanwhile.
    pub(crate) fn sessions(&self, usual: usize) -> usize {
        self.sessions.unwrap_or(if self.quick { 6 } else { usual })
    }

    /// How long something lasts that usually lasts so many minutes.
    pub(crate) fn lasting(&self, usual_minutes: u64) -> Duration {
        match self.minutes {
            Some(minutes) => Duration::from_secs(60 * minutes),
            None if self.quick => Duration::from_secs(4),
            None => Duration::from_secs(60 * usual_minutes),
        }
    }

    /// How to see the figures of a row again.
    pub(crate) fn command(&self, row: &str) -> String {
        let mut command = format!("scripts/reliability {row}");
        if self.quick {
            command.push_str(" --quick");
        }
        if let Some(sessions) = self.sessions {
            command.push_str(&format!(" --sessions {sessions}"));
        }
        if let Some(minutes) = self.minutes {
            command.push_str(&format!(" --minutes {minutes}"));
        }
        command
    }
}
