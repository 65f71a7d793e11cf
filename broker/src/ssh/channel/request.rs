//! What a person's client asks of a session channel.
use russh::Pty;
use serde_json::{Value, json};

/// What a person's client asks of a session channel and waits for an answer to.
#[derive(Debug, Clone)]
pub(crate) enum ChannelRequest {
    /// A terminal.
    Pty {
        /// The terminal's type.
        term: String,
        /// Columns.
        cols: u32,
        /// Rows.
        rows: u32,
        /// Width and height in pixels; zero if unknown.
        pixels: (u32, u32),
        /// Terminal modes.
        modes: Vec<(Pty, u32)>,
    },
    /// An environment variable.
    Env {
        /// Its name.
        name: String,
        /// Its value.
        value: String,
    },
    /// The account's shell.
    Shell,
    /// A command line.
    Exec(Vec<u8>),
    /// A subsystem.
    Subsystem(String),
    /// To lend the person's ssh agent.
    Agent,
    /// X11.
    X11,
}

impl ChannelRequest {
    /// The word for it on the record.
    pub(in crate::ssh) fn word(&self) -> &'static str {
        match self {
            ChannelRequest::Pty { .. } => "pty",
            ChannelRequest::Env { .. } => "env",
            ChannelRequest::Shell => "shell",
            ChannelRequest::Exec(_) => "exec",
            ChannelRequest::Subsystem(_) => "subsystem",
            ChannelRequest::Agent => "agent",
            ChannelRequest::X11 => "x11",
        }
    }

    /// Whether it starts the channel's one program.
    pub(in crate::ssh) fn starts(&self) -> bool {
        matches!(self, ChannelRequest::Shell | ChannelRequest::Exec(_) | ChannelRequest::Subsystem(_))
    }

    /// The bytes of it that can be many.
    pub(crate) fn weight(&self) -> usize {
        match self {
            ChannelRequest::Pty { term, .. } => term.len(),
            ChannelRequest::Env { name, value } => name.len() + value.len(),
            ChannelRequest::Exec(command) => command.len(),
            ChannelRequest::Subsystem(name) => name.len(),
            ChannelRequest::Shell | ChannelRequest::Agent | ChannelRequest::X11 => 0,
        }
    }

    /// The body of its entry on the record.
    pub(in crate::ssh) fn describe(&self) -> Value {
        let word = self.word();
        match self {
            ChannelRequest::Pty { term, cols, rows, .. } => {
                json!({ "request": word, "term": term, "cols": cols, "rows": rows })
            }
            ChannelRequest::Env { name, value } => json!({ "request": word, "name": name, "value": value }),
            ChannelRequest::Shell | ChannelRequest::Agent | ChannelRequest::X11 => json!({ "request": word }),
            ChannelRequest::Exec(command) => match std::str::from_utf8(command) {
                Ok(command) => json!({ "request": word, "command": command }),
                Err(_) => json!({
                    "request": word,
                    "command": String::from_utf8_lossy(command),
                    "command_hex": data_encoding::HEXLOWER.encode(command),
                }),
            },
            ChannelRequest::Subsystem(name) => json!({ "request": word, "name": name }),
        }
    }
}
