//! `sallyport recording replay`.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use sallyport_session_recorder::export::{Track, tracks};
use sallyport_session_recorder::replay::{Pace, Replay as Steps, Show};

use super::reading::{choose, read_error};
use super::source::{Eyes, Source, check_identity, put_on_record};
use super::{CliError, Context, Replay};
use crate::audit::AuditEvent;
use crate::cli::printable;

pub(super) async fn replay(arguments: Replay, context: &Context) -> Result<(), CliError> {
    let source = Source::find(&arguments.recording, context).await?;
    let eyes = Eyes::new(&arguments.keys, context).await?;
    let reader = eyes.open(&source)?;
    let header = reader.header().clone();
    check_identity(&header, &source)?;
    put_on_record(AuditEvent::RecordingReplayed { session: header.session.clone() }, &source, context).await?;
    let all = tracks(&header, reader).map_err(read_error)?;
    let shown = all.iter().filter(|track| track.output_bytes > 0 && !track.is_tcp()).count();
    let track = choose(all, arguments.track)?;
    eprintln!("{}", printable(&title(&header.identity, &header.account, &header.asset, &track, shown)));
    let pace = Pace {
        speed: arguments.speed,
        idle: arguments.idle.map(Duration::from_secs_f64),
        seek: Duration::from_secs_f64(arguments.seek),
    };
    let steps = Steps::new(&header, &track, eyes.open(&source)?, pace);
    let played = play(steps).await;
    if std::io::stdout().is_terminal() {
        context.print(RESTORE)?;
    }
    played
}

/// Ends colours, alternate screen, hidden cursor, mouse and paste modes that the recording may have left on.
const RESTORE: &str = "\x1b[0m\x1b[?1049l\x1b[?25h\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1006l\x1b[?2004l\x1b[r\r\n";

async fn play<I>(steps: Steps<I>) -> Result<(), CliError>
where
    I: Iterator<Item = Result<sallyport_session_recorder::Entry, sallyport_session_recorder::ReadError>>,
{
    for step in steps {
        let step = step.map_err(read_error)?;
        if !step.wait.is_zero() {
            tokio::select! {
                () = tokio::time::sleep(step.wait) => {}
                stopped = tokio::signal::ctrl_c() => return stopped.map_err(CliError::failed),
            }
        }
        if let Show::Bytes(bytes) = step.show {
            let mut out = std::io::stdout().lock();
            out.write_all(&bytes).and_then(|()| out.flush()).map_err(CliError::Output)?;
        }
    }
    Ok(())
}

fn title(identity: &str, account: &str, asset: &str, track: &Track, shown: usize) -> String {
    let runs = match (&track.runs, &track.command) {
        (_, Some(command)) => format!(": {command}"),
        (Some(runs), None) => format!(": {runs}"),
        (None, None) => String::new(),
    };
    let size = track.terminal.map(|(cols, rows)| format!(", {cols}x{rows}")).unwrap_or_default();
    let others = if shown > 1 { format!("; {shown} tracks have output, see --track") } else { String::new() };
    format!("{identity} on {account}@{asset}, track {}{size}{runs}{others}", track.track)
}
