//! A session on the workstation: a shell or one command.

use std::time::Duration;

use super::channel::{Gone, Input, Output};
use super::line::{Line, Step};
use super::station::{Act, HOME, Station};

/// Runs one command; gives its exit status.
pub(super) async fn exec(station: &Station, command: &str, input: &mut Input, output: &Output) -> Result<u32, Gone> {
    let mut folder = HOME.to_owned();
    let act = station.act(&mut folder, command);
    perform(act, input, output).await.map(|status| status.unwrap_or(0))
}

/// A shell at a terminal: prompts, echoes, edits.
pub(super) async fn at_terminal(station: &Station, input: &mut Input, output: &Output) -> Result<u32, Gone> {
    output.text(WELCOME).await?;
    let mut folder = HOME.to_owned();
    let mut line = Line::default();
    output.text(&line.begin(prompt(&folder))).await?;
    while let Some(bytes) = input.next().await {
        for byte in bytes {
            match line.take(byte) {
                Step::Nothing => continue,
                Step::Show(text) => {
                    output.text(&text).await?;
                    continue;
                }
                Step::Interrupt => output.text("^C\n").await?,
                Step::End => {
                    output.text("logout\n").await?;
                    return Ok(0);
                }
                Step::Entered(entered) => {
                    output.text("\n").await?;
                    let act = station.act(&mut folder, &entered);
                    if perform(act, input, output).await?.is_none() {
                        return Ok(0);
                    }
                }
            }
            output.text(&line.begin(prompt(&folder))).await?;
        }
    }
    Ok(0)
}

/// A shell without a terminal: line by line, nothing but the answers.
pub(super) async fn without_terminal(station: &Station, input: &mut Input, output: &Output) -> Result<u32, Gone> {
    let mut folder = HOME.to_owned();
    let mut status = 0;
    let mut pending = Vec::new();
    while let Some(bytes) = input.next().await {
        pending.extend_from_slice(&bytes);
        while let Some(end) = pending.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = pending.drain(..=end).collect();
            let act = station.act(&mut folder, String::from_utf8_lossy(&line).trim());
            match perform(act, input, output).await? {
                Some(new) => status = new,
                None => return Ok(status),
            }
        }
        if pending.len() > LONGEST_LINE {
            output.error("the line is too long\n").await?;
            return Ok(2);
        }
    }
    Ok(status)
}

/// Does what a line asked for; `None` to leave.
async fn perform(act: Act, input: &mut Input, output: &Output) -> Result<Option<u32>, Gone> {
    match act {
        Act::Say(said) => {
            output.text(&said.out).await?;
            output.error(&said.error).await?;
            Ok(Some(said.status))
        }
        Act::Copy => {
            while let Some(bytes) = input.next().await {
                // At a terminal, Ctrl-C and Ctrl-D come as bytes.
                if output.is_terminal() && bytes.iter().any(|byte| matches!(byte, 3 | 4)) {
                    output.text("\n").await?;
                    break;
                }
                output.bytes(bytes).await?;
            }
            Ok(Some(0))
        }
        Act::Sleep(seconds) => tokio::select! {
            () = input.gone() => Err(Gone),
            () = tokio::time::sleep(Duration::from_secs(seconds.min(86_400))) => Ok(Some(0)),
        },
        Act::Clear => {
            output.bytes("\x1b[2J\x1b[H").await?;
            Ok(Some(0))
        }
        Act::Leave => Ok(None),
    }
}

fn prompt(folder: &str) -> String {
    let shown = match folder.strip_prefix(HOME) {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => format!("~{rest}"),
        _ => folder.to_owned(),
    };
    format!("operator@ews-1:{shown}$ ")
}

const WELCOME: &str = "\nEWS-1, simulated engineering workstation of cell 1. `help` tells what it can do.\n\n";
const LONGEST_LINE: usize = 16 * 1024;
