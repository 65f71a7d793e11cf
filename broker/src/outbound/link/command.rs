//! A local program for each alarm: a siren, a relay. No shell; what it is told stands on its standard input.

use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::AsyncWriteExt as _;
use tokio::process::{Child, Command as Process};
use tokio::time::timeout;

use super::{SendError, away};
use crate::config::Program;
use crate::outbound::message::Message;

/// A program that is run for each event.
pub(in crate::outbound) struct Command(Program);

/// A program that runs, and all that it started: killed when it is dropped.
struct Group {
    child: Child,
    group: Option<Pid>,
}

impl Command {
    pub(super) fn new(program: Program) -> Self {
        Self(program)
    }

    pub(super) fn within(&self) -> Duration {
        self.0.within
    }

    pub(super) async fn send(&mut self, messages: &[Message]) -> Result<(), SendError> {
        for message in messages {
            let name = self.0.program.display();
            match timeout(self.0.within, self.run(&message.body)).await {
                Ok(Ok(status)) if status.success() => {}
                Ok(Ok(status)) => return Err(SendError::Away(format!("`{name}` ended with {status}"))),
                Ok(Err(error)) => return Err(away(&format!("`{name}`"), &error)),
                Err(_) => {
                    let within = self.0.within.as_secs();
                    return Err(SendError::Away(format!("`{name}` did not end within {within} s and was killed")));
                }
            }
        }
        Ok(())
    }

    pub(super) fn reach(&self) -> Result<String, SendError> {
        let name = self.0.program.display();
        match std::fs::metadata(&self.0.program) {
            Ok(file) if file.is_file() && file.permissions().mode() & 0o111 != 0 => Ok(format!("`{name}` can be run")),
            Ok(_) => Err(SendError::Away(format!("`{name}` is no program"))),
            Err(error) => Err(away(&format!("`{name}`"), &error)),
        }
    }

    /// Dropped before its end, it is killed with all that it has started.
    async fn run(&self, body: &str) -> io::Result<ExitStatus> {
        let child = Process::new(&self.0.program)
            .args(&self.0.arguments)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        let group = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        let mut running = Group { child, group };
        if let Some(mut input) = running.child.stdin.take() {
            // A program need not read it.
            drop(input.write_all(format!("{body}\n").as_bytes()).await);
        }
        let ended = running.child.wait().await;
        // Its number is free now: another may have it.
        running.group = None;
        ended
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.group
            && let Err(error) = kill_process_group(group, Signal::KILL)
        {
            tracing::debug!(%error, "A program that took too long was gone already");
        }
    }
}
